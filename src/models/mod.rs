//! Networks as lists of layers, with their shapes known before any GPU is.

mod bbnn;
mod indrnn;
mod initialise;
mod network;

pub use network::{BuildError, Network};

use crate::config::{ModelConfig, ModelName};
use crate::layers::Declarations;

/// The sizes that a network is built for; `batch` and `frames` are the most that it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dimensions {
    /// Samples.
    pub batch: usize,
    /// Frames of each sample.
    pub frames: usize,
    /// Mel bands.
    pub mels: usize,
    /// Classes.
    pub classes: usize,
}

/// A network that cannot be built, whatever the adapter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Pooling leaves nothing of the input.
    #[error("{model} pools {axis} {factor}-fold and cannot take {given}: use at least {factor} {axis}")]
    TooSmall {
        /// The network.
        model: ModelName,
        /// `frames` or `mel bands`.
        axis: &'static str,
        /// As given.
        given: usize,
        /// The fewest.
        factor: usize,
    },
    /// There is nothing to tell apart.
    #[error("a classifier needs at least 2 classes, there are {classes}")]
    TooFewClasses {
        /// As given.
        classes: usize,
    },
}

/// Parameters and running statistics of a network, with names and shapes.
pub fn declare(model: &ModelConfig, dimensions: Dimensions) -> Result<Declarations, ModelError> {
    if dimensions.classes < 2 {
        return Err(ModelError::TooFewClasses { classes: dimensions.classes });
    }
    match model.name {
        ModelName::Bbnn => bbnn::declare(dimensions),
        ModelName::Indrnn => Ok(indrnn::declare(model, dimensions)),
    }
}

//! Networks as lists of layers, with their shapes known before any GPU is.
//!
//! Names in `model.safetensors`, with PyTorch's shapes (convolution `(out, in, time, mel)`, linear `(out, in)`); `..` stands
//! for `weight` and `bias`, and with `bn` for `running_mean` and `running_var` too. A `state_dict` of modules of these names
//! loads as it is:
//!
//! | network | names |
//! |---|---|
//! | bbnn | `stem.conv..`, `stem.bn..`, `blocks.{i}.{branch1x1, branch3x3.0, branch3x3.1, branch5x5.0, branch5x5.1, branch_pool}.{bn, conv}..`, `transition.{bn, conv}..`, `head.bn..`, `classifier..` |
//! | indrnn, plain | `layers.{i}.input..`, `layers.{i}.recurrent.weight` of shape `(hidden)`, `layers.{i}.bn..`, `classifier..` |
//! | indrnn, residual | `stem..`, `blocks.{i}.{0, 1}.{bn, recurrent, linear}..`, `head.{bn, recurrent}..`, `classifier..` |
//! | indrnn, dense | `stem..`, `blocks.{i}.{layer}.{0, 1}.{bn, recurrent, linear}..`, `transitions.{i}.{bn, recurrent, linear}..`, `head.{bn, recurrent}..`, `classifier..` |
//! | rnn, lstm, gru | `rnn.{weight_ih, weight_hh, bias_ih, bias_hh}_l{level}`, `classifier..` |
//! | all that standardise | `input.mean`, `input.std` of shape `(mels)` |

mod bbnn;
mod indrnn;
mod initialise;
mod network;
mod recurrent;
mod sequence;

pub use network::{BuildError, Network};

use crate::config::{ModelConfig, ModelName};
use crate::gpu::{Element, Gpu, GpuError};
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
    #[error("{model} pools {axis} {factor}-fold and cannot take {given}: use at least {factor} {axis}, or pool less")]
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
        ModelName::Bbnn => bbnn::declare(model, dimensions),
        ModelName::Indrnn => Ok(indrnn::declare(model, dimensions)),
        ModelName::Rnn | ModelName::Lstm | ModelName::Gru => Ok(recurrent::declare(model, dimensions)),
    }
}

/// Whether the adapter can hold the network for these dimensions at all: what takes no allocation to know.
pub fn check(gpu: &Gpu, model: &ModelConfig, dimensions: Dimensions) -> Result<(), BuildError> {
    declare(model, dimensions)?;
    let Dimensions { batch, frames, mels, .. } = dimensions;
    match model.name {
        ModelName::Bbnn => bbnn::slices(gpu, model, dimensions, usize::MAX, bbnn::maps(gpu, model)).map(drop)?,
        recurrent => {
            let widest =
                if recurrent == ModelName::Indrnn { indrnn::widest(model, mels) } else { recurrent::widest(model, mels) };
            let bytes = (batch * frames * widest * Element::F32.bytes()) as u64;
            let limit = gpu.summary().max_binding_bytes;
            if bytes > limit {
                return Err(GpuError::TooLarge { label: "a batch of sequences".into(), bytes, limit }.into());
            }
        }
    }
    Ok(())
}

//! Training and evaluation: where data and networks meet, through batches.

pub mod baseline;
pub mod calibration;
pub mod checkpoint;
mod class_weights;
mod conclude;
mod device_clips;
mod early_stop;
pub mod environment;
mod epoch;
pub mod evaluate;
pub mod event;
pub(crate) mod feed;
pub mod metrics;
pub mod named_tensor;
pub mod permute;
pub mod predictions;
mod quartiles;
mod restore;
mod run;
pub mod run_directory;
mod session;
mod turns;
mod validate;
pub mod weights;

pub use conclude::{evaluate_part, predict_part, write_evaluation};
pub use device_clips::DeviceClips;
pub use early_stop::EarlyStop;
pub use quartiles::Quartiles;
pub use restore::restore;
pub use run::{Mark, Trained, train, train_to_marks};
use session::Session;
pub use turns::{Turn, Turns};

use crate::dataset::DatasetError;
use crate::gpu::{Gpu, GpuError};
use crate::models::BuildError;
use checkpoint::CheckpointError;
use predictions::PredictionsError;
use run_directory::RunDirectoryError;

/// What can end a run.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The device.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// The network.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The data or a table about it.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Predictions that cannot be evaluated or written.
    #[error(transparent)]
    Predictions(#[from] PredictionsError),
    /// The run directory.
    #[error(transparent)]
    RunDirectory(#[from] RunDirectoryError),
    /// A listener could not write.
    #[error("the run's records cannot be written: {0}")]
    Observer(std::io::Error),
    /// Nothing but infinities.
    #[error(
        "training diverged in epoch {epoch}: weights or gradients became infinite or not a number; use a smaller --learning-rate than {learning_rate}, or --clip-norm 1"
    )]
    Diverged {
        /// From 1.
        epoch: usize,
        /// The recipe's.
        learning_rate: f32,
    },
}

impl TrainError {
    /// Whether the device has no memory left.
    fn is_for_memory(&self) -> bool {
        use crate::models::BuildError;
        matches!(self, Self::Gpu(GpuError::OutOfMemory { .. }) | Self::Build(BuildError::Gpu(GpuError::OutOfMemory { .. })))
    }
}

/// The adapter, its backend and driver, as tables and files name it.
pub fn adapter_words(gpu: &Gpu) -> String {
    let summary = gpu.summary();
    format!("{} ({}, {})", summary.name, summary.backend, summary.driver)
}

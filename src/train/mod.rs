//! Training and evaluation: where data and networks meet, through batches.

pub mod checkpoint;
mod early_stop;
//mod epoch;
//pub mod evaluate;
pub mod event;
pub mod metrics;
pub mod named_tensor;
pub mod permute;
pub mod predictions;
//mod run;
//pub mod run_directory;
pub mod weights;

pub use early_stop::EarlyStop;
//use run::Session;
//pub use run::{evaluate_part, predict_part, train, write_evaluation};

//use crate::dataset::DatasetError;
use crate::gpu::Gpu;
//use crate::models::BuildError;
//use checkpoint::CheckpointError;
//use predictions::PredictionsError;
//use run_directory::RunDirectoryError;

/// The adapter, its backend and driver, as tables and files name it.
pub fn adapter_words(gpu: &Gpu) -> String {
    let summary = gpu.summary();
    format!("{} ({}, {})", summary.name, summary.backend, summary.driver)
}

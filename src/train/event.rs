//! What a training run tells whoever listens. The front end decides what becomes of it: a progress bar, a line, a file.

use crate::gpu::Precision;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Something that happened, in order. Serialised, each is one line of `events.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run begins.
    Started(Started),
    /// A training batch's results have arrived; several may arrive at once, and they lag a step or two behind.
    Step(Step),
    /// An epoch is over and validated.
    Epoch(EpochMetrics),
    /// Something that a person should know and that does not stop the run.
    Warning {
        /// In words.
        message: String,
    },
    /// Training ended before its last epoch.
    StoppedEarly {
        /// The last epoch that was trained.
        epoch: usize,
        /// Why, in words.
        reason: String,
    },
    /// Everything is evaluated and written.
    Finished(Box<Summary>),
}

/// What a run starts with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// The run directory.
    pub run: PathBuf,
    /// `bbnn` or `indrnn`.
    pub model: String,
    /// Trained numbers and running statistics.
    pub parameters: usize,
    /// Trained numbers.
    pub trainable_parameters: usize,
    /// Most epochs.
    pub epochs: usize,
    /// Clips per batch.
    pub batch_size: usize,
    /// Frames per crop.
    pub frames: usize,
    /// Clips in the training, validation and test parts.
    pub clips: [usize; 3],
    /// Class names.
    pub classes: Vec<String>,
    /// What products are made of.
    #[serde(default)]
    pub precision: Precision,
    /// The adapter, its backend and driver.
    pub adapter: String,
}

/// Progress within an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Step {
    /// From 1.
    pub epoch: usize,
    /// Batches of this epoch whose results have arrived.
    pub step: usize,
    /// Batches of an epoch.
    pub steps: usize,
    /// Mean loss over the epoch so far.
    pub loss: f64,
    /// Share of the epoch's clips so far that were named rightly, 0..1.
    pub accuracy: f64,
}

/// One row of `metrics.csv`: its columns are these fields in this order.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// From 1.
    pub epoch: usize,
    /// Mean loss over the training clips, as they were trained on: cross entropy, label smoothing and class weights included.
    pub train_loss: f64,
    /// 0..1.
    pub train_accuracy: f64,
    /// Mean cross entropy over one centred window of each validation clip; absent without a validation part.
    pub val_loss: Option<f64>,
    /// 0..1.
    pub val_accuracy: Option<f64>,
    /// The step size of the epoch's last update.
    pub learning_rate: f64,
    /// Wall seconds of the training steps: without validation and checkpoints.
    pub epoch_seconds: f64,
    /// Seconds that the device worked on them, where the adapter has timestamps.
    pub gpu_seconds: Option<f64>,
}

/// The final JSON of `train`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The run directory.
    pub run: PathBuf,
    /// `bbnn` or `indrnn`.
    pub model: String,
    /// Trained numbers and running statistics.
    pub parameters: usize,
    /// Trained numbers.
    pub trainable_parameters: usize,
    /// Epochs trained.
    pub epochs: usize,
    /// The epoch whose weights were evaluated.
    pub best_epoch: usize,
    /// Of the best epoch, all windows of each clip, 0..1; absent without a validation part.
    pub val_accuracy: Option<f64>,
    /// With the best weights, all windows of each clip, 0..1; absent without a test part.
    pub test_accuracy: Option<f64>,
    /// Bootstrap over whole groups; absent with fewer than two.
    pub test_accuracy_ci95: Option<[f64; 2]>,
    /// Independent groups in the test part: under 30, differences between runs say little.
    pub test_groups: Option<usize>,
    /// Accuracy on the test part of always naming the training part's largest class.
    pub majority_baseline: Option<f64>,
    /// Median wall seconds of an epoch's training steps, the first left out where there are others.
    pub epoch_seconds_median: f64,
    /// The adapter, its backend and driver.
    pub adapter: String,
}

/// Someone who listens to a run.
pub trait Observer {
    /// Called for every event in order, on the training thread: it should be quick. An error stops the run.
    fn event(&mut self, event: &Event) -> std::io::Result<()>;
}

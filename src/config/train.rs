//! Settings of training.

use super::error::invalid;
use super::{ConfigError, ModelName};
use crate::gpu::Precision;
use serde::{Deserialize, Serialize};

/// The training recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Most passes over the training part.
    pub epochs: usize,
    /// Clips per batch.
    pub batch_size: usize,
    /// Batches whose gradients are added up for one update: as one batch of that many times the clips, except that
    /// batch norm sees each batch by itself.
    pub accumulation: usize,
    /// Frames per crop; shorter clips are padded as audio.
    pub frames: usize,
    /// What turns gradients into updates.
    pub optimizer: OptimizerName,
    /// SGD's momentum.
    pub momentum: f32,
    /// The step size, or the largest that the schedule gives it.
    pub learning_rate: f32,
    /// How the learning rate changes over the epochs.
    pub schedule: ScheduleName,
    /// Epochs over which the learning rate first grows, linearly from step to step.
    pub warmup_epochs: usize,
    /// Schedule `step`: epochs between reductions.
    pub step_epochs: usize,
    /// Schedules `step` and `plateau`: what the learning rate is multiplied with.
    pub lr_factor: f32,
    /// Schedule `plateau`: epochs without improvement of `early_stop_metric` before a reduction.
    pub plateau_patience: usize,
    /// Schedule `plateau`: how much the metric must improve to count.
    pub plateau_delta: f32,
    /// No schedule goes below this, and `cosine` ends there.
    pub min_learning_rate: f32,
    /// Seed of initialisation, split, order, crops, augmentation and dropout.
    pub seed: u64,
    /// What products are made of: `f32` or `mixed`.
    pub precision: Precision,
    /// Gradients are scaled down to this norm; 0 leaves them.
    pub clip_norm: f32,
    /// Each gradient element is clamped to plus or minus this; 0 leaves them.
    pub clip_value: f32,
    /// Weight decay of weight matrices and kernels (not of biases, norms or recurrent vectors): added to the gradient
    /// with `adam` and `sgd`, decoupled with `adamw`, as PyTorch's optimisers of these names do.
    pub weight_decay: f32,
    /// Share of the target that is spread over all classes.
    pub label_smoothing: f32,
    /// How much each class counts in the loss.
    pub class_weights: ClassWeights,
    /// Stop when `early_stop_metric` has not improved for this many epochs; 0 never stops early.
    pub patience: usize,
    /// How much the metric must improve to count.
    pub min_delta: f32,
    /// Which metric early stopping and the schedule `plateau` watch.
    pub early_stop_metric: EarlyStopMetric,
    /// Evaluate with re-estimated batch-norm statistics while a run has made fewer than 1,000 steps.
    pub bn_recalibration: bool,
}

/// What turns gradients into updates; as PyTorch's optimiser of the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum OptimizerName {
    /// Kingma & Ba 2015, with beta 0.9 and 0.999, epsilon 1e-8.
    #[default]
    Adam,
    /// Adam with decoupled weight decay (Loshchilov & Hutter 2019).
    Adamw,
    /// Stochastic gradient descent with momentum.
    Sgd,
}

/// How the learning rate changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum ScheduleName {
    /// It does not.
    #[default]
    Constant,
    /// Times `lr_factor` every `step_epochs` epochs.
    Step,
    /// Half a cosine from the learning rate to `min_learning_rate` over the run.
    Cosine,
    /// Times `lr_factor` when the watched metric has not improved for `plateau_patience` epochs.
    Plateau,
}

/// How much each class counts in the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum ClassWeights {
    /// All the same.
    #[default]
    None,
    /// Clips / (classes x clips of the class), over the training part: each class counts alike.
    Balanced,
}

/// What early stopping watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum EarlyStopMetric {
    /// Mean loss over the training epoch (the BBNN authors' choice).
    TrainLoss,
    /// Mean loss over the validation part.
    #[default]
    ValLoss,
}

impl Default for TrainConfig {
    /// What no network's recipe changes.
    fn default() -> Self {
        Self {
            epochs: 100,
            batch_size: 32,
            accumulation: 1,
            frames: 647,
            optimizer: OptimizerName::Adam,
            momentum: 0.9,
            learning_rate: 1e-3,
            schedule: ScheduleName::Constant,
            warmup_epochs: 0,
            step_epochs: 30,
            lr_factor: 0.5,
            plateau_patience: 3,
            plateau_delta: 1e-4,
            min_learning_rate: 0.0,
            seed: 0,
            precision: Precision::F32,
            clip_norm: 0.0,
            clip_value: 0.0,
            weight_decay: 0.0,
            label_smoothing: 0.0,
            class_weights: ClassWeights::None,
            patience: 0,
            min_delta: 0.0,
            early_stop_metric: EarlyStopMetric::ValLoss,
            bn_recalibration: true,
        }
    }
}

/// The largest seed: a configuration file holds signed numbers.
const MOST_SEED: u64 = i64::MAX as u64;

impl TrainConfig {
    /// The recipe of the network's authors where one is published. That of RNN, LSTM and GRU is ours: Adam at its usual
    /// step size, gradients clipped to norm 1 as their recurrences need.
    pub fn new(model: ModelName) -> Self {
        match model {
            ModelName::Bbnn => Self {
                batch_size: 8,
                learning_rate: 0.01,
                schedule: ScheduleName::Plateau,
                patience: 10,
                min_delta: 0.01,
                early_stop_metric: EarlyStopMetric::TrainLoss,
                ..Self::default()
            },
            ModelName::Indrnn => Self { learning_rate: 2e-4, clip_value: 10.0, weight_decay: 1e-4, ..Self::default() },
            ModelName::Rnn | ModelName::Lstm | ModelName::Gru => Self { clip_norm: 1.0, ..Self::default() },
        }
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let sizes = [
            ("train.epochs", self.epochs, 1 << 24),
            ("train.batch_size", self.batch_size, 1 << 16),
            ("train.accumulation", self.accumulation, 1 << 16),
            ("train.frames", self.frames, 1 << 24),
            ("train.step_epochs", self.step_epochs, 1 << 24),
        ];
        for (name, value, most) in sizes {
            if !(1..=most).contains(&value) {
                return invalid(name, value, format!("use 1 to {most}"));
            }
        }
        if self.seed > MOST_SEED {
            return invalid("train.seed", self.seed, format!("use 0 to {MOST_SEED}"));
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return invalid("train.learning_rate", self.learning_rate, "use a number above 0");
        }
        if !(0.0..=self.learning_rate).contains(&self.min_learning_rate) {
            let remedy = format!("use 0 up to the learning rate ({})", self.learning_rate);
            return invalid("train.min_learning_rate", self.min_learning_rate, remedy);
        }
        if !(self.lr_factor > 0.0 && self.lr_factor < 1.0) {
            return invalid("train.lr_factor", self.lr_factor, "use a share between 0 and 1, both left out; 0.5 is usual");
        }
        for (name, value) in [("train.momentum", self.momentum), ("train.label_smoothing", self.label_smoothing)] {
            if !(0.0..1.0).contains(&value) {
                return invalid(name, value, "use 0 up to, not including, 1");
            }
        }
        for (name, value) in [
            ("train.clip_norm", self.clip_norm),
            ("train.clip_value", self.clip_value),
            ("train.weight_decay", self.weight_decay),
            ("train.min_delta", self.min_delta),
            ("train.plateau_delta", self.plateau_delta),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                return invalid(name, value, "use 0 or more");
            }
        }
        Ok(())
    }
}

//! Settings of training.

use super::error::invalid;
use super::{ConfigError, ModelName};
use serde::{Deserialize, Serialize};

/// The training recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Most passes over the training part.
    pub epochs: usize,
    /// Clips per step.
    pub batch_size: usize,
    /// Frames per crop; shorter clips are padded as audio.
    pub frames: usize,
    /// Adam's step size.
    pub learning_rate: f32,
    /// Seed of initialisation, split, order and crops.
    pub seed: u64,
    /// Number format of the products: `f32`.
    #[serde(default)]
    pub precision: Precision,
    /// Gradients are scaled down to this norm; 0 leaves them.
    #[serde(default)]
    pub clip_norm: f32,
    /// Each gradient element is clamped to plus or minus this; 0 leaves them.
    #[serde(default)]
    pub clip_value: f32,
    /// Decoupled weight decay on weight matrices and kernels (not on biases, norms or recurrent vectors).
    #[serde(default)]
    pub weight_decay: f32,
    /// Stop when `early_stop_metric` has not improved for this many epochs; 0 never stops early.
    #[serde(default)]
    pub patience: usize,
    /// How much the metric must improve to count.
    #[serde(default)]
    pub min_delta: f32,
    /// Which metric early stopping watches.
    #[serde(default)]
    pub early_stop_metric: EarlyStopMetric,
    /// Evaluate with re-estimated batch-norm statistics while a run has made fewer than 1,000 steps.
    #[serde(default = "default_true")]
    pub bn_recalibration: bool,
}

fn default_true() -> bool {
    true
}

/// The number format of matrix products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats throughout.
    #[default]
    F32,
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

impl TrainConfig {
    /// The recipe of the network's authors where one is published. BBNN's halving of the learning rate on a plateau is
    /// not among this version's settings: it is constant.
    pub fn new(model: ModelName) -> Self {
        let shared = Self {
            epochs: 100,
            batch_size: 32,
            frames: 647,
            learning_rate: 2e-4,
            seed: 0,
            precision: Precision::F32,
            clip_norm: 0.0,
            clip_value: 0.0,
            weight_decay: 0.0,
            patience: 0,
            min_delta: 0.0,
            early_stop_metric: EarlyStopMetric::ValLoss,
            bn_recalibration: true,
        };
        match model {
            ModelName::Bbnn => Self {
                batch_size: 8,
                learning_rate: 0.01,
                patience: 10,
                min_delta: 0.01,
                early_stop_metric: EarlyStopMetric::TrainLoss,
                ..shared
            },
            ModelName::Indrnn => Self { clip_value: 10.0, weight_decay: 1e-4, ..shared },
        }
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let sizes = [
            ("train.epochs", self.epochs, 1 << 24),
            ("train.batch_size", self.batch_size, 1 << 16),
            ("train.frames", self.frames, 1 << 24),
        ];
        for (name, value, most) in sizes {
            if !(1..=most).contains(&value) {
                return invalid(name, value, format!("use 1 to {most}"));
            }
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return invalid("train.learning_rate", self.learning_rate, "use a number above 0");
        }
        for (name, value) in [
            ("train.clip_norm", self.clip_norm),
            ("train.clip_value", self.clip_value),
            ("train.weight_decay", self.weight_decay),
            ("train.min_delta", self.min_delta),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                return invalid(name, value, "use 0 or more");
            }
        }
        Ok(())
    }
}

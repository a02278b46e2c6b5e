//! Flags and variables of training.

use super::set;
use crate::config::{ClassWeights, EarlyStopMetric, OptimizerName, Precision, ScheduleName, TrainConfig};
use clap::Args;

/// Settings of training.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Training")]
pub struct TrainingArgs {
    /// Most passes over the training part [default: 100]
    #[arg(long, env = "MELGRAD_EPOCHS", value_name = "N")]
    epochs: Option<usize>,
    /// Clips per batch [default: 8 for bbnn, else 32]
    #[arg(long, env = "MELGRAD_BATCH_SIZE", value_name = "N")]
    batch_size: Option<usize>,
    /// Batches whose gradients are added up for one update [default: 1]
    #[arg(long, env = "MELGRAD_ACCUMULATION", value_name = "N")]
    accumulation: Option<usize>,
    /// Frames per training crop; shorter clips are padded as audio [default: 647, which is 30 s]
    #[arg(long, env = "MELGRAD_FRAMES", value_name = "N")]
    frames: Option<usize>,
    /// adam, adamw or sgd, as PyTorch's [default: adam]
    #[arg(long, env = "MELGRAD_OPTIMIZER", value_name = "NAME", hide_possible_values = true)]
    optimizer: Option<OptimizerName>,
    /// sgd: the momentum [default: 0.9]
    #[arg(long, env = "MELGRAD_MOMENTUM")]
    momentum: Option<f32>,
    /// Step size [default: 0.01 for bbnn, 0.0002 for indrnn, 0.001 for rnn, lstm and gru]
    #[arg(long, env = "MELGRAD_LEARNING_RATE", value_name = "RATE")]
    learning_rate: Option<f32>,
    /// How the learning rate changes: constant, step, cosine or plateau [default: plateau for bbnn, else constant]
    #[arg(long, env = "MELGRAD_SCHEDULE", hide_possible_values = true)]
    schedule: Option<ScheduleName>,
    /// Epochs over which the learning rate first grows linearly [default: 0]
    #[arg(long, env = "MELGRAD_WARMUP_EPOCHS", value_name = "N")]
    warmup_epochs: Option<usize>,
    /// step: epochs between reductions [default: 30]
    #[arg(long, env = "MELGRAD_STEP_EPOCHS", value_name = "N")]
    step_epochs: Option<usize>,
    /// step, plateau: what the learning rate is multiplied with [default: 0.5]
    #[arg(long, env = "MELGRAD_LR_FACTOR", value_name = "SHARE")]
    lr_factor: Option<f32>,
    /// plateau: epochs without improvement of the watched loss [default: 3]
    #[arg(long, env = "MELGRAD_PLATEAU_PATIENCE", value_name = "EPOCHS")]
    plateau_patience: Option<usize>,
    /// plateau: how much the watched loss must fall to count [default: 0.0001]
    #[arg(long, env = "MELGRAD_PLATEAU_DELTA", value_name = "LOSS")]
    plateau_delta: Option<f32>,
    /// No schedule goes below this [default: 0]
    #[arg(long, env = "MELGRAD_MIN_LEARNING_RATE", value_name = "RATE")]
    min_learning_rate: Option<f32>,
    /// What products are made of: f32, or mixed: operands rounded to 16 bits, sums of 32 [default: f32]
    #[arg(long, env = "MELGRAD_PRECISION", hide_possible_values = true)]
    precision: Option<Precision>,
    /// Scale gradients down to this norm; 0 leaves them [default: 1 for rnn, lstm and gru, else 0]
    #[arg(long, env = "MELGRAD_CLIP_NORM", value_name = "NORM")]
    clip_norm: Option<f32>,
    /// Clamp gradient elements to plus or minus this; 0 leaves them [default: 10 for indrnn, else 0]
    #[arg(long, env = "MELGRAD_CLIP_VALUE", value_name = "VALUE")]
    clip_value: Option<f32>,
    /// Weight decay of weight matrices and kernels; decoupled with adamw [default: 0.0001 for indrnn, else 0]
    #[arg(long, env = "MELGRAD_WEIGHT_DECAY", value_name = "RATE")]
    weight_decay: Option<f32>,
    /// Share of the target that is spread over all classes [default: 0]
    #[arg(long, env = "MELGRAD_LABEL_SMOOTHING", value_name = "SHARE")]
    label_smoothing: Option<f32>,
    /// How much each class counts: none (as its clips do) or balanced [default: none]
    #[arg(long, env = "MELGRAD_CLASS_WEIGHTS", value_name = "WEIGHTS", hide_possible_values = true)]
    class_weights: Option<ClassWeights>,
    /// Stop after this many epochs without improvement; 0 never does [default: 10 for bbnn, else 0]
    #[arg(long, env = "MELGRAD_PATIENCE", value_name = "EPOCHS")]
    pub(super) patience: Option<usize>,
    /// How much the watched loss must fall to count [default: 0.01 for bbnn, else 0]
    #[arg(long, env = "MELGRAD_MIN_DELTA", value_name = "LOSS")]
    min_delta: Option<f32>,
    /// The loss that early stopping and plateau watch: train_loss or val_loss [default: train_loss for bbnn, else val_loss]
    #[arg(long, env = "MELGRAD_EARLY_STOP_METRIC", value_name = "LOSS", hide_possible_values = true)]
    early_stop_metric: Option<EarlyStopMetric>,
    /// Evaluate with re-estimated batch-norm statistics in the first 1,000 steps [default: true]
    #[arg(long, env = "MELGRAD_BN_RECALIBRATION", value_name = "BOOL", value_parser = clap::builder::BoolishValueParser::new())]
    bn_recalibration: Option<bool>,
}

impl TrainingArgs {
    pub(super) fn apply(&self, train: &mut TrainConfig) {
        set(&mut train.epochs, &self.epochs);
        set(&mut train.batch_size, &self.batch_size);
        set(&mut train.accumulation, &self.accumulation);
        set(&mut train.frames, &self.frames);
        set(&mut train.optimizer, &self.optimizer);
        set(&mut train.momentum, &self.momentum);
        set(&mut train.learning_rate, &self.learning_rate);
        set(&mut train.schedule, &self.schedule);
        set(&mut train.warmup_epochs, &self.warmup_epochs);
        set(&mut train.step_epochs, &self.step_epochs);
        set(&mut train.lr_factor, &self.lr_factor);
        set(&mut train.plateau_patience, &self.plateau_patience);
        set(&mut train.plateau_delta, &self.plateau_delta);
        set(&mut train.min_learning_rate, &self.min_learning_rate);
        set(&mut train.precision, &self.precision);
        set(&mut train.clip_norm, &self.clip_norm);
        set(&mut train.clip_value, &self.clip_value);
        set(&mut train.weight_decay, &self.weight_decay);
        set(&mut train.label_smoothing, &self.label_smoothing);
        set(&mut train.class_weights, &self.class_weights);
        set(&mut train.patience, &self.patience);
        set(&mut train.min_delta, &self.min_delta);
        set(&mut train.early_stop_metric, &self.early_stop_metric);
        set(&mut train.bn_recalibration, &self.bn_recalibration);
    }
}

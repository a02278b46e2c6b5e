//! Which optimiser, with which numbers.

use crate::config::{OptimizerName, TrainConfig};

/// How a gradient becomes an update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// Kingma & Ba 2015: `torch.optim.Adam`, or `AdamW` where the decay is decoupled (Loshchilov & Hutter 2019).
    Adam {
        /// Decay of the first moment.
        beta1: f32,
        /// Decay of the second moment.
        beta2: f32,
        /// Added to the root of the second moment.
        epsilon: f32,
        /// Whether weight decay acts on the weights alone and not by way of the gradient and its moments.
        decoupled: bool,
    },
    /// `torch.optim.SGD` without dampening or Nesterov's look ahead.
    Sgd {
        /// Share of the last update's direction that is kept.
        momentum: f32,
    },
}

impl Rule {
    /// PyTorch's Adam: 0.9, 0.999, 1e-8.
    pub const ADAM: Self = Self::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decoupled: false };
    /// PyTorch's AdamW: the same numbers, decoupled decay.
    pub const ADAMW: Self = Self::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decoupled: true };
}

/// A rule, and what is done to gradients before it: scaled to the norm, clamped, and then decay is added (not where it
/// is decoupled), as `clip_grad_norm_` and `clip_grad_value_` before PyTorch's `step` do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OptimizerSettings {
    /// How a gradient becomes an update.
    pub rule: Rule,
    /// Weight decay of the parameters that decay.
    pub weight_decay: f32,
    /// Gradients are scaled down to this norm; 0 leaves them.
    pub clip_norm: f32,
    /// Gradient elements are clamped to plus or minus this; 0 leaves them.
    pub clip_value: f32,
}

impl Default for OptimizerSettings {
    /// Adam, no decay, no clipping.
    fn default() -> Self {
        Self { rule: Rule::ADAM, weight_decay: 0.0, clip_norm: 0.0, clip_value: 0.0 }
    }
}

impl OptimizerSettings {
    /// As a recipe has it.
    pub fn new(recipe: &TrainConfig) -> Self {
        let rule = match recipe.optimizer {
            OptimizerName::Adam => Rule::ADAM,
            OptimizerName::Adamw => Rule::ADAMW,
            OptimizerName::Sgd => Rule::Sgd { momentum: recipe.momentum },
        };
        let &TrainConfig { weight_decay, clip_norm, clip_value, .. } = recipe;
        Self { rule, weight_decay, clip_norm, clip_value }
    }
}

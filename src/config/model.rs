//! Settings of the network.

use super::ConfigError;
use super::error::invalid;
use serde::{Deserialize, Serialize};

/// The networks that can be trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum ModelName {
    /// Bottom-up Broadcast Neural Network (Liu et al., arXiv 1901.08928).
    Bbnn,
    /// Independently Recurrent Neural Network (Li et al., arXiv 1803.04831).
    Indrnn,
}

impl std::fmt::Display for ModelName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bbnn => "bbnn",
            Self::Indrnn => "indrnn",
        })
    }
}

/// What a recurrent network hands to its classifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum Readout {
    /// The state after the last frame (the IndRNN paper's).
    #[default]
    Last,
    /// The mean of the states over all frames.
    Mean,
}

/// Where the batch norm of an IndRNN layer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum BatchNormPlace {
    /// Linear, recurrence with ReLU, batch norm: what the authors recommend.
    #[default]
    After,
}

/// The network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Which network.
    pub name: ModelName,
    /// Width of every recurrent layer.
    #[serde(default = "default_hidden")]
    pub hidden: usize,
    /// Number of recurrent layers.
    #[serde(default = "default_layers")]
    pub layers: usize,
    /// The recurrent weights are kept within `gamma^(1/frames)`.
    #[serde(default = "default_gamma")]
    pub gamma: f32,
    /// What the classifier sees of a sequence.
    #[serde(default)]
    pub readout: Readout,
    /// Share of units left out in training, the same for all steps of a sequence: only 0 for now.
    #[serde(default)]
    pub dropout: f32,
    /// Where a recurrent layer's batch norm stands.
    #[serde(default)]
    pub batch_norm: BatchNormPlace,
    /// Standardise each mel band by the training part's mean and deviation. Absent: recurrent networks do, BBNN does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standardise: Option<bool>,
}

fn default_hidden() -> usize {
    128
}
fn default_layers() -> usize {
    5
}
fn default_gamma() -> f32 {
    2.0
}

impl ModelConfig {
    /// The network with its default sizes.
    pub fn new(name: ModelName) -> Self {
        Self {
            name,
            hidden: default_hidden(),
            layers: default_layers(),
            gamma: default_gamma(),
            readout: Readout::Last,
            dropout: 0.0,
            batch_norm: BatchNormPlace::After,
            standardise: None,
        }
    }

    /// Whether the input is standardised: raw decibels saturate recurrent units, BBNN was published on them.
    pub fn standardises_input(&self) -> bool {
        self.standardise.unwrap_or(self.name != ModelName::Bbnn)
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if !(1..=4096).contains(&self.hidden) {
            return invalid("model.hidden", self.hidden, "use 1 to 4096 units; 128 is usual");
        }
        if !(1..=64).contains(&self.layers) {
            return invalid("model.layers", self.layers, "use 1 to 64 layers; 5 is usual");
        }
        if self.dropout != 0.0 {
            return invalid("model.dropout", self.dropout, "use 0: this version has no dropout");
        }
        if !(self.gamma > 0.0 && self.gamma.is_finite()) {
            return invalid("model.gamma", self.gamma, "use a number above 0; 2 is the paper's");
        }
        Ok(())
    }
}

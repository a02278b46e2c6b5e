//! Settings of the network.

use super::ConfigError;
use super::error::invalid;
use serde::{Deserialize, Serialize};

/// The networks that can be trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum ModelName {
    /// Bottom-up Broadcast Neural Network (Liu et al., arXiv 1901.08928).
    Bbnn,
    /// Independently Recurrent Neural Network (Li et al., arXiv 1803.04831).
    Indrnn,
    /// Elman's recurrent network, as `torch.nn.RNN`.
    Rnn,
    /// Long short-term memory, as `torch.nn.LSTM`.
    Lstm,
    /// Gated recurrent units, as `torch.nn.GRU`.
    Gru,
}

impl ModelName {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Bbnn, Self::Indrnn, Self::Rnn, Self::Lstm, Self::Gru];

    /// Whether it walks through time step by step.
    pub fn is_recurrent(self) -> bool {
        self != Self::Bbnn
    }
}

impl std::fmt::Display for ModelName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bbnn => "bbnn",
            Self::Indrnn => "indrnn",
            Self::Rnn => "rnn",
            Self::Lstm => "lstm",
            Self::Gru => "gru",
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

/// Where the batch norm of an IndRNN layer stands; its statistics are over batch x all steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum BatchNormPlace {
    /// Linear, recurrence with ReLU, batch norm: what the authors recommend.
    #[default]
    After,
    /// Linear, batch norm, recurrence.
    Before,
    /// Batch norm, linear, recurrence, on the features too: what the genre study describes.
    Input,
    /// No batch norm, as in the paper's adding problem.
    None,
}

/// How IndRNN layers are stacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum Stack {
    /// One after another.
    #[default]
    Plain,
    /// Pre-activation blocks of two recurrences around which the input is added (arXiv 1910.06251).
    Residual,
    /// Densely connected blocks of pairs of recurrences with transitions between them (arXiv 1910.06251).
    Dense,
}

/// How the recurrent weights of IndRNN layers begin; T are the training frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum RecurrentInit {
    /// Uniform from 0 to `gamma^(1/T)`; the last layer, which must remember the whole sequence, as `long`.
    #[default]
    Paper,
    /// Every layer uniform from 0 to `gamma^(1/T)`.
    Uniform,
    /// Every layer uniform from `gamma^(-1/T)` to `gamma^(1/T)`.
    Long,
}

/// The non-linearity of a plain recurrent network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum Nonlinearity {
    /// Hyperbolic tangent.
    #[default]
    Tanh,
    /// Rectified linear.
    Relu,
}

/// The network. A setting that the network does not have must be left at its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// Which network.
    pub name: ModelName,
    /// Recurrent: width of every layer.
    pub hidden: usize,
    /// Recurrent: number of layers; with a residual stack an even number of recurrences.
    pub layers: usize,
    /// IndRNN: the recurrent weights are kept within `gamma^(1/frames)`.
    pub gamma: f32,
    /// Recurrent: what the classifier sees of a sequence.
    pub readout: Readout,
    /// Recurrent: share of each layer's outputs left out in training, the same for all steps of a sequence.
    pub dropout: f32,
    /// IndRNN, plain stack: where a layer's batch norm stands.
    pub batch_norm: BatchNormPlace,
    /// IndRNN: how layers are stacked.
    pub stack: Stack,
    /// IndRNN: how recurrent weights begin.
    pub recurrent_init: RecurrentInit,
    /// IndRNN, dense stack: features that each layer adds.
    pub growth: usize,
    /// IndRNN, dense stack: layers of each block.
    pub dense_blocks: Vec<usize>,
    /// RNN: the non-linearity.
    pub nonlinearity: Nonlinearity,
    /// BBNN: filters of every convolution.
    pub width: usize,
    /// BBNN: inception blocks.
    pub blocks: usize,
    /// BBNN: sides of the two square kernels of an inception block.
    pub kernels: [usize; 2],
    /// BBNN: frames and mel bands that the max pooling after the stem joins.
    pub pool: [usize; 2],
    /// BBNN: frames and mel bands that the average pooling of the transition joins.
    pub transition_pool: [usize; 2],
    /// Standardise each mel band by the training part's mean and deviation. Absent: recurrent networks do, BBNN does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standardise: Option<bool>,
}

impl Default for ModelConfig {
    /// The sizes of every network; the network that is named is of no importance.
    fn default() -> Self {
        Self {
            name: ModelName::Bbnn,
            hidden: 128,
            layers: 5,
            gamma: 2.0,
            readout: Readout::Last,
            dropout: 0.0,
            batch_norm: BatchNormPlace::After,
            stack: Stack::Plain,
            recurrent_init: RecurrentInit::Paper,
            growth: 32,
            dense_blocks: vec![8, 6, 4],
            nonlinearity: Nonlinearity::Tanh,
            width: 32,
            blocks: 3,
            kernels: [3, 5],
            pool: [4, 1],
            transition_pool: [2, 2],
            standardise: None,
        }
    }
}

impl ModelConfig {
    /// The network with its default sizes.
    pub fn new(name: ModelName) -> Self {
        Self { name, ..Self::default() }
    }

    /// Whether the input is standardised: raw decibels saturate recurrent units, BBNN was published on them.
    pub fn standardises_input(&self) -> bool {
        self.standardise.unwrap_or(self.name.is_recurrent())
    }

    /// `gamma^(1/frames)`: how large an IndRNN's recurrent weights may become.
    pub fn recurrent_bound(&self, frames: usize) -> f32 {
        f64::from(self.gamma).powf(1.0 / frames as f64) as f32
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        self.validate_belongs()?;
        if !(1..=4096).contains(&self.hidden) {
            return invalid("model.hidden", self.hidden, "use 1 to 4096 units; 128 is usual");
        }
        if !(1..=64).contains(&self.layers) {
            return invalid("model.layers", self.layers, "use 1 to 64 layers; 5 is usual");
        }
        if self.stack == Stack::Residual && !self.layers.is_multiple_of(2) {
            let even = self.layers + 1;
            return invalid("model.layers", self.layers, format!("a residual block holds two: use an even number, say {even}"));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return invalid("model.dropout", self.dropout, "use a share from 0 up to, not including, 1");
        }
        if !(self.gamma > 0.0 && self.gamma.is_finite()) {
            return invalid("model.gamma", self.gamma, "use a number above 0; 2 is the paper's");
        }
        if self.stack != Stack::Plain && self.batch_norm != BatchNormPlace::After {
            let remedy = "residual and dense stacks have their batch norms before each recurrence: leave it out";
            return invalid("model.batch_norm", format!("{:?}", self.batch_norm).to_lowercase(), remedy);
        }
        if !(1..=1024).contains(&self.growth) {
            return invalid("model.growth", self.growth, "use 1 to 1024 features; 32 is usual");
        }
        if self.dense_blocks.is_empty() || self.dense_blocks.len() > 8 || self.dense_blocks.iter().any(|n| !(1..=64).contains(n))
        {
            return invalid(
                "model.dense_blocks",
                format!("{:?}", self.dense_blocks),
                "use 1 to 8 blocks of 1 to 64 layers, say [8, 6, 4]",
            );
        }
        if !(1..=1024).contains(&self.width) {
            return invalid("model.width", self.width, "use 1 to 1024 filters; 32 is the published width");
        }
        if !(1..=16).contains(&self.blocks) {
            return invalid("model.blocks", self.blocks, "use 1 to 16 inception blocks; 3 is the published number");
        }
        let [a, b] = self.kernels;
        if a == b || self.kernels.iter().any(|k| k % 2 == 0 || !(3..=15).contains(k)) {
            let remedy = "use two different odd numbers from 3 to 15, so that \"same\" padding has a middle; [3, 5] is published";
            return invalid("model.kernels", format!("{:?}", self.kernels), remedy);
        }
        for (name, pool) in [("model.pool", self.pool), ("model.transition_pool", self.transition_pool)] {
            if pool.iter().any(|p| !(1..=64).contains(p)) {
                return invalid(name, format!("{pool:?}"), "use frames and mel bands to join, 1 to 64 each");
            }
        }
        Ok(())
    }

    /// Names of the settings that the network has, of those that not every one has, and of those that are not as usual.
    fn belonging(&self) -> [(&'static str, bool, bool); 16] {
        let (own, usual) = (self, Self::default());
        let dense = self.name == ModelName::Indrnn && self.stack == Stack::Dense;
        let recurrent = self.name.is_recurrent();
        let indrnn = self.name == ModelName::Indrnn;
        let bbnn = self.name == ModelName::Bbnn;
        [
            ("hidden", recurrent && !dense, own.hidden != usual.hidden),
            ("layers", recurrent && !dense, own.layers != usual.layers),
            ("gamma", indrnn, own.gamma != usual.gamma),
            ("readout", recurrent, own.readout != usual.readout),
            ("dropout", recurrent, own.dropout != usual.dropout),
            ("batch_norm", indrnn, own.batch_norm != usual.batch_norm),
            ("stack", indrnn, own.stack != usual.stack),
            ("recurrent_init", indrnn, own.recurrent_init != usual.recurrent_init),
            ("growth", dense, own.growth != usual.growth),
            ("dense_blocks", dense, own.dense_blocks != usual.dense_blocks),
            ("nonlinearity", self.name == ModelName::Rnn, own.nonlinearity != usual.nonlinearity),
            ("width", bbnn, own.width != usual.width),
            ("blocks", bbnn, own.blocks != usual.blocks),
            ("kernels", bbnn, own.kernels != usual.kernels),
            ("pool", bbnn, own.pool != usual.pool),
            ("transition_pool", bbnn, own.transition_pool != usual.transition_pool),
        ]
    }

    /// A setting that the network does not have is a misunderstanding, and is not passed over in silence.
    pub fn validate_belongs(&self) -> Result<(), ConfigError> {
        match self.belonging().into_iter().find(|(_, has, changed)| *changed && !has) {
            Some((key, _, _)) => {
                let dense = self.name == ModelName::Indrnn && self.stack == Stack::Dense;
                let network = if dense { "a dense indrnn".to_owned() } else { self.name.to_string() };
                let table = self.table();
                let value = table.get(key).map_or("(changed)".to_owned(), ToString::to_string);
                invalid(setting(key), value, format!("{network} has no such setting: leave it out"))
            }
            None => Ok(()),
        }
    }

    /// Puts settings that the network does not have back to what is usual: for settings given to several networks at once.
    pub fn keep_own(&mut self) {
        let (mut own, usual) = (self.table(), Self::default().table());
        for (key, _, _) in self.belonging().into_iter().filter(|(_, has, _)| !has) {
            if let Some(value) = usual.get(key) {
                own.insert(key.into(), value.clone());
            }
        }
        *self = toml::Value::Table(own).try_into().expect("settings that were settings before");
    }

    fn table(&self) -> toml::Table {
        toml::Table::try_from(self).expect("a network's settings are a table")
    }
}

/// The setting as errors name it.
fn setting(key: &'static str) -> &'static str {
    const NAMES: [&str; 16] = [
        "model.hidden",
        "model.layers",
        "model.gamma",
        "model.readout",
        "model.dropout",
        "model.batch_norm",
        "model.stack",
        "model.recurrent_init",
        "model.growth",
        "model.dense_blocks",
        "model.nonlinearity",
        "model.width",
        "model.blocks",
        "model.kernels",
        "model.pool",
        "model.transition_pool",
    ];
    NAMES.into_iter().find(|name| name.ends_with(&format!(".{key}"))).unwrap_or(key)
}

//! Every setting of a run: names, defaults, validation, and the TOML that a run directory keeps.
//!
//! A [`Config`] is complete: a run's `config.toml` beside its `model.safetensors` is all that evaluation and
//! prediction need. Defaults are those of the published recipes (see each field's source).

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The version of `config.toml` and of the run directory around it.
pub const SCHEMA: u32 = 1;

/// What is wrong with a setting, and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value that no run can use.
    #[error("{name} = {value}: {remedy}")]
    Invalid {
        /// The setting, as it is called in `config.toml`.
        name: &'static str,
        /// The value as it was given.
        value: String,
        /// What would be accepted.
        remedy: String,
    },
    /// A file that does not parse as a configuration.
    #[error("{path}: {source}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What the TOML reader said, with line and column.
        source: Box<toml::de::Error>,
    },
    /// A file that cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

fn invalid<T>(name: &'static str, value: impl ToString, remedy: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Invalid { name, value: value.to_string(), remedy: remedy.into() })
}

/// How a mel filter bank is scaled (librosa's `norm`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum MelNorm {
    /// Each triangle has unit area: its peak is `2 / (upper - lower)` in hertz.
    #[default]
    Slaney,
    /// Each triangle peaks at 1.
    None,
}

/// How audio is extended at its ends when frames are centred (numpy's `pad` modes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum PadMode {
    /// Zeros: librosa's default since 0.10.
    #[default]
    Constant,
    /// Mirrored without repeating the edge sample: librosa's default before 0.10, and the BBNN authors' features.
    Reflect,
}

/// The log-mel spectrogram: librosa's names, and the BBNN authors' values as defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeatureConfig {
    /// Samples per second that all audio is resampled to.
    pub sample_rate: u32,
    /// FFT length in samples.
    pub n_fft: usize,
    /// Samples between frames.
    pub hop_length: usize,
    /// Mel bands.
    pub n_mels: usize,
    /// Lowest frequency in hertz.
    pub fmin: f32,
    /// Highest frequency in hertz; half the sample rate if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fmax: Option<f32>,
    /// The HTK mel scale instead of Slaney's.
    pub htk: bool,
    /// Scaling of the filters.
    pub norm: MelNorm,
    /// Frame `t` is centred on sample `t * hop_length`.
    pub center: bool,
    /// What lies beyond the ends of the audio when frames are centred.
    pub pad_mode: PadMode,
    /// Decibels below the loudest bin of the clip at which values are cut; 0 keeps all.
    pub top_db: f32,
}

impl Default for FeatureConfig {
    fn default() -> Self {
        Self {
            sample_rate: 22_050,
            n_fft: 2048,
            hop_length: 1024,
            n_mels: 128,
            fmin: 0.0,
            fmax: None,
            htk: false,
            norm: MelNorm::Slaney,
            center: true,
            pad_mode: PadMode::Constant,
            top_db: 80.0,
        }
    }
}

impl FeatureConfig {
    /// `fmax` in hertz, with its default filled in.
    pub fn fmax(&self) -> f32 {
        self.fmax.unwrap_or(self.sample_rate as f32 / 2.0)
    }

    /// Frames that `samples` samples give, 0 if there are too few for one.
    pub fn frames(&self, samples: usize) -> usize {
        if self.center {
            if samples == 0 { 0 } else { 1 + samples / self.hop_length }
        } else if samples < self.n_fft {
            0
        } else {
            1 + (samples - self.n_fft) / self.hop_length
        }
    }

    /// The fewest samples that give `frames` frames.
    pub fn samples(&self, frames: usize) -> usize {
        match (frames, self.center) {
            (0, _) => 0,
            (n, true) => ((n - 1) * self.hop_length).max(1),
            (n, false) => self.n_fft + (n - 1) * self.hop_length,
        }
    }

    /// Checks every value.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !(1_000..=384_000).contains(&self.sample_rate) {
            return invalid("features.sample_rate", self.sample_rate, "use 1000 to 384000 Hz; 22050 is usual");
        }
        if !(2..=1 << 16).contains(&self.n_fft) {
            return invalid("features.n_fft", self.n_fft, "use 2 to 65536 samples; 2048 is usual");
        }
        if self.hop_length == 0 {
            return invalid("features.hop_length", 0, "use at least 1 sample; 1024 is usual");
        }
        if !(1..=1024).contains(&self.n_mels) {
            return invalid("features.n_mels", self.n_mels, "use 1 to 1024 bands; 128 is usual");
        }
        if !(self.fmin >= 0.0 && self.fmin < self.fmax()) {
            return invalid("features.fmin", self.fmin, format!("use 0 up to, not including, fmax ({} Hz)", self.fmax()));
        }
        if self.fmax() > self.sample_rate as f32 / 2.0 {
            return invalid(
                "features.fmax",
                self.fmax(),
                format!("use at most half the sample rate ({} Hz)", self.sample_rate / 2),
            );
        }
        if !(self.top_db >= 0.0 && self.top_db.is_finite()) {
            return invalid("features.top_db", self.top_db, "use decibels above 0, or 0 to keep all; 80 is usual");
        }
        Ok(())
    }
}

/// Where the samples come from and how they are parted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// The folder or manifest, as it was given.
    pub path: PathBuf,
    /// Class names, in the order of the network's outputs.
    pub classes: Vec<String>,
    /// Share of the clips of each class that the validation part aims at, where no split is given.
    pub valid_fraction: f64,
    /// Share of the clips of each class that the test part aims at, where no split is given.
    pub test_fraction: f64,
    /// Clips shorter than this many seconds are reported as unusable.
    pub min_seconds: f64,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self { path: PathBuf::new(), classes: Vec::new(), valid_fraction: 0.15, test_fraction: 0.15, min_seconds: 0.5 }
    }
}

impl DataConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        for (name, value) in [("data.valid_fraction", self.valid_fraction), ("data.test_fraction", self.test_fraction)] {
            if !(0.0..1.0).contains(&value) {
                return invalid(name, value, "use a share from 0 up to, not including, 1");
            }
        }
        if self.valid_fraction + self.test_fraction >= 1.0 {
            return invalid(
                "data.test_fraction",
                self.test_fraction,
                "leave something to train on: the fractions must sum to less than 1",
            );
        }
        if !(self.min_seconds >= 0.0 && self.min_seconds.is_finite()) {
            return invalid("data.min_seconds", self.min_seconds, "use seconds, 0 or more");
        }
        Ok(())
    }
}

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
            standardise: None,
        }
    }

    /// Whether the input is standardised: raw decibels saturate recurrent units, BBNN was published on them.
    pub fn standardises_input(&self) -> bool {
        self.standardise.unwrap_or(self.name != ModelName::Bbnn)
    }

    fn validate(&self) -> Result<(), ConfigError> {
        if !(1..=4096).contains(&self.hidden) {
            return invalid("model.hidden", self.hidden, "use 1 to 4096 units; 128 is usual");
        }
        if !(1..=64).contains(&self.layers) {
            return invalid("model.layers", self.layers, "use 1 to 64 layers; 5 is usual");
        }
        if !(self.gamma > 0.0 && self.gamma.is_finite()) {
            return invalid("model.gamma", self.gamma, "use a number above 0; 2 is the paper's");
        }
        Ok(())
    }
}

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
    /// The recipe of the network's authors where one is published.
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

    fn validate(&self) -> Result<(), ConfigError> {
        for (name, value) in [("train.epochs", self.epochs), ("train.batch_size", self.batch_size), ("train.frames", self.frames)]
        {
            if value == 0 {
                return invalid(name, value, "use at least 1");
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

/// Everything that decides a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The data.
    #[serde(default)]
    pub data: DataConfig,
    /// The features.
    #[serde(default)]
    pub features: FeatureConfig,
    /// The network.
    pub model: ModelConfig,
    /// The recipe.
    pub train: TrainConfig,
}

impl Config {
    /// The defaults of a network.
    pub fn new(model: ModelName) -> Self {
        Self {
            schema: SCHEMA,
            data: DataConfig::default(),
            features: FeatureConfig::default(),
            model: ModelConfig::new(model),
            train: TrainConfig::new(model),
        }
    }

    /// Checks every value; the first that no run can use is the error.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.schema != SCHEMA {
            return invalid("schema", self.schema, format!("this version reads schema {SCHEMA}"));
        }
        self.data.validate()?;
        self.features.validate()?;
        self.model.validate()?;
        self.train.validate()
    }

    /// Reads and checks a `config.toml`.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
        let config: Self =
            toml::from_str(&text).map_err(|source| ConfigError::Parse { path: path.into(), source: Box::new(source) })?;
        config.validate()?;
        Ok(config)
    }

    /// The text of `config.toml`.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a configuration is plain tables of numbers and strings")
    }
}

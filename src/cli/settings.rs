//! From flags, variables and a file to one [`Config`].

use super::Global;
use super::exit::UsageError;
use crate::config::{Config, ConfigError, FeatureConfig, MelNorm, ModelName, PadMode, Readout, SCHEMA};
use clap::Args;
use std::path::Path;

/// Settings of the log-mel features (librosa's names).
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Features")]
pub struct FeatureArgs {
    /// Hertz that audio is resampled to [default: 22050]
    #[arg(long, env = "MELGRAD_SAMPLE_RATE", value_name = "HZ")]
    sample_rate: Option<u32>,
    /// FFT length in samples [default: 2048]
    #[arg(long, env = "MELGRAD_N_FFT", value_name = "N")]
    n_fft: Option<usize>,
    /// Samples between frames [default: 1024]
    #[arg(long, env = "MELGRAD_HOP_LENGTH", value_name = "N")]
    hop_length: Option<usize>,
    /// Mel bands [default: 128]
    #[arg(long, env = "MELGRAD_N_MELS", value_name = "N")]
    n_mels: Option<usize>,
    /// Lowest frequency [default: 0]
    #[arg(long, env = "MELGRAD_FMIN", value_name = "HZ")]
    fmin: Option<f32>,
    /// Highest frequency [default: half the sample rate]
    #[arg(long, env = "MELGRAD_FMAX", value_name = "HZ")]
    fmax: Option<f32>,
    /// The HTK mel scale instead of Slaney's
    #[arg(long, env = "MELGRAD_HTK", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = clap::builder::BoolishValueParser::new())]
    htk: Option<bool>,
    /// Scaling of the mel filters [default: slaney]
    #[arg(long, env = "MELGRAD_NORM")]
    norm: Option<MelNorm>,
    /// Centre frames on their samples [default: true]
    #[arg(long, env = "MELGRAD_CENTER", value_name = "BOOL", value_parser = clap::builder::BoolishValueParser::new())]
    center: Option<bool>,
    /// What lies beyond the ends of centred audio [default: constant]
    #[arg(long, env = "MELGRAD_PAD_MODE")]
    pad_mode: Option<PadMode>,
    /// Decibels kept below the loudest bin; 0 keeps all [default: 80]
    #[arg(long, env = "MELGRAD_TOP_DB", value_name = "DB")]
    top_db: Option<f32>,
}

fn set<T: Clone>(target: &mut T, value: &Option<T>) {
    if let Some(value) = value {
        target.clone_from(value);
    }
}

impl FeatureArgs {
    fn apply(&self, features: &mut FeatureConfig) {
        set(&mut features.sample_rate, &self.sample_rate);
        set(&mut features.n_fft, &self.n_fft);
        set(&mut features.hop_length, &self.hop_length);
        set(&mut features.n_mels, &self.n_mels);
        set(&mut features.fmin, &self.fmin);
        features.fmax = self.fmax.or(features.fmax);
        set(&mut features.htk, &self.htk);
        set(&mut features.norm, &self.norm);
        set(&mut features.center, &self.center);
        set(&mut features.pad_mode, &self.pad_mode);
        set(&mut features.top_db, &self.top_db);
    }

    /// The features that flags, variables and the configuration file (if any) ask for.
    pub fn resolve(&self, global: &Global) -> anyhow::Result<FeatureConfig> {
        let config = self.resolve_all(global)?;
        config.features.validate()?;
        Ok(config.features)
    }

    /// The same, with everything else that the file says; the network does not matter.
    pub fn resolve_all(&self, global: &Global) -> anyhow::Result<Config> {
        let mut config = match &global.config {
            Some(path) => with_file(path, None, Some(ModelName::Bbnn))?,
            None => Config::new(ModelName::Bbnn),
        };
        self.apply(&mut config.features);
        Ok(config)
    }
}

/// Settings of a network and its training.
#[derive(Debug, Clone, Default, Args)]
pub struct RecipeArgs {
    /// The network
    #[arg(long, env = "MELGRAD_MODEL")]
    pub model: Option<ModelName>,
    /// Most passes over the training part [default: 100]
    #[arg(long, env = "MELGRAD_EPOCHS", value_name = "N")]
    pub epochs: Option<usize>,
    /// Clips per step [default: 8 for bbnn, 32 for indrnn]
    #[arg(long, env = "MELGRAD_BATCH_SIZE", value_name = "N")]
    pub batch_size: Option<usize>,
    /// Frames per training crop; shorter clips are padded as audio [default: 647, which is 30 s]
    #[arg(long, env = "MELGRAD_FRAMES", value_name = "N")]
    pub frames: Option<usize>,
    /// Adam's step size [default: 0.01 for bbnn, 0.0002 for indrnn]
    #[arg(long, env = "MELGRAD_LEARNING_RATE", value_name = "RATE")]
    pub learning_rate: Option<f32>,
    /// Scale gradients down to this norm; 0 leaves them [default: 0]
    #[arg(long, env = "MELGRAD_CLIP_NORM", value_name = "NORM")]
    clip_norm: Option<f32>,
    /// Clamp gradient elements to plus or minus this; 0 leaves them [default: 10 for indrnn, else 0]
    #[arg(long, env = "MELGRAD_CLIP_VALUE", value_name = "VALUE")]
    clip_value: Option<f32>,
    /// Decoupled weight decay of weight matrices and kernels [default: 0.0001 for indrnn, else 0]
    #[arg(long, env = "MELGRAD_WEIGHT_DECAY", value_name = "RATE")]
    weight_decay: Option<f32>,
    /// Stop after this many epochs without improvement; 0 never does [default: 10 for bbnn, 0 for indrnn]
    #[arg(long, env = "MELGRAD_PATIENCE", value_name = "EPOCHS")]
    pub patience: Option<usize>,
    /// How much the watched loss must fall to count [default: 0.01 for bbnn, 0 for indrnn]
    #[arg(long, env = "MELGRAD_MIN_DELTA", value_name = "LOSS")]
    min_delta: Option<f32>,
    /// Evaluate with re-estimated batch-norm statistics in the first 1,000 steps [default: true]
    #[arg(long, env = "MELGRAD_BN_RECALIBRATION", value_name = "BOOL", value_parser = clap::builder::BoolishValueParser::new())]
    bn_recalibration: Option<bool>,
    /// Units of each recurrent layer [default: 128]
    #[arg(long, env = "MELGRAD_HIDDEN", value_name = "N")]
    hidden: Option<usize>,
    /// Recurrent layers [default: 5]
    #[arg(long, env = "MELGRAD_LAYERS", value_name = "N")]
    layers: Option<usize>,
    /// Recurrent weights stay within gamma^(1/frames) [default: 2]
    #[arg(long, env = "MELGRAD_GAMMA")]
    gamma: Option<f32>,
    /// What a recurrent network's classifier sees [default: last]
    #[arg(long, env = "MELGRAD_READOUT")]
    readout: Option<Readout>,
    /// Standardise each mel band [default: true but for bbnn]
    #[arg(long, env = "MELGRAD_STANDARDISE", value_name = "BOOL", value_parser = clap::builder::BoolishValueParser::new())]
    standardise: Option<bool>,
    /// Share of the clips to validate on, where the data gives no split [default: 0.15]
    #[arg(long, env = "MELGRAD_VALID_FRACTION", value_name = "SHARE")]
    valid_fraction: Option<f64>,
    /// Share of the clips to test on, where the data gives no split [default: 0.15]
    #[arg(long, env = "MELGRAD_TEST_FRACTION", value_name = "SHARE")]
    test_fraction: Option<f64>,
    /// Clips shorter than this are unusable [default: 0.5]
    #[arg(long, env = "MELGRAD_MIN_SECONDS", value_name = "SECONDS")]
    min_seconds: Option<f64>,
}

impl RecipeArgs {
    /// The complete, checked configuration.
    pub fn resolve(&self, global: &Global, features: &FeatureArgs) -> anyhow::Result<Config> {
        let mut config = match (&global.config, self.model) {
            (Some(path), model) => with_file(path, model, None)?,
            (None, Some(model)) => Config::new(model),
            (None, None) => return Err(UsageError("which network? Give --model bbnn or --model indrnn".into()).into()),
        };
        features.apply(&mut config.features);
        let (train, model, data) = (&mut config.train, &mut config.model, &mut config.data);
        set(&mut train.epochs, &self.epochs);
        set(&mut train.batch_size, &self.batch_size);
        set(&mut train.frames, &self.frames);
        set(&mut train.learning_rate, &self.learning_rate);
        set(&mut train.seed, &global.seed);
        set(&mut train.clip_norm, &self.clip_norm);
        set(&mut train.clip_value, &self.clip_value);
        set(&mut train.weight_decay, &self.weight_decay);
        set(&mut train.patience, &self.patience);
        set(&mut train.min_delta, &self.min_delta);
        set(&mut train.bn_recalibration, &self.bn_recalibration);
        set(&mut model.hidden, &self.hidden);
        set(&mut model.layers, &self.layers);
        set(&mut model.gamma, &self.gamma);
        set(&mut model.readout, &self.readout);
        model.standardise = self.standardise.or(model.standardise);
        set(&mut data.valid_fraction, &self.valid_fraction);
        set(&mut data.test_fraction, &self.test_fraction);
        set(&mut data.min_seconds, &self.min_seconds);
        config.validate()?;
        Ok(config)
    }
}

/// The defaults of `model` (or of the network that the file names, or of `otherwise`) with what the file at `path` says over them. The
/// file may leave out whatever it likes.
fn with_file(path: &Path, model: Option<ModelName>, otherwise: Option<ModelName>) -> anyhow::Result<Config> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
    let parse_error = |source: toml::de::Error| ConfigError::Parse { path: path.into(), source: Box::new(source) };
    let mut file: toml::Table = toml::from_str(&text).map_err(parse_error)?;
    let named = file.get("model").and_then(|m| m.get("name")).cloned();
    let model = match (model, named, otherwise) {
        (Some(model), _, _) | (None, None, Some(model)) => model,
        (None, Some(name), _) => name.try_into().map_err(parse_error)?,
        (None, None, None) => {
            return Err(UsageError(format!("{}: which network? Give --model, or name = .. under [model]", path.display())).into());
        }
    };
    if let Some(toml::Value::Table(table)) = file.get_mut("model") {
        table.insert("name".into(), model.to_string().into());
    }
    file.entry("schema").or_insert_with(|| i64::from(SCHEMA).into());
    let mut merged = toml::Table::try_from(Config::new(model)).expect("a configuration is a table");
    merge(&mut merged, file);
    toml::Value::Table(merged).try_into().map_err(|e| parse_error(e).into())
}

fn merge(base: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(base)), toml::Value::Table(over)) => merge(base, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

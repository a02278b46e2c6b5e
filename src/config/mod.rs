//! Every setting of a run: names, defaults, validation, and the TOML that a run directory keeps.
//!
//! A [`Config`] is complete: a run's `config.toml` beside its `model.safetensors` is all that evaluation and
//! prediction need. Defaults are those of the published recipes (see each field's source).

mod augment;
mod error;
mod features;
mod model;
mod source;
mod train;

pub use crate::gpu::Precision;
pub use augment::AugmentConfig;
pub use error::ConfigError;
pub use features::{FeatureConfig, MelNorm, PadMode};
pub use model::{BatchNormPlace, ModelConfig, ModelName, Nonlinearity, Readout, RecurrentInit, Stack};
pub use source::NameSource;
pub use train::{ClassWeights, EarlyStopMetric, OptimizerName, ScheduleName, TrainConfig};

use error::invalid;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The version of `config.toml` and of the run directory around it.
pub const SCHEMA: u32 = 1;

/// The path that stands for the music that the program brings along.
pub const BUILT_IN: &str = "(built in)";

/// Where the samples come from and how they are parted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// The folder or manifest, as it was given.
    pub path: PathBuf,
    /// Class names, in the order of the network's outputs.
    pub classes: Vec<String>,
    /// Where the labels are taken from.
    pub label: NameSource,
    /// Where the groups are taken from; `given` is the manifest's, else GTZAN's artists, else each file its own.
    pub group: NameSource,
    /// Share of the clips of each class that the validation part aims at, where no split is given.
    pub valid_fraction: f64,
    /// Share of the clips of each class that the test part aims at, where no split is given.
    pub test_fraction: f64,
    /// Clips shorter than this many seconds are reported as unusable.
    pub min_seconds: f64,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            classes: Vec::new(),
            label: NameSource::Given,
            group: NameSource::Given,
            valid_fraction: 0.15,
            test_fraction: 0.15,
            min_seconds: 0.5,
        }
    }
}

impl DataConfig {
    /// What the data are called: the name of their folder or manifest.
    pub fn name(&self) -> String {
        if self.path == Path::new(BUILT_IN) {
            return "the built-in set".into();
        }
        self.path.file_name().map_or("unnamed data".into(), |name| name.to_string_lossy().into_owned())
    }

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

/// Everything that decides a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// [`SCHEMA`].
    #[serde(default = "schema")]
    pub schema: u32,
    /// The data.
    #[serde(default)]
    pub data: DataConfig,
    /// The features.
    #[serde(default)]
    pub features: FeatureConfig,
    /// The network.
    #[serde(default)]
    pub model: ModelConfig,
    /// The recipe.
    #[serde(default)]
    pub train: TrainConfig,
    /// What happens to training crops.
    #[serde(default)]
    pub augment: AugmentConfig,
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
            augment: AugmentConfig::default(),
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
        self.train.validate()?;
        self.augment.validate()
    }

    /// Reads and checks a `config.toml`. What it leaves out is as the network's defaults have it.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
        Self::from_text(&text, path)
    }

    /// The same of a text that came from `path`.
    pub fn from_text(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let parse_error = |source: toml::de::Error| ConfigError::Parse { path: path.into(), source: Box::new(source) };
        let (named, table) = Self::parse(text).map_err(parse_error)?;
        let Some(model) = named else {
            return invalid("model.name", "(missing)", format!("{}: name the network under [model]", path.display()));
        };
        let config = Self::over_defaults(model, table).map_err(parse_error)?;
        config.validate()?;
        Ok(config)
    }

    /// A file's text as a table, and the network that it names, if it does. Names and types are checked here, where errors
    /// know their line.
    pub fn parse(text: &str) -> Result<(Option<ModelName>, toml::Table), toml::de::Error> {
        let config: Self = toml::from_str(text)?;
        let table: toml::Table = toml::from_str(text)?;
        let names = table.get("model").is_some_and(|model| model.get("name").is_some());
        Ok((names.then_some(config.model.name), table))
    }

    /// The defaults of `model` with what a parsed file says over them, not yet validated.
    pub fn over_defaults(model: ModelName, mut file: toml::Table) -> Result<Self, toml::de::Error> {
        if let Some(toml::Value::Table(table)) = file.get_mut("model") {
            table.insert("name".into(), model.to_string().into());
        }
        let mut merged = toml::Table::try_from(Self::new(model)).expect("a configuration is a table");
        merge(&mut merged, file);
        toml::Value::Table(merged).try_into()
    }

    /// This with what `table` says over it, not yet validated.
    pub fn with(&self, table: toml::Table) -> Result<Self, toml::de::Error> {
        let mut merged = toml::Table::try_from(self).expect("a configuration is a table");
        merge(&mut merged, table);
        toml::Value::Table(merged).try_into()
    }

    /// The text of `config.toml`.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a configuration is plain tables of numbers and strings")
    }
}

fn schema() -> u32 {
    SCHEMA
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

//! From flags, variables and a file to one [`Config`].

mod augment;
mod features;
mod model;
mod own;
mod train;

pub use augment::AugmentArgs;
pub use features::FeatureArgs;
pub use model::ModelArgs;
pub use own::OwnSetting;
pub use train::TrainingArgs;

use super::Global;
use super::exit::UsageError;
use super::reading::NamingArgs;
use crate::config::{Config, ConfigError, DataConfig, ModelName};
use clap::Args;
use std::path::Path;

/// Settings of a network, its training and its data.
#[derive(Debug, Clone, Default, Args)]
pub struct RecipeArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    training: TrainingArgs,
    #[command(flatten)]
    augment: AugmentArgs,
    #[command(flatten)]
    data: SplitArgs,
}

/// Settings of the data set.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Data")]
struct SplitArgs {
    #[command(flatten)]
    naming: NamingArgs,
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

impl SplitArgs {
    fn apply(&self, data: &mut DataConfig) {
        self.naming.apply(data);
        set(&mut data.valid_fraction, &self.valid_fraction);
        set(&mut data.test_fraction, &self.test_fraction);
        set(&mut data.min_seconds, &self.min_seconds);
    }
}

impl RecipeArgs {
    /// The patience of the early stop, if it was given.
    pub fn patience(&self) -> Option<usize> {
        self.training.patience
    }

    /// The complete, checked configuration of one network.
    pub fn resolve(&self, global: &Global, features: &FeatureArgs, model: Option<ModelName>) -> anyhow::Result<Config> {
        let config = self.merge(global, features, model)?;
        config.validate()?;
        Ok(config)
    }

    /// That of each of several networks. A setting holds for those that have it, and must for one of them; what `own` says
    /// of a single network comes last.
    pub fn resolve_all(
        &self,
        global: &Global,
        features: &FeatureArgs,
        models: &[ModelName],
        own: &[OwnSetting],
    ) -> anyhow::Result<Vec<Config>> {
        if let Some(setting) = own.iter().find(|setting| !models.contains(&setting.model)) {
            let message = format!("--set {}..: {} is not among --models", setting.model, setting.model);
            return Err(UsageError(message).into());
        }
        let mut refused = None;
        let mut taken = false;
        let mut configs = Vec::new();
        for &model in models {
            let mut config = self.merge(global, features, Some(model))?;
            match config.model.validate_belongs() {
                Ok(()) => taken = true,
                Err(error) => refused = Some(error),
            }
            config.model.keep_own();
            for setting in own.iter().filter(|setting| setting.model == model) {
                config = setting.apply(config)?;
                config.model.validate_belongs()?;
            }
            config.validate()?;
            configs.push(config);
        }
        match refused {
            Some(error) if !taken => Err(error.into()),
            _ => Ok(configs),
        }
    }

    fn merge(&self, global: &Global, features: &FeatureArgs, model: Option<ModelName>) -> anyhow::Result<Config> {
        let mut config = match (&global.config, model) {
            (Some(path), model) => with_file(path, model, None)?,
            (None, Some(model)) => Config::new(model),
            (None, None) => return Err(UsageError(format!("which network? Give --model {}", names())).into()),
        };
        features.apply(&mut config.features);
        self.model.apply(&mut config.model);
        self.training.apply(&mut config.train);
        set(&mut config.train.seed, &global.seed);
        self.augment.apply(&mut config.augment);
        self.data.apply(&mut config.data);
        Ok(config)
    }
}

/// `bbnn, indrnn, rnn, lstm or gru`
fn names() -> String {
    let [others @ .., last] = ModelName::ALL.map(|name| name.to_string());
    format!("{} or {last}", others.join(", "))
}

/// The defaults of `model` (or of the network that the file names, or of `otherwise`) with what the file at `path` says
/// over them. The file may leave out whatever it likes.
fn with_file(path: &Path, model: Option<ModelName>, otherwise: Option<ModelName>) -> anyhow::Result<Config> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
    let parse_error = |source: toml::de::Error| ConfigError::Parse { path: path.into(), source: Box::new(source) };
    let (named, file) = Config::parse(&text).map_err(parse_error)?;
    let Some(model) = model.or(named).or(otherwise) else {
        let message = format!("{}: which network? Give --model, or name = .. under [model]", path.display());
        return Err(UsageError(message).into());
    };
    Ok(Config::over_defaults(model, file).map_err(parse_error)?)
}

fn set<T: Clone>(target: &mut T, value: &Option<T>) {
    if let Some(value) = value {
        target.clone_from(value);
    }
}

/// `4,1`
fn pair(text: &str) -> Result<[usize; 2], String> {
    let numbers: Option<Vec<usize>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
    numbers.and_then(|numbers| numbers.try_into().ok()).ok_or_else(|| "give two whole numbers, like 4,1".into())
}

//! `--set bbnn.train.frames=128`: a setting of one of several networks.

use crate::cli::exit::UsageError;
use crate::config::{Config, ModelName};
use clap::ValueEnum;
use std::str::FromStr;

/// One setting, by its name in `config.toml`.
#[derive(Debug, Clone)]
pub struct OwnSetting {
    /// The network.
    pub model: ModelName,
    /// As it was given.
    text: String,
    /// What it says, as a file would.
    table: toml::Table,
}

impl FromStr for OwnSetting {
    type Err = String;

    /// `MODEL.SECTION.NAME=VALUE`.
    fn from_str(text: &str) -> Result<Self, String> {
        let form = || "give NETWORK.SECTION.NAME=VALUE with the names of config.toml, like bbnn.train.frames=128".to_owned();
        let (name, value) = text.split_once('=').ok_or_else(form)?;
        let (model, setting) = name.trim().split_once('.').ok_or_else(form)?;
        let model = ModelName::from_str(model, true).map_err(|_| format!("`{model}` is no network; {}", form()))?;
        if setting.split('.').count() != 2 {
            return Err(form());
        }
        // Words need no quotes here.
        let parsed =
            toml::from_str(&format!("{setting} = {value}")).or_else(|_| toml::from_str(&format!("{setting} = {value:?}")));
        Ok(Self { model, text: text.into(), table: parsed.map_err(|_| form())? })
    }
}

impl OwnSetting {
    /// `config` with the setting in it, not validated.
    pub fn apply(&self, config: Config) -> Result<Config, UsageError> {
        config.with(self.table.clone()).map_err(|error| UsageError(format!("--set {}: {}", self.text, error.message())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> Result<Config, String> {
        let setting: OwnSetting = text.parse()?;
        setting.apply(Config::new(setting.model)).map_err(|error| error.0)
    }

    #[test]
    fn a_setting_goes_to_its_place() {
        assert_eq!(set("bbnn.train.frames=128").unwrap().train.frames, 128);
        assert_eq!(set("lstm.train.learning_rate = 0.5").unwrap().train.learning_rate, 0.5);
        assert_eq!(set("rnn.train.optimizer=sgd").unwrap().train.optimizer, crate::config::OptimizerName::Sgd);
    }

    #[test]
    fn what_is_none_is_refused_in_words() {
        for text in ["train.frames=128", "bbnn.frames=128", "bbnn.train.frames", "cnn.train.frames=1"] {
            assert!(set(text).unwrap_err().contains("NETWORK.SECTION.NAME=VALUE"), "{text}");
        }
        let unknown = set("bbnn.train.frame=128").unwrap_err();
        assert!(unknown.contains("bbnn.train.frame=128") && unknown.contains("unknown field"), "{unknown}");
    }
}

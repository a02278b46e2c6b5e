//! What takes part in a study: networks with their recipes, and the simple baseline.

use crate::config::{Config, DataConfig, FeatureConfig, ModelName};
use crate::train::baseline::Baseline;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// The name of what is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Contestant {
    /// A network.
    Network(ModelName),
    /// See [`crate::train::baseline`].
    Baseline,
}

impl Contestant {
    /// All of them, the order of a study that names none.
    pub const ALL: [Self; 6] = [
        Self::Network(ModelName::Indrnn),
        Self::Network(ModelName::Rnn),
        Self::Network(ModelName::Lstm),
        Self::Network(ModelName::Gru),
        Self::Network(ModelName::Bbnn),
        Self::Baseline,
    ];
}

impl std::fmt::Display for Contestant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Network(name) => name.fmt(f),
            Self::Baseline => f.write_str(Baseline::NAME),
        }
    }
}

impl FromStr for Contestant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|contestant| contestant.to_string().eq_ignore_ascii_case(text.trim()));
        named.ok_or_else(|| format!("`{text}` is none of {}", Self::ALL.map(|contestant| contestant.to_string()).join(", ")))
    }
}

impl From<Contestant> for String {
    fn from(contestant: Contestant) -> Self {
        contestant.to_string()
    }
}

impl TryFrom<String> for Contestant {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// How clips are read: entries that agree in it share the decoded data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The data and their names.
    pub data: DataConfig,
    /// The log-mel.
    pub features: FeatureConfig,
    /// Frames of a window.
    pub frames: usize,
}

impl Reading {
    /// What a network's recipe says of it.
    pub fn of(config: &Config) -> Self {
        Self { data: config.data.clone(), features: config.features.clone(), frames: config.train.frames }
    }
}

/// What takes part in a study, with everything that decides its result but seed and split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// A network and its recipe.
    Network(Box<Config>),
    /// The simple baseline has no settings of its own, no epochs and no seed.
    Baseline(Reading),
}

impl Entry {
    /// Its name.
    pub fn name(&self) -> Contestant {
        match self {
            Self::Network(config) => Contestant::Network(config.model.name),
            Self::Baseline(_) => Contestant::Baseline,
        }
    }

    /// The recipe of a network.
    pub fn config(&self) -> Option<&Config> {
        match self {
            Self::Network(config) => Some(config),
            Self::Baseline(_) => None,
        }
    }

    /// How it reads the data.
    pub fn reading(&self) -> Reading {
        match self {
            Self::Network(config) => Reading::of(config),
            Self::Baseline(reading) => reading.clone(),
        }
    }
}

impl From<Config> for Entry {
    fn from(config: Config) -> Self {
        Self::Network(Box::new(config))
    }
}

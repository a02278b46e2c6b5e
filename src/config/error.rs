//! What is wrong with a setting.

use std::path::PathBuf;

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

pub(super) fn invalid<T>(name: &'static str, value: impl ToString, remedy: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Invalid { name, value: value.to_string(), remedy: remedy.into() })
}

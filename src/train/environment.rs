//! Where and when a run was made: `environment.json`.

use serde::{Deserialize, Serialize};

/// The contents of `environment.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// The version of this program.
    pub melgrad: String,
    /// `linux`, `macos`, `windows`, ...
    pub os: String,
    /// `x86_64`, `aarch64`, ...
    pub arch: String,
    /// The command line, the program's name first.
    pub command: Vec<String>,
    /// When the run was begun: RFC 3339 in UTC.
    pub started: String,
    /// What the adapter says of itself, with its driver.
    pub adapter: serde_json::Value,
}

impl Environment {
    /// This process, now, on `adapter`.
    pub fn now(adapter: serde_json::Value) -> Self {
        Self {
            melgrad: env!("CARGO_PKG_VERSION").into(),
            os: std::env::consts::OS.into(),
            arch: std::env::consts::ARCH.into(),
            command: std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect(),
            started: utc_now(),
            adapter,
        }
    }
}

/// The time in RFC 3339, UTC, to the millisecond: `2026-01-31T23:59:59.123Z`.
pub fn utc_now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

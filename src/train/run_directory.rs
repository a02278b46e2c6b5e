//! The directory of a run: how it is named and claimed, what lies where, and how it is found again.

use super::environment::Environment;
use crate::config::{Config, ConfigError};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Where runs go that are given no directory.
pub const RUNS: &str = "runs";
/// Every setting of a run, resolved.
const CONFIG: &str = "config.toml";

/// Why a run has no directory, and what helps.
#[derive(Debug, thiserror::Error)]
pub enum RunDirectoryError {
    /// A directory that a run would mix its files into.
    #[error("{path}: {what}; a run needs a directory of its own: give --out another one, or move this one away")]
    Exists {
        /// What was given.
        path: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// No run where one was looked for.
    #[error("{path}: {what}; give a directory that `melgrad train` wrote{hint}")]
    Missing {
        /// What was given.
        path: PathBuf,
        /// What is there, or is not.
        what: &'static str,
        /// What may have been meant; empty, or begins with a separator.
        hint: String,
    },
    /// A configuration that cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file or directory that cannot be written.
    #[error("{path}: cannot be written: {source}")]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A run's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDirectory {
    path: PathBuf,
}

impl RunDirectory {
    /// A new directory: `out`, which must be new or empty, or else the next of `runs/NAME-1`, `runs/NAME-2`, ...
    pub fn create(out: Option<&Path>, name: impl std::fmt::Display) -> Result<Self, RunDirectoryError> {
        match out {
            Some(path) => Self::create_at(path),
            None => Self::create_numbered(Path::new(RUNS), name),
        }
    }

    /// The next of `ROOT/NAME-1`, `ROOT/NAME-2`, ...; no two processes get the same one.
    pub fn create_numbered(root: &Path, name: impl std::fmt::Display) -> Result<Self, RunDirectoryError> {
        std::fs::create_dir_all(root).map_err(write_error(root))?;
        let mut number = last_number(root, &format!("{name}-")) + 1;
        loop {
            let path = root.join(format!("{name}-{number}"));
            // Who creates it has it: the system lets only one succeed.
            match std::fs::create_dir(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
                created => return created.map(|()| Self { path: path.clone() }).map_err(write_error(&path)),
            }
        }
    }

    fn create_at(path: &Path) -> Result<Self, RunDirectoryError> {
        let exists = |what| Err(RunDirectoryError::Exists { path: path.into(), what });
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(write_error(parent))?;
        }
        match std::fs::create_dir(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && !path.is_dir() => return exists("is a file"),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if std::fs::read_dir(path).map_err(write_error(path))?.next().is_some() {
                    return exists("exists and is not empty");
                }
            }
            created => created.map_err(write_error(path))?,
        }
        Ok(Self { path: path.into() })
    }

    /// The directory of an earlier run, and its configuration.
    pub fn open(path: &Path) -> Result<(Self, Config), RunDirectoryError> {
        let run = Self { path: path.into() };
        let missing = |what, hint| Err(RunDirectoryError::Missing { path: path.into(), what, hint });
        if !path.exists() {
            return missing("there is no such directory", String::new());
        }
        if !path.is_dir() {
            return missing("is a file, not a directory", String::new());
        }
        if !run.file(CONFIG).exists() {
            return missing("there is no config.toml in it", runs_within(path));
        }
        let config = Config::read(&run.file(CONFIG))?;
        Ok((run, config))
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file or directory in it, by its name there.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes `config.toml`.
    pub fn write_config(&self, config: &Config) -> Result<(), RunDirectoryError> {
        write_atomic(&self.file(CONFIG), config.to_toml().as_bytes())
    }

    /// Writes `environment.json`: this process, now, on `adapter`.
    pub fn write_environment(&self, adapter: serde_json::Value) -> Result<(), RunDirectoryError> {
        write_json(&self.file("environment.json"), &Environment::now(adapter))
    }

    /// Writes `kernels.json`: which kernels the adapter got where there was a choice, since other ones give other bits.
    pub fn write_kernels(&self, choices: &BTreeMap<String, String>) -> Result<(), RunDirectoryError> {
        write_json(&self.file("kernels.json"), choices)
    }
}

/// Writes `value` as indented JSON, like [`write_atomic`].
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), RunDirectoryError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| write_error(path)(error.into()))?;
    write_atomic(path, (text + "\n").as_bytes())
}

/// Writes a file whole or not at all, down to the disk: under a hidden name of its own beside it, then renamed. Processes
/// that write the same file at once do not meet; the last one's is there.
pub fn write_atomic(path: &Path, contents: &[u8]) -> Result<(), RunDirectoryError> {
    let write = || new_beside(path, contents)?.persist(path).map(drop).map_err(|error| error.error);
    write().map_err(|source| RunDirectoryError::Write { path: path.into(), source })
}

/// The same where there is no such file yet; returns whether there was none.
pub fn write_new(path: &Path, contents: &[u8]) -> Result<bool, RunDirectoryError> {
    let write = || match new_beside(path, contents)?.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error.error),
    };
    write().map_err(|source| RunDirectoryError::Write { path: path.into(), source })
}

/// What the names of files that are not whole yet begin with.
pub const UNFINISHED: &str = ".part-";

fn new_beside(path: &Path, contents: &[u8]) -> std::io::Result<tempfile::NamedTempFile> {
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(UNFINISHED);
    // As any new file's, which the mode of a temporary file would hinder.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(contents)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// The highest number behind `prefix` among the names in `root`, so that a later run never stands before an earlier one.
fn last_number(root: &Path, prefix: &str) -> u64 {
    let numbers = names(root).into_iter().filter_map(|name| name.strip_prefix(prefix)?.parse().ok());
    numbers.max().unwrap_or(0)
}

/// `, such as runs/bbnn-1` where `path` holds runs.
fn runs_within(path: &Path) -> String {
    let run = names(path).into_iter().map(|name| path.join(name)).find(|entry| entry.join(CONFIG).exists());
    run.map(|run| format!(", such as {}", run.display())).unwrap_or_default()
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn write_error(path: &Path) -> impl FnOnce(std::io::Error) -> RunDirectoryError {
    move |source| RunDirectoryError::Write { path: path.into(), source }
}

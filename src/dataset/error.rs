//! What is wrong with the data, where, and what would be right.

use super::{BadFile, Split};
use std::path::PathBuf;

/// Data that no run can use. All but [`DatasetError::Write`] are faults of the data.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// A folder or manifest that cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of the run directory that cannot be written.
    #[error("{path}: cannot be written: {source}")]
    Write {
        /// What was to be written.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Neither a folder nor a manifest.
    #[error("{path}: {problem}; give a folder with one subfolder per class, a CSV manifest, or a folder that holds manifest.csv")]
    NotData {
        /// What was given.
        path: PathBuf,
        /// What it is instead.
        problem: String,
    },
    /// A line of a CSV file that breaks its rules.
    #[error("{path}, line {line}: {problem}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// The value and the remedy.
        problem: String,
    },
    /// Nothing to tell apart.
    #[error("{path}: {found}, but at least two classes are needed{hint}")]
    TooFewClasses {
        /// The data.
        path: PathBuf,
        /// What there is.
        found: String,
        /// What may have been meant; empty, or begins with a separator.
        hint: String,
    },
    /// A label that the trained network does not know.
    #[error("{path}: label `{label}` is not one of the trained classes ({classes}); rename it, or leave those files out")]
    UnknownLabel {
        /// The first file with that label.
        path: PathBuf,
        /// The label.
        label: String,
        /// The known ones.
        classes: String,
    },
    /// Every file of a class is unusable.
    #[error("class `{class}`: none of its {count} files can be used; the first, {}: {}", first.path.display(), first.reason)]
    ClassLost {
        /// The class.
        class: String,
        /// Its files.
        count: usize,
        /// One of them.
        first: BadFile,
    },
    /// Unusable files where none is allowed.
    #[error("{count} of {total} files cannot be used, and strict mode allows none:{}", list(first))]
    BadFiles {
        /// How many.
        count: usize,
        /// Of how many.
        total: usize,
        /// The first few.
        first: Vec<BadFile>,
    },
    /// A given split with the same content on two sides.
    #[error(
        "{} ({}) and {} ({}) have equal content, but the given split separates them: the result would be flattered; give both the same split or remove one",
        first.display(), first_split, second.display(), second_split
    )]
    LeakingSplit {
        /// One file.
        first: PathBuf,
        /// Its part.
        first_split: Split,
        /// The other.
        second: PathBuf,
        /// Its part.
        second_split: Split,
    },
    /// Folds of whole groups, and not enough groups.
    #[error("{folds} folds need at least {folds} groups (artists, else tracks), and there are {groups}; use fewer --folds")]
    TooFewGroups {
        /// Folds asked for.
        folds: usize,
        /// Groups there are.
        groups: usize,
    },
    /// GTZAN's lists for something else.
    #[error(
        "{path} is not GTZAN, so its fault-filtered lists do not fit: {} is none of its tracks (blues/blues.00000.wav and so on); use --protocol grouped",
        stranger.display()
    )]
    NotGtzan {
        /// The data.
        path: PathBuf,
        /// The first file that is none of its tracks.
        stranger: PathBuf,
    },
    /// A given split that leaves nothing to train on.
    #[error("{path}: no usable file is in the `train` part of the given split; mark some rows `train`")]
    NothingToTrain {
        /// The data.
        path: PathBuf,
    },
}

fn list(files: &[BadFile]) -> String {
    files.iter().map(|file| format!("\n  {}: {}", file.path.display(), file.reason)).collect()
}

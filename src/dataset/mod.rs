//! From a folder or a manifest to labelled log-mel clips, parted without leaks, and on to batches.
//!
//! ```text
//! scan | manifest | builtin -> Listing -> extract (all cores, cache) -> join equal content -> Collection
//!   -> protocol, seed, fold -> Dataset -> Batches
//! ```
//!
//! Invariants:
//! - Nothing depends on the order in which a file system lists its entries: samples are sorted by path.
//! - No group, and no content, lies in two parts of a split that [`Protocol::Grouped`] made; a given split that separates
//!   equal content is an error. Protocols that separate groups are named so, and say what they separate.
//! - Segments of one clip are in one part, but for [`Protocol::LeakySegments`].
//! - The same recording in more than one file ([`Collection::near_duplicates`]) is named, never merged or dropped.
//! - A file that cannot be used is never dropped silently: it is in [`Dataset::bad`] with its reason.

mod augment;
mod batch;
mod builtin;
mod cache;
mod clip;
mod collection;
mod correlation;
mod error;
mod extract;
mod files;
mod fingerprint;
mod folds;
mod groups;
mod gtzan;
mod kept;
mod load;
mod manifest;
mod near_duplicates;
mod protocol;
mod records;
mod redraw;
mod scan;
mod seed;
mod source;
mod split;
mod statistics;
mod tagged;

pub use augment::Changes;
pub use batch::{Batch, Batches, Crop, Windows};
pub use builtin::{attribution, collect_builtin, licences, load_builtin};
pub use cache::CachePolicy;
pub use clip::{Clip, window_starts};
pub use collection::{Collection, Recording};
pub use error::DatasetError;
pub use files::{FileClip, Files, audio_files, load_bytes, load_files};
pub use kept::{KeptClip, KeptSplits};
pub use load::{LoadOptions, Progress, collect, load};
pub use near_duplicates::{NearDuplicate, NearDuplicateRow, near_duplicate_warning};
pub use protocol::{Draw, Protocol};
pub use records::{write_bad_files_csv, write_near_duplicates_csv, write_splits_csv};
pub use redraw::Known;
pub(crate) use source::portable;
pub use statistics::MelStatistics;

use std::path::PathBuf;
use std::sync::Arc;

/// The part of the data that a sample belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Split {
    /// Weights are fitted to it.
    Train,
    /// Decisions (which epoch, when to stop) are made on it.
    Valid,
    /// Looked at once, at the end.
    Test,
}

impl Split {
    /// The three parts, in the order of training.
    pub const ALL: [Self; 3] = [Self::Train, Self::Valid, Self::Test];

    /// The word in manifests and in `splits.csv`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Valid => "valid",
            Self::Test => "test",
        }
    }

    /// The part that a word names; only the three exact words do.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|split| split.name() == name)
    }
}

impl std::fmt::Display for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// One usable file, or a segment of one.
#[derive(Debug, Clone)]
pub struct Sample {
    /// As listed: relative to the folder or the manifest.
    pub path: PathBuf,
    /// Index into [`Dataset::classes`].
    pub label: usize,
    /// The part it belongs to.
    pub split: Split,
    /// What must stay on one side of a split: the manifest's group, else the file itself; files of equal content share one.
    pub group: String,
    /// BLAKE3 of the file's bytes, in hexadecimal.
    pub content_hash: String,
    /// Its log-mel, at least as long as a training crop.
    pub clip: Arc<Clip>,
}

impl Sample {
    /// Its name in files, unlike any other's: the path with `/`, and `#` and the first frame where it is a segment.
    pub fn name(&self) -> String {
        collection::name(&self.path, &self.clip)
    }
}

/// A file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFile {
    /// As listed.
    pub path: PathBuf,
    /// Why, in words.
    pub reason: String,
}

/// Labelled clips, each in one part of the split.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Class names, in the order of the network's outputs.
    pub classes: Vec<String>,
    /// Mel bands of every clip.
    pub n_mels: usize,
    /// Frames of a training crop: no clip is shorter.
    pub frames: usize,
    /// The usable files, sorted by path.
    pub samples: Vec<Sample>,
    /// The others.
    pub bad: Vec<BadFile>,
    /// Sets of samples (indices) of equal content, each of two or more.
    pub duplicates: Vec<Vec<usize>>,
    /// What a person should know before trusting the result, in words.
    pub warnings: Vec<String>,
}

impl Dataset {
    /// Indices of the samples of one part, ascending.
    pub fn part(&self, split: Split) -> Vec<usize> {
        (0..self.samples.len()).filter(|&i| self.samples[i].split == split).collect()
    }

    /// Samples of each class in one part.
    pub fn class_counts(&self, split: Split) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for sample in self.samples.iter().filter(|sample| sample.split == split) {
            counts[sample.label] += 1;
        }
        counts
    }

    /// Mean and deviation of every mel band over the training part, and over nothing else.
    pub fn mel_statistics(&self) -> MelStatistics {
        let clips = self.samples.iter().filter(|sample| sample.split == Split::Train).map(|sample| sample.clip.as_ref());
        MelStatistics::of(clips, self.n_mels, self.frames)
    }
}

//! Files without labels, for prediction.

use super::extract::Extractor;
use super::load::Progress;
use super::scan::files_below;
use super::source::Root;
use super::{BadFile, CachePolicy, Clip, DatasetError};
use crate::config::FeatureConfig;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A usable file.
#[derive(Debug, Clone)]
pub struct FileClip {
    /// As given, or below the folder that was given.
    pub path: PathBuf,
    /// BLAKE3 of the file's bytes, in hexadecimal.
    pub content_hash: String,
    /// Its log-mel, at least one window long.
    pub clip: Arc<Clip>,
}

/// What became of the files that were given.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// The usable ones, in the order given, a folder's files sorted.
    pub clips: Vec<FileClip>,
    /// The others.
    pub bad: Vec<BadFile>,
    /// Oddities, in words.
    pub warnings: Vec<String>,
}

/// The log-mel of each file, and of every audio file below each folder. Any length will do: short ones are padded as
/// audio to `frames` frames, much longer ones take `top_db` per window.
pub fn load_files(paths: &[PathBuf], config: &FeatureConfig, frames: usize, cache: &CachePolicy, progress: Progress) -> Files {
    let mut files = Files::default();
    let mut listed = Vec::new();
    for path in paths {
        match audio_files(path) {
            Ok(found) if found.is_empty() => {
                files.bad.push(BadFile { path: path.clone(), reason: "holds no audio or .npy files".into() });
            }
            Ok(found) => listed.extend(found),
            Err(error) => files.bad.push(BadFile { path: path.clone(), reason: error.to_string() }),
        }
    }
    let extractor = Extractor::new(config, frames, 0.0, cache);
    let results = extractor.extract_all(&Root::Folder(PathBuf::new()), &listed, progress);
    for (path, result) in listed.into_iter().zip(results) {
        match result {
            Ok(found) => files.clips.push(FileClip { path, content_hash: found.content.to_hex().to_string(), clip: found.clip }),
            Err(reason) => files.bad.push(BadFile { path, reason }),
        }
    }
    files.warnings.extend(extractor.warning());
    files
}

/// A file itself, or every audio and `.npy` file below a folder, sorted, names that begin with a dot left out.
pub fn audio_files(path: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    if path.is_dir() { files_below(path) } else { Ok(vec![path.into()]) }
}

/// The log-mel of bytes at hand; `extension` (without the dot, may be empty) hints at their format. The error is the
/// reason in words.
pub fn load_bytes(bytes: Vec<u8>, extension: &str, config: &FeatureConfig, frames: usize) -> Result<Arc<Clip>, String> {
    let extractor = Extractor::new(config, frames, 0.0, &CachePolicy::Off);
    extractor.extract_bytes(bytes, &extension.to_lowercase()).map(|found| found.clip)
}

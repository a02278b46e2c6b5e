//! Features on disk, keyed by the file's content and by everything that decides them. Disposable: whatever is missing,
//! damaged or unwritable is computed again.
//!
//! One file per entry, written beside its final place and renamed: two writers of one entry write the same bytes, and
//! a reader sees a whole entry or none. A checksum tells an entry that a crash cut short.

use super::Clip;
use crate::config::FeatureConfig;
use crate::features::Features;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// To be raised when decoding, resampling, log-mel or this layout give other numbers for the same settings.
const VERSION: u32 = 1;
const MAGIC: &[u8; 8] = b"melgradF";
const HEADER: usize = 8 + 4 + 4 + 4 + 8;
const CHECKSUM: usize = blake3::OUT_LEN;

/// Whether features are kept between runs, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CachePolicy {
    /// In `MELGRAD_CACHE_DIR`, or else in the user's cache directory.
    #[default]
    User,
    /// In this folder.
    Folder(PathBuf),
    /// Nowhere.
    Off,
}

impl CachePolicy {
    /// The folder that entries go to, if any.
    pub fn folder(&self) -> Option<PathBuf> {
        use etcetera::BaseStrategy;
        match self {
            Self::Off => None,
            Self::Folder(folder) => Some(folder.clone()),
            Self::User => match std::env::var_os("MELGRAD_CACHE_DIR").filter(|folder| !folder.is_empty()) {
                Some(folder) => Some(folder.into()),
                None => Some(etcetera::choose_base_strategy().ok()?.cache_dir().join("melgrad")),
            },
        }
    }
}

/// What was done to the clip before its log-mel was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing: it is long enough.
    Whole,
    /// Zeros were appended to its samples to give this many frames.
    Padded(usize),
    /// Nothing, and `top_db` is left to the windows.
    Uncut,
}

/// The entries of one feature configuration.
pub(super) struct Cache {
    folder: Option<PathBuf>,
    settings: String,
    failure: OnceLock<String>,
}

impl Cache {
    pub fn open(policy: &CachePolicy, config: &FeatureConfig) -> Self {
        let settings = format!("{MAGIC:?} {VERSION} {} {config:?}", env!("CARGO_PKG_VERSION"));
        Self { folder: policy.folder().map(|folder| folder.join("features")), settings, failure: OnceLock::new() }
    }

    /// The clip, if it is there and unharmed.
    pub fn get(&self, content: &blake3::Hash, form: Form, config: &FeatureConfig) -> Option<Clip> {
        let path = self.path(content, form)?;
        let bytes = std::fs::read(&path).ok()?;
        let clip = unpack(&bytes, form, config);
        if clip.is_none() {
            tracing::debug!(path = %path.display(), "damaged cache entry, computed again");
        }
        clip
    }

    /// Keeps the clip. A failure is remembered for [`Cache::warning`] and changes nothing else.
    pub fn put(&self, content: &blake3::Hash, form: Form, clip: &Clip) {
        if self.failure.get().is_some() {
            return;
        }
        if let Some(path) = self.path(content, form)
            && let Err(error) = write(&path, &pack(clip))
        {
            // Only the first failure is worth a word; the disk will not get better meanwhile.
            let _ = self
                .failure
                .set(format!("features cannot be cached, so every run computes them again: {}: {error}", path.display()));
        }
    }

    /// What went wrong, once.
    pub fn warning(&self) -> Option<String> {
        self.failure.get().cloned()
    }

    /// `<folder>/features/<first two digits>/<rest>`.
    fn path(&self, content: &blake3::Hash, form: Form) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?;
        let key = blake3::hash(format!("{} {form:?} {content}", self.settings).as_bytes()).to_hex();
        let (shard, rest) = key.split_at(2);
        Some(folder.join(shard).join(rest))
    }
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".part-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    match file.persist(path) {
        Ok(_) => Ok(()),
        // Windows refuses to replace a file that somebody has open: then it is there, with these bytes.
        Err(_) if path.exists() => Ok(()),
        Err(error) => Err(error.error),
    }
}

/// Magic, version, frames, bands, seconds, values, and the checksum of all before; little-endian.
fn pack(clip: &Clip) -> Vec<u8> {
    let features = clip.features();
    let mut bytes = Vec::with_capacity(HEADER + 4 * features.data.len() + CHECKSUM);
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend((features.frames as u32).to_le_bytes());
    bytes.extend((features.n_mels as u32).to_le_bytes());
    bytes.extend(clip.seconds().to_le_bytes());
    bytes.extend(features.data.iter().flat_map(|value| value.to_le_bytes()));
    let checksum = blake3::hash(&bytes);
    bytes.extend(checksum.as_bytes());
    bytes
}

fn unpack(bytes: &[u8], form: Form, config: &FeatureConfig) -> Option<Clip> {
    let (body, checksum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM)?)?;
    if blake3::hash(body).as_bytes() != checksum {
        return None;
    }
    let (header, values) = body.split_at_checked(HEADER)?;
    let word = |at: usize| Some(u32::from_le_bytes(header[at..at + 4].try_into().ok()?));
    let (frames, n_mels) = (word(12)? as usize, word(16)? as usize);
    let known = header.starts_with(MAGIC) && word(8)? == VERSION && n_mels == config.n_mels;
    if !known || frames.checked_mul(n_mels)?.checked_mul(4)? != values.len() {
        return None;
    }
    let seconds = f64::from_le_bytes(header[20..28].try_into().ok()?);
    let data = values.chunks_exact(4).map(|value| f32::from_le_bytes([value[0], value[1], value[2], value[3]])).collect();
    let window_top_db = (form == Form::Uncut).then_some(config.top_db);
    Some(Clip::new(Features { frames, n_mels, data }, seconds, window_top_db))
}

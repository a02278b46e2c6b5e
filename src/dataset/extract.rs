//! Files into log-mel clips, on all cores.

use super::cache::{Cache, Form};
use super::clip::is_much_longer;
use super::source::{Root, extension};
use super::{CachePolicy, Clip};
use crate::audio;
use crate::config::FeatureConfig;
use crate::features::{self, LogMel};
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Files above this many bytes are decoded one at a time: decoded, one of them may take gigabytes.
const LARGE_FILE: u64 = 32 << 20;

/// A usable file.
pub(super) struct Extracted {
    /// Of the file's bytes.
    pub content: blake3::Hash,
    /// Of the decibels: equal for a recording and its lossless copy in another format.
    pub sound: blake3::Hash,
    pub clip: Arc<Clip>,
}

/// What turns a file into a clip.
pub(super) struct Extractor {
    config: FeatureConfig,
    log_mel: LogMel,
    uncut: LogMel,
    frames: usize,
    min_seconds: f64,
    cache: Cache,
}

impl Extractor {
    /// Clips have at least `frames` frames; sound shorter than `min_seconds` is refused.
    pub fn new(config: &FeatureConfig, frames: usize, min_seconds: f64, policy: &CachePolicy) -> Self {
        Self {
            config: config.clone(),
            log_mel: LogMel::new(config),
            uncut: LogMel::new(&FeatureConfig { top_db: 0.0, ..config.clone() }),
            frames,
            min_seconds,
            cache: Cache::open(policy, config),
        }
    }

    /// Every file's clip, or why there is none, in the order of `paths`.
    pub fn extract_all(
        &self,
        root: &Root,
        paths: &[PathBuf],
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Vec<Result<Extracted, String>> {
        let done = AtomicUsize::new(0);
        let extract = |&i: &usize| {
            let result = self.extract(root, &paths[i]);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, paths.len());
            (i, result)
        };
        let (large, small): (Vec<usize>, Vec<usize>) = (0..paths.len()).partition(|&i| root.size(&paths[i]) > LARGE_FILE);
        let mut results: Vec<_> = small.par_iter().map(extract).collect();
        results.extend(large.iter().map(extract));
        results.sort_by_key(|(i, _)| *i);
        results.into_iter().map(|(_, result)| result).collect()
    }

    /// What a person should know about the cache.
    pub fn warning(&self) -> Option<String> {
        self.cache.warning()
    }

    fn extract(&self, root: &Root, path: &Path) -> Result<Extracted, String> {
        self.extract_bytes(root.read(path)?, &extension(path))
    }

    /// The clip of a file that is at hand.
    pub fn extract_bytes(&self, bytes: Vec<u8>, extension: &str) -> Result<Extracted, String> {
        if bytes.is_empty() {
            return Err("is empty".into());
        }
        let content = blake3::hash(&bytes);
        let is_ready = extension == "npy";
        let clip = if is_ready { self.ready(&bytes)? } else { self.clip(&content, bytes, extension)? };
        if !is_ready && clip.seconds() < self.min_seconds {
            return Err(format!("lasts {:.2} s; at least {} s are needed (data.min_seconds)", clip.seconds(), self.min_seconds));
        }
        Ok(Extracted { content, sound: hash_of(clip.features()), clip: Arc::new(clip) })
    }

    /// Features that somebody else computed.
    fn ready(&self, bytes: &[u8]) -> Result<Clip, String> {
        let features = features::read_npy_bytes(bytes).map_err(|error| words(&error))?;
        let expected = self.config.n_mels;
        if features.n_mels != expected {
            return Err(format!("has {} mel bands, expected {expected} (features.n_mels)", features.n_mels));
        }
        if features.frames < self.frames {
            let Self { frames, .. } = self;
            return Err(format!("has {} frames, a crop needs {frames}: decibels are not padded, audio is", features.frames));
        }
        let seconds = (features.frames * self.config.hop_length) as f64 / f64::from(self.config.sample_rate);
        let window_top_db = is_much_longer(&self.config, seconds, self.frames).then_some(self.config.top_db);
        Ok(Clip::new(features, seconds, window_top_db))
    }

    fn clip(&self, content: &blake3::Hash, bytes: Vec<u8>, extension: &str) -> Result<Clip, String> {
        if let Some(clip) = self.cached(content) {
            return Ok(clip);
        }
        let wave = audio::decode_bytes(bytes, extension).map_err(|error| words(&error))?;
        let seconds = wave.seconds();
        let mut samples = wave.resampled(self.config.sample_rate).map_err(|error| words(&error))?.samples;
        let form = self.form(seconds, samples.len());
        if let Form::Padded(frames) = form {
            samples.resize(self.config.samples(frames), 0.0);
        }
        let (log_mel, window_top_db) = match form {
            Form::Uncut => (&self.uncut, Some(self.config.top_db)),
            Form::Whole | Form::Padded(_) => (&self.log_mel, None),
        };
        let clip = Clip::new(log_mel.compute(&samples).map_err(|error| words(&error))?, seconds, window_top_db);
        self.cache.put(content, form, &clip);
        Ok(clip)
    }

    /// How a clip of this length is to be taken.
    fn form(&self, seconds: f64, samples: usize) -> Form {
        if self.config.frames(samples) < self.frames {
            Form::Padded(self.frames)
        } else if is_much_longer(&self.config, seconds, self.frames) {
            Form::Uncut
        } else {
            Form::Whole
        }
    }

    /// The length is not known before the entry is read, so the forms are tried in turn; what is kept whole serves
    /// every crop length that fits into it.
    fn cached(&self, content: &blake3::Hash) -> Option<Clip> {
        let much_longer = |clip: &Clip| is_much_longer(&self.config, clip.seconds(), self.frames);
        let get = |form| self.cache.get(content, form, &self.config);
        get(Form::Whole)
            .filter(|clip| clip.frames() >= self.frames && !much_longer(clip))
            .or_else(|| get(Form::Padded(self.frames)))
            .or_else(|| get(Form::Uncut).filter(much_longer))
    }
}

fn hash_of(features: &features::Features) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for values in features.data.chunks(4096) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        hasher.update(&bytes);
    }
    hasher.finalize()
}

/// An error and its causes on one line.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Errors that already quote their cause are not repeated.
        let inner = error.to_string();
        if !text.contains(&inner) {
            text = format!("{text}: {inner}");
        }
        cause = error.source();
    }
    text
}

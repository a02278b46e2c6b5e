//! Random changes of training crops: rotation in time, gain, then SpecAugment's masks (Park et al. 2019, arXiv
//! 1904.08779). Evaluation never comes here.

use super::seed::generator;
use crate::config::AugmentConfig;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

/// The changes of one epoch. What happens to a clip is decided by `(seed, epoch, index of the clip)` alone, whatever else
/// is in its batch and whichever batch was made before.
#[derive(Debug, Clone)]
pub(super) struct Augmentation {
    config: AugmentConfig,
    /// At the start of the epoch's stream 0, and never drawn from itself.
    generator: ChaCha8Rng,
}

/// What is drawn for a clip: each from a stream of its own, so that turning one on or off leaves the others as they are.
#[derive(Clone, Copy)]
enum Draw {
    Shift,
    Gain,
    TimeMasks,
    MelMasks,
}

/// Variants of [`Draw`].
const DRAWS: u64 = 4;

impl Augmentation {
    /// What `config` says, for one epoch of a run.
    pub fn new(config: &AugmentConfig, seed: u64, epoch: u64) -> Self {
        Self { config: config.clone(), generator: generator(seed, &format!("augmentation of epoch {epoch}")) }
    }

    /// What happens to a crop of `frames` frames of clip `clip`.
    pub fn draw(&self, clip: usize, frames: usize, n_mels: usize) -> Changes {
        let config = &self.config;
        let mut changes = Changes::default();
        if config.time_shift > 0 {
            changes.later = shift(frames, config.time_shift, &mut self.numbers(clip, Draw::Shift));
        }
        if config.gain_db > 0.0 {
            changes.gain = self.numbers(clip, Draw::Gain).random_range(-config.gain_db..=config.gain_db);
        }
        if config.time_masks > 0 {
            let mut numbers = self.numbers(clip, Draw::TimeMasks);
            let mask = || stretch(frames, config.time_mask_frames, &mut numbers);
            changes.time_masks = std::iter::repeat_with(mask).take(config.time_masks).collect();
        }
        if config.mel_masks > 0 {
            let mut numbers = self.numbers(clip, Draw::MelMasks);
            let mask = || stretch(n_mels, config.mel_mask_bands, &mut numbers);
            changes.mel_masks = std::iter::repeat_with(mask).take(config.mel_masks).collect();
        }
        changes
    }

    /// Whether crops are masked.
    pub fn masks(&self) -> bool {
        self.config.time_masks + self.config.mel_masks > 0
    }

    fn numbers(&self, clip: usize, draw: Draw) -> ChaCha8Rng {
        let mut numbers = self.generator.clone();
        numbers.set_stream(DRAWS * clip as u64 + draw as u64);
        numbers
    }
}

/// What happens to one crop.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// Frames that it is rotated by: what leaves at the end enters at the beginning.
    pub later: usize,
    /// Decibels added.
    ///
    /// Sound that is louder by some decibels has a log-mel that is higher by as many in every bin. That holds for bins at the
    /// floor of `top_db` too: the floor is relative to the loudest bin, which moves along.
    pub gain: f32,
    /// Frames of the rotated crop that say nothing.
    pub time_masks: Vec<Range<usize>>,
    /// Bands that say nothing.
    pub mel_masks: Vec<Range<usize>>,
}

impl Changes {
    /// Changes a crop in its place: `(frames, n_mels)` decibels. Returns what masks are filled with; 0 where there are none.
    ///
    /// The paper masks with 0 where features have mean 0: with what says nothing. Decibels have no such zero, so it is
    /// the mean of the crop, taken before the first mask so that masks do not depend on each other.
    pub fn apply(&self, crop: &mut [f32], n_mels: usize) -> f32 {
        crop.rotate_right(self.later * n_mels);
        if self.gain != 0.0 {
            crop.iter_mut().for_each(|decibels| *decibels += self.gain);
        }
        if self.time_masks.is_empty() && self.mel_masks.is_empty() {
            return 0.0;
        }
        let mean = mean(crop);
        for masked in &self.time_masks {
            crop[masked.start * n_mels..masked.end * n_mels].fill(mean);
        }
        for masked in &self.mel_masks {
            crop.chunks_exact_mut(n_mels).for_each(|frame| frame[masked.clone()].fill(mean));
        }
        mean
    }
}

/// Frames by which a crop begins later, up to `most` either way.
fn shift(frames: usize, most: usize, numbers: &mut ChaCha8Rng) -> usize {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    numbers.random_range(-most..=most).rem_euclid(frames as i64) as usize
}

/// A stretch of `0..length` of uniform width up to `most` (or `length`, if that is less) at a uniform place.
fn stretch(length: usize, most: usize, numbers: &mut ChaCha8Rng) -> Range<usize> {
    let width = numbers.random_range(0..=most.min(length) as u64);
    let start = numbers.random_range(0..=length as u64 - width);
    start as usize..(start + width) as usize
}

/// In eight sums, which a processor can add side by side, and always the same eight.
fn mean(values: &[f32]) -> f32 {
    let (rows, rest) = values.as_chunks::<8>();
    let mut sums = [0.0f64; 8];
    for row in rows {
        sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    let rest: f64 = rest.iter().copied().map(f64::from).sum();
    ((sums.iter().sum::<f64>() + rest) / values.len() as f64) as f32
}

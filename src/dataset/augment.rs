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

    /// Changes the crop of clip `clip` in its place: `(frames, n_mels)` decibels.
    pub fn apply(&self, clip: usize, crop: &mut [f32], n_mels: usize) {
        let config = &self.config;
        if config.time_shift > 0 {
            rotate(crop, n_mels, config.time_shift, &mut self.numbers(clip, Draw::Shift));
        }
        if config.gain_db > 0.0 {
            // Sound that is louder by some decibels has a log-mel that is higher by as many in every bin. That holds for
            // bins at the floor of `top_db` too: the floor is relative to the loudest bin, which moves along.
            let gain = self.numbers(clip, Draw::Gain).random_range(-config.gain_db..=config.gain_db);
            crop.iter_mut().for_each(|decibels| *decibels += gain);
        }
        if config.time_masks + config.mel_masks > 0 {
            self.mask(clip, crop, n_mels);
        }
    }

    /// The paper masks with 0 where features have mean 0: with what says nothing. Decibels have no such zero, so it is
    /// the mean of the crop, taken before the first mask so that masks do not depend on each other.
    fn mask(&self, clip: usize, crop: &mut [f32], n_mels: usize) {
        let config = &self.config;
        let (mean, frames) = (mean(crop), crop.len() / n_mels);
        let mut numbers = self.numbers(clip, Draw::TimeMasks);
        for _ in 0..config.time_masks {
            let masked = stretch(frames, config.time_mask_frames, &mut numbers);
            crop[masked.start * n_mels..masked.end * n_mels].fill(mean);
        }
        let mut numbers = self.numbers(clip, Draw::MelMasks);
        for _ in 0..config.mel_masks {
            let masked = stretch(n_mels, config.mel_mask_bands, &mut numbers);
            crop.chunks_exact_mut(n_mels).for_each(|frame| frame[masked.clone()].fill(mean));
        }
    }

    fn numbers(&self, clip: usize, draw: Draw) -> ChaCha8Rng {
        let mut numbers = self.generator.clone();
        numbers.set_stream(DRAWS * clip as u64 + draw as u64);
        numbers
    }
}

/// What leaves at one end enters at the other.
fn rotate(crop: &mut [f32], n_mels: usize, most: usize, numbers: &mut ChaCha8Rng) {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let frames = (crop.len() / n_mels) as i64;
    let later = numbers.random_range(-most..=most).rem_euclid(frames);
    crop.rotate_right(later as usize * n_mels);
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

//! What of a clip tells one recording from another, whatever its loudness and encoding: the course of its coarse mel
//! bands over a few seconds.
//!
//! Decibels far below the clip's loudest are cut off, because encoders change them freely. From each band its mean over
//! the surrounding 3.7 s is taken, so that timbre, equaliser and fades do not count, and from each frame its mean over the
//! bands, so that loudness does not. What is left of two copies of a recording correlates; of two recordings that sound
//! alike it does not.

use super::Clip;
use std::ops::Range;

/// Decibels below the loudest at which a clip is cut off.
const FLOOR: f32 = 60.0;
/// Seconds to each side of a frame over which a band's mean is taken.
const SURROUNDINGS: f64 = 1.86;
/// Seconds to each side over which a frame of the fine fingerprint is smoothed: an excerpt may begin between two frames.
const BLUR: f64 = 0.046;
/// Seconds at each end that are not looked at: sound that sets in is alike in all clips.
const EDGE: f64 = 0.1;
/// Seconds of a clip that are looked at, padding not among them.
const MOST_SECONDS: f64 = 240.0;

/// `(steps, bands)`, row-major.
#[derive(Debug, Clone)]
pub(super) struct Fingerprint {
    pub values: Vec<f32>,
    pub bands: usize,
    /// Sum of the squares before each step, one more than there are steps.
    energy: Vec<f64>,
}

/// How fine a fingerprint is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grain {
    /// Frames of a step.
    pub frames: usize,
    pub bands: usize,
    /// Whether steps are smoothed.
    pub blurred: bool,
}

impl Fingerprint {
    /// Of a clip whose frames are `frame_seconds` apart.
    pub fn of(clip: &Clip, grain: Grain, frame_seconds: f64) -> Self {
        let bands = grain.bands.min(clip.n_mels());
        let edge = (EDGE / frame_seconds).ceil() as usize;
        let end = ((clip.seconds().min(MOST_SECONDS) / frame_seconds) as usize).min(clip.frames()).saturating_sub(edge);
        let mut values = pooled(clip, edge.min(end)..end, grain.frames, bands);
        let steps = |seconds: f64| ((seconds / frame_seconds).round() as usize / grain.frames).max(1);
        let surroundings = smoothed(&values, bands, steps(SURROUNDINGS));
        values.iter_mut().zip(surroundings).for_each(|(value, mean)| *value -= mean);
        for step in values.chunks_exact_mut(bands) {
            let mean = step.iter().sum::<f32>() / bands as f32;
            step.iter_mut().for_each(|value| *value -= mean);
        }
        if grain.blurred {
            values = smoothed(&values, bands, steps(BLUR));
        }
        let mut energy = vec![0.0];
        for step in values.chunks_exact(bands) {
            let own: f64 = step.iter().map(|&value| f64::from(value).powi(2)).sum();
            energy.push(energy[energy.len() - 1] + own);
        }
        Self { values, bands, energy }
    }

    /// Steps in it.
    pub fn steps(&self) -> usize {
        self.energy.len() - 1
    }

    /// The correlation with `other`, whose step 0 lies at this one's step `lag`, from the sum of the products over what
    /// they share; 0 where one of them does not change.
    pub fn normalised(&self, other: &Self, lag: isize, products: f64) -> f64 {
        let (start, end) = overlap(self.steps(), other.steps(), lag);
        let shift = |step: usize| (step as isize - lag) as usize;
        let one = self.energy[end] - self.energy[start];
        let two = other.energy[shift(end)] - other.energy[shift(start)];
        // A thousandth of a square decibel per value is rounding.
        let least = 1e-3 * ((end - start) * self.bands) as f64;
        if one.min(two) <= least { 0.0 } else { products / (one * two).sqrt() }
    }

    /// The same, sum included.
    pub fn correlation(&self, other: &Self, lag: isize) -> f64 {
        let (start, end) = overlap(self.steps(), other.steps(), lag);
        let shift = |step: usize| (step as isize - lag) as usize;
        let one = &self.values[start * self.bands..end * self.bands];
        let two = &other.values[shift(start) * self.bands..shift(end) * self.bands];
        let products = one.iter().zip(two).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        self.normalised(other, lag, products)
    }
}

/// Steps of the first that both have, where step 0 of the second lies at step `lag` of the first.
pub(super) fn overlap(first: usize, second: usize, lag: isize) -> (usize, usize) {
    let end = (second as isize + lag).clamp(0, first as isize) as usize;
    ((lag.max(0) as usize).min(end), end)
}

/// Means over `frames` frames of a range and over equal shares of the bands; what is left at the end is not used.
fn pooled(clip: &Clip, range: Range<usize>, frames: usize, bands: usize) -> Vec<f32> {
    let n_mels = clip.n_mels();
    let decibels = &clip.decibels()[range.start * n_mels..range.end * n_mels];
    let floor = decibels.iter().copied().fold(f32::NEG_INFINITY, f32::max) - FLOOR;
    let share = |band: usize| band * n_mels / bands..(band + 1) * n_mels / bands;
    let mut values = Vec::new();
    for rows in decibels.chunks_exact(frames * n_mels) {
        for band in (0..bands).map(share) {
            let cells = rows.chunks_exact(n_mels).flat_map(|row| &row[band.clone()]);
            let count = (frames * band.len()) as f32;
            values.push(cells.map(|decibels| decibels.max(floor)).sum::<f32>() / count);
        }
    }
    values
}

/// The mean of each band over `reach` steps to each side, as far as there are any.
fn smoothed(values: &[f32], bands: usize, reach: usize) -> Vec<f32> {
    let steps = values.len() / bands;
    let mut sums = vec![0.0f64; (steps + 1) * bands];
    for (i, &value) in values.iter().enumerate() {
        sums[i + bands] = sums[i] + f64::from(value);
    }
    let mut means = Vec::with_capacity(values.len());
    for step in 0..steps {
        let (start, end) = (step.saturating_sub(reach), (step + reach + 1).min(steps));
        let sum = |band: usize| sums[end * bands + band] - sums[start * bands + band];
        means.extend((0..bands).map(|band| (sum(band) / (end - start) as f64) as f32));
    }
    means
}

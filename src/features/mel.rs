//! The mel filter bank and the step to decibels.
//!
//! Weights as `librosa.filters.mel` makes them: computed in f64, stored in f32. A triangle covers few bins, so only
//! those are kept, in whole lanes.

use crate::config::{FeatureConfig, MelNorm};

/// Bins that are summed side by side; filters are filled up with zeros to a multiple of it.
pub(super) const LANES: usize = 8;

/// librosa's `amin`: power below it counts as this much.
const FLOOR: f32 = 1e-10;

/// A band is too quiet for f32 if it has less than this share of its frame's mean power, per unit of weight: -50 dB.
const DELICATE: f32 = 1e-5;

/// The filters, each as its first bin and its weights from there on.
pub(super) struct Bank {
    filters: Vec<Filter>,
    /// Of every filter the greatest weight times [`DELICATE`].
    limits: Vec<f32>,
    weights: Vec<f32>,
}

struct Filter {
    bin: usize,
    lanes: usize,
}

impl Bank {
    pub(super) fn new(config: &FeatureConfig) -> Self {
        let bins = config.n_fft / 2 + 1;
        let points = points(config);
        let hertz_per_bin = 1.0 / (config.n_fft as f64 * (1.0 / f64::from(config.sample_rate)));
        let mut bank = Self { filters: Vec::new(), limits: Vec::new(), weights: Vec::new() };
        for band in 0..config.n_mels {
            let (left, peak, right) = (points[band], points[band + 1], points[band + 2]);
            let weight = |bin: usize| {
                let hertz = bin as f64 * hertz_per_bin;
                let triangle = ((hertz - left) / (peak - left)).min((right - hertz) / (right - peak)).max(0.0) as f32;
                match config.norm {
                    MelNorm::Slaney => (f64::from(triangle) * (2.0 / (right - left))) as f32,
                    MelNorm::None => triangle,
                }
            };
            bank.push((0..bins).map(weight));
        }
        bank
    }

    fn push(&mut self, weights: impl Iterator<Item = f32>) {
        let dense: Vec<f32> = weights.collect();
        let bin = dense.iter().position(|&weight| weight > 0.0).unwrap_or(0);
        let end = dense.iter().rposition(|&weight| weight > 0.0).map_or(bin, |last| last + 1);
        let lanes = (end - bin).div_ceil(LANES);
        self.weights.extend_from_slice(&dense[bin..end]);
        self.weights.resize(self.weights.len() + lanes * LANES - (end - bin), 0.0);
        self.limits.push(DELICATE * dense.iter().copied().fold(0.0, f32::max));
        self.filters.push(Filter { bin, lanes });
    }

    pub(super) fn bands(&self) -> usize {
        self.filters.len()
    }

    /// Whether a band that will be seen is so quiet beside its frame's mean power that rounding in f32 shows.
    pub(super) fn is_delicate(&self, bands: &[f32], mean: f32, lowest: f32) -> bool {
        let seen = 0.5 * lowest;
        let mut delicate = false;
        for (&band, limit) in bands.iter().zip(&self.limits) {
            delicate |= (band > seen) & (band < mean * limit);
        }
        delicate
    }

    /// The energy of every band. `power` holds at least a whole number of lanes beyond its last bin.
    pub(super) fn apply(&self, power: &[f32], bands: &mut [f32]) {
        let mut weights = self.weights.as_chunks::<LANES>().0;
        for (filter, band) in self.filters.iter().zip(bands) {
            let (mine, rest) = weights.split_at(filter.lanes);
            let mut sums = [0.0; LANES];
            for (weight, power) in mine.iter().zip(power[filter.bin..].as_chunks::<LANES>().0) {
                for lane in 0..LANES {
                    sums[lane] += weight[lane] * power[lane];
                }
            }
            let [a, b, c, d, e, f, g, h] = sums;
            *band = ((a + e) + (c + g)) + ((b + f) + (d + h));
            weights = rest;
        }
    }
}

/// The corners of the triangles in hertz: each begins where the one before peaks and ends where the next one peaks.
fn points(config: &FeatureConfig) -> Vec<f64> {
    let scale = Scale { htk: config.htk };
    let (low, high) = (scale.mel(f64::from(config.fmin)), scale.mel(f64::from(config.fmax())));
    let step = (high - low) / (config.n_mels + 1) as f64;
    let point = |index: usize| scale.hertz(if index > config.n_mels { high } else { low + index as f64 * step });
    (0..config.n_mels + 2).map(point).collect()
}

/// Where each band peaks, in hertz, ascending.
pub fn band_hertz(config: &FeatureConfig) -> Vec<f64> {
    points(config)[1..=config.n_mels].to_vec()
}

/// The mean over a power spectrum.
pub(super) fn mean(power: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    for chunk in power.as_chunks::<LANES>().0 {
        for lane in 0..LANES {
            sums[lane] += chunk[lane];
        }
    }
    sums.iter().sum::<f32>() / power.len() as f32
}

/// The power below which nothing of a clip is seen.
pub(super) fn lowest(bands: &[f32], top_db: f32) -> f32 {
    let loudest = bands.iter().fold(FLOOR, |loudest, &band| if band > loudest { band } else { loudest });
    if top_db > 0.0 { FLOOR.max(loudest * 10_f32.powf(-0.1 * top_db)) } else { FLOOR }
}

/// Hertz and mels, by Slaney (linear to 1 kHz, then logarithmic) or HTK.
struct Scale {
    htk: bool,
}

const HERTZ_PER_MEL: f64 = 200.0 / 3.0;
const KNEE_HERTZ: f64 = 1000.0;
const KNEE_MEL: f64 = KNEE_HERTZ / HERTZ_PER_MEL;

impl Scale {
    fn log_step() -> f64 {
        6.4_f64.ln() / 27.0
    }

    fn mel(&self, hertz: f64) -> f64 {
        if self.htk {
            2595.0 * (1.0 + hertz / 700.0).log10()
        } else if hertz >= KNEE_HERTZ {
            KNEE_MEL + (hertz / KNEE_HERTZ).ln() / Self::log_step()
        } else {
            hertz / HERTZ_PER_MEL
        }
    }

    fn hertz(&self, mel: f64) -> f64 {
        if self.htk {
            700.0 * (10_f64.powf(mel / 2595.0) - 1.0)
        } else if mel >= KNEE_MEL {
            KNEE_HERTZ * (Self::log_step() * (mel - KNEE_MEL)).exp()
        } else {
            HERTZ_PER_MEL * mel
        }
    }
}

/// Power to decibels in place, no lower than `top_db` (if above 0) below the loudest. Returns where a value is not finite.
pub(super) fn to_decibels(power: &mut [f32], top_db: f32) -> Option<usize> {
    let mut loudest = FLOOR;
    let mut finite = true;
    for &value in &*power {
        loudest = if value > loudest { value } else { loudest };
        finite &= value <= f32::MAX;
    }
    if !finite {
        return power.iter().position(|value| !value.is_finite());
    }
    let lowest = if top_db > 0.0 { decibels(loudest) - top_db } else { f32::NEG_INFINITY };
    for value in power {
        let level = decibels(if *value > FLOOR { *value } else { FLOOR });
        *value = if level > lowest { level } else { lowest };
    }
    None
}

/// `10 log10(x)` of a positive normal number, to about 1e-5 dB, in operations that compilers vectorise.
///
/// `x = 2^e m` with `m` in `[sqrt(1/2), sqrt(2))`; the polynomial of `ln m` is that of Cephes' `logf`.
fn decibels(x: f32) -> f32 {
    const ROOT_HALF: u32 = 0x3f35_04f3;
    const PER_OCTAVE: f32 = 3.010_3;
    const PER_NEPER: f32 = 4.342_944_8;
    const COEFFICIENTS: [f32; 9] = [
        7.037_683_6e-2,
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ];
    let bits = x.to_bits().wrapping_sub(ROOT_HALF);
    let exponent = (bits as i32) >> 23;
    let m = f32::from_bits((bits & 0x007f_ffff).wrapping_add(ROOT_HALF)) - 1.0;
    let mut series = COEFFICIENTS[0];
    for coefficient in &COEFFICIENTS[1..] {
        series = series * m + coefficient;
    }
    let square = m * m;
    let ln = m + (m * square * series - 0.5 * square);
    exponent as f32 * PER_OCTAVE + ln * PER_NEPER
}

#[cfg(test)]
mod tests {
    use super::decibels;

    #[test]
    fn decibels_agree_with_log10_over_the_whole_range() {
        let worst = (0..200_000)
            .map(|step| 10_f64.powf(-10.0 + step as f64 * 48.0 / 200_000.0) as f32)
            .map(|x| (f64::from(decibels(x)) - 10.0 * f64::from(x).log10()).abs())
            .fold(0.0, f64::max);
        assert!(worst < 4e-5, "{worst}");
    }
}

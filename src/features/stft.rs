//! The short-time power spectrum: frames, Hann window, a real FFT by way of a complex one of half the length.
//!
//! Written once for f32, which is fast, and f64, which is what librosa transforms in: [`super::LogMel::compute`] says
//! when which is used.

use super::mel::LANES;
use crate::config::{FeatureConfig, PadMode};
use rustfft::num_complex::Complex;
use rustfft::num_traits::AsPrimitive;
use rustfft::{Fft, FftNum, FftPlanner};
use std::f64::consts::TAU;
use std::sync::Arc;

/// f32 or f64.
pub(super) trait Real: FftNum + From<f32> + AsPrimitive<f32> {
    fn narrowed(value: f64) -> Self;
}

impl Real for f32 {
    fn narrowed(value: f64) -> Self {
        value as f32
    }
}

impl Real for f64 {
    fn narrowed(value: f64) -> Self {
        value
    }
}

pub(super) struct Stft<T> {
    /// Of `n_fft / 2` points for an even `n_fft`, which is the usual case; of `n_fft` for an odd one.
    fft: Arc<dyn Fft<T>>,
    /// Halved, because the step from half length to full sums two bins.
    window: Vec<T>,
    /// `-i e^(-2 pi i k / n_fft)` for the bins `k` up to a quarter of `n_fft`, real and imaginary parts.
    twiddles: (Vec<T>, Vec<T>),
    hop: usize,
    /// Samples before the first frame's first sample: `n_fft / 2` when centred.
    pad: usize,
    mode: PadMode,
}

/// Buffers that one clip's frames go through.
pub(super) struct Workspace<T> {
    input: Vec<Complex<T>>,
    spectrum: Vec<Complex<T>>,
    scratch: Vec<Complex<T>>,
    /// A frame that reaches over an end of the clip, with its padding.
    edge: Vec<f32>,
    /// Power of the bins 0 to n_fft/2, then zeros for the filter bank's last lanes.
    power: Vec<f32>,
}

impl<T: Real> Stft<T> {
    pub(super) fn new(config: &FeatureConfig) -> Self {
        let n = config.n_fft;
        let turn = |index: usize| TAU * index as f64 / n as f64;
        Self {
            fft: FftPlanner::new().plan_fft_forward(if n.is_multiple_of(2) { n / 2 } else { n }),
            // Periodic: the period has one more point than a symmetric window of this length.
            window: (0..n).map(|index| T::narrowed(0.25 - 0.25 * turn(index).cos())).collect(),
            twiddles: (1..=n / 4).map(|bin| (T::narrowed(-turn(bin).sin()), T::narrowed(-turn(bin).cos()))).unzip(),
            hop: config.hop_length,
            pad: if config.center { n / 2 } else { 0 },
            mode: config.pad_mode,
        }
    }

    fn n_fft(&self) -> usize {
        self.window.len()
    }

    /// Frames that so many samples give.
    pub(super) fn frames(&self, samples: usize) -> usize {
        match (samples + 2 * self.pad).checked_sub(self.n_fft()) {
            Some(room) if samples > 0 => 1 + room / self.hop,
            _ => 0,
        }
    }

    pub(super) fn samples_for_one(&self) -> usize {
        (self.n_fft() - 2 * self.pad).max(1)
    }

    pub(super) fn workspace(&self) -> Workspace<T> {
        let zero = Complex::new(T::zero(), T::zero());
        let (n, points) = (self.n_fft(), self.fft.len());
        Workspace {
            input: vec![zero; points],
            spectrum: vec![zero; points],
            scratch: vec![zero; self.fft.get_outofplace_scratch_len()],
            edge: vec![0.0; n],
            power: vec![0.0; (n / 2 + 1).next_multiple_of(LANES) + LANES],
        }
    }

    /// The power spectrum of a frame: bins 0 to n_fft/2, then at least [`LANES`] zeros.
    pub(super) fn power<'a>(&self, samples: &[f32], frame: usize, work: &'a mut Workspace<T>) -> &'a [f32] {
        let Workspace { input, spectrum, scratch, edge, power } = work;
        let frame = self.frame(samples, frame, edge);
        if self.n_fft().is_multiple_of(2) {
            let pairs = frame.as_chunks::<2>().0.iter().zip(self.window.as_chunks::<2>().0);
            for (z, ([x, y], [v, w])) in input.iter_mut().zip(pairs) {
                *z = Complex::new(*v * T::from(*x), *w * T::from(*y));
            }
            self.fft.process_outofplace_with_scratch(input, spectrum, scratch);
            unfold(spectrum, &self.twiddles.0, &self.twiddles.1, power);
        } else {
            for (z, (x, w)) in input.iter_mut().zip(frame.iter().zip(&self.window)) {
                *z = Complex::new(*w * T::from(*x), T::zero());
            }
            self.fft.process_outofplace_with_scratch(input, spectrum, scratch);
            let bins = self.n_fft() / 2 + 1;
            for (power, z) in power.iter_mut().zip(&spectrum[..bins]) {
                *power = 4.0 * z.norm_sqr().as_();
            }
        }
        power
    }

    /// The samples under a frame: a slice of the clip, or a padded copy at its ends.
    fn frame<'a>(&self, samples: &'a [f32], frame: usize, edge: &'a mut [f32]) -> &'a [f32] {
        let begin = frame * self.hop;
        let inside = begin.checked_sub(self.pad).and_then(|begin| samples.get(begin..begin + self.n_fft()));
        inside.unwrap_or_else(|| {
            for (offset, value) in edge.iter_mut().enumerate() {
                *value = self.padded(samples, (begin + offset) as isize - self.pad as isize);
            }
            edge
        })
    }

    fn padded(&self, samples: &[f32], index: isize) -> f32 {
        let length = samples.len() as isize;
        match self.mode {
            _ if (0..length).contains(&index) => samples[index as usize],
            PadMode::Constant => 0.0,
            PadMode::Reflect => {
                // Mirrored at both ends as often as it takes; a single sample repeats.
                let period = (2 * (length - 1)).max(1);
                let folded = index.rem_euclid(period);
                samples[folded.min(period - folded).min(length - 1) as usize]
            }
        }
    }
}

/// `|X[k]|^2` of `n` real samples from `Z`, the spectrum of `x[2m] + i x[2m+1]` over `n/2` points.
///
/// With `E = Z[k] + conj Z[n/2-k]`, `O = Z[k] - conj Z[n/2-k]` and `T = -i e^(-2 pi i k/n) O`: `2 X[k] = E + T` and
/// `2 conj X[n/2-k] = E - T`. The halves are in the window.
fn unfold<T: Real>(z: &[Complex<T>], cos: &[T], sin: &[T], power: &mut [f32]) {
    let half = z.len();
    // Bin 0 is its own mirror image and gives the bins 0 and n/2; the middle one has no partner.
    let (even, turned) = (z[0].re + z[0].re, z[0].im + z[0].im);
    power[0] = ((even + turned) * (even + turned)).as_();
    power[half] = ((even - turned) * (even - turned)).as_();
    power[half / 2] = if half > 1 { 4.0 * z[half / 2].norm_sqr().as_() } else { power[0] };
    let pairs = (half - 1) / 2;
    let (low, high) = power[1..half].split_at_mut(half / 2);
    let (low, high) = (&mut low[..pairs], &mut high[..pairs]);
    let (rising, falling) = (&z[1..1 + pairs], &z[half - pairs..]);
    // Whole blocks, which become vector instructions, then the rest.
    let blocks = pairs / BLOCK;
    let (z, mirror) = (rising.as_chunks::<BLOCK>().0, falling.as_rchunks::<BLOCK>().1);
    let (cos_blocks, sin_blocks) = (cos.as_chunks::<BLOCK>().0, sin.as_chunks::<BLOCK>().0);
    let (low_blocks, high_blocks) = (low.as_chunks_mut::<BLOCK>().0, high.as_rchunks_mut::<BLOCK>().1);
    for (((z, mirror), (cos, sin)), (low, high)) in z
        .iter()
        .zip(mirror.iter().rev())
        .zip(cos_blocks.iter().zip(sin_blocks))
        .zip(low_blocks.iter_mut().zip(high_blocks.iter_mut().rev()))
    {
        (*low, *high) = unfold_block(z, mirror, cos, sin);
    }
    for k in blocks * BLOCK..pairs {
        let (z, mirror, zero) = (rising[k], falling[pairs - 1 - k], Complex::new(T::zero(), T::zero()));
        let mirrors = [zero, zero, zero, mirror];
        let (lows, highs) = unfold_block(&[z; BLOCK], &mirrors, &[cos[k]; BLOCK], &[sin[k]; BLOCK]);
        (low[k], high[pairs - 1 - k]) = (lows[0], highs[BLOCK - 1]);
    }
}

/// Pairs that are unfolded side by side.
const BLOCK: usize = 4;

/// Bins in rising order, their mirror images before and behind it in falling order, as `mirror` is.
///
/// Real and imaginary parts in arrays of their own are what compilers turn into vector instructions.
#[inline(always)]
fn unfold_block<T: Real>(
    z: &[Complex<T>; BLOCK],
    mirror: &[Complex<T>; BLOCK],
    cos: &[T; BLOCK],
    sin: &[T; BLOCK],
) -> ([f32; BLOCK], [f32; BLOCK]) {
    let lanes = |f: &dyn Fn(usize) -> T| -> [T; BLOCK] { std::array::from_fn(f) };
    let (re, im) = (lanes(&|i| z[i].re), lanes(&|i| z[i].im));
    let (mirror_re, mirror_im) = (lanes(&|i| mirror[BLOCK - 1 - i].re), lanes(&|i| mirror[BLOCK - 1 - i].im));
    let (even_re, even_im) = (lanes(&|i| re[i] + mirror_re[i]), lanes(&|i| im[i] - mirror_im[i]));
    let (odd_re, odd_im) = (lanes(&|i| re[i] - mirror_re[i]), lanes(&|i| im[i] + mirror_im[i]));
    let turned_re = lanes(&|i| cos[i] * odd_re[i] - sin[i] * odd_im[i]);
    let turned_im = lanes(&|i| cos[i] * odd_im[i] + sin[i] * odd_re[i]);
    let (sum_re, sum_im) = (lanes(&|i| even_re[i] + turned_re[i]), lanes(&|i| even_im[i] + turned_im[i]));
    let (rest_re, rest_im) = (lanes(&|i| even_re[i] - turned_re[i]), lanes(&|i| even_im[i] - turned_im[i]));
    let low = lanes(&|i| sum_re[i] * sum_re[i] + sum_im[i] * sum_im[i]);
    let high = lanes(&|i| rest_re[i] * rest_re[i] + rest_im[i] * rest_im[i]);
    (low.map(|power| power.as_()), std::array::from_fn(|i| high[BLOCK - 1 - i].as_()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Real>(n: usize, tolerance: f64) {
        let config = FeatureConfig { n_fft: n, hop_length: 3, center: false, ..FeatureConfig::default() };
        let stft = Stft::<T>::new(&config);
        let samples: Vec<f32> = (0..n).map(|index| ((index * index + 1) as f32 * 0.7).sin()).collect();
        let mut work = stft.workspace();
        let power = stft.power(&samples, 0, &mut work);
        for (bin, &power) in power[..n / 2 + 1].iter().enumerate() {
            let term = |(index, &sample): (usize, &f32)| {
                let hann = 0.5 - 0.5 * (TAU * index as f64 / n as f64).cos();
                Complex::from_polar(hann * f64::from(sample), -TAU * (bin * index) as f64 / n as f64)
            };
            let expected = samples.iter().enumerate().map(term).sum::<Complex<f64>>().norm_sqr();
            assert!((f64::from(power) - expected).abs() < tolerance, "n_fft {n}, bin {bin}: {power}, expected {expected}");
        }
    }

    #[test]
    fn power_is_that_of_the_plain_sum_at_every_small_size() {
        for n in 2..70 {
            check::<f32>(n, 1e-3);
            check::<f64>(n, 1e-4);
        }
    }
}

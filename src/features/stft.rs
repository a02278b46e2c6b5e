//! The short-time power spectrum: frames, Hann window, a real FFT by way of a complex one of half the length.
//!
//! In f64 like librosa's, although samples and power are f32: rounding in f32 lies some 140 dB below a frame's energy
//! spread over all bins, and shows in the quiet bands of tonal sound (0.7 dB at -100 dB beside a full-scale sweep).

use super::mel::LANES;
use crate::config::{FeatureConfig, PadMode};
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};
use std::f64::consts::TAU;
use std::sync::Arc;

pub(super) struct Stft {
    /// Of `n_fft / 2` points for an even `n_fft`, which is the usual case; of `n_fft` for an odd one.
    fft: Arc<dyn Fft<f64>>,
    /// Halved, because the step from half length to full sums two bins.
    window: Vec<f64>,
    /// `-i e^(-2 pi i k / n_fft)` for the bins `k` up to a quarter of `n_fft`.
    twiddles: Vec<Complex<f64>>,
    hop: usize,
    /// Samples before the first frame's first sample: `n_fft / 2` when centred.
    pad: usize,
    mode: PadMode,
}

/// Buffers that one clip's frames go through.
pub(super) struct Workspace {
    input: Vec<Complex<f64>>,
    spectrum: Vec<Complex<f64>>,
    scratch: Vec<Complex<f64>>,
    /// A frame that reaches over an end of the clip, with its padding.
    edge: Vec<f32>,
    /// Power of the bins 0 to n_fft/2, then zeros for the filter bank's last lanes.
    power: Vec<f32>,
}

impl Stft {
    pub(super) fn new(config: &FeatureConfig) -> Self {
        let n = config.n_fft;
        let turn = |index: usize| TAU * index as f64 / n as f64;
        Self {
            fft: FftPlanner::new().plan_fft_forward(if n.is_multiple_of(2) { n / 2 } else { n }),
            // Periodic: the period has one more point than a symmetric window of this length.
            window: (0..n).map(|index| 0.5 * (0.5 - 0.5 * turn(index).cos())).collect(),
            twiddles: (0..=n / 4).map(|bin| Complex::new(-turn(bin).sin(), -turn(bin).cos())).collect(),
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

    pub(super) fn workspace(&self) -> Workspace {
        let (n, points) = (self.n_fft(), self.fft.len());
        Workspace {
            input: vec![Complex::default(); points],
            spectrum: vec![Complex::default(); points],
            scratch: vec![Complex::default(); self.fft.get_outofplace_scratch_len()],
            edge: vec![0.0; n],
            power: vec![0.0; (n / 2 + 1).next_multiple_of(LANES) + LANES],
        }
    }

    /// The power spectrum of a frame: bins 0 to n_fft/2, then at least [`LANES`] zeros.
    pub(super) fn power<'a>(&self, samples: &[f32], frame: usize, work: &'a mut Workspace) -> &'a [f32] {
        let Workspace { input, spectrum, scratch, edge, power } = work;
        let frame = self.frame(samples, frame, edge);
        if self.n_fft().is_multiple_of(2) {
            let pairs = frame.as_chunks::<2>().0.iter().zip(self.window.as_chunks::<2>().0);
            for (z, ([x, y], [v, w])) in input.iter_mut().zip(pairs) {
                *z = Complex::new(v * f64::from(*x), w * f64::from(*y));
            }
            self.fft.process_outofplace_with_scratch(input, spectrum, scratch);
            unfold(spectrum, &self.twiddles, power);
        } else {
            for (z, (x, w)) in input.iter_mut().zip(frame.iter().zip(&self.window)) {
                *z = Complex::new(w * f64::from(*x), 0.0);
            }
            self.fft.process_outofplace_with_scratch(input, spectrum, scratch);
            let bins = self.n_fft() / 2 + 1;
            for (power, z) in power.iter_mut().zip(&spectrum[..bins]) {
                *power = (4.0 * z.norm_sqr()) as f32;
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
fn unfold(z: &[Complex<f64>], twiddles: &[Complex<f64>], power: &mut [f32]) {
    let half = z.len();
    // Bin 0 is its own mirror image and gives the bins 0 and n/2.
    let (even, turned) = (2.0 * z[0].re, 2.0 * z[0].im);
    power[0] = ((even + turned) * (even + turned)) as f32;
    power[half] = ((even - turned) * (even - turned)) as f32;
    let (low, high) = power[1..half].split_at_mut(half / 2);
    let pairs = z[1..].iter().zip(z[1..].iter().rev()).zip(&twiddles[1..]);
    for (((z, mirror), twiddle), (low, high)) in pairs.zip(low.iter_mut().zip(high.iter_mut().rev())) {
        let even = z + mirror.conj();
        let turned = twiddle * (z - mirror.conj());
        *low = (even + turned).norm_sqr() as f32;
        *high = (even - turned).norm_sqr() as f32;
    }
    // Of an even number of points the middle one has no partner.
    if half.is_multiple_of(2) {
        power[half / 2] = (4.0 * z[half / 2].norm_sqr()) as f32;
    }
}

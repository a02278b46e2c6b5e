//! The short-time power spectrum: frames, Hann window, two real frames per complex FFT.

use super::mel::LANES;
use crate::config::{FeatureConfig, PadMode};
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};
use std::f64::consts::TAU;
use std::sync::Arc;

pub(super) struct Stft {
    fft: Arc<dyn Fft<f32>>,
    /// Halved, because the split of the pair sums two bins.
    window: Vec<f32>,
    hop: usize,
    /// Samples before the first frame's first sample: `n_fft / 2` when centred.
    pad: usize,
    mode: PadMode,
}

/// Buffers that one clip's frames go through.
pub(super) struct Workspace {
    /// The pair, as real and imaginary part.
    input: Vec<Complex<f32>>,
    spectrum: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
    /// A frame that reaches over an end of the clip, with its padding.
    edge: [Vec<f32>; 2],
    /// Power of the bins 0 to n_fft/2, then zeros for the bank's last lanes.
    power: [Vec<f32>; 2],
}

impl Workspace {
    pub(super) fn first(&self) -> &[f32] {
        &self.power[0]
    }

    pub(super) fn second(&self) -> &[f32] {
        &self.power[1]
    }
}

impl Stft {
    pub(super) fn new(config: &FeatureConfig) -> Self {
        let n = config.n_fft;
        // Periodic: one more point than there are samples.
        let hann = |index: usize| 0.5 - 0.5 * (TAU * index as f64 / n as f64).cos();
        Self {
            fft: FftPlanner::new().plan_fft_forward(n),
            window: (0..n).map(|index| (0.5 * hann(index)) as f32).collect(),
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
        let n = self.n_fft();
        let power = || vec![0.0; (n / 2 + 1).next_multiple_of(LANES) + LANES];
        Workspace {
            input: vec![Complex::default(); n],
            spectrum: vec![Complex::default(); n],
            scratch: vec![Complex::default(); self.fft.get_outofplace_scratch_len()],
            edge: [vec![0.0; n], vec![0.0; n]],
            power: [power(), power()],
        }
    }

    /// The power spectra of one or two frames.
    pub(super) fn pair(&self, samples: &[f32], first: usize, second: Option<usize>, work: &mut Workspace) {
        let Workspace { input, spectrum, scratch, edge: [edge_a, edge_b], power } = work;
        let a = self.frame(samples, first, edge_a);
        match second {
            Some(second) => {
                let b = self.frame(samples, second, edge_b);
                for (((z, w), a), b) in input.iter_mut().zip(&self.window).zip(a).zip(b) {
                    *z = Complex::new(w * a, w * b);
                }
            }
            None => {
                for ((z, w), a) in input.iter_mut().zip(&self.window).zip(a) {
                    *z = Complex::new(w * a, 0.0);
                }
            }
        }
        self.fft.process_outofplace_with_scratch(input, spectrum, scratch);
        let [power_a, power_b] = power;
        split(spectrum, power_a, power_b);
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

/// `|A|^2` and `|B|^2` from `Z = FFT(a + i b)`: `A[k] = (Z[k] + conj Z[n-k]) / 2`, `B[k] = (Z[k] - conj Z[n-k]) / 2i`.
/// The halves are in the window.
fn split(z: &[Complex<f32>], power_a: &mut [f32], power_b: &mut [f32]) {
    let half = z.len() / 2;
    power_a[0] = 4.0 * z[0].re * z[0].re;
    power_b[0] = 4.0 * z[0].im * z[0].im;
    let (low, high) = (&z[1..=half], &z[z.len() - half..]);
    let out = power_a[1..=half].iter_mut().zip(&mut power_b[1..=half]);
    for ((a, b), (z, mirrored)) in out.zip(low.iter().zip(high.iter().rev())) {
        let (re_sum, im_sum) = (z.re + mirrored.re, z.im + mirrored.im);
        let (re_difference, im_difference) = (z.re - mirrored.re, z.im - mirrored.im);
        *a = re_sum * re_sum + im_difference * im_difference;
        *b = im_sum * im_sum + re_difference * re_difference;
    }
}

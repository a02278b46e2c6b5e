//! Every shift of every pair of clips at once: correlations by FFT.

use super::fingerprint::{Fingerprint, overlap};
use rustfft::num_complex::Complex32;
use rustfft::{Fft, FftPlanner};
use std::sync::Arc;

/// Shifts of a pair that are worth a closer look.
const PEAKS: usize = 3;

/// The transforms of fingerprints of one grain.
pub(super) struct Spectra {
    fingerprints: Vec<Fingerprint>,
    /// `(band, frequency)` of each, real parts and imaginary ones.
    parts: Vec<(Vec<f32>, Vec<f32>)>,
    length: usize,
    inverse: Arc<dyn Fft<f32>>,
}

/// What a thread works with.
pub(super) struct Workspace {
    sums: (Vec<f32>, Vec<f32>),
    signal: Vec<Complex32>,
    scratch: Vec<Complex32>,
}

impl Spectra {
    /// Transforms fingerprints of one number of bands.
    pub fn of(fingerprints: Vec<Fingerprint>) -> Self {
        let longest = fingerprints.iter().map(Fingerprint::steps).max().unwrap_or(0);
        // Long enough that no shift wraps around into another.
        let length = (2 * longest).next_power_of_two().max(2);
        let mut planner = FftPlanner::new();
        let forward = planner.plan_fft_forward(length);
        let parts = fingerprints.iter().map(|fingerprint| transform(fingerprint, &*forward, length)).collect();
        Self { fingerprints, parts, length, inverse: planner.plan_fft_inverse(length) }
    }

    pub fn workspace(&self) -> Workspace {
        let zeros = vec![0.0; self.length / 2 + 1];
        Workspace {
            sums: (zeros.clone(), zeros),
            signal: vec![Complex32::default(); self.length],
            scratch: vec![Complex32::default(); self.inverse.get_inplace_scratch_len()],
        }
    }

    /// The most alike shifts `(correlation, lag)` of a pair, best first, none below `least`: the second's step 0 lies at
    /// the first's step `lag`, and they share at least `shared` steps.
    pub fn peaks(&self, first: usize, second: usize, shared: usize, least: f64, work: &mut Workspace) -> Vec<(f64, isize)> {
        let (one, two) = (&self.fingerprints[first], &self.fingerprints[second]);
        self.products(first, second, work);
        let scale = 1.0 / self.length as f64;
        let correlation = |lag: isize| {
            let (start, end) = overlap(one.steps(), two.steps(), lag);
            if end - start < shared.max(1) {
                return f64::NEG_INFINITY;
            }
            let products = f64::from(work.signal[lag.rem_euclid(self.length as isize) as usize].re) * scale;
            one.normalised(two, lag, products)
        };
        let lags = 1 - two.steps() as isize..one.steps() as isize;
        let mut peaks: Vec<(f64, isize)> = Vec::new();
        let (mut before, mut here) = (f64::NEG_INFINITY, correlation(lags.start));
        for lag in lags {
            let after = correlation(lag + 1);
            if here >= least && here >= before && here > after {
                peaks.push((here, lag));
            }
            (before, here) = (here, after);
        }
        peaks.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.abs().cmp(&b.1.abs())));
        peaks.truncate(PEAKS);
        peaks
    }

    /// Leaves the sum over bands and steps of first(step + lag) second(step) in the workspace's signal, times the length.
    fn products(&self, first: usize, second: usize, work: &mut Workspace) {
        let Workspace { sums: (re, im), signal, scratch } = work;
        let ((a_re, a_im), (b_re, b_im)) = (&self.parts[first], &self.parts[second]);
        let half = self.length / 2 + 1;
        re.fill(0.0);
        im.fill(0.0);
        for (((a_re, a_im), b_re), b_im) in
            a_re.chunks_exact(half).zip(a_im.chunks_exact(half)).zip(b_re.chunks_exact(half)).zip(b_im.chunks_exact(half))
        {
            for i in 0..half {
                re[i] += a_re[i] * b_re[i] + a_im[i] * b_im[i];
                im[i] += a_im[i] * b_re[i] - a_re[i] * b_im[i];
            }
        }
        for (i, (&re, &im)) in re.iter().zip(im.iter()).enumerate() {
            signal[i] = Complex32::new(re, im);
            if i > 0 && i < half - 1 {
                signal[self.length - i] = Complex32::new(re, -im);
            }
        }
        self.inverse.process_with_scratch(signal, scratch);
    }
}

fn transform(fingerprint: &Fingerprint, forward: &dyn Fft<f32>, length: usize) -> (Vec<f32>, Vec<f32>) {
    let (mut re, mut im) = (Vec::new(), Vec::new());
    for band in 0..fingerprint.bands {
        let steps = fingerprint.values.iter().skip(band).step_by(fingerprint.bands);
        let mut signal: Vec<Complex32> = steps.map(|&value| Complex32::new(value, 0.0)).collect();
        signal.resize(length, Complex32::default());
        forward.process(&mut signal);
        re.extend(signal[..length / 2 + 1].iter().map(|value| value.re));
        im.extend(signal[..length / 2 + 1].iter().map(|value| value.im));
    }
    (re, im)
}

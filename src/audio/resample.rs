//! Another sample rate, band-limited, aligned in time.
//!
//! Rubato's synchronous resampler multiplies block spectra with a windowed sinc (Blackman-Harris squared), so the pass
//! band is flat and what would alias is some 150 dB down.

use super::{AudioError, SAMPLE_RATES};
use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler, Sample};

/// Input samples per block, at least: the block is the filter's length, so the transition band shrinks as it grows.
const BLOCK: usize = 1024;

/// Rates with no common divisor make blocks as long as a second; their filter is built and applied in f64.
const LONG_BLOCK: usize = 8192;

/// `samples` at rate `from` to rate `to`: `ceil(samples * to / from)` samples.
pub(super) fn resample(samples: &[f32], from: u32, to: u32) -> Result<Vec<f32>, AudioError> {
    let refuse = |reason: String| AudioError::Resample { from, to, reason };
    if !SAMPLE_RATES.contains(&from) || !SAMPLE_RATES.contains(&to) {
        return Err(refuse(format!("use rates from {} to {} Hz", SAMPLE_RATES.start(), SAMPLE_RATES.end())));
    }
    if samples.is_empty() {
        return Ok(Vec::new());
    }
    let divisor = gcd(from, to);
    let (step_in, step_out) = ((from / divisor) as usize, (to / divisor) as usize);
    // An even number of steps makes both block sizes even: half a block, the filter's delay, is then a whole sample.
    let steps = (BLOCK.div_ceil(step_in)).max(BLOCK.div_ceil(step_out)).next_multiple_of(2);
    let block = steps * step_in;
    let length = (samples.len() as u64 * u64::from(to)).div_ceil(u64::from(from)) as usize;
    let output = if block.max(steps * step_out) <= LONG_BLOCK {
        convert(samples, from, to, block).map(|mut output| {
            output.resize(length, 0.0);
            output
        })
    } else {
        let wide: Vec<f64> = samples.iter().map(|&sample| sample.into()).collect();
        convert(&wide, from, to, block).map(|mut output| {
            output.resize(length, 0.0);
            output.into_iter().map(|sample| sample as f32).collect()
        })
    };
    output.map_err(refuse)
}

fn convert<T: Sample>(samples: &[T], from: u32, to: u32, block: usize) -> Result<Vec<T>, String> {
    let mut resampler =
        Fft::<T>::new(from as usize, to as usize, block, 1, FixedSync::Both).map_err(|error| error.to_string())?;
    let input = SequentialSlice::new(samples, 1, samples.len()).map_err(|error| error.to_string())?;
    let output = resampler.process_all(&input, samples.len(), None).map_err(|error| error.to_string())?;
    Ok(output.take_data())
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

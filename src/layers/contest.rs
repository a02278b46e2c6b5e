//! What contests between kernels share: numbers to measure with, how long a candidate takes, and when two results agree.

use crate::gpu::{Element, Gpu, GpuError, Pass, Precision, Tensor};
use std::time::{Duration, Instant};

/// Largest difference, as a share of what is compared: a thousand times what rounding makes.
const TOLERANCE: f32 = 1e-3;
/// The same of what is rounded to f16 when it is stored, and perhaps once more for every part of a sum: four steps.
const HALF_TOLERANCE: f32 = 4e-3;

/// What products are made of and maps stored as, in the names of choices.
pub(super) fn precision_words(gpu: &Gpu, maps: Element) -> &'static str {
    match (gpu.precision(), maps) {
        (Precision::F32, _) => "",
        (Precision::Mixed, Element::F16) => ", mixed, halves",
        (Precision::Mixed, _) => ", mixed",
    }
}

/// Fills `tensor` with numbers of either sign, up to `scale`.
pub(super) fn wave(gpu: &Gpu, tensor: &Tensor, factor: f32, scale: f32) {
    let values: Vec<f32> = (0..tensor.elements()).map(|i| scale * (factor * (i % 65_521) as f32).sin()).collect();
    gpu.write_numbers(tensor, &values);
}

/// Whether no element is further from the expected one than that share of the largest magnitude; of sums, than of `terms`, which
/// is what their terms come to if they do not happen to cancel.
fn close_sums(tolerance: f32, terms: f32, expected: &[f32], actual: &[f32]) -> bool {
    let largest = expected.iter().fold(terms, |largest, value| largest.max(value.abs()));
    // A NaN is close to nothing.
    expected.iter().zip(actual).all(|(a, b)| (a - b).abs() <= tolerance * largest)
}

/// What is prepared of each candidate: of the first it must be there, another that a driver does not take is out of the race.
pub(super) fn entrants<T>(prepared: impl IntoIterator<Item = Result<T, GpuError>>) -> Result<Vec<Option<T>>, GpuError> {
    let entrant = |(place, prepared)| match prepared {
        Err(error) if place > 0 => {
            tracing::warn!(%error, "a kernel cannot be prepared: not used");
            Ok(None)
        }
        prepared => Result::map(prepared, Some),
    };
    prepared.into_iter().enumerate().map(entrant).collect()
}

/// How long what `record` records takes once, when the device does it `repeats` times in a row.
pub(super) fn timed(gpu: &Gpu, repeats: u32, mut record: impl FnMut(&mut Pass<'_>)) -> Result<Duration, GpuError> {
    gpu.wait()?;
    let began = Instant::now();
    let mut pass = Pass::new(gpu);
    (0..repeats).for_each(|_| record(&mut pass));
    pass.submit()?;
    gpu.wait()?;
    Ok(began.elapsed() / repeats)
}

/// What candidates write: tensors, each with how large a sum of as many terms as an element adds up is when they are of either
/// sign; 0 where elements are no such sums.
pub(super) struct Written(pub(super) Vec<(Tensor, f32)>);

impl Written {
    /// Tensors whose elements are no sums that nearly vanish.
    pub(super) fn plain(tensors: impl IntoIterator<Item = Tensor>) -> Self {
        Self(tensors.into_iter().map(|tensor| (tensor, 0.0)).collect())
    }

    /// What `run` leaves in them. All are cleared first: what a kernel leaves out must not stand there from before, and some
    /// add to what they find.
    pub(super) fn results(&self, gpu: &Gpu, run: impl FnOnce() -> Result<Duration, GpuError>) -> Result<Vec<Vec<f32>>, GpuError> {
        let mut pass = Pass::new(gpu);
        self.0.iter().for_each(|(tensor, _)| pass.clear(tensor));
        pass.submit()?;
        run()?;
        self.0.iter().map(|(tensor, _)| gpu.read_numbers(tensor)).collect()
    }

    /// Whether two such results agree.
    pub(super) fn agree(&self, expected: &[Vec<f32>], actual: &[Vec<f32>]) -> bool {
        self.agree_within(TOLERANCE, expected, actual)
    }

    /// The same where one of them comes of rounded operands.
    pub(super) fn agree_but_for_rounding(&self, expected: &[Vec<f32>], actual: &[Vec<f32>]) -> bool {
        self.agree_within(HALF_TOLERANCE, expected, actual)
    }

    fn agree_within(&self, tolerance: f32, expected: &[Vec<f32>], actual: &[Vec<f32>]) -> bool {
        let mut pairs = expected.iter().zip(actual).zip(&self.0);
        pairs.all(|((expected, actual), (tensor, terms))| {
            let halves = matches!(tensor.element(), Element::F16 | Element::Rounded);
            close_sums(if halves { HALF_TOLERANCE } else { tolerance }, *terms, expected, actual)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{TOLERANCE, close_sums, entrants};
    use crate::gpu::GpuError;

    #[test]
    fn a_candidate_that_cannot_be_prepared_is_left_out_unless_all_depends_on_it() {
        let failure = || Err(GpuError::DeviceLost { message: "a driver".into() });
        assert_eq!(entrants([Ok(1), failure(), Ok(3)]).ok(), Some(vec![Some(1), None, Some(3)]));
        assert!(entrants([failure(), Ok(2)]).is_err());
    }

    fn close(expected: &[f32], actual: &[f32]) -> bool {
        close_sums(TOLERANCE, 0.0, expected, actual)
    }

    #[test]
    fn what_is_off_or_not_a_number_does_not_agree_and_sums_may_vanish() {
        assert!(close(&[1.0, -2.0], &[1.001, -2.0]));
        assert!(!close(&[1.0, -2.0], &[1.01, -2.0]));
        assert!(!close(&[1.0, -2.0], &[f32::NAN, -2.0]) && !close(&[f32::NAN, 1.0], &[f32::NAN, 1.0]));
        assert!(!close(&[1e-6], &[2e-6]) && close_sums(TOLERANCE, 1.0, &[1e-6], &[2e-6]));
        assert!(!close_sums(TOLERANCE, 1.0, &[1.0], &[f32::NAN]));
    }
}

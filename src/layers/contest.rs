//! What contests between kernels share: numbers to measure with, and when two results agree.

use crate::gpu::{Gpu, Tensor};

/// Largest difference, as a share of what is compared: a thousand times what rounding makes.
const TOLERANCE: f32 = 1e-3;

/// Fills `tensor` with numbers of either sign, up to `scale`.
pub(super) fn wave(gpu: &Gpu, tensor: &Tensor, factor: f32, scale: f32) {
    let values: Vec<f32> = (0..tensor.elements()).map(|i| scale * (factor * (i % 65_521) as f32).sin()).collect();
    gpu.write(tensor, &values);
}

/// Whether no element is further from the expected one than a thousandth of the largest magnitude.
pub(super) fn close(expected: &[f32], actual: &[f32]) -> bool {
    close_sums(0.0, expected, actual)
}

/// As [`close`], for sums of terms so large that `terms` is what they come to if they do not happen to cancel.
pub(super) fn close_sums(terms: f32, expected: &[f32], actual: &[f32]) -> bool {
    let largest = expected.iter().fold(terms, |largest, value| largest.max(value.abs()));
    // A NaN is close to nothing.
    expected.iter().zip(actual).all(|(a, b)| (a - b).abs() <= TOLERANCE * largest)
}

#[cfg(test)]
mod tests {
    use super::{close, close_sums};

    #[test]
    fn what_is_off_or_not_a_number_does_not_agree_and_sums_may_vanish() {
        assert!(close(&[1.0, -2.0], &[1.001, -2.0]));
        assert!(!close(&[1.0, -2.0], &[1.01, -2.0]));
        assert!(!close(&[1.0, -2.0], &[f32::NAN, -2.0]) && !close(&[f32::NAN, 1.0], &[f32::NAN, 1.0]));
        assert!(!close(&[1e-6], &[2e-6]) && close_sums(1.0, &[1e-6], &[2e-6]));
        assert!(!close_sums(1.0, &[1.0], &[f32::NAN]));
    }
}

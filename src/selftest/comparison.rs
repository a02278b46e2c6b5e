//! One tensor that a kernel wrote, beside what the `f64` reference makes of the same numbers.

use crate::gpu::Element;
use crate::reference::{batch_norm, half};

/// What every comparison allows unless it says why not: a share of the largest magnitude of the tensor.
pub(super) const TOLERANCE: f64 = 1e-4;

/// How far a kernel's tensor lies from its reference.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Comparison {
    /// The kernel family: the name of its shader.
    pub kernel: &'static str,
    /// The sizes and the variant, as words.
    pub case: String,
    /// Which tensor.
    pub compared: &'static str,
    /// Largest difference of one element; infinite if an element is not finite or written where nothing belongs.
    pub worst_absolute: f64,
    /// The same as a share of the largest magnitude of the reference.
    pub worst_relative: f64,
    /// The largest `worst_relative` that passes.
    pub tolerance: f64,
}

impl Comparison {
    /// Whether the two agree.
    pub fn passes(&self) -> bool {
        self.worst_relative <= self.tolerance
    }
}

/// The largest difference between the two, absolute and as a share of the largest expected magnitude, or of `terms` if
/// that is larger. Where NaN is expected, nothing may have been written: the poison of before must still be there.
fn worst(terms: f64, expected: &[f64], actual: &[f32]) -> (f64, f64) {
    if expected.len() != actual.len() {
        return (f64::INFINITY, f64::INFINITY);
    }
    let mut absolute = 0.0f64;
    let mut largest = terms;
    for (&expected, &actual) in expected.iter().zip(actual) {
        let actual = f64::from(actual);
        let difference = match (expected.is_nan(), actual.is_nan()) {
            (true, true) => 0.0,
            (false, false) if expected == actual => 0.0,
            (false, false) => (expected - actual).abs(),
            _ => f64::INFINITY,
        };
        absolute = absolute.max(difference);
        largest = largest.max(if expected.is_finite() { expected.abs() } else { 0.0 });
    }
    (absolute, if absolute == 0.0 { 0.0 } else { absolute / largest })
}

/// The comparisons of one case.
#[derive(Debug)]
pub(super) struct Comparisons {
    kernel: &'static str,
    case: String,
    tolerance: f64,
    list: Vec<Comparison>,
}

impl Comparisons {
    pub(super) fn new(kernel: &'static str, case: &impl std::fmt::Display) -> Self {
        Self { kernel, case: case.to_string(), tolerance: TOLERANCE, list: Vec::new() }
    }

    /// The same with another tolerance for what is added by [`Comparisons::add`].
    pub(super) fn within(self, tolerance: f64) -> Self {
        Self { tolerance, ..self }
    }

    /// Adds `actual` beside `expected` within the usual tolerance.
    pub(super) fn add(&mut self, compared: &'static str, expected: &[f64], actual: &[f32]) {
        self.add_within(self.tolerance, compared, expected, actual);
    }

    /// As [`Comparisons::add`], within a tolerance of its own.
    pub(super) fn add_within(&mut self, tolerance: f64, compared: &'static str, expected: &[f64], actual: &[f32]) {
        self.push(tolerance, 0.0, compared, expected, actual);
    }

    /// As [`Comparisons::add`], for sums whose terms are as large as `terms` and may nearly cancel.
    pub(super) fn add_sums(&mut self, terms: f64, compared: &'static str, expected: &[f64], actual: &[f32]) {
        self.push(TOLERANCE, terms, compared, expected, actual);
    }

    /// As [`Comparisons::add`], of what is stored as a map; where those are rounded, so must this be.
    pub(super) fn add_map(&mut self, maps: Element, compared: &'static str, expected: &[f64], actual: &[f32]) {
        self.add(compared, expected, actual);
        self.add_rounded(maps, "what is stored, rounded", actual);
    }

    /// Where maps are stored rounded, whether this is.
    pub(super) fn add_rounded(&mut self, maps: Element, compared: &'static str, actual: &[f32]) {
        if maps != Element::F32 {
            let rounded: Vec<f64> = actual.iter().map(|&value| half::round(f64::from(value))).collect();
            self.add_within(0.0, compared, &rounded, actual);
        }
    }

    /// Where maps are stored rounded: their statistics, pairs of mean and inverse deviation, beside those of what was `written`, NaN
    /// left out; what is stored counts, not what was there before it was rounded.
    pub(super) fn add_stored_statistics(&mut self, maps: Element, channels: usize, written: &[f32], pairs: &[f32]) {
        if maps == Element::F32 {
            return;
        }
        let y: Vec<f64> = written.iter().filter(|value| !value.is_nan()).map(|&value| f64::from(value)).collect();
        let size = batch_norm::Size { rows: y.len() / channels, channels };
        let expected = batch_norm::Statistics::of_batch(size, &y, 1e-3);
        let every = |place: usize| pairs.iter().skip(place).step_by(2).copied().collect::<Vec<_>>();
        self.add_within(TOLERANCE, "mean of what is stored", &expected.mean, &every(0));
        self.add_within(TOLERANCE, "deviation of what is stored", &expected.inv_std, &every(1));
    }

    fn push(&mut self, tolerance: f64, terms: f64, compared: &'static str, expected: &[f64], actual: &[f32]) {
        let (worst_absolute, worst_relative) = worst(terms, expected, actual);
        let (kernel, case) = (self.kernel, self.case.clone());
        self.list.push(Comparison { kernel, case, compared, worst_absolute, worst_relative, tolerance });
    }

    pub(super) fn done(self) -> Vec<Comparison> {
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_a_nan_and_a_write_out_of_place_are_seen() {
        assert_eq!(worst(0.0, &[2.0, f64::NAN], &[2.0, f32::NAN]), (0.0, 0.0));
        assert_eq!(worst(0.0, &[2.0, 1.0], &[2.0, 1.5]), (0.5, 0.25));
        assert_eq!(worst(0.0, &[2.0, 1.0], &[2.0, f32::NAN]).1, f64::INFINITY);
        assert_eq!(worst(0.0, &[2.0, 1.0], &[2.0, f32::INFINITY]).1, f64::INFINITY);
        assert_eq!(worst(0.0, &[2.0, f64::NAN], &[2.0, 0.0]).1, f64::INFINITY);
        assert_eq!(worst(0.0, &[0.0], &[1e-9]).1, f64::INFINITY, "where all is zero, nothing else will do");
        assert_eq!(worst(4.0, &[2.0, 1.0], &[2.0, 1.5]), (0.5, 0.125));
        assert_eq!(worst(0.0, &[0.0], &[]).1, f64::INFINITY);
    }
}

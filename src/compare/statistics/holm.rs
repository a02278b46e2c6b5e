//! Holm's correction for many tests at once.

/// The p-values after Holm's step-down (1979), in the order given.
///
/// The smallest of `m` is multiplied by `m`, the next by `m - 1` and so on; none is smaller than the one before it, nor
/// above 1. The chance of even one false alarm then stays below the level that the results are compared with.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut corrected = vec![0.0; p_values.len()];
    let mut before = 0.0f64;
    for (place, &test) in order.iter().enumerate() {
        before = before.max(p_values[test] * (p_values.len() - place) as f64).min(1.0);
        corrected[test] = before;
    }
    corrected
}

//! Central differences: `df/dx[i] = (f(x + e) - f(x - e)) / 2e`, to hold a gradient against.

/// The element at which a gradient and its central difference disagree most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Worst {
    /// Its offset in `x`.
    pub index: usize,
    /// What the gradient says.
    pub gradient: f64,
    /// What the central difference says.
    pub difference: f64,
    /// `|gradient - difference| / max(1, |gradient|, |difference|)`.
    pub error: f64,
}

impl std::fmt::Display for Worst {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "error {:.3e} at {}: gradient {:+.9e}, central difference {:+.9e}",
            self.error, self.index, self.gradient, self.difference
        )
    }
}

/// Perturbs every element of `x` by `step` both ways and gives the worst disagreement with `gradient`.
///
/// `f` must be smooth within `step` of `x`. Its error is about `step^2 |f'''| / 6 + 1e-16 |f| / step`: in `f64` a step
/// of 1e-5 leaves some 1e-10.
pub fn worst(x: &[f64], gradient: &[f64], step: f64, f: impl Fn(&[f64]) -> f64) -> Worst {
    assert_eq!(x.len(), gradient.len(), "a gradient has the shape of what it belongs to");
    let mut moved = x.to_vec();
    let mut worst = Worst { index: 0, gradient: 0.0, difference: 0.0, error: 0.0 };
    for (index, &gradient) in gradient.iter().enumerate() {
        moved[index] = x[index] + step;
        let above = f(&moved);
        moved[index] = x[index] - step;
        let below = f(&moved);
        moved[index] = x[index];

        let difference = (above - below) / (2.0 * step);
        let error = (gradient - difference).abs() / gradient.abs().max(difference.abs()).max(1.0);
        // A NaN is worse than any number.
        if error > worst.error || error.is_nan() {
            worst = Worst { index, gradient, difference, error };
        }
        if error.is_nan() {
            break;
        }
    }
    worst
}

/// `sum_i a[i] b[i]`: a scalar from a layer's output and a non-uniform upstream gradient.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

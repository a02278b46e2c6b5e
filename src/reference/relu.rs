//! Rectified linear unit: `y = max(x, 0)`, `dx = dy [x > 0]`; the gradient at 0 is 0, as in PyTorch.

/// `y` of the shape of `x`.
pub fn forward(x: &[f64]) -> Vec<f64> {
    x.iter().map(|x| x.max(0.0)).collect()
}

/// `dx` of the shape of `x`; `y` in the place of `x` gives the same, since `y > 0` exactly where `x > 0`.
pub fn backward(x: &[f64], dy: &[f64]) -> Vec<f64> {
    assert_eq!(x.len(), dy.len());
    x.iter().zip(dy).map(|(x, dy)| if *x > 0.0 { *dy } else { 0.0 }).collect()
}

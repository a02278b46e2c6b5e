//! Max pooling: `y = max of x over the window`; padding counts as minus infinity.
//!
//! Among equal values the first in row-major window order wins and alone receives the gradient, as in PyTorch.

use super::window::Window;

/// The maxima and where they stood.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Shape `(batch, output time, output mel, channels)`.
    pub y: Vec<f64>,
    /// For each of `y`, the offset in `x` of the first maximum.
    pub index: Vec<usize>,
}

/// Values and positions of the maxima.
pub fn forward(window: Window, x: &[f64]) -> Output {
    assert_eq!(x.len(), window.input_len(), "{window:?}");
    let mut y = vec![f64::NEG_INFINITY; window.output_len()];
    let mut index = vec![usize::MAX; window.output_len()];
    window.for_each(|target, source| {
        if index[target] == usize::MAX || x[source] > y[target] {
            y[target] = x[source];
            index[target] = source;
        }
    });
    Output { y, index }
}

/// `dx`: each `dy` goes to the place its maximum came from, and places that won several windows add up.
pub fn backward(window: Window, index: &[usize], dy: &[f64]) -> Vec<f64> {
    assert_eq!((index.len(), dy.len()), (window.output_len(), window.output_len()), "{window:?}");
    let mut dx = vec![0.0; window.input_len()];
    for (&source, dy) in index.iter().zip(dy) {
        dx[source] += dy;
    }
    dx
}

//! Average pooling without padding: `y = mean of x over the window`; `dx` spreads each `dy` evenly over its window.

use super::window::Window;

fn share(window: Window) -> f64 {
    assert_eq!(window.padding, [0, 0], "average pooling is defined here without padding: {window:?}");
    1.0 / (window.kernel[0] * window.kernel[1]) as f64
}

/// `y` of shape `(batch, output time, output mel, channels)`.
pub fn forward(window: Window, x: &[f64]) -> Vec<f64> {
    assert_eq!(x.len(), window.input_len(), "{window:?}");
    let share = share(window);
    let mut y = vec![0.0; window.output_len()];
    window.for_each(|target, source| y[target] += x[source] * share);
    y
}

/// `dx` of shape `(batch, time, mel, channels)`.
pub fn backward(window: Window, dy: &[f64]) -> Vec<f64> {
    assert_eq!(dy.len(), window.output_len(), "{window:?}");
    let share = share(window);
    let mut dx = vec![0.0; window.input_len()];
    window.for_each(|target, source| dx[source] += dy[target] * share);
    dx
}

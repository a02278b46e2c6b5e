//! Global average pooling: the mean over time and mel of an image, or over time of a sequence.
//!
//! Both are `y[o, i] = mean over r of x[o, r, i]`, `dx[o, r, i] = dy[o, i] / reduced`.

/// `x` seen as `(outer, reduced, inner)`, `y` as `(outer, inner)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// What lies before the axes averaged over.
    pub outer: usize,
    /// How many numbers one mean is taken of.
    pub reduced: usize,
    /// What lies after.
    pub inner: usize,
}

impl Size {
    /// `(batch, time, mel, channels)` to `(batch, channels)`.
    pub fn image(batch: usize, time: usize, mel: usize, channels: usize) -> Self {
        Self { outer: batch, reduced: time * mel, inner: channels }
    }

    /// `(time, batch, features)` to `(batch, features)`.
    pub fn sequence(time: usize, batch: usize, features: usize) -> Self {
        Self { outer: 1, reduced: time, inner: batch * features }
    }

    /// Numbers in `x`.
    pub fn input_len(self) -> usize {
        self.outer * self.reduced * self.inner
    }

    /// Numbers in `y`.
    pub fn output_len(self) -> usize {
        self.outer * self.inner
    }
}

/// `y` of shape `(outer, inner)`.
pub fn forward(size: Size, x: &[f64]) -> Vec<f64> {
    assert_eq!(x.len(), size.input_len(), "{size:?}");
    let mut y = vec![0.0; size.output_len()];
    for (x, y) in x.chunks_exact(size.reduced * size.inner).zip(y.chunks_exact_mut(size.inner)) {
        for x in x.chunks_exact(size.inner) {
            for (y, x) in y.iter_mut().zip(x) {
                *y += x / size.reduced as f64;
            }
        }
    }
    y
}

/// `dx` of shape `(outer, reduced, inner)`.
pub fn backward(size: Size, dy: &[f64]) -> Vec<f64> {
    assert_eq!(dy.len(), size.output_len(), "{size:?}");
    let mut dx = Vec::with_capacity(size.input_len());
    for dy in dy.chunks_exact(size.inner) {
        for _ in 0..size.reduced {
            dx.extend(dy.iter().map(|dy| dy / size.reduced as f64));
        }
    }
    dx
}

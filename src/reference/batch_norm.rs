//! Batch normalisation (Ioffe and Szegedy, arXiv 1502.03167) over `(rows, channels)`.
//!
//! Forward: `y = gamma n + beta`, `n = (x - mean) inv_std`, `inv_std = 1 / sqrt(variance + eps)`; per channel, over
//! all rows (batch x time x mel of an image, time x batch of a sequence).
//!
//! Backward: `dbeta = sum dy`, `dgamma = sum dy n`. With the batch's own statistics
//! `dx = gamma inv_std (dy - dbeta / rows - n dgamma / rows)`; with given ones `dx = gamma inv_std dy`.

/// The sizes of one normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Numbers that each statistic is taken over.
    pub rows: usize,
    /// Channels, each normalised on its own.
    pub channels: usize,
}

impl Size {
    /// Numbers in `x` and in `y`.
    pub fn input_len(self) -> usize {
        self.rows * self.channels
    }
}

/// What a channel is centred and scaled by; each field has shape `(channels)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// Mean.
    pub mean: Vec<f64>,
    /// Variance: of a batch the biased one, divided by `rows`.
    pub variance: Vec<f64>,
    /// `1 / sqrt(variance + eps)`.
    pub inv_std: Vec<f64>,
}

impl Statistics {
    /// Given statistics, such as the running ones in evaluation.
    pub fn given(mean: &[f64], variance: &[f64], eps: f64) -> Self {
        let inv_std = variance.iter().map(|variance| 1.0 / (variance + eps).sqrt()).collect();
        Self { mean: mean.to_vec(), variance: variance.to_vec(), inv_std }
    }

    /// The statistics of a batch.
    pub fn of_batch(size: Size, x: &[f64], eps: f64) -> Self {
        assert_eq!(x.len(), size.input_len(), "{size:?}");
        let mean = mean_over_rows(size, |at, _| x[at]);
        let variance = mean_over_rows(size, |at, c| (x[at] - mean[c]).powi(2));
        Self::given(&mean, &variance, eps)
    }

    /// The exponential averages that evaluation will use, moved towards this batch:
    /// `running = (1 - momentum) running + momentum batch`, with the unbiased variance (PyTorch's rule).
    /// One row has no unbiased variance; its biased one, 0, is taken, where PyTorch refuses.
    pub fn update_running(&self, size: Size, momentum: f64, running_mean: &mut [f64], running_var: &mut [f64]) {
        let unbiased = size.rows as f64 / (size.rows.max(2) - 1) as f64;
        for c in 0..size.channels {
            running_mean[c] += momentum * (self.mean[c] - running_mean[c]);
            running_var[c] += momentum * (self.variance[c] * unbiased - running_var[c]);
        }
    }
}

/// Gradients of one normalisation.
#[derive(Debug, Clone, PartialEq)]
pub struct Gradients {
    /// Shape `(rows, channels)`.
    pub dx: Vec<f64>,
    /// Shape `(channels)`.
    pub dgamma: Vec<f64>,
    /// Shape `(channels)`.
    pub dbeta: Vec<f64>,
}

/// `y` of shape `(rows, channels)`: in training with the batch's statistics, in evaluation with the running ones.
pub fn forward(size: Size, x: &[f64], statistics: &Statistics, gamma: &[f64], beta: &[f64]) -> Vec<f64> {
    assert_eq!((x.len(), gamma.len(), beta.len()), (size.input_len(), size.channels, size.channels), "{size:?}");
    x.iter()
        .enumerate()
        .map(|(at, x)| normalised(statistics, *x, at % size.channels) * gamma[at % size.channels] + beta[at % size.channels])
        .collect()
}

/// Gradients where `statistics` are those of the batch `x` itself.
pub fn backward_training(size: Size, x: &[f64], dy: &[f64], statistics: &Statistics, gamma: &[f64]) -> Gradients {
    let Gradients { dx, dgamma, dbeta } = backward_evaluation(size, x, dy, statistics, gamma);
    let rows = size.rows as f64;
    let through_statistics = |at: usize| {
        let c = at % size.channels;
        gamma[c] * statistics.inv_std[c] * (dbeta[c] + normalised(statistics, x[at], c) * dgamma[c]) / rows
    };
    let dx = dx.iter().enumerate().map(|(at, dx)| dx - through_statistics(at)).collect();
    Gradients { dx, dgamma, dbeta }
}

/// Gradients where `statistics` were given and do not depend on `x`.
pub fn backward_evaluation(size: Size, x: &[f64], dy: &[f64], statistics: &Statistics, gamma: &[f64]) -> Gradients {
    assert_eq!((x.len(), dy.len(), gamma.len()), (size.input_len(), size.input_len(), size.channels), "{size:?}");
    Gradients {
        dx: dy
            .iter()
            .enumerate()
            .map(|(at, dy)| dy * gamma[at % size.channels] * statistics.inv_std[at % size.channels])
            .collect(),
        dgamma: sum_over_rows(size, |at, c| dy[at] * normalised(statistics, x[at], c)),
        dbeta: sum_over_rows(size, |at, _| dy[at]),
    }
}

fn normalised(statistics: &Statistics, x: f64, channel: usize) -> f64 {
    (x - statistics.mean[channel]) * statistics.inv_std[channel]
}

/// Per channel the sum of `term(offset, channel)`.
fn sum_over_rows(size: Size, term: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    (0..size.channels).map(|c| (0..size.rows).map(|row| term(row * size.channels + c, c)).sum()).collect()
}

fn mean_over_rows(size: Size, term: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    sum_over_rows(size, term).into_iter().map(|sum| sum / size.rows as f64).collect()
}

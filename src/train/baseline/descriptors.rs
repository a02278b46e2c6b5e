//! A clip as 3 x mels numbers.

use crate::dataset::Clip;

/// Deviations below this are those of a number that never changes, up to rounding.
const CONSTANT: f64 = 1e-9;

/// Of each mel band over time: mean, population deviation, and mean absolute difference from frame to frame; in
/// decibels, `[means.., deviations.., differences..]`. `frames` are those of a window, see [`Clip::evaluated`].
pub(super) fn describe(clip: &Clip, frames: usize) -> Vec<f64> {
    let n_mels = clip.n_mels();
    let decibels = clip.evaluated(frames);
    let rows = || decibels.chunks_exact(n_mels);
    let count = rows().len().max(1) as f64;
    let mut numbers = vec![0.0; 3 * n_mels];
    let (mean, rest) = numbers.split_at_mut(n_mels);
    let (deviation, difference) = rest.split_at_mut(n_mels);
    for row in rows() {
        mean.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x) / count);
    }
    for row in rows() {
        for ((sum, &x), mean) in deviation.iter_mut().zip(row).zip(&*mean) {
            *sum += (f64::from(x) - mean).powi(2) / count;
        }
    }
    deviation.iter_mut().for_each(|variance| *variance = variance.sqrt());
    let steps = (rows().len().max(2) - 1) as f64;
    for (row, next) in rows().zip(rows().skip(1)) {
        for ((sum, &x), &y) in difference.iter_mut().zip(row).zip(next) {
            *sum += f64::from(y - x).abs() / steps;
        }
    }
    numbers
}

/// Mean and population deviation of each number over the training part.
#[derive(Debug, Clone)]
pub(super) struct Scaling {
    mean: Vec<f64>,
    std: Vec<f64>,
}

impl Scaling {
    /// Of rows of one length, at least one of them.
    pub fn of(rows: &[Vec<f64>]) -> Self {
        let n = rows.len() as f64;
        let over = |value: &dyn Fn(usize, &[f64]) -> f64| -> Vec<f64> {
            (0..rows[0].len()).map(|i| rows.iter().map(|row| value(i, row)).sum::<f64>() / n).collect()
        };
        let mean = over(&|i, row| row[i]);
        let variance = over(&|i, row| (row[i] - mean[i]).powi(2));
        let std = variance.into_iter().map(f64::sqrt).map(|std| if std < CONSTANT { 1.0 } else { std }).collect();
        Self { mean, std }
    }

    /// Standardises a row in place.
    pub fn apply(&self, row: &mut [f64]) {
        for ((x, mean), std) in row.iter_mut().zip(&self.mean).zip(&self.std) {
            *x = (*x - mean) / std;
        }
    }
}

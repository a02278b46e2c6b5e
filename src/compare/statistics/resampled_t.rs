//! The corrected resampled t-test, for repeated random splits.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// What the corrected resampled t-test says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResampledT {
    /// Mean of the differences.
    pub mean: f64,
    /// Lower and upper end of its 95 % interval.
    pub interval: [f64; 2],
    /// The statistic, of one degree of freedom less than there are splits.
    pub t: f64,
    /// Two-sided p-value of the mean being 0.
    pub p: f64,
}

/// The test of Nadeau and Bengio (2003) of the `differences` of two models on random splits, one each.
///
/// Random splits share training and test clips, so that differences vary less than over new data: their variance is
/// multiplied by `1/k + test_to_train` where an ordinary t-test has `1/k`. `test_to_train` is the size of a test part over
/// that of its training part. None with fewer than two splits. Without any variance p is 0 or, if all are 0, 1.
pub fn resampled_t(differences: &[f64], test_to_train: f64) -> Option<ResampledT> {
    let k = differences.len() as f64;
    if differences.len() < 2 {
        return None;
    }
    let mean = differences.iter().sum::<f64>() / k;
    let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (k - 1.0);
    let error = ((1.0 / k + test_to_train) * variance).sqrt();
    let distribution = StudentsT::new(0.0, 1.0, k - 1.0).expect("there is a degree of freedom");
    let (t, p) = match (mean, error) {
        (0.0, _) => (0.0, 1.0),
        (_, 0.0) => (mean.signum() * f64::INFINITY, 0.0),
        _ => (mean / error, 2.0 * distribution.sf((mean / error).abs())),
    };
    let half = distribution.inverse_cdf(0.975) * error;
    Some(ResampledT { mean, interval: [mean - half, mean + half], t, p })
}

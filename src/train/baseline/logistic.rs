//! Multinomial logistic regression with an L2 penalty, as scikit-learn's `LogisticRegression`.

use super::lbfgs::{NotConverged, minimise};

/// Largest component of the gradient at which the fit counts as converged.
const TOLERANCE: f64 = 1e-6;

/// A fitted model.
#[derive(Debug, Clone)]
pub struct Logistic {
    classes: usize,
    /// `(class, input)`, then the intercepts.
    weights: Vec<f64>,
}

impl Logistic {
    /// The minimum of `c * sum of -ln p(label) + |weights|^2 / 2` over rows of one length; intercepts are not penalised.
    ///
    /// Strictly convex but for a constant on all intercepts, which starting from 0 leaves alone: the answer does not
    /// depend on the way to it, up to the tolerance (no component of the gradient above 1e-6).
    pub fn fit(rows: &[Vec<f64>], labels: &[usize], classes: usize, c: f64) -> Result<Self, NotConverged> {
        let inputs = rows.first().map_or(0, Vec::len);
        let start = vec![0.0; classes * (inputs + 1)];
        let weights = minimise(start, TOLERANCE, |weights, gradient| objective(rows, labels, classes, c, weights, gradient))?;
        Ok(Self { classes, weights })
    }

    /// Weights and intercepts.
    pub fn parameters(&self) -> usize {
        self.weights.len()
    }

    /// The probability of each class.
    pub fn probabilities(&self, row: &[f64]) -> Vec<f64> {
        let mut scores = vec![0.0; self.classes];
        score(&self.weights, row, &mut scores);
        softmax(&mut scores);
        scores
    }
}

fn score(weights: &[f64], row: &[f64], scores: &mut [f64]) {
    let (matrix, intercepts) = weights.split_at(scores.len() * row.len());
    for (class, (score, intercept)) in scores.iter_mut().zip(intercepts).enumerate() {
        let own = &matrix[class * row.len()..(class + 1) * row.len()];
        *score = intercept + own.iter().zip(row).map(|(w, x)| w * x).sum::<f64>();
    }
}

/// Turns scores into probabilities; returns the logarithm of what they were divided by.
fn softmax(scores: &mut [f64]) -> f64 {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    scores.iter_mut().for_each(|score| *score = (*score - largest).exp());
    let total: f64 = scores.iter().sum();
    scores.iter_mut().for_each(|score| *score /= total);
    largest + total.ln()
}

/// The value; writes the gradient: of a class's weights `w + c * sum of (p - [label]) x`.
fn objective(rows: &[Vec<f64>], labels: &[usize], classes: usize, c: f64, weights: &[f64], gradient: &mut [f64]) -> f64 {
    let matrix = weights.len() - classes;
    gradient[..matrix].copy_from_slice(&weights[..matrix]);
    gradient[matrix..].fill(0.0);
    let mut value = 0.5 * weights[..matrix].iter().map(|w| w * w).sum::<f64>();
    let mut scores = vec![0.0; classes];
    for (row, &label) in rows.iter().zip(labels) {
        score(weights, row, &mut scores);
        let own = scores[label];
        value += c * (softmax(&mut scores) - own);
        scores[label] -= 1.0;
        for (class, error) in scores.iter().map(|error| c * error).enumerate() {
            let slice = &mut gradient[class * row.len()..(class + 1) * row.len()];
            slice.iter_mut().zip(row).for_each(|(g, x)| *g += error * x);
            gradient[matrix + class] += error;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_is_that_of_the_value() {
        let rows: Vec<Vec<f64>> = (0..7).map(|i| (0..3).map(|j| ((i * 5 + j * 3) % 7) as f64 / 3.0 - 1.0).collect()).collect();
        let labels = [0, 1, 2, 0, 1, 1, 0];
        let weights: Vec<f64> = (0..12).map(|i| ((i * 7) % 5) as f64 / 4.0 - 0.5).collect();
        let at = |weights: &[f64]| objective(&rows, &labels, 3, 2.5, weights, &mut [0.0; 12]);
        let mut gradient = [0.0; 12];
        objective(&rows, &labels, 3, 2.5, &weights, &mut gradient);
        for (i, gradient) in gradient.into_iter().enumerate() {
            let moved = |by: f64| {
                let mut weights = weights.clone();
                weights[i] += by;
                at(&weights)
            };
            let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((gradient - difference).abs() < 1e-7, "{i}: {gradient} is not {difference}");
        }
    }
}

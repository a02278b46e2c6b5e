//! Limited-memory BFGS (Nocedal & Wright 2006, algorithms 7.4 and 7.5) for smooth convex functions, in f64.

use std::collections::VecDeque;

/// Pairs of steps that the curvature is made of.
const MEMORY: usize = 20;
const MOST_ITERATIONS: usize = 20_000;
/// Trials of a line search.
const MOST_TRIALS: usize = 60;
/// A step must gain this share of what the slope promises (Armijo) ..
const ENOUGH: f64 = 1e-4;
/// .. and leave no more than this share of the slope (Wolfe).
const FLAT: f64 = 0.9;
/// Near the minimum differences of values drown in rounding; a value this little above the old one counts as equal.
const ROUNDING: f64 = 1e-13;

/// The minimum was not reached.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("no minimum after {iterations} iterations: the gradient is still {gradient:e}")]
pub struct NotConverged {
    /// Steps taken.
    pub iterations: usize,
    /// Largest component of the gradient.
    pub gradient: f64,
}

/// Where no component of the gradient is above `tolerance`. `function` returns the value and writes the gradient.
pub(super) fn minimise(
    mut x: Vec<f64>,
    tolerance: f64,
    mut function: impl FnMut(&[f64], &mut [f64]) -> f64,
) -> Result<Vec<f64>, NotConverged> {
    let mut gradient = vec![0.0; x.len()];
    let mut value = function(&x, &mut gradient);
    let mut memory: VecDeque<Pair> = VecDeque::with_capacity(MEMORY);
    for iterations in 0.. {
        let largest = gradient.iter().fold(0.0, |most: f64, g| most.max(g.abs()));
        if largest <= tolerance {
            return Ok(x);
        }
        let failed = NotConverged { iterations, gradient: largest };
        let direction = direction(&gradient, &memory);
        let slope = dot(&direction, &gradient);
        if iterations == MOST_ITERATIONS || slope >= 0.0 || slope.is_nan() {
            return Err(failed);
        }
        // Without curvature the gradient says nothing about length.
        let first = if memory.is_empty() { 1.0 / dot(&gradient, &gradient).sqrt().max(1.0) } else { 1.0 };
        let Some(found) = search(&x, value, slope, &direction, first, &mut function) else { return Err(failed) };
        let step: Vec<f64> = direction.iter().map(|d| d * found.length).collect();
        let change: Vec<f64> = found.gradient.iter().zip(&gradient).map(|(new, old)| new - old).collect();
        x.iter_mut().zip(&step).for_each(|(x, s)| *x += s);
        (value, gradient) = (found.value, found.gradient);
        let curvature = dot(&step, &change);
        if curvature > 0.0 {
            if memory.len() == MEMORY {
                memory.pop_front();
            }
            memory.push_back(Pair { step, change, curvature });
        }
    }
    unreachable!("the loop ends by itself")
}

/// A step, the change of the gradient over it, and their product.
struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    curvature: f64,
}

/// Minus the gradient times the inverse Hessian that the memory suggests.
fn direction(gradient: &[f64], memory: &VecDeque<Pair>) -> Vec<f64> {
    let mut d: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut shares = Vec::with_capacity(memory.len());
    for pair in memory.iter().rev() {
        let share = dot(&pair.step, &d) / pair.curvature;
        d.iter_mut().zip(&pair.change).for_each(|(d, y)| *d -= share * y);
        shares.push(share);
    }
    if let Some(last) = memory.back() {
        let scale = last.curvature / dot(&last.change, &last.change);
        d.iter_mut().for_each(|d| *d *= scale);
    }
    for (pair, share) in memory.iter().zip(shares.iter().rev()) {
        let back = dot(&pair.change, &d) / pair.curvature;
        d.iter_mut().zip(&pair.step).for_each(|(d, s)| *d += (share - back) * s);
    }
    d
}

/// A point on the line.
struct Found {
    length: f64,
    value: f64,
    gradient: Vec<f64>,
}

/// A length that satisfies the Wolfe conditions, by doubling and bisection.
fn search(
    x: &[f64],
    value: f64,
    slope: f64,
    direction: &[f64],
    first: f64,
    function: &mut impl FnMut(&[f64], &mut [f64]) -> f64,
) -> Option<Found> {
    let (mut low, mut high, mut length) = (0.0, f64::INFINITY, first);
    let mut at = vec![0.0; x.len()];
    for _ in 0..MOST_TRIALS {
        at.iter_mut().zip(x.iter().zip(direction)).for_each(|(at, (x, d))| *at = x + length * d);
        let mut gradient = vec![0.0; x.len()];
        let new = function(&at, &mut gradient);
        let enough = new <= value + ENOUGH * length * slope + ROUNDING * value.abs();
        let slope_here = dot(&gradient, direction);
        if !enough || slope_here > -FLAT * slope {
            high = length;
        } else if slope_here < FLAT * slope {
            low = length;
        } else {
            return Some(Found { length, value: new, gradient });
        }
        length = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * length };
    }
    None
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

//! Adam (Kingma and Ba, arXiv 1412.6980) with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101), in
//! the form of PyTorch's `AdamW`.
//!
//! `value *= 1 - learning_rate weight_decay; m = beta1 m + (1 - beta1) grad; v = beta2 v + (1 - beta2) grad^2;`
//! `value -= learning_rate m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) + eps)`.

/// The settings of one optimiser; `weight_decay` 0 is plain Adam.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// Step size.
    pub learning_rate: f64,
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Added outside the square root.
    pub eps: f64,
    /// Share of each value that is taken off per unit of step size, apart from the gradient.
    pub weight_decay: f64,
}

impl Adam {
    /// PyTorch's defaults: 0.9, 0.999, 1e-8, no decay.
    pub fn new(learning_rate: f64) -> Self {
        Self { learning_rate, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 }
    }
}

/// Moves `value`, with the moments `m` and `v` that began at zero; `step` counts from 1. All slices are of one length.
pub fn step(adam: Adam, step: u64, value: &mut [f64], grad: &[f64], m: &mut [f64], v: &mut [f64]) {
    assert!(step > 0, "steps count from 1: the bias correction divides by 1 - beta^step");
    assert_eq!((grad.len(), m.len(), v.len()), (value.len(), value.len(), value.len()));
    let correction1 = 1.0 - adam.beta1.powf(step as f64);
    let correction2 = 1.0 - adam.beta2.powf(step as f64);
    for i in 0..value.len() {
        m[i] = adam.beta1 * m[i] + (1.0 - adam.beta1) * grad[i];
        v[i] = adam.beta2 * v[i] + (1.0 - adam.beta2) * grad[i] * grad[i];
        let decayed = value[i] * (1.0 - adam.learning_rate * adam.weight_decay);
        value[i] = decayed - adam.learning_rate * (m[i] / correction1) / ((v[i] / correction2).sqrt() + adam.eps);
    }
}

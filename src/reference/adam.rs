//! Adam (Kingma and Ba, arXiv 1412.6980) in the form of PyTorch's `Adam`, whose weight decay is added to the gradient,
//! and of its `AdamW`, whose is decoupled (Loshchilov and Hutter, arXiv 1711.05101).
//!
//! `grad += weight_decay value`, or, decoupled, `value *= 1 - learning_rate weight_decay;`
//! `m = beta1 m + (1 - beta1) grad; v = beta2 v + (1 - beta2) grad^2;`
//! `value -= learning_rate m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) + eps)`.

/// The settings of one optimiser.
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
    /// How strongly each value is drawn to zero.
    pub weight_decay: f64,
    /// Whether the decay acts apart from the gradient.
    pub decoupled: bool,
}

impl Adam {
    /// PyTorch's defaults of `Adam`: 0.9, 0.999, 1e-8, no decay.
    pub fn new(learning_rate: f64) -> Self {
        Self { learning_rate, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, decoupled: false }
    }
}

/// Moves `value`, with the moments `m` and `v` that began at zero; `step` counts from 1. All slices are of one length.
pub fn step(adam: Adam, step: u64, value: &mut [f64], grad: &[f64], m: &mut [f64], v: &mut [f64]) {
    assert!(step > 0, "steps count from 1: the bias correction divides by 1 - beta^step");
    assert_eq!((grad.len(), m.len(), v.len()), (value.len(), value.len(), value.len()));
    let correction1 = 1.0 - adam.beta1.powf(step as f64);
    let correction2 = 1.0 - adam.beta2.powf(step as f64);
    for i in 0..value.len() {
        let (decayed, grad) = if adam.decoupled {
            (value[i] * (1.0 - adam.learning_rate * adam.weight_decay), grad[i])
        } else {
            (value[i], grad[i] + adam.weight_decay * value[i])
        };
        m[i] = adam.beta1 * m[i] + (1.0 - adam.beta1) * grad;
        v[i] = adam.beta2 * v[i] + (1.0 - adam.beta2) * grad * grad;
        value[i] = decayed - adam.learning_rate * (m[i] / correction1) / ((v[i] / correction2).sqrt() + adam.eps);
    }
}

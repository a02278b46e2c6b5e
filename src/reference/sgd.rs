//! Stochastic gradient descent with momentum in the form of PyTorch's `SGD` (dampening 0, no Nesterov).
//!
//! `grad += weight_decay value; buffer = momentum buffer + grad; value -= learning_rate buffer`; the first step's buffer
//! is the gradient.

/// The settings of one optimiser.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// Step size.
    pub learning_rate: f64,
    /// Share of the buffer that a step keeps.
    pub momentum: f64,
    /// How strongly each value is drawn to zero.
    pub weight_decay: f64,
}

/// Moves `value`, with a `buffer` that began at zero. All slices are of one length.
pub fn step(sgd: Sgd, value: &mut [f64], grad: &[f64], buffer: &mut [f64]) {
    assert_eq!((grad.len(), buffer.len()), (value.len(), value.len()));
    for i in 0..value.len() {
        buffer[i] = sgd.momentum * buffer[i] + grad[i] + sgd.weight_decay * value[i];
        value[i] -= sgd.learning_rate * buffer[i];
    }
}

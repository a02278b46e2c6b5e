//! What the recurrences [`super::rnn`], [`super::lstm`] and [`super::gru`] share: sizes, and the product with the state of
//! the step before.
//!
//! The projected input `a = W_ih x + b_ih` and all gates are `(time, batch, gates * hidden)`, gate by gate in PyTorch's
//! order; states are `(time, batch, hidden)`, zero before the first step; the recurrent weight is
//! `(hidden, gates * hidden)`, its bias `(gates * hidden)`.

use super::linear;

/// The sizes of one recurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Steps.
    pub time: usize,
    /// Sequences.
    pub batch: usize,
    /// Units.
    pub hidden: usize,
}

impl Size {
    /// Numbers in all states.
    pub fn states_len(self) -> usize {
        self.time * self.state_len()
    }

    /// Numbers in one state, `(batch, hidden)`.
    pub fn state_len(self) -> usize {
        self.batch * self.hidden
    }

    fn product(self, rows: usize, gates: usize) -> linear::Size {
        linear::Size { rows, inputs: self.hidden, outputs: gates * self.hidden }
    }
}

/// Gradients of one recurrence.
#[derive(Debug, Clone, PartialEq)]
pub struct Gradients {
    /// Shape `(time, batch, gates * hidden)`.
    pub da: Vec<f64>,
    /// Shape `(hidden, gates * hidden)`.
    pub dweight: Vec<f64>,
    /// Shape `(gates * hidden)`.
    pub dbias: Vec<f64>,
}

/// Step `t` of numbers of which each step has `len`, or zeros before the first.
pub(super) fn step(values: &[f64], len: usize, t: Option<usize>) -> Vec<f64> {
    t.map_or_else(|| vec![0.0; len], |t| values[t * len..(t + 1) * len].to_vec())
}

/// `weight h[t-1] + bias` of shape `(batch, gates * hidden)`.
pub(super) fn from_state(size: Size, h: &[f64], t: usize, weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let before = step(h, size.state_len(), t.checked_sub(1));
    linear::forward(size.product(size.batch, bias.len() / size.hidden), &before, weight, Some(bias))
}

/// What the gradient `dhidden` at [`from_state`] of one step brings to the state before.
pub(super) fn to_state(size: Size, dhidden: &[f64], weight: &[f64]) -> Vec<f64> {
    linear::backward_input(size.product(size.batch, dhidden.len() / size.state_len()), dhidden, weight)
}

/// Gradients of weight and bias from those at [`from_state`] of all steps.
pub(super) fn gradients(size: Size, h: &[f64], dhidden: &[f64], da: Vec<f64>) -> Gradients {
    let rows = size.time * size.batch;
    let product = size.product(rows, dhidden.len() / (rows * size.hidden));
    let mut before = vec![0.0; size.state_len()];
    before.extend_from_slice(&h[..size.states_len() - size.state_len()]);
    Gradients { da, dweight: linear::backward_weight(product, &before, dhidden), dbias: linear::backward_bias(product, dhidden) }
}

/// The logistic function.
pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

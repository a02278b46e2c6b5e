//! The recurrence of an Elman network with PyTorch's equations; layouts in [`super::recurrence`].
//!
//! Forward: `h[t] = act(a[t] + b + W h[t-1])`, where act is tanh or ReLU.
//!
//! Backward: `g = 0; for t = T-1..0: d = (dh[t] + g) act'(h[t]); da[t] = d; dW += h[t-1] d; db += d; g = W^T d`.

use super::recurrence::{Gradients, Size, from_state, gradients, to_state};

/// What makes a state of a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Hyperbolic tangent.
    Tanh,
    /// Rectifier.
    Relu,
}

impl Activation {
    fn of(self, x: f64) -> f64 {
        match self {
            Self::Tanh => x.tanh(),
            Self::Relu => x.max(0.0),
        }
    }

    /// The derivative where the activation is `state`.
    fn slope(self, state: f64) -> f64 {
        match self {
            Self::Tanh => 1.0 - state * state,
            Self::Relu => f64::from(state > 0.0),
        }
    }
}

/// `h` of shape `(time, batch, hidden)`.
pub fn forward(size: Size, activation: Activation, a: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    assert_eq!((a.len(), bias.len()), (size.states_len(), size.hidden), "{size:?}");
    let mut h = Vec::with_capacity(size.states_len());
    for (t, a) in a.chunks_exact(size.state_len()).enumerate() {
        let sums = from_state(size, &h, t, weight, bias);
        h.extend(sums.iter().zip(a).map(|(sum, a)| activation.of(sum + a)));
    }
    h
}

/// Gradients from `h`, the states that `forward` gave, and `dh`, what the layers above say about each of them.
pub fn backward(size: Size, activation: Activation, weight: &[f64], h: &[f64], dh: &[f64]) -> Gradients {
    assert_eq!((h.len(), dh.len()), (size.states_len(), size.states_len()), "{size:?}");
    let len = size.state_len();
    let mut da = vec![0.0; size.states_len()];
    let mut carried = vec![0.0; len];
    for t in (0..size.time).rev() {
        for (at, carried) in (t * len..).zip(&carried) {
            da[at] = (dh[at] + carried) * activation.slope(h[at]);
        }
        carried = to_state(size, &da[t * len..(t + 1) * len], weight);
    }
    gradients(size, h, &da.clone(), da)
}

//! The recurrence of the Independently Recurrent Neural Network (Li et al., CVPR 2018, arXiv 1803.04831).
//!
//! Forward, each neuron on its own: `h[t] = relu(a[t] + u h[t-1])`, where `a = w x + b` is a linear layer over all
//! time steps.
//!
//! Backward: `g = 0; for t = T-1..0: d = (dh[t] + g) [h[t] > 0]; da[t] = d; du += d h[t-1]; g = d u`.
//!
//! `a`, `h` are `(time, batch, hidden)`, `u` is `(hidden)`, the state before the first step `(batch, hidden)` and zero
//! where none is given.

/// The sizes of one recurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Steps.
    pub time: usize,
    /// Sequences.
    pub batch: usize,
    /// Neurons.
    pub hidden: usize,
}

impl Size {
    /// Numbers in `a` and in `h`.
    pub fn input_len(self) -> usize {
        self.time * self.state_len()
    }

    /// Numbers in one state, `(batch, hidden)`.
    pub fn state_len(self) -> usize {
        self.batch * self.hidden
    }
}

/// Gradients of one recurrence.
#[derive(Debug, Clone, PartialEq)]
pub struct Gradients {
    /// Shape `(time, batch, hidden)`.
    pub da: Vec<f64>,
    /// Shape `(hidden)`.
    pub du: Vec<f64>,
    /// Gradient of the state before the first step, shape `(batch, hidden)`.
    pub dinitial: Vec<f64>,
}

/// `h` of shape `(time, batch, hidden)`.
pub fn forward(size: Size, a: &[f64], u: &[f64], initial: Option<&[f64]>) -> Vec<f64> {
    assert_eq!((a.len(), u.len()), (size.input_len(), size.hidden), "{size:?}");
    let mut h = Vec::with_capacity(size.input_len());
    for at in 0..size.input_len() {
        let state: f64 = a[at] + u[at % size.hidden] * previous(size, &h, initial, at);
        h.push(state.max(0.0));
    }
    h
}

/// Gradients from `h`, the states that `forward` gave, and `dh`, what the layers above say about each of them.
pub fn backward(size: Size, u: &[f64], initial: Option<&[f64]>, h: &[f64], dh: &[f64]) -> Gradients {
    assert_eq!((u.len(), h.len(), dh.len()), (size.hidden, size.input_len(), size.input_len()), "{size:?}");
    let mut da = vec![0.0; size.input_len()];
    let mut du = vec![0.0; size.hidden];
    let mut carried = vec![0.0; size.state_len()];
    for at in (0..size.input_len()).rev() {
        let (lane, neuron) = (at % size.state_len(), at % size.hidden);
        let d = if h[at] > 0.0 { dh[at] + carried[lane] } else { 0.0 };
        da[at] = d;
        du[neuron] += d * previous(size, h, initial, at);
        carried[lane] = d * u[neuron];
    }
    Gradients { da, du, dinitial: carried }
}

/// The largest `|u|` that keeps a state within `gamma` of itself over `frames` steps: `gamma^(1/frames)`.
pub fn bound(gamma: f64, frames: usize) -> f64 {
    gamma.powf(1.0 / frames as f64)
}

/// Clamps the recurrent weights to `[-bound, bound]`.
pub fn constrain(u: &mut [f64], bound: f64) {
    for u in u {
        *u = u.clamp(-bound, bound);
    }
}

fn previous(size: Size, h: &[f64], initial: Option<&[f64]>, at: usize) -> f64 {
    match (at.checked_sub(size.state_len()), initial) {
        (Some(before), _) => h[before],
        (None, Some(initial)) => initial[at],
        (None, None) => 0.0,
    }
}

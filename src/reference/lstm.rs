//! The recurrence of a Long Short-Term Memory with PyTorch's equations; layouts in [`super::recurrence`].
//!
//! Forward: `(i, f, g, o) = (sigmoid, sigmoid, tanh, sigmoid)(a[t] + b + W h[t-1])`, `c[t] = f c[t-1] + i g`,
//! `h[t] = o tanh(c[t])`.
//!
//! Backward, with `g_h = g_c = 0` at first: `d = dh[t] + g_h; dc = g_c + d o (1 - tanh(c)^2); g_c = dc f;
//! da[t] = (dc g i(1-i), dc c[t-1] f(1-f), dc i (1-g^2), d tanh(c) o(1-o)); dW += h[t-1] da[t]; g_h = W^T da[t]`.

use super::recurrence::{Gradients, Size, from_state, gradients, sigmoid, step, to_state};

/// What forward leaves for backward.
#[derive(Debug, Clone, PartialEq)]
pub struct States {
    /// Outputs, `(time, batch, hidden)`.
    pub h: Vec<f64>,
    /// Cells, `(time, batch, hidden)`.
    pub c: Vec<f64>,
    /// i, f, g, o after their activations, `(time, batch, 4 hidden)`.
    pub gates: Vec<f64>,
}

/// All steps from the projected input.
pub fn forward(size: Size, a: &[f64], weight: &[f64], bias: &[f64]) -> States {
    assert_eq!((a.len(), bias.len()), (4 * size.states_len(), 4 * size.hidden), "{size:?}");
    let (len, hidden) = (size.state_len(), size.hidden);
    let mut states = States { h: Vec::new(), c: Vec::new(), gates: Vec::new() };
    for (t, a) in a.chunks_exact(4 * len).enumerate() {
        let mut gates = from_state(size, &states.h, t, weight, bias);
        for (at, (gate, a)) in gates.iter_mut().zip(a).enumerate() {
            *gate = if at / hidden % 4 == 2 { (*gate + a).tanh() } else { sigmoid(*gate + a) };
        }
        let before = step(&states.c, len, t.checked_sub(1));
        for (at, before) in before.iter().enumerate() {
            let [i, f, g, o] = of_unit(&gates, hidden, at);
            let c = f * before + i * g;
            states.c.push(c);
            states.h.push(o * c.tanh());
        }
        states.gates.extend(gates);
    }
    states
}

/// Gradients from what `forward` left, and `dh`, what the layers above say about each state.
pub fn backward(size: Size, weight: &[f64], states: &States, dh: &[f64]) -> Gradients {
    assert_eq!(dh.len(), size.states_len(), "{size:?}");
    let (len, hidden) = (size.state_len(), size.hidden);
    let mut da = vec![0.0; 4 * size.states_len()];
    let (mut carried_h, mut carried_c) = (vec![0.0; len], vec![0.0; len]);
    for t in (0..size.time).rev() {
        let gates = step(&states.gates, 4 * len, Some(t));
        let before = step(&states.c, len, t.checked_sub(1));
        let now = &mut da[4 * t * len..4 * (t + 1) * len];
        for at in 0..len {
            let [i, f, g, o] = of_unit(&gates, hidden, at);
            let d = dh[t * len + at] + carried_h[at];
            let squashed = states.c[t * len + at].tanh();
            let dc = carried_c[at] + d * o * (1.0 - squashed * squashed);
            carried_c[at] = dc * f;
            let gradients =
                [dc * g * i * (1.0 - i), dc * before[at] * f * (1.0 - f), dc * i * (1.0 - g * g), d * squashed * o * (1.0 - o)];
            for (gate, gradient) in gradients.into_iter().enumerate() {
                now[(at / hidden * 4 + gate) * hidden + at % hidden] = gradient;
            }
        }
        carried_h = to_state(size, now, weight);
    }
    gradients(size, &states.h, &da.clone(), da)
}

/// The gates of number `at` of a state, from those of one step.
fn of_unit(gates: &[f64], hidden: usize, at: usize) -> [f64; 4] {
    std::array::from_fn(|gate| gates[(at / hidden * 4 + gate) * hidden + at % hidden])
}

//! The recurrence of a Gated Recurrent Unit with PyTorch's equations; layouts in [`super::recurrence`].
//!
//! Forward, with `(s_r, s_z, s_n) = b + W h[t-1]` and `a = (a_r, a_z, a_n)`: `r = sigmoid(a_r + s_r)`,
//! `z = sigmoid(a_z + s_z)`, `n = tanh(a_n + r s_n)`, `h[t] = (1 - z) n + z h[t-1]`.
//!
//! Backward, with `g = 0` at first: `d = dh[t] + g; dn = d (1-z) (1-n^2); da[t] = (dn s_n r(1-r), d (h[t-1] - n) z(1-z), dn)`;
//! the gradient `ds` at `b + W h[t-1]` is the same but for `dn r`; `dW += h[t-1] ds; g = d z + W^T ds`.

use super::recurrence::{Gradients, Size, from_state, gradients, sigmoid, step, to_state};

/// What forward leaves for backward.
#[derive(Debug, Clone, PartialEq)]
pub struct States {
    /// Outputs, `(time, batch, hidden)`.
    pub h: Vec<f64>,
    /// r, z, n and s_n of every number of a state.
    pub gates: Vec<[f64; 4]>,
}

/// All steps from the projected input.
pub fn forward(size: Size, a: &[f64], weight: &[f64], bias: &[f64]) -> States {
    assert_eq!((a.len(), bias.len()), (3 * size.states_len(), 3 * size.hidden), "{size:?}");
    let len = size.state_len();
    let mut states = States { h: Vec::new(), gates: Vec::new() };
    for (t, a) in a.chunks_exact(3 * len).enumerate() {
        let sums = from_state(size, &states.h, t, weight, bias);
        for (at, before) in step(&states.h, len, t.checked_sub(1)).into_iter().enumerate() {
            let [pr, pz, pn] = places(size, at);
            let (r, z) = (sigmoid(a[pr] + sums[pr]), sigmoid(a[pz] + sums[pz]));
            let n = (a[pn] + r * sums[pn]).tanh();
            states.gates.push([r, z, n, sums[pn]]);
            states.h.push((1.0 - z) * n + z * before);
        }
    }
    states
}

/// Gradients from what `forward` left, and `dh`, what the layers above say about each state.
pub fn backward(size: Size, weight: &[f64], states: &States, dh: &[f64]) -> Gradients {
    assert_eq!(dh.len(), size.states_len(), "{size:?}");
    let len = size.state_len();
    let (mut da, mut ds) = (vec![0.0; 3 * size.states_len()], vec![0.0; 3 * size.states_len()]);
    let mut carried = vec![0.0; len];
    for t in (0..size.time).rev() {
        let before = step(&states.h, len, t.checked_sub(1));
        let now = 3 * t * len..3 * (t + 1) * len;
        let (da, ds) = (&mut da[now.clone()], &mut ds[now]);
        for at in 0..len {
            let [r, z, n, s] = states.gates[t * len + at];
            let d = dh[t * len + at] + carried[at];
            let dn = d * (1.0 - z) * (1.0 - n * n);
            let (dr, dz) = (dn * s * r * (1.0 - r), d * (before[at] - n) * z * (1.0 - z));
            for (place, [input, state]) in places(size, at).into_iter().zip([[dr, dr], [dz, dz], [dn, dn * r]]) {
                (da[place], ds[place]) = (input, state);
            }
            carried[at] = d * z;
        }
        for (carried, brought) in carried.iter_mut().zip(to_state(size, ds, weight)) {
            *carried += brought;
        }
    }
    gradients(size, &states.h, &ds, da)
}

/// Where the three gates of number `at` of a state lie in those of one step.
fn places(size: Size, at: usize) -> [usize; 3] {
    std::array::from_fn(|gate| (at / size.hidden * 3 + gate) * size.hidden + at % size.hidden)
}

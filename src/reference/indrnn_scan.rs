//! The recurrence of [`super::indrnn`] as a scan: runs of steps composed into one map each, in any grouping.
//!
//! Forward, a step is `h -> max(0, u h + a)`. Maps `h -> min(hi, max(lo, q + r h))` with `lo <= hi` are closed under
//! composition: `a + u` of such a map has the ends `a + u lo` and `a + u hi`, exchanged where `u < 0`, and clamping it
//! clamps its ends. Backward, given `h`, a step is `g -> u [h > 0] (dh + g)`, so a run of steps is `g -> q + r g`.

use super::indrnn::{Gradients, Size};

/// Stands for no end, as in the kernel: a true infinity times an `r` of 0 is not a number. States stay far below it.
pub const INFINITE: f64 = 1e30;

/// `h -> min(hi, max(lo, q + r h))`
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clamped {
    /// Value at 0 before the clamp.
    pub q: f64,
    /// Slope before the clamp.
    pub r: f64,
    /// Least value.
    pub lo: f64,
    /// Largest value.
    pub hi: f64,
}

impl Clamped {
    /// `h -> h`
    pub const IDENTITY: Self = Self { q: 0.0, r: 1.0, lo: -INFINITE, hi: INFINITE };

    /// One step: `h -> max(0, u h + a)`.
    pub fn step(u: f64, a: f64) -> Self {
        Self { q: a, r: u, lo: 0.0, hi: INFINITE }
    }

    /// The map that applies `self` first and `next` then.
    pub fn then(self, next: Self) -> Self {
        let moved = [self.lo, self.hi].map(|end| next.q + next.r * end);
        let (lo, hi) = (moved[0].min(moved[1]).clamp(next.lo, next.hi), moved[0].max(moved[1]).clamp(next.lo, next.hi));
        Self { q: next.q + next.r * self.q, r: next.r * self.r, lo, hi }
    }

    /// The map at `h`.
    pub fn at(self, h: f64) -> f64 {
        self.hi.min(self.lo.max(self.q + self.r * h))
    }
}

/// `h` of shape `(time, batch, hidden)`, time cut into `chunks` of equal length (the last ones shorter, or empty).
pub fn forward(size: Size, a: &[f64], u: &[f64], chunks: usize) -> Vec<f64> {
    assert_eq!((a.len(), u.len()), (size.input_len(), size.hidden), "{size:?}");
    let mut h = vec![0.0; size.input_len()];
    for chain in 0..size.state_len() {
        let step = |t: usize| Clamped::step(u[chain % size.hidden], a[t * size.state_len() + chain]);
        let mut incoming = 0.0;
        for chunk in steps(size, chunks) {
            let whole = chunk.clone().map(step).fold(Clamped::IDENTITY, Clamped::then);
            let mut state = incoming;
            for t in chunk {
                state = step(t).at(state);
                h[t * size.state_len() + chain] = state;
            }
            incoming = whole.at(incoming);
        }
    }
    h
}

/// Gradients from `h`, the states that `forward` gave, and `dh`, what the layers above say about each of them.
pub fn backward(size: Size, u: &[f64], h: &[f64], dh: &[f64], chunks: usize) -> Gradients {
    assert_eq!((u.len(), h.len(), dh.len()), (size.hidden, size.input_len(), size.input_len()), "{size:?}");
    let mut gradients =
        Gradients { da: vec![0.0; size.input_len()], du: vec![0.0; size.hidden], dinitial: vec![0.0; size.state_len()] };
    for chain in 0..size.state_len() {
        let at = |t: usize| t * size.state_len() + chain;
        let slope = |t: usize| if h[at(t)] > 0.0 { u[chain % size.hidden] } else { 0.0 };
        let mut incoming = 0.0;
        for chunk in steps(size, chunks).rev() {
            let (q, r) = chunk.clone().rev().fold((0.0, 1.0), |(q, r), t| (slope(t) * (dh[at(t)] + q), slope(t) * r));
            let mut carried = incoming;
            for t in chunk.rev() {
                let d = if h[at(t)] > 0.0 { dh[at(t)] + carried } else { 0.0 };
                gradients.da[at(t)] = d;
                gradients.du[chain % size.hidden] += if t > 0 { d * h[at(t - 1)] } else { 0.0 };
                carried = slope(t) * (dh[at(t)] + carried);
            }
            incoming = q + r * incoming;
        }
        gradients.dinitial[chain] = incoming;
    }
    gradients
}

fn steps(size: Size, chunks: usize) -> impl DoubleEndedIterator<Item = std::ops::Range<usize>> {
    let length = size.time.div_ceil(chunks);
    (0..chunks).map(move |chunk| (chunk * length).min(size.time)..((chunk + 1) * length).min(size.time))
}

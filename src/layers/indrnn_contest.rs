//! Step by step or as a scan: which of the two kernels of the IndRNN recurrence an adapter gets for a shape.

use super::contest::{Written, timed, wave};
use super::indrnn::NormedStates;
use super::{IndrnnPath, IndrnnRecurrence, Map, Param, Size};
use crate::gpu::{Contest, Element, Gpu, GpuError};
use std::time::Duration;

const PATHS: [IndrnnPath; 2] = [IndrnnPath::Sequential, IndrnnPath::Scan];
const NAMES: [&str; 2] = ["sequential", "scan"];
/// With fewer, the whole recurrence takes about as long as its submission.
const FEWEST_FRAMES: usize = 256;
/// With more, chains alone fill most hardware; the scan reads its input twice and so has nothing to gain.
const MOST_CHAINS: usize = 8192;
/// A processor runs a vector of chains as fast as one: lavapipe takes the scan for 1 and 2 chains only.
const MOST_CHAINS_IN_SOFTWARE: usize = 2;
/// Numbers in a tensor that is measured with: longer sequences are measured by their beginning.
const MOST_NUMBERS: usize = 1 << 22;
/// What a measurement should take, so that the cost of a submission does not count.
const LONG_ENOUGH: Duration = Duration::from_millis(3);
const MOST_REPEATS: u32 = 32;

/// The path for batches of `capacity`, measured where the scan may have something to gain; `normed` says whether a batch norm of
/// the states is folded into what comes behind them.
pub(super) fn choose(gpu: &Gpu, capacity: Size, hidden: usize, normed: bool) -> IndrnnPath {
    let Size { batch, frames } = capacity;
    let chains = batch * hidden;
    let most = if gpu.summary().is_software() { MOST_CHAINS_IN_SOFTWARE } else { MOST_CHAINS };
    let candidates = if frames >= FEWEST_FRAMES && chains <= most { &NAMES[..] } else { &NAMES[..1] };
    let norm = if normed { ", normed" } else { "" };
    let key = format!("indrnn{norm}, {frames} frames x {batch} x {hidden}");
    let measured = Size { batch, frames: frames.min(MOST_NUMBERS / chains.max(1)) };
    PATHS[gpu.choose(&key, candidates, || Trial::new(gpu, measured, hidden, normed))]
}

/// Both over one set of tensors.
struct Trial<'g> {
    gpu: &'g Gpu,
    size: Size,
    layers: Vec<IndrnnRecurrence>,
    /// By forward, and by backward.
    written: [Written; 2],
    repeats: Option<u32>,
}

impl<'g> Trial<'g> {
    fn new(gpu: &'g Gpu, size: Size, hidden: usize, normed: bool) -> Result<Self, GpuError> {
        let shape = [size.frames, size.batch, hidden];
        let (a, h) = (Map::new(gpu, "measured input", &shape)?, Map::new(gpu, "measured states", &shape)?);
        let vector = |label| gpu.tensor(label, Element::F32, &[hidden]);
        let u = Param { value: vector("measured weights")?, grad: vector("measured gradient")? };
        let scratch = gpu.tensor("measured sums", Element::F32, &[size.batch, hidden])?;
        // Inputs and weights of either sign, states that live long.
        wave(gpu, &a.value.tensor, 0.7, 1.0);
        wave(gpu, &h.grad.tensor, 0.3, 1.0);
        wave(gpu, &u.value, 1.9, 1.0);
        let states = NormedStates::new(gpu, size.batch, hidden)?;
        wave(gpu, &states.norm, 1.3, 1.0);
        wave(gpu, &states.corrections, 0.9, 0.1);
        let layer = |path| {
            if normed {
                IndrnnRecurrence::normed(gpu, path, &a, &h, &u, &states)
            } else {
                IndrnnRecurrence::with_path(gpu, path, size, &a, &h, &u, &scratch)
            }
        };
        let layers = PATHS.into_iter().map(layer).collect::<Result<_, _>>()?;
        let (mut by_forward, mut by_backward) = (vec![h.value.tensor], vec![a.grad.tensor]);
        if normed {
            by_forward.push(states.moments);
            by_backward.push(states.chain_sums);
        } else {
            by_backward.extend([u.grad, scratch]);
        }
        Ok(Self { gpu, size, layers, written: [by_forward, by_backward].map(Written::plain), repeats: None })
    }

    fn run(&self, repeats: u32, forward: usize, backward: usize) -> Result<Duration, GpuError> {
        timed(self.gpu, repeats, |pass| {
            self.layers[forward].forward(pass, self.size);
            self.layers[backward].backward(pass, self.size);
        })
    }
}

impl Contest for Trial<'_> {
    fn time(&mut self, candidate: usize) -> Result<Duration, GpuError> {
        let repeats = match self.repeats {
            Some(repeats) => repeats,
            None => {
                let once = self.run(1, 0, 0)?;
                (LONG_ENOUGH.as_secs_f64() / once.as_secs_f64().max(1e-9)).clamp(1.0, f64::from(MOST_REPEATS)) as u32
            }
        };
        self.repeats = Some(repeats);
        self.run(repeats, candidate, candidate)
    }

    /// Backward is judged on the states of the first: which of them are 0 is a matter of rounding where a sum nearly
    /// vanishes.
    fn agrees(&mut self, candidate: usize) -> Result<bool, GpuError> {
        let [by_forward, by_backward] = &self.written;
        let forward = |path| by_forward.results(self.gpu, || self.run(1, path, 0));
        let backward = |path| by_backward.results(self.gpu, || self.run(1, 0, path));
        Ok(by_forward.agree(&forward(0)?, &forward(candidate)?) && by_backward.agree(&backward(0)?, &backward(candidate)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::GpuOptions;

    #[test]
    #[allow(clippy::unwrap_used)]
    fn both_paths_agree_and_what_is_wrong_does_not() {
        let gpu = Gpu::open(&GpuOptions::default()).unwrap();
        for normed in [false, true] {
            let mut trial = Trial::new(&gpu, Size { batch: 2, frames: 300 }, 5, normed).unwrap();
            assert!(trial.agrees(1).unwrap() && trial.time(1).unwrap() > Duration::ZERO, "normed: {normed}");
            for written in &trial.written {
                let right = written.results(&gpu, || trial.run(1, 0, 0)).unwrap();
                for place in 0..right.len() {
                    let mut other = right.clone();
                    other[place].iter_mut().for_each(|value| *value = 1.1 * *value + 0.01);
                    assert!(!written.agree(&right, &other), "normed: {normed}, {place}");
                }
            }
        }
    }
}

//! Launcher of `dropout.wgsl`.

use super::{Layer, Map, Mode, Size};
use crate::gpu::{Dispatch, Gpu, GpuError, Grid, Pass, Shader, Tensor};
use std::cell::Cell;

const DROPOUT: Shader = Shader("dropout");
/// Steps that an invocation applies its mask to.
const STEPS: usize = 16;

/// What the dropouts of one network share.
#[derive(Clone, Copy)]
pub struct DropoutSeed<'a> {
    /// The share that is left out, in [0, 1).
    pub p: f32,
    /// Two `u32` (low word, high word) that the host writes before each step.
    pub seed: &'a Tensor,
    /// The stream of the next layer.
    pub streams: &'a Cell<u32>,
}

/// Dropout with one mask for all steps of a sequence (time, batch, channel), drawn per sample and channel: Gal &
/// Ghahramani, arXiv 1512.05287.
pub struct Dropout {
    channels: usize,
    x: Tensor,
    y: Tensor,
    forward: Dispatch,
    backward: Dispatch,
}

impl Dropout {
    /// Prepares the kernels over two maps of one shape; a channel is zero with probability `p` in [0, 1).
    ///
    /// `seed` are two `u32` (low word, high word) that the host writes before each step; `stream` is a number that no
    /// other layer of the network has, so that layers draw masks of their own.
    pub fn new(gpu: &Gpu, x: &Map, y: &Map, seed: &Tensor, p: f32, stream: u32) -> Result<Self, GpuError> {
        assert!((0.0..1.0).contains(&p) && seed.elements() == 2, "p = {p}, {} words of seed", seed.elements());
        let channels = x.value.stride;
        let p = f64::from(p);
        let constants = [
            ("CHANNELS", channels.into()),
            ("STREAM", stream.into()),
            ("DROP_BELOW", ((p * 4_294_967_296.0) as u32).into()),
            ("SCALE", ((1.0 / (1.0 - p)) as f32).into()),
            ("STEPS", STEPS.into()),
        ];
        let forward = [("x", &x.value.tensor), ("y", &y.value.tensor), ("seed", seed)];
        let backward = [("dy", &y.grad.tensor), ("dx", &x.grad.tensor), ("seed", seed)];
        Ok(Self {
            channels,
            x: x.value.tensor.clone(),
            y: y.value.tensor.clone(),
            forward: DROPOUT.dispatch(gpu, "forward", &constants, &forward)?,
            backward: DROPOUT.dispatch(gpu, "backward_input", &constants, &backward)?,
        })
    }
}

impl Layer for Dropout {
    /// y from x; in evaluation a copy.
    fn forward(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        match mode {
            Mode::Evaluate => pass.copy(&self.x, &self.y, size.frames * size.batch * self.channels),
            Mode::Train | Mode::Recalibrate(_) => self.run(pass, &self.forward, size),
        }
    }

    /// dx from dy, by the mask of the same seed.
    fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        self.run(pass, &self.backward, size);
    }
}

impl Dropout {
    fn run(&self, pass: &mut Pass<'_>, dispatch: &Dispatch, size: Size) {
        let chains = size.batch * self.channels;
        let threads = chains * size.frames.div_ceil(STEPS);
        // A mask costs about as much as ten elements.
        let work = 2 * chains * size.frames + 20 * threads;
        pass.run(dispatch, Grid::threads(threads, 64), &[size.batch as u32, size.frames as u32], work);
    }
}

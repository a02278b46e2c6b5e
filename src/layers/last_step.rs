//! Launcher of `last_step.wgsl`.

use super::{Map, Size};
use crate::gpu::{Dispatch, Gpu, GpuError, Grid, Pass, Shader};

const LAST_STEP: Shader = Shader("last_step");

/// The last step of a sequence: (time, batch, channel) to (batch, channel).
pub struct LastStep {
    channels: usize,
    forward: Dispatch,
    backward: Dispatch,
    /// Elements of an invocation of it.
    backward_elements: usize,
}

impl LastStep {
    /// Prepares the kernels.
    pub fn new(gpu: &Gpu, x: &Map, y: &Map) -> Result<Self, GpuError> {
        let channels = x.value.stride;
        let constants = [("CHANNELS", channels.into())];
        let forward = LAST_STEP.dispatch(gpu, "forward", &constants, &[("x", &x.value.tensor), ("y", &y.value.tensor)])?;
        let (backward_elements, entry, names) = if channels.is_multiple_of(4) {
            (4, "backward_input_vectors", ["dy_vectors", "dx_vectors"])
        } else {
            (1, "backward_input", ["dy", "dx"])
        };
        let tensors = [(names[0], &y.grad.tensor), (names[1], &x.grad.tensor)];
        let backward = LAST_STEP.dispatch(gpu, entry, &constants, &tensors)?;
        Ok(Self { channels, forward, backward, backward_elements })
    }

    /// y from x.
    pub fn forward(&self, pass: &mut Pass<'_>, size: Size) {
        let elements = size.batch * self.channels;
        pass.run(&self.forward, Grid::threads(elements, 64), &[size.batch as u32, size.frames as u32], elements);
    }

    /// dx from dy, zero before the last step.
    pub fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        let elements = size.frames * size.batch * self.channels;
        pass.run(
            &self.backward,
            Grid::threads(elements / self.backward_elements, 64),
            &[size.batch as u32, size.frames as u32],
            elements,
        );
    }
}

//! Launcher of `indrnn.wgsl`: the recurrence alone.

use super::convolution::reduce;
use super::{Map, Param, Size};
use crate::gpu::{Dispatch, Gpu, GpuError, Grid, Pass, Shader, Tensor};

const INDRNN: Shader = Shader("indrnn");

/// `h[t] = relu(a[t] + u h[t-1])` over a whole sequence (time, batch, hidden).
pub struct IndrnnRecurrence {
    hidden: usize,
    forward: Dispatch,
    backward: Dispatch,
    reduce: Dispatch,
}

impl IndrnnRecurrence {
    /// Prepares the kernels from `a` to `h`; `scratch` holds batch x hidden floats.
    pub fn new(gpu: &Gpu, a: &Map, h: &Map, u: &Param, scratch: &Tensor) -> Result<Self, GpuError> {
        let hidden = a.value.stride;
        let constants = [("HIDDEN", hidden.into())];
        let forward = [("a", &a.value.tensor), ("u", &u.value), ("h", &h.value.tensor)];
        let backward = [
            ("u", &u.value),
            ("state", &h.value.tensor),
            ("dh", &h.grad.tensor),
            ("da", &a.grad.tensor),
            ("partial_sums", scratch),
        ];
        Ok(Self {
            hidden,
            forward: INDRNN.dispatch(gpu, "forward", &constants, &forward)?,
            backward: INDRNN.dispatch(gpu, "backward", &constants, &backward)?,
            reduce: reduce(gpu, hidden, 0, scratch, &u.grad)?,
        })
    }

    /// h from a.
    pub fn forward(&self, pass: &mut Pass<'_>, size: Size) {
        let chains = size.batch * self.hidden;
        pass.run(&self.forward, Grid::threads(chains, 64), &[size.batch as u32, size.frames as u32], 4 * chains * size.frames);
    }

    /// da and du from dh.
    pub fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        let chains = size.batch * self.hidden;
        pass.run(&self.backward, Grid::threads(chains, 64), &[size.batch as u32, size.frames as u32], 8 * chains * size.frames);
        pass.run(&self.reduce, Grid::threads(self.hidden, 64), &[size.batch as u32], chains);
    }
}

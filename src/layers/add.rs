//! Launcher of `add.wgsl`.

use crate::gpu::{Dispatch, Gpu, GpuError, Grid, Pass, Shader, Tensor};

const ADD: Shader = Shader("add");

/// `y = x + f`, element by element; the gradient of y is that of both.
pub struct Add {
    forward: Dispatch,
}

impl Add {
    /// Prepares the kernel.
    pub fn new(gpu: &Gpu, x: &Tensor, f: &Tensor, y: &Tensor) -> Result<Self, GpuError> {
        Ok(Self { forward: ADD.dispatch(gpu, "forward", &[], &[("x", x), ("f", f), ("y", y)])? })
    }

    /// The first `count` elements.
    pub fn forward(&self, pass: &mut Pass<'_>, count: usize) {
        pass.run(&self.forward, Grid::threads(count, 64), &[count as u32], 3 * count);
    }
}

//! Launcher of `relu.wgsl`.

use super::Map;
use crate::gpu::{Dispatch, Gpu, GpuError, Grid, Pass, Shader};

const RELU: Shader = Shader("relu");

/// `y = max(0, x)`, element-wise.
pub struct Relu {
    forward: Dispatch,
    backward: Dispatch,
}

impl Relu {
    /// Prepares the kernels over two maps of one shape.
    pub fn new(gpu: &Gpu, x: &Map, y: &Map) -> Result<Self, GpuError> {
        let (value, grad) = (&x.value.tensor, &x.grad.tensor);
        Ok(Self {
            forward: RELU.dispatch(gpu, "forward", &[], &[("x", value), ("y", &y.value.tensor)])?,
            backward: RELU.dispatch(gpu, "backward_input", &[], &[("x", value), ("dy", &y.grad.tensor), ("dx", grad)])?,
        })
    }

    /// y from the first `elements` of x.
    pub fn forward(&self, pass: &mut Pass<'_>, elements: usize) {
        pass.run(&self.forward, Grid::threads(elements, 64), &[elements as u32], 2 * elements);
    }

    /// dx from dy.
    pub fn backward(&self, pass: &mut Pass<'_>, elements: usize) {
        pass.run(&self.backward, Grid::threads(elements, 64), &[elements as u32], 3 * elements);
    }
}

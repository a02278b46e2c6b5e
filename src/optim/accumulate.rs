//! Launcher of `accumulate.wgsl`.

use crate::gpu::{Dispatch, Gpu, GpuError, Grid, Pass, Shader, Tensor};
use crate::layers::Parameters;

const ACCUMULATE: Shader = Shader("accumulate");

/// Adds up the gradients of the batches that one update is made of. For an [`super::Optimizer`] that is made
/// with [`Accumulate::sum`].
pub struct Accumulate {
    sum: Tensor,
    add: Dispatch,
}

impl Accumulate {
    /// Prepares the kernel.
    pub fn new(gpu: &Gpu, parameters: &Parameters) -> Result<Self, GpuError> {
        let gradients = parameters.gradients().whole();
        let sum = gpu.tensor("accumulated gradients", gradients.element(), gradients.shape())?;
        let tensors = [("gradients", gradients), ("sum", &sum)];
        let add = ACCUMULATE.dispatch(gpu, "add", &[("COUNT", gradients.elements().into())], &tensors)?;
        Ok(Self { sum, add })
    }

    /// Adds the gradients of the last batch; those of the `first` of an update take the place of what was there.
    pub fn add(&self, pass: &mut Pass<'_>, first: bool) {
        let elements = self.sum.elements();
        pass.run(&self.add, Grid::threads(elements, 64), &[u32::from(first)], 3 * elements);
    }

    /// The sum, laid out as the gradient arena.
    pub fn sum(&self) -> &Tensor {
        &self.sum
    }
}

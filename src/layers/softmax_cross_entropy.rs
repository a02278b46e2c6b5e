//! Launcher of `softmax_cross_entropy.wgsl`.

use super::Map;
use crate::gpu::{Dispatch, Element, Gpu, GpuError, Grid, Pass, Shader, Tensor};

const SOFTMAX_CROSS_ENTROPY: Shader = Shader("softmax_cross_entropy");

/// Probabilities, mean cross entropy and its gradient at the logits.
pub struct SoftmaxCrossEntropy {
    /// Class indices (batch), written by the host.
    pub labels: Tensor,
    /// (batch, classes).
    pub probabilities: Tensor,
    /// Sum of losses, number right, batch, number of non-finite losses.
    pub results: Tensor,
    forward: Dispatch,
}

impl SoftmaxCrossEntropy {
    /// Prepares the kernel over `logits` (batch, classes), whose gradient it writes.
    pub fn new(gpu: &Gpu, logits: &Map) -> Result<Self, GpuError> {
        let (batch, classes) = (logits.value.tensor.shape()[0], logits.value.stride);
        let labels = gpu.tensor("labels", Element::U32, &[batch])?;
        let probabilities = gpu.tensor("probabilities", Element::F32, &[batch, classes])?;
        let results = gpu.tensor("results", Element::F32, &[4])?;
        let tensors = [
            ("logits", &logits.value.tensor),
            ("labels", &labels),
            ("probabilities", &probabilities),
            ("dlogits", &logits.grad.tensor),
            ("results", &results),
        ];
        let forward = SOFTMAX_CROSS_ENTROPY.dispatch(gpu, "forward", &[("CLASSES", classes.into())], &tensors)?;
        Ok(Self { labels, probabilities, results, forward })
    }

    /// Of the first `batch` samples.
    pub fn forward(&self, pass: &mut Pass<'_>, batch: usize) {
        pass.run(&self.forward, Grid::linear(1), &[batch as u32], batch * 64);
    }
}

//! Launcher of `softmax_cross_entropy.wgsl`.

use super::{GradientScale, Map};
use crate::gpu::{Dispatch, Element, Gpu, GpuError, Grid, Pass, Shader, Tensor};

const SOFTMAX_CROSS_ENTROPY: Shader = Shader("softmax_cross_entropy");

/// Probabilities, mean cross entropy and its gradient at the logits; as `torch.nn.functional.cross_entropy`.
pub struct SoftmaxCrossEntropy {
    /// Class indices (batch), written by the host.
    pub labels: Tensor,
    /// How much each class counts (classes), written by the host; all 1 at first.
    pub class_weights: Tensor,
    /// Share of the target that is spread over all classes; 0 at first.
    pub label_smoothing: f32,
    /// (batch, classes).
    pub probabilities: Tensor,
    /// Sum of losses, number right, batch, number of non-finite losses, sum of the labels' weights over the finite ones.
    pub results: Tensor,
    forward: Dispatch,
}

impl SoftmaxCrossEntropy {
    /// Prepares the kernel over `logits` (batch, classes), whose gradient it writes, times `scale`.
    pub fn new(gpu: &Gpu, logits: &Map, scale: &GradientScale) -> Result<Self, GpuError> {
        let (batch, classes) = (logits.value.tensor.shape()[0], logits.value.stride);
        let labels = gpu.tensor("labels", Element::U32, &[batch])?;
        let class_weights = gpu.tensor("class weights", Element::F32, &[classes])?;
        gpu.write(&class_weights, &vec![1.0f32; classes]);
        let probabilities = gpu.tensor("probabilities", Element::F32, &[batch, classes])?;
        let results = gpu.tensor("results", Element::F32, &[5])?;
        let tensors = [
            ("logits", &logits.value.tensor),
            ("labels", &labels),
            ("class_weights", &class_weights),
            ("probabilities", &probabilities),
            ("dlogits", &logits.grad.tensor),
            ("gradient_scale", scale.tensor()),
            ("results", &results),
        ];
        let forward = SOFTMAX_CROSS_ENTROPY.dispatch(gpu, "forward", &[("CLASSES", classes.into())], &tensors)?;
        Ok(Self { labels, class_weights, label_smoothing: 0.0, probabilities, results, forward })
    }

    /// Of the first `batch` samples. The gradient is divided by `divisor`: the sum of the labels' weights over all
    /// samples of an update, by default those of this batch.
    pub fn forward(&self, pass: &mut Pass<'_>, batch: usize, divisor: Option<f32>) {
        let immediates = [batch as u32, self.label_smoothing.to_bits(), divisor.unwrap_or(0.0).to_bits()];
        pass.run(&self.forward, Grid::linear(1), &immediates, batch * 64);
    }
}

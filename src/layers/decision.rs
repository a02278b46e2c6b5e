//! BBNN's last layer: batch norm, ReLU, global average pooling, a linear classifier.

use super::unit::{EPSILON, MOMENTUM};
use super::{
    BatchNorm, BatchNormBackward, BatchNormGradients, ChannelStatistics, Declarations, GlobalAveragePool, Gradient, ImageContext,
    Initial, Layer, Linear, LinearShape, Map, Mode, Normalise, Parameters, Size,
};
use crate::gpu::{Element, GpuError, Pass};

/// (batch, time, mel, width) to logits (batch, classes).
pub struct Decision {
    mel: usize,
    statistics: ChannelStatistics,
    norm: BatchNorm,
    normalise: Normalise,
    pool: GlobalAveragePool,
    classifier: Linear,
    norm_backward: BatchNormBackward,
}

impl Decision {
    /// Declares `head.bn` and `classifier`.
    pub fn declare(declarations: &mut Declarations, width: usize, classes: usize) {
        BatchNorm::declare(declarations, "head.bn", width);
        LinearShape { inputs: width, outputs: classes }.declare(
            declarations,
            "classifier",
            Initial::glorot_uniform(width, classes),
        );
    }

    /// Prepares the kernels from `x` to `logits`; writes `x`'s gradient.
    pub fn new(context: &ImageContext, parameters: &Parameters, x: &Map, logits: &Map) -> Result<Self, GpuError> {
        let ImageContext { gpu, slices, scratch, .. } = context;
        let [batch, frames, mel, width] = *x.value.tensor.shape() else { panic!("images have four axes") };
        let statistics = gpu.tensor("head statistics", Element::F32, &[width, 2])?;
        let norm = BatchNorm::new(gpu, parameters, "head.bn", &statistics, EPSILON, MOMENTUM)?;
        let activated = Map::image(gpu, "head activation", [batch, frames, mel, width])?;
        let pooled = Map::new(gpu, "pooled", &[batch, width])?;
        let gradients = BatchNormGradients {
            x: &x.value,
            dy: &activated.grad,
            dx: &x.grad,
            statistics: &statistics,
            statistics_first: 0,
            parameters_first: 0,
            relu: true,
            gradient: Gradient::Write,
        };
        let shape = LinearShape { inputs: width, outputs: logits.value.count };
        Ok(Self {
            mel,
            statistics: ChannelStatistics::new(gpu, &x.value, *slices, &statistics, 0, EPSILON, scratch)?,
            normalise: Normalise::new(gpu, &norm, &x.value, &activated.value, true, *slices)?,
            pool: GlobalAveragePool::image(gpu, *slices, &activated, &pooled)?,
            classifier: Linear::new(gpu, shape, &pooled.value, Some(&pooled.grad), logits, parameters, "classifier", scratch)?,
            norm_backward: BatchNormBackward::new(gpu, &norm, *slices, &gradients, scratch)?,
            norm,
        })
    }
}

impl Layer for Decision {
    fn forward(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        let rows = size.frames * self.mel;
        if mode != Mode::Evaluate {
            self.statistics.compute(pass, size.batch, rows);
        }
        self.norm.fold(pass, size.batch * rows, mode);
        self.normalise.forward(pass, size.batch, rows);
        self.pool.forward(pass, size.batch, rows);
        self.classifier.forward(pass, size.batch);
    }

    fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        let rows = size.frames * self.mel;
        self.classifier.backward(pass, size.batch);
        self.pool.backward(pass, size.batch, rows);
        self.norm_backward.backward(pass, size.batch, rows);
    }
}

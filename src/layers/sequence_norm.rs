//! Batch norm over sequences, its statistics over the whole batch and all steps.

use super::{
    BatchNorm, BatchNormBackward, BatchNormGradients, ChannelStatistics, Channels, Gradient, Layer, Map, Mode, Normalise,
    SequenceContext, Size, Slices, batch_norm,
};
use crate::gpu::{Element, GpuError, Pass};

/// PyTorch's defaults, which the IndRNN authors' code keeps.
pub(super) const EPSILON: f32 = 1e-5;
pub(super) const MOMENTUM: f32 = 0.1;

/// (time, batch, channels) to the same; declared by [`BatchNorm::declare`].
pub struct SequenceNorm {
    statistics: ChannelStatistics,
    norm: BatchNorm,
    normalise: Normalise,
    backward: BatchNormBackward,
}

impl SequenceNorm {
    /// Floats of scratch that it takes for `rows` rows.
    pub fn scratch(rows: usize, channels: usize) -> usize {
        batch_norm::scratch(rows, channels, Slices::one(1))
    }

    /// Prepares the kernels of batch norm `name` from `x` to `y`. Without `dx` the gradient at `x` is of no use to anyone.
    pub fn new(
        context: &SequenceContext<'_>,
        name: &str,
        x: &Channels,
        dx: Option<(&Channels, Gradient)>,
        y: &Map,
    ) -> Result<Self, GpuError> {
        let SequenceContext { gpu, parameters, scratch, .. } = *context;
        let statistics = gpu.tensor("statistics", Element::F32, &[x.count, 2])?;
        let norm = BatchNorm::new(gpu, parameters, name, &statistics, EPSILON, MOMENTUM)?;
        let unused;
        let (dx, gradient) = match dx {
            Some(dx) => dx,
            None => {
                unused = Channels::whole(&gpu.tensor("unused gradient", Element::F32, y.grad.tensor.shape())?);
                (&unused, Gradient::Write)
            }
        };
        let gradients = BatchNormGradients {
            x,
            dy: &y.grad,
            dx,
            statistics: &statistics,
            statistics_first: 0,
            parameters_first: 0,
            relu: false,
            gradient,
        };
        // Rows of a sequence are steps: to the kernels of images it is `frames` samples of `batch` rows each.
        let whole = Slices::one(context.frames);
        Ok(Self {
            statistics: ChannelStatistics::new(gpu, x, whole, &statistics, 0, EPSILON, scratch)?,
            normalise: Normalise::new(gpu, &norm, x, &y.value, false, whole)?,
            backward: BatchNormBackward::new(gpu, &norm, whole, &gradients, scratch)?,
            norm,
        })
    }
}

impl Layer for SequenceNorm {
    fn forward(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        if mode != Mode::Evaluate {
            self.statistics.compute(pass, size.frames, size.batch);
        }
        self.norm.fold(pass, size.frames * size.batch, mode);
        self.normalise.forward(pass, size.frames, size.batch);
    }

    fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        self.backward.backward(pass, size.frames, size.batch);
    }
}

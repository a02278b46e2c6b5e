//! BBNN's first layer: convolution, batch norm, ReLU, max pooling (published: along time).

use super::inception::{Source, SourceStatistics};
use super::unit::{EPSILON, MOMENTUM};
use super::{
    BatchNorm, BatchNormBackward, BatchNormGradients, ChannelStatistics, Channels, Convolution, ConvolutionShape,
    ConvolutionTensors, Correction, Declarations, Gradient, ImageContext, Layer, Map, MaxPool, Mode, Normalise, Parameters,
    PoolShape, Size,
};
use crate::gpu::{Element, GpuError, Pass};

/// (batch, time, mel, 1) to (batch, time / pool, mel / pool, width).
pub struct Stem {
    mel: usize,
    convolution: Convolution,
    statistics: ChannelStatistics,
    norm: BatchNorm,
    normalise: Normalise,
    pool: MaxPool,
    norm_backward: BatchNormBackward,
    pool_shape: PoolShape,
    output_statistics: ChannelStatistics,
    output_correction: Correction,
}

impl Stem {
    fn shape(mel: usize, width: usize) -> ConvolutionShape {
        ConvolutionShape { kernel: [3, 3], inputs: 1, outputs: width, mel }
    }

    /// Declares `stem.conv` and `stem.bn`.
    pub fn declare(declarations: &mut Declarations, mel: usize, width: usize) {
        Self::shape(mel, width).declare(declarations, "stem.conv");
        BatchNorm::declare(declarations, "stem.bn", width);
    }

    /// Prepares the kernels from `x` (batch, time, mel, 1) to the first source (batch, time, mel, width) and its
    /// statistics; the source's gradient comes back.
    pub fn new(
        context: &ImageContext,
        parameters: &Parameters,
        pool: PoolShape,
        x: &Channels,
        output: &Source,
        source_statistics: &SourceStatistics,
    ) -> Result<Self, GpuError> {
        let ImageContext { gpu, slices, scratch, .. } = context;
        let [batch, frames, mel, _] = *x.tensor.shape() else { panic!("images have four axes") };
        let (y, of_y) = (&output.map, &source_statistics.values);
        let width = y.value.count;
        let convolved = Map::image(gpu, "stem convolution", [batch, frames, mel, width])?;
        let activated = Map::image(gpu, "stem activation", [batch, frames, mel, width])?;
        let statistics = gpu.tensor("stem statistics", Element::F32, &[width, 2])?;
        let tensors = ConvolutionTensors {
            x,
            fold: None,
            dx: None,
            y: &convolved.value,
            dy: &convolved.grad,
            weight: &parameters.parameter("stem.conv.weight"),
            bias: &parameters.parameter("stem.conv.bias"),
            first_input: 0,
            scratch,
        };
        let norm = BatchNorm::new(gpu, parameters, "stem.bn", &statistics, EPSILON, MOMENTUM)?;
        let gradients = BatchNormGradients {
            x: &convolved.value,
            dy: &activated.grad,
            dx: &convolved.grad,
            statistics: &statistics,
            statistics_first: 0,
            parameters_first: 0,
            relu: true,
            gradient: Gradient::Write,
        };
        Ok(Self {
            mel,
            convolution: Convolution::new(gpu, Self::shape(mel, width), *slices, &tensors)?,
            statistics: ChannelStatistics::new(gpu, &convolved.value, *slices, &statistics, 0, EPSILON, scratch)?,
            normalise: Normalise::new(gpu, &norm, &convolved.value, &activated.value, true, *slices)?,
            pool: MaxPool::new(gpu, pool, *slices, &activated, y, Gradient::Write)?,
            norm_backward: BatchNormBackward::new(gpu, &norm, *slices, &gradients, scratch)?,
            output_statistics: ChannelStatistics::new(gpu, &y.value, *slices, &of_y.moments, 0, EPSILON, scratch)?,
            output_correction: Correction::new(gpu, &y.value, &y.grad, *slices, &of_y.moments, &of_y.corrections, 0)?,
            norm,
            pool_shape: pool,
        })
    }
}

impl Layer for Stem {
    fn forward(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        let rows = size.frames * self.mel;
        self.convolution.forward(pass, size.batch, size.frames);
        if mode != Mode::Evaluate {
            self.statistics.compute(pass, size.batch, rows);
        }
        self.norm.fold(pass, size.batch * rows, mode);
        self.normalise.forward(pass, size.batch, rows);
        self.pool.forward(pass, size.batch, size.frames);
        if mode != Mode::Evaluate {
            let rows = self.pool_shape.windows(0, size.frames) * self.pool_shape.windows(1, self.mel);
            self.output_statistics.compute(pass, size.batch, rows);
        }
    }

    fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        let [frames, mel] = [(0, size.frames), (1, self.mel)].map(|(axis, length)| self.pool_shape.windows(axis, length));
        self.output_correction.apply(pass, size.batch, frames * mel);
        self.pool.backward(pass, size.batch, size.frames);
        self.norm_backward.backward(pass, size.batch, size.frames * self.mel);
        self.convolution.backward_parameters(pass, size.batch, size.frames);
    }
}

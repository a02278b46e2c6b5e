//! BBNN's transition: batch norm, ReLU, 1x1 convolution over all channels, average pooling.

use super::{
    AveragePool, Bottlenecks, BroadcastMap, Channels, ConvolutionShape, Declarations, Gradient, ImageContext, Layer, Map,
    MapStatistics, Mode, Parameters, PoolShape, Size, Unit, UnitInput, UnitOutput,
};
use crate::gpu::{GpuError, Pass};

/// (batch, time, mel, all channels) to (batch, time / pool, mel / pool, width).
pub struct Transition {
    unit: Bottlenecks,
    pool: AveragePool,
}

impl Transition {
    fn shape(mel: usize, inputs: usize, width: usize) -> ConvolutionShape {
        ConvolutionShape { kernel: [1, 1], inputs, outputs: width, mel }
    }

    /// Declares `transition.bn` and `transition.conv`.
    pub fn declare(declarations: &mut Declarations, mel: usize, inputs: usize, width: usize) {
        Unit::declare(declarations, "transition", Self::shape(mel, inputs, width));
    }

    /// Prepares the kernels from all sources to `y`, which `pool` windows of them fill; writes the sources' gradients.
    pub fn new(
        context: &ImageContext,
        parameters: &Parameters,
        map: &BroadcastMap,
        pool: PoolShape,
        y: &Map,
    ) -> Result<Self, GpuError> {
        let BroadcastMap { sources, statistics, rooms: [value, grad], .. } = map;
        let inputs: usize = sources.iter().map(|s| s.map.value.count).sum();
        let mel = value.shape()[2];
        let width = y.value.count;
        // Nobody needs the values once they are averaged, nor the gradients once those of the sources are made.
        let convolved = Map { value: Channels::whole(value), grad: Channels::whole(grad) };
        let input =
            UnitInput { sources: sources.iter().map(|s| (&s.map, Gradient::Write)).collect(), statistics: &statistics.values };
        // Nobody asks for them: averages are normalised, not these.
        let unused = MapStatistics::new(&context.gpu, "transition statistics", width)?;
        let output = UnitOutput { map: &convolved, statistics: (&unused, 0) };
        Ok(Self {
            unit: Bottlenecks::new(
                context,
                parameters,
                &["transition".into()],
                Self::shape(mel, inputs, width),
                &input,
                &[output],
            )?,
            pool: AveragePool::new(&context.gpu, pool.kernel, context.slices, &convolved, y)?,
        })
    }
}

impl Layer for Transition {
    fn forward(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        self.unit.forward(pass, size, mode);
        self.pool.forward(pass, size.batch, size.frames);
    }

    fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        self.pool.backward(pass, size.batch, size.frames);
        self.unit.backward(pass, size);
    }
}

//! One IndRNN layer: input projection of all steps, recurrence, batch norm after it.

use super::{
    BatchNorm, BatchNormBackward, BatchNormGradients, ChannelStatistics, Channels, Declarations, FileLayout, Gradient,
    IndrnnRecurrence, Initial, Layer, Linear, LinearShape, Map, Mode, Normalise, Parameters, Size, Slices, batch_norm,
};
use crate::gpu::{Element, Gpu, GpuError, Pass, Tensor};

/// PyTorch's defaults, which the authors' code keeps.
const EPSILON: f32 = 1e-5;
const MOMENTUM: f32 = 0.1;

/// (time, batch, inputs) to (time, batch, hidden).
pub struct IndrnnBlock {
    linear: Linear,
    recurrence: IndrnnRecurrence,
    statistics: ChannelStatistics,
    norm: BatchNorm,
    normalise: Normalise,
    norm_backward: BatchNormBackward,
}

impl IndrnnBlock {
    /// Declares `name.input`, `name.recurrent` and `name.bn`. Recurrent weights begin uniform in `recurrent` and are
    /// kept within plus or minus `limit`.
    pub fn declare(declarations: &mut Declarations, name: &str, shape: LinearShape, recurrent: (f32, f32), limit: f32) {
        shape.declare(declarations, &format!("{name}.input"), Initial::kaiming_uniform(8.0, shape.inputs));
        let initial = Initial::Uniform(recurrent.0, recurrent.1);
        declarations.parameter(format!("{name}.recurrent.weight"), &[shape.outputs], FileLayout::Vector, initial).limit = limit;
        BatchNorm::declare(declarations, &format!("{name}.bn"), shape.outputs);
    }

    /// Floats of scratch that the block takes for `frames` x `batch` rows.
    pub fn scratch(shape: LinearShape, rows: usize, batch: usize) -> usize {
        shape.scratch().max(batch_norm::scratch(rows, shape.outputs, Slices::one(1))).max(batch * shape.outputs)
    }

    /// Prepares the kernels from `x` to `y`, both (time, batch, features); `dx` is absent for the first layer.
    pub fn new(
        gpu: &Gpu,
        parameters: &Parameters,
        name: &str,
        x: &Channels,
        dx: Option<&Channels>,
        y: &Map,
        scratch: &Tensor,
    ) -> Result<Self, GpuError> {
        let shape = LinearShape { inputs: x.count, outputs: y.value.count };
        let projected = Map::new(gpu, "projection", y.value.tensor.shape())?;
        let states = Map::new(gpu, "states", y.value.tensor.shape())?;
        let statistics = gpu.tensor("statistics", Element::F32, &[shape.outputs, 2])?;
        let norm = BatchNorm::new(gpu, parameters, &format!("{name}.bn"), &statistics, EPSILON, MOMENTUM)?;
        let gradients = BatchNormGradients {
            x: &states.value,
            dy: &y.grad,
            dx: &states.grad,
            statistics: &statistics,
            statistics_first: 0,
            parameters_first: 0,
            relu: false,
            gradient: Gradient::Write,
        };
        let whole = Slices::one(y.value.tensor.shape()[0]);
        let recurrent = parameters.parameter(&format!("{name}.recurrent.weight"));
        Ok(Self {
            linear: Linear::new(gpu, shape, x, dx, &projected, parameters, &format!("{name}.input"), scratch)?,
            recurrence: IndrnnRecurrence::new(gpu, &projected, &states, &recurrent, scratch)?,
            statistics: ChannelStatistics::new(gpu, &states.value, whole, &statistics, 0, EPSILON, scratch)?,
            normalise: Normalise::new(gpu, &norm, &states.value, &y.value, false, whole)?,
            norm_backward: BatchNormBackward::new(gpu, &norm, whole, &gradients, scratch)?,
            norm,
        })
    }
}

impl Layer for IndrnnBlock {
    fn forward(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        self.linear.forward(pass, size.frames * size.batch);
        self.recurrence.forward(pass, size);
        // Rows of a sequence are steps: (time, batch) is `frames` "samples" of `batch` rows each.
        if mode != Mode::Evaluate {
            self.statistics.compute(pass, size.frames, size.batch);
        }
        self.norm.fold(pass, size.frames * size.batch, mode);
        self.normalise.forward(pass, size.frames, size.batch);
    }

    fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        self.norm_backward.backward(pass, size.frames, size.batch);
        self.recurrence.backward(pass, size);
        self.linear.backward(pass, size.frames * size.batch);
    }
}

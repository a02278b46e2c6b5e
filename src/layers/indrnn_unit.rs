//! The pre-activation unit of deep IndRNNs (Li et al., arXiv 1910.06251): batch norm, recurrence, linear.

use super::indrnn_block::declare_linear;
use super::{
    BatchNorm, Channels, Declarations, Dropout, Gradient, IndrnnRecurrence, Layer, Linear, LinearShape, Map, Mode,
    RecurrentWeights, SequenceContext, SequenceNorm, Size,
};
use crate::gpu::{GpuError, Pass};

/// What a unit or a head reads: channels of a sequence, and how its gradient goes back to them.
pub struct UnitSource<'a> {
    /// (time, batch, channels).
    pub value: &'a Channels,
    /// The gradient there.
    pub grad: &'a Channels,
    /// Write or add to it.
    pub gradient: Gradient,
}

/// Batch norm and recurrence: what gives a sum of features its activation and its memory.
pub struct IndrnnActivation {
    norm: SequenceNorm,
    recurrence: IndrnnRecurrence,
}

impl IndrnnActivation {
    /// Declares `name.bn` and `name.recurrent`.
    pub fn declare(declarations: &mut Declarations, name: &str, channels: usize, weights: RecurrentWeights) {
        BatchNorm::declare(declarations, &format!("{name}.bn"), channels);
        weights.declare(declarations, &format!("{name}.recurrent"), channels);
    }

    /// Prepares the kernels from `x` to `y`, all of its channels.
    pub fn new(context: &SequenceContext<'_>, name: &str, x: &UnitSource<'_>, y: &Map) -> Result<Self, GpuError> {
        let SequenceContext { gpu, parameters, scratch, .. } = *context;
        let normalised = context.map("normalised", x.value.count)?;
        let recurrent = parameters.parameter(&format!("{name}.recurrent.weight"));
        Ok(Self {
            norm: SequenceNorm::new(context, &format!("{name}.bn"), x.value, Some((x.grad, x.gradient)), &normalised)?,
            recurrence: IndrnnRecurrence::new(gpu, &normalised, y, &recurrent, scratch)?,
        })
    }
}

impl Layer for IndrnnActivation {
    fn forward(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        self.norm.forward(pass, size, mode);
        self.recurrence.forward(pass, size);
    }

    fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        self.recurrence.backward(pass, size);
        self.norm.backward(pass, size);
    }
}

/// `y = linear(recurrence(batch_norm(x)))`, with dropout after the recurrence if the network has any.
pub struct IndrnnUnit {
    activation: IndrnnActivation,
    dropout: Option<Dropout>,
    linear: Linear,
}

impl IndrnnUnit {
    /// Declares `name.bn`, `name.recurrent` and `name.linear`.
    pub fn declare(declarations: &mut Declarations, name: &str, shape: LinearShape, weights: RecurrentWeights) {
        IndrnnActivation::declare(declarations, name, shape.inputs, weights);
        declare_linear(declarations, &format!("{name}.linear"), shape);
    }

    /// Floats of scratch that it takes for `frames` x `batch` rows.
    pub fn scratch(shape: LinearShape, frames: usize, batch: usize) -> usize {
        shape.scratch().max(SequenceNorm::scratch(frames * batch, shape.inputs)).max(batch * shape.inputs)
    }

    /// Prepares the kernels from `x` to the channels `y`.
    pub fn new(context: &SequenceContext<'_>, name: &str, x: &UnitSource<'_>, y: &Map) -> Result<Self, GpuError> {
        let SequenceContext { gpu, parameters, scratch, .. } = *context;
        let shape = LinearShape { inputs: x.value.count, outputs: y.value.count };
        let states = context.map("states", shape.inputs)?;
        let linear = format!("{name}.linear");
        let (dropout, dropped) = context.dropped(&states)?;
        Ok(Self {
            activation: IndrnnActivation::new(context, name, x, &states)?,
            dropout,
            linear: Linear::new(gpu, shape, &dropped.value, Some(&dropped.grad), y, parameters, &linear, scratch)?,
        })
    }
}

impl Layer for IndrnnUnit {
    fn forward(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        self.activation.forward(pass, size, mode);
        if let Some(dropout) = &self.dropout {
            dropout.forward(pass, size, mode);
        }
        self.linear.forward(pass, size.frames * size.batch);
    }

    fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        self.linear.backward(pass, size.frames * size.batch);
        if let Some(dropout) = &self.dropout {
            dropout.backward(pass, size);
        }
        self.activation.backward(pass, size);
    }
}

//! The end of every recurrent network: one vector of a sequence, and a linear classifier.

use super::{Declarations, GlobalAveragePool, Initial, LastStep, Layer, Linear, LinearShape, Map, Mode, SequenceContext, Size};
use crate::gpu::{Gpu, GpuError, Pass};

/// Which vector of a sequence is classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readout {
    /// That of the last step.
    Last,
    /// The mean of all steps.
    Mean,
}

/// The kernels of a readout.
pub(super) enum Read {
    Last(LastStep),
    Mean(GlobalAveragePool),
}

impl Read {
    /// From `x` (time, batch, features) to `y` (batch, features).
    pub(super) fn new(gpu: &Gpu, readout: Readout, x: &Map, y: &Map) -> Result<Self, GpuError> {
        Ok(match readout {
            Readout::Last => Self::Last(LastStep::new(gpu, x, y)?),
            Readout::Mean => Self::Mean(GlobalAveragePool::sequence(gpu, x, y)?),
        })
    }

    pub(super) fn forward(&self, pass: &mut Pass<'_>, size: Size) {
        match self {
            Self::Last(last) => last.forward(pass, size),
            Self::Mean(mean) => mean.forward(pass, size.batch, size.frames),
        }
    }

    pub(super) fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        match self {
            Self::Last(last) => last.backward(pass, size),
            Self::Mean(mean) => mean.backward(pass, size.batch, size.frames),
        }
    }
}

/// (time, batch, features) to logits (batch, classes).
pub struct SequenceHead {
    read: Read,
    classifier: Linear,
}

impl SequenceHead {
    /// Declares `classifier`, begun as PyTorch begins a linear layer.
    pub fn declare(declarations: &mut Declarations, shape: LinearShape) {
        let bound = (shape.inputs as f32).sqrt().recip();
        shape.declare(declarations, "classifier", Initial::Uniform(-bound, bound));
    }

    /// Prepares the kernels from `x` to `logits`; writes the gradient of all of `x`.
    pub fn new(context: &SequenceContext<'_>, readout: Readout, x: &Map, logits: &Map) -> Result<Self, GpuError> {
        let SequenceContext { gpu, parameters, scratch, batch, .. } = *context;
        let shape = LinearShape { inputs: x.value.count, outputs: logits.value.count };
        let read = Map::new(gpu, "readout", &[batch, shape.inputs])?;
        Ok(Self {
            classifier: Linear::new(gpu, shape, &read.value, Some(&read.grad), logits, parameters, "classifier", scratch)?,
            read: Read::new(gpu, readout, x, &read)?,
        })
    }
}

impl Layer for SequenceHead {
    fn forward(&self, pass: &mut Pass<'_>, size: Size, _mode: Mode) {
        self.read.forward(pass, size);
        self.classifier.forward(pass, size.batch);
    }

    fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        self.classifier.backward(pass, size.batch);
        self.read.backward(pass, size);
    }
}

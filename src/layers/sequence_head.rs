//! The end of every recurrent network: one vector of a sequence, and a linear classifier.

use super::{Declarations, GlobalAveragePool, Initial, LastStep, Layer, Linear, LinearShape, Map, Mode, SequenceContext, Size};
use crate::gpu::{GpuError, Pass};

/// Which vector of a sequence is classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readout {
    /// That of the last step.
    Last,
    /// The mean of all steps.
    Mean,
}

enum Read {
    Last(LastStep),
    Mean(GlobalAveragePool),
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
            read: match readout {
                Readout::Last => Read::Last(LastStep::new(gpu, x, &read)?),
                Readout::Mean => Read::Mean(GlobalAveragePool::sequence(gpu, x, &read)?),
            },
        })
    }
}

impl Layer for SequenceHead {
    fn forward(&self, pass: &mut Pass<'_>, size: Size, _mode: Mode) {
        match &self.read {
            Read::Last(last) => last.forward(pass, size),
            Read::Mean(mean) => mean.forward(pass, size.batch, size.frames),
        }
        self.classifier.forward(pass, size.batch);
    }

    fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        self.classifier.backward(pass, size.batch);
        match &self.read {
            Read::Last(last) => last.backward(pass, size),
            Read::Mean(mean) => mean.backward(pass, size.batch, size.frames),
        }
    }
}

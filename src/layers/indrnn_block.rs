//! One layer of a plain IndRNN: input projection of all steps, recurrence, and a batch norm in one of three places.

use super::{
    BatchNorm, Channels, Declarations, FileLayout, Gradient, IndrnnRecurrence, Initial, Layer, Linear, LinearShape, Map, Mode,
    SequenceContext, SequenceNorm, Size,
};
use crate::gpu::{GpuError, Pass};

/// Where the batch norm of a layer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormPlace {
    /// Linear, recurrence, batch norm.
    After,
    /// Linear, batch norm, recurrence.
    Before,
    /// Batch norm, linear, recurrence.
    Input,
    /// Linear, recurrence.
    None,
}

/// How the recurrent weights of a layer begin, and how large they may become.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RecurrentWeights {
    /// They begin uniform between the two.
    pub initial: [f32; 2],
    /// The optimiser keeps them within plus or minus this.
    pub limit: f32,
}

impl RecurrentWeights {
    /// Declares `name.weight` of `hidden` units.
    pub fn declare(self, declarations: &mut Declarations, name: &str, hidden: usize) {
        let initial = Initial::Uniform(self.initial[0], self.initial[1]);
        declarations.parameter(format!("{name}.weight"), &[hidden], FileLayout::Vector, initial).limit = self.limit;
    }
}

/// Declares a linear layer begun as the authors' code begins it.
pub(super) fn declare_linear(declarations: &mut Declarations, name: &str, shape: LinearShape) {
    shape.declare(declarations, name, Initial::kaiming_uniform(8.0, shape.inputs));
}

/// (time, batch, inputs) to (time, batch, hidden).
pub struct IndrnnBlock {
    place: NormPlace,
    linear: Linear,
    recurrence: IndrnnRecurrence,
    norm: Option<SequenceNorm>,
}

impl IndrnnBlock {
    /// Declares `name.input`, `name.recurrent` and, unless there is none, `name.bn`.
    pub fn declare(declarations: &mut Declarations, name: &str, shape: LinearShape, place: NormPlace, weights: RecurrentWeights) {
        declare_linear(declarations, &format!("{name}.input"), shape);
        weights.declare(declarations, &format!("{name}.recurrent"), shape.outputs);
        match place {
            NormPlace::None => {}
            NormPlace::Input => BatchNorm::declare(declarations, &format!("{name}.bn"), shape.inputs),
            NormPlace::After | NormPlace::Before => BatchNorm::declare(declarations, &format!("{name}.bn"), shape.outputs),
        }
    }

    /// Floats of scratch that the block takes for `frames` x `batch` rows.
    pub fn scratch(shape: LinearShape, frames: usize, batch: usize) -> usize {
        let norm = SequenceNorm::scratch(frames * batch, shape.inputs.max(shape.outputs));
        shape.scratch().max(norm).max(batch * shape.outputs)
    }

    /// Prepares the kernels from `x` to `y`, both (time, batch, features); `dx` is absent for the first layer.
    pub fn new(
        context: &SequenceContext<'_>,
        name: &str,
        place: NormPlace,
        x: &Channels,
        dx: Option<&Channels>,
        y: &Map,
    ) -> Result<Self, GpuError> {
        let SequenceContext { gpu, parameters, scratch, .. } = *context;
        let shape = LinearShape { inputs: x.count, outputs: y.value.count };
        let bn = format!("{name}.bn");
        let write = |dx| (dx, Gradient::Write);
        let linear = |x: &Channels, dx: Option<&Channels>, y: &Map| {
            Linear::new(gpu, shape, x, dx, y, parameters, &format!("{name}.input"), scratch)
        };
        let projected = context.map("projection", shape.outputs)?;
        let (linear, states, norm) = match place {
            NormPlace::None => (linear(x, dx, &projected)?, [projected, y.clone()], None),
            NormPlace::After => {
                let states = context.map("states", shape.outputs)?;
                let norm = SequenceNorm::new(context, &bn, &states.value, Some(write(&states.grad)), y)?;
                (linear(x, dx, &projected)?, [projected, states], Some(norm))
            }
            NormPlace::Before => {
                let normalised = context.map("normalised", shape.outputs)?;
                let norm = SequenceNorm::new(context, &bn, &projected.value, Some(write(&projected.grad)), &normalised)?;
                (linear(x, dx, &projected)?, [normalised, y.clone()], Some(norm))
            }
            NormPlace::Input => {
                let normalised = context.map("normalised", shape.inputs)?;
                let norm = SequenceNorm::new(context, &bn, x, dx.map(write), &normalised)?;
                (linear(&normalised.value, Some(&normalised.grad), &projected)?, [projected, y.clone()], Some(norm))
            }
        };
        let [a, h] = states;
        let recurrent = parameters.parameter(&format!("{name}.recurrent.weight"));
        Ok(Self { place, linear, recurrence: IndrnnRecurrence::new(gpu, &a, &h, &recurrent, scratch)?, norm })
    }

    fn norm_at(&self, place: NormPlace) -> Option<&SequenceNorm> {
        self.norm.as_ref().filter(|_| self.place == place)
    }
}

impl Layer for IndrnnBlock {
    fn forward(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        if let Some(norm) = self.norm_at(NormPlace::Input) {
            norm.forward(pass, size, mode);
        }
        self.linear.forward(pass, size.frames * size.batch);
        if let Some(norm) = self.norm_at(NormPlace::Before) {
            norm.forward(pass, size, mode);
        }
        self.recurrence.forward(pass, size);
        if let Some(norm) = self.norm_at(NormPlace::After) {
            norm.forward(pass, size, mode);
        }
    }

    fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        if let Some(norm) = self.norm_at(NormPlace::After) {
            norm.backward(pass, size);
        }
        self.recurrence.backward(pass, size);
        if let Some(norm) = self.norm_at(NormPlace::Before) {
            norm.backward(pass, size);
        }
        self.linear.backward(pass, size.frames * size.batch);
        if let Some(norm) = self.norm_at(NormPlace::Input) {
            norm.backward(pass, size);
        }
    }
}

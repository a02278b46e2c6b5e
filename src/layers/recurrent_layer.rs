//! One level of a recurrent stack: input projection of all steps as one product, then the recurrence.

use super::reduce::Reduce;
use super::{
    Cell, Channels, Convolution, ConvolutionTensors, Declarations, FileLayout, Initial, Layer, Linear, LinearShape, Map, Mode,
    Param, Parameters, Recurrence, RecurrenceTensors, RecurrenceVariant, Size, Slices,
};
use crate::gpu::{Element, Gpu, GpuError, Pass, Tensor};

/// The sizes of one level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecurrentShape {
    /// Its equations.
    pub cell: Cell,
    /// Features of a row of x.
    pub inputs: usize,
    /// Units.
    pub hidden: usize,
}

impl RecurrentShape {
    /// Declares what `torch.nn.RNN`, `LSTM` or `GRU` under the name `rnn` has for that level, begun as there: all uniform
    /// within 1 / sqrt(hidden).
    pub fn declare(&self, declarations: &mut Declarations, level: usize) {
        let outputs = self.cell.gates() * self.hidden;
        let bound = (self.hidden as f32).sqrt().recip();
        let [weight_ih, weight_hh, bias_ih, bias_hh] = names(level);
        let mut declare = |name, shape: &[usize], layout| {
            declarations.parameter(name, shape, layout, Initial::Uniform(-bound, bound));
        };
        declare(weight_ih, &[self.inputs, outputs], FileLayout::Linear);
        declare(weight_hh, &[self.hidden, outputs], FileLayout::Linear);
        declare(bias_ih, &[outputs], FileLayout::Vector);
        declare(bias_hh, &[outputs], FileLayout::Vector);
    }

    /// Floats of scratch that the weights' gradients take.
    pub fn scratch(&self) -> usize {
        self.projection().scratch().max(self.recurrent().scratch())
    }

    /// `weight_ih`, `weight_hh`, `bias_ih` and `bias_hh` of a level.
    pub(super) fn parameters(&self, parameters: &Parameters, level: usize) -> [Param; 4] {
        names(level).map(|name| parameters.parameter(&name))
    }

    fn projection(&self) -> LinearShape {
        LinearShape { inputs: self.inputs, outputs: self.cell.gates() * self.hidden }
    }

    fn recurrent(&self) -> LinearShape {
        LinearShape { inputs: self.hidden, outputs: self.cell.gates() * self.hidden }
    }
}

fn names(level: usize) -> [String; 4] {
    ["weight_ih", "weight_hh", "bias_ih", "bias_hh"].map(|name| format!("rnn.{name}_l{level}"))
}

/// (time, batch, inputs) to (time, batch, hidden).
pub struct RecurrentLayer {
    products: RecurrentProducts,
    recurrence: Recurrence,
}

impl RecurrentLayer {
    /// Prepares the kernels from `x` to `y`, both (time, batch, features); `dx` is absent for the first level. `scratch`
    /// has room for [`RecurrentShape::scratch`].
    pub fn new(
        gpu: &Gpu,
        parameters: &Parameters,
        shape: RecurrentShape,
        level: usize,
        x: &Channels,
        dx: Option<&Channels>,
        y: &Map,
        scratch: &Tensor,
    ) -> Result<Self, GpuError> {
        let &[frames, batch, hidden] = y.value.tensor.shape() else { panic!("a sequence is (time, batch, hidden)") };
        let variants = RecurrenceVariant::choose(gpu, shape.cell, Size { batch, frames }, hidden);
        Self::with_variants(gpu, variants, parameters, shape, level, x, dx, y, scratch)
    }

    /// As [`RecurrentLayer::new`], with a variant of the recurrence forward and one backward.
    pub fn with_variants(
        gpu: &Gpu,
        variants: [RecurrenceVariant; 2],
        parameters: &Parameters,
        shape: RecurrentShape,
        level: usize,
        x: &Channels,
        dx: Option<&Channels>,
        y: &Map,
        scratch: &Tensor,
    ) -> Result<Self, GpuError> {
        let &[frames, batch, hidden] = y.value.tensor.shape() else { panic!("a sequence is (time, batch, hidden)") };
        assert_eq!((x.count, hidden), (shape.inputs, shape.hidden), "the features of x and y");
        let columns = shape.cell.gates() * shape.hidden;
        let tensor = |label: &str| gpu.tensor(label, Element::F32, &[frames, batch, columns]);
        // Backward does not read the projection: its gradient takes its place.
        let a = tensor("projection")?;
        let dhidden = if shape.cell == Cell::Gru { tensor("d state's part of the gates")? } else { a.clone() };
        let [_, weight_hh, _, bias_hh] = shape.parameters(parameters, level);
        let tensors = RecurrenceTensors {
            a: &a,
            h: &y.value.tensor,
            dh: &y.grad.tensor,
            da: &a,
            dhidden: &dhidden,
            weight: &weight_hh.value,
            bias: &bias_hh.value,
        };
        Ok(Self {
            products: RecurrentProducts::new(gpu, parameters, shape, level, x, dx, &tensors, scratch)?,
            recurrence: Recurrence::new(gpu, variants, shape.cell, &tensors)?,
        })
    }

    /// With at most so many steps in a dispatch: see [`Recurrence::at_most`].
    pub fn at_most(mut self, steps: usize) -> Self {
        self.recurrence = self.recurrence.at_most(steps);
        self
    }
}

impl Layer for RecurrentLayer {
    fn forward(&self, pass: &mut Pass<'_>, size: Size, _: Mode) {
        self.products.project(pass, size);
        self.recurrence.forward(pass, size);
    }

    fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        self.recurrence.backward(pass, size);
        self.products.backward(pass, size);
    }
}

/// The products of one level over all steps at once: all but the recurrence.
pub(super) struct RecurrentProducts {
    projection: Linear,
    /// h as x of a product whose y is what it brings to the gates of the next step: its gradients alone are run.
    recurrent: Convolution,
    bias_ih: Param,
    /// Where both biases are added to the same sum: brings the gradient of one from the scratch to the other.
    same_bias: Option<Reduce>,
    scratch: Tensor,
}

impl RecurrentProducts {
    /// `dx` is absent where the gradient of x is not wanted from here.
    pub(super) fn new(
        gpu: &Gpu,
        parameters: &Parameters,
        shape: RecurrentShape,
        level: usize,
        x: &Channels,
        dx: Option<&Channels>,
        tensors: &RecurrenceTensors<'_>,
        scratch: &Tensor,
    ) -> Result<Self, GpuError> {
        let RecurrenceTensors { a, h, da, dhidden, .. } = tensors;
        let &[frames, batch, hidden] = h.shape() else { panic!("states are (time, batch, hidden)") };
        let [weight_ih, weight_hh, bias_ih, bias_hh] = shape.parameters(parameters, level);
        let columns = shape.cell.gates() * hidden;
        let projected = Map { value: Channels::whole(a), grad: Channels::whole(da) };
        let rows = |tensor: &Tensor, columns| Channels::whole(&tensor.view(0, &[frames * batch, columns]));
        let (h, dy) = (rows(h, hidden), rows(dhidden, columns));
        let product = ConvolutionTensors {
            x: &h,
            fold: None,
            dx: None,
            y: &dy,
            dy: &dy,
            weight: &weight_hh,
            bias: &bias_hh,
            first_input: 0,
            scratch,
        };
        Ok(Self {
            projection: Linear::with_parameters(gpu, shape.projection(), x, dx, &projected, &weight_ih, &bias_ih, scratch)?,
            recurrent: Convolution::new(gpu, shape.recurrent().convolution(), Slices::one(frames * batch), &product)?,
            bias_ih,
            same_bias: if shape.cell == Cell::Gru { None } else { Some(Reduce::new(gpu, columns, 0, scratch, &bias_hh.grad)?) },
            scratch: scratch.clone(),
        })
    }

    /// a from x.
    pub(super) fn project(&self, pass: &mut Pass<'_>, size: Size) {
        self.projection.forward(pass, size.frames * size.batch);
    }

    /// From the gradients at the gates those of the parameters and, where it is wanted, of x.
    pub(super) fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        self.projection.backward(pass, size.frames * size.batch);
        // The state of a step meets the gates of the next.
        self.recurrent.backward_weight(pass, (size.frames - 1) * size.batch, 1, size.batch);
        match &self.same_bias {
            None => self.recurrent.backward_bias(pass, size.frames * size.batch, 1),
            Some(same_bias) => {
                let count = self.bias_ih.grad.elements();
                // Not at once: all gradients lie in one buffer.
                pass.copy(&self.bias_ih.grad, &self.scratch, count);
                same_bias.run(pass, 1);
            }
        }
    }
}

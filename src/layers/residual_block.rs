//! A residual block of a deep IndRNN: `y = x + unit1(unit0(x))` (Li et al., arXiv 1910.06251).

use super::{
    Add, Channels, Declarations, Gradient, IndrnnUnit, Layer, LinearShape, Map, Mode, RecurrentWeights, SequenceContext, Size,
    UnitSource,
};
use crate::gpu::{GpuError, Pass, Tensor};

/// (time, batch, hidden) to the same.
pub struct ResidualBlock {
    units: [IndrnnUnit; 2],
    add: Add,
    hidden: usize,
    dx: Tensor,
    dy: Tensor,
}

impl ResidualBlock {
    /// Declares the units `name.0` and `name.1`.
    pub fn declare(declarations: &mut Declarations, name: &str, hidden: usize, weights: RecurrentWeights) {
        for unit in 0..2 {
            let shape = LinearShape { inputs: hidden, outputs: hidden };
            IndrnnUnit::declare(declarations, &format!("{name}.{unit}"), shape, weights);
        }
    }

    /// Prepares the kernels from `x` to `y`, whole maps.
    pub fn new(context: &SequenceContext<'_>, name: &str, x: &Map, y: &Map) -> Result<Self, GpuError> {
        let hidden = x.value.count;
        let middle = context.map("middle", hidden)?;
        // The gradient at the branch's end is that at the sum.
        let value = context.gpu.tensor("branch", crate::gpu::Element::F32, y.value.tensor.shape())?;
        let branch = Map { value: Channels::whole(&value), grad: y.grad.clone() };
        let source = |map: &'static str| format!("{name}.{map}");
        let first = UnitSource { value: &x.value, grad: &x.grad, gradient: Gradient::Add };
        let second = UnitSource { value: &middle.value, grad: &middle.grad, gradient: Gradient::Write };
        Ok(Self {
            units: [
                IndrnnUnit::new(context, &source("0"), &first, &middle)?,
                IndrnnUnit::new(context, &source("1"), &second, &branch)?,
            ],
            add: Add::new(context.gpu, &x.value.tensor, &value, &y.value.tensor)?,
            hidden,
            dx: x.grad.tensor.clone(),
            dy: y.grad.tensor.clone(),
        })
    }
}

impl Layer for ResidualBlock {
    fn forward(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        for unit in &self.units {
            unit.forward(pass, size, mode);
        }
        self.add.forward(pass, size.frames * size.batch * self.hidden);
    }

    fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        pass.copy(&self.dy, &self.dx, size.frames * size.batch * self.hidden);
        for unit in self.units.iter().rev() {
            unit.backward(pass, size);
        }
    }
}

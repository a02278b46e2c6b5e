//! Rows times a matrix: `y = x W + b`, a convolution with a 1x1 kernel whose image is one band wide.

use super::{
    Channels, Convolution, ConvolutionShape, ConvolutionTensors, Declarations, FileLayout, Gradient, Initial, Map, Param,
    Parameters, Slices,
};
use crate::gpu::{Gpu, GpuError, Pass, Tensor};

/// The sizes of a linear layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinearShape {
    /// Features of a row of x.
    pub inputs: usize,
    /// Features of a row of y.
    pub outputs: usize,
}

impl LinearShape {
    /// Declares `name.weight`, begun by `initial`, and a zero `name.bias`.
    pub fn declare(&self, declarations: &mut Declarations, name: &str, initial: Initial) {
        declarations.parameter(format!("{name}.weight"), &[self.inputs, self.outputs], FileLayout::Linear, initial);
        declarations.parameter(format!("{name}.bias"), &[self.outputs], FileLayout::Vector, Initial::Constant(0.0));
    }

    pub(super) fn convolution(&self) -> ConvolutionShape {
        ConvolutionShape { kernel: [1, 1], inputs: self.inputs, outputs: self.outputs, mel: 1 }
    }

    /// Floats of scratch that the weight gradient takes.
    pub fn scratch(&self) -> usize {
        self.convolution().scratch(Slices::one(1))
    }
}

/// A linear layer over tensors whose innermost axis are the features and whose other axes are rows.
pub struct Linear(Convolution);

impl Linear {
    /// Prepares the kernels; `dx` may be absent for a network's first layer.
    pub fn new(
        gpu: &Gpu,
        shape: LinearShape,
        x: &Channels,
        dx: Option<&Channels>,
        y: &Map,
        parameters: &Parameters,
        name: &str,
        scratch: &Tensor,
    ) -> Result<Self, GpuError> {
        let (weight, bias) = (parameters.parameter(&format!("{name}.weight")), parameters.parameter(&format!("{name}.bias")));
        Self::with_parameters(gpu, shape, x, dx, y, &weight, &bias, scratch)
    }

    /// As [`Linear::new`], with parameters of any name.
    pub fn with_parameters(
        gpu: &Gpu,
        shape: LinearShape,
        x: &Channels,
        dx: Option<&Channels>,
        y: &Map,
        weight: &Param,
        bias: &Param,
        scratch: &Tensor,
    ) -> Result<Self, GpuError> {
        let flat = |c: &Channels| Channels { tensor: c.tensor.view(0, &[c.tensor.elements() / c.stride, c.stride]), ..c.clone() };
        let (x, dx, value, grad) = (flat(x), dx.map(flat), flat(&y.value), flat(&y.grad));
        let tensors = ConvolutionTensors {
            x: &x,
            fold: None,
            dx: dx.as_ref().map(|dx| (dx, Gradient::Write)),
            y: &value,
            dy: &grad,
            weight,
            bias,
            first_input: 0,
            scratch,
        };
        let rows = x.tensor.shape()[0];
        Convolution::new(gpu, shape.convolution(), Slices::one(rows), &tensors).map(Self)
    }

    /// y from `rows` rows of x.
    pub fn forward(&self, pass: &mut Pass<'_>, rows: usize) {
        self.0.forward(pass, rows, 1);
    }

    /// The gradients of x, weight and bias from that of y.
    pub fn backward(&self, pass: &mut Pass<'_>, rows: usize) {
        self.0.backward_parameters(pass, rows, 1);
        self.0.backward_input(pass, rows, 1);
    }
}

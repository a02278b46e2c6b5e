//! [`Linear`] (rows through `convolution.wgsl`) beside [`reference::linear`].

use super::bench::{Bench, Layout};
use super::comparison::{Comparison, Comparisons};
use crate::gpu::{Gpu, GpuError};
use crate::layers::{Declarations, Initial, Linear, LinearShape, Parameters, Size};
use crate::reference;
use crate::reference::noise::Noise;

/// One linear layer to try.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Rows of this batch.
    pub rows: usize,
    /// Rows that the layer is built for.
    pub capacity: usize,
    /// Features read.
    pub inputs: usize,
    /// Features written.
    pub outputs: usize,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rows, capacity, inputs, outputs } = self;
        write!(f, "{inputs}->{outputs}, {rows} of {capacity} rows")
    }
}

/// Forward, and the gradients of input, weight and bias.
pub fn check(gpu: &Gpu, case: Case) -> Result<Vec<Comparison>, GpuError> {
    let Case { rows, capacity, inputs, outputs } = case;
    let (bench, size) = (Bench::new(gpu), reference::linear::Size { rows, inputs, outputs });
    let mut noise = Noise::new((rows * inputs + outputs) as u64);
    let (x, dy) = (noise.numbers(size.input_len()), noise.numbers(size.output_len()));
    let (weight, bias) = (noise.numbers(size.weight_len()), noise.numbers(outputs));

    let shape = LinearShape { inputs, outputs };
    let mut declarations = Declarations::default();
    shape.declare(&mut declarations, "linear", Initial::Constant(0.0));
    let parameters = Parameters::new(gpu, declarations)?;
    bench.poison(parameters.gradients().whole());
    let [weight_tensors, bias_tensors] = ["linear.weight", "linear.bias"].map(|name| parameters.parameter(name));
    bench.put(&weight_tensors.value, &weight);
    bench.put(&bias_tensors.value, &bias);
    let run = Size { batch: rows, frames: 1 };
    let (in_x, in_y) = (Layout::rows(capacity, inputs), Layout::rows(capacity, outputs));
    let x_map = bench.map("x", in_x, &in_x.spread(run, &x), &in_x.nothing())?;
    let y_map = bench.map("y", in_y, &in_y.nothing(), &in_y.spread(run, &dy))?;
    let scratch = bench.poisoned("scratch", &[shape.scratch()])?;
    let layer = Linear::new(gpu, shape, &x_map.value, Some(&x_map.grad), &y_map, &parameters, "linear", &scratch)?;
    bench.run(|pass| {
        layer.forward(pass, rows);
        layer.backward(pass, rows);
    })?;

    let y = reference::linear::forward(size, &x, &weight, Some(&bias));
    let dx = reference::linear::backward_input(size, &dy, &weight);
    let mut result = Comparisons::new("linear", &case);
    result.add("y", &in_y.spread(run, &y), &bench.get(&y_map.value.tensor)?);
    result.add("dx", &in_x.spread(run, &dx), &bench.get(&x_map.grad.tensor)?);
    result.add("dweight", &reference::linear::backward_weight(size, &x, &dy), &bench.get(&weight_tensors.grad)?);
    result.add("dbias", &reference::linear::backward_bias(size, &dy), &bench.get(&bias_tensors.grad)?);
    Ok(result.done())
}

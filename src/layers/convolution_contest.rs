//! Which kernels of the convolution family a hardware adapter gets for a shape: measured, and held against the plain ones.

use super::convolution_variant::Operation;
use super::{Channels, Convolution, ConvolutionShape, ConvolutionTensors, ConvolutionVariant, ConvolutionVariants};
use super::{Fold, Gradient, Param, Slices};
use crate::gpu::{Contest, Element, Gpu, GpuError, Pass, Precision, Tensor};
use std::time::{Duration, Instant};

/// With fewer operations any kernel is done before its submission is.
const FEWEST_OPERATIONS: usize = 1 << 24;
/// Rows that are measured, at most.
const MOST_ROWS: usize = 1 << 16;
/// Of a measurement.
const REPEATS: u32 = 20;
/// Largest difference to the plain kernel, as a share of what is compared: see [`close`].
const TOLERANCE: f32 = 1e-3;

/// The best of `variants` for one operation over `rows` rows, the first of them being the one that is known to be right.
pub(super) fn choose(
    gpu: &Gpu,
    operation: Operation,
    variants: &[ConvolutionVariant],
    shape: ConvolutionShape,
    fold: bool,
    rows: usize,
) -> ConvolutionVariant {
    let ConvolutionShape { kernel: [time, mel], inputs, outputs, .. } = shape;
    if 2 * rows * time * mel * inputs * outputs < FEWEST_OPERATIONS {
        return variants[0];
    }
    // Operations may share a tile: one of each.
    let mut labels: Vec<String> = Vec::new();
    let mut candidates = Vec::new();
    for variant in variants {
        let label = variant.label(operation);
        if !labels.contains(&label) {
            labels.push(label);
            candidates.push(*variant);
        }
    }
    let rows = rows.min(MOST_ROWS);
    let folded = if fold { ", folded" } else { "" };
    let mixed = if gpu.precision() == Precision::Mixed { ", mixed" } else { "" };
    let entry = operation.entry();
    let key = format!("convolution {entry}, {time}x{mel} {inputs} -> {outputs}{folded}{mixed}, {rows} rows of {}", shape.mel);
    let names: Vec<&str> = labels.iter().map(String::as_str).collect();
    candidates[gpu.choose(&key, &names, || Trial::new(gpu, operation, &candidates, shape, fold, rows))]
}

/// All candidates over one set of tensors.
struct Trial<'g> {
    gpu: &'g Gpu,
    operation: Operation,
    frames: usize,
    layers: Vec<Convolution>,
    /// How large a sum of as many terms as it adds up is when they are of either sign: the terms are of about 1.
    terms: f32,
    /// What the operation writes.
    written: Vec<Tensor>,
}

impl<'g> Trial<'g> {
    fn new(
        gpu: &'g Gpu,
        operation: Operation,
        candidates: &[ConvolutionVariant],
        shape: ConvolutionShape,
        fold: bool,
        rows: usize,
    ) -> Result<Self, GpuError> {
        let (slices, frames) = (Slices::one(1), (rows / shape.mel).max(1));
        let ConvolutionShape { kernel: [time, mel], inputs, outputs, .. } = shape;
        let image = |channels| gpu.tensor("measured map", Element::F32, &[1, frames, shape.mel, channels]);
        let vector = |elements| gpu.tensor("measured vector", Element::F32, &[elements]);
        let param = |elements| Ok::<_, GpuError>(Param { value: vector(elements)?, grad: vector(elements)? });
        let (x, dx, y, dy) = (image(inputs)?, image(inputs)?, image(outputs)?, image(outputs)?);
        let (weight, bias) = (param(time * mel * inputs * outputs)?, param(outputs)?);
        let (scale, shift) = (vector(inputs)?, vector(inputs)?);
        let scratch = gpu.tensor("measured sums", Element::F32, &[shape.scratch(slices)])?;
        for (tensor, factor) in [(&x, 0.7), (&dy, 0.3), (&weight.value, 1.9), (&scale, 1.1), (&shift, 2.3), (&bias.value, 0.9)] {
            let values: Vec<f32> = (0..tensor.elements()).map(|i| (factor * (i % 65_521) as f32).sin()).collect();
            gpu.write(tensor, &values);
        }
        let [x, dx, y, dy] = [x, dx, y, dy].map(|tensor| Channels::whole(&tensor));
        let tensors = ConvolutionTensors {
            x: &x,
            fold: fold.then_some(Fold { scale: &scale, shift: &shift, statistics: None }),
            dx: Some((&dx, Gradient::Write)),
            y: &y,
            dy: &dy,
            weight: &weight,
            bias: &bias,
            first_input: 0,
            scratch: &scratch,
        };
        let layers = candidates.iter().map(|&variant| {
            let variants = ConvolutionVariants::only(variant, operation);
            Convolution::with_variants(gpu, variants, shape, slices, &tensors)
        });
        let layers = layers.collect::<Result<_, _>>()?;
        let written = match operation {
            Operation::Forward => vec![y.tensor],
            Operation::BackwardInput => vec![dx.tensor],
            Operation::BackwardWeight => vec![weight.grad, bias.grad],
        };
        let terms = match operation {
            Operation::Forward => time * mel * inputs,
            Operation::BackwardInput => time * mel * outputs,
            Operation::BackwardWeight => frames * shape.mel,
        };
        Ok(Self { gpu, operation, frames, layers, terms: (terms as f32).sqrt(), written })
    }

    fn run(&self, repeats: u32, candidate: usize) -> Result<Duration, GpuError> {
        let layer = &self.layers[candidate];
        let began = Instant::now();
        let mut pass = Pass::new(self.gpu);
        for _ in 0..repeats {
            match self.operation {
                Operation::Forward => layer.forward(&mut pass, 1, self.frames),
                Operation::BackwardInput => drop(layer.backward_input(&mut pass, 1, self.frames)),
                Operation::BackwardWeight => layer.backward_parameters(&mut pass, 1, self.frames),
            }
        }
        pass.submit()?;
        self.gpu.wait()?;
        Ok(began.elapsed() / repeats)
    }

    fn results(&self, candidate: usize) -> Result<Vec<Vec<f32>>, GpuError> {
        // What a kernel leaves out must not stand there from before.
        let mut pass = Pass::new(self.gpu);
        self.written.iter().for_each(|tensor| pass.clear(tensor));
        pass.submit()?;
        self.run(1, candidate)?;
        self.written.iter().map(|tensor| self.gpu.read(tensor)).collect()
    }
}

impl Contest for Trial<'_> {
    fn time(&mut self, candidate: usize) -> Result<Duration, GpuError> {
        self.run(REPEATS, candidate)
    }

    fn agrees(&mut self, candidate: usize) -> Result<bool, GpuError> {
        let (expected, actual) = (self.results(0)?, self.results(candidate)?);
        Ok(expected.iter().zip(&actual).all(|(expected, actual)| close(TOLERANCE, self.terms, expected, actual)))
    }
}

/// Whether no element is further from the expected one than `tolerance` times the largest magnitude, or `terms` if that is
/// larger: sums may nearly vanish.
fn close(tolerance: f32, terms: f32, expected: &[f32], actual: &[f32]) -> bool {
    let largest = expected.iter().fold(terms, |largest, value| largest.max(value.abs()));
    // A NaN is close to nothing.
    expected.iter().zip(actual).all(|(a, b)| (a - b).abs() <= tolerance * largest)
}

#[cfg(test)]
mod tests {
    use super::close;

    #[test]
    fn what_is_off_or_not_a_number_does_not_agree_and_sums_may_vanish() {
        assert!(close(1e-3, 0.0, &[1.0, -2.0], &[1.001, -2.0]));
        assert!(!close(1e-3, 0.0, &[1.0, -2.0], &[1.01, -2.0]));
        assert!(!close(1e-3, 1.0, &[1.0, -2.0], &[f32::NAN, -2.0]) && !close(1e-3, 1.0, &[f32::NAN, 1.0], &[f32::NAN, 1.0]));
        assert!(!close(1e-3, 0.0, &[1e-6], &[2e-6]) && close(1e-3, 1.0, &[1e-6], &[2e-6]));
    }
}

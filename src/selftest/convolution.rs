//! `convolution.wgsl`, its variants and `reduce.wgsl` beside [`reference::convolution`].

use super::bench::{Bench, Layout};
use super::comparison::{Comparison, Comparisons, TOLERANCE};
use crate::gpu::{Element, Gpu, GpuError, Precision};
use crate::layers::{
    Convolution, ConvolutionShape, ConvolutionTensors, ConvolutionVariant, ConvolutionVariants, Declarations, Fold, Gradient,
    Parameters, Size, Slices, alignment,
};
use crate::reference::noise::Noise;
use crate::reference::{self, half};

/// What the bias's gradient is allowed where operands are rounded to f16: two units of it.
const MIXED_BIAS: f64 = 1e-3;

/// One convolution to try.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Images and frames of this batch.
    pub size: Size,
    /// Images and frames that the layer is built for; at least `size`.
    pub capacity: Size,
    /// Mel bands.
    pub mel: usize,
    /// Taps along time and mel.
    pub kernel: [usize; 2],
    /// Input channels, and output channels.
    pub channels: [usize; 2],
    /// With a batch norm and a ReLU folded into the load.
    pub fold: bool,
    /// The weight has this many inputs more before these, and `y` begins with what they brought.
    pub first_input: usize,
    /// The image lies among this many more channels, of x, dx and y.
    pub among: usize,
    /// Whether dx is written or added to.
    pub gradient: Gradient,
    /// Images that a slice of the batch holds.
    pub per_slice: usize,
}

impl Case {
    /// The plain one of these sizes.
    pub fn new(kernel: [usize; 2], [inputs, outputs]: [usize; 2], [batch, frames, mel]: [usize; 3]) -> Self {
        let size = Size { batch, frames };
        let (channels, gradient, per_slice) = ([inputs, outputs], Gradient::Write, usize::MAX);
        Self { size, capacity: size, mel, kernel, channels, fold: false, first_input: 0, among: 0, gradient, per_slice }
    }

    /// In what all its channels come, begin and lie: eights, fours or single channels.
    pub fn alignment(self) -> usize {
        let [inputs, outputs] = self.channels;
        let lies = alignment(&[inputs, outputs, self.among, self.first_input]);
        // As `layout` places them.
        if self.among == 0 || self.among.is_multiple_of(16) { lies } else { lies.min(4) }
    }

    /// Whether the kernels of `variant` run it.
    pub fn fits(self, variant: ConvolutionVariant) -> bool {
        variant.takes(self.shape(), self.alignment())
    }

    /// What the adapter gets for it in the handle's precision.
    pub fn variants(self, gpu: &Gpu) -> ConvolutionVariants {
        let rows = self.capacity.batch * self.capacity.frames * self.mel;
        ConvolutionVariants::choose(gpu, self.shape(), self.fold, true, rows, self.alignment(), Element::F32)
    }

    fn slices(self) -> Slices {
        Slices::one(self.capacity.batch).at_most(self.per_slice)
    }

    /// What it is compiled for.
    pub fn shape(self) -> ConvolutionShape {
        ConvolutionShape { kernel: self.kernel, inputs: self.channels[0], outputs: self.channels[1], mel: self.mel }
    }

    fn reference(self) -> reference::convolution::Size {
        let ([kernel_time, kernel_mel], [inputs, outputs]) = (self.kernel, self.channels);
        let Size { batch, frames: time } = self.size;
        reference::convolution::Size { batch, time, mel: self.mel, inputs, outputs, kernel_time, kernel_mel }
    }

    /// How `channels` of its images lie, the `before`-th part of the other channels first.
    fn layout(self, channels: usize, before: usize) -> Layout {
        // So that channels may come in fours or eights.
        let before = match self.among {
            among if among.is_multiple_of(16) => 8 * before,
            among if among.is_multiple_of(4) => 4 * before,
            _ => before,
        };
        Layout::images(self.capacity, self.mel, channels, self.slices())
            .among(before.min(self.among), self.among.saturating_sub(before))
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ([kt, km], [i, o], Size { batch, frames }) = (self.kernel, self.channels, self.size);
        write!(f, "{kt}x{km} {i}->{o}, {batch} x {frames} x {}", self.mel)?;
        super::describe_capacity(f, self.size, self.capacity, self.per_slice)?;
        for (present, word) in
            [(self.fold, "folded"), (self.among > 0, "channel parts"), (self.gradient == Gradient::Add, "adding")]
        {
            if present {
                write!(f, ", {word}")?;
            }
        }
        if self.first_input > 0 {
            write!(f, ", from input {}", self.first_input)?;
        }
        Ok(())
    }
}

/// Forward, and the gradients of input, weight and bias, of the kernels that the adapter gets.
pub fn check(gpu: &Gpu, case: Case) -> Result<Vec<Comparison>, GpuError> {
    check_variants(gpu, case.variants(gpu), case)
}

/// The same of kernels of these variants. Under mixed precision the reference is given what operands are rounded to.
pub fn check_variants(gpu: &Gpu, variants: ConvolutionVariants, case: Case) -> Result<Vec<Comparison>, GpuError> {
    let (bench, size, slices) = (Bench::new(gpu), case.reference(), case.slices());
    let [inputs, outputs] = case.channels;
    let all_inputs = case.first_input + inputs;
    let mut noise = Noise::new(size.output_len() as u64);
    let (mut x, mut dy) = (noise.numbers(size.input_len()), noise.numbers(size.output_len()));
    let (before_y, before_dx) = (noise.numbers(size.output_len()), noise.numbers(size.input_len()));
    let (mut scale, mut shift) = (noise.numbers(all_inputs), noise.numbers(all_inputs));
    let mixed = gpu.precision() == Precision::Mixed;
    if mixed {
        // So few bits that every activation is exact in f32: it is rounded once, here as there.
        for values in [&mut x, &mut scale, &mut shift] {
            values.iter_mut().for_each(|value| *value = (*value * 256.0).round() / 256.0);
        }
        // So small that many are below the normal numbers of f16.
        dy.iter_mut().for_each(|value| *value /= 4096.0);
    }
    let operand = |values: Vec<f64>| if mixed { values.into_iter().map(half::round).collect() } else { values };
    let bias = noise.numbers(outputs);
    let taps = case.kernel[0] * case.kernel[1];
    let all_weights = noise.numbers(taps * all_inputs * outputs);
    let mine = |at: usize| (at / outputs) % all_inputs >= case.first_input;
    let weight: Vec<f64> = operand((0..all_weights.len()).filter(|&at| mine(at)).map(|at| all_weights[at]).collect());
    let activation: Vec<f64> = operand(if case.fold {
        let channel = |at: usize| case.first_input + at % inputs;
        x.iter().enumerate().map(|(at, x)| (x * scale[channel(at)] + shift[channel(at)]).max(0.0)).collect()
    } else {
        x.clone()
    });

    let (in_x, in_dx, in_y) = (case.layout(inputs, 1), case.layout(inputs, 2), case.layout(outputs, 3));
    let mut declarations = Declarations::default();
    ConvolutionShape { inputs: all_inputs, ..case.shape() }.declare(&mut declarations, "conv");
    let parameters = Parameters::new(gpu, declarations)?;
    bench.poison(parameters.gradients().whole());
    let [weight_tensors, bias_tensors] = ["conv.weight", "conv.bias"].map(|name| parameters.parameter(name));
    bench.put(&weight_tensors.value, &all_weights);
    bench.put(&bias_tensors.value, &bias);
    let y_start = if case.first_input > 0 { in_y.spread(case.size, &before_y) } else { in_y.nothing() };
    let dx_start = if case.gradient == Gradient::Add { in_dx.spread(case.size, &before_dx) } else { in_dx.nothing() };
    let y = bench.map("y", in_y, &y_start, &in_y.spread(case.size, &dy))?;
    let dx = bench.channels("dx", in_dx, &dx_start)?;
    let (scale, shift) = (bench.given("scale", &[all_inputs], &scale)?, bench.given("shift", &[all_inputs], &shift)?);
    let layer = Convolution::with_variants(
        gpu,
        variants,
        case.shape(),
        slices,
        &ConvolutionTensors {
            x: &bench.channels("x", in_x, &in_x.spread(case.size, &x))?,
            fold: case.fold.then_some(Fold { scale: &scale, shift: &shift, statistics: None }),
            dx: Some((&dx, case.gradient)),
            y: &y.value,
            dy: &y.grad,
            weight: &weight_tensors,
            bias: &bias_tensors,
            first_input: case.first_input,
            scratch: &bench.poisoned("scratch", &[case.shape().scratch(slices)])?,
        },
    )?;
    bench.run(|pass| {
        layer.forward(pass, case.size.batch, case.size.frames);
        layer.backward_parameters(pass, case.size.batch, case.size.frames);
        layer.backward_input(pass, case.size.batch, case.size.frames);
    })?;

    let dy = operand(dy);
    let no_bias = vec![0.0; outputs];
    let mut y_expected =
        reference::convolution::forward(size, &activation, &weight, if case.first_input > 0 { &no_bias } else { &bias });
    let mut dx_expected = reference::convolution::backward_input(size, &dy, &weight);
    if case.first_input > 0 {
        y_expected.iter_mut().zip(&before_y).for_each(|(y, before)| *y += before);
    }
    if case.gradient == Gradient::Add {
        dx_expected.iter_mut().zip(&before_dx).for_each(|(dx, before)| *dx += before);
    }
    let mut dweight = reference::convolution::backward_weight(size, &activation, &dy).into_iter();
    let dweight: Vec<f64> =
        (0..all_weights.len()).map(|at| if mine(at) { dweight.next().unwrap_or(f64::NAN) } else { f64::NAN }).collect();
    let dbias = if case.first_input > 0 { vec![f64::NAN; outputs] } else { reference::convolution::backward_bias(size, &dy) };
    let precision = if mixed { ", mixed" } else { "" };
    let mut result = Comparisons::new(variants.name(), &format!("{case}{precision}"));
    result.add("y", &in_y.spread(case.size, &y_expected), &bench.get(&y.value.tensor)?);
    result.add("dx", &in_dx.spread(case.size, &dx_expected), &bench.get(&dx.tensor)?);
    result.add("dweight", &dweight, &bench.get(&weight_tensors.grad)?);
    // Whether terms of the bias are rounded, as those of products are, is up to the kernel.
    let tolerance = if mixed { MIXED_BIAS } else { TOLERANCE };
    result.add_within(tolerance, "dbias", &dbias, &bench.get(&bias_tensors.grad)?);
    Ok(result.done())
}

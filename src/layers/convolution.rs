//! Launcher of `convolution.wgsl` and its variants: convolutions and, with a 1x1 kernel, products of rows with a matrix.

use super::convolution_variant::Operation;
use super::reduce::Reduce;
use super::{Channels, ConvolutionVariants, Declarations, FileLayout, Gradient, Initial, Param, Slices, alignment};
use crate::gpu::{Constant, Dispatch, Element, Gpu, GpuError, Grid, Pass, Tensor};

/// For the weight gradient pixels are parted so that about this many workgroups have one of these tiles of it each, ..
const SPLIT_GROUPS: usize = 2048;
const SPLIT_TILE: [usize; 2] = [64, 32];
/// .. into fewer parts where all of their sums would take more floats than this.
const SPLIT_FLOATS: usize = 1 << 24;
/// Pixels of a part, at least.
const SPLIT_ROWS: usize = 128;
/// The entry that takes the gradient back through a fold.
const FOLDED: &str = "backward_folded";
/// Rows of the least tile that brings moments of y or sums of a fold.
const LEAST_TILE: usize = 32;

/// The sizes that a convolution is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvolutionShape {
    /// Taps along time and mel, both odd.
    pub kernel: [usize; 2],
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// Mel bands of the image; 1 where rows are all there is.
    pub mel: usize,
}

impl ConvolutionShape {
    /// Declares `name.weight` and `name.bias`: Glorot-uniform and zero.
    pub fn declare(&self, declarations: &mut Declarations, name: &str) {
        let [time, mel] = self.kernel;
        let initial = Initial::glorot_uniform(time * mel * self.inputs, time * mel * self.outputs);
        declarations.parameter(
            format!("{name}.weight"),
            &[time, mel, self.inputs, self.outputs],
            FileLayout::Convolution,
            initial,
        );
        declarations.parameter(format!("{name}.bias"), &[self.outputs], FileLayout::Vector, Initial::Constant(0.0));
    }

    fn weight_rows(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.inputs
    }

    /// Sums of a part: those of the weight's gradient, perhaps followed by the bias's.
    fn split_floats(&self) -> usize {
        (self.weight_rows() + 1) * self.outputs
    }

    /// Most parts of the pixels of a slice.
    pub(super) fn splits(&self) -> usize {
        let groups = self.weight_rows().div_ceil(SPLIT_TILE[0]) * self.outputs.div_ceil(SPLIT_TILE[1]);
        (SPLIT_GROUPS / groups).min(SPLIT_FLOATS / self.split_floats()).max(1)
    }

    /// Floats of scratch that moments of y, or sums of a fold, take over `rows` rows.
    pub fn tile_scratch(&self, rows: usize, slices: Slices) -> usize {
        (rows.div_ceil(LEAST_TILE) + slices.count()) * (4 * self.outputs).max(2 * self.inputs)
    }

    /// Floats of scratch that the gradients of weight and bias take.
    pub fn scratch(&self, slices: Slices) -> usize {
        slices.count() * self.splits() * self.split_floats()
    }
}

/// A batch norm with known statistics and a ReLU, folded into the load of a convolution.
#[derive(Clone, Copy)]
pub struct Fold<'a> {
    /// Per input of the whole weight.
    pub scale: &'a Tensor,
    /// The same.
    pub shift: &'a Tensor,
    /// Mean and inverse deviation of `x`'s channels, and where they begin: given where the gradient through the fold may
    /// come along with dx.
    pub statistics: Option<(&'a Tensor, usize)>,
}

/// What a convolution reads and writes.
pub struct ConvolutionTensors<'a> {
    /// Input (batch, time, mel, inputs).
    pub x: &'a Channels,
    /// What is done to `x` on its way.
    pub fold: Option<Fold<'a>>,
    /// The gradient at the activation of `x`, if it is wanted, and whether to add. It is that of `x` itself without a fold,
    /// and as in [`FoldedGradient`](super::FoldedGradient) where [`ConvolutionVariants::take_fold_back`] with its statistics.
    pub dx: Option<(&'a Channels, Gradient)>,
    /// Output (batch, time, mel, outputs).
    pub y: &'a Channels,
    /// Its gradient, laid out alike.
    pub dy: &'a Channels,
    /// The weight (kernel_time, kernel_mel, all inputs, outputs).
    pub weight: &'a Param,
    /// The bias (outputs).
    pub bias: &'a Param,
    /// Of all the weight's inputs, where `x`'s begin; only a 1x1 kernel can take its inputs in parts. The part at 0
    /// brings the bias, the others add to `y`.
    pub first_input: usize,
    /// Room for partial sums.
    pub scratch: &'a Tensor,
}

impl ConvolutionTensors<'_> {
    /// In what the channels of all of them come, begin and lie: eights, fours or single channels.
    pub fn alignment(&self) -> usize {
        let dx = self.dx.as_ref().map_or(0, |(dx, _)| dx.alignment());
        alignment(&[self.x.alignment(), self.y.alignment(), self.dy.alignment(), dx, self.first_input])
    }
}

/// A convolution prepared over its tensors.
pub struct Convolution {
    variants: ConvolutionVariants,
    shape: ConvolutionShape,
    slices: Slices,
    /// The adapter is one.
    software: bool,
    /// The immediates after the first four: strides and first channels, and whether to add.
    places: [u32; 10],
    forward: Vec<Dispatch>,
    /// Where they can bring the moments of y.
    forward_with_moments: Vec<Dispatch>,
    backward_input: Vec<Dispatch>,
    /// These bring sums for the batch norm that is folded into the load.
    takes_fold_back: bool,
    backward_weight: Vec<Dispatch>,
    /// Of the weight alone, where the bias's gradient is made elsewhere.
    reduce_weight: Reduce,
    /// Of both, where they come together.
    reduce_both: Option<Reduce>,
    backward_bias: Vec<Dispatch>,
    reduce_bias: Option<Reduce>,
}

impl Convolution {
    /// Prepares the kernels that the adapter gets. `shape.inputs` are those of `tensors.x`.
    pub fn new(gpu: &Gpu, shape: ConvolutionShape, slices: Slices, tensors: &ConvolutionTensors<'_>) -> Result<Self, GpuError> {
        let rows = tensors.y.tensor.elements() / tensors.y.stride;
        let (fold, dx, maps) = (tensors.fold.is_some(), tensors.dx.is_some(), tensors.y.tensor.element());
        let variants = ConvolutionVariants::choose(gpu, shape, fold, dx, rows, tensors.alignment(), maps);
        Self::with_variants(gpu, variants, shape, slices, tensors)
    }

    /// As [`Convolution::new`], with the kernels of variants that take these tensors.
    pub fn with_variants(
        gpu: &Gpu,
        variants: ConvolutionVariants,
        shape: ConvolutionShape,
        slices: Slices,
        tensors: &ConvolutionTensors<'_>,
    ) -> Result<Self, GpuError> {
        let ConvolutionTensors { x, fold, dx, y, dy, weight, bias, first_input, scratch } = tensors;
        assert!(shape.kernel.iter().all(|k| k % 2 == 1), "kernels are odd");
        assert!(*first_input == 0 || shape.kernel == [1, 1], "only a 1x1 kernel takes its inputs in parts");
        assert_eq!((x.count, y.count, dy.count), (shape.inputs, shape.outputs, shape.outputs));
        assert_eq!((y.stride, y.first), (dy.stride, dy.first), "y and dy lie alike");
        for operation in [Operation::Forward, Operation::BackwardInput, Operation::BackwardWeight] {
            let variant = variants.of(operation);
            assert!(variant.takes(shape, tensors.alignment()), "{} does not take these channels", variant.name());
        }
        let all_inputs = weight.value.elements() / (shape.kernel[0] * shape.kernel[1] * shape.outputs);
        let (dx_stride, dx_first) = dx.as_ref().map_or((1, 0), |(dx, _)| (dx.stride, dx.first));
        let constants: Vec<(&str, Constant)> = vec![
            ("KERNEL_TIME", shape.kernel[0].into()),
            ("KERNEL_MEL", shape.kernel[1].into()),
            ("INPUTS", shape.inputs.into()),
            ("OUTPUTS", shape.outputs.into()),
            ("MEL", shape.mel.into()),
            ("FOLD", fold.is_some().into()),
        ];
        let adds_dx = dx.as_ref().is_some_and(|(_, gradient)| gradient.adds());
        let places = [x.stride, x.first, dx_stride, dx_first, y.stride, y.first, all_inputs, *first_input];
        let flags = [u32::from(*first_input > 0), u32::from(adds_dx)];
        // Without a fold the two are bound but never read.
        let (scale, shift) = fold.map_or((&bias.value, &bias.value), |fold| (fold.scale, fold.shift));
        let taken_back = fold.and_then(|fold| fold.statistics).filter(|_| variants.take_fold_back());
        let brings_moments = fold.is_some() && variants.bring_moments();
        let weight_count = shape.weight_rows() * shape.outputs;
        let together = variants.backward_weight.is_fused();
        let rest = if together { shape.outputs } else { 0 };
        let has_bias = *first_input == 0;
        let mut layer = Self {
            variants,
            shape,
            slices,
            software: gpu.summary().is_software(),
            places: std::array::from_fn(|i| if i < 8 { places[i] as u32 } else { flags[i - 8] }),
            forward: Vec::new(),
            forward_with_moments: Vec::new(),
            backward_input: Vec::new(),
            takes_fold_back: taken_back.is_some(),
            backward_weight: Vec::new(),
            reduce_weight: Reduce::skipping(gpu, weight_count, rest, first_input * shape.outputs, scratch, &weight.grad)?,
            reduce_both: if together && has_bias {
                Some(Reduce::both(gpu, weight_count, scratch, &weight.grad, &bias.grad)?)
            } else {
                None
            },
            backward_bias: Vec::new(),
            reduce_bias: if has_bias { Some(Reduce::new(gpu, shape.outputs, 0, scratch, &bias.grad)?) } else { None },
        };
        let prepare = |operation: Operation, entry: &str, tensors: &[(&str, &Tensor)]| {
            let variant = variants.of(operation);
            let mut constants = [&constants[..], &variant.constants(operation, shape)].concat();
            constants.extend(taken_back.filter(|_| entry == FOLDED).map(|(_, first)| ("STATISTICS_FIRST", first.into())));
            variant.shader(operation).dispatch(gpu, entry, &constants, tensors)
        };
        let bias_variant = variants.backward_weight.of_bias();
        let bias_constants = [&constants[..], &bias_variant.constants(Operation::BackwardWeight, shape)].concat();
        for samples in slices.ranges() {
            let (x, y, dy) = (x.slice(&samples), y.slice(&samples), dy.slice(&samples));
            let inputs = [("x", &x), ("scale", scale), ("shift", shift)];
            let mut forward = [&inputs[..], &[("weight", &weight.value), ("bias", &bias.value), ("y", &y)]].concat();
            layer.forward.push(prepare(Operation::Forward, "forward", &forward)?);
            if brings_moments {
                forward.push(("partial_sums", scratch));
                layer.forward_with_moments.push(prepare(Operation::Forward, "forward_with_moments", &forward)?);
            }
            let [entry, gradient] = variants.backward_weight.weight_entry(shape);
            let backward_weight = [&inputs[..], &[(gradient, &dy), ("partial_sums", scratch)]].concat();
            layer.backward_weight.push(prepare(Operation::BackwardWeight, entry, &backward_weight)?);
            if let Some((dx, _)) = dx {
                let dx = dx.slice(&samples);
                let product = [("dy", &dy), ("weight", &weight.value), ("dx", &dx)];
                layer.backward_input.push(match taken_back {
                    None => prepare(Operation::BackwardInput, "backward_input", &product)?,
                    Some((statistics, _)) => {
                        let sums = [("moments", statistics), ("partial_sums", *scratch)];
                        prepare(Operation::BackwardInput, FOLDED, &[&product[..], &inputs, &sums].concat())?
                    }
                });
            }
            // With gradients that are halves it comes with the weight's.
            if has_bias && dy.element() != Element::F16 {
                let shader = bias_variant.shader(Operation::BackwardWeight);
                let tensors = [("dy", &dy), ("partial_sums", *scratch)];
                layer.backward_bias.push(shader.dispatch(gpu, "backward_bias", &bias_constants, &tensors)?);
            }
        }
        Ok(layer)
    }

    /// Whether there are kernels that bring the moments of y.
    pub fn brings_moments(&self) -> bool {
        !self.forward_with_moments.is_empty()
    }

    /// As [`Convolution::forward`], and leaves the moments of y in the scratch: returns how many tiles have theirs there. Only
    /// where it [brings them](Self::brings_moments).
    pub fn forward_with_moments(&self, pass: &mut Pass<'_>, batch: usize, frames: usize) -> usize {
        self.products(pass, Operation::Forward, &self.forward_with_moments, [batch, frames])
    }

    /// Fills `y` from images of `frames` frames.
    pub fn forward(&self, pass: &mut Pass<'_>, batch: usize, frames: usize) {
        self.products(pass, Operation::Forward, &self.forward, [batch, frames]);
    }

    /// Fills or adds to `dx` from `dy`, if it is wanted. Where the gradient is taken back through the fold, its sums are left in
    /// the scratch: returns how many tiles have theirs there.
    pub fn backward_input(&self, pass: &mut Pass<'_>, batch: usize, frames: usize) -> Option<usize> {
        if self.backward_input.is_empty() {
            return None;
        }
        let tiles = self.products(pass, Operation::BackwardInput, &self.backward_input, [batch, frames]);
        self.takes_fold_back.then_some(tiles)
    }

    /// Runs one of `dispatches` per slice; returns how many tiles of rows there were.
    fn products(&self, pass: &mut Pass<'_>, operation: Operation, dispatches: &[Dispatch], [batch, frames]: [usize; 2]) -> usize {
        let variant = self.variants.of(operation);
        let columns = if operation == Operation::Forward { self.shape.outputs } else { self.shape.inputs };
        let mut tiles = 0;
        for (slice, samples) in self.slices.active(batch) {
            let rows = self.rows(samples, frames);
            let grid = variant.grid(operation, self.shape, rows, columns);
            pass.run(&dispatches[slice], grid, &self.immediates(samples, frames, tiles, 0), self.work(rows));
            tiles += variant.tiles(self.shape, rows);
        }
        tiles
    }

    /// Fills the gradients of weight and bias from `x` and `dy`.
    pub fn backward_parameters(&self, pass: &mut Pass<'_>, batch: usize, frames: usize) {
        match &self.reduce_both {
            Some(reduce) => {
                let splits = self.weight_sums(pass, batch, frames, 0);
                reduce.run(pass, splits);
            }
            None => {
                self.backward_weight(pass, batch, frames, 0);
                self.backward_bias(pass, batch, frames);
            }
        }
    }

    /// Fills the gradient of the weight from `x` and those rows of `dy` that lie `later` after x's; zeros if there are
    /// no rows.
    pub fn backward_weight(&self, pass: &mut Pass<'_>, batch: usize, frames: usize, later: usize) {
        let splits = self.weight_sums(pass, batch, frames, later);
        self.reduce_weight.run(pass, splits);
    }

    /// Floats from one of the partial sums to the next.
    pub(super) fn sums_pitch(&self) -> usize {
        let rest = if self.variants.backward_weight.is_fused() { self.shape.outputs } else { 0 };
        self.shape.weight_rows() * self.shape.outputs + rest
    }

    /// Fills the partial sums of the weight's gradient, and perhaps the bias's; returns how many there are.
    pub(super) fn weight_sums(&self, pass: &mut Pass<'_>, batch: usize, frames: usize, later: usize) -> usize {
        self.each_split(batch, frames, |slice, splits, mut immediates, rows| {
            let grid = self.variants.backward_weight.weight_grid(self.shape, splits);
            let [stride, first] = [8, 9];
            immediates[first] += later as u32 * immediates[stride];
            pass.run(&self.backward_weight[slice], grid, &immediates, self.work(rows));
        })
    }

    /// Fills the gradient of the bias from `dy`, alone: not where that is halves.
    pub fn backward_bias(&self, pass: &mut Pass<'_>, batch: usize, frames: usize) {
        let outputs = self.shape.outputs;
        let Some(reduce_bias) = &self.reduce_bias else { return };
        let splits = self.each_split(batch, frames, |slice, splits, immediates, rows| {
            let tile = self.variants.backward_weight.of_bias().bias_tile();
            let grid = Grid([outputs.div_ceil(tile) as u32, splits as u32, 1]);
            pass.run(&self.backward_bias[slice], grid, &immediates, rows * outputs);
        });
        reduce_bias.run(pass, splits);
    }

    /// Calls `record` with each slice, its splits, the immediates and its rows; returns the number of splits in all.
    fn each_split(&self, batch: usize, frames: usize, mut record: impl FnMut(usize, usize, [u32; 14], usize)) -> usize {
        let mut first = 0;
        for (slice, samples) in self.slices.active(batch) {
            let rows = self.rows(samples, frames);
            let multiple = self.variants.backward_weight.split_multiple();
            let most = self.variants.backward_weight.splits(self.shape, rows, self.software);
            let split_rows = rows.div_ceil(most).max(SPLIT_ROWS).next_multiple_of(multiple);
            let splits = rows.div_ceil(split_rows);
            record(slice, splits, self.immediates(samples, frames, first, split_rows), rows);
            first += splits;
        }
        first
    }

    fn immediates(&self, samples: usize, frames: usize, first_split: usize, split_rows: usize) -> [u32; 14] {
        let sizes = [samples, frames, first_split, split_rows];
        std::array::from_fn(|i| if i < 4 { sizes[i] as u32 } else { self.places[i - 4] })
    }

    fn rows(&self, samples: usize, frames: usize) -> usize {
        samples * frames * self.shape.mel
    }

    fn work(&self, rows: usize) -> usize {
        2 * rows * self.shape.weight_rows() * self.shape.outputs
    }
}

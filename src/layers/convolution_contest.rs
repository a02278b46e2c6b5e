//! Which kernels of the convolution family a hardware adapter gets for a shape: measured, and held against the plain ones.

use super::contest::{Written, entrants, precision_words, timed, wave};
use super::convolution_variant::Operation;
use super::unit::EPSILON;
use super::{
    BatchNorm, BatchNormGradients, ChannelStatistics, Channels, Convolution, ConvolutionShape, ConvolutionTensors,
    ConvolutionVariant, ConvolutionVariants, Declarations, Fold, FoldedGradient, Gradient, MapStatistics, Param, Parameters,
    Slices, TileStatistics, batch_norm,
};
use crate::gpu::{Contest, Element, Gpu, GpuError};
use std::time::Duration;

/// With fewer operations any kernel is done before its submission is.
const FEWEST_OPERATIONS: usize = 1 << 24;
/// Rows that are measured, at most.
const MOST_ROWS: usize = 1 << 16;
/// Of a measurement.
const REPEATS: u32 = 20;

/// The best of `variants` for one operation over `rows` rows, the first of them being the one that is known to be right.
pub(super) fn choose(
    gpu: &Gpu,
    operation: Operation,
    variants: &[ConvolutionVariant],
    shape: ConvolutionShape,
    fold: bool,
    rows: usize,
    maps: Element,
) -> ConvolutionVariant {
    let ConvolutionShape { kernel: [time, mel], inputs, outputs, .. } = shape;
    if 2 * rows * time * mel * inputs * outputs < FEWEST_OPERATIONS && !gpu.has_preferences() {
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
    let mixed = precision_words(gpu, maps);
    let entry = operation.entry();
    let key = format!("convolution {entry}, {time}x{mel} {inputs} -> {outputs}{folded}{mixed}, {rows} rows of {}", shape.mel);
    let names: Vec<&str> = labels.iter().map(String::as_str).collect();
    candidates[gpu.choose(&key, &names, || Trial::new(gpu, operation, &candidates, shape, fold, rows, maps))]
}

/// One candidate, with what a unit of batch norm, ReLU and convolution runs beside it.
struct Candidate {
    convolution: Convolution,
    unit: Option<UnitKernels>,
}

/// See [`super::Unit`].
struct UnitKernels {
    gradient: FoldedGradient,
    tiles: TileStatistics,
    channels: ChannelStatistics,
}

/// All candidates over one set of tensors, each as it is used: with a fold also the statistics of y, or the gradient through
/// the fold, by whichever kernels the candidate leaves that to.
struct Trial<'g> {
    gpu: &'g Gpu,
    operation: Operation,
    frames: usize,
    mel: usize,
    candidates: Vec<Option<Candidate>>,
    /// What the operation writes.
    written: Written,
    /// What candidates over halves are held against, since none of them is known to be right: the plain one, over floats that are
    /// rounded alike.
    plain: Option<Box<Trial<'g>>>,
}

impl<'g> Trial<'g> {
    fn new(
        gpu: &'g Gpu,
        operation: Operation,
        variants: &[ConvolutionVariant],
        shape: ConvolutionShape,
        fold: bool,
        rows: usize,
        maps: Element,
    ) -> Result<Self, GpuError> {
        let (slices, frames) = (Slices::one(1), (rows / shape.mel).max(1));
        let ConvolutionShape { kernel: [time, mel], inputs, outputs, .. } = shape;
        let rows = frames * shape.mel;
        let image = |channels| {
            let tensor = gpu.tensor("measured map", maps, &[1, frames, shape.mel, channels])?;
            Ok::<_, GpuError>(Channels::whole(&tensor))
        };
        let tensor = |shape: &[usize]| gpu.tensor("measured", Element::F32, shape);
        let param = |elements| Ok::<_, GpuError>(Param { value: tensor(&[elements])?, grad: tensor(&[elements])? });
        let (x, y) = (image(inputs)?, image(outputs)?);
        let (dx, dactivation, dy) = (image(inputs)?, image(inputs)?, image(outputs)?);
        let (weight, bias) = (param(time * mel * inputs * outputs)?, param(outputs)?);
        let of_x = MapStatistics::new(gpu, "measured statistics", inputs)?;
        let of_y = tensor(&[outputs, 2])?;
        let mut declarations = Declarations::default();
        BatchNorm::declare(&mut declarations, "measured", inputs);
        let norm = BatchNorm::new(gpu, &Parameters::new(gpu, declarations)?, "measured", &of_x.moments, EPSILON, 0.0)?;
        let sums =
            [shape.scratch(slices), shape.tile_scratch(rows, slices), batch_norm::scratch(rows, inputs.max(outputs), slices)];
        let scratch = tensor(&[sums.into_iter().max().unwrap_or(1)])?;
        for (tensor, factor) in [
            (&x.tensor, 0.7),
            (&dy.tensor, 0.3),
            (&weight.value, 1.9),
            (&bias.value, 0.9),
            (&norm.scale, 1.1),
            (&norm.shift, 2.3),
            (&of_x.moments, 1.3),
        ] {
            wave(gpu, tensor, factor, 1.0);
        }
        let candidate = |&variant: &ConvolutionVariant| {
            let variants = ConvolutionVariants::only(variant, operation, maps);
            let taken_back = fold && variants.take_fold_back();
            let tensors = ConvolutionTensors {
                x: &x,
                fold: fold.then_some(Fold { scale: &norm.scale, shift: &norm.shift, statistics: Some((&of_x.moments, 0)) }),
                dx: Some((if fold && !taken_back { &dactivation } else { &dx }, Gradient::Write)),
                y: &y,
                dy: &dy,
                weight: &weight,
                bias: &bias,
                first_input: 0,
                scratch: &scratch,
            };
            let convolution = Convolution::with_variants(gpu, variants, shape, slices, &tensors)?;
            if !fold {
                return Ok(Candidate { convolution, unit: None });
            }
            let gradients = BatchNormGradients {
                x: &x,
                dy: &dactivation,
                dx: &dx,
                statistics: &of_x.moments,
                statistics_first: 0,
                parameters_first: 0,
                relu: true,
                gradient: Gradient::Write,
            };
            let prepare = if taken_back { FoldedGradient::finishing } else { FoldedGradient::new };
            let unit = UnitKernels {
                gradient: prepare(gpu, &norm, slices, &gradients, &of_x.corrections, &scratch)?,
                tiles: TileStatistics::new(gpu, outputs, &of_y, 0, EPSILON, &scratch)?,
                channels: ChannelStatistics::new(gpu, &y, slices, &of_y, 0, EPSILON, &scratch)?,
            };
            Ok(Candidate { convolution, unit: Some(unit) })
        };
        let candidates = entrants(variants.iter().map(candidate))?;
        let root = |terms: usize| (terms as f32).sqrt();
        let (of_output, of_input, of_rows) = (root(time * mel * inputs), root(time * mel * outputs), root(rows));
        let mut written = match operation {
            Operation::Forward => vec![(y.tensor.clone(), of_output)],
            Operation::BackwardInput => vec![(dx.tensor.clone(), of_input)],
            Operation::BackwardWeight => vec![(weight.grad.clone(), of_rows), (bias.grad.clone(), of_rows)],
        };
        match operation {
            Operation::Forward if fold => written.push((of_y, 0.0)),
            Operation::BackwardInput if fold => {
                written.extend([&norm.gamma.grad, &norm.beta.grad].map(|sum| (sum.clone(), of_input * of_rows)));
                written.push((of_x.corrections, of_input / of_rows));
            }
            _ => {}
        }
        let plain = match maps {
            Element::F16 => {
                let variants = [ConvolutionVariant::PLAIN];
                Some(Box::new(Self::new(gpu, operation, &variants, shape, fold, rows, Element::Rounded)?))
            }
            _ => None,
        };
        Ok(Self { gpu, operation, frames, mel: shape.mel, candidates, written: Written(written), plain })
    }

    fn run(&self, repeats: u32, candidate: usize) -> Result<Duration, GpuError> {
        let Some(Candidate { convolution, unit }) = &self.candidates[candidate] else { return Ok(Duration::MAX) };
        let sample_rows = self.frames * self.mel;
        timed(self.gpu, repeats, |pass| match (self.operation, unit) {
            (Operation::Forward, Some(unit)) if convolution.brings_moments() => {
                let tiles = convolution.forward_with_moments(pass, 1, self.frames);
                unit.tiles.finish(pass, tiles, sample_rows);
            }
            (Operation::Forward, unit) => {
                convolution.forward(pass, 1, self.frames);
                unit.iter().for_each(|unit| unit.channels.compute(pass, 1, sample_rows));
            }
            (Operation::BackwardInput, unit) => {
                let tiles = convolution.backward_input(pass, 1, self.frames);
                match (unit, tiles) {
                    (Some(unit), Some(tiles)) => unit.gradient.finish(pass, tiles, sample_rows),
                    (Some(unit), None) => unit.gradient.backward(pass, 1, sample_rows),
                    (None, _) => {}
                }
            }
            (Operation::BackwardWeight, _) => convolution.backward_parameters(pass, 1, self.frames),
        })
    }

    fn results(&self, candidate: usize) -> Result<Vec<Vec<f32>>, GpuError> {
        self.written.results(self.gpu, || self.run(1, candidate))
    }
}

impl Contest for Trial<'_> {
    fn time(&mut self, candidate: usize) -> Result<Duration, GpuError> {
        self.run(REPEATS, candidate)
    }

    fn agrees(&mut self, candidate: usize) -> Result<bool, GpuError> {
        let right = self.plain.as_deref().unwrap_or(self).results(0)?;
        Ok(self.written.agree(&right, &self.results(candidate)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::GpuOptions;

    #[test]
    #[allow(clippy::unwrap_used)]
    fn variants_agree_with_the_plain_one_as_they_are_used() {
        let gpu = Gpu::open(&GpuOptions { emulate_matrix_units: true, ..GpuOptions::default() }).unwrap();
        agree(&gpu, Element::F32);
        let gpu = gpu.with_precision(crate::gpu::Precision::Mixed);
        agree(&gpu, Element::F16);
    }

    #[allow(clippy::unwrap_used)]
    fn agree(gpu: &Gpu, maps: Element) {
        let shape = ConvolutionShape { kernel: [3, 3], inputs: 24, outputs: 8, mel: 16 };
        let halves = maps == Element::F16;
        for (operation, fold) in [
            (Operation::Forward, true),
            (Operation::Forward, false),
            (Operation::BackwardInput, true),
            (Operation::BackwardWeight, true),
        ] {
            // One of each shader.
            let mut variants = if halves { Vec::new() } else { vec![ConvolutionVariant::PLAIN] };
            for variant in ConvolutionVariant::available(gpu) {
                let known = |other: &ConvolutionVariant| other.shader(operation) == variant.shader(operation);
                let takes = variant.takes(shape, 8) && (!halves || variant.takes_halves());
                if takes && variant.fits(gpu, operation, shape) && !variants.iter().any(known) {
                    variants.push(variant);
                }
            }
            let tried = |name| variants.iter().any(|variant| variant.name() == name);
            assert!(tried("convolution_tiled") && tried("convolution_matrix") == halves);
            let mut trial = Trial::new(gpu, operation, &variants, shape, fold, 300, maps).unwrap();
            for (candidate, variant) in variants.iter().enumerate() {
                assert!(trial.agrees(candidate).unwrap(), "{operation:?}, folded: {fold}, {maps:?}: {}", variant.name());
            }
            // What is wrong does not agree.
            let right = trial.results(0).unwrap();
            let mut other = right.clone();
            other[0].iter_mut().for_each(|value| *value += 1.0);
            assert!(!trial.written.agree(&right, &other), "{operation:?}");
        }
    }
}

//! A batch norm, a ReLU and a convolution as one unit over several maps, beside [`reference::batch_norm`] and
//! [`reference::convolution`]: forward with the statistics of y, and every gradient with its correction.

use super::bench::{Bench, Layout, stored};
use super::comparison::{Comparison, Comparisons};
use crate::gpu::{Element, Gpu, GpuError, Precision};
use crate::layers::{
    ConvolutionShape, ConvolutionVariants, Correction, Declarations, Gradient, ImageContext, LEAST_CHUNK, MapStatistics, Mode,
    Parameters, Size, Slices, Unit, UnitInput, UnitOutput,
};
use crate::reference::noise::Noise;
use crate::reference::{batch_norm, convolution};

const EPSILON: f64 = 1e-3;
/// Under mixed precision, whose rounding the reference does not do: a few units of f16.
pub(super) const MIXED_TOLERANCE: f64 = 5e-3;

/// One unit to try.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Images and frames.
    pub size: Size,
    /// Mel bands.
    pub mel: usize,
    /// Side of the kernel; 1 where there are two maps.
    pub kernel: usize,
    /// Channels of the maps that it reads; 0 for none.
    pub sources: [usize; 2],
    /// Channels that it writes, after `before` others.
    pub outputs: usize,
    /// See `outputs`.
    pub before: usize,
    /// Whether gradients and corrections are written or added to.
    pub gradient: Gradient,
    /// Images that a slice of the batch holds.
    pub per_slice: usize,
    /// What maps and their gradients are stored as.
    pub element: Element,
    /// What y is about: where it is large, rounding shows in its statistics.
    pub lift: f64,
}

impl Case {
    /// The sizes that its convolution is compiled for.
    pub fn shape(self) -> ConvolutionShape {
        let Self { kernel, sources: [one, other], outputs, mel, .. } = self;
        ConvolutionShape { kernel: [kernel; 2], inputs: one + other, outputs, mel }
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { size: Size { batch, frames }, mel, kernel, sources, outputs, before, gradient, .. } = self;
        write!(f, "{kernel}x{kernel} {sources:?} -> {before} + {outputs}, {batch} x {frames} x {mel}, {gradient:?}")?;
        super::describe_capacity(f, self.size, self.size, self.per_slice)?;
        super::describe_maps(f, self.element, self.lift)
    }
}

/// Forward in training and backward, by kernels of these variants.
pub fn check(gpu: &Gpu, variants: ConvolutionVariants, case: Case) -> Result<Vec<Comparison>, GpuError> {
    let Case { size, mel, kernel, outputs, before, gradient, .. } = case;
    let (bench, rows) = (Bench::new(gpu), size.batch * size.frames * mel);
    let slices = Slices::one(size.batch).at_most(case.per_slice);
    let counts: Vec<usize> = case.sources.into_iter().filter(|count| *count > 0).collect();
    let inputs: usize = counts.iter().sum();
    let shape = case.shape();
    let mut declarations = Declarations::default();
    Unit::declare(&mut declarations, "unit", shape);
    let parameters = Parameters::new(gpu, declarations)?;
    let mut noise = Noise::new((rows + inputs) as u64);
    let numbers = |noise: &mut Noise, count: usize, mean: f64| noise.numbers(count).iter().map(|v| v + mean).collect::<Vec<_>>();
    let given: Vec<(&str, Vec<f64>)> =
        [("bn.weight", inputs), ("bn.bias", inputs), ("conv.weight", kernel * kernel * inputs * outputs)]
            .into_iter()
            .chain([("conv.bias", outputs)])
            .map(|(name, count)| (name, numbers(&mut noise, count, if name == "conv.bias" { case.lift } else { 0.0 })))
            .collect();
    for (name, values) in &given {
        bench.put(&parameters.parameter(&format!("unit.{name}")).value, values);
    }
    bench.poison(parameters.gradients().whole());
    let x = stored(case.element, &numbers(&mut noise, rows * inputs, -3.0));
    let dy = stored(case.element, &numbers(&mut noise, rows * outputs, 0.1));
    let held = stored(case.element, &numbers(&mut noise, rows * inputs, 0.0));

    // What the reference makes of it.
    let (norm, images) = (
        batch_norm::Size { rows, channels: inputs },
        convolution::Size { batch: size.batch, time: size.frames, mel, inputs, outputs, kernel_time: kernel, kernel_mel: kernel },
    );
    let [gamma, beta, weight, bias] = [0, 1, 2, 3].map(|i| &given[i].1);
    let statistics = batch_norm::Statistics::of_batch(norm, &x, EPSILON);
    let z = batch_norm::forward(norm, &x, &statistics, gamma, beta);
    let activation: Vec<f64> = z.iter().map(|z| z.max(0.0)).collect();
    let y = convolution::forward(images, &activation, weight, bias);
    let mut dz = convolution::backward_input(images, &dy, weight);
    dz.iter_mut().zip(&z).for_each(|(dz, z)| *dz = if *z > 0.0 { *dz } else { 0.0 });
    let gradients = batch_norm::backward_training(norm, &x, &dz, &statistics, gamma);
    let of_y = batch_norm::Statistics::of_batch(batch_norm::Size { rows, channels: outputs }, &y, EPSILON);

    // Every map has its share of the channels.
    let share = |values: &[f64], first: usize, count: usize| -> Vec<f64> {
        values.chunks(inputs).flat_map(|row| row[first..first + count].to_vec()).collect()
    };
    let pairs = |statistics: &batch_norm::Statistics| -> Vec<f64> {
        statistics.mean.iter().zip(&statistics.inv_std).flat_map(|(mean, inv_std)| [*mean, *inv_std]).collect()
    };
    let (of_x, of_output) = (MapStatistics::new(gpu, "of x", inputs)?, MapStatistics::new(gpu, "of y", before + outputs)?);
    bench.put(&of_x.moments, &pairs(&statistics));
    let adds = gradient == Gradient::Add;
    if !adds {
        bench.poison(&of_x.corrections);
    }
    bench.poison(&of_output.moments);
    let layout = |count| Layout::images(size, mel, count, slices);
    let mut maps = Vec::new();
    let mut firsts = Vec::new();
    let mut first = 0;
    for &count in &counts {
        let start = if adds { layout(count).spread(size, &share(&held, first, count)) } else { layout(count).nothing() };
        maps.push(bench.map_as(
            case.element,
            "x",
            layout(count),
            &layout(count).spread(size, &share(&x, first, count)),
            &start,
        )?);
        firsts.push(first);
        first += count;
    }
    let in_y = layout(outputs).among(before, 0);
    let output = bench.map_as(case.element, "y", in_y, &in_y.nothing(), &in_y.spread(size, &dy))?;
    let most = counts.iter().max().copied().unwrap_or(0);
    let tiles = ConvolutionShape { inputs: most, ..shape }.tile_scratch(rows, slices);
    let scratch = bench
        .poisoned("scratch", &[shape.scratch(slices).max(tiles).max(2 * most * (rows / LEAST_CHUNK + 1 + slices.count()))])?;
    let context = ImageContext::new(gpu, slices, scratch, rows * most).with_maps(case.element).with_variants(variants);
    let input = UnitInput { sources: maps.iter().map(|map| (map, gradient)).collect(), statistics: &of_x };
    let unit =
        Unit::new(&context, &parameters, "unit", shape, &input, &UnitOutput { map: &output, statistics: (&of_output, before) })?;
    let corrections = maps
        .iter()
        .zip(&firsts)
        .map(|(map, &first)| Correction::new(gpu, &map.value, &map.grad, slices, &of_x.moments, &of_x.corrections, first));
    let corrections = corrections.collect::<Result<Vec<_>, _>>()?;
    bench.run(|pass| {
        unit.forward(pass, size, Mode::Train);
        unit.backward(pass, size);
    })?;
    let uncorrected = maps.iter().map(|map| bench.get(&map.grad.tensor)).collect::<Result<Vec<_>, _>>()?;
    bench.run(|pass| {
        corrections.iter().for_each(|correction| correction.apply(pass, size.batch, size.frames * mel));
    })?;

    let mut result = Comparisons::new(variants.name(), &case);
    if gpu.precision() == Precision::Mixed {
        result = result.within(MIXED_TOLERANCE);
    }
    for dx in &uncorrected {
        result.add_rounded(case.element, "dx before its correction, rounded", dx);
    }
    let written = bench.get(&output.value.tensor)?;
    result.add_map(case.element, "y", &in_y.spread(size, &y), &written);
    if unit.brings_statistics() {
        let moments = bench.get(&of_output.moments)?;
        let expected = [vec![f64::NAN; 2 * before], pairs(&of_y)].concat();
        result.add("statistics of y", &expected, &moments);
        result.add_stored_statistics(case.element, outputs, &written, &moments[2 * before..]);
    }
    for (i, (map, &first)) in maps.iter().zip(&firsts).enumerate() {
        let mut dx = share(&gradients.dx, first, counts[i]);
        if adds {
            dx.iter_mut().zip(share(&held, first, counts[i])).for_each(|(dx, held)| *dx += held);
        }
        result.add_map(
            case.element,
            ["dx", "dx of the second map"][i],
            &layout(counts[i]).spread(size, &dx),
            &bench.get(&map.grad.tensor)?,
        );
    }
    let mut gradient_of = |name: &str, label, expected: &[f64]| {
        bench.get(&parameters.parameter(&format!("unit.{name}")).grad).map(|actual| result.add(label, expected, &actual))
    };
    gradient_of("bn.weight", "dgamma", &gradients.dgamma)?;
    gradient_of("bn.bias", "dbeta", &gradients.dbeta)?;
    gradient_of("conv.weight", "dweight", &convolution::backward_weight(images, &activation, &dy))?;
    gradient_of("conv.bias", "dbias", &convolution::backward_bias(images, &dy))?;
    Ok(result.done())
}

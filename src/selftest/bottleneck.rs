//! Several units of batch norm, ReLU and 1x1 convolution over the same maps, run together, beside [`reference::batch_norm`] and
//! [`reference::convolution`]: forward with the statistics of every y, and every gradient with its correction.

use super::bench::{Bench, Layout, stored};
use super::comparison::{Comparison, Comparisons};
use super::unit::MIXED_TOLERANCE;
use crate::gpu::{Element, Gpu, GpuError, Precision};
use crate::layers::{
    BottleneckTiles, Bottlenecks, ConvolutionShape, Correction, Declarations, Gradient, ImageContext, MapStatistics, Mode,
    Parameters, Size, Slices, Unit, UnitInput, UnitOutput,
};
use crate::reference::noise::Noise;
use crate::reference::{batch_norm, convolution};

const EPSILON: f64 = 1e-3;

/// Units to try.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Images and frames.
    pub size: Size,
    /// What the tensors are built for.
    pub capacity: Size,
    /// Mel bands.
    pub mel: usize,
    /// How many units.
    pub units: usize,
    /// How many maps they read, and the channels of the first and of each other.
    pub maps: usize,
    /// See `maps`.
    pub channels: [usize; 2],
    /// Channels that each writes; the first after four others.
    pub outputs: usize,
    /// Whether gradients and corrections are written or added to.
    pub gradient: Gradient,
    /// Images that a slice of the batch holds.
    pub per_slice: usize,
    /// What maps and their gradients are stored as.
    pub element: Element,
    /// What y is about: where it is large, rounding shows in its statistics.
    pub lift: f64,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { size: Size { batch, frames }, mel, units, maps, channels: [first, other], outputs, gradient, .. } = self;
        write!(f, "{units} units of {maps} maps ({first}, {other}) -> {outputs}, {batch} x {frames} x {mel}, {gradient:?}")?;
        super::describe_capacity(f, self.size, self.capacity, self.per_slice)?;
        super::describe_maps(f, self.element, self.lift)
    }
}

/// One unit's numbers: what is given, and what the reference makes of it.
struct Reference {
    given: [(&'static str, Vec<f64>); 4],
    dy: Vec<f64>,
    y: Vec<f64>,
    of_y: batch_norm::Statistics,
    dx: Vec<f64>,
    /// Of which parameter, and as what.
    gradients: [(&'static str, &'static str, Vec<f64>); 4],
}

fn reference(case: Case, noise: &mut Noise, x: &[f64], statistics: &batch_norm::Statistics) -> Reference {
    let Case { size: Size { batch, frames }, mel, outputs, .. } = case;
    let rows = batch * frames * mel;
    let inputs = x.len() / rows;
    let mut numbers = |count: usize, mean: f64| noise.numbers(count).iter().map(|v| v + mean).collect::<Vec<_>>();
    let [gamma, beta, weight, mut bias] = [inputs, inputs, inputs * outputs, outputs].map(|count| numbers(count, 0.0));
    bias.iter_mut().for_each(|bias| *bias += case.lift);
    let dy = stored(case.element, &numbers(rows * outputs, 0.1));
    let norm = batch_norm::Size { rows, channels: inputs };
    let images = convolution::Size { batch, time: frames, mel, inputs, outputs, kernel_time: 1, kernel_mel: 1 };
    let z = batch_norm::forward(norm, x, statistics, &gamma, &beta);
    let activation: Vec<f64> = z.iter().map(|z| z.max(0.0)).collect();
    let y = convolution::forward(images, &activation, &weight, &bias);
    let mut dz = convolution::backward_input(images, &dy, &weight);
    dz.iter_mut().zip(&z).for_each(|(dz, z)| *dz = if *z > 0.0 { *dz } else { 0.0 });
    let back = batch_norm::backward_training(norm, x, &dz, statistics, &gamma);
    let gradients = [
        ("bn.weight", "dgamma", back.dgamma),
        ("bn.bias", "dbeta", back.dbeta),
        ("conv.weight", "dweight", convolution::backward_weight(images, &activation, &dy)),
        ("conv.bias", "dbias", convolution::backward_bias(images, &dy)),
    ];
    let of_y = batch_norm::Statistics::of_batch(batch_norm::Size { rows, channels: outputs }, &y, EPSILON);
    let given = [("bn.weight", gamma), ("bn.bias", beta), ("conv.weight", weight), ("conv.bias", bias)];
    Reference { given, dy, y, of_y, dx: back.dx, gradients }
}

/// Forward in training and backward, together in these tiles.
pub fn check(gpu: &Gpu, tiles: BottleneckTiles, case: Case) -> Result<Vec<Comparison>, GpuError> {
    let Case { size, capacity, mel, units, maps, channels: [first, other], outputs, gradient, .. } = case;
    let (bench, rows) = (Bench::new(gpu), size.batch * size.frames * mel);
    let slices = Slices::one(capacity.batch).at_most(case.per_slice);
    let counts: Vec<usize> = (0..maps).map(|i| if i == 0 { first } else { other }).collect();
    let firsts: Vec<usize> = (0..maps).map(|i| counts[..i].iter().sum()).collect();
    let inputs: usize = counts.iter().sum();
    let shape = ConvolutionShape { kernel: [1, 1], inputs, outputs, mel };
    let names: Vec<String> = (0..units).map(|unit| format!("unit{unit}")).collect();
    let mut declarations = Declarations::default();
    names.iter().for_each(|name| Unit::declare(&mut declarations, name, shape));
    let parameters = Parameters::new(gpu, declarations)?;
    let mut noise = Noise::new((rows + inputs) as u64);
    let x: Vec<f64> = noise.numbers(rows * inputs).iter().map(|v| v - 3.0).collect();
    let x = stored(case.element, &x);
    let held = stored(case.element, &noise.numbers(rows * inputs));
    let statistics = batch_norm::Statistics::of_batch(batch_norm::Size { rows, channels: inputs }, &x, EPSILON);
    let references: Vec<Reference> = names.iter().map(|_| reference(case, &mut noise, &x, &statistics)).collect();
    for (name, reference) in names.iter().zip(&references) {
        for (part, values) in &reference.given {
            bench.put(&parameters.parameter(&format!("{name}.{part}")).value, values);
        }
    }
    bench.poison(parameters.gradients().whole());

    // Every map has its share of the channels.
    let share = |values: &[f64], map: usize| -> Vec<f64> {
        let channels = firsts[map]..firsts[map] + counts[map];
        values.chunks(inputs).flat_map(|row| row[channels.clone()].to_vec()).collect()
    };
    let pairs = |statistics: &batch_norm::Statistics| -> Vec<f64> {
        statistics.mean.iter().zip(&statistics.inv_std).flat_map(|(mean, inv_std)| [*mean, *inv_std]).collect()
    };
    let of_x = MapStatistics::new(gpu, "of x", inputs)?;
    bench.put(&of_x.moments, &pairs(&statistics));
    let adds = gradient == Gradient::Add;
    if !adds {
        bench.poison(&of_x.corrections);
    }
    let layout = |count| Layout::images(capacity, mel, count, slices);
    let mut sources = Vec::new();
    for (map, &count) in counts.iter().enumerate() {
        let start = if adds { layout(count).spread(size, &share(&held, map)) } else { layout(count).nothing() };
        sources.push(bench.map_as(case.element, "x", layout(count), &layout(count).spread(size, &share(&x, map)), &start)?);
    }
    let before = |unit: usize| if unit == 0 { 4 } else { 0 };
    let in_y = |unit: usize| layout(outputs).among(before(unit), 0);
    let (mut ys, mut of_ys) = (Vec::new(), Vec::new());
    for (unit, reference) in references.iter().enumerate() {
        ys.push(bench.map_as(case.element, "y", in_y(unit), &in_y(unit).nothing(), &in_y(unit).spread(size, &reference.dy))?);
        let of_y = MapStatistics::new(gpu, "of y", before(unit) + outputs)?;
        bench.poison(&of_y.moments);
        of_ys.push(of_y);
    }
    let capacity_rows = capacity.batch * capacity.frames * mel;
    let floats = Bottlenecks::scratch(slices, units, maps, [first, other, outputs], capacity_rows);
    let scratch = bench.poisoned("scratch", &[floats])?;
    let context = ImageContext::new(gpu, slices, scratch, 0).with_maps(case.element).with_bottlenecks(Some(tiles));
    let input = UnitInput { sources: sources.iter().map(|map| (map, gradient)).collect(), statistics: &of_x };
    let written: Vec<_> = (0..units).map(|i| UnitOutput { map: &ys[i], statistics: (&of_ys[i], before(i)) }).collect();
    let bottlenecks = Bottlenecks::new(&context, &parameters, &names, shape, &input, &written)?;
    let corrections = sources
        .iter()
        .zip(&firsts)
        .map(|(map, &first)| Correction::new(gpu, &map.value, &map.grad, slices, &of_x.moments, &of_x.corrections, first));
    let corrections = corrections.collect::<Result<Vec<_>, _>>()?;
    bench.run(|pass| {
        bottlenecks.forward(pass, size, Mode::Train);
        bottlenecks.backward(pass, size);
    })?;
    let uncorrected = sources.iter().map(|map| bench.get(&map.grad.tensor)).collect::<Result<Vec<_>, _>>()?;
    bench.run(|pass| {
        corrections.iter().for_each(|correction| correction.apply(pass, size.batch, size.frames * mel));
    })?;

    let mut result = Comparisons::new("bottlenecks", &case);
    if gpu.precision() == Precision::Mixed {
        result = result.within(MIXED_TOLERANCE);
    }
    for dx in &uncorrected {
        result.add_rounded(case.element, "dx before its correction, rounded", dx);
    }
    for (unit, reference) in references.iter().enumerate() {
        let written = bench.get(&ys[unit].value.tensor)?;
        result.add_map(case.element, "y", &in_y(unit).spread(size, &reference.y), &written);
        let expected = [vec![f64::NAN; 2 * before(unit)], pairs(&reference.of_y)].concat();
        let moments = bench.get(&of_ys[unit].moments)?;
        result.add("statistics of y", &expected, &moments);
        result.add_stored_statistics(case.element, outputs, &written, &moments[2 * before(unit)..]);
        for (part, what, expected) in &reference.gradients {
            let actual = bench.get(&parameters.parameter(&format!("unit{unit}.{part}")).grad)?;
            result.add(what, expected, &actual);
        }
    }
    let mut dx = if adds { held } else { vec![0.0; rows * inputs] };
    for reference in &references {
        dx.iter_mut().zip(&reference.dx).for_each(|(dx, own)| *dx += own);
    }
    for (map, source) in sources.iter().enumerate() {
        let expected = layout(counts[map]).spread(size, &share(&dx, map));
        result.add_map(
            case.element,
            ["dx", "dx of the second map", "dx of the third map", "dx of the fourth map"][map],
            &expected,
            &bench.get(&source.grad.tensor)?,
        );
    }
    Ok(result.done())
}

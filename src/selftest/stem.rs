//! `stem.wgsl` beside [`reference::convolution`], [`reference::batch_norm`] and [`reference::max_pool`]: forward with the statistics
//! of its output, and the gradients of its parameters from one that is not yet corrected.

use super::bench::{Bench, Layout, stored};
use super::comparison::{Comparison, Comparisons};
use super::unit::MIXED_TOLERANCE;
use crate::gpu::{Element, Gpu, GpuError};
use crate::layers::{BroadcastMap, Declarations, ImageContext, Layer, Mode, Parameters, PoolShape, Size, Slices, Stem};
use crate::reference::noise::Noise;
use crate::reference::window::Window;
use crate::reference::{batch_norm, convolution, max_pool};

const EPSILON: f64 = 1e-3;

/// One stem to try.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Images and frames of this batch.
    pub size: Size,
    /// What the tensors are built for.
    pub capacity: Size,
    /// Mel bands.
    pub mel: usize,
    /// Channels of y.
    pub width: usize,
    /// Frames and bands of a window.
    pub pool: [usize; 2],
    /// Images that a slice of the batch holds.
    pub per_slice: usize,
    /// What maps and their gradients are stored as.
    pub element: Element,
    /// What y is about: where it is large, rounding shows in its statistics.
    pub lift: f64,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { size: Size { batch, frames }, mel, width, pool: [time, bands], .. } = self;
        write!(f, "1 -> {width} over {time} x {bands}, {batch} x {frames} x {mel}")?;
        super::describe_capacity(f, self.size, self.capacity, self.per_slice)?;
        super::describe_maps(f, self.element, self.lift)
    }
}

/// Forward in training and backward.
pub fn check(gpu: &Gpu, case: Case) -> Result<Vec<Comparison>, GpuError> {
    let Case { size, capacity, mel, width, pool, .. } = case;
    let (bench, rows) = (Bench::new(gpu), size.batch * size.frames * mel);
    let slices = Slices::one(capacity.batch).at_most(case.per_slice);
    let mut declarations = Declarations::default();
    Stem::declare(&mut declarations, mel, width);
    let parameters = Parameters::new(gpu, declarations)?;
    let mut noise = Noise::new((rows + width) as u64);
    let mut given: Vec<(&str, Vec<f64>)> =
        [("conv.weight", 9 * width), ("conv.bias", width), ("bn.weight", width), ("bn.bias", width)]
            .map(|(name, count)| (name, noise.numbers(count)))
            .to_vec();
    given[3].1.iter_mut().for_each(|beta| *beta += case.lift);
    for (name, values) in &given {
        bench.put(&parameters.parameter(&format!("stem.{name}")).value, values);
    }
    bench.poison(parameters.gradients().whole());
    let x: Vec<f64> = noise.numbers(rows).iter().map(|v| v + 0.5).collect();

    // What the reference makes of it.
    let [weight, bias, gamma, beta] = [0, 1, 2, 3].map(|i| &given[i].1);
    let images =
        convolution::Size { batch: size.batch, time: size.frames, mel, inputs: 1, outputs: width, kernel_time: 3, kernel_mel: 3 };
    let norm = batch_norm::Size { rows, channels: width };
    let convolved = convolution::forward(images, &x, weight, bias);
    let statistics = batch_norm::Statistics::of_batch(norm, &convolved, EPSILON);
    let z = batch_norm::forward(norm, &convolved, &statistics, gamma, beta);
    let activation: Vec<f64> = z.iter().map(|z| z.max(0.0)).collect();
    let window = Window::tiles(size.batch, size.frames, mel, width, pool);
    let mut pooled = max_pool::forward(window, &activation);
    pooled.y = stored(case.element, &pooled.y);
    let [out_frames, out_mel] = window.output();
    let out_rows = size.batch * out_frames * out_mel;
    let of_y = batch_norm::Statistics::of_batch(batch_norm::Size { rows: out_rows, channels: width }, &pooled.y, EPSILON);
    let dy: Vec<f64> = noise.numbers(out_rows * width).iter().map(|v| v + 0.1).collect();
    let dy = stored(case.element, &dy);
    let corrections = noise.numbers(2 * width);
    let corrected: Vec<f64> = dy
        .iter()
        .zip(&pooled.y)
        .enumerate()
        .map(|(i, (dy, y))| {
            let c = i % width;
            dy - corrections[2 * c] - (y - of_y.mean[c]) * of_y.inv_std[c] * corrections[2 * c + 1]
        })
        .collect();
    let mut dz = max_pool::backward(window, &pooled.index, &corrected);
    dz.iter_mut().zip(&z).for_each(|(dz, z)| *dz = if *z > 0.0 { *dz } else { 0.0 });
    let back = batch_norm::backward_training(norm, &convolved, &dz, &statistics, gamma);
    let dweight = convolution::backward_weight(images, &x, &back.dx);

    let shape = PoolShape::valid(pool);
    let out = Size { batch: capacity.batch, frames: shape.windows(0, capacity.frames) };
    let layout = Layout::images(out, out_mel, width, slices);
    let floats = Stem::scratch(shape, slices, [capacity.frames, mel], width);
    let scratch = bench.poisoned("scratch", &[floats])?;
    let context = ImageContext::new(gpu, slices, scratch, 0).with_maps(case.element).with_bottlenecks(None);
    let map = BroadcastMap::new(&context, [capacity.batch, out.frames, out_mel], width, 1)?;
    let (source, of_source) = (&map.sources[0].map, &map.statistics.values);
    let out_size = Size { batch: size.batch, frames: out_frames };
    bench.put(&source.value.tensor, &layout.nothing());
    bench.put(&source.grad.tensor, &layout.spread(out_size, &dy));
    bench.poison(&of_source.moments);
    bench.put(&of_source.corrections, &corrections);
    let in_x = Layout::images(capacity, mel, 1, slices);
    let x = bench.channels("x", in_x, &in_x.spread(size, &x))?;
    let stem = Stem::new(&context, &parameters, shape, &x, &map)?;
    bench.run(|pass| {
        stem.forward(pass, size, Mode::Train);
        stem.backward(pass, size);
    })?;

    let mut result = Comparisons::new("stem", &case);
    if case.element != Element::F32 {
        result = result.within(MIXED_TOLERANCE);
    }
    let written = bench.get(&source.value.tensor)?;
    result.add_map(case.element, "y", &layout.spread(out_size, &pooled.y), &written);
    let pairs: Vec<f64> = of_y.mean.iter().zip(&of_y.inv_std).flat_map(|(mean, inv_std)| [*mean, *inv_std]).collect();
    let moments = bench.get(&of_source.moments)?;
    result.add("statistics of y", &pairs, &moments[..2 * width]);
    result.add_stored_statistics(case.element, width, &written, &moments[..2 * width]);
    let mut gradient_of = |name: &str, label, terms: f64, expected: &[f64]| {
        bench
            .get(&parameters.parameter(&format!("stem.{name}")).grad)
            .map(|actual| result.add_sums(terms, label, expected, &actual))
    };
    // Three sums that nearly cancel.
    let terms = (rows as f64).sqrt();
    gradient_of("conv.weight", "dweight", terms, &dweight)?;
    gradient_of("conv.bias", "dbias", terms, &vec![0.0; width])?;
    gradient_of("bn.weight", "dgamma", 0.0, &back.dgamma)?;
    gradient_of("bn.bias", "dbeta", 0.0, &back.dbeta)?;
    Ok(result.done())
}

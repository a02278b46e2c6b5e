//! `relu.wgsl`, `last_step.wgsl` and `standardise.wgsl` beside what they say.

use super::bench::{Bench, Layout};
use super::comparison::{Comparison, Comparisons};
use crate::gpu::{Gpu, GpuError};
use crate::layers::{Add, LastStep, Relu, Size, Slices, Standardise, StandardiseTo};
use crate::reference;
use crate::reference::noise::Noise;

/// One batch of (batch, frames, channels) or (frames, batch, channels) to try.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Samples and frames of this batch.
    pub size: Size,
    /// Samples and frames that the layer is built for; at least `size`.
    pub capacity: Size,
    /// Channels, or mel bands.
    pub channels: usize,
    /// Images that a slice of the batch holds, where features become images.
    pub per_slice: usize,
}

impl Case {
    /// Where a batch lies, and its size in rows.
    fn layout(self) -> (Layout, Size) {
        let rows = self.size.batch * self.size.frames;
        (Layout::rows(self.capacity.batch * self.capacity.frames, self.channels), Size { batch: rows, frames: 1 })
    }

    fn elements(self) -> usize {
        self.size.batch * self.size.frames * self.channels
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Size { batch, frames } = self.size;
        write!(f, "{batch} x {frames} x {}", self.channels)?;
        super::describe_capacity(f, self.size, self.capacity, self.per_slice)
    }
}

/// ReLU: forward and the gradient of the input, zero at zero.
pub fn check_relu(gpu: &Gpu, case: Case) -> Result<Vec<Comparison>, GpuError> {
    let (bench, (layout, run)) = (Bench::new(gpu), case.layout());
    let mut noise = Noise::new(case.elements() as u64);
    let (mut x, dy) = (noise.numbers(case.elements()), noise.numbers(case.elements()));
    x.iter_mut().step_by(3).for_each(|x| *x = 0.0);
    let x_map = bench.map("x", layout, &layout.spread(run, &x), &layout.nothing())?;
    let y_map = bench.map("y", layout, &layout.nothing(), &layout.spread(run, &dy))?;
    let layer = Relu::new(gpu, &x_map, &y_map)?;
    bench.run(|pass| {
        layer.forward(pass, case.elements());
        layer.backward(pass, case.elements());
    })?;
    let mut result = Comparisons::new("relu", &case);
    result.add_within(0.0, "y", &layout.spread(run, &reference::relu::forward(&x)), &bench.get(&y_map.value.tensor)?);
    result.add_within(0.0, "dx", &layout.spread(run, &reference::relu::backward(&x, &dy)), &bench.get(&x_map.grad.tensor)?);
    Ok(result.done())
}

/// The sum of two maps: exact, as a single rounding is.
pub fn check_add(gpu: &Gpu, case: Case) -> Result<Vec<Comparison>, GpuError> {
    let (bench, (layout, run)) = (Bench::new(gpu), case.layout());
    let mut noise = Noise::new(case.elements() as u64);
    let [x, f] = [noise.numbers(case.elements()), noise.numbers(case.elements())];
    let given = |label, values: &[f64]| bench.map(label, layout, &layout.spread(run, values), &layout.nothing());
    let (x_map, f_map) = (given("x", &x)?, given("f", &f)?);
    let y = bench.poisoned("y", &[layout.elements()])?;
    let layer = Add::new(gpu, &x_map.value.tensor, &f_map.value.tensor, &y)?;
    bench.run(|pass| layer.forward(pass, case.elements()))?;
    let mut result = Comparisons::new("add", &case);
    // Multiples of 2^-20 below 1: their sums are exact.
    result.add_within(0.0, "y", &layout.spread(run, &reference::add::forward(&x, &f)), &bench.get(&y)?);
    Ok(result.done())
}

/// The last step of sequences, and its gradient.
pub fn check_last_step(gpu: &Gpu, case: Case) -> Result<Vec<Comparison>, GpuError> {
    let (bench, (in_x, run)) = (Bench::new(gpu), case.layout());
    let (in_y, run_y) = (Layout::rows(case.capacity.batch, case.channels), Size { batch: case.size.batch, frames: 1 });
    let state = case.size.batch * case.channels;
    let mut noise = Noise::new(case.elements() as u64);
    let (x, dy) = (noise.numbers(case.elements()), noise.numbers(state));
    let x_map = bench.map("x", in_x, &in_x.spread(run, &x), &in_x.nothing())?;
    let y_map = bench.map("y", in_y, &in_y.nothing(), &in_y.spread(run_y, &dy))?;
    let layer = LastStep::new(gpu, &x_map, &y_map)?;
    bench.run(|pass| {
        layer.forward(pass, case.size);
        layer.backward(pass, case.size);
    })?;
    let mut dx = vec![0.0; case.elements() - state];
    dx.extend_from_slice(&dy);
    let mut result = Comparisons::new("last_step", &case);
    result.add_within(0.0, "y", &in_y.spread(run_y, &x[x.len() - state..]), &bench.get(&y_map.value.tensor)?);
    result.add_within(0.0, "dx", &in_x.spread(run, &dx), &bench.get(&x_map.grad.tensor)?);
    Ok(result.done())
}

/// Features in decibels to images and to sequences.
pub fn check_standardise(gpu: &Gpu, case: Case) -> Result<Vec<Comparison>, GpuError> {
    let (bench, (layout, run), Size { batch, frames }, mel) = (Bench::new(gpu), case.layout(), case.size, case.channels);
    let mut noise = Noise::new(case.elements() as u64);
    let x: Vec<f64> = noise.numbers(case.elements()).into_iter().map(|x| f64::from((40.0 * x - 40.0) as f32)).collect();
    let mean: Vec<f64> = noise.numbers(mel).into_iter().map(|mean| f64::from((20.0 * mean - 40.0) as f32)).collect();
    let std: Vec<f64> = noise.numbers(mel).into_iter().map(|std| 2.0 + std).collect();
    let features = bench.given("features", &[case.capacity.batch, case.capacity.frames, mel], &layout.spread(run, &x))?;
    let image: Vec<f64> = x.iter().enumerate().map(|(at, x)| (x - mean[at % mel]) / std[at % mel]).collect();
    let sequence = (0..case.elements()).map(|at| {
        let (frame, sample) = (at / (batch * mel), (at / mel) % batch);
        image[(sample * frames + frame) * mel + at % mel]
    });
    let mut result = Comparisons::new("standardise", &case);
    let slices = Slices::one(case.capacity.batch).at_most(case.per_slice);
    let sliced = Layout::images(case.capacity, mel, 1, slices);
    for (to, name, expected) in [
        (StandardiseTo::Image(slices), "image", sliced.spread(case.size, &image)),
        (StandardiseTo::Sequence, "sequence", layout.spread(run, &sequence.collect::<Vec<f64>>())),
    ] {
        let y = bench.poisoned("y", &[layout.elements()])?;
        let layer = Standardise::new(gpu, &features, to, &y)?;
        bench.put(&layer.mean, &mean);
        bench.put(&layer.std, &std);
        bench.run(|pass| layer.forward(pass, case.size))?;
        result.add(name, &expected, &bench.get(&y)?);
    }
    Ok(result.done())
}

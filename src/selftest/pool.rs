//! `max_pool.wgsl` and `average_pool.wgsl` beside [`reference::max_pool`] and [`reference::average_pool`].

use super::bench::{Bench, Layout};
use super::comparison::{Comparison, Comparisons};
use crate::gpu::{Gpu, GpuError};
use crate::layers::{AveragePool, Gradient, MaxPool, PoolShape, Size, Slices};
use crate::reference;
use crate::reference::noise::Noise;
use crate::reference::window::Window;

/// One pooling to try.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Images and frames of this batch.
    pub size: Size,
    /// Images and frames that the layer is built for; at least `size`.
    pub capacity: Size,
    /// Mel bands.
    pub mel: usize,
    /// Channels.
    pub channels: usize,
    /// The windows; average pooling takes only those that do not overlap.
    pub shape: PoolShape,
    /// Most windows see equal values: the first must win.
    pub ties: bool,
    /// Whether dx is written or added to; average pooling writes.
    pub gradient: Gradient,
    /// Images that a slice of the batch holds.
    pub per_slice: usize,
}

impl Case {
    /// The plain one of these sizes.
    pub fn new(shape: PoolShape, [batch, frames, mel, channels]: [usize; 4]) -> Self {
        let size = Size { batch, frames };
        Self { size, capacity: size, mel, channels, shape, ties: false, gradient: Gradient::Write, per_slice: usize::MAX }
    }

    fn slices(self) -> Slices {
        Slices::one(self.capacity.batch).at_most(self.per_slice)
    }

    fn window(self) -> Window {
        let (PoolShape { kernel, stride, padding }, Size { batch, frames: time }) = (self.shape, self.size);
        Window { batch, time, mel: self.mel, channels: self.channels, kernel, stride, padding }
    }

    /// Where input and output lie.
    fn layouts(self) -> [Layout; 2] {
        let pooled = Size { frames: self.shape.windows(0, self.capacity.frames), ..self.capacity };
        let out_mel = self.shape.windows(1, self.mel);
        [
            Layout::images(self.capacity, self.mel, self.channels, self.slices()),
            Layout::images(pooled, out_mel, self.channels, self.slices()),
        ]
    }

    fn pooled(self) -> Size {
        Size { frames: self.shape.windows(0, self.size.frames), ..self.size }
    }

    fn input(self, noise: &mut Noise) -> Vec<f64> {
        let mut x = noise.numbers(self.window().input_len());
        if self.ties {
            x.iter_mut().for_each(|x| *x = (*x * 2.0).round());
        }
        x
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (PoolShape { kernel: [kt, km], stride: [st, sm], padding: [pt, pm] }, Size { batch, frames }) =
            (self.shape, self.size);
        write!(f, "{kt}x{km} by {st}x{sm} padded {pt}x{pm}, {batch} x {frames} x {} x {}", self.mel, self.channels)?;
        super::describe_capacity(f, self.size, self.capacity, self.per_slice)?;
        f.write_str(if self.ties { ", ties" } else { "" })?;
        f.write_str(if self.gradient == Gradient::Add { ", adding" } else { "" })
    }
}

/// Max pooling: forward and the gradient of the input. The maxima must be exact.
pub fn check_max(gpu: &Gpu, case: Case) -> Result<Vec<Comparison>, GpuError> {
    let (bench, window, [in_x, in_y]) = (Bench::new(gpu), case.window(), case.layouts());
    let mut noise = Noise::new(window.input_len() as u64);
    let (x, dy, before) = (case.input(&mut noise), noise.numbers(window.output_len()), noise.numbers(window.input_len()));
    let dx_start = if case.gradient == Gradient::Add { in_x.spread(case.size, &before) } else { in_x.nothing() };
    let x_map = bench.map("x", in_x, &in_x.spread(case.size, &x), &dx_start)?;
    let y_map = bench.map("y", in_y, &in_y.nothing(), &in_y.spread(case.pooled(), &dy))?;
    let layer = MaxPool::new(gpu, case.shape, case.slices(), &x_map, &y_map, case.gradient)?;
    bench.run(|pass| {
        layer.forward(pass, case.size.batch, case.size.frames);
        layer.backward(pass, case.size.batch, case.size.frames);
    })?;

    let expected = reference::max_pool::forward(window, &x);
    let mut dx = reference::max_pool::backward(window, &expected.index, &dy);
    if case.gradient == Gradient::Add {
        dx.iter_mut().zip(&before).for_each(|(dx, before)| *dx += before);
    }
    let mut result = Comparisons::new("max_pool", &case);
    result.add_within(0.0, "y", &in_y.spread(case.pooled(), &expected.y), &bench.get(&y_map.value.tensor)?);
    result.add("dx", &in_x.spread(case.size, &dx), &bench.get(&x_map.grad.tensor)?);
    Ok(result.done())
}

/// Average pooling: forward and the gradient of the input.
pub fn check_average(gpu: &Gpu, case: Case) -> Result<Vec<Comparison>, GpuError> {
    let (bench, window, [in_x, in_y]) = (Bench::new(gpu), case.window(), case.layouts());
    let mut noise = Noise::new(window.input_len() as u64);
    let (x, dy) = (case.input(&mut noise), noise.numbers(window.output_len()));
    let x_map = bench.map("x", in_x, &in_x.spread(case.size, &x), &in_x.nothing())?;
    let y_map = bench.map("y", in_y, &in_y.nothing(), &in_y.spread(case.pooled(), &dy))?;
    let layer = AveragePool::new(gpu, case.shape.kernel, case.slices(), &x_map, &y_map)?;
    bench.run(|pass| {
        layer.forward(pass, case.size.batch, case.size.frames);
        layer.backward(pass, case.size.batch, case.size.frames);
    })?;

    let mut result = Comparisons::new("average_pool", &case);
    let (y, dx) = (reference::average_pool::forward(window, &x), reference::average_pool::backward(window, &dy));
    result.add("y", &in_y.spread(case.pooled(), &y), &bench.get(&y_map.value.tensor)?);
    result.add("dx", &in_x.spread(case.size, &dx), &bench.get(&x_map.grad.tensor)?);
    Ok(result.done())
}

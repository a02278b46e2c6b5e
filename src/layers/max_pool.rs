//! Launcher of `max_pool.wgsl` and, where channels come in fours, `max_pool_vectors.wgsl`; in eights, for software adapters,
//! `max_pool_wide.wgsl`.

use super::{Gradient, Map, Slices};
use crate::gpu::{Constant, Dispatch, Element, Gpu, GpuError, Grid, Pass, Shader};

const MAX_POOL: Shader = Shader("max_pool");
const MAX_POOL_VECTORS: Shader = Shader("max_pool_vectors");
const MAX_POOL_WIDE: Shader = Shader("max_pool_wide");
/// Channels and bands of an invocation of it.
const WIDE: usize = 8;
/// Taps that have a number of eight bits.
const MOST_TAPS: usize = 255;

/// A pooling window along time and mel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolShape {
    /// Frames and bands of a window.
    pub kernel: [usize; 2],
    /// Frames and bands between windows.
    pub stride: [usize; 2],
    /// Frames and bands beyond each edge, which never win.
    pub padding: [usize; 2],
}

impl PoolShape {
    /// Windows that do not overlap; what does not fill one is left out.
    pub fn valid(kernel: [usize; 2]) -> Self {
        Self { kernel, stride: kernel, padding: [0, 0] }
    }

    /// One window around every position; odd kernels.
    pub fn same(kernel: [usize; 2]) -> Self {
        Self { kernel, stride: [1, 1], padding: kernel.map(|k| k / 2) }
    }

    /// Windows along an axis (0 time, 1 mel) of `length`; 0 where the axis is too short for one.
    pub fn windows(&self, axis: usize, length: usize) -> usize {
        let padded = length + 2 * self.padding[axis];
        if padded < self.kernel[axis] { 0 } else { (padded - self.kernel[axis]) / self.stride[axis] + 1 }
    }
}

/// The largest of each window, per channel.
pub struct MaxPool {
    shape: PoolShape,
    slices: Slices,
    mel: usize,
    channels: usize,
    /// Elements of an invocation.
    each: usize,
    forward: Vec<Dispatch>,
    backward: Vec<Dispatch>,
}

impl MaxPool {
    /// Prepares the kernels from `x` (batch, time, mel, channel) to `y`, all channels of both.
    pub fn new(gpu: &Gpu, shape: PoolShape, slices: Slices, x: &Map, y: &Map, gradient: Gradient) -> Result<Self, GpuError> {
        let (mel, channels) = (x.value.tensor.shape()[2], x.value.stride);
        let vectors = channels.is_multiple_of(4) && shape.kernel[0] * shape.kernel[1] <= MOST_TAPS;
        let around = shape.kernel.iter().all(|taps| taps % 2 == 1) && shape == PoolShape::same(shape.kernel);
        let eights = [channels, mel].iter().all(|count| count.is_multiple_of(WIDE)) && x.value.tensor.element() != Element::F16;
        let wide = vectors && around && eights && gpu.summary().loads_in_pairs();
        let word = if vectors { 4 } else { 1 };
        let (shader, each) = match (wide, vectors) {
            (true, _) => (MAX_POOL_WIDE, WIDE * WIDE),
            (false, true) => (MAX_POOL_VECTORS, word),
            (false, false) => (MAX_POOL, word),
        };
        let &[batch, frames, bands, _] = y.value.tensor.shape() else { panic!("images have four axes") };
        let taps = gpu.tensor("pool taps", Element::U32, &[batch, frames, bands, channels / word])?;
        let mut constants: Vec<(&str, Constant)> = vec![
            ("KERNEL_TIME", shape.kernel[0].into()),
            ("KERNEL_MEL", shape.kernel[1].into()),
            ("CHANNELS", channels.into()),
            ("MEL", mel.into()),
            ("ADD_DX", gradient.adds().into()),
        ];
        if !wide {
            constants.extend([
                ("STRIDE_TIME", shape.stride[0].into()),
                ("STRIDE_MEL", shape.stride[1].into()),
                ("PAD_TIME", shape.padding[0].into()),
                ("PAD_MEL", shape.padding[1].into()),
                ("OUT_MEL", shape.windows(1, mel).into()),
            ]);
        }
        let (mut forward, mut backward) = (Vec::new(), Vec::new());
        for samples in slices.ranges() {
            let taps = taps.rows(samples.start, samples.len());
            let outputs = [("x", &x.value.slice(&samples)), ("y", &y.value.slice(&samples)), ("taps_out", &taps)];
            forward.push(shader.dispatch(gpu, "forward", &constants, &outputs)?);
            let gradients = [("taps", &taps), ("dy", &y.grad.slice(&samples)), ("dx", &x.grad.slice(&samples))];
            backward.push(shader.dispatch(gpu, "backward_input", &constants, &gradients)?);
        }
        Ok(Self { shape, slices, mel, channels, each, forward, backward })
    }

    /// y from images of `frames` frames.
    pub fn forward(&self, pass: &mut Pass<'_>, batch: usize, frames: usize) {
        let out_frames = self.shape.windows(0, frames);
        for (slice, samples) in self.slices.active(batch) {
            let elements = samples * out_frames * self.shape.windows(1, self.mel) * self.channels;
            let immediates = [samples as u32, frames as u32, out_frames as u32];
            pass.run(&self.forward[slice], Grid::threads(elements / self.each, 64), &immediates, elements * self.taps());
        }
    }

    /// Writes or adds dx from dy.
    pub fn backward(&self, pass: &mut Pass<'_>, batch: usize, frames: usize) {
        let out_frames = self.shape.windows(0, frames);
        for (slice, samples) in self.slices.active(batch) {
            let elements = samples * frames * self.mel * self.channels;
            let immediates = [samples as u32, frames as u32, out_frames as u32];
            pass.run(&self.backward[slice], Grid::threads(elements / self.each, 64), &immediates, elements * self.taps());
        }
    }

    fn taps(&self) -> usize {
        4 * self.shape.kernel[0] * self.shape.kernel[1]
    }
}

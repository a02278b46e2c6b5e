//! Launcher of `average_pool.wgsl`.

use super::{Map, PoolShape, Slices};
use crate::gpu::{Constant, Dispatch, Element, Gpu, GpuError, Grid, Pass, Shader};

const AVERAGE_POOL: Shader = Shader("average_pool");

/// The mean of each window of `kernel` frames and bands, per channel; windows do not overlap.
pub struct AveragePool {
    shape: PoolShape,
    slices: Slices,
    mel: usize,
    channels: usize,
    /// Elements of dx of an invocation.
    each: usize,
    forward: Vec<Dispatch>,
    backward: Vec<Dispatch>,
}

impl AveragePool {
    /// Prepares the kernels from `x` (batch, time, mel, channel) to `y`, all channels of both.
    pub fn new(gpu: &Gpu, kernel: [usize; 2], slices: Slices, x: &Map, y: &Map) -> Result<Self, GpuError> {
        let shape = PoolShape::valid(kernel);
        let (mel, channels) = (x.value.tensor.shape()[2], x.value.stride);
        let constants: Vec<(&str, Constant)> = vec![
            ("KERNEL_TIME", kernel[0].into()),
            ("KERNEL_MEL", kernel[1].into()),
            ("CHANNELS", channels.into()),
            ("MEL", mel.into()),
            ("OUT_MEL", shape.windows(1, mel).into()),
        ];
        let (mut forward, mut backward) = (Vec::new(), Vec::new());
        for samples in slices.ranges() {
            let values = [("x", &x.value.slice(&samples)), ("y", &y.value.slice(&samples))];
            forward.push(AVERAGE_POOL.dispatch(gpu, "forward", &constants, &values)?);
            let gradients = [("dy", &y.grad.slice(&samples)), ("dx", &x.grad.slice(&samples))];
            backward.push(AVERAGE_POOL.dispatch(gpu, "backward_input", &constants, &gradients)?);
        }
        let each = if x.grad.tensor.element() == Element::F16 { 2 } else { 1 };
        Ok(Self { shape, slices, mel, channels, each, forward, backward })
    }

    /// y from images of `frames` frames.
    pub fn forward(&self, pass: &mut Pass<'_>, batch: usize, frames: usize) {
        let out_frames = self.shape.windows(0, frames);
        self.run(pass, &self.forward, batch, frames, out_frames * self.shape.windows(1, self.mel), 1, 4);
    }

    /// dx from dy.
    pub fn backward(&self, pass: &mut Pass<'_>, batch: usize, frames: usize) {
        self.run(pass, &self.backward, batch, frames, frames * self.mel, self.each, 2);
    }

    fn run(
        &self,
        pass: &mut Pass<'_>,
        dispatches: &[Dispatch],
        batch: usize,
        frames: usize,
        positions: usize,
        each: usize,
        work: usize,
    ) {
        let out_frames = self.shape.windows(0, frames) as u32;
        for (slice, samples) in self.slices.active(batch) {
            let elements = samples * positions * self.channels;
            pass.run(
                &dispatches[slice],
                Grid::threads(elements / each, 64),
                &[samples as u32, frames as u32, out_frames],
                work * elements,
            );
        }
    }
}

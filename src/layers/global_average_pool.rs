//! Launcher of `global_average_pool.wgsl`.

use super::{Map, Slices};
use crate::gpu::{Dispatch, Gpu, GpuError, Grid, Pass, Shader};

const GLOBAL_AVERAGE_POOL: Shader = Shader("global_average_pool");

/// The mean over all positions, per sample and channel.
pub struct GlobalAveragePool {
    slices: Slices,
    channels: usize,
    forward: Vec<Dispatch>,
    backward: Vec<Dispatch>,
}

impl GlobalAveragePool {
    /// Over time and mel of images: `x` (batch, time, mel, channel) to `y` (batch, channel).
    pub fn image(gpu: &Gpu, slices: Slices, x: &Map, y: &Map) -> Result<Self, GpuError> {
        let channels = x.value.stride;
        let (mut forward, mut backward) = (Vec::new(), Vec::new());
        for samples in slices.ranges() {
            let constants = [("CHANNELS", channels.into()), ("SEQUENCE", false.into())];
            let values = [("x", &x.value.slice(&samples)), ("y", &y.value.tensor)];
            forward.push(GLOBAL_AVERAGE_POOL.dispatch(gpu, "forward", &constants, &values)?);
            let gradients = [("dy", &y.grad.tensor), ("dx", &x.grad.slice(&samples))];
            backward.push(GLOBAL_AVERAGE_POOL.dispatch(gpu, "backward_input", &constants, &gradients)?);
        }
        Ok(Self { slices, channels, forward, backward })
    }

    /// Over the time of sequences: `x` (time, batch, channel) to `y` (batch, channel).
    pub fn sequence(gpu: &Gpu, x: &Map, y: &Map) -> Result<Self, GpuError> {
        let channels = x.value.stride;
        let constants = [("CHANNELS", channels.into()), ("SEQUENCE", true.into())];
        let values = [("x", &x.value.tensor), ("y", &y.value.tensor)];
        let gradients = [("dy", &y.grad.tensor), ("dx", &x.grad.tensor)];
        Ok(Self {
            slices: Slices::one(x.value.tensor.shape()[1]),
            channels,
            forward: vec![GLOBAL_AVERAGE_POOL.dispatch(gpu, "forward", &constants, &values)?],
            backward: vec![GLOBAL_AVERAGE_POOL.dispatch(gpu, "backward_input", &constants, &gradients)?],
        })
    }

    /// y from `positions` positions of each sample.
    pub fn forward(&self, pass: &mut Pass<'_>, batch: usize, positions: usize) {
        let mut first = 0;
        for (slice, samples) in self.slices.active(batch) {
            let grid = Grid::plane(self.channels.div_ceil(32), samples);
            pass.run(&self.forward[slice], grid, &[samples as u32, positions as u32, first], samples * positions * self.channels);
            first += samples as u32;
        }
    }

    /// dx from dy.
    pub fn backward(&self, pass: &mut Pass<'_>, batch: usize, positions: usize) {
        let mut first = 0;
        for (slice, samples) in self.slices.active(batch) {
            let elements = samples * positions * self.channels;
            pass.run(&self.backward[slice], Grid::threads(elements, 64), &[samples as u32, positions as u32, first], elements);
            first += samples as u32;
        }
    }
}

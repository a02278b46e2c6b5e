//! `global_average_pool.wgsl` beside [`reference::global_average_pool`].

use super::bench::{Bench, Layout};
use super::comparison::{Comparison, Comparisons};
use crate::gpu::{Gpu, GpuError};
use crate::layers::{GlobalAveragePool, Size, Slices};
use crate::reference;
use crate::reference::noise::Noise;

/// One global pooling to try.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Samples and frames of this batch.
    pub size: Size,
    /// Samples and frames that the layer is built for; at least `size`.
    pub capacity: Size,
    /// Mel bands of an image, or none for a sequence (time, batch, channel).
    pub mel: Option<usize>,
    /// Channels.
    pub channels: usize,
    /// Images that a slice of the batch holds.
    pub per_slice: usize,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Size { batch, frames } = self.size;
        match self.mel {
            Some(mel) => write!(f, "image {batch} x {frames} x {mel} x {}", self.channels)?,
            None => write!(f, "sequence {frames} x {batch} x {}", self.channels)?,
        }
        super::describe_capacity(f, self.size, self.capacity, self.per_slice)
    }
}

/// Forward and the gradient of the input.
pub fn check(gpu: &Gpu, case: Case) -> Result<Vec<Comparison>, GpuError> {
    let Case { size: Size { batch, frames }, capacity, mel, channels, per_slice } = case;
    let bench = Bench::new(gpu);
    let size = match mel {
        Some(mel) => reference::global_average_pool::Size::image(batch, frames, mel, channels),
        None => reference::global_average_pool::Size::sequence(frames, batch, channels),
    };
    let mut noise = Noise::new(size.input_len() as u64);
    let (x, dy) = (noise.numbers(size.input_len()), noise.numbers(size.output_len()));
    let slices = Slices::one(capacity.batch).at_most(per_slice);
    let (in_x, run) = match mel {
        Some(mel) => (Layout::images(capacity, mel, channels, slices), case.size),
        None => (Layout::rows(capacity.batch * capacity.frames, channels), Size { batch: batch * frames, frames: 1 }),
    };
    let (in_y, run_y) = (Layout::rows(capacity.batch, channels), Size { batch, frames: 1 });
    let mut x_map = bench.map("x", in_x, &in_x.spread(run, &x), &in_x.nothing())?;
    if mel.is_none() {
        for channels in [&mut x_map.value, &mut x_map.grad] {
            channels.tensor = channels.tensor.view(0, &[capacity.frames, capacity.batch, channels.stride]);
        }
    }
    let y_map = bench.map("y", in_y, &in_y.nothing(), &in_y.spread(run_y, &dy))?;
    let layer = match mel {
        Some(_) => GlobalAveragePool::image(gpu, slices, &x_map, &y_map)?,
        None => GlobalAveragePool::sequence(gpu, &x_map, &y_map)?,
    };
    let positions = frames * mel.unwrap_or(1);
    bench.run(|pass| {
        layer.forward(pass, batch, positions);
        layer.backward(pass, batch, positions);
    })?;

    let (y, dx) = (reference::global_average_pool::forward(size, &x), reference::global_average_pool::backward(size, &dy));
    let mut result = Comparisons::new("global_average_pool", &case);
    result.add("y", &in_y.spread(run_y, &y), &bench.get(&y_map.value.tensor)?);
    result.add("dx", &in_x.spread(run, &dx), &bench.get(&x_map.grad.tensor)?);
    Ok(result.done())
}

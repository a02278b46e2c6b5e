//! `dropout.wgsl` beside [`reference::dropout`].

use super::bench::{Bench, Layout};
use super::comparison::{Comparison, Comparisons};
use crate::gpu::{Element, Gpu, GpuError};
use crate::layers::{Dropout, Layer, Mode, Size};
use crate::reference;
use crate::reference::noise::Noise;

/// One rounding of a product; a mask that differs anywhere is off by the whole of an element.
const TOLERANCE: f64 = 1e-6;

/// One dropout to try.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Samples and frames of this batch.
    pub size: Size,
    /// Samples and frames that the layer is built for; at least `size`.
    pub capacity: Size,
    /// Channels.
    pub channels: usize,
    /// The share that is dropped.
    pub p: f32,
    /// Low and high word.
    pub seed: [u32; 2],
    /// The number of the layer.
    pub stream: u32,
    /// What the forward pass is for.
    pub mode: Mode,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Size { batch, frames } = self.size;
        write!(f, "{frames} x {batch} x {}, p {}, seed {:x?}", self.channels, self.p, self.seed)?;
        write!(f, ", stream {}, {:?}", self.stream, self.mode)?;
        super::describe_capacity(f, self.size, self.capacity, usize::MAX)
    }
}

/// Forward and the gradient of the input.
pub fn check(gpu: &Gpu, case: Case) -> Result<Vec<Comparison>, GpuError> {
    let Case { size: Size { batch, frames }, capacity, channels, p, seed, stream, mode } = case;
    let (bench, count) = (Bench::new(gpu), frames * batch * channels);
    let (layout, rows) = (Layout::rows(capacity.batch * capacity.frames, channels), Size { batch: batch * frames, frames: 1 });
    let mut noise = Noise::new(count as u64);
    let (x, dy) = (noise.numbers(count), noise.numbers(count));
    let x_map = bench.map("x", layout, &layout.spread(rows, &x), &layout.nothing())?;
    let y_map = bench.map("y", layout, &layout.nothing(), &layout.spread(rows, &dy))?;
    let words = gpu.tensor("seed", Element::U32, &[2])?;
    gpu.write(&words, &seed);
    let layer = Dropout::new(gpu, &x_map, &y_map, &words, p, stream)?;
    bench.run(|pass| layer.forward(pass, case.size, mode))?;
    let mut result = Comparisons::new("dropout", &case);
    let y = bench.get(&y_map.value.tensor)?;
    if mode == Mode::Evaluate {
        result.add_within(0.0, "y", &layout.spread(rows, &x), &y);
        return Ok(result.done());
    }
    bench.run(|pass| layer.backward(pass, case.size))?;
    let factors = reference::dropout::factors(batch, channels, p, seed, stream);
    let expected = |given: &[f64]| layout.spread(rows, &reference::dropout::apply(given, &factors));
    result.add_within(TOLERANCE, "y", &expected(&x), &y);
    result.add_within(TOLERANCE, "dx", &expected(&dy), &bench.get(&x_map.grad.tensor)?);
    Ok(result.done())
}

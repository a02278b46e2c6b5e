//! Launcher of `standardise.wgsl`: the way of a batch of features into a network.

use super::{Size, Slices};
use crate::gpu::{Dispatch, Element, Gpu, GpuError, Grid, Pass, Shader, Tensor};

const STANDARDISE: Shader = Shader("standardise");

/// Where standardised features go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandardiseTo {
    /// (time, batch, mel), for recurrent networks.
    Sequence,
    /// (batch, time, mel), for convolutional ones whose kernels read it in these slices.
    Image(Slices),
}

/// `(features - mean) / std` per mel band.
pub struct Standardise {
    /// Per band; 0 until the host writes it.
    pub mean: Tensor,
    /// Per band; 1 until the host writes it.
    pub std: Tensor,
    mel: usize,
    /// Bands and frames that an invocation moves.
    each: [usize; 2],
    forward: Dispatch,
}

impl Standardise {
    /// Prepares the kernel from `features` (batch, time, mel) to `y`.
    pub fn new(gpu: &Gpu, features: &Tensor, to: StandardiseTo, y: &Tensor) -> Result<Self, GpuError> {
        let mel = features.shape()[2];
        let mean = gpu.tensor("input.mean", Element::F32, &[mel])?;
        let std = gpu.tensor("input.std", Element::F32, &[mel])?;
        gpu.write(&std, &vec![1.0f32; mel]);
        let vector = if mel.is_multiple_of(4) { 4 } else { 1 };
        let (entry, slice) = match (to, vector) {
            (StandardiseTo::Sequence, 1) => ("sequence", features.shape()[0]),
            (StandardiseTo::Sequence, _) => ("sequence_vectors", features.shape()[0]),
            (StandardiseTo::Image(slices), 1) => ("image", slices.per()),
            (StandardiseTo::Image(slices), _) => ("image_vectors", slices.per()),
        };
        let names = match vector {
            1 => ["features", "mean", "deviation", "y"],
            _ => ["feature_vectors", "mean_vectors", "deviation_vectors", "y_vectors"],
        };
        let constants = [("MEL", mel.into()), ("SLICE", slice.into()), ("SLICE_FRAMES", features.shape()[1].into())];
        let tensors: Vec<_> = names.into_iter().zip([features, &mean, &std, y]).collect();
        let forward = STANDARDISE.dispatch(gpu, entry, &constants, &tensors)?;
        let frames = if entry == "sequence_vectors" { 4 } else { 1 };
        Ok(Self { mean, std, mel, each: [vector, frames], forward })
    }

    /// Of a whole batch.
    pub fn forward(&self, pass: &mut Pass<'_>, size: Size) {
        let [bands, frames] = self.each;
        let threads = size.batch * size.frames.div_ceil(frames) * (self.mel / bands);
        let immediates = [size.batch as u32, size.frames as u32];
        pass.run(&self.forward, Grid::threads(threads, 64), &immediates, 2 * size.batch * size.frames * self.mel);
    }
}

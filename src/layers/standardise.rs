//! Launcher of `standardise.wgsl`: the way of a batch of features into a network.

use super::{Size, Slices};
use crate::gpu::{Dispatch, Element, Gpu, GpuError, Grid, Pass, Shader, Tensor};

const STANDARDISE: Shader = Shader("standardise");
/// Frames of an invocation that moves vectors to a sequence: what it asks for its bands is asked once for them.
const FRAMES: usize = 4;

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
        let &[batch, all_frames, _] = features.shape() else { panic!("features have three axes") };
        let (each, entry, slice) = match (to, mel.is_multiple_of(4)) {
            (StandardiseTo::Sequence, false) => ([1, 1], "sequence", batch),
            (StandardiseTo::Sequence, true) => ([4, FRAMES], "sequence_vectors", batch),
            (StandardiseTo::Image(slices), false) => ([1, 1], "image", slices.per()),
            (StandardiseTo::Image(slices), true) => ([4, 1], "image_vectors", slices.per()),
        };
        let [bands, frames] = each;
        let names = match bands {
            1 => ["features", "mean", "deviation", "y"],
            _ => ["feature_vectors", "mean_vectors", "deviation_vectors", "y_vectors"],
        };
        let sizes = [("MEL", mel), ("EACH", frames), ("SLICE", slice), ("SLICE_FRAMES", all_frames)];
        let constants = sizes.map(|(name, size)| (name, size.into()));
        let tensors: Vec<_> = names.into_iter().zip([features, &mean, &std, y]).collect();
        let forward = STANDARDISE.dispatch(gpu, entry, &constants, &tensors)?;
        Ok(Self { mean, std, mel, each, forward })
    }

    /// Of a whole batch.
    pub fn forward(&self, pass: &mut Pass<'_>, size: Size) {
        let [bands, frames] = self.each;
        let threads = size.batch * size.frames.div_ceil(frames) * (self.mel / bands);
        let immediates = [size.batch as u32, size.frames as u32];
        pass.run(&self.forward, Grid::threads(threads, 64), &immediates, 2 * size.batch * size.frames * self.mel);
    }
}

//! The gradient through batch norms with a ReLU that are folded into convolutions and read one map.
//!
//! ```text
//! dx = [sum over the norms of gamma * inv_std * dz] - [correction of the channel, linear in x]
//! ```
//! What stands in the first brackets needs no sums over the batch: the convolution adds it to dx as soon as it has dz, or
//! [`FoldedGradient`] does. The corrections of all norms add up to one ([`Correction`]), applied when all have been there.

use super::batch_norm::{BATCH_NORM, BatchNorm, BatchNormGradients, elementwise, finish_tiles, lanes, reduce, row_constants};
use super::{Channels, Slices, alignment};
use crate::gpu::{Constant, Dispatch, Element, Gpu, GpuError, Pass, Shader, Tensor};

/// `correct` for channels in fours.
const VECTORS: Shader = Shader("batch_norm_vectors");
/// The same for software adapters and channels in eights.
const WIDE: Shader = Shader("batch_norm_wide");

/// One batch norm's share.
pub struct FoldedGradient {
    channels: usize,
    slices: Slices,
    /// None where the convolution sees to dx.
    accumulate: Vec<Dispatch>,
    finish: Dispatch,
}

impl FoldedGradient {
    /// Prepares the kernels. `tensors.dx` is written or added to, `corrections` (pairs, where the statistics of `x` begin)
    /// likewise.
    pub fn new(
        gpu: &Gpu,
        norm: &BatchNorm,
        slices: Slices,
        tensors: &BatchNormGradients<'_>,
        corrections: &Tensor,
        scratch: &Tensor,
    ) -> Result<Self, GpuError> {
        let BatchNormGradients { x, dy, dx, statistics, .. } = tensors;
        let constants = Self::constants(gpu, tensors);
        let accumulate = |samples| {
            let tensors = [
                ("x", &x.slice(&samples)),
                ("dy", &dy.slice(&samples)),
                ("scale", &norm.scale),
                ("shift", &norm.shift),
                ("moments", *statistics),
                ("dx", &dx.slice(&samples)),
                ("partial_sums", scratch),
            ];
            BATCH_NORM.dispatch(gpu, "accumulate_gradients", &constants, &tensors)
        };
        let accumulate = slices.ranges().map(accumulate).collect::<Result<_, _>>()?;
        Ok(Self { accumulate, ..Self::finishing(gpu, norm, slices, tensors, corrections, scratch)? })
    }

    fn constants(gpu: &Gpu, tensors: &BatchNormGradients<'_>) -> Vec<(&'static str, Constant)> {
        let BatchNormGradients { x, dy, dx, statistics_first, parameters_first, relu, gradient, .. } = tensors;
        let mut constants: Vec<(&str, Constant)> = row_constants(gpu).to_vec();
        constants.extend([
            ("CHANNELS", x.count.into()),
            ("LANES", lanes(x.count).into()),
            ("X_STRIDE", x.stride.into()),
            ("X_FIRST", x.first.into()),
            ("DY_STRIDE", dy.stride.into()),
            ("DY_FIRST", dy.first.into()),
            ("DX_STRIDE", dx.stride.into()),
            ("DX_FIRST", dx.first.into()),
            ("STATISTICS_FIRST", (*statistics_first).into()),
            ("PARAMETERS_FIRST", (*parameters_first).into()),
            ("RELU", (*relu).into()),
            ("ADD_DX", gradient.adds().into()),
        ]);
        constants
    }

    /// The same for where a convolution sees to dx, and to the sums over its tiles: only [`FoldedGradient::finish`] runs.
    pub fn finishing(
        gpu: &Gpu,
        norm: &BatchNorm,
        slices: Slices,
        tensors: &BatchNormGradients<'_>,
        corrections: &Tensor,
        scratch: &Tensor,
    ) -> Result<Self, GpuError> {
        let sums = [
            ("chunk_sums", scratch),
            ("scale", &norm.scale),
            ("dgamma", &norm.gamma.grad),
            ("dbeta", &norm.beta.grad),
            ("corrections_out", corrections),
        ];
        let finish = BATCH_NORM.dispatch(gpu, "finish_corrections", &Self::constants(gpu, tensors), &sums)?;
        Ok(Self { channels: tensors.x.count, slices, accumulate: Vec::new(), finish })
    }

    /// Fills dgamma and dbeta, and writes or adds dx and the corrections.
    pub fn backward(&self, pass: &mut Pass<'_>, batch: usize, sample_rows: usize) {
        reduce(pass, &self.accumulate, &self.finish, self.slices, self.channels, batch, sample_rows);
    }

    /// The same where a convolution has seen to dx and left the sums of `tiles` tiles in the scratch.
    pub fn finish(&self, pass: &mut Pass<'_>, tiles: usize, rows: usize) {
        finish_tiles(pass, &self.finish, self.channels, tiles, rows);
    }
}

/// What completes the gradient of a map.
pub struct Correction {
    channels: usize,
    slices: Slices,
    apply: Vec<Dispatch>,
}

impl Correction {
    /// Prepares the kernel over `x` and `dx`; `statistics` and `corrections` are pairs, of which `x`'s begin at `first`.
    pub fn new(
        gpu: &Gpu,
        x: &Channels,
        dx: &Channels,
        slices: Slices,
        statistics: &Tensor,
        corrections: &Tensor,
        first: usize,
    ) -> Result<Self, GpuError> {
        let halves = x.tensor.element() == Element::F16;
        let shader = match alignment(&[x.alignment(), dx.alignment(), first]) {
            8 if !halves && gpu.summary().loads_in_pairs() => WIDE,
            // Statistics may begin anywhere.
            _ if x.in_fours() && dx.in_fours() => VECTORS,
            _ => BATCH_NORM,
        };
        let mut constants: Vec<(&str, Constant)> = row_constants(gpu).to_vec();
        constants.retain(|(name, _)| shader == BATCH_NORM || *name == "BLOCK");
        constants.extend([
            ("CHANNELS", x.count.into()),
            ("LANES", lanes(x.count).into()),
            ("X_STRIDE", x.stride.into()),
            ("X_FIRST", x.first.into()),
            ("DX_STRIDE", dx.stride.into()),
            ("DX_FIRST", dx.first.into()),
            ("STATISTICS_FIRST", first.into()),
        ]);
        let apply = |samples| {
            let (x, dx) = (x.slice(&samples), dx.slice(&samples));
            let tensors = [("x", &x), ("moments", statistics), ("corrections", corrections), ("dx", &dx)];
            shader.dispatch(gpu, "correct", &constants, &tensors)
        };
        Ok(Self { channels: x.count, slices, apply: slices.ranges().map(apply).collect::<Result<_, _>>()? })
    }

    /// Completes dx of `batch` samples of `sample_rows` rows each.
    pub fn apply(&self, pass: &mut Pass<'_>, batch: usize, sample_rows: usize) {
        elementwise(pass, &self.apply, self.slices, self.channels, batch, sample_rows);
    }
}

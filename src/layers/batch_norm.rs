//! Launchers of `batch_norm.wgsl`, in four parts that a network combines: the statistics of a map are made once, where
//! it is produced ([`ChannelStatistics`]); every batch norm that reads it turns them into a scale and a shift with its
//! own gamma and beta ([`BatchNorm`]); those are applied either on the load of a convolution or by [`Normalise`]; and
//! [`BatchNormBackward`] takes the gradient back.

use super::{Channels, Declarations, FileLayout, Gradient, Initial, Mode, Param, Parameters, Slices};
use crate::gpu::{Constant, Dispatch, Element, Gpu, GpuError, Grid, Pass, Shader, Tensor};

pub(super) const BATCH_NORM: Shader = Shader("batch_norm");
/// Rows that one workgroup sums, at least.
pub const LEAST_CHUNK: usize = 64;

/// Rows that one workgroup sums, and rows that one maps: hardware has room for many small ones at once.
fn chunk_and_block(gpu: &Gpu) -> [usize; 2] {
    if gpu.summary().is_software() { [512, 64] } else { [LEAST_CHUNK, 16] }
}

/// The constants that say so to the kernels.
pub(super) fn row_constants(gpu: &Gpu) -> [(&'static str, Constant); 2] {
    let [chunk, block] = chunk_and_block(gpu);
    [("CHUNK", chunk.into()), ("BLOCK", block.into())]
}

/// Channels of a workgroup that adds up chunks.
const WIDTH: usize = 8;

/// Channels that a workgroup covers side by side: as many as there are, up to its 64 invocations.
pub(super) fn lanes(channels: usize) -> usize {
    channels.next_power_of_two().min(64)
}

/// Floats of scratch that a reduction over `rows` rows takes.
pub(super) fn scratch(rows: usize, channels: usize, slices: Slices) -> usize {
    2 * channels * (rows.div_ceil(LEAST_CHUNK) + slices.count())
}

/// Records a reduction over rows: partial sums per chunk of every slice, then one kernel over all chunks.
pub(super) fn reduce(
    pass: &mut Pass<'_>,
    partial: &[Dispatch],
    finish: &Dispatch,
    slices: Slices,
    channels: usize,
    batch: usize,
    sample_rows: usize,
) {
    let mut first_chunk = 0;
    let all_rows = (batch * sample_rows) as u32;
    let pivot_rows = (batch.min(slices.per()) * sample_rows) as u32;
    for (slice, samples) in slices.active(batch) {
        let rows = samples * sample_rows;
        let chunks = rows.div_ceil(chunk_and_block(pass.gpu())[0]);
        let Grid([x, z, _]) = Grid::linear(chunks);
        let grid = Grid([x, channels.div_ceil(lanes(channels)) as u32, z]);
        pass.run(&partial[slice], grid, &[rows as u32, all_rows, first_chunk as u32, 0, 0, pivot_rows], rows * channels * 2);
        first_chunk += chunks;
    }
    let immediates = [0, all_rows, 0, first_chunk as u32, 0, pivot_rows];
    pass.run(finish, Grid::threads(channels, WIDTH), &immediates, channels * first_chunk);
}

/// Records `finish` over the `tiles` that a convolution left in the scratch, of `rows` rows in all.
pub(super) fn finish_tiles(pass: &mut Pass<'_>, finish: &Dispatch, channels: usize, tiles: usize, rows: usize) {
    pass.run(finish, Grid::threads(channels, WIDTH), &[0, rows as u32, 0, tiles as u32, 0, 0], channels * tiles);
}

/// Mean and inverse deviation of every channel of a map, over the whole batch.
pub struct ChannelStatistics {
    channels: usize,
    slices: Slices,
    partial: Vec<Dispatch>,
    finish: Dispatch,
}

impl ChannelStatistics {
    /// Writes `statistics[first ..]` (pairs of mean and inverse deviation) from `x`.
    pub fn new(
        gpu: &Gpu,
        x: &Channels,
        slices: Slices,
        statistics: &Tensor,
        first: usize,
        epsilon: f32,
        scratch: &Tensor,
    ) -> Result<Self, GpuError> {
        let mut constants: Vec<(&str, Constant)> = row_constants(gpu).to_vec();
        constants.extend([
            ("CHANNELS", x.count.into()),
            ("LANES", lanes(x.count).into()),
            ("X_STRIDE", x.stride.into()),
            ("X_FIRST", x.first.into()),
            ("STATISTICS_FIRST", first.into()),
            ("EPSILON", epsilon.into()),
        ]);
        let pivot = x.slice(&(0..slices.per()));
        let partial = slices
            .ranges()
            .map(|samples| {
                let tensors = [("x", &x.slice(&samples)), ("pivot", &pivot), ("partial_sums", scratch)];
                BATCH_NORM.dispatch(gpu, "partial_statistics", &constants, &tensors)
            })
            .collect::<Result<_, _>>()?;
        let tensors = [("pivot", &pivot), ("chunk_sums", scratch), ("statistics", statistics)];
        let finish = BATCH_NORM.dispatch(gpu, "finish_statistics", &constants, &tensors)?;
        Ok(Self { channels: x.count, slices, partial, finish })
    }

    /// From `batch` samples of `sample_rows` rows each.
    pub fn compute(&self, pass: &mut Pass<'_>, batch: usize, sample_rows: usize) {
        reduce(pass, &self.partial, &self.finish, self.slices, self.channels, batch, sample_rows);
    }
}

/// The same from moments that a convolution brought tile by tile.
pub struct TileStatistics {
    channels: usize,
    finish: Dispatch,
}

impl TileStatistics {
    /// Writes `statistics[first ..]` of `channels` channels.
    pub fn new(
        gpu: &Gpu,
        channels: usize,
        statistics: &Tensor,
        first: usize,
        epsilon: f32,
        scratch: &Tensor,
    ) -> Result<Self, GpuError> {
        let constants = [("CHANNELS", channels.into()), ("STATISTICS_FIRST", first.into()), ("EPSILON", epsilon.into())];
        let tensors = [("tile_moments", scratch), ("statistics", statistics)];
        Ok(Self { channels, finish: BATCH_NORM.dispatch(gpu, "finish_tiles", &constants, &tensors)? })
    }

    /// From the `tiles` that were left in the scratch, of `rows` rows in all.
    pub fn finish(&self, pass: &mut Pass<'_>, tiles: usize, rows: usize) {
        finish_tiles(pass, &self.finish, self.channels, tiles, rows);
    }
}

/// One batch norm's parameters and what they make of a map's statistics: `z = x * scale + shift`.
#[derive(Clone)]
pub struct BatchNorm {
    /// Per channel.
    pub scale: Tensor,
    /// Per channel.
    pub shift: Tensor,
    /// gamma: `name.weight`.
    pub gamma: Param,
    /// beta: `name.bias`.
    pub beta: Param,
    channels: usize,
    momentum: f32,
    train: Dispatch,
    evaluate: Dispatch,
}

impl BatchNorm {
    /// Declares gamma, beta and the running statistics under `name`.
    pub fn declare(declarations: &mut Declarations, name: &str, channels: usize) {
        declarations.parameter(format!("{name}.weight"), &[channels], FileLayout::Vector, Initial::Constant(1.0));
        declarations.parameter(format!("{name}.bias"), &[channels], FileLayout::Vector, Initial::Constant(0.0));
        declarations.statistic(format!("{name}.running_mean"), channels, 0.0);
        declarations.statistic(format!("{name}.running_var"), channels, 1.0);
    }

    /// Prepares the batch norm `name` over the first channels of `statistics`. `momentum` is PyTorch's: the share of
    /// the new batch.
    pub fn new(
        gpu: &Gpu,
        parameters: &Parameters,
        name: &str,
        statistics: &Tensor,
        epsilon: f32,
        momentum: f32,
    ) -> Result<Self, GpuError> {
        let gamma = parameters.parameter(&format!("{name}.weight"));
        let beta = parameters.parameter(&format!("{name}.bias"));
        let (running_mean, running_var) =
            (parameters.statistic(&format!("{name}.running_mean")), parameters.statistic(&format!("{name}.running_var")));
        let channels = gamma.value.elements();
        let scale = gpu.tensor("scale", Element::F32, &[channels])?;
        let shift = gpu.tensor("shift", Element::F32, &[channels])?;
        let prepare = |evaluate: bool| {
            let constants = [("CHANNELS", channels.into()), ("EPSILON", epsilon.into()), ("EVALUATE", evaluate.into())];
            let tensors = [
                ("moments", statistics),
                ("gamma", &gamma.value),
                ("beta", &beta.value),
                ("running_mean", &running_mean),
                ("running_var", &running_var),
                ("scale_out", &scale),
                ("shift_out", &shift),
            ];
            BATCH_NORM.dispatch(gpu, "fold", &constants, &tensors)
        };
        let (train, evaluate) = (prepare(false)?, prepare(true)?);
        Ok(Self { scale, shift, gamma, beta, channels, momentum, train, evaluate })
    }

    /// Fills scale and shift from statistics over `rows` rows, or from the running ones.
    pub fn fold(&self, pass: &mut Pass<'_>, rows: usize, mode: Mode) {
        let (dispatch, momentum) = match mode {
            Mode::Train => (&self.train, self.momentum),
            Mode::Recalibrate(share) => (&self.train, share),
            Mode::Evaluate => (&self.evaluate, 0.0),
        };
        pass.run(dispatch, Grid::threads(self.channels, 64), &[0, rows as u32, 0, 0, momentum.to_bits(), 0], 8 * self.channels);
    }
}

/// Stores a normalised map: `y = x * scale + shift`, with a ReLU if asked.
pub struct Normalise {
    channels: usize,
    slices: Slices,
    forward: Vec<Dispatch>,
}

impl Normalise {
    /// Prepares the kernel.
    pub fn new(gpu: &Gpu, norm: &BatchNorm, x: &Channels, y: &Channels, relu: bool, slices: Slices) -> Result<Self, GpuError> {
        let mut constants: Vec<(&str, Constant)> = row_constants(gpu).to_vec();
        constants.extend([
            ("CHANNELS", x.count.into()),
            ("LANES", lanes(x.count).into()),
            ("X_STRIDE", x.stride.into()),
            ("X_FIRST", x.first.into()),
            ("Y_STRIDE", y.stride.into()),
            ("Y_FIRST", y.first.into()),
            ("RELU", relu.into()),
        ]);
        let prepare = |samples| {
            let tensors = [("x", &x.slice(&samples)), ("scale", &norm.scale), ("shift", &norm.shift), ("y", &y.slice(&samples))];
            BATCH_NORM.dispatch(gpu, "forward", &constants, &tensors)
        };
        Ok(Self { channels: x.count, slices, forward: slices.ranges().map(prepare).collect::<Result<_, _>>()? })
    }

    /// Of `batch` samples of `sample_rows` rows each.
    pub fn forward(&self, pass: &mut Pass<'_>, batch: usize, sample_rows: usize) {
        elementwise(pass, &self.forward, self.slices, self.channels, batch, sample_rows);
    }
}

pub(super) fn elementwise(
    pass: &mut Pass<'_>,
    dispatches: &[Dispatch],
    slices: Slices,
    channels: usize,
    batch: usize,
    sample_rows: usize,
) {
    for (slice, samples) in slices.active(batch) {
        let rows = samples * sample_rows;
        let immediates = [rows as u32, (batch * sample_rows) as u32, 0, 0, 0, 0];
        let Grid([x, y, _]) = Grid::linear(rows.div_ceil(chunk_and_block(pass.gpu())[1]));
        let grid = Grid([x, y, channels.div_ceil(lanes(channels)) as u32]);
        pass.run(&dispatches[slice], grid, &immediates, 4 * rows * channels);
    }
}

/// What a batch norm's backward reads and writes.
pub struct BatchNormGradients<'a> {
    /// The map that was normalised.
    pub x: &'a Channels,
    /// The gradient at the output.
    pub dy: &'a Channels,
    /// Where the gradient at x goes.
    pub dx: &'a Channels,
    /// Pairs of mean and inverse deviation, of which `x`'s begin at `statistics_first`.
    pub statistics: &'a Tensor,
    /// See `statistics`.
    pub statistics_first: usize,
    /// Where `x`'s channels begin among the batch norm's.
    pub parameters_first: usize,
    /// A ReLU followed.
    pub relu: bool,
    /// Write or add to `dx`.
    pub gradient: Gradient,
}

/// The gradient through one batch norm, or through those of its channels that one map holds.
pub struct BatchNormBackward {
    channels: usize,
    slices: Slices,
    partial: Vec<Dispatch>,
    finish: Dispatch,
    apply: Vec<Dispatch>,
}

impl BatchNormBackward {
    /// Prepares the kernels.
    pub fn new(
        gpu: &Gpu,
        norm: &BatchNorm,
        slices: Slices,
        tensors: &BatchNormGradients<'_>,
        scratch: &Tensor,
    ) -> Result<Self, GpuError> {
        let BatchNormGradients { x, dy, dx, statistics, statistics_first, parameters_first, relu, gradient } = tensors;
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
        let coefficients = gpu.tensor("batch norm coefficients", Element::F32, &[x.count, 2])?;
        let (mut partial, mut apply) = (Vec::new(), Vec::new());
        for samples in slices.ranges() {
            let (x, dy, dx) = (x.slice(&samples), dy.slice(&samples), dx.slice(&samples));
            let inputs = [("x", &x), ("dy", &dy), ("scale", &norm.scale), ("shift", &norm.shift), ("moments", *statistics)];
            partial.push(BATCH_NORM.dispatch(
                gpu,
                "partial_gradients",
                &constants,
                &[&inputs[..], &[("partial_sums", scratch)]].concat(),
            )?);
            let outputs = [("coefficients", &coefficients), ("dx", &dx)];
            apply.push(BATCH_NORM.dispatch(gpu, "backward_input", &constants, &[&inputs[..], &outputs].concat())?);
        }
        let sums = [
            ("chunk_sums", scratch),
            ("dgamma", &norm.gamma.grad),
            ("dbeta", &norm.beta.grad),
            ("coefficients_out", &coefficients),
        ];
        let finish = BATCH_NORM.dispatch(gpu, "finish_gradients", &constants, &sums)?;
        Ok(Self { channels: x.count, slices, partial, finish, apply })
    }

    /// Fills dgamma and dbeta and writes or adds dx.
    pub fn backward(&self, pass: &mut Pass<'_>, batch: usize, sample_rows: usize) {
        reduce(pass, &self.partial, &self.finish, self.slices, self.channels, batch, sample_rows);
        elementwise(pass, &self.apply, self.slices, self.channels, batch, sample_rows);
    }
}

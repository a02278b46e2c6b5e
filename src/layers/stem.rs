//! BBNN's first layer, launcher of `stem.wgsl`: convolution, batch norm, ReLU, max pooling (published: along time).

use super::unit::{EPSILON, MOMENTUM};
use super::{
    BatchNorm, BroadcastMap, Channels, ConvolutionShape, Declarations, ImageContext, Layer, Mode, Parameters, PoolShape, Size,
    Slices, TileStatistics,
};
use crate::gpu::{Dispatch, Element, GpuError, Grid, Pass, Shader};

const STEM: Shader = Shader("stem");
/// Invocations of a workgroup; each has this many windows one after the other.
const THREADS: usize = 64;
const ROUNDS: usize = 16;
/// Sums of a channel of a tile.
const SUMS: usize = 29;

/// (batch, time, mel, 1) to (batch, time / pool, mel / pool, width).
pub struct Stem {
    mel: usize,
    width: usize,
    slices: Slices,
    pool: PoolShape,
    norm: BatchNorm,
    partial_statistics: Vec<Dispatch>,
    statistics: TileStatistics,
    forward: Vec<Dispatch>,
    output_statistics: TileStatistics,
    backward: Vec<Dispatch>,
    finish_backward: Dispatch,
}

impl Stem {
    fn shape(mel: usize, width: usize) -> ConvolutionShape {
        ConvolutionShape { kernel: [3, 3], inputs: 1, outputs: width, mel }
    }

    /// Declares `stem.conv` and `stem.bn`.
    pub fn declare(declarations: &mut Declarations, mel: usize, width: usize) {
        Self::shape(mel, width).declare(declarations, "stem.conv");
        BatchNorm::declare(declarations, "stem.bn", width);
    }

    /// Floats of scratch for images of `frames` frames and `mel` bands.
    pub fn scratch(pool: PoolShape, slices: Slices, [frames, mel]: [usize; 2], width: usize) -> usize {
        let windows = frames.div_ceil(pool.kernel[0]) * mel.div_ceil(pool.kernel[1]);
        slices.ranges().map(|samples| tiles(samples.len() * windows, width)).sum::<usize>() * SUMS * width
    }

    /// Prepares the kernels from `x` (batch, time, mel, 1) to the first source (batch, time, mel, width) and its
    /// statistics; of the source's gradient, what is not corrected comes back.
    pub fn new(
        context: &ImageContext,
        parameters: &Parameters,
        pool: PoolShape,
        x: &Channels,
        map: &BroadcastMap,
    ) -> Result<Self, GpuError> {
        let ImageContext { gpu, slices, scratch, .. } = context;
        let mel = x.tensor.shape()[2];
        let (y, of_y) = (&map.sources[0].map, &map.statistics.values);
        let width = y.value.count;
        let moments = gpu.tensor("stem statistics", Element::F32, &[width, 2])?;
        let norm = BatchNorm::new(gpu, parameters, "stem.bn", &moments, EPSILON, MOMENTUM)?;
        let (weight, bias) = (parameters.parameter("stem.conv.weight"), parameters.parameter("stem.conv.bias"));
        let constants = [
            ("CHANNELS", width.into()),
            ("LANES", lanes(width).into()),
            ("MEL", mel.into()),
            ("POOL_TIME", pool.kernel[0].into()),
            ("POOL_MEL", pool.kernel[1].into()),
        ];
        let (mut partial_statistics, mut forward, mut backward) = (Vec::new(), Vec::new(), Vec::new());
        for samples in slices.ranges() {
            let (x, value, dy) = (x.slice(&samples), y.value.slice(&samples), y.grad.slice(&samples));
            let convolved = [("x", &x), ("weight", &weight.value), ("bias", &bias.value)];
            let normalised = [&convolved[..], &[("scale", &norm.scale), ("shift", &norm.shift)]].concat();
            let prepare =
                |entry: &str, inputs: &[_], others: &[_]| STEM.dispatch(gpu, entry, &constants, &[inputs, others].concat());
            partial_statistics.push(prepare("partial_statistics", &convolved, &[("tile_moments", scratch)])?);
            forward.push(prepare("forward", &normalised, &[("y", &value), ("tile_moments", scratch)])?);
            let gradients = [
                ("moments", &moments),
                ("pooled", &value),
                ("dy", &dy),
                ("pooled_moments", &of_y.moments),
                ("corrections", &of_y.corrections),
                ("partial_sums", scratch),
            ];
            backward.push(prepare("backward", &normalised, &gradients)?);
        }
        let finished = [
            ("tile_sums", scratch),
            ("scale", &norm.scale),
            ("dgamma", &norm.gamma.grad),
            ("dbeta", &norm.beta.grad),
            ("dweight", &weight.grad),
            ("dbias", &bias.grad),
        ];
        Ok(Self {
            mel,
            width,
            slices: *slices,
            pool,
            partial_statistics,
            statistics: TileStatistics::new(gpu, width, &moments, 0, EPSILON, scratch)?,
            forward,
            output_statistics: TileStatistics::new(gpu, width, &of_y.moments, 0, EPSILON, scratch)?,
            backward,
            finish_backward: STEM.dispatch(gpu, "finish_backward", &constants, &finished)?,
            norm,
        })
    }

    /// Windows of an image, with those that are not complete or without.
    fn windows(&self, frames: usize, incomplete: bool) -> usize {
        let [time, mel] = self.pool.kernel;
        if incomplete { frames.div_ceil(time) * self.mel.div_ceil(mel) } else { frames / time * (self.mel / mel) }
    }

    /// Runs one of `dispatches` per slice; returns how many tiles of windows there were.
    fn each(&self, pass: &mut Pass<'_>, dispatches: &[Dispatch], size: Size, incomplete: bool) -> usize {
        let all_rows = size.batch * size.frames * self.mel;
        let mut first = 0;
        for (slice, samples) in self.slices.active(size.batch) {
            let count = tiles(samples * self.windows(size.frames, incomplete), self.width);
            let Grid([x, z, _]) = Grid::linear(count);
            let grid = Grid([x, self.width.div_ceil(4 * lanes(self.width)) as u32, z]);
            let immediates = [samples, size.frames, first, all_rows].map(|n| n as u32);
            pass.run(&dispatches[slice], grid, &immediates, 2 * 9 * samples * size.frames * self.mel * self.width);
            first += count;
        }
        first
    }
}

/// Vectors of channels that a workgroup has side by side.
fn lanes(width: usize) -> usize {
    width.div_ceil(4).next_power_of_two().min(32)
}

/// Workgroups for so many windows.
fn tiles(windows: usize, width: usize) -> usize {
    windows.div_ceil(THREADS / lanes(width) * ROUNDS)
}

impl Layer for Stem {
    fn forward(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        let rows = size.batch * size.frames * self.mel;
        if mode != Mode::Evaluate {
            let tiles = self.each(pass, &self.partial_statistics, size, true);
            self.statistics.finish(pass, tiles, rows);
        }
        self.norm.fold(pass, rows, mode);
        let tiles = self.each(pass, &self.forward, size, false);
        if mode != Mode::Evaluate {
            self.output_statistics.finish(pass, tiles, size.batch * self.windows(size.frames, false));
        }
    }

    fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        let tiles = self.each(pass, &self.backward, size, true);
        let rows = size.batch * size.frames * self.mel;
        let immediates = [size.batch, size.frames, tiles, rows].map(|n| n as u32);
        pass.run(&self.finish_backward, Grid([self.width as u32, 1, 1]), &immediates, tiles * SUMS * self.width);
    }
}

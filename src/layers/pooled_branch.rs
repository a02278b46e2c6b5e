//! BBNN's pooled branch: max pool 3x3 (stride 1, same padding), batch norm, ReLU, 1x1 convolution, over all maps before it.
//!
//! A map is pooled once, by the first block that reads it. Either a copy of it is stored and read by a [`Unit`]; or only, per
//! element, which neighbour is the largest (`pooled.wgsl`), a quarter of the size, through which the kernels of bottlenecks read
//! the map itself.

use super::batch_norm::TileStatistics;
use super::bottleneck_contest;
use super::bottleneck_together::{self, Group, Products, Together};
use super::unit::EPSILON;
use super::{
    BottleneckTiles, ChannelStatistics, Channels, ConvolutionShape, Correction, Gradient, ImageContext, Map, MapStatistics,
    MaxPool, Mode, Parameters, PoolShape, Size, Slices, Source, Unit, UnitInput, UnitOutput,
};
use crate::gpu::{Dispatch, Element, Gpu, GpuError, Grid, Pass, Shader, Tensor};

const POOLED: Shader = Shader("pooled");
/// Rows of a workgroup.
const ROWS: usize = 64;

/// What a map's 3x3 maximum is kept as.
#[derive(Clone)]
pub enum PooledCopy {
    /// The maximum and its gradient.
    Stored(Map),
    /// Which neighbour it is.
    Taps {
        /// (batch, time, mel, channels / 4): eight bits for each of four channels.
        taps: Tensor,
        /// The map itself, with the gradient at its maximum.
        map: Map,
    },
}

impl PooledCopy {
    /// Of `map`, as blocks with these tiles need it.
    pub fn new(gpu: &Gpu, map: &Map, tiles: Option<BottleneckTiles>) -> Result<Self, GpuError> {
        let &[batch, frames, mel, channels] = map.value.tensor.shape() else { panic!("images have four axes") };
        let (shape, element) = ([batch, frames, mel, channels], map.value.tensor.element());
        if tiles.is_none() {
            return Ok(Self::Stored(Map::image_of(gpu, "pooled map", element, shape)?));
        }
        let taps = gpu.tensor("pool taps", Element::U32, &[batch, frames, mel, channels / 4])?;
        let grad = Channels::whole(&gpu.tensor("d pooled map", element, &shape)?);
        Ok(Self::Taps { taps, map: Map { value: map.value.clone(), grad } })
    }

    fn map(&self) -> &Map {
        let (Self::Stored(map) | Self::Taps { map, .. }) = self;
        map
    }
}

/// One block's.
pub struct PooledBranch {
    mel: usize,
    kind: Kind,
}

enum Kind {
    Stored { pool: MaxPool, statistics: ChannelStatistics, unit: Box<Unit>, correction: Correction },
    Taps { taps: Taps, unit: Box<Together> },
}

impl PooledBranch {
    /// The tiles with which the branches of a network run without stored copies, if they do, whose sources have `channels` (the
    /// first, and each other), with `rows` rows of `mel` bands.
    pub fn tiles(context: &ImageContext, channels: [usize; 2], width: usize, [mel, rows]: [usize; 2]) -> Option<BottleneckTiles> {
        let fours = channels.iter().chain([&width]).all(|count| count.is_multiple_of(4));
        let [first, other] = channels;
        let group = Group { units: 1, maps: 1, first: first.max(other), other, outputs: width };
        let runs = fours && bottleneck_together::runs_on(&context.gpu);
        if runs { context.bottlenecks(|| bottleneck_contest::choose_pooled(context, group, mel, rows)) } else { None }
    }

    /// Floats of scratch for maps of `channels` channels and `rows` rows.
    pub fn scratch(rows: usize, channels: usize, slices: Slices) -> usize {
        (rows.div_ceil(ROWS) + slices.count()) * 4 * channels
    }

    /// Prepares the branch `name` over all of `sources`, of which it pools the last, to `output`; `gradient` says what becomes
    /// of the gradients at the maxima. With `tiles` just where the sources' copies are taps.
    pub fn new(
        context: &ImageContext,
        parameters: &Parameters,
        name: &str,
        tiles: Option<BottleneckTiles>,
        sources: &[Source],
        statistics: &MapStatistics,
        gradient: Gradient,
        output: UnitOutput<'_>,
    ) -> Result<Self, GpuError> {
        let ImageContext { gpu, slices, scratch, .. } = context;
        let copies: Vec<_> = sources.iter().map(|s| s.pooled.as_ref().expect("a source that a block reads is pooled")).collect();
        let (own, own_copy) = (&sources[sources.len() - 1].map, copies[copies.len() - 1]);
        let inputs: usize = sources.iter().map(|s| s.map.value.count).sum();
        let first = inputs - own.value.count;
        let mel = own.value.tensor.shape()[2];
        let input = UnitInput { sources: copies.iter().map(|copy| (copy.map(), gradient)).collect(), statistics };
        let kind = match (tiles, own_copy) {
            (Some(tiles), PooledCopy::Taps { taps, map }) => {
                let outputs = [output];
                let group = Group::of(&input, &outputs).expect("taps are kept of maps that bottlenecks take");
                let taps_of = |copy: &&PooledCopy| match copy {
                    PooledCopy::Taps { taps, .. } => taps.clone(),
                    PooledCopy::Stored(_) => panic!("all copies are of one kind"),
                };
                let products = Products { tiles, group, mel, taps: copies.iter().map(taps_of).collect() };
                Kind::Taps {
                    taps: Taps::new(context, own, taps, &map.grad, statistics, first)?,
                    unit: Box::new(Together::new(context, parameters, &[name.to_owned()], products, &input, &outputs)?),
                }
            }
            (None, PooledCopy::Stored(copy)) => {
                let MapStatistics { moments, corrections } = statistics;
                let shape = ConvolutionShape { kernel: [1, 1], inputs, outputs: output.map.value.count, mel };
                Kind::Stored {
                    pool: MaxPool::new(gpu, PoolShape::same([3, 3]), *slices, own, copy, Gradient::Add)?,
                    statistics: ChannelStatistics::new(gpu, &copy.value, *slices, moments, first, EPSILON, scratch)?,
                    unit: Box::new(Unit::new(context, parameters, name, shape, &input, &output)?),
                    correction: Correction::new(gpu, &copy.value, &copy.grad, *slices, moments, corrections, first)?,
                }
            }
            _ => panic!("tiles are for taps"),
        };
        Ok(Self { mel, kind })
    }

    /// Whether [`PooledBranch::forward`] fills the statistics of y, too.
    pub fn brings_statistics(&self) -> bool {
        match &self.kind {
            Kind::Stored { unit, .. } => unit.brings_statistics(),
            Kind::Taps { .. } => true,
        }
    }

    /// Pools the newest source and fills y.
    pub fn forward(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        let rows = size.frames * self.mel;
        match &self.kind {
            Kind::Stored { pool, statistics, unit, .. } => {
                pool.forward(pass, size.batch, size.frames);
                if mode != Mode::Evaluate {
                    statistics.compute(pass, size.batch, rows);
                }
                unit.forward(pass, size, mode);
            }
            Kind::Taps { taps, unit } => {
                taps.forward(pass, size, mode);
                unit.forward(pass, size, mode);
            }
        }
    }

    /// Fills the parameters' gradients, and adds to that of the newest source: no earlier block reads its maxima.
    pub fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        match &self.kind {
            Kind::Stored { pool, unit, correction, .. } => {
                unit.backward(pass, size);
                correction.apply(pass, size.batch, size.frames * self.mel);
                pool.backward(pass, size.batch, size.frames);
            }
            Kind::Taps { taps, unit } => {
                unit.backward(pass, size);
                taps.backward(pass, size);
            }
        }
    }
}

/// Launcher of `pooled.wgsl`.
struct Taps {
    mel: usize,
    channels: usize,
    lanes: usize,
    slices: Slices,
    forward: Vec<Dispatch>,
    statistics: TileStatistics,
    backward: Vec<Dispatch>,
}

impl Taps {
    /// From `x` to `taps` and the statistics of the maxima, which begin at channel `first`; back from `grad` to that of `x`.
    fn new(
        context: &ImageContext,
        x: &Map,
        taps: &Tensor,
        grad: &Channels,
        statistics: &MapStatistics,
        first: usize,
    ) -> Result<Self, GpuError> {
        let ImageContext { gpu, slices, scratch, .. } = context;
        let MapStatistics { moments, corrections } = statistics;
        let channels = x.value.count;
        let mel = x.value.tensor.shape()[2];
        let lanes = (channels / 4).next_power_of_two().min(32);
        let constants = [
            ("CHANNELS", channels.into()),
            ("LANES", lanes.into()),
            ("MEL", mel.into()),
            ("ROWS", ROWS.into()),
            ("STATISTICS_FIRST", first.into()),
        ];
        let (mut forward, mut backward) = (Vec::new(), Vec::new());
        for samples in slices.ranges() {
            let (value, dx, dy) = (x.value.slice(&samples), x.grad.slice(&samples), grad.slice(&samples));
            let taps = taps.rows(samples.start, samples.len());
            let written = [("x", &value), ("taps_out", &taps), ("tile_moments", scratch)];
            forward.push(POOLED.dispatch(gpu, "forward", &constants, &written)?);
            let gradients =
                [("x", &value), ("taps", &taps), ("dy", &dy), ("moments", moments), ("corrections", corrections), ("dx", &dx)];
            backward.push(POOLED.dispatch(gpu, "backward_input", &constants, &gradients)?);
        }
        let statistics = TileStatistics::new(gpu, channels, moments, first, EPSILON, scratch)?;
        Ok(Self { mel, channels, lanes, slices: *slices, forward, statistics, backward })
    }

    /// Runs one of `dispatches` per slice; returns how many tiles of rows there were.
    fn each(&self, pass: &mut Pass<'_>, dispatches: &[Dispatch], size: Size) -> usize {
        let mut first = 0;
        for (slice, samples) in self.slices.active(size.batch) {
            let rows = samples * size.frames * self.mel;
            let tiles = rows.div_ceil(ROWS);
            let Grid([x, z, _]) = Grid::linear(tiles);
            let grid = Grid([x, (self.channels / 4).div_ceil(self.lanes) as u32, z]);
            let immediates = [samples, size.frames, first].map(|n| n as u32);
            pass.run(&dispatches[slice], grid, &immediates, 4 * 9 * rows * self.channels);
            first += tiles;
        }
        first
    }

    fn forward(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        let tiles = self.each(pass, &self.forward, size);
        if mode != Mode::Evaluate {
            self.statistics.finish(pass, tiles, size.batch * size.frames * self.mel);
        }
    }

    /// Adds to the gradient of x.
    fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        self.each(pass, &self.backward, size);
    }
}

//! Launcher of `bottleneck.wgsl`, `bottleneck_tiled*.wgsl` and `bottleneck_matrix*.wgsl`: units of batch norm, ReLU and 1x1
//! convolution that read the same maps, each map brought once for all of them.

use super::convolution_variant::Operation;
use super::unit::{EPSILON, MOMENTUM};
use super::{
    BottleneckTiles, ConvolutionShape, Gradient, ImageContext, Mode, Parameters, ProductTile, Size, Slices, UnitInput, UnitOutput,
};
use crate::gpu::{Constant, Dispatch, Element, Gpu, GpuError, Grid, Pass, Shader, Tensor};

const BOTTLENECK: Shader = Shader("bottleneck");
/// Units and maps that the kernels bind, at most.
const MOST_UNITS: usize = 3;
const MOST_MAPS: usize = 4;
/// Storage buffers that a kernel binds, at most.
const BINDINGS: u32 = 20;
/// For the weights' gradients rows are parted so that there are about this many workgroups.
const SPLIT_GROUPS: usize = 1024;
/// Rows of a part are a multiple of this.
const SPLIT_ROWS: usize = 16;
/// Rows of the least tile.
const LEAST_TILE: usize = 64;
/// Channels of a workgroup that adds up tiles, elements of one that adds up splits.
const WIDTH: usize = 8;
const SPLIT_WIDTH: usize = 32;

/// What the kernels are compiled for, and how many channels there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) units: usize,
    pub(super) maps: usize,
    /// Channels of the first map, and of each other.
    pub(super) first: usize,
    pub(super) other: usize,
    /// Of a unit.
    pub(super) outputs: usize,
}

impl Group {
    /// What these maps and units are, if the kernels take them: whole maps with channels in fours, of which all but the first have
    /// equally many.
    pub(super) fn of(input: &UnitInput<'_>, outputs: &[UnitOutput<'_>]) -> Option<Self> {
        let maps: Vec<_> = input.sources.iter().map(|(map, _)| *map).collect();
        let (first, other) = (maps.first()?.value.count, maps.get(1).map_or(4, |map| map.value.count));
        let width = outputs.first()?.map.value.count;
        let whole = maps.iter().enumerate().all(|(i, map)| {
            let expected = if i == 0 { first } else { other };
            [&map.value, &map.grad].iter().all(|c| c.in_fours() && (c.stride, c.first, c.count) == (expected, 0, expected))
        });
        let alike = outputs.iter().all(|output| output.map.value.count == width && output.map.value.in_fours());
        let few = maps.len() <= MOST_MAPS && outputs.len() <= MOST_UNITS;
        let one_way = input.sources.iter().all(|(_, gradient)| *gradient == input.sources[0].1);
        (whole && alike && few && one_way).then_some(Self {
            units: outputs.len(),
            maps: maps.len(),
            first,
            other,
            outputs: width,
        })
    }

    pub(super) fn inputs(&self) -> usize {
        self.first + (self.maps - 1) * self.other
    }

    /// Tiles of `columns` channels, each within a map.
    fn channel_tiles(&self, columns: usize) -> usize {
        self.first.div_ceil(columns) + (self.maps - 1) * self.other.div_ceil(columns)
    }

    /// Floats of a split's sums.
    fn split_floats(&self) -> usize {
        self.units * (self.inputs() + 1) * self.outputs
    }

    /// Most splits of a slice's rows.
    fn splits(&self) -> usize {
        (SPLIT_GROUPS / self.inputs().div_ceil(64)).max(1)
    }

    /// Floats for all partial sums over `rows` rows.
    pub(super) fn scratch(&self, rows: usize, slices: Slices) -> usize {
        let tiles = rows.div_ceil(LEAST_TILE) + slices.count();
        let of_tile = self.units * (4 * self.outputs).max(2 * self.inputs());
        (tiles * of_tile).max(slices.count() * self.splits() * self.split_floats())
    }

    pub(super) fn work(&self, rows: usize) -> usize {
        2 * rows * self.inputs() * self.outputs * self.units
    }
}

/// Where each unit's part of something begins, for up to three.
type Starts = [u32; MOST_UNITS];

fn starts<T>(units: &[T], of: impl Fn(&T) -> usize) -> Starts {
    std::array::from_fn(|i| units.get(i).map_or(0, |unit| of(unit) as u32))
}

/// Elements of an arena before a tensor of it.
fn start(tensor: &Tensor) -> usize {
    tensor.offset() as usize / Element::F32.bytes()
}

/// How the products of a group run.
pub(super) struct Products {
    pub(super) tiles: BottleneckTiles,
    pub(super) group: Group,
    /// Bands of the maps.
    pub(super) mel: usize,
    /// Through which each map is read, as `pooled.wgsl` left them; none where it is read itself.
    pub(super) taps: Vec<Tensor>,
}

/// The group prepared over its tensors.
pub(super) struct Together {
    group: Group,
    tiles: BottleneckTiles,
    slices: Slices,
    mel: usize,
    adds: bool,
    fold: Dispatch,
    forward: Vec<Dispatch>,
    forward_with_moments: Vec<Dispatch>,
    finish_statistics: Dispatch,
    backward: Vec<Dispatch>,
    finish_gradients: Dispatch,
    backward_weight: Vec<Dispatch>,
    finish_weights: Dispatch,
    gamma: Starts,
    beta: Starts,
    mean: Starts,
    variance: Starts,
    weight: Starts,
    bias: Starts,
    y_stride: Starts,
    y_first: Starts,
    statistics_first: Starts,
}

impl Together {
    /// Prepares the kernels of the units `names` (as [`super::Unit`] declares them) over tensors that [`Group::of`] knows.
    pub(super) fn new(
        context: &ImageContext,
        parameters: &Parameters,
        names: &[String],
        products: Products,
        input: &UnitInput<'_>,
        outputs: &[UnitOutput<'_>],
    ) -> Result<Self, GpuError> {
        let Products { tiles, group, mel, taps } = products;
        let ImageContext { gpu, slices, scratch, .. } = context;
        let Group { units, maps, first, other, outputs: width } = group;
        let inputs = group.inputs();
        let (values, gradients, running) =
            (parameters.values().whole(), parameters.gradients().whole(), parameters.statistics().whole());
        let of_values = |part: &str| starts(names, |name| start(&parameters.parameter(&format!("{name}.{part}")).value));
        let of_running = |part: &str| starts(names, |name| start(&parameters.statistic(&format!("{name}.{part}"))));
        let scale = gpu.tensor("scales", Element::F32, &[units, inputs])?;
        let shift = gpu.tensor("shifts", Element::F32, &[units, inputs])?;
        let moments = &input.statistics.moments;
        // Bindings that a group has no use for repeat one that it has.
        let map = |i: usize| input.sources[i.min(maps - 1)].0;
        let unit = |i: usize| &outputs[i.min(units - 1)];
        let constants: Vec<(&str, Constant)> =
            vec![("UNITS", units.into()), ("OUTPUTS", width.into()), ("EPSILON", EPSILON.into())];
        let prepare = |entry: &str, tensors: &[(&str, &Tensor)]| {
            let uses_epsilon = if matches!(entry, "fold" | "finish_statistics") { 3 } else { 2 };
            BOTTLENECK.dispatch(gpu, entry, &constants[..uses_epsilon], tensors)
        };
        let product = |operation: Operation, entry: &str, tile: ProductTile, tensors: &[(&str, &Tensor)]| {
            let pooled = (!taps.is_empty()).into();
            let sizes = [("FIRST", first.into()), ("OTHER", other.into()), ("POOLED", pooled), ("MEL", mel.into())];
            let constants = [&constants[..2], &sizes, &tile.constants()].concat();
            tiles.shader(operation).dispatch(gpu, entry, &constants, tensors)
        };
        let (mut forward, mut forward_with_moments, mut backward, mut backward_weight) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for samples in slices.ranges() {
            let x = [0, 1, 2, 3].map(|i| map(i).value.slice(&samples));
            let dx = [0, 1, 2, 3].map(|i| map(i).grad.slice(&samples));
            let y = [0, 1, 2].map(|i| unit(i).map.value.slice(&samples));
            let dy = [0, 1, 2].map(|i| unit(i).map.grad.slice(&samples));
            let mut read = vec![("x_0", &x[0]), ("x_1", &x[1]), ("x_2", &x[2]), ("x_3", &x[3])];
            read.extend([("scale", &scale), ("shift", &shift)]);
            let taps = [0, 1, 2, 3].map(|i| match taps.get(i.min(taps.len().max(1) - 1)) {
                Some(taps) => taps.rows(samples.start, samples.len()),
                None => scale.clone(),
            });
            read.extend(["taps_0", "taps_1", "taps_2", "taps_3"].into_iter().zip(&taps));
            let results = [("parameters", values), ("y_0", &y[0]), ("y_1", &y[1]), ("y_2", &y[2])];
            let given = [("dy_0", &dy[0]), ("dy_1", &dy[1]), ("dy_2", &dy[2])];
            let taken = [("dx_0", &dx[0]), ("dx_1", &dx[1]), ("dx_2", &dx[2]), ("dx_3", &dx[3])];
            let sums = [("partial_sums", scratch)];
            forward.push(product(Operation::Forward, "forward", tiles.forward, &[&read[..], &results].concat())?);
            let with_moments = [&read[..], &results, &sums].concat();
            forward_with_moments.push(product(Operation::Forward, "forward_with_moments", tiles.forward, &with_moments)?);
            let back = [&read[..], &given, &taken, &sums, &[("parameters", values), ("moments", moments)]].concat();
            backward.push(product(Operation::BackwardInput, "backward", tiles.backward, &back)?);
            backward_weight.push(product(
                Operation::BackwardWeight,
                "backward_weight",
                tiles.weight,
                &[&read[..], &given, &sums].concat(),
            )?);
        }
        let statistics = [0, 1, 2].map(|i| &unit(i).statistics.0.moments);
        Ok(Self {
            group,
            tiles,
            slices: *slices,
            mel,
            adds: input.sources[0].1 == Gradient::Add,
            fold: prepare(
                "fold",
                &[
                    ("parameters", values),
                    ("moments", moments),
                    ("running", running),
                    ("scale_out", &scale),
                    ("shift_out", &shift),
                ],
            )?,
            forward,
            forward_with_moments,
            finish_statistics: prepare(
                "finish_statistics",
                &[
                    ("tile_moments", scratch),
                    ("statistics_0", statistics[0]),
                    ("statistics_1", statistics[1]),
                    ("statistics_2", statistics[2]),
                ],
            )?,
            backward,
            finish_gradients: prepare(
                "finish_gradients",
                &[
                    ("tile_sums", scratch),
                    ("scale", &scale),
                    ("gradients", gradients),
                    ("corrections", &input.statistics.corrections),
                ],
            )?,
            backward_weight,
            finish_weights: prepare("finish_weights", &[("split_sums", scratch), ("gradients", gradients)])?,
            gamma: of_values("bn.weight"),
            beta: of_values("bn.bias"),
            mean: of_running("bn.running_mean"),
            variance: of_running("bn.running_var"),
            weight: of_values("conv.weight"),
            bias: of_values("conv.bias"),
            y_stride: starts(outputs, |output| output.map.value.stride),
            y_first: starts(outputs, |output| output.map.value.first),
            statistics_first: starts(outputs, |output| output.statistics.1),
        })
    }

    fn small(&self, rows: usize, parts: usize, flag: bool, momentum: f32, places: [Starts; 4]) -> Vec<u32> {
        let sizes = [rows as u32, self.group.inputs() as u32, parts as u32, u32::from(flag), momentum.to_bits()];
        [&sizes[..], places.as_flattened()].concat()
    }

    /// Fills every y and, but in evaluation, its statistics; those of x must be there.
    pub(super) fn forward(&self, pass: &mut Pass<'_>, Size { batch, frames }: Size, mode: Mode) {
        let Group { units, maps, outputs, .. } = self.group;
        let inputs = self.group.inputs();
        let all_rows = batch * frames * self.mel;
        let (evaluates, momentum) = match mode {
            Mode::Train => (false, MOMENTUM),
            Mode::Recalibrate(share) => (false, share),
            Mode::Evaluate => (true, 0.0),
        };
        let places = [self.gamma, self.beta, self.mean, self.variance];
        let immediates = self.small(all_rows, 0, evaluates, momentum, places);
        pass.run(&self.fold, Grid::threads(units * inputs, 64), &immediates, 8 * units * inputs);
        let dispatches = if evaluates { &self.forward } else { &self.forward_with_moments };
        let (tile_rows, columns) = (self.tiles.forward.rows(), self.tiles.forward.columns());
        let mut tiles = 0;
        for (slice, samples) in self.slices.active(batch) {
            let rows = samples * frames * self.mel;
            let sizes = [rows, tiles, maps, inputs].map(|size| size as u32);
            let places = [self.weight, self.bias, self.y_stride, self.y_first];
            let Grid([x, y, _]) = Grid::linear(rows.div_ceil(tile_rows));
            let grid = Grid([outputs.div_ceil(columns) as u32, x, y]);
            pass.run(&dispatches[slice], grid, &[&sizes[..], places.as_flattened()].concat(), self.group.work(rows));
            tiles += rows.div_ceil(tile_rows);
        }
        if !evaluates {
            let immediates = self.small(all_rows, tiles, false, 0.0, [self.statistics_first, [0; 3], [0; 3], [0; 3]]);
            let grid = Grid::threads(units * outputs, WIDTH);
            pass.run(&self.finish_statistics, grid, &immediates, units * outputs * tiles);
        }
    }

    /// Fills the parameters' gradients and writes or adds those of the maps, but for their correction.
    pub(super) fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        self.backward_parameters(pass, size);
        self.backward_input(pass, size);
    }

    fn backward_parameters(&self, pass: &mut Pass<'_>, Size { batch, frames }: Size) {
        let Group { outputs, .. } = self.group;
        let inputs = self.group.inputs();
        let (channels, columns) = (self.tiles.weight.rows(), self.tiles.weight.columns());
        let mut first = 0;
        for (slice, samples) in self.slices.active(batch) {
            let rows = samples * frames * self.mel;
            let split_rows = rows.div_ceil(self.group.splits()).next_multiple_of(SPLIT_ROWS);
            let splits = rows.div_ceil(split_rows);
            let sizes = [rows, first, split_rows, inputs].map(|size| size as u32);
            let immediates = [&sizes[..], &self.y_stride, &self.y_first].concat();
            let grid = Grid([self.group.channel_tiles(channels), splits, outputs.div_ceil(columns)].map(|count| count as u32));
            pass.run(&self.backward_weight[slice], grid, &immediates, self.group.work(rows));
            first += splits;
        }
        let places = [self.weight, self.bias, [0; 3], [0; 3]];
        let immediates = self.small(batch * frames * self.mel, first, false, 0.0, places);
        let elements = self.group.split_floats();
        pass.run(&self.finish_weights, Grid::threads(elements, SPLIT_WIDTH), &immediates, elements * first);
    }

    fn backward_input(&self, pass: &mut Pass<'_>, Size { batch, frames }: Size) {
        let inputs = self.group.inputs();
        let (tile_rows, columns) = (self.tiles.backward.rows(), self.tiles.backward.columns());
        let mut tiles = 0;
        for (slice, samples) in self.slices.active(batch) {
            let rows = samples * frames * self.mel;
            let sizes = [rows, tiles, usize::from(self.adds), inputs].map(|size| size as u32);
            let immediates = [&sizes[..], &self.weight, &self.y_stride, &self.y_first].concat();
            let Grid([x, y, _]) = Grid::linear(rows.div_ceil(tile_rows));
            let grid = Grid([self.group.channel_tiles(columns) as u32, x, y]);
            pass.run(&self.backward[slice], grid, &immediates, self.group.work(rows));
            tiles += rows.div_ceil(tile_rows);
        }
        let places = [self.gamma, self.beta, [0; 3], [0; 3]];
        let immediates = self.small(batch * frames * self.mel, tiles, self.adds, 0.0, places);
        let work = self.group.units * inputs * tiles;
        pass.run(&self.finish_gradients, Grid::threads(inputs, WIDTH), &immediates, work);
    }
}

/// Whether the adapter binds as many buffers as the kernels ask for.
pub(super) fn runs_on(gpu: &Gpu) -> bool {
    gpu.summary().storage_buffers >= BINDINGS
}

/// The shape of one of these units.
pub(super) fn shape(group: Group, mel: usize) -> ConvolutionShape {
    ConvolutionShape { kernel: [1, 1], inputs: group.inputs(), outputs: group.outputs, mel }
}

//! BBNN's own kernels: its stem, the bottlenecks of its last block, apart and together, and the pooled branch, either way.

use super::Table;
use crate::gpu::{Element, GpuError};
use crate::layers::{
    BottleneckTiles, Bottlenecks, BroadcastMap, Channels, ConvolutionShape, Declarations, Gradient, ImageContext, LEAST_CHUNK,
    Layer, Map, MapStatistics, Mode, Parameters, PoolShape, PooledBranch, Size, Slices, Stem, Unit, UnitInput, UnitOutput,
};

/// Frames and bands of BBNN's input, and of the maps behind its stem.
const INPUT: [usize; 2] = [647, 128];
const MAP: [usize; 2] = [161, 128];
const WIDTH: usize = 32;
/// Blocks before the last one.
const BEFORE: usize = 2;

pub(super) fn images(table: &mut Table<'_>, batch: usize) -> Result<(), GpuError> {
    if table.wants("stem") {
        stem(table, batch)?;
    }
    if table.wants("bottleneck") {
        bottlenecks(table, batch)?;
    }
    if table.wants("pooled") {
        pooled(table, batch)?;
    }
    Ok(())
}

/// What maps of these channels are stored as.
fn maps(table: &Table<'_>) -> Element {
    ImageContext::maps_of(table.gpu, true)
}

/// Parameters of noise, of norms too: gammas of either sign.
fn parameters(table: &Table<'_>, declarations: Declarations) -> Result<Parameters, GpuError> {
    let parameters = Parameters::new(table.gpu, declarations)?;
    table.fill(parameters.values().whole(), 0.1);
    Ok(parameters)
}

fn stem(table: &mut Table<'_>, batch: usize) -> Result<(), GpuError> {
    let ([frames, mel], slices, pool) = (INPUT, Slices::one(batch), PoolShape::valid([4, 1]));
    let mut declarations = Declarations::default();
    Stem::declare(&mut declarations, mel, WIDTH);
    let parameters = parameters(table, declarations)?;
    let scratch = table.tensor("scratch", &[Stem::scratch(pool, slices, INPUT, WIDTH)])?;
    let context = ImageContext::new(table.gpu, slices, scratch, 0).with_maps(maps(table)).with_bottlenecks(None);
    let map = BroadcastMap::new(&context, [batch, MAP[0], MAP[1]], WIDTH, 1)?;
    let x = Channels::whole(&table.tensor("x", &[batch, frames, mel, 1])?);
    table.fill(&map.sources[0].map.grad.tensor, 1.0);
    let stem = Stem::new(&context, &parameters, pool, &x, &map)?;
    let size = Size { batch, frames };
    table.case("stem", "stem", &format!("1->{WIDTH}, {batch} x {frames} x {mel}"), |pass| {
        stem.forward(pass, size, Mode::Train);
        stem.backward(pass, size);
    })
}

/// Apart, and where the adapter runs them in each of the tiles.
fn ways(table: &Table<'_>) -> Vec<Option<BottleneckTiles>> {
    let together = if Bottlenecks::run_together_on(table.gpu) { BottleneckTiles::available(table.gpu) } else { Vec::new() };
    [None].into_iter().chain(together.iter().copied().map(Some)).collect()
}

fn words(tiles: Option<BottleneckTiles>) -> String {
    tiles.map_or_else(|| "apart".into(), |tiles| tiles.words())
}

/// Floats of scratch for a unit that runs apart over maps of four times the width.
fn scratch_apart(rows: usize, slices: Slices, mel: usize) -> usize {
    let shape = ConvolutionShape { kernel: [1, 1], inputs: 4 * WIDTH, outputs: WIDTH, mel };
    let statistics = 8 * WIDTH * (rows / LEAST_CHUNK + 1 + slices.count());
    shape.scratch(slices).max(shape.tile_scratch(rows, slices)).max(statistics)
}

fn bottlenecks(table: &mut Table<'_>, batch: usize) -> Result<(), GpuError> {
    let ([frames, mel], slices) = (MAP, Slices::one(batch));
    let rows = batch * frames * mel;
    let counts: Vec<usize> = (0..=BEFORE).map(|i| if i == 0 { WIDTH } else { 4 * WIDTH }).collect();
    let inputs: usize = counts.iter().sum();
    let shape = ConvolutionShape { kernel: [1, 1], inputs, outputs: WIDTH, mel };
    let names = [0, 1, 2].map(|unit| format!("unit{unit}"));
    let sources = counts
        .iter()
        .map(|&count| table.map_as(maps(table), "x", &[batch, frames, mel, count]))
        .collect::<Result<Vec<_>, _>>()?;
    let ys =
        names.iter().map(|_| table.map_as(maps(table), "y", &[batch, frames, mel, WIDTH])).collect::<Result<Vec<Map>, _>>()?;
    let of_x = MapStatistics::new(table.gpu, "statistics", inputs)?;
    table.fill(&of_x.moments, 1.0);
    let of_ys = ys.iter().map(|_| MapStatistics::new(table.gpu, "statistics", WIDTH)).collect::<Result<Vec<_>, _>>()?;
    let floats = Bottlenecks::scratch(slices, 3, counts.len(), [WIDTH, 4 * WIDTH, WIDTH], rows);
    let scratch = table.tensor("scratch", &[floats.max(scratch_apart(rows, slices, mel))])?;
    let size = Size { batch, frames };
    for tiles in ways(table) {
        let mut declarations = Declarations::default();
        names.iter().for_each(|name| Unit::declare(&mut declarations, name, shape));
        let parameters = parameters(table, declarations)?;
        let context = ImageContext::new(table.gpu, slices, scratch.clone(), rows * 4 * WIDTH);
        let context = context.with_maps(maps(table)).with_bottlenecks(tiles);
        let input = UnitInput { sources: sources.iter().map(|map| (map, Gradient::Add)).collect(), statistics: &of_x };
        let outputs: Vec<_> = ys.iter().zip(&of_ys).map(|(map, of)| UnitOutput { map, statistics: (of, 0) }).collect();
        let group = Bottlenecks::new(&context, &parameters, &names, shape, &input, &outputs)?;
        let shape = format!("3 x {inputs}->{WIDTH}, {batch} x {frames} x {mel}");
        table.case("bottleneck", &words(tiles), &shape, |pass| {
            group.forward(pass, size, Mode::Train);
            group.backward(pass, size);
        })?;
    }
    Ok(())
}

fn pooled(table: &mut Table<'_>, batch: usize) -> Result<(), GpuError> {
    let ([frames, mel], slices) = (MAP, Slices::one(batch));
    let rows = batch * frames * mel;
    let inputs = WIDTH;
    let shape = ConvolutionShape { kernel: [1, 1], inputs, outputs: WIDTH, mel };
    let floats = Bottlenecks::scratch(slices, 1, 1, [WIDTH, 4 * WIDTH, WIDTH], rows)
        .max(PooledBranch::scratch(rows, 4 * WIDTH, slices))
        .max(scratch_apart(rows, slices, mel));
    let scratch = table.tensor("scratch", &[floats])?;
    let y = table.map_as(maps(table), "y", &[batch, frames, mel, WIDTH])?;
    let of_y = MapStatistics::new(table.gpu, "statistics", WIDTH)?;
    let size = Size { batch, frames };
    for tiles in ways(table) {
        let mut declarations = Declarations::default();
        Unit::declare(&mut declarations, "unit", shape);
        let parameters = parameters(table, declarations)?;
        let context = ImageContext::new(table.gpu, slices, scratch.clone(), rows * 4 * WIDTH);
        let context = context.with_maps(maps(table)).with_bottlenecks(tiles);
        let map = BroadcastMap::new(&context, [batch, frames, mel], WIDTH, 1)?;
        let source = &map.sources[0].map;
        [&source.value, &source.grad].into_iter().for_each(|channels| table.fill(&channels.tensor, 1.0));
        let output = UnitOutput { map: &y, statistics: (&of_y, 0) };
        let (of_x, gradient) = (&map.statistics.pooled, Gradient::Write);
        let sources = &map.sources[..1];
        let branch = PooledBranch::new(&context, &parameters, "unit", map.pooled_tiles, sources, of_x, gradient, output)?;
        let shape = format!("{inputs}->{WIDTH}, {batch} x {frames} x {mel}");
        table.case("pooled", &words(tiles), &shape, |pass| {
            branch.forward(pass, size, Mode::Train);
            branch.backward(pass, size);
        })?;
    }
    Ok(())
}

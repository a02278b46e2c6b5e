//! Whether bottlenecks run together, and with which tiles: measured on a hardware adapter, and held against units that run apart.

use super::bottleneck_together::{self, Group, Products};
use super::contest::{Written, entrants, precision_words, timed, wave};
use super::unit::EPSILON;
use super::{
    BottleneckTiles, Bottlenecks, ChannelStatistics, ConvolutionShape, ConvolutionVariants, Declarations, Gradient, ImageContext,
    Map, MapStatistics, Mode, Parameters, PooledBranch, PooledCopy, Size, Slices, Source, Unit, UnitInput, UnitOutput, alignment,
    batch_norm,
};
use crate::gpu::{Contest, Element, Gpu, GpuError, Pass, Tensor};
use std::time::Duration;

/// Rows that are measured, at most.
const MOST_ROWS: usize = 1 << 16;
/// Of a measurement.
const REPEATS: u32 = 10;
/// With fewer operations units run apart: any kernel is done before its submission is.
const FEWEST_OPERATIONS: usize = 1 << 24;
/// The name of units that run apart.
const APART: &str = "apart";

/// The tiles with which `group` runs together over `rows` rows, or nothing where its units run apart.
pub(super) fn choose(context: &ImageContext, group: Group, mel: usize, rows: usize) -> Option<BottleneckTiles> {
    let Group { units, maps, first, other, outputs } = group;
    let what = format!("bottlenecks, {units} of {first} + {} x {other} -> {outputs}", maps - 1);
    decide(context, &what, group, mel, rows, bottlenecks)
}

/// The tiles with which pooled branches run without stored copies, where those have the channels of `group`'s one map.
pub(super) fn choose_pooled(context: &ImageContext, group: Group, mel: usize, rows: usize) -> Option<BottleneckTiles> {
    let what = format!("pooled branch, {} -> {}", group.first, group.outputs);
    decide(context, &what, group, mel, rows, pooled_branches)
}

/// Candidates over the tensors of a bench: apart, then with each of the tiles.
type Prepare = fn(&Bench<'_>, &[BottleneckTiles]) -> Result<Vec<Option<Repetition>>, GpuError>;

fn decide(
    context: &ImageContext,
    what: &str,
    group: Group,
    mel: usize,
    rows: usize,
    prepare: Prepare,
) -> Option<BottleneckTiles> {
    let &ImageContext { ref gpu, maps, .. } = context;
    let Group { first, other, outputs, .. } = group;
    let few = group.work(rows) < FEWEST_OPERATIONS && !gpu.has_preferences();
    if gpu.runtime_checks() || !gpu.chooses_kernels() || few {
        return None;
    }
    let rows = rows.min(MOST_ROWS);
    // Of what runs apart: asked for now, since one choice waits for the other.
    let part = |inputs| {
        let shape = ConvolutionShape { kernel: [1, 1], inputs, outputs, mel };
        (inputs, ConvolutionVariants::choose(gpu, shape, true, true, rows, alignment(&[inputs, outputs]), maps))
    };
    let apart: Vec<_> = [first, other].into_iter().map(part).collect();
    let mixed = precision_words(gpu, maps);
    let key = format!("{what}{mixed}, {rows} rows of {mel}");
    let all = BottleneckTiles::available(gpu);
    let words: Vec<String> = all.iter().map(BottleneckTiles::words).collect();
    let names: Vec<&str> = [APART].into_iter().chain(words.iter().map(String::as_str)).collect();
    let chosen = gpu.choose(&key, &names, || Trial::new(gpu, &all, apart, group, mel, rows, maps, prepare));
    chosen.checked_sub(1).map(|tiles| all[tiles])
}

/// What every candidate reads and writes.
struct Bench<'g> {
    gpu: &'g Gpu,
    context: ImageContext,
    group: Group,
    size: Size,
    mel: usize,
    sources: Vec<Map>,
    of_x: MapStatistics,
    ys: Vec<Map>,
    of_y: Vec<MapStatistics>,
    names: Vec<String>,
    parameters: Parameters,
}

/// Records one training step of a candidate.
type Repetition = Box<dyn Fn(&mut Pass<'_>)>;

impl<'g> Bench<'g> {
    fn new(
        gpu: &'g Gpu,
        apart: Vec<(usize, ConvolutionVariants)>,
        group: Group,
        mel: usize,
        rows: usize,
        maps: Element,
    ) -> Result<Self, GpuError> {
        let Group { units, maps: count, first, other, outputs } = group;
        let inputs = group.inputs();
        let (slices, frames) = (Slices::one(1), (rows / mel).max(1));
        let rows = frames * mel;
        let image = |channels| Map::image_of(gpu, "measured map", maps, [1, frames, mel, channels]);
        let sources = (0..count).map(|i| image(if i == 0 { first } else { other })).collect::<Result<Vec<_>, _>>()?;
        let ys = (0..units).map(|_| image(outputs)).collect::<Result<Vec<_>, _>>()?;
        let shape = bottleneck_together::shape(group, mel);
        let names: Vec<String> = (0..units).map(|unit| format!("measured.{unit}")).collect();
        let mut declarations = Declarations::default();
        names.iter().for_each(|name| Unit::declare(&mut declarations, name, shape));
        let parameters = Parameters::new(gpu, declarations)?;
        let of_x = MapStatistics::new(gpu, "measured statistics", inputs)?;
        let of_y = ys.iter().map(|_| MapStatistics::new(gpu, "measured statistics", outputs)).collect::<Result<Vec<_>, _>>()?;
        let widest = first.max(other);
        let parts = ConvolutionShape { inputs: widest, ..shape };
        let sums = [
            group.scratch(rows, slices),
            PooledBranch::scratch(rows, widest, slices),
            parts.scratch(slices),
            parts.tile_scratch(rows, slices),
            batch_norm::scratch(rows, widest.max(outputs), slices),
        ];
        let scratch = gpu.tensor("measured", Element::F32, &[sums.into_iter().max().unwrap_or(1)])?;
        for (i, map) in sources.iter().enumerate() {
            wave(gpu, &map.value.tensor, 0.7 + 0.1 * i as f32, 1.0);
        }
        for (i, map) in ys.iter().enumerate() {
            wave(gpu, &map.grad.tensor, 0.3 + 0.1 * i as f32, 1.0);
        }
        wave(gpu, parameters.values().whole(), 1.9, 1.0);
        wave(gpu, &of_x.moments, 1.3, 1.0);
        let context = ImageContext::new(gpu, slices, scratch, rows * widest).with_maps(maps).with_variants_of(apart);
        let size = Size { batch: 1, frames };
        Ok(Self { gpu, context, group, size, mel, sources, of_x, ys, of_y, names, parameters })
    }

    fn outputs(&self) -> Vec<UnitOutput<'_>> {
        self.ys.iter().zip(&self.of_y).map(|(map, of)| UnitOutput { map, statistics: (of, 0) }).collect()
    }

    /// The statistics of every y, for candidates that bring none.
    fn statistics(&self) -> Result<Vec<ChannelStatistics>, GpuError> {
        let ImageContext { slices, scratch, .. } = &self.context;
        let of = |(map, of): (&Map, &MapStatistics)| {
            ChannelStatistics::new(self.gpu, &map.value, *slices, &of.moments, 0, EPSILON, scratch)
        };
        self.ys.iter().zip(&self.of_y).map(of).collect()
    }

    fn written(&self) -> Written {
        let root = |terms: usize| (terms as f32).sqrt();
        let rows = self.size.frames * self.mel;
        let (of_output, of_input, of_rows) = (root(self.group.inputs()), root(self.group.outputs), root(rows));
        let mut written: Vec<(Tensor, f32)> = self.ys.iter().map(|map| (map.value.tensor.clone(), of_output)).collect();
        written.extend(self.of_y.iter().map(|of| (of.moments.clone(), 0.0)));
        written.extend(self.sources.iter().map(|map| (map.grad.tensor.clone(), of_input)));
        written.push((self.of_x.corrections.clone(), of_input / of_rows));
        for name in &self.names {
            let terms = [of_input * of_rows, of_input * of_rows, of_rows, of_rows];
            for (part, terms) in ["bn.weight", "bn.bias", "conv.weight", "conv.bias"].into_iter().zip(terms) {
                written.push((self.parameters.parameter(&format!("{name}.{part}")).grad, terms));
            }
        }
        Written(written)
    }
}

fn bottlenecks(bench: &Bench<'_>, tiles: &[BottleneckTiles]) -> Result<Vec<Option<Repetition>>, GpuError> {
    let Bench { context, parameters, names, group, mel, .. } = bench;
    let shape = bottleneck_together::shape(*group, *mel);
    let (outputs, size, rows) = (bench.outputs(), bench.size, bench.size.frames * mel);
    let input = UnitInput { sources: bench.sources.iter().map(|map| (map, Gradient::Add)).collect(), statistics: &bench.of_x };
    let repetition = |tiles: Option<BottleneckTiles>| {
        let bottlenecks = match tiles {
            None => Bottlenecks::apart(context, parameters, names, shape, &input, &outputs)?,
            Some(tiles) => {
                let products = Products { tiles, group: *group, mel: *mel, taps: Vec::new() };
                Bottlenecks::together(context, parameters, names, products, &input, &outputs)?
            }
        };
        let statistics = bench.statistics()?;
        Ok(Box::new(move |pass: &mut Pass<'_>| {
            bottlenecks.forward(pass, size, Mode::Train);
            if !bottlenecks.brings_statistics() {
                statistics.iter().for_each(|statistics| statistics.compute(pass, 1, rows));
            }
            bottlenecks.backward(pass, size);
        }) as Repetition)
    };
    entrants([None].into_iter().chain(tiles.iter().copied().map(Some)).map(repetition))
}

fn pooled_branches(bench: &Bench<'_>, tiles: &[BottleneckTiles]) -> Result<Vec<Option<Repetition>>, GpuError> {
    let Bench { gpu, context, parameters, names, mel, .. } = bench;
    let (size, rows) = (bench.size, bench.size.frames * mel);
    let repetition = |tiles: Option<BottleneckTiles>| {
        let map = &bench.sources[0];
        let source = Source { map: map.clone(), pooled: Some(PooledCopy::new(gpu, map, tiles)?) };
        let output = UnitOutput { map: &bench.ys[0], statistics: (&bench.of_y[0], 0) };
        let sources = [source];
        let gradient = Gradient::Write;
        let branch = PooledBranch::new(context, parameters, &names[0], tiles, &sources, &bench.of_x, gradient, output)?;
        let statistics = bench.statistics()?;
        Ok(Box::new(move |pass: &mut Pass<'_>| {
            branch.forward(pass, size, Mode::Train);
            if !branch.brings_statistics() {
                statistics.iter().for_each(|statistics| statistics.compute(pass, 1, rows));
            }
            branch.backward(pass, size);
        }) as Repetition)
    };
    entrants([None].into_iter().chain(tiles.iter().copied().map(Some)).map(repetition))
}

/// All candidates over one set of tensors.
struct Trial<'g> {
    gpu: &'g Gpu,
    candidates: Vec<Option<Repetition>>,
    written: Written,
}

impl<'g> Trial<'g> {
    fn new(
        gpu: &'g Gpu,
        tiles: &[BottleneckTiles],
        apart: Vec<(usize, ConvolutionVariants)>,
        group: Group,
        mel: usize,
        rows: usize,
        maps: Element,
        prepare: Prepare,
    ) -> Result<Self, GpuError> {
        let bench = Bench::new(gpu, apart, group, mel, rows, maps)?;
        Ok(Self { gpu, candidates: prepare(&bench, tiles)?, written: bench.written() })
    }

    fn run(&self, repeats: u32, candidate: usize) -> Result<Duration, GpuError> {
        let Some(candidate) = &self.candidates[candidate] else { return Ok(Duration::MAX) };
        timed(self.gpu, repeats, candidate)
    }

    fn results(&self, candidate: usize) -> Result<Vec<Vec<f32>>, GpuError> {
        self.written.results(self.gpu, || self.run(1, candidate))
    }
}

impl Contest for Trial<'_> {
    fn time(&mut self, candidate: usize) -> Result<Duration, GpuError> {
        self.run(REPEATS, candidate)
    }

    fn agrees(&mut self, candidate: usize) -> Result<bool, GpuError> {
        Ok(self.written.agree(&self.results(0)?, &self.results(candidate)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::GpuOptions;

    const THREE: Group = Group { units: 3, maps: 2, first: 8, other: 20, outputs: 12 };
    const ONE: Group = Group { units: 1, maps: 1, first: 12, other: 4, outputs: 8 };

    /// Some of the tiles each, for drivers take seconds to compile them.
    #[test]
    fn tiles_agree_with_what_runs_apart() {
        let gpu = &open();
        try_tiles(gpu, Element::F32, THREE, bottlenecks, &[0, 3]);
        try_tiles(gpu, Element::F32, ONE, bottlenecks, &[1]);
        try_tiles(gpu, Element::F32, ONE, pooled_branches, &[2]);
    }

    #[test]
    fn tiles_agree_with_what_runs_apart_over_maps_of_halves() {
        let gpu = &open().with_precision(crate::gpu::Precision::Mixed);
        let matrices = BottleneckTiles::ALL.len();
        try_tiles(gpu, Element::F16, THREE, bottlenecks, &[1, 2, matrices]);
        try_tiles(gpu, Element::F16, ONE, pooled_branches, &[3, matrices]);
    }

    #[allow(clippy::unwrap_used)]
    fn open() -> Gpu {
        Gpu::open(&GpuOptions { emulate_matrix_units: true, ..GpuOptions::default() }).unwrap()
    }

    #[allow(clippy::unwrap_used)]
    fn try_tiles(gpu: &Gpu, maps: Element, group: Group, prepare: Prepare, tiles: &[usize]) {
        let available = BottleneckTiles::available(gpu);
        let tiles: Vec<_> = tiles.iter().map(|&i| available[i]).collect();
        let mut trial = Trial::new(gpu, &tiles, Vec::new(), group, 16, 400, maps, prepare).unwrap();
        for candidate in 1..trial.candidates.len() {
            assert!(trial.agrees(candidate).unwrap(), "{group:?}, {maps:?}: candidate {candidate}");
        }
        // What is wrong does not agree.
        let right = trial.results(0).unwrap();
        for (place, (_, terms)) in trial.written.0.iter().enumerate() {
            let largest = right[place].iter().fold(*terms, |largest, value| largest.max(value.abs()));
            let mut other = right.clone();
            other[place].iter_mut().for_each(|value| *value += 0.01 * largest);
            assert!(!trial.written.agree(&right, &other), "{place}");
        }
    }
}

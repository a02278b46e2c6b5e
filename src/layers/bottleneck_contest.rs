//! Whether bottlenecks run together, and with which tiles: measured on a hardware adapter, and held against units that run apart.

use super::bottleneck_together::{self, BottleneckTiles, Group};
use super::contest::{close_sums, wave};
use super::unit::EPSILON;
use super::{
    Bottlenecks, ChannelStatistics, ConvolutionShape, ConvolutionVariants, Declarations, Gradient, ImageContext, Map,
    MapStatistics, Mode, Parameters, Size, Slices, Unit, UnitInput, UnitOutput, batch_norm,
};
use crate::gpu::{Contest, Element, Gpu, GpuError, Pass, Precision, Tensor};
use std::time::{Duration, Instant};

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
    let gpu = &context.gpu;
    let Group { units, maps, first, other, outputs } = group;
    if let Some(prefers) = gpu.prefers("together") {
        return prefers.then_some(BottleneckTiles::ALL[0]);
    }
    let few = 2 * rows * group.inputs() * outputs * units < FEWEST_OPERATIONS;
    if gpu.runtime_checks() || gpu.summary().is_software() || few {
        return None;
    }
    let rows = rows.min(MOST_ROWS);
    // Of what runs apart: asked for now, since one choice waits for the other.
    let part = |inputs| {
        let shape = ConvolutionShape { kernel: [1, 1], inputs, outputs, mel };
        (inputs, ConvolutionVariants::choose(gpu, shape, true, true, rows, true))
    };
    let apart: Vec<_> = [first, other].into_iter().map(part).collect();
    let mixed = if gpu.precision() == Precision::Mixed { ", mixed" } else { "" };
    let key = format!("bottlenecks, {units} of {first} + {} x {other} -> {outputs}{mixed}, {rows} rows of {mel}", maps - 1);
    let words = BottleneckTiles::ALL.map(|tiles| tiles.words());
    let names: Vec<&str> = [APART].into_iter().chain(words.iter().map(String::as_str)).collect();
    let chosen = gpu.choose(&key, &names, || Trial::new(gpu, &BottleneckTiles::ALL, apart, group, mel, rows));
    chosen.checked_sub(1).map(|tiles| BottleneckTiles::ALL[tiles])
}

/// All candidates over one set of tensors.
struct Trial<'g> {
    gpu: &'g Gpu,
    size: Size,
    mel: usize,
    candidates: Vec<Bottlenecks>,
    /// Of every y, for candidates that bring none.
    statistics: Vec<ChannelStatistics>,
    /// What is written, each with how large a sum of as many terms as it adds up is when they are of either sign.
    written: Vec<(Tensor, f32)>,
}

impl<'g> Trial<'g> {
    fn new(
        gpu: &'g Gpu,
        tiles: &[BottleneckTiles],
        apart: Vec<(usize, ConvolutionVariants)>,
        group: Group,
        mel: usize,
        rows: usize,
    ) -> Result<Self, GpuError> {
        let Group { units, maps, first, other, outputs } = group;
        let inputs = group.inputs();
        let (slices, frames) = (Slices::one(1), (rows / mel).max(1));
        let rows = frames * mel;
        let image = |channels| Map::image(gpu, "measured map", [1, frames, mel, channels]);
        let sources = (0..maps).map(|i| image(if i == 0 { first } else { other })).collect::<Result<Vec<_>, _>>()?;
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
        let context = ImageContext::new(gpu, slices, scratch.clone(), rows * widest).with_variants_of(apart);
        let input = UnitInput { sources: sources.iter().map(|map| (map, Gradient::Add)).collect(), statistics: &of_x };
        let outputs_of: Vec<_> = ys.iter().zip(&of_y).map(|(map, of)| UnitOutput { map, statistics: (of, 0) }).collect();
        let mut candidates = vec![Bottlenecks::apart(&context, &parameters, &names, shape, &input, &outputs_of)?];
        for &tiles in tiles {
            let together = Bottlenecks::together(&context, &parameters, &names, tiles, group, mel, &input, &outputs_of)?;
            candidates.push(together);
        }
        let root = |terms: usize| (terms as f32).sqrt();
        let (of_output, of_input, of_rows) = (root(inputs), root(outputs), root(rows));
        let mut written: Vec<(Tensor, f32)> = ys.iter().map(|map| (map.value.tensor.clone(), of_output)).collect();
        written.extend(of_y.iter().map(|of| (of.moments.clone(), 0.0)));
        written.extend(sources.iter().map(|map| (map.grad.tensor.clone(), of_input)));
        written.push((of_x.corrections.clone(), of_input / of_rows));
        for name in &names {
            for (part, terms) in [
                ("bn.weight", of_input * of_rows),
                ("bn.bias", of_input * of_rows),
                ("conv.weight", of_rows),
                ("conv.bias", of_rows),
            ] {
                written.push((parameters.parameter(&format!("{name}.{part}")).grad, terms));
            }
        }
        let statistics = ys
            .iter()
            .zip(&of_y)
            .map(|(map, of)| ChannelStatistics::new(gpu, &map.value, slices, &of.moments, 0, EPSILON, &scratch));
        let statistics = statistics.collect::<Result<_, _>>()?;
        Ok(Self { gpu, size: Size { batch: 1, frames }, mel, candidates, statistics, written })
    }

    fn run(&self, repeats: u32, candidate: usize) -> Result<Duration, GpuError> {
        let bottlenecks = &self.candidates[candidate];
        let began = Instant::now();
        let mut pass = Pass::new(self.gpu);
        for _ in 0..repeats {
            bottlenecks.forward(&mut pass, self.size, Mode::Train);
            if !bottlenecks.brings_statistics() {
                let rows = self.size.frames * self.mel;
                self.statistics.iter().for_each(|statistics| statistics.compute(&mut pass, 1, rows));
            }
            bottlenecks.backward(&mut pass, self.size);
        }
        pass.submit()?;
        self.gpu.wait()?;
        Ok(began.elapsed() / repeats)
    }

    fn results(&self, candidate: usize) -> Result<Vec<Vec<f32>>, GpuError> {
        // What a kernel leaves out must not stand there from before; gradients are added to.
        let mut pass = Pass::new(self.gpu);
        self.written.iter().for_each(|(tensor, _)| pass.clear(tensor));
        pass.submit()?;
        self.run(1, candidate)?;
        self.written.iter().map(|(tensor, _)| self.gpu.read(tensor)).collect()
    }
}

impl Contest for Trial<'_> {
    fn time(&mut self, candidate: usize) -> Result<Duration, GpuError> {
        self.run(REPEATS, candidate)
    }

    fn agrees(&mut self, candidate: usize) -> Result<bool, GpuError> {
        let (expected, actual) = (self.results(0)?, self.results(candidate)?);
        let mut pairs = expected.iter().zip(&actual).zip(&self.written);
        Ok(pairs.all(|((expected, actual), (_, terms))| close_sums(*terms, expected, actual)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::GpuOptions;

    #[test]
    #[allow(clippy::unwrap_used)]
    fn all_tiles_agree_with_units_that_run_apart() {
        let gpu = Gpu::open(&GpuOptions::default()).unwrap();
        for group in [
            Group { units: 3, maps: 2, first: 8, other: 20, outputs: 12 },
            Group { units: 1, maps: 1, first: 8, other: 4, outputs: 8 },
        ] {
            let mut trial = Trial::new(&gpu, &BottleneckTiles::ALL, Vec::new(), group, 16, 400).unwrap();
            for candidate in 1..trial.candidates.len() {
                assert!(trial.agrees(candidate).unwrap(), "{group:?}: candidate {candidate}");
            }
            // What is wrong does not agree.
            for place in 0..trial.written.len() {
                let (tensor, terms) = &trial.written[place];
                let right = gpu.read::<f32>(tensor).unwrap();
                let largest = right.iter().fold(*terms, |largest, value| largest.max(value.abs()));
                let other: Vec<f32> = right.iter().map(|value| value + 0.01 * largest).collect();
                assert!(!close_sums(*terms, &right, &other), "{place}");
            }
        }
    }
}

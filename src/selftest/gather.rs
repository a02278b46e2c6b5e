//! `gather.wgsl` beside its reference: exact, as it moves numbers and adds multiples of 2^-10.

use super::bench::{Bench, Layout};
use super::comparison::{Comparison, Comparisons};
use crate::gpu::{Gpu, GpuError};
use crate::layers::{Crop, Gather, Size};
use crate::reference;
use crate::reference::noise::Noise;

/// A batch to cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Crops and frames of this batch.
    pub size: Size,
    /// Crops and frames that there is room for.
    pub capacity: Size,
    /// Mel bands.
    pub mel: usize,
    /// Chunks that the clips lie in.
    pub chunks: usize,
    /// Time masks and mel masks of each crop.
    pub masks: [usize; 2],
    /// Whether crops are rotated, raised to a floor and made louder.
    pub changed: bool,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { size, mel, chunks, masks: [time, bands], changed, .. } = *self;
        write!(f, "{} x {} x {mel} of {chunks} chunks, {time} + {bands} masks", size.batch, size.frames)?;
        f.write_str(if changed { ", changed" } else { "" })?;
        super::describe_capacity(f, size, self.capacity, usize::MAX)
    }
}

/// Crops out of chunks of different lengths, from a row in the middle of the table.
pub fn check(gpu: &Gpu, case: Case) -> Result<Vec<Comparison>, GpuError> {
    const ROW: usize = 3;
    let (bench, Case { size, mel, .. }) = (Bench::new(gpu), case);
    let mut noise = Noise::new((size.batch * size.frames * mel) as u64);
    let mut numbers = Noise::new(size.frames as u64);
    let mut below = |most: usize| (numbers.bits() % most.max(1) as u64) as usize;
    let decibels = |x: f64| (40.0 * 1024.0 * x).round() / 1024.0 - 40.0;
    let chunks: Vec<Vec<f64>> =
        (0..case.chunks).map(|i| noise.numbers((size.frames + 2 * i + 1) * mel).into_iter().map(decibels).collect()).collect();
    let tensors =
        chunks.iter().map(|chunk| bench.given("clips", &[chunk.len() / mel, mel], chunk)).collect::<Result<Vec<_>, _>>()?;
    let crops: Vec<Crop> = (0..size.batch)
        .map(|sample| {
            let chunk = (sample * 5 + 1) % case.chunks;
            let mut masks = |count: usize, length: usize| -> Vec<_> {
                let mask = |_| {
                    let begin = below(length);
                    begin..begin + below(length - begin + 1)
                };
                (0..count).map(mask).collect()
            };
            let (time_masks, mel_masks) = (masks(case.masks[0], size.frames), masks(case.masks[1], mel));
            let plain = Crop { chunk, first: below(2 * chunk + 2), mean: -41.25, time_masks, mel_masks, ..Crop::default() };
            match case.changed {
                true => {
                    let floor = (sample % 2 == 0).then_some(-50.5);
                    Crop { floor, later: below(size.frames), gain: below(97) as f32 / 16.0 - 3.0, ..plain }
                }
                false => plain,
            }
        })
        .collect();
    let masks = crops.iter().map(Crop::masks).max().unwrap_or(0);
    let mut rows = vec![u32::MAX; ROW * Gather::row(masks)];
    crops.iter().for_each(|crop| crop.append(masks, &mut rows));
    let table = Gather::table(gpu, ROW + size.batch, masks)?;
    gpu.write(&table, &rows);
    let layout = Layout::rows(case.capacity.batch * case.capacity.frames, mel);
    let y = bench.poisoned("y", &[case.capacity.batch, case.capacity.frames, mel])?;
    let gather = Gather::new(gpu, &tensors, &table, masks, &y)?;
    let all: Vec<usize> = (0..case.chunks).collect();
    bench.run(|pass| gather.forward(pass, size, ROW, &all))?;
    let expected: Vec<f64> = crops
        .iter()
        .flat_map(|crop| {
            let Crop { first, later, ref time_masks, ref mel_masks, .. } = *crop;
            let (floor, gain, mean) = (crop.floor.map(f64::from), f64::from(crop.gain), f64::from(crop.mean));
            let crop_of = reference::gather::Crop { first, floor, later, gain, mean, time_masks, mel_masks };
            reference::gather::forward(&chunks[crop.chunk], mel, size.frames, crop_of)
        })
        .collect();
    let rows = Size { batch: size.batch * size.frames, frames: 1 };
    let mut result = Comparisons::new("gather", &case);
    result.add_within(0.0, "y", &layout.spread(rows, &expected), &bench.get(&y)?);
    Ok(result.done())
}

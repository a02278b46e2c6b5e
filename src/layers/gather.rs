//! Launcher of `gather.wgsl`: batches made on the device, out of clips that lie there.

use super::Size;
use crate::gpu::{Dispatch, Element, Gpu, GpuError, Grid, Pass, Shader, Tensor};
use std::ops::Range;

const GATHER: Shader = Shader("gather");
/// Frames of an invocation that moves vectors: what it asks for a crop is asked once for them.
const FRAMES: usize = 4;

/// A crop and what happens to it, in this order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Crop {
    /// Which of the chunks.
    pub chunk: usize,
    /// Its first frame, counted from the start of the chunk.
    pub first: usize,
    /// Decibels below this are raised to it.
    pub floor: Option<f32>,
    /// Frames that it is rotated by: what leaves at the end enters at the beginning.
    pub later: usize,
    /// Decibels added.
    pub gain: f32,
    /// What masks are filled with.
    pub mean: f32,
    /// Frames, after the rotation, that are masked.
    pub time_masks: Vec<Range<usize>>,
    /// Bands that are masked.
    pub mel_masks: Vec<Range<usize>>,
}

impl Crop {
    /// The masks that its row of the table has to have room for.
    pub fn masks(&self) -> usize {
        self.time_masks.len().max(self.mel_masks.len())
    }

    /// Appends its row of the table, of [`Gather::row`] words.
    pub fn append(&self, masks: usize, table: &mut Vec<u32>) {
        let index = |i: usize| u32::try_from(i).expect("a chunk's frames fit 32 bits");
        table.extend([index(self.chunk), index(self.first), index(self.later), 0]);
        let [floor, gain, mean] = [self.floor.unwrap_or(f32::MIN), self.gain, self.mean].map(f32::to_bits);
        table.extend([floor, gain, mean, 0]);
        for k in 0..masks {
            for range in [self.time_masks.get(k), self.mel_masks.get(k)] {
                table.extend(range.map_or([0, 0], |range| [index(range.start), index(range.end)]));
            }
        }
    }
}

/// Crops (batch, frames, mel) of clips on the device.
pub struct Gather {
    mel: usize,
    /// Bands and frames that an invocation moves.
    each: [usize; 2],
    forward: Vec<Dispatch>,
}

impl Gather {
    /// Prepares the kernel from `chunks` (frames, mel) and a table of crops with room for `masks` each to `y` (batch, frames, mel).
    pub fn new(gpu: &Gpu, chunks: &[Tensor], table: &Tensor, masks: usize, y: &Tensor) -> Result<Self, GpuError> {
        let mel = y.shape()[2];
        let (each, entry, clips, name) = if mel.is_multiple_of(4) {
            ([4, FRAMES], "vectors", "clip_vectors", "y_vectors")
        } else {
            ([1, 1], "scalars", "clips", "y")
        };
        let constants = [("MEL", mel.into()), ("MASKS", masks.into()), ("EACH", each[1].into())];
        let forward = |chunk| GATHER.dispatch(gpu, entry, &constants, &[("table", table), (clips, chunk), (name, y)]);
        Ok(Self { mel, each, forward: chunks.iter().map(forward).collect::<Result<_, _>>()? })
    }

    /// A table for `crops` with room for `masks` each.
    pub fn table(gpu: &Gpu, crops: usize, masks: usize) -> Result<Tensor, GpuError> {
        gpu.tensor("crops", Element::U32, &[crops.max(1), Self::row(masks)])
    }

    /// Words of a row of the table.
    pub fn row(masks: usize) -> usize {
        4 * (2 + masks)
    }

    /// The crops from row `row` of the table on, out of these chunks, each named once.
    pub fn forward(&self, pass: &mut Pass<'_>, size: Size, row: usize, chunks: &[usize]) {
        let [bands, frames] = self.each;
        let threads = size.batch * size.frames.div_ceil(frames) * (self.mel / bands);
        let elements = size.batch * size.frames * self.mel;
        for &chunk in chunks {
            let immediates = [size.batch, size.frames, chunk, row].map(|n| n as u32);
            pass.run(&self.forward[chunk], Grid::threads(threads, 64), &immediates, 2 * elements);
        }
    }
}

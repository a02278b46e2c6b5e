//! The way of batches into a network: gathered from clips that lie on the device, or else streamed. Either way gives the
//! same bits.
//!
//! What a batch is made of is decided for all batches of an epoch at once and sent in a few small tables, so that a step
//! hands over nothing: the device reads its rows of the tables.

use super::device_clips::{Clips, DeviceClips};
use crate::dataset::{Batch, Batches, Dataset};
use crate::gpu::{Element, Gpu, GpuError, Pass, Readback, Staging, Stream, Tensor};
use crate::layers::{Crop, Gather, Size};
use crate::models::Network;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

/// Where the batches of a network come from.
pub(crate) struct Feed {
    gpu: Gpu,
    features: Tensor,
    labels: Tensor,
    seed: Tensor,
    clips: Option<Arc<Clips>>,
    /// What is made once and then kept, each when it is first needed.
    kept: RefCell<Kept>,
}

#[derive(Default)]
struct Kept {
    labels: Option<Tensor>,
    seeds: Option<Tensor>,
    table: Option<Tensor>,
    masks: usize,
    gather: Option<Rc<Gather>>,
    staging: Option<Staging>,
    /// For whoever evaluates.
    outputs: Option<[Readback; 2]>,
}

/// Batches on their way, in order.
pub(crate) struct Serving {
    features: Tensor,
    /// From the tables into the network: labels, and two words of a dropout seed.
    labels: [Tensor; 2],
    seeds: Option<[Tensor; 2]>,
    /// Windows of each batch; of all but the last, `batch_size`.
    sizes: Vec<usize>,
    batch_size: usize,
    frames: usize,
    next: usize,
    way: Way,
}

enum Way {
    /// With the chunks that each batch needs.
    Gathered(Rc<Gather>, Vec<Vec<usize>>),
    Streamed(Stream),
}

impl Feed {
    /// For `network`, whose batches are cut from `clips` if those hold or can hold `data`.
    pub fn of(network: &Network, clips: &DeviceClips, data: &Dataset) -> Self {
        Self::new(network, clips.of(network.gpu(), data))
    }

    /// For `network`, whose batches are cut from `clips` if those hold them all.
    pub(super) fn new(network: &Network, clips: Option<Arc<Clips>>) -> Self {
        let (features, labels, seed) =
            (network.features().clone(), network.loss().labels.clone(), network.dropout_seed().clone());
        Self { gpu: network.gpu().clone(), features, labels, seed, clips, kept: RefCell::default() }
    }

    /// Gets `batches` on their way: to be called where nothing of the batches before is left to be recorded. `seeds` are
    /// those of dropout for each batch; where there are none, the network keeps the one that it has.
    pub fn begin(&self, batches: &Batches, seeds: &[u64]) -> Result<Serving, GpuError> {
        let mut kept = self.kept.borrow_mut();
        let sizes: Vec<usize> = (0..batches.len()).map(|i| batches.windows_of(i)).collect();
        let labels: Vec<u32> = (0..batches.len()).flat_map(|i| batches.labels(i)).collect();
        let labels = [sent(&self.gpu, "labels of all batches", &mut kept.labels, &labels)?.0, self.labels.clone()];
        let words: Vec<u32> = seeds.iter().flat_map(|&seed| [seed as u32, (seed >> 32) as u32]).collect();
        let seeds = match words.is_empty() {
            true => None,
            false => Some([sent(&self.gpu, "dropout seeds", &mut kept.seeds, &words)?.0, self.seed.clone()]),
        };
        let way = match self.crops(batches) {
            Some(crops) => self.gathered(&mut kept, &crops, batches.batch_size())?,
            None => {
                let staging = match kept.staging.take() {
                    Some(staging) => staging,
                    None => Staging::new(&self.gpu, self.features.elements())?,
                };
                let (plan, mut batch) = (batches.clone(), Batch::default());
                let stream = staging.stream(batches.len(), move |i, values| {
                    std::mem::swap(&mut batch.features, values);
                    plan.fill(i, &mut batch);
                    std::mem::swap(&mut batch.features, values);
                });
                kept.staging = Some(staging);
                Way::Streamed(stream)
            }
        };
        let (features, frames, batch_size) = (self.features.clone(), batches.frames(), batches.batch_size());
        Ok(Serving { features, labels, seeds, sizes, batch_size, frames, next: 0, way })
    }

    /// Two rings for outputs of so many floats: those that were given back, which have the same size.
    pub(super) fn take_outputs(&self, elements: usize) -> [Readback; 2] {
        self.kept.borrow_mut().outputs.take().unwrap_or_else(|| [(); 2].map(|()| Readback::new(elements)))
    }

    /// Keeps them for the next time, with nothing under way.
    pub(super) fn give_back(&self, outputs: [Readback; 2]) {
        self.kept.borrow_mut().outputs = Some(outputs);
    }

    /// The crops of all batches, if the device has what they are cut from.
    fn crops(&self, batches: &Batches) -> Option<Vec<Crop>> {
        let clips = self.clips.as_ref()?;
        // Asked before the crops are made, which may take a look at every decibel.
        if !batches.clips().all(|clip| clips.place(clip).is_some()) {
            return None;
        }
        let crop = |crop: crate::dataset::Crop<'_>| {
            let place = clips.place(crop.clip)?;
            Some(Crop {
                chunk: place.chunk,
                first: place.frame + crop.start,
                floor: crop.floor,
                later: crop.changes.later,
                gain: crop.changes.gain,
                mean: crop.mean,
                time_masks: crop.changes.time_masks,
                mel_masks: crop.changes.mel_masks,
            })
        };
        batches.crops().into_iter().map(crop).collect()
    }

    fn gathered(&self, kept: &mut Kept, crops: &[Crop], batch_size: usize) -> Result<Way, GpuError> {
        // Never fewer than before: the kernel stays the same between training and evaluation.
        let masks = crops.iter().map(Crop::masks).max().unwrap_or(0).max(kept.masks);
        let mut rows = Vec::with_capacity(crops.len() * Gather::row(masks));
        crops.iter().for_each(|crop| crop.append(masks, &mut rows));
        let (table, is_new) = sent(&self.gpu, "crops", &mut kept.table, &rows)?;
        let gather = match kept.gather.take() {
            Some(gather) if !is_new && masks == kept.masks => gather,
            _ => {
                let chunks = self.clips.as_ref().map_or(&[][..], |clips| &clips.chunks);
                Rc::new(Gather::new(&self.gpu, chunks, &table, masks, &self.features)?)
            }
        };
        (kept.gather, kept.masks) = (Some(gather.clone()), masks);
        let chunks = |crops: &[Crop]| crops.iter().map(|crop| crop.chunk).collect::<BTreeSet<_>>().into_iter().collect();
        Ok(Way::Gathered(gather, crops.chunks(batch_size).map(chunks).collect()))
    }
}

/// Writes `words` into the table that is kept, or into a new one if that is too small; whether it is new.
fn sent(gpu: &Gpu, label: &str, kept: &mut Option<Tensor>, words: &[u32]) -> Result<(Tensor, bool), GpuError> {
    let (table, is_new) = match kept.take() {
        Some(table) if table.elements() >= words.len() => (table, false),
        _ => (gpu.tensor(label, Element::U32, &[words.len().next_power_of_two()])?, true),
    };
    gpu.write(&table, words);
    *kept = Some(table.clone());
    Ok((table, is_new))
}

impl Serving {
    /// Records the way of the next batch into the network; returns its size.
    ///
    /// # Panics
    /// If there is none.
    pub fn next(&mut self, pass: &mut Pass<'_>) -> Result<Size, GpuError> {
        let i = self.next;
        let (row, size) = (i * self.batch_size, Size { batch: self.sizes[i], frames: self.frames });
        self.next += 1;
        let copy = |pass: &mut Pass<'_>, [from, to]: &[Tensor; 2], first: usize, count: usize| {
            pass.copy(&from.view(first, &[count]), to, count);
        };
        copy(pass, &self.labels, row, size.batch);
        if let Some(seeds) = &self.seeds {
            copy(pass, seeds, 2 * i, 2);
        }
        match &mut self.way {
            Way::Gathered(gather, chunks) => gather.forward(pass, size, row, &chunks[i]),
            Way::Streamed(stream) => stream.next(pass, &self.features)?,
        }
        Ok(size)
    }

    /// To be called after each pass with a batch is submitted.
    pub fn submitted(&mut self) {
        if let Way::Streamed(stream) = &mut self.way {
            stream.submitted();
        }
    }
}

//! Batches: where the data meets the GPU.

use super::augment::{Augmentation, Changes};
use super::seed::generator;
use super::{Clip, Dataset, Split};
use crate::config::AugmentConfig;
use rand::RngExt;
use rand::seq::SliceRandom;
use rayon::prelude::*;
use std::sync::Arc;

/// Windows of several clips, ready to be uploaded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Frames of each window.
    pub frames: usize,
    /// Mel bands.
    pub n_mels: usize,
    /// Decibels, `(batch, frames, n_mels)`.
    pub features: Vec<f32>,
    /// Class of each window; 0 where there is none.
    pub labels: Vec<u32>,
    /// Index of each window's sample: into [`Dataset::samples`], or into the clips that were given.
    pub indices: Vec<usize>,
}

impl Batch {
    /// Windows in it.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

/// What a window is made of, for whoever has the clips elsewhere and makes batches there.
#[derive(Debug, Clone)]
pub struct Crop<'a> {
    /// What it is cut from.
    pub clip: &'a Arc<Clip>,
    /// Its first frame in the clip.
    pub start: usize,
    /// Decibels below this are raised to it.
    pub floor: Option<f32>,
    /// What then happens to it.
    pub changes: Changes,
    /// What the masks of `changes` are filled with.
    pub mean: f32,
}

/// Which windows of a clip are evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Windows {
    /// The one in the middle.
    Centre,
    /// All: consecutive, the last one aligned to the end.
    All,
}

/// A plan of batches, each made when asked for, in any order and on any thread.
#[derive(Debug, Clone)]
pub struct Batches {
    plan: Vec<Window>,
    frames: usize,
    n_mels: usize,
    batch_size: usize,
    /// Training alone has one.
    augmentation: Option<Augmentation>,
}

#[derive(Debug, Clone)]
struct Window {
    clip: Arc<Clip>,
    index: usize,
    label: u32,
    start: usize,
}

impl Batches {
    /// One epoch of training: every clip of the training part once, in an order and with a crop of [`Dataset::frames`]
    /// that `(seed, epoch)` alone decides, changed as `augment` says. The last batch may be smaller.
    pub fn training(data: &Dataset, batch_size: usize, augment: &AugmentConfig, seed: u64, epoch: u64) -> Self {
        let mut rng = generator(seed, &format!("epoch {epoch}"));
        let mut plan: Vec<Window> = data
            .part(Split::Train)
            .into_iter()
            .map(|index| {
                let room = data.samples[index].clip.frames() - data.frames;
                // Drawn even if it is not asked for, so that the order of the clips is the same either way.
                let random = rng.random_range(0..=room as u64) as usize;
                window(data, index, if augment.random_crop { random } else { room / 2 })
            })
            .collect();
        plan.shuffle(&mut rng);
        let augmentation = Some(Augmentation::new(augment, seed, epoch));
        Self { plan, frames: data.frames, n_mels: data.n_mels, batch_size, augmentation }
    }

    /// The windows of one part, in the order of its samples.
    pub fn evaluation(data: &Dataset, split: Split, batch_size: usize, windows: Windows) -> Self {
        let starts = |&index: &usize| data.samples[index].clip.starts(data.frames, windows);
        let part = data.part(split);
        let plan = part.iter().flat_map(|index| starts(index).into_iter().map(|start| window(data, *index, start))).collect();
        Self { plan, frames: data.frames, n_mels: data.n_mels, batch_size, augmentation: None }
    }

    /// The windows of clips without labels, in their order.
    pub fn unlabelled<'a>(
        clips: impl IntoIterator<Item = &'a Arc<Clip>>,
        frames: usize,
        batch_size: usize,
        windows: Windows,
    ) -> Self {
        let (mut plan, mut n_mels) = (Vec::new(), 0);
        for (index, clip) in clips.into_iter().enumerate() {
            n_mels = clip.n_mels();
            let starts = clip.starts(frames, windows).into_iter();
            plan.extend(starts.map(|start| Window { clip: clip.clone(), index, label: 0, start }));
        }
        Self { plan, frames, n_mels, batch_size, augmentation: None }
    }

    /// The same windows `times` over.
    pub fn repeated(mut self, times: usize) -> Self {
        self.plan = std::iter::repeat_n(self.plan, times).flatten().collect();
        self
    }

    /// The first `batches` of them.
    pub fn take(mut self, batches: usize) -> Self {
        self.plan.truncate(batches * self.batch_size);
        self
    }

    /// Number of batches.
    pub fn len(&self) -> usize {
        self.plan.len().div_ceil(self.batch_size)
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.plan.is_empty()
    }

    /// Windows over all batches.
    pub fn windows(&self) -> usize {
        self.plan.len()
    }

    /// Writes batch `i` into `batch`, reusing its memory.
    ///
    /// # Panics
    /// If `i` is not below [`Batches::len`].
    pub fn fill(&self, i: usize, batch: &mut Batch) {
        let end = ((i + 1) * self.batch_size).min(self.plan.len());
        let plan = &self.plan[i * self.batch_size..end];
        (batch.frames, batch.n_mels) = (self.frames, self.n_mels);
        batch.features.clear();
        batch.features.reserve(plan.len() * self.frames * self.n_mels);
        for window in plan {
            let begin = batch.features.len();
            window.clip.append_window(window.start, self.frames, &mut batch.features);
            if let Some(augmentation) = &self.augmentation {
                let changes = augmentation.draw(window.index, self.frames, self.n_mels);
                changes.apply(&mut batch.features[begin..], self.n_mels);
            }
        }
        batch.labels.clear();
        batch.labels.extend(plan.iter().map(|window| window.label));
        batch.indices.clear();
        batch.indices.extend(plan.iter().map(|window| window.index));
    }

    /// What every window is made of, batch after batch. It takes a look at the decibels only where masks or a floor depend on
    /// them, then with all cores.
    pub fn crops(&self) -> Vec<Crop<'_>> {
        let reads = self.augmentation.as_ref().is_some_and(Augmentation::masks);
        let crop = |window: &'_ Window, scratch: &mut Vec<f32>| {
            let Window { ref clip, index, start, .. } = *window;
            let augmentation = self.augmentation.as_ref();
            let changes = augmentation.map(|augmentation| augmentation.draw(index, self.frames, self.n_mels));
            let (changes, mut mean) = (changes.unwrap_or_default(), 0.0);
            if reads {
                scratch.clear();
                clip.append_window(start, self.frames, scratch);
                mean = changes.apply(scratch, self.n_mels);
            }
            (clip.floor(start, self.frames), changes, mean)
        };
        let made: Vec<_> = if reads || self.plan.iter().any(|window| window.clip.cuts_per_window()) {
            self.plan.par_iter().map_init(Vec::new, |scratch, window| crop(window, scratch)).collect()
        } else {
            self.plan.iter().map(|window| crop(window, &mut Vec::new())).collect()
        };
        let crop = |(window, (floor, changes, mean))| {
            let Window { clip, start, .. }: &Window = window;
            Crop { clip, start: *start, floor, changes, mean }
        };
        self.plan.iter().zip(made).map(crop).collect()
    }

    /// What every window is cut from.
    pub fn clips(&self) -> impl Iterator<Item = &Arc<Clip>> {
        self.plan.iter().map(|window| &window.clip)
    }

    /// Frames of each window.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Most windows of a batch.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    fn part(&self, i: usize) -> &[Window] {
        self.plan.chunks(self.batch_size).nth(i).unwrap_or_default()
    }

    /// Windows of batch `i`.
    pub fn windows_of(&self, i: usize) -> usize {
        self.part(i).len()
    }

    /// The labels of batch `i`, as [`Batches::fill`] gives them.
    pub fn labels(&self, i: usize) -> impl Iterator<Item = u32> + '_ {
        self.part(i).iter().map(|window| window.label)
    }

    /// The samples of batch `i`, as [`Batches::fill`] gives them.
    pub fn indices(&self, i: usize) -> impl Iterator<Item = usize> + '_ {
        self.part(i).iter().map(|window| window.index)
    }

    /// Every batch in turn, each in its own memory.
    pub fn iter(&self) -> impl Iterator<Item = Batch> + '_ {
        (0..self.len()).map(|i| {
            let mut batch = Batch::default();
            self.fill(i, &mut batch);
            batch
        })
    }
}

fn window(data: &Dataset, index: usize, start: usize) -> Window {
    let sample = &data.samples[index];
    Window { clip: sample.clip.clone(), index, label: sample.label as u32, start }
}

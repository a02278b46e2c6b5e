//! Training by turns, so that several networks can be timed beside each other: a machine that grows slower, or that does
//! something else for a while, then does so to all of them.

use super::TrainError;
use super::conclude::predict_from;
use super::device_clips::DeviceClips;
use super::epoch::train_epoch;
use super::event::{Event, Observer};
use super::session::Session;
use crate::config::Config;
use crate::dataset::{Batches, Dataset, Split};
use crate::gpu::Gpu;
use std::time::Instant;

/// A network that is trained by turns of an epoch, or of its beginning where that alone takes long. Its weights go nowhere.
pub struct Turns<'a> {
    session: Session<'a>,
    data: &'a Dataset,
    epoch: u64,
    /// Batches of a turn.
    batches: usize,
}

/// What one turn took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Turn {
    /// Batches that were trained.
    pub batches: usize,
    /// Batches of a whole epoch.
    pub of: usize,
    /// The share of the epoch's clips that they hold: the last batch of an epoch may be smaller.
    pub share: f64,
    /// Wall seconds.
    pub seconds: f64,
    /// Of these, the host's for seeing to it that the device has its batches.
    pub data_seconds: f64,
    /// Seconds that the device worked, where the adapter has timestamps.
    pub gpu_seconds: Option<f64>,
}

impl Turn {
    /// Whether it was shorter than an epoch.
    pub fn is_part(&self) -> bool {
        self.batches < self.of
    }

    /// What an epoch takes at its pace: the turn itself where it was one, else reckoned by its share of the clips.
    #[must_use]
    pub fn whole_epoch(self) -> Self {
        let (seconds, data_seconds) = (self.seconds / self.share, self.data_seconds / self.share);
        Self { seconds, data_seconds, gpu_seconds: self.gpu_seconds.map(|seconds| seconds / self.share), ..self }
    }
}

impl<'a> Turns<'a> {
    /// A network ready to be timed: trained for two batches, of which the first compiles its kernels and the second says
    /// how many batches fit into `most_seconds`.
    ///
    /// # Errors
    /// As training has them, divergence among them.
    pub fn open(
        gpu: &Gpu,
        clips: &DeviceClips,
        config: &'a Config,
        data: &'a Dataset,
        most_seconds: f64,
    ) -> Result<Self, TrainError> {
        let mut turns = Self { session: Session::open(gpu, clips, config, data)?, data, epoch: 0, batches: 1 };
        turns.turn()?;
        let second = turns.turn()?;
        let fitting = (most_seconds / second.seconds.max(1e-6)).ceil() as usize;
        turns.batches = fitting.clamp(1, second.of);
        Ok(turns)
    }

    /// Trains one turn.
    pub fn turn(&mut self) -> Result<Turn, TrainError> {
        self.epoch += 1;
        let Config { train, augment, .. } = self.session.config;
        let size = self.session.network.dimensions().batch;
        let epoch = Batches::training(self.data, size, augment, train.seed, self.epoch);
        let (of, clips) = (epoch.len(), epoch.windows());
        let batches = epoch.take(self.batches);
        let result = train_epoch(&self.session, self.epoch as usize, &batches, &mut Silence)?;
        self.session.steps += result.steps as u64;
        let (seconds, gpu_seconds) = (result.seconds, result.gpu_seconds);
        let share = batches.windows() as f64 / clips.max(1) as f64;
        Ok(Turn { batches: batches.len(), of, share, seconds, data_seconds: result.data_seconds, gpu_seconds })
    }

    /// Wall seconds that all windows of the test part take; none where it is empty.
    pub fn evaluation(&self) -> Result<Option<f64>, TrainError> {
        let first = self.data.part(Split::Test).into_iter().take(1);
        let samples: Vec<_> = first.map(|i| self.data.samples[i].clone()).collect();
        if samples.is_empty() {
            return Ok(None);
        }
        // One clip compiles what only evaluation uses.
        let Session { feed, network, .. } = &self.session;
        predict_from(feed, network, &Dataset { samples, ..self.data.clone() }, Split::Test)?;
        let begun = Instant::now();
        predict_from(feed, network, self.data, Split::Test)?;
        Ok(Some(begun.elapsed().as_secs_f64()))
    }
}

struct Silence;

impl Observer for Silence {
    fn event(&mut self, _: &Event) -> std::io::Result<()> {
        Ok(())
    }
}

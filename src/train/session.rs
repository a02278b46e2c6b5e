//! What a run holds on the device while it trains.

use super::checkpoint::NamedTensor;
use super::class_weights::class_weights;
use super::device_clips::DeviceClips;
use super::feed::Feed;
use super::{TrainError, weights};
use crate::config::Config;
use crate::dataset::{Batches, Dataset, MelStatistics, Split};
use crate::gpu::{Element, Gpu, Readback, Tensor, Timer};
use crate::models::{Dimensions, Network};
use crate::optim::{Accumulate, Optimizer, OptimizerSettings, Plateau, Schedule};
use std::cell::RefCell;

/// What a run holds while it trains.
pub(super) struct Session<'a> {
    pub config: &'a Config,
    pub network: Network,
    pub optimizer: Optimizer,
    /// Where an update is made of more than one batch.
    pub accumulate: Option<Accumulate>,
    pub class_weights: Vec<f32>,
    pub schedule: Schedule,
    pub plateau: Plateau,
    pub timer: Option<Timer>,
    /// Where batches come from.
    pub feed: Feed,
    /// What batches report.
    pub results: RefCell<Readback>,
    /// Updates so far.
    pub steps: u64,
    /// Where the running statistics wait while re-estimated ones are in their place.
    pub kept_statistics: Tensor,
    /// Of the training part, if the network wants it.
    pub standardisation: Option<MelStatistics>,
}

impl<'a> Session<'a> {
    /// Builds and initialises the network and its optimiser, then sees to it that `clips` are those of `data`: what is left
    /// of the device's memory is for them, never the other way round.
    pub fn open(gpu: &Gpu, clips: &DeviceClips, config: &'a Config, data: &Dataset) -> Result<Self, TrainError> {
        match Self::build(gpu, clips, config, data) {
            Err(error) if error.is_for_memory() && clips.release() => {
                tracing::info!(%error, "the data makes room for the network: batches are streamed");
                Self::build(gpu, clips, config, data)
            }
            outcome => outcome,
        }
    }

    fn build(gpu: &Gpu, clips: &DeviceClips, config: &'a Config, data: &Dataset) -> Result<Self, TrainError> {
        let recipe = &config.train;
        let gpu = &gpu.with_precision(recipe.precision);
        let train_clips = data.part(Split::Train).len();
        let dimensions = Dimensions {
            batch: recipe.batch_size.min(train_clips).max(1),
            frames: recipe.frames,
            mels: data.n_mels,
            classes: data.classes.len(),
        };
        let mut network = Network::new(gpu, &config.model, dimensions)?;
        network.initialise(recipe.seed);
        let class_weights = class_weights(recipe.class_weights, &data.class_counts(Split::Train));
        network.set_loss(recipe.label_smoothing, &class_weights);
        let standardisation = config.model.standardises_input().then(|| data.mel_statistics());
        if let Some(statistics) = &standardisation {
            network.set_standardisation(&statistics.mean, &statistics.std);
        }
        let parameters = network.parameters();
        let accumulate = (recipe.accumulation > 1).then(|| Accumulate::new(gpu, parameters)).transpose()?;
        let gradients = accumulate.as_ref().map_or(parameters.gradients().whole(), Accumulate::sum);
        let optimizer = Optimizer::with_gradients(gpu, parameters, gradients, OptimizerSettings::new(recipe))?;
        let updates = train_clips.div_ceil(dimensions.batch).div_ceil(recipe.accumulation);
        let kept = network.parameters().statistics().plan().elements();
        let kept_statistics = gpu.tensor("kept statistics", Element::F32, &[kept])?;
        Ok(Session {
            config,
            optimizer,
            accumulate,
            class_weights,
            schedule: Schedule::new(recipe, updates.max(1)),
            plateau: Plateau::default(),
            timer: Timer::new(gpu)?,
            steps: 0,
            kept_statistics,
            feed: Feed::of(&network, clips, data),
            results: RefCell::new(Readback::new(network.loss().results.elements())),
            network,
            standardisation,
        })
    }

    /// The sum of the labels' class weights over all batches of the update that batch `i` is a part of; none where each
    /// batch is an update of its own.
    pub fn divisor(&self, batches: &Batches, i: usize) -> Option<f32> {
        self.accumulate.as_ref()?;
        let first = i - i % self.config.train.accumulation;
        let parts = first..(first + self.config.train.accumulation).min(batches.len());
        let weights = parts.flat_map(|part| batches.labels(part)).map(|label| f64::from(self.class_weights[label as usize]));
        Some(weights.sum::<f64>() as f32)
    }

    /// Every parameter, running statistic and the standardisation, as a model file holds them.
    pub fn weights(&self) -> Result<Vec<NamedTensor>, TrainError> {
        let standardisation = self.standardisation.as_ref().map(|s| (s.mean.as_slice(), s.std.as_slice()));
        Ok(weights::export(&self.network, standardisation)?)
    }
}

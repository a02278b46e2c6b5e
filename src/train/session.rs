//! What a run holds on the device while it trains.

use super::checkpoint::NamedTensor;
use super::class_weights::class_weights;
use super::{TrainError, weights};
use crate::config::Config;
use crate::dataset::{Dataset, MelStatistics, Split};
use crate::gpu::{Element, Gpu, Tensor, Timer};
use crate::models::{Dimensions, Network};
use crate::optim::{Optimizer, OptimizerSettings};

/// What a run holds while it trains.
pub(super) struct Session<'a> {
    pub config: &'a Config,
    pub network: Network,
    pub optimizer: Optimizer,
    pub timer: Option<Timer>,
    pub learning_rate: f32,
    pub steps: u64,
    /// Where the running statistics wait while re-estimated ones are in their place.
    pub kept_statistics: Tensor,
    /// Of the training part, if the network wants it.
    pub standardisation: Option<MelStatistics>,
}

impl<'a> Session<'a> {
    /// Builds and initialises the network and its optimiser.
    pub fn open(gpu: &Gpu, config: &'a Config, data: &Dataset) -> Result<Self, TrainError> {
        let recipe = &config.train;
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
        let optimizer = Optimizer::new(gpu, network.parameters(), OptimizerSettings::new(recipe))?;
        let kept = network.parameters().statistics().plan().elements();
        Ok(Session {
            config,
            optimizer,
            timer: Timer::new(gpu)?,
            learning_rate: recipe.learning_rate,
            steps: 0,
            kept_statistics: gpu.tensor("kept statistics", Element::F32, &[kept])?,
            network,
            standardisation,
        })
    }

    /// Every parameter, running statistic and the standardisation, as a model file holds them.
    pub fn weights(&self) -> Result<Vec<NamedTensor>, TrainError> {
        let standardisation = self.standardisation.as_ref().map(|s| (s.mean.as_slice(), s.std.as_slice()));
        Ok(weights::export(&self.network, standardisation)?)
    }
}

//! A trained network from its file.

use super::checkpoint::fit;
use super::named_tensor::NamedTensor;
use super::{TrainError, weights};
use crate::config::Config;
use crate::gpu::Gpu;
use crate::models::{Dimensions, Network};
use std::path::Path;

/// Clips at once, at most: what is said of a clip does not depend on the batch, and the adapter may be a smaller one.
const MOST_AT_ONCE: usize = 32;

/// The network that `config` describes with `tensors`, read from `path`, loaded; in the precision that it was trained in.
pub fn restore(gpu: &Gpu, config: &Config, path: &Path, tensors: Vec<NamedTensor>) -> Result<Network, TrainError> {
    let dimensions = Dimensions {
        batch: config.train.batch_size.min(MOST_AT_ONCE),
        frames: config.train.frames,
        mels: config.features.n_mels,
        classes: config.data.classes.len(),
    };
    let network = Network::new(&gpu.with_precision(config.train.precision), &config.model, dimensions)?;
    let expected = weights::expected(network.parameters().declarations(), dimensions.mels, config.model.standardises_input());
    weights::import(&network, &fit(path, tensors, &expected)?);
    Ok(network)
}

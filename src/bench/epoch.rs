//! Seconds per epoch on a set of GTZAN's size that is made up in memory, by the epoch loop of training itself: batches
//! cut from the clips, trained, and their results read back.

use crate::config::{Config, ModelName};
use crate::dataset::{Clip, Dataset, Sample, Split};
use crate::features::Features;
use crate::gpu::Gpu;
use crate::train::{DeviceClips, Quartiles, TrainError, Turn, Turns, adapter_words};
use serde::Serialize;

/// Classes of the made-up set.
const CLASSES: usize = 10;
/// A network's time is parted into at least so many turns, if a batch does not take longer ..
const LEAST_TURNS: usize = 5;
/// .. and where whole epochs are short it gets no more than these.
const MOST_TURNS: usize = 15;

/// What is measured, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochOptions {
    /// Clips of the set, eight in ten of which are trained on.
    pub clips: usize,
    /// Wall seconds for each network after warming up; one turn is measured whatever it takes.
    pub seconds: f64,
}

impl Default for EpochOptions {
    /// GTZAN's clips.
    fn default() -> Self {
        Self { clips: 1000, seconds: 20.0 }
    }
}

/// One network's epoch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EpochMeasurement {
    /// Like `epoch_indrnn_c1000_t647_m128_b32`: network, clips of the set, frames, mel bands, batch.
    pub workload: String,
    /// The network, by its default settings and recipe.
    pub model: ModelName,
    /// `f32` or `mixed`
    pub precision: String,
    /// Median over the turns of the wall seconds of an epoch.
    pub seconds_per_epoch: f64,
    /// Its quartiles.
    pub seconds_per_epoch_q1: f64,
    /// See `seconds_per_epoch_q1`.
    pub seconds_per_epoch_q3: f64,
    /// Whether turns were shorter than an epoch, so that its seconds are reckoned from `batches_per_turn` of `batches`.
    pub reckoned: bool,
    /// Turns that were measured.
    pub turns: usize,
    /// Batches of each.
    pub batches_per_turn: usize,
    /// Batches of all of them.
    pub batches_timed: usize,
    /// Batches of an epoch.
    pub batches: usize,
    /// Clips of a batch.
    pub batch_size: usize,
    /// Clips of an epoch.
    pub train_clips: usize,
    /// Median of the device's seconds, where the adapter has timestamps.
    pub gpu_seconds: Option<f64>,
    /// Median of the host's seconds for seeing to it that the device has its batches.
    pub data_seconds: f64,
    /// Bytes of all tensors.
    pub peak_bytes: u64,
    /// The adapter, its backend and driver.
    pub adapter: String,
}

/// A network that takes its turns.
struct Running<'a> {
    config: &'a Config,
    turns: Turns<'a>,
    peak_bytes: u64,
    taken: Vec<Turn>,
}

impl Running<'_> {
    fn spent(&self) -> f64 {
        self.taken.iter().map(|turn| turn.seconds).sum()
    }
}

/// Measures `models` by turns, so that a machine that grows slower does so to all of them. `told` hears what is going on.
pub fn measure_epochs(
    gpu: &Gpu,
    models: &[ModelName],
    options: EpochOptions,
    mut told: impl FnMut(&str),
) -> Result<Vec<EpochMeasurement>, TrainError> {
    let mut configs: Vec<Config> = models.iter().map(|model| Config::new(*model)).collect();
    configs.iter_mut().for_each(|config| config.train.precision = gpu.precision());
    let defaults = Config::new(ModelName::Indrnn);
    told("making up the data");
    let data = made_up(options.clips, defaults.train.frames, defaults.features.n_mels);
    let (clips, mut networks) = (DeviceClips::default(), Vec::new());
    for config in &configs {
        told(&format!("warming up {}", config.model.name));
        let before = gpu.allocated_bytes();
        let turns = Turns::open(gpu, &clips, config, &data, options.seconds / LEAST_TURNS as f64)?;
        networks.push(Running { config, turns, peak_bytes: gpu.allocated_bytes() - before, taken: Vec::new() });
    }
    for round in 0..MOST_TURNS {
        // Whoever begins changes from round to round: nobody always follows the same one.
        let begins = usize::from(round > 0).min(networks.len());
        networks.rotate_left(begins);
        for network in networks.iter_mut().filter(|network| network.taken.is_empty() || network.spent() < options.seconds) {
            told(&format!("{}, turn {}", network.config.model.name, round + 1));
            network.taken.push(network.turns.turn()?);
        }
    }
    networks.sort_by_key(|network| models.iter().position(|model| *model == network.config.model.name));
    Ok(networks.iter().map(|network| measurement(gpu, network, &data)).collect())
}

fn measurement(gpu: &Gpu, network: &Running<'_>, data: &Dataset) -> EpochMeasurement {
    let Running { config, taken, peak_bytes, .. } = network;
    let epochs: Vec<Turn> = taken.iter().map(|turn| turn.whole_epoch()).collect();
    let quartiles = |values: Vec<f64>| Quartiles::of(&values).expect("every network takes a turn");
    let wall = quartiles(epochs.iter().map(|epoch| epoch.seconds).collect());
    let device: Option<Vec<f64>> = epochs.iter().map(|epoch| epoch.gpu_seconds).collect();
    let (model, batch_size, last) = (config.model.name, config.train.batch_size, taken[taken.len() - 1]);
    let (clips, frames, mels) = (data.samples.len(), data.frames, data.n_mels);
    EpochMeasurement {
        workload: format!("epoch_{model}_c{clips}_t{frames}_m{mels}_b{batch_size}"),
        model,
        precision: gpu.precision().to_string(),
        seconds_per_epoch: wall.median,
        seconds_per_epoch_q1: wall.lower,
        seconds_per_epoch_q3: wall.upper,
        reckoned: last.is_part(),
        turns: taken.len(),
        batches_per_turn: last.batches,
        batches_timed: taken.iter().map(|turn| turn.batches).sum(),
        batches: last.of,
        batch_size,
        train_clips: data.part(Split::Train).len(),
        gpu_seconds: device.map(|seconds| quartiles(seconds).median),
        data_seconds: quartiles(epochs.iter().map(|epoch| epoch.data_seconds).collect()).median,
        peak_bytes: *peak_bytes,
        adapter: adapter_words(gpu),
    }
}

/// Clips of noise between -80 and 0 dB, each in memory of its own: of every ten of a class eight to train on.
fn made_up(clips: usize, frames: usize, n_mels: usize) -> Dataset {
    let mut state = 1u32;
    let sample = |i: usize| {
        let mut decibels = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 * (80.0 / (1 << 24) as f32) - 80.0
        };
        let data = (0..frames * n_mels).map(|_| decibels()).collect();
        let split = match i / CLASSES % 10 {
            8 => Split::Valid,
            9 => Split::Test,
            _ => Split::Train,
        };
        let name = i.to_string();
        let clip = Clip::new(Features { frames, n_mels, data }, 30.0, None).into();
        Sample { path: name.clone().into(), label: i % CLASSES, split, group: name.clone(), content_hash: name, clip }
    };
    Dataset {
        classes: (0..CLASSES).map(|class| format!("class {class}")).collect(),
        n_mels,
        frames,
        samples: (0..clips).map(sample).collect(),
        bad: Vec::new(),
        duplicates: Vec::new(),
        warnings: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_is_parted_as_gtzan_usually_is() {
        let data = made_up(1000, 2, 3);
        assert_eq!(Split::ALL.map(|split| data.part(split).len()), [800, 100, 100]);
        assert_eq!(data.class_counts(Split::Train), [80; CLASSES]);
        assert_eq!(data.class_counts(Split::Test), [10; CLASSES]);
        let values: Vec<f32> = data.samples.iter().flat_map(|sample| sample.clip.decibels().to_vec()).collect();
        assert!(values.iter().all(|value| (-80.0..0.0).contains(value)));
        assert_ne!(data.samples[0].clip.decibels(), data.samples[1].clip.decibels());
    }
}

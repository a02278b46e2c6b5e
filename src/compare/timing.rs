//! Seconds per epoch, taken so that they can be compared: all networks train by turns, their first batches are not
//! counted, and what is said is the median with its quartiles.

use super::{CompareError, Entry, Study};
use crate::config::ModelName;
use crate::dataset::Dataset;
use crate::gpu::Gpu;
pub use crate::train::Quartiles;
use crate::train::{DeviceClips, Turns, adapter_words};
use serde::{Deserialize, Serialize};

/// What the genre study (GTZAN, a GeForce GPU) printed, in seconds per epoch: IndRNN 0.23, RNN 0.27, LSTM 0.68.
const PUBLISHED: [(ModelName, f64); 3] = [(ModelName::Indrnn, 0.23), (ModelName::Rnn, 0.27), (ModelName::Lstm, 0.68)];

/// Times of a study's networks on one adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// The adapter, its backend and driver.
    pub adapter: String,
    /// Clips of the training part.
    pub train_clips: usize,
    /// Clips of the test part.
    pub test_clips: usize,
    /// The networks, in the order of the study.
    pub models: Vec<ModelTiming>,
}

/// Times of one network. A turn that was shorter than an epoch counts by its share of the epoch's clips.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelTiming {
    /// Its name in the study's tables.
    pub model: String,
    /// Which network.
    pub name: ModelName,
    /// Batches of each turn.
    pub batches: usize,
    /// Batches of an epoch.
    pub of: usize,
    /// Wall seconds of an epoch's training steps, by each turn.
    pub epoch_seconds: Vec<f64>,
    /// Of these, the host's for cutting crops and handing them to the device.
    pub data_seconds: Vec<f64>,
    /// Seconds that the device worked, where the adapter has timestamps.
    pub gpu_seconds: Vec<Option<f64>>,
    /// Wall seconds for all windows of the test part.
    pub evaluation_seconds: Option<f64>,
}

impl ModelTiming {
    /// Nothing is measured yet.
    pub(super) fn new(model: String, name: ModelName) -> Self {
        let (epoch_seconds, data_seconds, gpu_seconds) = (Vec::new(), Vec::new(), Vec::new());
        Self { model, name, batches: 0, of: 0, epoch_seconds, data_seconds, gpu_seconds, evaluation_seconds: None }
    }
}

/// Trains every network of `study` for `rounds` turns of an epoch, or of `most_seconds`, one after the other in every
/// round. `data` gives each entry its data; `told` hears which network is measured.
pub fn time_epochs(
    gpu: &Gpu,
    study: &Study,
    rounds: usize,
    most_seconds: f64,
    mut data: impl FnMut(&Entry) -> Result<Dataset, CompareError>,
    mut told: impl FnMut(&str),
) -> Result<Timing, CompareError> {
    let failed = |model: usize| move |source| CompareError::Train { cell: format!("timing of {}", study.label(model)), source };
    let mut networks = Vec::new();
    for (model, entry) in study.models.iter().enumerate() {
        if let Some(config) = entry.config() {
            networks.push((model, config, data(entry)?));
        }
    }
    let [mut train_clips, mut test_clips] = [0, 0];
    let (clips, mut turns) = (DeviceClips::default(), Vec::new());
    for (model, config, data) in &networks {
        use crate::dataset::Split;
        (train_clips, test_clips) = (data.part(Split::Train).len(), data.part(Split::Test).len());
        told(&format!("warming up {}", study.label(*model)));
        let opened = Turns::open(gpu, &clips, config, data, most_seconds).map_err(failed(*model))?;
        turns.push((*model, opened, ModelTiming::new(study.label(*model), config.model.name)));
    }
    for round in 0..rounds {
        told(&format!("round {} of {rounds}", round + 1));
        // Whoever begins changes from round to round: nobody always follows the same one.
        turns.rotate_left(usize::from(round > 0));
        for (model, network, timing) in &mut turns {
            let turn = network.turn().map_err(failed(*model))?;
            (timing.batches, timing.of) = (turn.batches, turn.of);
            let epoch = turn.whole_epoch();
            timing.epoch_seconds.push(epoch.seconds);
            timing.data_seconds.push(epoch.data_seconds);
            timing.gpu_seconds.push(epoch.gpu_seconds);
        }
    }
    turns.sort_by_key(|(model, ..)| *model);
    told("evaluation");
    let mut models = Vec::new();
    for (model, network, mut timing) in turns {
        timing.evaluation_seconds = network.evaluation().map_err(failed(model))?;
        models.push(timing);
    }
    Ok(Timing { adapter: adapter_words(gpu), train_clips, test_clips, models })
}

/// One row of `timing.csv`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TimingRow {
    /// The network.
    pub model: String,
    /// `turns` where the networks were timed by turns, `training` where only the study's own epochs are known.
    pub source: &'static str,
    /// Epochs, or turns, that were measured.
    pub epochs: usize,
    /// Batches of each, and of a whole epoch.
    pub batches: usize,
    /// See `batches`.
    pub of: usize,
    /// Median of the wall seconds of an epoch's training steps.
    pub epoch_seconds: f64,
    /// Its quartiles.
    pub epoch_seconds_q1: f64,
    /// See `epoch_seconds_q1`.
    pub epoch_seconds_q3: f64,
    /// Median of the seconds that the device worked; absent where the adapter has no timestamps.
    pub gpu_seconds: Option<f64>,
    /// Median of the host's seconds for cutting crops and handing them over.
    pub data_seconds: Option<f64>,
    /// Seconds for all windows of the test part.
    pub evaluation_seconds: Option<f64>,
    /// `epoch_seconds` over IndRNN's.
    pub ratio: Option<f64>,
    /// The ratio that the genre study published.
    pub published_ratio: Option<f64>,
    /// The adapter, its backend and driver.
    pub adapter: String,
}

impl Timing {
    /// The table, in the order of the study.
    pub fn rows(&self) -> Vec<TimingRow> {
        self.models.iter().filter_map(|model| TimingRow::new(model, "turns", &self.adapter)).collect::<Vec<_>>().with_ratios()
    }
}

impl TimingRow {
    /// Of what was measured; none if nothing was. Ratios are set by [`WithRatios`].
    pub(super) fn new(model: &ModelTiming, source: &'static str, adapter: &str) -> Option<Self> {
        let epoch = Quartiles::of(&model.epoch_seconds)?;
        let gpu: Option<Vec<f64>> = model.gpu_seconds.iter().copied().collect();
        let median = |values: &[f64]| Quartiles::of(values).map(|quartiles| quartiles.median);
        let published = |name: ModelName| PUBLISHED.iter().find(|(other, _)| *other == name).map(|(_, seconds)| *seconds);
        Some(Self {
            model: model.model.clone(),
            source,
            epochs: model.epoch_seconds.len(),
            batches: model.batches,
            of: model.of,
            epoch_seconds: epoch.median,
            epoch_seconds_q1: epoch.lower,
            epoch_seconds_q3: epoch.upper,
            gpu_seconds: gpu.as_deref().and_then(median),
            data_seconds: median(&model.data_seconds),
            evaluation_seconds: model.evaluation_seconds,
            ratio: None,
            published_ratio: published(model.name).map(|seconds| seconds / PUBLISHED[0].1),
            adapter: adapter.into(),
        })
    }
}

pub(super) trait WithRatios {
    /// With each time over that of the first IndRNN on the same adapter.
    fn with_ratios(self) -> Self;
}

impl WithRatios for Vec<TimingRow> {
    fn with_ratios(mut self) -> Self {
        let indrnn = ModelName::Indrnn.to_string();
        let is_indrnn = |model: &str| model == indrnn || model.starts_with(&format!("{indrnn}-"));
        let bases: Vec<Option<f64>> = self
            .iter()
            .map(|row| {
                let base = self.iter().find(|other| is_indrnn(&other.model) && other.adapter == row.adapter)?;
                Some(base.epoch_seconds)
            })
            .collect();
        for (row, base) in self.iter_mut().zip(bases) {
            row.ratio = base.map(|base| row.epoch_seconds / base);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_over_indrnn_beside_the_published_ones() {
        let model = |name: ModelName, seconds: [f64; 3]| ModelTiming {
            model: name.to_string(),
            name,
            batches: 4,
            of: 4,
            epoch_seconds: seconds.to_vec(),
            data_seconds: vec![0.1; 3],
            gpu_seconds: vec![Some(1.0), None, Some(2.0)],
            evaluation_seconds: None,
        };
        let models = vec![model(ModelName::Lstm, [9.0, 6.0, 5.0]), model(ModelName::Indrnn, [2.0, 2.0, 8.0])];
        let rows = Timing { adapter: "an adapter".into(), train_clips: 1, test_clips: 1, models }.rows();
        assert_eq!((rows[0].ratio, rows[1].ratio), (Some(3.0), Some(1.0)));
        assert!((rows[0].published_ratio.unwrap() - 2.96).abs() < 0.005);
        assert_eq!(rows[0].gpu_seconds, None, "a turn that was not timed leaves nothing to say");
    }
}

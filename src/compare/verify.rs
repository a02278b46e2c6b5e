//! Predicting a capsule's test clips again, on the adapter at hand.

use super::{Capsule, CapsuleError, Cell, CompareError};
use crate::config::{Config, ConfigError};
use crate::dataset::{Collection, Dataset, DatasetError, KeptSplits, Sample, Split};
use crate::gpu::Gpu;
use crate::models::{Dimensions, Network};
use crate::train::checkpoint::{MODEL_FILE, fit};
use crate::train::metrics::most_likely;
use crate::train::named_tensor::decode;
use crate::train::{TrainError, predict_part, weights};
use serde::Serialize;
use std::collections::HashMap;
use std::path::Path;

/// Why a capsule could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The capsule.
    #[error(transparent)]
    Capsule(#[from] CapsuleError),
    /// A configuration in it.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The network.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A training.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// The data lacks what was tested.
    #[error("{missing} of {clips} {kind} of {cell} are not in the data: give the data that the study was made with")]
    MissingClips {
        /// The run.
        cell: String,
        /// `test clips`, or `clips` of all parts.
        kind: &'static str,
        /// Clips that are not there, by content.
        missing: usize,
        /// Clips that should be.
        clips: usize,
    },
}

/// One run, predicted again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// The run.
    pub cell: String,
    /// Test clips compared.
    pub clips: usize,
    /// Clips that are named otherwise now.
    pub different: usize,
    /// The largest difference of a probability.
    pub largest_difference: f64,
    /// Whether no bit of any probability differs.
    pub same_bits: bool,
    /// Accuracy by the capsule's predictions, 0..1.
    pub published_accuracy: f64,
    /// Accuracy now, 0..1.
    pub accuracy: f64,
}

/// Predicts the test clips of every run again. `load` gives the data as a configuration reads it; it is parted as the
/// capsule says, clip by clip by content. Runs without weights (those that diverged) are passed over.
pub fn verify(
    gpu: &Gpu,
    capsule: &Capsule,
    mut load: impl FnMut(&Config) -> Result<Collection, DatasetError>,
) -> Result<Vec<Verdict>, VerifyError> {
    let mut verdicts = Vec::new();
    for cell in capsule.study.cells() {
        let Some(model) = capsule.file(&cell, MODEL_FILE) else { continue };
        let config = config(capsule, &cell)?;
        let tested = Tested::of(capsule, &cell, &load(&config)?)?;
        let network = restore(gpu, &config, model)?;
        let predictions = predict_part(&network, &tested.data, Split::Test)?;
        let probabilities: Vec<&[f32]> = predictions.iter().map(|p| p.probabilities.as_slice()).collect();
        verdicts.push(tested.verdict(&cell, &probabilities));
    }
    Ok(verdicts)
}

/// The configuration of a cell.
pub(super) fn config(capsule: &Capsule, cell: &Cell) -> Result<Config, VerifyError> {
    let text = String::from_utf8_lossy(file(capsule, cell, "config.toml")?);
    Ok(Config::from_text(&text, &capsule.path().join("config.toml"))?)
}

fn file<'a>(capsule: &'a Capsule, cell: &Cell, name: &str) -> Result<&'a [u8], CapsuleError> {
    let missing = || CapsuleError::Tampered { path: capsule.path().into(), problem: format!("cells/{cell}/{name} is missing") };
    capsule.file(cell, name).ok_or_else(missing)
}

fn restore(gpu: &Gpu, config: &Config, model: &[u8]) -> Result<Network, VerifyError> {
    let train = &config.train;
    let classes = config.data.classes.len();
    let dimensions = Dimensions { batch: train.batch_size.min(32), frames: train.frames, mels: config.features.n_mels, classes };
    let network = Network::new(gpu, &config.model, dimensions).map_err(TrainError::from)?;
    let expected = weights::expected(network.parameters().declarations(), dimensions.mels, config.model.standardises_input());
    let tensors = decode(Path::new(MODEL_FILE), model).and_then(|tensors| fit(Path::new(MODEL_FILE), tensors, &expected));
    weights::import(&network, &tensors.map_err(TrainError::from)?);
    Ok(network)
}

/// The data of a run as it was given it, and what it said of the test clips.
pub(super) struct Tested {
    /// Clips that the capsule does not know are no part of it.
    pub data: Dataset,
    /// Clips of all parts that the capsule names.
    pub clips: usize,
    /// Of each test clip, in the order of `data`.
    pub published: Vec<Vec<f32>>,
}

impl Tested {
    /// Finds a run's clips again.
    pub fn of(capsule: &Capsule, cell: &Cell, collection: &Collection) -> Result<Self, VerifyError> {
        let kept = KeptSplits::parse(Path::new("splits.csv"), file(capsule, cell, "splits.csv")?)?;
        let mut data = collection.for_kept(&kept);
        let names = kept.restore(&mut data);
        let mut published = published(capsule, cell)?;
        let clips = published.len();
        let there: Vec<Vec<f32>> = data.part(Split::Test).into_iter().filter_map(|i| published.remove(&names[i])).collect();
        if !published.is_empty() {
            let missing = published.len();
            return Err(VerifyError::MissingClips { cell: cell.to_string(), kind: "test clips", missing, clips });
        }
        if there.len() != kept.clips_of(Split::Test) {
            let problem = format!("the predictions of cells/{cell} are not those of the test part of its splits.csv");
            return Err(CapsuleError::Tampered { path: capsule.path().into(), problem }.into());
        }
        Ok(Self { data, clips: kept.clips(), published: there })
    }

    /// The group of each test clip, and whether it was named rightly.
    pub fn right(&self) -> Vec<(&str, bool)> {
        let tested = self.data.part(Split::Test).into_iter().map(|i| &self.data.samples[i]);
        let right = |(sample, then): (_, &Vec<f32>)| {
            let sample: &Sample = sample;
            (sample.group.as_str(), most_likely(then) as usize == sample.label)
        };
        tested.zip(&self.published).map(right).collect()
    }

    /// Compares what is said of the test clips now, in their order.
    pub fn verdict(&self, cell: &Cell, now: &[&[f32]]) -> Verdict {
        let labels = self.data.part(Split::Test).into_iter().map(|i| self.data.samples[i].label);
        let mut verdict = Verdict {
            cell: cell.to_string(),
            clips: self.published.len(),
            different: 0,
            largest_difference: 0.0,
            same_bits: true,
            published_accuracy: 0.0,
            accuracy: 0.0,
        };
        let (mut right_then, mut right_now) = (0, 0);
        for ((then, now), label) in self.published.iter().zip(now).zip(labels) {
            let (named_then, named_now) = (most_likely(then), most_likely(now));
            verdict.different += usize::from(named_then != named_now);
            right_then += usize::from(named_then as usize == label);
            right_now += usize::from(named_now as usize == label);
            let differences = then.iter().zip(*now).map(|(a, b)| f64::from((a - b).abs()));
            verdict.largest_difference = differences.fold(verdict.largest_difference, f64::max);
            verdict.same_bits &= then.iter().map(|p| p.to_bits()).eq(now.iter().map(|p| p.to_bits()));
        }
        let share = |right: usize| right as f64 / verdict.clips.max(1) as f64;
        (verdict.published_accuracy, verdict.accuracy) = (share(right_then), share(right_now));
        verdict
    }
}

/// The published probabilities of each test clip, by the name that it had.
fn published(capsule: &Capsule, cell: &Cell) -> Result<HashMap<String, Vec<f32>>, VerifyError> {
    let name = format!("predictions-{}.csv", capsule.study.epochs(cell));
    let table = rows(file(capsule, cell, &name)?);
    let rows = table.map_err(|problem| CapsuleError::Tampered {
        path: capsule.path().into(),
        problem: format!("cells/{cell}/{name}: {problem}"),
    })?;
    Ok(rows.into_iter().collect())
}

/// Each clip's name and probabilities in a `predictions.csv`.
pub(super) fn rows(table: &[u8]) -> Result<Vec<(String, Vec<f32>)>, String> {
    let mut rows = Vec::new();
    for record in csv::Reader::from_reader(table).records() {
        let record = record.map_err(|error| error.to_string())?;
        let probabilities: Option<Vec<f32>> = record.iter().skip(3).map(|number| number.parse().ok()).collect();
        let (Some(name), Some(probabilities)) = (record.get(0), probabilities) else { return Err("a row is no row".into()) };
        rows.push((name.to_owned(), probabilities));
    }
    Ok(rows)
}

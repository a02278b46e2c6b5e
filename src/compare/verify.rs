//! Predicting a capsule's test clips again, on the adapter at hand.

use super::{Capsule, CapsuleError, Cell};
use crate::config::{Config, ConfigError};
use crate::dataset::{Dataset, DatasetError, KeptSplits, Split};
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
    /// The data lacks what was tested.
    #[error("{missing} of {clips} test clips of {cell} are not in the data: give the data that the study was made with")]
    MissingClips {
        /// The run.
        cell: String,
        /// Test clips that are not there, by content.
        missing: usize,
        /// Test clips.
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
    /// Accuracy by the capsule's predictions, 0..1.
    pub published_accuracy: f64,
    /// Accuracy now, 0..1.
    pub accuracy: f64,
}

/// Predicts the test clips of every run again. `load` gives the data as a configuration reads it; its split is replaced by
/// the capsule's, clip by clip by content. Runs that diverged are passed over.
pub fn verify(
    gpu: &Gpu,
    capsule: &Capsule,
    mut load: impl FnMut(&Config) -> Result<Dataset, DatasetError>,
) -> Result<Vec<Verdict>, VerifyError> {
    let mut verdicts = Vec::new();
    for cell in capsule.study.cells() {
        let Some(model) = capsule.file(&cell, MODEL_FILE) else { continue };
        let config = config(capsule, &cell)?;
        let mut data = load(&config)?;
        let splits = file(capsule, &cell, "splits.csv")?;
        KeptSplits::parse(Path::new("splits.csv"), splits)?.apply(&mut data);
        verdicts.push(check(gpu, capsule, &cell, &config, &data, model)?);
    }
    Ok(verdicts)
}

fn file<'a>(capsule: &'a Capsule, cell: &Cell, name: &str) -> Result<&'a [u8], CapsuleError> {
    let missing = || CapsuleError::Tampered { path: capsule.path().into(), problem: format!("cells/{cell}/{name} is missing") };
    capsule.file(cell, name).ok_or_else(missing)
}

fn config(capsule: &Capsule, cell: &Cell) -> Result<Config, VerifyError> {
    let text = String::from_utf8_lossy(file(capsule, cell, "config.toml")?);
    Ok(Config::from_text(&text, &capsule.path().join("config.toml"))?)
}

fn check(
    gpu: &Gpu,
    capsule: &Capsule,
    cell: &Cell,
    config: &Config,
    data: &Dataset,
    model: &[u8],
) -> Result<Verdict, VerifyError> {
    let published = published(capsule, cell)?;
    let there: std::collections::HashSet<&str> = data.samples.iter().map(|sample| sample.content_hash.as_str()).collect();
    let missing = published.keys().filter(|content| !there.contains(content.as_str())).count();
    if missing > 0 {
        return Err(VerifyError::MissingClips { cell: cell.to_string(), missing, clips: published.len() });
    }
    let train = &config.train;
    let classes = config.data.classes.len();
    let dimensions = Dimensions { batch: train.batch_size.min(32), frames: train.frames, mels: config.features.n_mels, classes };
    let network = Network::new(gpu, &config.model, dimensions).map_err(TrainError::from)?;
    let expected = weights::expected(network.parameters().declarations(), dimensions.mels, config.model.standardises_input());
    let tensors = decode(Path::new(MODEL_FILE), model).and_then(|tensors| fit(Path::new(MODEL_FILE), tensors, &expected));
    weights::import(&network, &tensors.map_err(TrainError::from)?);
    let predictions = predict_part(&network, data, Split::Test)?;
    let tested: Vec<&crate::dataset::Sample> = data.part(Split::Test).into_iter().map(|i| &data.samples[i]).collect();
    let mut verdict = Verdict {
        cell: cell.to_string(),
        clips: 0,
        different: 0,
        largest_difference: 0.0,
        published_accuracy: 0.0,
        accuracy: 0.0,
    };
    let (mut right_then, mut right_now) = (0, 0);
    // Clips that the capsule does not know are no part of what it claims.
    for (sample, prediction) in tested.iter().zip(&predictions) {
        let Some(then) = published.get(&sample.content_hash) else { continue };
        let (named_then, named_now) = (most_likely(then), prediction.class());
        verdict.clips += 1;
        verdict.different += usize::from(named_then != named_now);
        right_then += usize::from(named_then as usize == sample.label);
        right_now += usize::from(named_now as usize == sample.label);
        let differences = then.iter().zip(&prediction.probabilities).map(|(a, b)| f64::from((a - b).abs()));
        verdict.largest_difference = differences.fold(verdict.largest_difference, f64::max);
    }
    let share = |right: usize| right as f64 / verdict.clips.max(1) as f64;
    (verdict.published_accuracy, verdict.accuracy) = (share(right_then), share(right_now));
    Ok(verdict)
}

/// The published probabilities of each test clip, by content.
fn published(capsule: &Capsule, cell: &Cell) -> Result<HashMap<String, Vec<f32>>, VerifyError> {
    let name = format!("predictions-{}.csv", capsule.study.epochs(cell));
    let damaged = |what: &str, error: String| CapsuleError::Tampered {
        path: capsule.path().into(),
        problem: format!("cells/{cell}/{what}: {error}"),
    };
    let mut content_of: HashMap<String, String> = HashMap::new();
    for record in csv::Reader::from_reader(file(capsule, cell, "splits.csv")?).records() {
        let record = record.map_err(|error| damaged("splits.csv", error.to_string()))?;
        if let (Some(path), Some(content)) = (record.get(0), record.get(4)) {
            content_of.insert(path.into(), content.into());
        }
    }
    let mut published = HashMap::new();
    for record in csv::Reader::from_reader(file(capsule, cell, &name)?).records() {
        let record = record.map_err(|error| damaged(&name, error.to_string()))?;
        let probabilities: Option<Vec<f32>> = record.iter().skip(3).map(|number| number.parse().ok()).collect();
        let content = record.get(0).and_then(|path| content_of.get(path));
        let (Some(probabilities), Some(content)) = (probabilities, content) else {
            return Err(damaged(&name, "a row that belongs to no clip, or is no row".into()).into());
        };
        published.insert(content.clone(), probabilities);
    }
    Ok(published)
}

//! Predicting a capsule's test clips again, on the adapter at hand; and whether it is worth that: [`Capsule::check`] holds
//! its figures against each other, and its splits are drawn again.

use super::predictions::Predictions;
use super::redraw::redraw;
use super::results::predictions_file;
use super::{Capsule, CapsuleError, Cell, CompareError, Entry};
use crate::config::{Config, ConfigError, ModelName};
use crate::dataset::{Collection, Dataset, DatasetError, KeptSplits, Split};
use crate::gpu::Gpu;
use crate::train::baseline::Baseline;
use crate::train::checkpoint::MODEL_FILE;
use crate::train::metrics::most_likely;
use crate::train::named_tensor::decode;
use crate::train::{TrainError, predict_part, restore};
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
    /// The data label clips otherwise.
    #[error("{cell}: {others} of {clips} clips have another label in the data than in the capsule: {first}")]
    OtherLabels {
        /// The run.
        cell: String,
        /// Clips with another label.
        others: usize,
        /// Clips that are in both.
        clips: usize,
        /// The first of them with its two labels.
        first: String,
    },
    /// A split that was not drawn.
    #[error(
        "{cell}: the split is not the one that the protocol and seed draw: {others} of {clips} clips are on other sides, {left_out} \
         of the data are left out; if the study had groups or a split of a manifest, give that manifest"
    )]
    OtherSplit {
        /// The run.
        cell: String,
        /// Clips on other sides.
        others: usize,
        /// Clips of the split.
        clips: usize,
        /// Files of the data that are not in it.
        left_out: usize,
    },
}

/// What checking a capsule came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verification {
    /// Every run with weights or, of the baseline, that could be fitted again; without those that had no test part.
    pub verdicts: Vec<Verdict>,
    /// What could not be checked, and what a person should know, in words.
    pub warnings: Vec<String>,
}

impl Verification {
    /// Whether all of it came out again.
    pub fn holds(&self) -> bool {
        self.verdicts.iter().all(Verdict::holds)
    }

    fn warn(&mut self, warning: Option<String>) {
        self.warnings.extend(warning.filter(|warning| !self.warnings.contains(warning)));
    }
}

/// The baseline is fitted on the processor: only its rounding may differ.
const BASELINE_TOLERANCE: f64 = 1e-4;

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
    /// The largest one that is allowed; none where the adapter decides.
    pub tolerance: Option<f64>,
    /// Whether no bit of any probability differs.
    pub same_bits: bool,
    /// Accuracy by the capsule's predictions, 0..1.
    pub published_accuracy: f64,
    /// Accuracy now, 0..1.
    pub accuracy: f64,
}

impl Verdict {
    /// Whether every clip is named as it was, and no probability differs by more than is allowed.
    pub fn holds(&self) -> bool {
        self.different == 0 && self.tolerance.is_none_or(|tolerance| self.largest_difference <= tolerance)
    }
}

/// Checks the capsule's figures against its predictions, draws its splits again, and predicts the test clips of every run
/// again; the baseline is fitted again for that. `load` gives the data as a configuration reads it; it is parted as the
/// capsule says, clip by clip by content. Runs that diverged or had no test part are passed over.
pub fn verify(
    gpu: &Gpu,
    capsule: &Capsule,
    mut load: impl FnMut(&Config) -> Result<Collection, DatasetError>,
) -> Result<Verification, VerifyError> {
    let mut verification = Verification { verdicts: Vec::new(), warnings: capsule.check()? };
    for cell in capsule.study.cells() {
        if capsule.file(&cell, &predictions_file(capsule.study.epochs(&cell))).is_none() {
            continue;
        }
        let config = config(capsule, &cell)?;
        let tested = Tested::of(capsule, &cell, &load(&config)?)?;
        verification.warn(tested.warning.clone());
        let predictions = match capsule.file(&cell, MODEL_FILE) {
            Some(model) => {
                let path = Path::new(MODEL_FILE);
                let tensors = decode(path, model).map_err(TrainError::from)?;
                predict_part(&restore(gpu, &config, path, tensors)?, &tested.data, Split::Test)?
            }
            None if tested.data.samples.len() < tested.clips => {
                verification.warn(Some("the baseline was not checked: clips that it was fitted to are not in the data".into()));
                continue;
            }
            None => Baseline::fit(&tested.data).map_err(CompareError::from)?.predict_part(&tested.data, Split::Test),
        };
        let probabilities: Vec<&[f32]> = predictions.iter().map(|p| p.probabilities.as_slice()).collect();
        let verdict = tested.verdict(&cell, &probabilities);
        let tolerance = matches!(capsule.study.models[cell.model], Entry::Baseline(_)).then_some(BASELINE_TOLERANCE);
        verification.verdicts.push(Verdict { tolerance, ..verdict });
    }
    Ok(verification)
}

/// The configuration of a cell; of the baseline, which has none of its own, one that reads the data as it did.
pub(super) fn config(capsule: &Capsule, cell: &Cell) -> Result<Config, VerifyError> {
    if let Entry::Baseline(reading) = &capsule.study.models[cell.model] {
        let mut config = Config::new(ModelName::Indrnn);
        (config.data, config.features, config.train.frames) = (reading.data.clone(), reading.features.clone(), reading.frames);
        config.data.classes = published(capsule, cell)?.classes;
        return Ok(config);
    }
    let text = String::from_utf8_lossy(file(capsule, cell, "config.toml")?);
    Ok(Config::from_text(&text, &capsule.path().join("config.toml"))?)
}

fn file<'a>(capsule: &'a Capsule, cell: &Cell, name: &str) -> Result<&'a [u8], CapsuleError> {
    let missing = || CapsuleError::Tampered { path: capsule.path().into(), problem: format!("cells/{cell}/{name} is missing") };
    capsule.file(cell, name).ok_or_else(missing)
}

/// The data of a run as it was given it, and what it said of the test clips.
pub(super) struct Tested {
    /// Clips that the capsule does not know are no part of it.
    pub data: Dataset,
    /// Clips of all parts that the capsule names.
    pub clips: usize,
    /// Of each test clip, in the order of `data`.
    pub published: Vec<Vec<f32>>,
    /// Of each test clip, as the capsule has it, and so the data.
    labels: Vec<usize>,
    /// What a person should know of the split, in words.
    pub warning: Option<String>,
}

impl Tested {
    /// Finds a run's clips again.
    pub fn of(capsule: &Capsule, cell: &Cell, collection: &Collection) -> Result<Self, VerifyError> {
        let kept = KeptSplits::parse(Path::new("splits.csv"), file(capsule, cell, "splits.csv")?)?;
        let mut data = collection.for_kept(&kept);
        let names = kept.restore(&mut data);
        let rows = self::published(capsule, cell)?.rows;
        let mut published: HashMap<String, (usize, Vec<f32>)> =
            rows.into_iter().map(|row| (row.path, (row.label, row.probabilities))).collect();
        let clips = published.len();
        let there = data.part(Split::Test).into_iter().filter_map(|i| published.remove(&names[i]));
        let (labels, there): (Vec<usize>, Vec<Vec<f32>>) = there.unzip();
        if !published.is_empty() {
            let missing = published.len();
            return Err(VerifyError::MissingClips { cell: cell.to_string(), kind: "test clips", missing, clips });
        }
        if there.len() != kept.part(Split::Test).count() {
            let problem = format!("the predictions of cells/{cell} are not those of the test part of its splits.csv");
            return Err(CapsuleError::Tampered { path: capsule.path().into(), problem }.into());
        }
        same_labels(cell, &kept, &data, &names)?;
        let warning = redraw(capsule, cell, collection, &kept)?;
        Ok(Self { data, clips: kept.clips(), published: there, labels, warning })
    }

    /// The group of each test clip, and whether it was named rightly.
    pub fn right(&self) -> Vec<(&str, bool)> {
        let groups = self.data.part(Split::Test).into_iter().map(|i| self.data.samples[i].group.as_str());
        let right = self.published.iter().zip(&self.labels).map(|(then, &label)| most_likely(then) as usize == label);
        groups.zip(right).collect()
    }

    /// Compares what is said of the test clips now, in their order.
    pub fn verdict(&self, cell: &Cell, now: &[&[f32]]) -> Verdict {
        let mut verdict = Verdict {
            cell: cell.to_string(),
            clips: self.published.len(),
            different: 0,
            largest_difference: 0.0,
            tolerance: None,
            same_bits: true,
            published_accuracy: 0.0,
            accuracy: 0.0,
        };
        let (mut right_then, mut right_now) = (0, 0);
        for ((then, now), label) in self.published.iter().zip(now).zip(&self.labels) {
            let (named_then, named_now) = (most_likely(then), most_likely(now));
            verdict.different += usize::from(named_then != named_now);
            right_then += usize::from(named_then as usize == *label);
            right_now += usize::from(named_now as usize == *label);
            let differences = then.iter().zip(*now).map(|(a, b)| f64::from((a - b).abs()));
            verdict.largest_difference = differences.fold(verdict.largest_difference, f64::max);
            verdict.same_bits &= then.iter().map(|p| p.to_bits()).eq(now.iter().map(|p| p.to_bits()));
        }
        let share = |right: usize| right as f64 / verdict.clips.max(1) as f64;
        (verdict.published_accuracy, verdict.accuracy) = (share(right_then), share(right_now));
        verdict
    }
}

/// Refuses data that label a clip otherwise: accuracies of other labels are no check.
fn same_labels(cell: &Cell, kept: &KeptSplits, data: &Dataset, names: &[String]) -> Result<(), VerifyError> {
    let labels = kept.labels();
    let mut others = data.samples.iter().zip(names).filter_map(|(sample, name)| {
        let (now, then) = (data.classes[sample.label].as_str(), *labels.get(name.as_str())?);
        (now != then).then(|| format!("{name} is {now} and was {then}"))
    });
    let Some(first) = others.next() else { return Ok(()) };
    Err(VerifyError::OtherLabels { cell: cell.to_string(), others: 1 + others.count(), clips: names.len(), first })
}

/// What was said of a run's test clips.
pub(super) fn published(capsule: &Capsule, cell: &Cell) -> Result<Predictions, CapsuleError> {
    let name = predictions_file(capsule.study.epochs(cell));
    let table = Predictions::parse(file(capsule, cell, &name)?);
    table.map_err(|problem| capsule.contradiction(format!("cells/{cell}/{name}"), problem))
}

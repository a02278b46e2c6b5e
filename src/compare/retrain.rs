//! Training a capsule's runs again, on the adapter at hand, and whether that comes to what was published.
//!
//! On the adapter that they were made on, the same bits come out. On another, rounding parts the trainings, and each is as
//! good as one of another seed; so the question is whether the new accuracies lie where another seed's would
//! ([`super::statistics::spread()`]). One seed has no spread, and that of two on one split could be anything: such runs are
//! held against the interval that whole groups of test clips give, which says less, and the outcome says so.

use super::predictions::Predictions;
use super::results::predictions_file;
use super::statistics::{Block, spread};
use super::verify::{Tested, config, published};
use super::{Capsule, CapsuleError, Cell, CompareError, StudyDirectory, StudyError, Verdict, VerifyError, run};
use crate::config::Config;
use crate::dataset::{Collection, DatasetError};
use crate::gpu::Gpu;
use crate::train::checkpoint::MODEL_FILE;
use crate::train::event::Observer;
use crate::train::metrics::accuracy_ci95;
use crate::train::run_directory::RunDirectory;
use crate::train::{DeviceClips, TrainError};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// One run, trained again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Retrained {
    /// The run.
    pub cell: String,
    /// Its network, as tables call it.
    pub network: String,
    /// Accuracy by the capsule's predictions, 0..1.
    pub published_accuracy: f64,
    /// What the new weights say of the test clips; none where it diverged.
    pub again: Option<Verdict>,
    /// The epoch in which it diverged, which it had not when it was published.
    pub diverged_in: Option<usize>,
}

/// What a network's runs came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// The network, as tables call it.
    pub network: String,
    /// Runs that were trained again.
    pub runs: usize,
    /// Seeds that were published.
    pub seeds: usize,
    /// Mean accuracy of the published runs on the same test parts, or of those that were trained again where the seeds are
    /// too few, 0..1.
    pub published_accuracy: f64,
    /// The lowest and the highest mean of a published seed.
    pub seed_range: [f64; 2],
    /// Mean accuracy now; none where a run diverged.
    pub accuracy: Option<f64>,
    /// Where it should lie: a 95 % interval; none with one seed and one group.
    pub interval: Option<[f64; 2]>,
    /// Where the interval comes from.
    pub method: &'static str,
    /// Whether it lies there, or no bit differs; none without an interval.
    pub within: Option<bool>,
    /// Whether no bit of any probability differs.
    pub same_bits: bool,
}

/// What training again came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Retraining {
    /// Every run that was trained again.
    pub cells: Vec<Retrained>,
    /// Every network that has one.
    pub networks: Vec<Outcome>,
    /// What could not be checked, and what a person should know, in words.
    pub warnings: Vec<String>,
}

const BY_SEEDS: &str = "95 % prediction interval from the spread of the published seeds";
const BY_GROUPS: &str = "95 % interval over groups of test clips, since so few seeds have no spread to speak of";

/// Trains the runs of a capsule that are `wanted` again in `directory`, which is of the capsule's study; what is finished
/// there is taken as it is. `load` gives the data as a configuration reads it; `observe` is told which run begins, its
/// place among them and their number. Runs without weights (those that diverged) are passed over.
pub fn retrain(
    gpu: &Gpu,
    capsule: &Capsule,
    wanted: impl Fn(&Cell) -> bool,
    directory: &StudyDirectory,
    mut load: impl FnMut(&Config) -> Result<Collection, DatasetError>,
    mut observe: impl FnMut(&Cell, &RunDirectory, usize, usize) -> std::io::Result<Box<dyn Observer>>,
) -> Result<Retraining, VerifyError> {
    let mut warnings = capsule.check()?;
    let cells: Vec<Cell> = trainable(capsule).into_iter().filter(|cell| wanted(cell)).collect();
    let mut runs = Vec::new();
    for (place, cell) in cells.iter().enumerate() {
        let config = config(capsule, cell)?;
        let tested = Tested::of(capsule, cell, &load(&config)?)?;
        warnings.extend(tested.warning.clone().filter(|warning| !warnings.contains(warning)));
        let missing = tested.clips - tested.data.samples.len();
        if missing > 0 {
            return Err(VerifyError::MissingClips { cell: cell.to_string(), kind: "clips", missing, clips: tested.clips });
        }
        let begin = |run: &RunDirectory| observe(cell, run, place, cells.len());
        let again = train(gpu, capsule, cell, &config, &tested, directory, begin)?;
        runs.push((cell, tested, again));
    }
    let mut outcome = Retraining { cells: Vec::new(), networks: Vec::new(), warnings };
    for (cell, tested, again) in &runs {
        let probabilities: Vec<&[f32]> = again.iter().flatten().map(Vec::as_slice).collect();
        let verdict = again.as_ref().ok().map(|_| tested.verdict(cell, &probabilities));
        outcome.cells.push(Retrained {
            cell: cell.to_string(),
            network: capsule.study.label(cell.model),
            published_accuracy: accuracy(capsule, cell)?.0,
            again: verdict,
            diverged_in: again.as_ref().err().copied(),
        });
    }
    let models: BTreeSet<usize> = cells.iter().map(|cell| cell.model).collect();
    for model in models {
        let own = runs.iter().zip(&outcome.cells).filter(|((cell, ..), _)| cell.model == model);
        let own: Vec<(&Cell, &Tested, &Retrained)> = own.map(|((cell, tested, _), again)| (*cell, tested, again)).collect();
        outcome.networks.push(judge(capsule, &own)?);
    }
    Ok(outcome)
}

/// The runs of a capsule that have weights and a test part.
pub(super) fn trainable(capsule: &Capsule) -> Vec<Cell> {
    let tested = |cell: &Cell| capsule.file(cell, &predictions_file(capsule.study.epochs(cell))).is_some();
    capsule.study.cells().into_iter().filter(|cell| capsule.file(cell, MODEL_FILE).is_some() && tested(cell)).collect()
}

/// The probabilities of each test clip after the last mark, or the epoch in which it diverged.
fn train(
    gpu: &Gpu,
    capsule: &Capsule,
    cell: &Cell,
    config: &Config,
    tested: &Tested,
    directory: &StudyDirectory,
    observe: impl FnOnce(&RunDirectory) -> std::io::Result<Box<dyn Observer>>,
) -> Result<Result<Vec<Vec<f32>>, usize>, VerifyError> {
    if directory.result(cell).map_err(CompareError::from)?.is_none() {
        directory.clear(cell).map_err(CompareError::from)?;
        let run = RunDirectory::create(Some(&directory.cell(cell)), cell).map_err(CompareError::from)?;
        let failed = |error| CompareError::Train { cell: cell.to_string(), source: TrainError::Observer(error) };
        let mut observer = observe(&run).map_err(failed)?;
        run::train(gpu, &DeviceClips::default(), &capsule.study, directory, cell, config, &tested.data, &run, observer.as_mut())?;
    }
    if let Some(epoch) = directory.result(cell).map_err(CompareError::from)?.and_then(|result| result.diverged_in) {
        return Ok(Err(epoch));
    }
    let path = directory.cell(cell).join(predictions_file(capsule.study.epochs(cell)));
    let rows = std::fs::read(&path).map_err(|error| error.to_string()).and_then(|table| Predictions::parse(&table));
    let unreadable = |problem| CompareError::from(StudyError::Unreadable { path: path.clone(), problem });
    let rows = rows.map_err(unreadable)?.rows;
    if rows.len() != tested.published.len() {
        return Err(unreadable("it has other clips than the capsule's test part".into()).into());
    }
    Ok(Ok(rows.into_iter().map(|row| row.probabilities).collect()))
}

/// The published accuracy of a run, and its test clips.
fn accuracy(capsule: &Capsule, cell: &Cell) -> Result<(f64, usize), CapsuleError> {
    let rows = published(capsule, cell)?.rows;
    let right = rows.iter().filter(|row| row.label == row.prediction).count();
    Ok((right as f64 / rows.len().max(1) as f64, rows.len()))
}

/// Whether the runs of one network came to what they came to before.
fn judge(capsule: &Capsule, own: &[(&Cell, &Tested, &Retrained)]) -> Result<Outcome, VerifyError> {
    let model = own.first().map_or(0, |(cell, ..)| cell.model);
    let part = |cell: &Cell| (cell.fold, cell.length);
    let mut blocks: BTreeMap<(usize, Option<usize>), Block> = BTreeMap::new();
    for (cell, tested, again) in own {
        let empty = || Block { published: Vec::new(), again: Vec::new(), clips: tested.published.len() };
        blocks.entry(part(cell)).or_insert_with(empty).again.extend(again.again.as_ref().map(|verdict| verdict.accuracy));
    }
    // Of each seed, its rightly named clips and all.
    let mut seeds: BTreeMap<u64, (f64, usize)> = BTreeMap::new();
    for cell in trainable(capsule).into_iter().filter(|cell| cell.model == model) {
        let Some(block) = blocks.get_mut(&part(&cell)) else { continue };
        let (accuracy, clips) = accuracy(capsule, &cell)?;
        block.published.push(accuracy);
        let (right, all) = seeds.entry(cell.seed).or_default();
        (*right, *all) = (*right + accuracy * clips as f64, *all + clips);
    }
    let means: Vec<f64> = seeds.values().map(|(right, clips)| right / *clips as f64).collect();
    let diverged = own.iter().any(|(.., again)| again.diverged_in.is_some());
    let verdicts = || own.iter().filter_map(|(.., again)| again.again.as_ref());
    let pooled = |value: fn(&Verdict) -> f64| {
        verdicts().map(|verdict| value(verdict) * verdict.clips as f64).sum::<f64>()
            / verdicts().map(|verdict| verdict.clips).sum::<usize>().max(1) as f64
    };
    let spread = spread(&blocks.into_values().collect::<Vec<_>>());
    let (published, interval, method) = match &spread {
        Some(spread) => (spread.published, Some(spread.interval), BY_SEEDS),
        None => {
            let (groups, right): (Vec<&str>, Vec<bool>) = own.iter().flat_map(|(_, tested, _)| tested.right()).unzip();
            let interval = accuracy_ci95(&right, &groups, 0).map(|interval| [interval.low, interval.high]);
            (pooled(|verdict| verdict.published_accuracy), interval, BY_GROUPS)
        }
    };
    let accuracy = (!diverged).then(|| pooled(|verdict| verdict.accuracy));
    let same_bits = !diverged && verdicts().all(|verdict| verdict.same_bits);
    let inside = |[low, high]: [f64; 2]| accuracy.is_some_and(|accuracy| (low - 1e-12..=high + 1e-12).contains(&accuracy));
    Ok(Outcome {
        network: capsule.study.label(model),
        runs: own.len(),
        seeds: seeds.len(),
        published_accuracy: published,
        seed_range: [means.iter().copied().fold(1.0, f64::min), means.iter().copied().fold(0.0, f64::max)],
        accuracy,
        interval,
        method,
        within: if same_bits {
            Some(true)
        } else if diverged {
            Some(false)
        } else {
            interval.map(inside)
        },
        same_bits,
    })
}

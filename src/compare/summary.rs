//! One row per entry: the genre study's Table 1 and more.

use super::evidence;
use super::timing::{ModelTiming, Quartiles, TimingRow, WithRatios};
use super::{Cell, CellResult, Entry, MarkResult, Study, StudyDirectory, StudyError};
use crate::dataset::{Protocol, Split};
use serde::Serialize;
use std::collections::BTreeMap;

/// Which part an accuracy is of.
const VALID: usize = 0;
const TEST: usize = 1;

/// One entry in the study's summary.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Its name.
    pub model: String,
    /// Trained numbers and running statistics.
    pub parameters: usize,
    /// Trainings that are finished, and of those the ones that diverged.
    pub cells: usize,
    /// See `cells`.
    pub diverged: usize,
    /// Accuracy on the test part at the last mark: mean over seeds and folds, folds by their clips, 0..1.
    pub test_accuracy: Option<f64>,
    /// The same of the validation part.
    pub val_accuracy: Option<f64>,
    /// Mean over all marks of the mean accuracy on the test part: the figure of the genre study.
    pub mean_over_marks: Option<f64>,
    /// Mean accuracy on the test part after 100 epochs, if that is a mark.
    pub at_100_epochs: Option<f64>,
    /// The first mark from which the mean accuracy on the test part keeps its final value (to half a point).
    pub settled_at: Option<usize>,
    /// Median wall seconds of an epoch: by turns where they were taken, else over the study's own epochs.
    pub epoch_seconds: Option<f64>,
    /// Mean wall seconds of training until the weights that were taken; validation and looks not counted.
    pub seconds_to_best: Option<f64>,
    /// What those seconds were measured on.
    pub adapter: Option<String>,
    /// Mean accuracy by the seconds that are heard of each test clip.
    pub lengths: Vec<LengthSummary>,
}

/// Accuracy by the seconds that are heard.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LengthSummary {
    /// Seconds of each test clip, its middle.
    pub seconds: f64,
    /// Mean over seeds and folds, 0..1; absent where the network cannot take so few frames.
    pub test_accuracy: Option<f64>,
}

/// Every finished cell with its result, in the order of the study.
pub(super) fn finished(study: &Study, directory: &StudyDirectory) -> Result<Vec<(Cell, CellResult)>, StudyError> {
    let mut found = Vec::new();
    for cell in study.cells() {
        if let Some(result) = directory.result(&cell)? {
            found.push((cell, result));
        }
    }
    Ok(found)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    weighted(values.map(|value| (value, 1.0)))
}

/// The mean of values with weights.
fn weighted(values: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let (mut sum, mut weights) = (0.0, 0.0);
    values.for_each(|(value, weight)| (sum, weights) = (sum + weight * value, weights + weight));
    (weights > 0.0).then(|| sum / weights)
}

/// Clips in the validation and the test part of a fold, as a finished cell has them: what its accuracies weigh among the
/// folds of one run. Random splits are each a run of their own and weigh the same.
fn clips_of_folds(
    study: &Study,
    directory: &StudyDirectory,
    results: &[(Cell, CellResult)],
) -> Result<BTreeMap<usize, [f64; 2]>, StudyError> {
    let mut clips = BTreeMap::new();
    for (cell, _) in results.iter().filter(|(cell, _)| study.protocol != Protocol::Bbnn && study.is_final(cell)) {
        if clips.contains_key(&cell.fold) {
            continue;
        }
        let splits = evidence::splits(&directory.cell(cell))?;
        let counts = [Split::Valid, Split::Test].map(|part| splits.part(part).count() as f64);
        clips.insert(cell.fold, counts);
    }
    Ok(clips)
}

/// What each entry came to so far, in the order of the study.
pub fn summarise(study: &Study, directory: &StudyDirectory) -> Result<Vec<Summary>, StudyError> {
    let results = finished(study, directory)?;
    let times = time_rows(study, directory)?;
    let clips = clips_of_folds(study, directory, &results)?;
    (0..study.models.len()).map(|model| summary(study, directory, model, &results, &times, &clips)).collect()
}

fn summary(
    study: &Study,
    directory: &StudyDirectory,
    model: usize,
    results: &[(Cell, CellResult)],
    times: &[TimingRow],
    clips: &BTreeMap<usize, [f64; 2]>,
) -> Result<Summary, StudyError> {
    let own: Vec<&(Cell, CellResult)> = results.iter().filter(|(cell, _)| cell.model == model).collect();
    let weight = |cell: &Cell, part: usize| clips.get(&cell.fold).map_or(1.0, |clips| clips[part]);
    let at = |epoch: usize, part: usize| {
        let value = |mark: &MarkResult| if part == VALID { mark.val_accuracy } else { mark.test_accuracy };
        weighted(own.iter().filter_map(|(cell, result)| Some((value(result.at(epoch)?)?, weight(cell, part)))))
    };
    let curve: Vec<(usize, f64)> = study.marks.iter().filter_map(|&epoch| Some((epoch, at(epoch, TEST)?))).collect();
    let last = curve.last().copied();
    let unsettled = last.map(|(_, end)| curve.iter().rposition(|(_, value)| (value - end).abs() > 0.005));
    let is_network = study.models[model].config().is_some();
    let label = study.label(model);
    let mut to_best = Vec::new();
    let mut adapter = None;
    for (cell, result) in own.iter().filter(|(cell, _)| study.is_final(cell)) {
        let (Some(timing), Some(mark)) = (directory.timing(cell)?, result.marks.last()) else { continue };
        if *adapter.get_or_insert_with(|| timing.adapter.clone()) == timing.adapter {
            to_best.push(seconds_of(&timing.epoch_seconds, mark.best_epoch));
        }
    }
    let heard: Vec<f64> = own.iter().flat_map(|(_, result)| &result.lengths).map(|length| length.seconds).collect();
    let mut seconds = heard.clone();
    seconds.sort_by(f64::total_cmp);
    seconds.dedup();
    let length = |seconds: f64| {
        let same = own.iter().flat_map(|(_, result)| &result.lengths).filter(move |length| length.seconds == seconds);
        let shares = same.filter_map(|length| Some((length.test_accuracy?, length.clips as f64)));
        LengthSummary { seconds, test_accuracy: weighted(shares) }
    };
    Ok(Summary {
        parameters: own.first().map_or(0, |(_, result)| result.parameters),
        cells: own.len(),
        diverged: own.iter().filter(|(_, result)| result.diverged_in.is_some()).count(),
        test_accuracy: last.map(|(_, accuracy)| accuracy),
        val_accuracy: study.marks.last().and_then(|&epoch| at(epoch, VALID)),
        mean_over_marks: mean(curve.iter().map(|(_, accuracy)| *accuracy)),
        at_100_epochs: at(100, TEST).filter(|_| is_network),
        settled_at: unsettled.map(|place| curve[place.map_or(0, |place| place + 1)].0).filter(|_| is_network && curve.len() > 1),
        epoch_seconds: times.iter().find(|row| row.model == label).map(|row| row.epoch_seconds),
        seconds_to_best: mean(to_best.into_iter()),
        adapter: adapter.or_else(|| times.iter().find(|row| row.model == label).map(|row| row.adapter.clone())),
        lengths: seconds.into_iter().map(length).collect(),
        model: label,
    })
}

/// Seconds of the first `epochs`. The first, which compiles, counts as the median of the others.
fn seconds_of(seconds: &[f64], epochs: usize) -> f64 {
    let warm = Quartiles::of(seconds.get(1..).unwrap_or_default());
    let first = warm.map(|warm| warm.median).or(seconds.first().copied()).unwrap_or(0.0);
    std::iter::once(first).chain(seconds.iter().skip(1).copied()).take(epochs).sum()
}

/// The rows of `timing.csv`: by turns where they were taken; of other networks, those of the study's own epochs.
pub fn time_rows(study: &Study, directory: &StudyDirectory) -> Result<Vec<TimingRow>, StudyError> {
    let mut rows = directory.turns()?.map(|timing| timing.rows()).unwrap_or_default();
    for (model, entry) in study.models.iter().enumerate() {
        let Entry::Network(config) = entry else { continue };
        let label = study.label(model);
        if rows.iter().any(|row| row.model == label) {
            continue;
        }
        let mut timing = ModelTiming::new(label, config.model.name);
        let mut adapter = None;
        for cell in study.cells().iter().filter(|cell| cell.model == model) {
            let Some(own) = directory.timing(cell)? else { continue };
            // Times of two adapters are not one time: the first's are taken.
            if *adapter.get_or_insert_with(|| own.adapter.clone()) != own.adapter {
                continue;
            }
            // A run's first epoch compiles.
            timing.epoch_seconds.extend(own.epoch_seconds.iter().skip(1));
            timing.gpu_seconds.extend(own.gpu_seconds.iter().skip(1));
        }
        rows.extend(adapter.and_then(|adapter| TimingRow::new(&timing, "training", &adapter)));
    }
    let place = |row: &TimingRow| (0..study.models.len()).find(|&model| study.label(model) == row.model);
    rows.sort_by_key(place);
    Ok(rows.with_ratios())
}

//! The tables of a study: accuracies and times apart, since the former are the same wherever and however often the study
//! is made.

use super::{Cell, CellResult, MarkResult, Study, StudyDirectory, StudyError};
use serde::Serialize;
use std::path::Path;

/// One row of `accuracy.csv`.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct AccuracyRow {
    model: String,
    seed: u64,
    fold: usize,
    epochs: usize,
    best_epoch: usize,
    val_accuracy: Option<f64>,
    test_accuracy: Option<f64>,
    test_macro_f1: Option<f64>,
}

/// One row of `timing.csv`.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct TimingRow {
    model: String,
    seed: u64,
    fold: usize,
    run_epochs: usize,
    epoch: usize,
    epoch_seconds: f64,
    gpu_seconds: Option<f64>,
    adapter: String,
}

/// One network in the study's summary.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The network.
    pub model: String,
    /// Trained numbers and running statistics.
    pub parameters: usize,
    /// Trainings that are finished, and of those the ones that diverged.
    pub cells: usize,
    /// See `cells`.
    pub diverged: usize,
    /// Accuracy on the test part at the last mark: mean over seeds and folds, 0..1.
    pub test_accuracy: Option<f64>,
    /// The same of the validation part.
    pub val_accuracy: Option<f64>,
    /// Mean over all marks of the mean accuracy on the test part: the figure of the genre study.
    pub mean_over_marks: Option<f64>,
    /// Mean accuracy on the test part after 100 epochs, if that is a mark.
    pub at_100_epochs: Option<f64>,
    /// The first mark from which the mean accuracy on the test part keeps its final value (to half a point).
    pub settled_at: Option<usize>,
}

/// The name of a network in tables: with its place where a study has two of a kind.
pub(super) fn label(study: &Study, model: usize) -> String {
    let name = study.models[model].model.name;
    let same = study.models.iter().filter(|other| other.model.name == name).count();
    if same > 1 { format!("{name}-{}", model + 1) } else { name.to_string() }
}

fn finished(study: &Study, directory: &StudyDirectory) -> Result<Vec<(Cell, CellResult)>, StudyError> {
    let mut found = Vec::new();
    for cell in study.cells() {
        if let Some(result) = directory.result(&cell)? {
            found.push((cell, result));
        }
    }
    Ok(found)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0);
    values.for_each(|value| (sum, count) = (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// What each network came to so far, in the order of the study.
pub fn summarise(study: &Study, directory: &StudyDirectory) -> Result<Vec<Summary>, StudyError> {
    let results = finished(study, directory)?;
    let summary = |model: usize| {
        let own: Vec<&CellResult> = results.iter().filter(|(cell, _)| cell.model == model).map(|(_, result)| result).collect();
        let at = |epoch: usize, value: fn(&MarkResult) -> Option<f64>| {
            mean(own.iter().flat_map(|result| &result.marks).filter(|mark| mark.epoch == epoch).filter_map(value))
        };
        let test: fn(&MarkResult) -> Option<f64> = |mark| mark.test_accuracy;
        let curve: Vec<(usize, f64)> = study.marks.iter().filter_map(|&epoch| Some((epoch, at(epoch, test)?))).collect();
        let last = curve.last().copied();
        let unsettled = last.map(|(_, end)| curve.iter().rposition(|(_, value)| (value - end).abs() > 0.005));
        Summary {
            model: label(study, model),
            parameters: own.first().map_or(0, |result| result.parameters),
            cells: own.len(),
            diverged: own.iter().filter(|result| result.diverged_in.is_some()).count(),
            test_accuracy: last.map(|(_, accuracy)| accuracy),
            val_accuracy: study.marks.last().and_then(|&epoch| at(epoch, |mark| mark.val_accuracy)),
            mean_over_marks: mean(curve.iter().map(|(_, accuracy)| *accuracy)),
            at_100_epochs: at(100, test),
            settled_at: unsettled.map(|place| curve[place.map_or(0, |place| place + 1)].0),
        }
    };
    Ok((0..study.models.len()).map(summary).collect())
}

/// Writes `accuracy.csv`, `summary.csv` and `timing.csv` from what is finished.
pub fn write_tables(study: &Study, directory: &StudyDirectory) -> Result<(), StudyError> {
    let (mut accuracies, mut times) = (Vec::new(), Vec::new());
    for (cell, result) in finished(study, directory)? {
        let model = label(study, cell.model);
        accuracies.extend(result.marks.iter().map(|mark| AccuracyRow {
            model: model.clone(),
            seed: cell.seed,
            fold: cell.fold,
            epochs: mark.epoch,
            best_epoch: mark.best_epoch,
            val_accuracy: mark.val_accuracy,
            test_accuracy: mark.test_accuracy,
            test_macro_f1: mark.test_macro_f1,
        }));
        let Some(timing) = directory.timing(&cell)? else { continue };
        let seconds = timing.epoch_seconds.iter().zip(&timing.gpu_seconds).enumerate();
        times.extend(seconds.map(|(i, (&epoch_seconds, &gpu_seconds))| TimingRow {
            model: model.clone(),
            seed: cell.seed,
            fold: cell.fold,
            run_epochs: study.epochs(&cell),
            epoch: i + 1,
            epoch_seconds,
            gpu_seconds,
            adapter: timing.adapter.clone(),
        }));
    }
    write(&directory.file("accuracy.csv"), &accuracies)?;
    write(&directory.file("summary.csv"), &summarise(study, directory)?)?;
    write(&directory.file("timing.csv"), &times)
}

fn write<T: Serialize>(path: &Path, rows: &[T]) -> Result<(), StudyError> {
    let write = || {
        let mut table = csv::Writer::from_path(path)?;
        rows.iter().try_for_each(|row| table.serialize(row))?;
        table.flush().map_err(csv::Error::from)
    };
    write().map_err(|source| StudyError::Table { path: path.into(), source })
}

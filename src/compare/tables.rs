//! The tables of a study: what was measured of the clips, and times apart, since the former are the same wherever and
//! however often the study is made.
//!
//! | file | a row for each |
//! |---|---|
//! | `accuracy.csv` | entry, seed, fold and mark |
//! | `lengths.csv` | entry, seed, fold and clip length |
//! | `classes.csv`, `confusion_matrix.csv` | entry and class, all runs together |
//! | `mistakes.csv` | entry and clip that it named wrongly |
//! | `summary.csv` | entry; holds times |
//! | `timing.csv` | network: medians; holds times |
//! | `epochs.csv` | epoch of every training; holds times |
//!
//! Each has the protocol as its first column.

use super::summary::{Summary, finished, summarise, time_rows};
use super::{Conclusion, Outcomes, Study, StudyDirectory, StudyError, mistakes};
use crate::train::run_directory::write_atomic;
use serde::Serialize;

/// One row of `accuracy.csv`. The baseline has 0 epochs.
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

#[derive(Debug, Clone, PartialEq, Serialize)]
struct LengthRow {
    model: String,
    seed: u64,
    fold: usize,
    seconds: f64,
    frames: usize,
    clips: usize,
    test_accuracy: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct EpochRow {
    model: String,
    seed: u64,
    fold: usize,
    run_epochs: usize,
    epoch: usize,
    epoch_seconds: f64,
    gpu_seconds: Option<f64>,
    adapter: String,
}

/// `Summary` as CSV has it: a column for each length.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct SummaryRow {
    model: String,
    parameters: usize,
    cells: usize,
    diverged: usize,
    test_accuracy: Option<f64>,
    val_accuracy: Option<f64>,
    mean_over_marks: Option<f64>,
    at_100_epochs: Option<f64>,
    settled_at: Option<usize>,
    epoch_seconds: Option<f64>,
    seconds_to_best: Option<f64>,
    adapter: Option<String>,
    test_accuracy_3s: Option<f64>,
    test_accuracy_6s: Option<f64>,
    test_accuracy_15s: Option<f64>,
    test_accuracy_30s: Option<f64>,
}

impl SummaryRow {
    fn new(summary: Summary) -> Self {
        let at = |seconds: f64| summary.lengths.iter().find(|length| length.seconds == seconds)?.test_accuracy;
        Self {
            test_accuracy_3s: at(3.0),
            test_accuracy_6s: at(6.0),
            test_accuracy_15s: at(15.0),
            test_accuracy_30s: at(30.0),
            model: summary.model,
            parameters: summary.parameters,
            cells: summary.cells,
            diverged: summary.diverged,
            test_accuracy: summary.test_accuracy,
            val_accuracy: summary.val_accuracy,
            mean_over_marks: summary.mean_over_marks,
            at_100_epochs: summary.at_100_epochs,
            settled_at: summary.settled_at,
            epoch_seconds: summary.epoch_seconds,
            seconds_to_best: summary.seconds_to_best,
            adapter: summary.adapter,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct ClassRow {
    model: String,
    class: String,
    clips: usize,
    precision: Option<f64>,
    recall: Option<f64>,
    f1: Option<f64>,
}

/// Writes the tables of what is finished.
pub fn write_tables(study: &Study, directory: &StudyDirectory) -> Result<(), StudyError> {
    let (mut accuracies, mut lengths, mut epochs) = (Vec::new(), Vec::new(), Vec::new());
    for (cell, result) in finished(study, directory)? {
        let model = study.label(cell.model);
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
        lengths.extend(result.lengths.iter().map(|length| LengthRow {
            model: model.clone(),
            seed: cell.seed,
            fold: cell.fold,
            seconds: length.seconds,
            frames: length.frames,
            clips: length.clips,
            test_accuracy: length.test_accuracy,
        }));
        let Some(timing) = directory.timing(&cell)? else { continue };
        let seconds = timing.epoch_seconds.iter().zip(&timing.gpu_seconds).enumerate();
        epochs.extend(seconds.map(|(i, (&epoch_seconds, &gpu_seconds))| EpochRow {
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
    let summaries = summarise(study, directory)?.into_iter().map(SummaryRow::new);
    write(study, directory, "accuracy.csv", &accuracies)?;
    write(study, directory, "lengths.csv", &lengths)?;
    write(study, directory, "summary.csv", &summaries.collect::<Vec<_>>())?;
    write(study, directory, "timing.csv", &time_rows(study, directory)?)?;
    write(study, directory, "epochs.csv", &epochs)
}

/// Writes the tables of what was said of the clips.
pub fn write_outcomes(
    study: &Study,
    directory: &StudyDirectory,
    outcomes: &Outcomes,
    conclusion: &Conclusion,
) -> Result<(), StudyError> {
    let mut classes = Vec::new();
    let mut confusions = Vec::new();
    for model in &conclusion.models {
        classes.extend(model.classes.iter().map(|class| ClassRow {
            model: model.model.clone(),
            class: class.name.clone(),
            // Of one run; of random splits, which have clips of their own, the mean.
            clips: class.metrics.support / model.runs.max(1),
            precision: class.metrics.precision,
            recall: class.metrics.recall,
            f1: class.metrics.f1,
        }));
        for (class, counts) in conclusion.classes.iter().zip(&model.confusion_matrix.counts) {
            let mut row = vec![model.model.clone(), class.clone()];
            row.extend(counts.iter().map(usize::to_string));
            confusions.push(row);
        }
    }
    let mut header = ["model", "label"].map(str::to_owned).to_vec();
    header.extend(conclusion.classes.iter().cloned());
    write(study, directory, "classes.csv", &classes)?;
    write(study, directory, "mistakes.csv", &mistakes::mistakes(outcomes))?;
    write_with(study, directory, "confusion_matrix.csv", |table| {
        table.write_record(&header)?;
        confusions.iter().try_for_each(|row| table.write_record(row))
    })
}

fn write<T: Serialize>(study: &Study, directory: &StudyDirectory, name: &str, rows: &[T]) -> Result<(), StudyError> {
    write_with(study, directory, name, |table| rows.iter().try_for_each(|row| table.serialize(row)))
}

/// Writes a table with the protocol as its first column, whole or not at all: shards that end at the same time write the
/// same tables.
fn write_with(
    study: &Study,
    directory: &StudyDirectory,
    name: &str,
    rows: impl FnOnce(&mut csv::Writer<Vec<u8>>) -> Result<(), csv::Error>,
) -> Result<(), StudyError> {
    let path = directory.file(name);
    let bytes = |table: csv::Writer<Vec<u8>>| table.into_inner().map_err(|error| csv::Error::from(error.into_error()));
    let write = || {
        let mut bare = csv::Writer::from_writer(Vec::new());
        rows(&mut bare)?;
        let mut table = csv::Writer::from_writer(Vec::new());
        let protocol = study.protocol.to_string();
        for (line, row) in csv::ReaderBuilder::new().has_headers(false).from_reader(&*bytes(bare)?).records().enumerate() {
            let first = if line == 0 { "protocol" } else { &protocol };
            table.write_record(std::iter::once(first).chain(&row?))?;
        }
        bytes(table)
    };
    let table = write().map_err(|source| StudyError::Table { path: path.clone(), source })?;
    Ok(write_atomic(&path, &table)?)
}

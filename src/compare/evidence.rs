//! Whether what a finished run says of its test part is what its own tables come to.

use super::StudyError;
use super::predictions::Predictions;
use super::results::{MarkResult, predictions_file};
use crate::dataset::{DatasetError, KeptSplits, Split};
use crate::train::metrics::{ConfusionMatrix, most_likely};
use std::collections::BTreeMap;
use std::path::Path;

/// Figures that a table comes to are written in full: they differ in rounding at most.
const TOLERANCE: f64 = 1e-9;

/// The first thing in which what a run said contradicts its result or the test part of its split.
pub(super) fn contradiction(predictions: &Predictions, mark: &MarkResult, splits: &KeptSplits) -> Option<String> {
    let Predictions { classes, rows } = predictions;
    let name = |class: usize| classes[class].as_str();
    for row in rows {
        let likely = most_likely(&row.probabilities) as usize;
        if row.prediction != likely {
            let (said, likely) = (name(row.prediction), name(likely));
            return Some(format!("{} is given as {said}, but its probabilities say {likely}", row.path));
        }
    }
    let mut tested: BTreeMap<&str, &str> =
        splits.part(Split::Test).map(|clip| (clip.name.as_str(), clip.label.as_str())).collect();
    let clips = tested.len();
    for row in rows {
        match tested.remove(row.path.as_str()) {
            None => return Some(format!("{} is not in the test part of splits.csv, or is there twice", row.path)),
            Some(label) if label != name(row.label) => {
                return Some(format!("{} is labelled {}, but {label} in splits.csv", row.path, name(row.label)));
            }
            Some(_) => {}
        }
    }
    if !tested.is_empty() {
        return Some(format!("{} of {clips} clips of the test part are missing", tested.len()));
    }
    let (labels, named): (Vec<u32>, Vec<u32>) = rows.iter().map(|row| (row.label as u32, row.prediction as u32)).unzip();
    let matrix = ConfusionMatrix::new(classes.len(), &labels, &named);
    let figures =
        [("test_accuracy", mark.test_accuracy, matrix.accuracy()), ("test_macro_f1", mark.test_macro_f1, matrix.macro_f1())];
    let wrong = figures.into_iter().find(|(_, said, found)| !same(*said, *found));
    wrong.map(|(figure, said, found)| format!("{figure} comes to {}, but result.json says {}", number(found), number(said)))
}

/// Whether two figures are one but for rounding.
pub(super) fn same(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= TOLERANCE,
        (a, b) => a.is_none() && b.is_none(),
    }
}

pub(super) fn number(figure: Option<f64>) -> String {
    figure.map_or_else(|| "nothing".into(), |figure| figure.to_string())
}

/// The split of a finished run in `folder`.
pub(super) fn splits(folder: &Path) -> Result<KeptSplits, StudyError> {
    let path = folder.join("splits.csv");
    KeptSplits::read(&path).map_err(|error| match error {
        DatasetError::Read { .. } => StudyError::Lost { path },
        error => StudyError::Changed { path, problem: error.to_string() },
    })
}

/// What a finished run in `folder` was given, and what it said after its last mark.
///
/// # Errors
/// Where that is gone, or is not what its result comes to.
pub(super) fn outcome(folder: &Path, mark: &MarkResult) -> Result<(KeptSplits, Predictions), StudyError> {
    let splits = splits(folder)?;
    let path = folder.join(predictions_file(mark.epoch));
    let table = std::fs::read(&path).map_err(|_| StudyError::Lost { path: path.clone() })?;
    let changed = |problem| StudyError::Changed { path: path.clone(), problem };
    let predictions = Predictions::parse(&table).map_err(changed)?;
    match contradiction(&predictions, mark, &splits) {
        None => Ok((splits, predictions)),
        Some(problem) => Err(changed(problem)),
    }
}

//! Whether what a finished run says of its test part is what its own tables come to.

use super::StudyError;
use super::results::{MarkResult, predictions_file};
use crate::train::metrics::{ConfusionMatrix, most_likely};
use std::collections::BTreeMap;
use std::path::Path;

/// Figures that a table comes to are written in full: they differ in rounding at most.
const TOLERANCE: f64 = 1e-9;

/// One row of a `predictions-N.csv`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// The clip, as `splits.csv` names it.
    pub path: String,
    /// Its class, as the run had it.
    pub label: usize,
    /// The class that it was given.
    pub prediction: usize,
    /// The probability of each class.
    pub probabilities: Vec<f32>,
}

/// A `predictions-N.csv`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Predictions {
    /// Class names, in the order of the probabilities.
    pub classes: Vec<String>,
    pub rows: Vec<Row>,
}

impl Predictions {
    /// Reads a table; what is wrong with it in words.
    pub fn parse(table: &[u8]) -> Result<Self, String> {
        let mut reader = csv::Reader::from_reader(table);
        let header = reader.headers().map_err(|error| error.to_string())?.clone();
        let classes: Vec<String> = header.iter().skip(3).map(str::to_owned).collect();
        let class = |name: &str| classes.iter().position(|class| class == name);
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|error| error.to_string())?;
            let row = || {
                let probabilities = record.iter().skip(3).map(|number| number.parse().ok()).collect::<Option<Vec<f32>>>()?;
                let path = record.get(0)?.to_owned();
                Some(Row { path, label: class(record.get(1)?)?, prediction: class(record.get(2)?)?, probabilities })
            };
            let nothing = || format!("row {} names a class that no column has, or is no row of probabilities", rows.len() + 1);
            rows.push(row().ok_or_else(nothing)?);
        }
        Ok(Self { classes, rows })
    }

    /// The first thing in which it contradicts the run's result or the test part of its `splits.csv`.
    pub fn contradiction(&self, mark: &MarkResult, splits: &[u8]) -> Option<String> {
        let name = |class: usize| self.classes[class].as_str();
        for row in &self.rows {
            let likely = most_likely(&row.probabilities) as usize;
            if row.prediction != likely {
                let (said, likely) = (name(row.prediction), name(likely));
                return Some(format!("{} is given as {said}, but its probabilities say {likely}", row.path));
            }
        }
        let mut tested = match tested(splits) {
            Ok(tested) => tested,
            Err(problem) => return Some(format!("splits.csv beside it: {problem}")),
        };
        let clips = tested.len();
        for row in &self.rows {
            match tested.remove(&row.path) {
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
        let (labels, named): (Vec<u32>, Vec<u32>) = self.rows.iter().map(|row| (row.label as u32, row.prediction as u32)).unzip();
        let matrix = ConfusionMatrix::new(self.classes.len(), &labels, &named);
        let figures =
            [("test_accuracy", mark.test_accuracy, matrix.accuracy()), ("test_macro_f1", mark.test_macro_f1, matrix.macro_f1())];
        let wrong = figures.into_iter().find(|(_, said, found)| !same(*said, *found));
        wrong.map(|(figure, said, found)| format!("{figure} comes to {}, but result.json says {}", number(found), number(said)))
    }
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

/// The test clips of a `splits.csv` and their labels.
fn tested(splits: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let mut tested = BTreeMap::new();
    for record in csv::Reader::from_reader(splits).records() {
        let record = record.map_err(|error| error.to_string())?;
        let [Some(path), Some(label), Some(part)] = [0, 1, 2].map(|column| record.get(column)) else { continue };
        if part == crate::dataset::Split::Test.name() {
            tested.insert(path.to_owned(), label.to_owned());
        }
    }
    Ok(tested)
}

/// Refuses a finished run in `folder` whose predictions after its last mark are gone or are not those of its result.
pub(super) fn check(folder: &Path, mark: &MarkResult) -> Result<(), StudyError> {
    let path = folder.join(predictions_file(mark.epoch));
    let table = std::fs::read(&path).map_err(|_| StudyError::Lost { path: path.clone() })?;
    let splits = folder.join("splits.csv");
    let splits = std::fs::read(&splits).map_err(|_| StudyError::Lost { path: splits })?;
    let problem = match Predictions::parse(&table) {
        Ok(predictions) => predictions.contradiction(mark, &splits),
        Err(problem) => Some(problem),
    };
    problem.map_or(Ok(()), |problem| Err(StudyError::Changed { path, problem }))
}

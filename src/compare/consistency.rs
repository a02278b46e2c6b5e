//! Whether a capsule's figures are those that its own predictions come to. Of each run it holds what was said after the last
//! mark alone, so accuracies of earlier marks and of shortened clips, and those of the validation part, are taken as they are.

use super::evidence::{contradiction, number, same};
use super::predictions::Predictions;
use super::results::predictions_file;
use super::verify::config;
use super::{Capsule, CapsuleError, Cell, CellResult, Entry, StudyDirectory, conclude, write_outcomes, write_tables};
use crate::dataset::{KeptSplits, Protocol};
use crate::train::checkpoint::MODEL_FILE;
use serde_json::Value;
use std::path::Path;

/// Tables of a capsule that follow from its runs, and whether every capsule has them.
const TABLES: [(&str, bool); 4] = [("accuracy.csv", true), ("summary.csv", true), ("lengths.csv", false), ("classes.csv", false)];
/// Words in the names of columns that are not held against the runs: times and where they were taken follow from nothing,
/// and what it means to have settled may be told otherwise by another version.
const FREE: [&str; 4] = ["epoch_seconds", "seconds_to", "adapter", "settled_at"];
const STATISTICS: &str = "statistics.json";

impl Capsule {
    /// Holds every run's settings, result, split and predictions against each other, and the tables against what they come
    /// to. Returns what a person should know, in words.
    ///
    /// # Errors
    /// [`CapsuleError::Contradiction`] with the first file and figure that do not fit.
    pub fn check(&self) -> Result<Vec<String>, CapsuleError> {
        let mut warnings = Vec::new();
        for cell in self.study.cells() {
            self.check_cell(&cell)?;
            let warning = self.check_sides(&cell)?;
            warnings.extend(warning.filter(|warning| !warnings.contains(warning)));
        }
        self.check_tables()?;
        Ok(warnings)
    }

    pub(super) fn contradiction(&self, file: String, problem: impl ToString) -> CapsuleError {
        CapsuleError::Contradiction { path: self.path().into(), file, problem: problem.to_string() }
    }

    /// The result of a cell.
    pub(super) fn result(&self, cell: &Cell) -> Result<CellResult, CapsuleError> {
        let failed = |problem: &dyn ToString| self.contradiction(format!("cells/{cell}/result.json"), problem.to_string());
        let bytes = self.file(cell, "result.json").ok_or_else(|| failed(&"is missing"))?;
        let result: CellResult = serde_json::from_slice(bytes).map_err(|error| failed(&error))?;
        if result.cell == *cell { Ok(result) } else { Err(failed(&format!("is of {}", result.cell))) }
    }

    fn check_cell(&self, cell: &Cell) -> Result<(), CapsuleError> {
        let result = self.result(cell)?;
        if result.diverged_in.is_some() {
            return Ok(());
        }
        let failed = |file: &str, problem: &str| Err(self.contradiction(format!("cells/{cell}/{file}"), problem));
        if let Entry::Network(entry) = &self.study.models[cell.model] {
            if self.file(cell, MODEL_FILE).is_none() {
                return failed(MODEL_FILE, "is missing, though the run did not diverge");
            }
            let own = config(self, cell).map_err(|error| self.contradiction(format!("cells/{cell}/config.toml"), error))?;
            let mut of_study = (**entry).clone();
            // Where the data lie is each machine's own, and the classes are the data's.
            of_study.data =
                crate::config::DataConfig { path: own.data.path.clone(), classes: own.data.classes.clone(), ..of_study.data };
            (of_study.train.epochs, of_study.train.seed) = (self.study.epochs(cell), cell.training_seed());
            if own.to_toml() != of_study.to_toml() {
                return failed("config.toml", "has other settings than study.json");
            }
        }
        let epochs = self.study.epochs(cell);
        let Some(mark) = result.at(epochs) else { return failed("result.json", "has no result after the last epoch") };
        let name = predictions_file(epochs);
        let Some(table) = self.file(cell, &name) else {
            return if mark.test_accuracy.is_none() { Ok(()) } else { failed(&name, "is missing") };
        };
        let Some(splits) = self.splits(cell)? else { return failed("splits.csv", "is missing") };
        let problem = match Predictions::parse(table) {
            Ok(predictions) => contradiction(&predictions, mark, &splits),
            Err(problem) => Some(problem),
        };
        problem.map_or(Ok(()), |problem| failed(&name, &problem))
    }

    fn splits(&self, cell: &Cell) -> Result<Option<KeptSplits>, CapsuleError> {
        let Some(table) = self.file(cell, "splits.csv") else { return Ok(None) };
        let file = format!("cells/{cell}/splits.csv");
        let kept = KeptSplits::parse(Path::new(&file), table);
        kept.map(Some).map_err(|error| self.contradiction(file, error))
    }

    /// Whether a split that keeps groups whole does so. One that the data give may separate groups, but no equal content.
    fn check_sides(&self, cell: &Cell) -> Result<Option<String>, CapsuleError> {
        let protocol = self.study.protocol;
        let (Some(kept), true) = (self.splits(cell)?, protocol.keeps_groups()) else { return Ok(None) };
        let file = format!("cells/{cell}/splits.csv");
        let [groups, contents] = kept.separated();
        let drawn = protocol == Protocol::Grouped;
        if drawn && contents > 0 {
            return Err(self.contradiction(file, format!("{contents} contents are on two sides, which {protocol} never makes")));
        }
        if drawn && self.study.folds > 1 && groups > 0 {
            return Err(self.contradiction(file, format!("{groups} groups are on two sides, which folds never make")));
        }
        let words = |count: usize, what: &str| format!("{count} {what} are on two sides of the split of fold {}", cell.fold);
        Ok(match (groups, contents) {
            (_, 1..) => Some(words(contents, "contents")),
            (1.., _) => Some(words(groups, "groups")),
            _ => None,
        })
    }

    /// Makes the tables again in a directory of their own.
    fn check_tables(&self) -> Result<(), CapsuleError> {
        let failed = |source| CapsuleError::File { path: std::env::temp_dir(), source };
        let folder = tempfile::tempdir().map_err(failed)?;
        let of_study = |error: super::StudyError| self.contradiction("its tables cannot be made again".into(), error);
        let directory = StudyDirectory::open(&folder.path().join("study"), &self.study).map_err(of_study)?;
        for cell in self.study.cells() {
            let to = directory.cell(&cell);
            std::fs::create_dir_all(&to).map_err(failed)?;
            for name in ["result.json", "splits.csv", &predictions_file(self.study.epochs(&cell))] {
                if let Some(contents) = self.file(&cell, name) {
                    std::fs::write(to.join(name), contents).map_err(failed)?;
                }
            }
        }
        write_tables(&self.study, &directory).map_err(of_study)?;
        if let Some((outcomes, conclusion)) = conclude(&self.study, &directory).map_err(of_study)? {
            write_outcomes(&self.study, &directory, &outcomes, &conclusion).map_err(of_study)?;
        }
        for (name, always) in TABLES {
            match (self.entry(name), std::fs::read(directory.file(name))) {
                (Some(there), Ok(again)) => {
                    different(there, &again).map_or(Ok(()), |problem| Err(self.contradiction(name.into(), problem)))?;
                }
                (None, _) if always => return Err(self.contradiction(name.into(), "is missing")),
                _ => {}
            }
        }
        let (Some(there), Ok(again)) = (self.entry(STATISTICS), std::fs::read(directory.file(STATISTICS))) else { return Ok(()) };
        accuracies(there, &again).map_or(Ok(()), |problem| Err(self.contradiction(STATISTICS.into(), problem)))
    }
}

/// The first cell that differs, of columns that both tables have: those of another version may be others.
fn different(there: &[u8], again: &[u8]) -> Option<String> {
    let read = |table: &[u8]| -> Result<(csv::StringRecord, Vec<csv::StringRecord>), csv::Error> {
        let mut reader = csv::Reader::from_reader(table);
        Ok((reader.headers()?.clone(), reader.records().collect::<Result<_, _>>()?))
    };
    let ((header, rows), (own, expected)) = match (read(there), read(again)) {
        (Ok(there), Ok(again)) => (there, again),
        (Err(error), _) | (_, Err(error)) => return Some(error.to_string()),
    };
    if rows.len() != expected.len() {
        return Some(format!("has {} rows, but the runs come to {}", rows.len(), expected.len()));
    }
    for (line, (row, expected)) in rows.iter().zip(&expected).enumerate() {
        for (name, expected) in own.iter().zip(expected).filter(|(name, _)| !FREE.iter().any(|time| name.contains(time))) {
            let Some(said) = header.iter().position(|other| other == name).and_then(|place| row.get(place)) else { continue };
            let equal = match (said.parse().ok(), expected.parse().ok()) {
                (Some(a), Some(b)) => same(Some(a), Some(b)),
                _ => said == expected,
            };
            if !equal {
                return Some(format!("row {}: {name} is {said:?}, but the runs come to {expected:?}", line + 1));
            }
        }
    }
    None
}

/// The first model whose accuracy is another. Intervals and tests are not held against each other: how they are reckoned may
/// change from version to version.
fn accuracies(there: &[u8], again: &[u8]) -> Option<String> {
    let models = |json: &[u8]| -> Result<Vec<(String, Option<f64>)>, serde_json::Error> {
        let json: Value = serde_json::from_slice(json)?;
        let models = json["models"].as_array().cloned().unwrap_or_default();
        let of = |model: &Value| (model["model"].as_str().unwrap_or_default().to_owned(), model["test_accuracy"].as_f64());
        Ok(models.iter().map(of).collect())
    };
    let (there, again) = match (models(there), models(again)) {
        (Ok(there), Ok(again)) => (there, again),
        (Err(error), _) | (_, Err(error)) => return Some(error.to_string()),
    };
    if there.len() != again.len() {
        return Some(format!("has {} models, but the runs are of {}", there.len(), again.len()));
    }
    let wrong = there.iter().zip(&again).find(|((a, said), (b, found))| a != b || !same(*said, *found));
    wrong.map(|((model, said), (_, found))| {
        format!("test_accuracy of {model} is {}, but the predictions come to {}", number(*said), number(*found))
    })
}

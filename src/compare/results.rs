//! What a study leaves on disk.

use super::timing::Timing;
use super::{Cell, LengthResult, Study};
use crate::train::Mark;
use crate::train::predictions::{PredictionsError, write_predictions};
use crate::train::run_directory::{RunDirectoryError, UNFINISHED, write_atomic, write_new};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::path::{Path, PathBuf};

const STUDY: &str = "study.json";
const RESULT: &str = "result.json";
/// Times: of a cell's epochs in its directory, of the networks by turns in the study's.
const TIMING: &str = "timing.json";

/// Why a study's directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// Another study lies there.
    #[error("{path}: holds another study ({difference}); give --out another directory, or the settings that it was begun with")]
    Other {
        /// The directory.
        path: PathBuf,
        /// What differs.
        difference: String,
    },
    /// Something else lies there.
    #[error("{path}: exists, is not empty and holds no study; give --out another directory")]
    NotAStudy {
        /// The directory.
        path: PathBuf,
    },
    /// Nothing there.
    #[error("{path}: there is no study.json in it; give a directory that `melgrad compare` wrote")]
    NoStudy {
        /// The directory.
        path: PathBuf,
    },
    /// A file that cannot be read or is none of ours.
    #[error("{path}: {problem}; remove the file to have it made again")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A study that another version of melgrad wrote.
    #[error(
        "{path}: was written by another version of melgrad (schema {found}, this one knows {}); use that version",
        Study::SCHEMA
    )]
    OtherSchema {
        /// Its `study.json`.
        path: PathBuf,
        /// What it says.
        found: u64,
    },
    /// The data are not those that the study was begun with.
    #[error(
        "{path}: the data are not those that the study was begun with: {difference}; give the same data, or --out another directory"
    )]
    OtherData {
        /// The list of what it was begun with.
        path: PathBuf,
        /// What came, went and is otherwise, with the first names.
        difference: String,
    },
    /// A finished run without what it said.
    #[error("{path}: is missing, though its run is finished; remove {} to have it trained again", folder(path))]
    Lost {
        /// The table.
        path: PathBuf,
    },
    /// A finished run whose files contradict each other.
    #[error("{path}: was changed after it was written: {problem}; remove {} to have it trained again", folder(path))]
    Changed {
        /// The table.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// A file or directory that cannot be written or removed.
    #[error(transparent)]
    Write(#[from] RunDirectoryError),
    /// A table that cannot be written.
    #[error(transparent)]
    Predictions(#[from] PredictionsError),
    /// A table that cannot be written.
    #[error("{path}: cannot be written: {source}")]
    Table {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: csv::Error,
    },
}

/// The directory of the run that a file is of.
fn folder(path: &Path) -> String {
    path.parent().unwrap_or(path).display().to_string()
}

/// What a cell came to at one mark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MarkResult {
    /// Epochs trained.
    pub epoch: usize,
    /// The epoch whose weights were taken.
    pub best_epoch: usize,
    /// 0..1.
    pub val_accuracy: Option<f64>,
    /// 0..1.
    pub test_accuracy: Option<f64>,
    /// Mean F1 of the classes.
    pub test_macro_f1: Option<f64>,
}

impl MarkResult {
    fn of(mark: &Mark) -> Self {
        Self {
            epoch: mark.epoch,
            best_epoch: mark.best_epoch,
            val_accuracy: mark.validation.as_ref().map(|e| e.accuracy),
            test_accuracy: mark.test.as_ref().map(|e| e.accuracy),
            test_macro_f1: mark.test.as_ref().and_then(|e| e.macro_f1),
        }
    }
}

/// `result.json` of a finished cell: nothing in it depends on the time that anything took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellResult {
    /// Which.
    pub cell: Cell,
    /// Trained numbers and running statistics.
    pub parameters: usize,
    /// At each mark, ascending; empty where it diverged.
    pub marks: Vec<MarkResult>,
    /// The epoch in which nothing but infinities was left.
    pub diverged_in: Option<usize>,
    /// With the final weights: accuracy by the seconds that are heard of each test clip.
    #[serde(default)]
    pub lengths: Vec<LengthResult>,
}

impl CellResult {
    /// What it had come to after `epoch` epochs: the baseline's only result stands for every number of them.
    pub fn at(&self, epoch: usize) -> Option<&MarkResult> {
        match &*self.marks {
            [only] if only.epoch == 0 => Some(only),
            marks => marks.iter().find(|mark| mark.epoch == epoch),
        }
    }
}

/// What a cell came to, before it is written.
pub(super) struct Finished<'a> {
    /// Class names.
    pub classes: &'a [String],
    pub parameters: usize,
    pub marks: &'a [Mark],
    pub lengths: Vec<LengthResult>,
    /// Of a network.
    pub timing: Option<CellTiming>,
}

/// `timing.json` of a finished cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct CellTiming {
    /// Wall seconds of each epoch's training steps.
    pub epoch_seconds: Vec<f64>,
    /// Seconds that the device worked on them, where the adapter has timestamps.
    pub gpu_seconds: Vec<Option<f64>>,
    /// The adapter, its backend and driver.
    pub adapter: String,
}

/// The directory of a study.
#[derive(Debug, Clone)]
pub struct StudyDirectory {
    path: PathBuf,
}

impl StudyDirectory {
    /// Begins `study` in `path`, or goes on with it where it was begun before. Processes may do so at once: one begins it.
    pub fn open(path: &Path, study: &Study) -> Result<Self, StudyError> {
        let directory = Self { path: path.into() };
        create(path)?;
        // Looked at first: whatever of a study is there was written after its settings.
        let strangers = holds_more_than_settings(path);
        let file = directory.file(STUDY);
        if !file.is_file() {
            if strangers {
                return Err(StudyError::NotAStudy { path: path.into() });
            }
            write_new(&file, &json(study))?;
        }
        let begun = read_study(&file)?;
        if let Some(difference) = difference(&begun, study) {
            return Err(StudyError::Other { path: path.into(), difference });
        }
        create(&directory.file("cells"))?;
        Ok(directory)
    }

    /// The study that was begun in `path`, and its directory.
    pub fn existing(path: &Path) -> Result<(Self, Study), StudyError> {
        let directory = Self { path: path.into() };
        let file = directory.file(STUDY);
        if !file.is_file() {
            return Err(StudyError::NoStudy { path: path.into() });
        }
        Ok((directory, read_study(&file)?))
    }

    /// Cells that are finished.
    pub fn finished(&self, study: &Study) -> usize {
        study.cells().iter().filter(|cell| matches!(self.result(cell), Ok(Some(_)))).count()
    }

    /// Results that are there and no results: their cells count as unfinished.
    pub fn damaged(&self, study: &Study) -> Vec<PathBuf> {
        let cut = |cell: &Cell| {
            let path = self.cell(cell).join(RESULT);
            (path.is_file() && matches!(self.result(cell), Ok(None))).then_some(path)
        };
        study.cells().iter().filter_map(cut).collect()
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where a cell is trained.
    pub fn cell(&self, cell: &Cell) -> PathBuf {
        self.file("cells").join(cell.to_string())
    }

    /// The result of a cell that is finished; a cut one finishes none ([`Self::damaged`]).
    pub fn result(&self, cell: &Cell) -> Result<Option<CellResult>, StudyError> {
        read_whole(&self.cell(cell).join(RESULT))
    }

    /// A cell's times, if they were taken and are whole: no figure but times depends on them.
    pub(super) fn timing(&self, cell: &Cell) -> Result<Option<CellTiming>, StudyError> {
        read_whole(&self.cell(cell).join(TIMING))
    }

    /// Clears away what an interrupted training of a cell left.
    pub(super) fn clear(&self, cell: &Cell) -> Result<(), StudyError> {
        let path = self.cell(cell);
        match std::fs::remove_dir_all(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(RunDirectoryError::Write { path, source }.into()),
            _ => Ok(()),
        }
    }

    /// Writes what a training came to; its result last, which finishes it.
    pub(super) fn finish(&self, cell: &Cell, finished: Finished) -> Result<(), StudyError> {
        let folder = self.cell(cell);
        for mark in finished.marks.iter().filter(|mark| mark.test.is_some()) {
            let path = folder.join(predictions_file(mark.epoch));
            write_predictions(&path, finished.classes, &mark.test_predictions)?;
        }
        if let Some(timing) = &finished.timing {
            self.write(&folder.join(TIMING), timing)?;
        }
        let marks = finished.marks.iter().map(MarkResult::of).collect();
        let (parameters, lengths) = (finished.parameters, finished.lengths);
        self.write(&folder.join(RESULT), &CellResult { cell: cell.clone(), parameters, marks, diverged_in: None, lengths })
    }

    /// Notes that a training diverged, which finishes it too: it would do so again.
    pub(super) fn finish_diverged(&self, cell: &Cell, parameters: usize, epoch: usize) -> Result<(), StudyError> {
        let (marks, lengths) = (Vec::new(), Vec::new());
        let result = CellResult { cell: cell.clone(), parameters, marks, diverged_in: Some(epoch), lengths };
        self.write(&self.cell(cell).join(RESULT), &result)
    }

    /// The networks' times by turns, if they were taken and are whole.
    pub fn turns(&self) -> Result<Option<Timing>, StudyError> {
        read_whole(&self.file(TIMING))
    }

    /// Keeps the networks' times by turns.
    pub fn write_turns(&self, timing: &Timing) -> Result<(), StudyError> {
        self.write(&self.file(TIMING), timing)
    }

    pub(super) fn write(&self, path: &Path, value: &impl Serialize) -> Result<(), StudyError> {
        Ok(write_atomic(path, &json(value))?)
    }
}

/// The name of the table of what was said of the test clips after `epoch` epochs.
pub(super) fn predictions_file(epoch: usize) -> String {
    format!("predictions-{epoch}.csv")
}

fn json(value: &impl Serialize) -> Vec<u8> {
    let json = serde_json::to_string_pretty(value).expect("plain numbers and strings");
    format!("{json}\n").into_bytes()
}

/// Whether something lies there that is neither a study's settings nor a file that another process is about to make them.
fn holds_more_than_settings(path: &Path) -> bool {
    let own = |name: &std::ffi::OsStr| name == STUDY || name.to_string_lossy().starts_with(UNFINISHED);
    std::fs::read_dir(path).is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(|entry| !own(&entry.file_name()))))
}

fn create(path: &Path) -> Result<(), StudyError> {
    std::fs::create_dir_all(path).map_err(|source| RunDirectoryError::Write { path: path.into(), source }.into())
}

/// Looks at the schema first: what another version wrote need not have the fields of this one.
fn read_study(path: &Path) -> Result<Study, StudyError> {
    let unreadable = |problem: String| StudyError::Unreadable { path: path.into(), problem };
    let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    let json: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
    match json["schema"].as_u64() {
        Some(found) if found != u64::from(Study::SCHEMA) => Err(StudyError::OtherSchema { path: path.into(), found }),
        _ => serde_json::from_value(json).map_err(|error| unreadable(error.to_string())),
    }
}

/// A file that is written whole or not at all; none where there is none, or only a part of one.
fn read_whole<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StudyError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StudyError::Unreadable { path: path.into(), problem: error.to_string() }),
    }
}

/// The first setting in which two studies differ.
pub(super) fn difference(begun: &Study, asked: &Study) -> Option<String> {
    let [begun, asked] = [begun, asked].map(|study| serde_json::to_value(study).expect("plain numbers and strings"));
    differing("", &begun, &asked)
}

fn differing(name: &str, a: &serde_json::Value, b: &serde_json::Value) -> Option<String> {
    use serde_json::Value;
    let within = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    match (a, b) {
        (Value::Object(a), Value::Object(b)) if a.len() == b.len() => {
            a.iter().find_map(|(key, value)| differing(&within(key), value, b.get(key).unwrap_or(&Value::Null)))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(i, (a, b))| differing(&within(&i.to_string()), a, b))
        }
        _ if a == b => None,
        _ => Some(format!("{name} was {a} and is now {b}")),
    }
}

//! Reading of a run's tables and documents, each with words for what is wrong with it.

use super::RecordError;
use crate::train::environment::Environment;
use crate::train::event::{Started, Summary};
use crate::train::predictions::{Evaluation, Prediction};
use crate::train::run_directory::RunDirectory;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;

/// What `events.jsonl` says beyond the tables.
#[derive(Debug, Clone, Default)]
pub(super) struct Log {
    pub started: Option<Started>,
    pub warnings: Vec<String>,
    pub stopped_early: Option<String>,
    pub finished: Option<Summary>,
}

fn bytes(path: &Path) -> Result<Vec<u8>, RecordError> {
    std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => RecordError::damaged(path, "is not there"),
        _ => RecordError::damaged(path, format!("cannot be read: {error}")),
    })
}

/// The rows of a table under a header.
pub(super) fn read_table<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, RecordError> {
    let bytes = bytes(path)?;
    let rows: Result<Vec<T>, csv::Error> = csv::Reader::from_reader(bytes.as_slice()).into_deserialize().collect();
    rows.map_err(|error| RecordError::damaged(path, format!("is damaged: {error}")))
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, RecordError> {
    if !path.exists() {
        return Ok(None);
    }
    let read = serde_json::from_slice(&bytes(path)?);
    read.map(Some).map_err(|error| RecordError::damaged(path, format!("is damaged: {error}")))
}

/// `environment.json`, if there is one.
pub(super) fn read_environment(run: &RunDirectory) -> Result<Option<Environment>, RecordError> {
    read_json(&run.file("environment.json"))
}

/// `evaluation.json`, if there is one.
pub(super) fn read_evaluation(run: &RunDirectory) -> Result<Option<Evaluation>, RecordError> {
    let path = run.file("evaluation.json");
    let Some(evaluation) = read_json::<Evaluation>(&path)? else { return Ok(None) };
    let (classes, counts) = (evaluation.classes.len(), &evaluation.confusion_matrix.counts);
    if counts.len() != classes || counts.iter().any(|row| row.len() != classes) {
        return Err(RecordError::damaged(&path, "is damaged: its confusion matrix does not fit its classes"));
    }
    Ok(Some(evaluation))
}

/// The last run that `events.jsonl` tells of; nothing without the file.
pub(super) fn read_log(run: &RunDirectory) -> Result<Log, RecordError> {
    let path = run.file("events.jsonl");
    let mut log = Log::default();
    if !path.exists() {
        return Ok(log);
    }
    for line in String::from_utf8_lossy(&bytes(&path)?).lines() {
        // A process that was killed may have left half a line.
        let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
        let text = |name: &str| event[name].as_str().map(str::to_owned);
        match event["event"].as_str() {
            Some("started") => log = Log { started: serde_json::from_value(event).ok(), ..Log::default() },
            Some("warning") => log.warnings.extend(text("message")),
            Some("stopped_early") => log.stopped_early = text("reason"),
            Some("finished") => log.finished = serde_json::from_value(event).ok(),
            _ => {}
        }
    }
    Ok(log)
}

/// `predictions.csv`; a clip that `groups` does not know is a group of its own.
pub(super) fn read_predictions(
    path: &Path,
    classes: &[String],
    groups: &HashMap<&str, &str>,
) -> Result<Vec<Prediction>, RecordError> {
    let damaged = |problem: String| RecordError::damaged(path, format!("is damaged: {problem}"));
    let bytes = bytes(path)?;
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let header = reader.headers().map_err(|error| damaged(error.to_string()))?;
    if !header.iter().skip(3).eq(classes.iter().map(String::as_str)) {
        return Err(damaged("its columns are not the classes of config.toml".into()));
    }
    let row = |record: csv::StringRecord| {
        let label = classes.iter().position(|class| Some(class.as_str()) == record.get(1))?;
        let probabilities: Vec<f32> = record.iter().skip(3).map(|p| p.parse().ok()).collect::<Option<_>>()?;
        let path = record[0].to_owned();
        let group = groups.get(path.as_str()).map_or_else(|| path.clone(), |group| (*group).to_owned());
        Some(Prediction { path, group, label: label as u32, probabilities })
    };
    let rows = reader.into_records().map(|record| {
        let record = record.map_err(|error| damaged(error.to_string()))?;
        let line = record.position().map_or(0, csv::Position::line);
        row(record).ok_or_else(|| damaged(format!("line {line} has a class or a number that is none")))
    });
    rows.collect()
}

//! What an earlier `melgrad bench` wrote: a JSON line for each workload, or the one document of `--json`.

use crate::train::Quartiles;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A file that is no output of `melgrad bench`, or one that cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// The file itself.
    #[error("{}: {source}", path.display())]
    Read {
        /// As given.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Text of another kind.
    #[error("{}: line {line} is no JSON ({message}): give what `melgrad bench` or `melgrad bench --json` wrote", path.display())]
    NotJson {
        /// As given.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The parser's.
        message: String,
    },
    /// JSON of another kind.
    #[error("{}: {problem}: give what `melgrad bench` or `melgrad bench --epoch` wrote", path.display())]
    NotABench {
        /// As given.
        path: PathBuf,
        /// What it has in place of times.
        problem: String,
    },
    /// Times of two adapters under one heading.
    #[error("{}: it has times of {first} and of {second}: keep a file for each adapter", path.display())]
    TwoAdapters {
        /// As given.
        path: PathBuf,
        /// The first in it.
        first: String,
        /// Another.
        second: String,
    },
}

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub enum Unit {
    /// Milliseconds per training step.
    #[serde(rename = "ms per step")]
    MsPerStep,
    /// Seconds per epoch.
    #[serde(rename = "s per epoch")]
    SecondsPerEpoch,
}

impl Unit {
    /// The field of the output that has it.
    fn field(self) -> &'static str {
        match self {
            Self::MsPerStep => "ms_per_step",
            Self::SecondsPerEpoch => "seconds_per_epoch",
        }
    }
}

/// The time of one workload.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// Median over the file's lines of this workload.
    pub value: f64,
    /// Lines.
    pub times: usize,
    /// What is counted.
    pub unit: Unit,
}

/// The times of one file.
#[derive(Debug, Clone, PartialEq)]
pub struct Saved {
    /// The file.
    pub path: PathBuf,
    /// The adapter that all of them were taken on.
    pub adapter: String,
    /// By workload, and precision where it is not f32; in the order of the file.
    pub figures: Vec<(String, Figure)>,
}

impl Saved {
    /// Reads what `melgrad bench` wrote to `path`.
    pub fn read(path: &Path) -> Result<Self, SavedError> {
        let text = std::fs::read_to_string(path).map_err(|source| SavedError::Read { path: path.into(), source })?;
        Self::from_text(&text, path)
    }

    /// The same of a text that came from `path`.
    pub fn from_text(text: &str, path: &Path) -> Result<Self, SavedError> {
        let not_a_bench = |problem: String| SavedError::NotABench { path: path.into(), problem };
        let mut saved = Self { path: path.into(), adapter: String::new(), figures: Vec::new() };
        let (mut order, mut values) = (Vec::new(), BTreeMap::<_, Vec<f64>>::new());
        for document in documents(text, path)? {
            let Value::Object(row) = document else { return Err(not_a_bench(format!("it has {}", kind(&document)))) };
            let (name, adapter, unit, value) = row_of(&row).map_err(&not_a_bench)?;
            if saved.adapter.is_empty() {
                saved.adapter = adapter;
            } else if saved.adapter != adapter {
                return Err(SavedError::TwoAdapters { path: path.into(), first: saved.adapter, second: adapter });
            }
            let times = values.entry((name.clone(), unit)).or_default();
            if times.is_empty() {
                order.push((name, unit));
            }
            times.push(value);
        }
        for key in order {
            let times = &values[&key];
            let value = Quartiles::of(times).map_or(f64::NAN, |quartiles| quartiles.median);
            saved.figures.push((key.0, Figure { value, times: times.len(), unit: key.1 }));
        }
        if saved.figures.is_empty() { Err(not_a_bench("it is empty".into())) } else { Ok(saved) }
    }
}

/// The documents of a text: one for each line, or those of the one array that all of it is.
fn documents(text: &str, path: &Path) -> Result<Vec<Value>, SavedError> {
    match serde_json::from_str(text) {
        Ok(Value::Array(documents)) => return Ok(documents),
        Ok(document) => return Ok(vec![document]),
        Err(_) => {}
    }
    let parse = |(index, line): (usize, &str)| {
        let failed =
            |error: serde_json::Error| SavedError::NotJson { path: path.into(), line: index + 1, message: error.to_string() };
        serde_json::from_str(line).map_err(failed)
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(parse).collect()
}

/// Workload, adapter and time of one row, or what is wrong with it.
fn row_of(row: &Map<String, Value>) -> Result<(String, String, Unit, f64), String> {
    let text = |name: &str| row.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if row.contains_key("kernels") {
        return Err("it is a table of kernels, not of steps or epochs".into());
    }
    let Some(workload) = text("workload") else { return Err("a row names no `workload`".into()) };
    let Some(adapter) = text("adapter") else { return Err(format!("`{workload}` names no `adapter`")) };
    let units = [Unit::MsPerStep, Unit::SecondsPerEpoch].into_iter();
    let Some((unit, value)) = units.filter_map(|unit| Some((unit, row.get(unit.field())?))).next() else {
        return Err(format!("`{workload}` has neither `ms_per_step` nor `seconds_per_epoch`"));
    };
    let Some(value) = value.as_f64().filter(|value| *value > 0.0) else {
        return Err(format!("`{workload}` has `{}` {value}, which is no time", unit.field()));
    };
    let name = match text("precision") {
        None | Some("f32") => workload.to_owned(),
        Some(precision) => format!("{workload} {precision}"),
    };
    Ok((name, adapter.to_owned(), unit, value))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list within a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(text: &str) -> Result<Saved, SavedError> {
        Saved::from_text(text, Path::new("a.json"))
    }

    const LINES: &str = r#"{"workload": "lstm", "ms_per_step": 3.0, "adapter": "one", "precision": "f32"}

{"workload": "bbnn", "ms_per_step": 8.0, "adapter": "one"}
{"workload": "lstm", "ms_per_step": 5.0, "adapter": "one"}
{"workload": "lstm", "ms_per_step": 1.0, "adapter": "one", "precision": "mixed"}"#;

    #[test]
    fn lines_and_one_document_say_the_same_and_repeats_count_by_their_median() {
        let lines = saved(LINES).unwrap();
        let figure = |value, times| Figure { value, times, unit: Unit::MsPerStep };
        let expected = [("lstm", figure(4.0, 2)), ("bbnn", figure(8.0, 1)), ("lstm mixed", figure(1.0, 1))];
        assert_eq!(lines.figures, expected.map(|(name, figure)| (name.to_owned(), figure)));
        assert_eq!(lines.adapter, "one");
        let document = format!("[{}]", LINES.split('\n').filter(|line| !line.is_empty()).collect::<Vec<_>>().join(","));
        assert_eq!(saved(&document).unwrap(), lines);
        let epoch = saved(r#"{"workload": "epoch_lstm", "seconds_per_epoch": 2.5, "adapter": "one"}"#).unwrap();
        assert_eq!(epoch.figures[0].1, Figure { value: 2.5, times: 1, unit: Unit::SecondsPerEpoch });
    }

    #[test]
    fn what_is_no_bench_output_is_named() {
        for (text, words) in [
            ("", "it is empty"),
            ("[]", "it is empty"),
            ("workload  ms\nlstm  3", "line 1 is no JSON"),
            ("{\"workload\": \"lstm\", \"ms_per_step\": 3.0, \"adapter\": \"one\"}\n{\"workl", "line 2 is no JSON"),
            ("[3]", "a number"),
            (r#"{"run": "runs/a"}"#, "names no `workload`"),
            (r#"{"workload": "lstm", "ms_per_step": 3.0}"#, "names no `adapter`"),
            (r#"{"workload": "lstm", "adapter": "one"}"#, "neither `ms_per_step`"),
            (r#"{"workload": "lstm", "adapter": "one", "ms_per_step": "fast"}"#, "no time"),
            (r#"{"workload": "lstm", "adapter": "one", "ms_per_step": 0.0}"#, "no time"),
            (r#"{"workload": "lstm", "adapter": "one", "ms_per_step": null}"#, "no time"),
            (r#"{"adapter": "one", "kernels": []}"#, "table of kernels"),
            (
                r#"[{"workload": "a", "ms_per_step": 1, "adapter": "one"}, {"workload": "b", "ms_per_step": 1, "adapter": "two"}]"#,
                "of one and of two",
            ),
        ] {
            let error = saved(text).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("a.json"), "{text}: {error}");
        }
        assert!(matches!(Saved::read(Path::new("nowhere.json")), Err(SavedError::Read { .. })));
    }
}

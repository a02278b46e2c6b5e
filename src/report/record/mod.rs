//! A run as its directory tells it: what reports are made from, when it ends or years later.

mod files;

use crate::config::Config;
use crate::train::environment::Environment;
use crate::train::event::{EpochMetrics, Started, Summary};
use crate::train::predictions::{Evaluation, Prediction};
use crate::train::run_directory::{RunDirectory, RunDirectoryError};
use files::{Log, read_environment, read_evaluation, read_log, read_predictions, read_table};
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// Why a run cannot be reported on.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// No run, a configuration that cannot be used, or a report that cannot be written.
    #[error(transparent)]
    Run(#[from] RunDirectoryError),
    /// A file of the run that is missing, cannot be read or contradicts another.
    #[error("{path}: {problem}; restore it, or train the run again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// Everything that a report says of a run.
#[derive(Debug, Clone)]
pub struct RunRecord {
    /// Where it lies.
    pub run: RunDirectory,
    /// Every setting.
    pub config: Config,
    /// Where and when it was made; absent where a program other than `melgrad` called the library.
    pub environment: Option<Environment>,
    /// In order, at least one.
    pub epochs: Vec<EpochMetrics>,
    /// Every usable clip, with its part.
    pub clips: Vec<ClipRow>,
    /// Files that could not be used.
    pub bad: Vec<BadFileRow>,
    /// Of the test part, or of the validation part where there is no test part; absent until the run is over.
    pub evaluation: Option<Evaluation>,
    /// What was said of the clips of that part.
    pub predictions: Vec<Prediction>,
    log: Log,
}

/// A row of `splits.csv`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ClipRow {
    /// The clip's name.
    pub path: String,
    /// Its class.
    pub label: String,
    /// `train`, `valid` or `test`.
    pub split: String,
    /// Its group.
    pub group: String,
    /// BLAKE3 of its file.
    pub content_hash: String,
}

/// A row of `bad_files.csv`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct BadFileRow {
    /// The file.
    pub path: String,
    /// Why it could not be used.
    pub reason: String,
}

impl RunRecord {
    /// Reads the run in `path`.
    pub fn read(path: &Path) -> Result<Self, RecordError> {
        let (run, config) = RunDirectory::open(path)?;
        let epochs: Vec<EpochMetrics> = read_table(&run.file("metrics.csv"))?;
        if epochs.is_empty() {
            return Err(RecordError::damaged(&run.file("metrics.csv"), "has no epoch that is over"));
        }
        let clips: Vec<ClipRow> = read_table(&run.file("splits.csv"))?;
        let bad = run.file("bad_files.csv");
        let bad = if bad.is_file() { read_table(&bad)? } else { Vec::new() };
        let (environment, log) = (read_environment(&run)?, read_log(&run)?);
        let mut record = Self { environment, epochs, clips, bad, log, config, run, evaluation: None, predictions: Vec::new() };
        // What lies there of a run that has not ended is of an earlier epoch than the last.
        if record.is_over() {
            record.read_results()?;
        }
        Ok(record)
    }

    fn read_results(&mut self) -> Result<(), RecordError> {
        self.evaluation = read_evaluation(&self.run)?;
        let Some(evaluation) = &self.evaluation else { return Ok(()) };
        let groups: HashMap<&str, &str> = self.clips.iter().map(|clip| (clip.path.as_str(), clip.group.as_str())).collect();
        if evaluation.classes.len() != self.config.data.classes.len() {
            return Err(RecordError::damaged(&self.run.file("evaluation.json"), "has other classes than config.toml"));
        }
        let path = self.run.file("predictions.csv");
        let predictions = read_predictions(&path, &self.config.data.classes, &groups)?;
        if predictions.len() != evaluation.clips {
            let [here, there] = [predictions.len(), evaluation.clips].map(|clips| super::words::count(clips, "clip"));
            return Err(RecordError::damaged(&path, format!("has {here} where evaluation.json has {there}")));
        }
        self.predictions = predictions;
        Ok(())
    }

    /// Whether training and evaluation came to their end, as far as the files tell.
    pub fn is_over(&self) -> bool {
        self.log.finished.is_some() || self.log.started.is_none()
    }

    /// The network's name.
    pub fn model(&self) -> String {
        self.config.model.name.to_string()
    }

    /// What the run began with; absent without `events.jsonl`.
    pub fn started(&self) -> Option<&Started> {
        self.log.started.as_ref()
    }

    /// What the run ended with; absent without `events.jsonl` or before the end.
    pub fn finished(&self) -> Option<&Summary> {
        self.log.finished.as_ref()
    }

    /// What a person was told to know before trusting the result.
    pub fn warnings(&self) -> &[String] {
        &self.log.warnings
    }

    /// Why training ended before its last epoch.
    pub fn stopped_early(&self) -> Option<&str> {
        self.log.stopped_early.as_deref()
    }

    /// The epoch whose weights were kept, by the rule that training keeps them by: the highest validation accuracy, then
    /// the lowest validation loss, then the first; without a validation part the last.
    pub fn best_epoch(&self) -> &EpochMetrics {
        let mut best = &self.epochs[0];
        for epoch in &self.epochs[1..] {
            let better = match (epoch.val_accuracy.zip(epoch.val_loss), best.val_accuracy.zip(best.val_loss)) {
                (Some(new), Some(old)) => new.0 > old.0 || (new.0 == old.0 && new.1 < old.1),
                _ => true,
            };
            best = if better { epoch } else { best };
        }
        best
    }

    /// Clips of a part.
    pub fn part(&self, split: &str) -> Vec<&ClipRow> {
        self.clips.iter().filter(|clip| clip.split == split).collect()
    }

    /// Evaluated clips whose group has clips in the training part, too.
    pub fn shared_with_training(&self) -> usize {
        let trained: BTreeSet<&str> = self.part("train").iter().map(|clip| clip.group.as_str()).collect();
        self.predictions.iter().filter(|prediction| trained.contains(prediction.group.as_str())).count()
    }

    /// Independent groups among the evaluated clips.
    pub fn groups(&self) -> usize {
        self.predictions.iter().map(|prediction| prediction.group.as_str()).collect::<BTreeSet<_>>().len()
    }

    /// What a group is, in the singular: a tag's name, `clip` where each stands for itself, or `group`.
    pub fn group_noun(&self) -> &str {
        let alone = !self.predictions.is_empty() && self.groups() == self.predictions.len();
        match self.config.data.group.tag() {
            Some(tag) => tag,
            None if alone => "clip",
            None => "group",
        }
    }

    /// The adapter, its backend and driver.
    pub fn adapter(&self) -> String {
        if let Some(started) = &self.log.started {
            return started.adapter.clone();
        }
        let text = |name: &str| self.environment.as_ref().and_then(|environment| environment.adapter[name].as_str());
        match (text("name"), text("backend"), text("driver")) {
            (Some(name), Some(backend), Some(driver)) => format!("{name} ({backend}, {driver})"),
            _ => "unknown adapter".into(),
        }
    }
}

impl RecordError {
    fn damaged(path: &Path, problem: impl Into<String>) -> Self {
        Self::Damaged { path: path.into(), problem: problem.into() }
    }
}

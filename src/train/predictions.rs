//! What a network said of each clip of one part, and the evaluation and tables that follow from it.

use super::metrics::{self, ClassMetrics, ConfusionMatrix, Interval};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What a network said of one clip.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The clip, as `splits.csv` names it.
    pub path: String,
    /// Its group: clips of one group are not independent.
    pub group: String,
    /// Its true class.
    pub label: u32,
    /// The probability of each class, the mean over the clip's windows.
    pub probabilities: Vec<f32>,
}

impl Prediction {
    /// The most likely class, the first among equals.
    pub fn class(&self) -> u32 {
        metrics::most_likely(&self.probabilities)
    }
}

/// Why predictions cannot be evaluated or written.
#[derive(Debug, thiserror::Error)]
pub enum PredictionsError {
    /// Nothing to evaluate.
    #[error("the {part} part has no clips; give it some in the manifest's `split` column, or ask for another part")]
    Empty {
        /// The part of the data that was asked for.
        part: String,
    },
    /// Probabilities that are none: the network has diverged or the weights are damaged.
    #[error(
        "{path}: the network gave no usable probabilities ({probabilities:?}); its weights have diverged: lower the learning rate"
    )]
    NotProbabilities {
        /// The clip.
        path: String,
        /// What the network gave.
        probabilities: Vec<f32>,
    },
    /// A table could not be written.
    #[error("{path}: cannot be written: {source}")]
    Write {
        /// The table.
        path: PathBuf,
        /// What the system said.
        source: csv::Error,
    },
}

/// The contents of `evaluation.json`; accuracies are in 0..1, and a ratio without a denominator is null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The part of the data: `train`, `valid` or `test`.
    pub part: String,
    /// Its clips.
    pub clips: usize,
    /// Share of the clips named rightly.
    pub accuracy: f64,
    /// Its 95 % interval; null with fewer than two groups.
    pub accuracy_ci95: Option<Interval>,
    /// Mean recall of the classes.
    pub balanced_accuracy: Option<f64>,
    /// Mean F1 of the classes.
    pub macro_f1: Option<f64>,
    /// Mean negative log probability of the true class, in nats.
    pub log_loss: f64,
    /// Accuracy of always naming the largest class of the training part; null where that part is not known.
    pub majority_baseline: Option<f64>,
    /// The class that the majority baseline names.
    pub majority_class: Option<String>,
    /// Each class, in the order of the network's outputs.
    pub classes: Vec<ClassEvaluation>,
    /// `confusion_matrix[true class][predicted class]`, in the same order.
    pub confusion_matrix: ConfusionMatrix,
}

/// One class in `evaluation.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassEvaluation {
    /// Its name.
    pub name: String,
    /// Its figures.
    #[serde(flatten)]
    pub metrics: ClassMetrics,
}

impl Evaluation {
    /// Evaluates `predictions` of one `part`; `train_labels` are those of the training part, `seed` draws the interval.
    pub fn new(
        part: &str,
        classes: &[String],
        predictions: &[Prediction],
        train_labels: &[u32],
        seed: u64,
    ) -> Result<Self, PredictionsError> {
        check(part, classes.len(), predictions)?;
        let labels: Vec<u32> = predictions.iter().map(|prediction| prediction.label).collect();
        let named: Vec<u32> = predictions.iter().map(Prediction::class).collect();
        let correct: Vec<bool> = labels.iter().zip(&named).map(|(label, named)| label == named).collect();
        let groups: Vec<&str> = predictions.iter().map(|prediction| prediction.group.as_str()).collect();
        let probabilities: Vec<f32> =
            predictions.iter().flat_map(|prediction| prediction.probabilities.iter().copied()).collect();

        let empty = || PredictionsError::Empty { part: part.into() };
        let confusion_matrix = ConfusionMatrix::new(classes.len(), &labels, &named);
        let majority = metrics::majority_baseline(classes.len(), train_labels, &labels);
        Ok(Self {
            part: part.into(),
            clips: predictions.len(),
            accuracy: confusion_matrix.accuracy().ok_or_else(empty)?,
            accuracy_ci95: metrics::accuracy_ci95(&correct, &groups, seed),
            balanced_accuracy: confusion_matrix.balanced_accuracy(),
            macro_f1: confusion_matrix.macro_f1(),
            log_loss: metrics::log_loss(classes.len(), &labels, &probabilities).ok_or_else(empty)?,
            majority_baseline: majority.map(|majority| majority.accuracy),
            majority_class: majority.map(|majority| classes[majority.class as usize].clone()),
            classes: classes
                .iter()
                .enumerate()
                .map(|(class, name)| ClassEvaluation { name: name.clone(), metrics: confusion_matrix.class(class) })
                .collect(),
            confusion_matrix,
        })
    }
}

fn check(part: &str, classes: usize, predictions: &[Prediction]) -> Result<(), PredictionsError> {
    if predictions.is_empty() {
        return Err(PredictionsError::Empty { part: part.into() });
    }
    for prediction in predictions {
        let probabilities = &prediction.probabilities;
        if probabilities.len() != classes || !probabilities.iter().all(|p| (0.0..=1.001).contains(p)) {
            return Err(PredictionsError::NotProbabilities {
                path: prediction.path.clone(),
                probabilities: probabilities.clone(),
            });
        }
    }
    Ok(())
}

/// Writes `predictions.csv`: `path,label,prediction`, then the probability of each class under its name.
pub fn write_predictions(path: &Path, classes: &[String], predictions: &[Prediction]) -> Result<(), PredictionsError> {
    let header = ["path", "label", "prediction"].into_iter().chain(classes.iter().map(String::as_str));
    let rows = predictions.iter().map(|prediction| {
        let mut row = vec![prediction.path.clone()];
        row.extend([prediction.label, prediction.class()].map(|class| classes[class as usize].clone()));
        // `Debug` writes 1e-30 where `Display` writes thirty zeros.
        row.extend(prediction.probabilities.iter().map(|p| format!("{p:?}")));
        row
    });
    write_table(path, header, rows)
}

/// Writes `confusion_matrix.csv`: a row per true class (column `label`), a column per predicted class.
pub fn write_confusion_matrix(path: &Path, classes: &[String], matrix: &ConfusionMatrix) -> Result<(), PredictionsError> {
    let header = ["label"].into_iter().chain(classes.iter().map(String::as_str));
    let rows = classes.iter().zip(&matrix.counts).map(|(class, counts)| {
        let mut row = vec![class.clone()];
        row.extend(counts.iter().map(usize::to_string));
        row
    });
    write_table(path, header, rows)
}

fn write_table<'a>(
    path: &Path,
    header: impl Iterator<Item = &'a str>,
    mut rows: impl Iterator<Item = Vec<String>>,
) -> Result<(), PredictionsError> {
    let write = || {
        let mut table = csv::Writer::from_path(path)?;
        table.write_record(header)?;
        rows.try_for_each(|row| table.write_record(row))?;
        table.flush().map_err(csv::Error::from)
    };
    write().map_err(|source| PredictionsError::Write { path: path.into(), source })
}

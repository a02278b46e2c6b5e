//! The pictures of a run, made from what its directory holds.

use super::plot::class_bars::{ClassBars, ModelBars};
use super::plot::confusion::Confusion;
use super::plot::learning_curves::LearningCurves;
use super::record::RunRecord;
use super::words;
use crate::train::predictions::{ClassEvaluation, Evaluation};

/// Loss and accuracy over the epochs.
pub fn learning_curves(record: &RunRecord) -> LearningCurves {
    let [train, valid, test] = ["train", "valid", "test"].map(|split| words::thousands(record.part(split).len()));
    LearningCurves {
        title: format!("{} on {}: loss and accuracy", record.model(), record.config.data.name()),
        note: format!("{} · {train} clips to train on, {valid} to validate, {test} to test", record.adapter()),
        epochs: record.epochs.clone(),
        best_epoch: Some(record.best_epoch().epoch),
    }
}

/// What was taken for what, in the part that was evaluated.
pub fn confusion(record: &RunRecord, evaluation: &Evaluation) -> Confusion {
    Confusion {
        title: format!("{} on {}: what was taken for what", record.model(), record.config.data.name()),
        note: note(record, evaluation),
        classes: names(&evaluation.classes),
        counts: evaluation.confusion_matrix.counts.clone(),
    }
}

/// Precision, recall and F1 of each class.
pub fn class_bars(record: &RunRecord, evaluation: &Evaluation) -> ClassBars {
    type Figure = fn(&ClassEvaluation) -> Option<f64>;
    let figures: [(&str, Figure); 3] =
        [("precision", |c| c.metrics.precision), ("recall", |c| c.metrics.recall), ("F1", |c| c.metrics.f1)];
    let bars =
        |(name, figure): (&str, Figure)| ModelBars { name: name.into(), values: evaluation.classes.iter().map(figure).collect() };
    ClassBars {
        title: format!("{} on {}: each class", record.model(), record.config.data.name()),
        note: note(record, evaluation),
        metric: "precision, recall and F1".into(),
        classes: names(&evaluation.classes),
        models: figures.into_iter().map(bars).collect(),
    }
}

/// `Test part, 77 clips, accuracy 66.2% · adapter`.
fn note(record: &RunRecord, evaluation: &Evaluation) -> String {
    let part = match evaluation.part.as_str() {
        "valid" => "Validation part",
        "test" => "Test part",
        other => other,
    };
    let (clips, accuracy) = (words::count(evaluation.clips, "clip"), words::percent(evaluation.accuracy));
    format!("{part}, {clips}, accuracy {accuracy} · {}", record.adapter())
}

fn names(classes: &[ClassEvaluation]) -> Vec<String> {
    classes.iter().map(|class| class.name.clone()).collect()
}

//! The one look at the test part, with the best weights; and evaluation of any part for whoever asks.

use super::checkpoint::{fit, read_checkpoint};
use super::evaluate::evaluate_from;
use super::feed::Feed;
use super::predictions::{Evaluation, Prediction, write_confusion_matrix, write_predictions};
use super::run_directory::{RunDirectory, write_atomic};
use super::session::Session;
use super::validate::Note;
use super::{TrainError, weights};
use crate::dataset::{Batches, Dataset, Split, Windows};
use crate::models::Network;
use std::path::Path;

/// What the best weights came to.
pub(super) struct Outcome {
    pub validation: Option<Evaluation>,
    pub test: Option<Evaluation>,
    /// What was said of each clip of the test part.
    pub test_predictions: Vec<Prediction>,
}

/// Puts the newest weights back in the place of the best ones.
pub(super) fn go_on(session: &Session<'_>, data: &Dataset, run: &RunDirectory) -> Result<(), TrainError> {
    load(session, data, &run.file("last"))
}

fn load(session: &Session<'_>, data: &Dataset, path: &Path) -> Result<(), TrainError> {
    let checkpoint = read_checkpoint::<Note>(path)?;
    let names = weights::expected(session.network.parameters().declarations(), data.n_mels, session.standardisation.is_some());
    weights::import(&session.network, &fit(path, checkpoint.model, &names)?);
    Ok(())
}

/// Loads the best weights and evaluates validation and test part, all windows of each clip; writes the test part's
/// files, or the validation part's where there is no test part.
pub(super) fn conclude(session: &Session<'_>, data: &Dataset, run: &RunDirectory) -> Result<Outcome, TrainError> {
    load(session, data, &run.file("best"))?;
    let mut outcome = Outcome { validation: None, test: None, test_predictions: Vec::new() };
    for split in [Split::Valid, Split::Test].into_iter().filter(|split| !data.part(*split).is_empty()) {
        let predictions = predict_from(&session.feed, &session.network, data, split)?;
        let evaluation = evaluate_part(data, split, &predictions, session.config.train.seed)?;
        write_evaluation(run, data, &predictions, &evaluation)?;
        if split == Split::Valid {
            outcome.validation = Some(evaluation);
        } else {
            outcome.test = Some(evaluation);
            outcome.test_predictions = predictions;
        }
    }
    Ok(outcome)
}

/// What the network says of each clip of a part, over all its windows.
pub fn predict_part(network: &Network, data: &Dataset, split: Split) -> Result<Vec<Prediction>, TrainError> {
    predict_from(&Feed::new(network, None), network, data, split)
}

/// As [`predict_part`], with the windows from `feed`.
pub(super) fn predict_from(feed: &Feed, network: &Network, data: &Dataset, split: Split) -> Result<Vec<Prediction>, TrainError> {
    let windows = Batches::evaluation(data, split, network.dimensions().batch, Windows::All);
    let mut outputs = evaluate_from(feed, network, &windows, data.samples.len())?;
    let prediction = |index: usize| {
        let sample = &data.samples[index];
        Prediction {
            path: sample.name(),
            group: sample.group.clone(),
            label: sample.label as u32,
            probabilities: std::mem::take(&mut outputs[index].probabilities),
        }
    };
    Ok(data.part(split).into_iter().map(prediction).collect())
}

/// The evaluation of a part's predictions.
pub fn evaluate_part(data: &Dataset, split: Split, predictions: &[Prediction], seed: u64) -> Result<Evaluation, TrainError> {
    let train_labels: Vec<u32> = data.part(Split::Train).iter().map(|&i| data.samples[i].label as u32).collect();
    Ok(Evaluation::new(split.name(), &data.classes, predictions, &train_labels, seed)?)
}

/// Writes `evaluation.json`, `predictions.csv` and `confusion_matrix.csv`.
pub fn write_evaluation(
    run: &RunDirectory,
    data: &Dataset,
    predictions: &[Prediction],
    evaluation: &Evaluation,
) -> Result<(), TrainError> {
    let json = serde_json::to_string_pretty(evaluation).expect("an evaluation is plain numbers and strings");
    write_atomic(&run.file("evaluation.json"), format!("{json}\n").as_bytes())?;
    write_predictions(&run.file("predictions.csv"), &data.classes, predictions)?;
    write_confusion_matrix(&run.file("confusion_matrix.csv"), &data.classes, &evaluation.confusion_matrix)?;
    Ok(())
}

//! After each epoch: validation, `last/` and, if it is the best so far, `best/`.

use super::TrainError;
use super::checkpoint::write_checkpoint;
use super::early_stop::watched;
use super::epoch::{EpochResult, recalibrated};
use super::evaluate::evaluate_from;
use super::event::{EpochMetrics, Event, Observer};
use super::run_directory::RunDirectory;
use super::session::Session;
use super::weights;
use crate::dataset::{Batches, Dataset, Split, Windows};
use crate::optim::Plateau;
use serde::{Deserialize, Serialize};

/// What a checkpoint notes of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Note {
    epoch: usize,
    step: u64,
    val_accuracy: Option<f64>,
    val_loss: Option<f64>,
    plateau: Plateau,
}

/// Validation of one epoch: accuracy first, then loss.
#[derive(Debug, Clone, Copy)]
pub(super) struct Validation {
    accuracy: f64,
    loss: f64,
}

impl Validation {
    fn better_than(self, other: Self) -> bool {
        self.accuracy > other.accuracy || (self.accuracy == other.accuracy && self.loss < other.loss)
    }
}

/// An epoch and whether its weights are the best so far.
pub(super) struct Validated {
    pub metrics: EpochMetrics,
    pub is_best: bool,
    /// What the schedule remembers after it.
    pub plateau: Plateau,
}

/// Validates an epoch, writes `last/` and, if it is the best so far, `best/`.
pub(super) fn validate(
    session: &Session<'_>,
    data: &Dataset,
    epoch: usize,
    batches: &Batches,
    result: &EpochResult,
    best: &mut Option<Validation>,
    run: &RunDirectory,
    observer: &mut dyn Observer,
) -> Result<Validated, TrainError> {
    let part = data.part(Split::Valid);
    let windows = Batches::evaluation(data, Split::Valid, session.network.dimensions().batch, Windows::Centre);
    let plateau = |validation: Option<Validation>| {
        let (_, loss) = watched(session.config.train.early_stop_metric, result.loss, validation.map(|v| v.loss));
        session.schedule.after(session.plateau, epoch, loss)
    };
    let note = |validation: Option<Validation>| Note {
        epoch,
        step: session.steps,
        val_accuracy: validation.map(|v| v.accuracy),
        val_loss: validation.map(|v| v.loss),
        plateau: plateau(validation),
    };
    let weights = session.weights()?;
    if weights.iter().any(|tensor| tensor.data.iter().any(|value| !value.is_finite())) {
        return Err(TrainError::Diverged { epoch, learning_rate: session.config.train.learning_rate });
    }
    let optimizer = weights::export_optimizer(&session.network, &session.optimizer)?;
    let (validation, is_best) = recalibrated(session, batches, || {
        let validation = if part.is_empty() {
            None
        } else {
            let outputs = evaluate_from(&session.feed, &session.network, &windows, data.samples.len())?;
            let right = part
                .iter()
                .filter(|&&i| super::metrics::most_likely(&outputs[i].probabilities) as usize == data.samples[i].label)
                .count();
            let loss: f64 = part.iter().map(|&i| outputs[i].log_loss(data.samples[i].label)).sum();
            if !loss.is_finite() {
                return Err(TrainError::Diverged { epoch, learning_rate: session.config.train.learning_rate });
            }
            Some(Validation { accuracy: right as f64 / part.len() as f64, loss: loss / part.len() as f64 })
        };
        // Without a validation part the newest weights are taken.
        let is_best = match (validation, *best) {
            (Some(new), Some(old)) => new.better_than(old),
            _ => true,
        };
        if is_best {
            write_checkpoint(&run.file("best"), &session.weights()?, &optimizer, &note(validation))?;
        }
        Ok((validation, is_best))
    })?;
    if is_best {
        *best = validation;
    }
    write_checkpoint(&run.file("last"), &weights, &optimizer, &note(validation))?;
    let metrics = EpochMetrics {
        epoch,
        train_loss: result.loss,
        train_accuracy: result.accuracy,
        val_loss: validation.map(|v| v.loss),
        val_accuracy: validation.map(|v| v.accuracy),
        learning_rate: decimal(result.learning_rate),
        epoch_seconds: result.seconds,
        gpu_seconds: result.gpu_seconds,
    };
    observer.event(&Event::Epoch(metrics)).map_err(TrainError::Observer)?;
    Ok(Validated { metrics, is_best, plateau: plateau(validation) })
}

/// The shortest number that stands for it: 0.0002, as typed, and not its nearest 32-bit neighbour.
fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

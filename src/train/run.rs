//! A whole training run: epochs, validation, checkpoints, and one look at the test part with the best weights.

use super::checkpoint::{NamedTensor, fit, read_checkpoint, write_checkpoint};
use super::early_stop::EarlyStop;
use super::epoch::{EpochResult, recalibrated, train_epoch};
use super::evaluate::evaluate;
use super::event::{EpochMetrics, Event, Observer, Started, Summary};
use super::predictions::{Evaluation, Prediction, write_confusion_matrix, write_predictions};
use super::run_directory::{RunDirectory, write_atomic};
use super::{TrainError, weights};
use crate::config::Config;
use crate::dataset::{Batches, Dataset, MelStatistics, Split, Windows, write_bad_files_csv, write_splits_csv};
use crate::gpu::{Element, Gpu, Tensor, Timer};
use crate::models::{Dimensions, Network};
use crate::optim::{Adam, AdamSettings};
use serde::{Deserialize, Serialize};

/// What a run holds while it trains.
pub(super) struct Session<'a> {
    pub config: &'a Config,
    pub network: Network,
    pub adam: Adam,
    pub timer: Option<Timer>,
    pub learning_rate: f32,
    pub steps: u64,
    /// Where the running statistics wait while re-estimated ones are in their place.
    pub kept_statistics: Tensor,
    standardisation: Option<MelStatistics>,
}

/// What a checkpoint notes of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Note {
    epoch: usize,
    step: u64,
    val_accuracy: Option<f64>,
    val_loss: Option<f64>,
}

/// Validation of one epoch: accuracy first, then loss.
#[derive(Debug, Clone, Copy)]
struct Validation {
    accuracy: f64,
    loss: f64,
}

impl Validation {
    fn better_than(self, other: Self) -> bool {
        self.accuracy > other.accuracy || (self.accuracy == other.accuracy && self.loss < other.loss)
    }
}

/// Trains as `config` says and writes the run directory. `config.data.classes` are those of `data`.
pub fn train(
    gpu: &Gpu,
    config: &Config,
    data: &Dataset,
    run: &RunDirectory,
    observer: &mut dyn Observer,
) -> Result<Summary, TrainError> {
    write_splits_csv(&run.file("splits.csv"), data)?;
    write_bad_files_csv(&run.file("bad_files.csv"), data)?;
    let mut session = open(gpu, config, data)?;
    let declarations = session.network.parameters().declarations().clone();
    let adapter = super::adapter_words(gpu);
    let mut tell = |event: Event| observer.event(&event).map_err(TrainError::Observer);
    tell(Event::Started(Started {
        run: run.path().into(),
        model: config.model.name.to_string(),
        parameters: declarations.total(),
        trainable_parameters: declarations.trainable(),
        epochs: config.train.epochs,
        batch_size: config.train.batch_size,
        frames: config.train.frames,
        clips: Split::ALL.map(|split| data.part(split).len()),
        classes: data.classes.clone(),
        adapter: adapter.clone(),
    }))?;
    for message in &data.warnings {
        tell(Event::Warning { message: message.clone() })?;
    }
    let mut early = EarlyStop::new(&config.train);
    let mut best: Option<Validation> = None;
    let (mut best_epoch, mut epochs, mut seconds) = (0, 0, Vec::new());
    for epoch in 1..=config.train.epochs {
        let batches = Batches::training(data, session.network.dimensions().batch, config.train.seed, epoch as u64);
        let result = train_epoch(&mut session, epoch, &batches, observer)?;
        session.steps += result.steps as u64;
        epochs = epoch;
        seconds.push(result.seconds);
        let improved = validate(&session, data, epoch, &batches, &result, &mut best, run, observer)?;
        if improved.is_best {
            best_epoch = epoch;
        }
        if let Some(reason) = early.after(epoch, improved.metrics.train_loss, improved.metrics.val_loss) {
            observer.event(&Event::StoppedEarly { epoch, reason }).map_err(TrainError::Observer)?;
            break;
        }
    }
    let outcome = conclude(&session, data, run)?;
    let summary = Summary {
        run: run.path().into(),
        model: config.model.name.to_string(),
        parameters: declarations.total(),
        trainable_parameters: declarations.trainable(),
        epochs,
        best_epoch,
        val_accuracy: outcome.validation.map(|e| e.accuracy),
        test_accuracy: outcome.test.as_ref().map(|e| e.accuracy),
        test_accuracy_ci95: outcome.test.as_ref().and_then(|e| e.accuracy_ci95.as_ref()).map(|i| [i.low, i.high]),
        test_groups: outcome.test_groups,
        majority_baseline: outcome.test.as_ref().and_then(|e| e.majority_baseline),
        epoch_seconds_median: median(if seconds.len() > 1 { &seconds[1..] } else { &seconds }),
        adapter,
    };
    observer.event(&Event::Finished(Box::new(summary.clone()))).map_err(TrainError::Observer)?;
    Ok(summary)
}

fn open<'a>(gpu: &Gpu, config: &'a Config, data: &Dataset) -> Result<Session<'a>, TrainError> {
    let recipe = &config.train;
    let train_clips = data.part(Split::Train).len();
    let dimensions = Dimensions {
        batch: recipe.batch_size.min(train_clips).max(1),
        frames: recipe.frames,
        mels: data.n_mels,
        classes: data.classes.len(),
    };
    let network = Network::new(gpu, &config.model, dimensions)?;
    network.initialise(recipe.seed);
    let standardisation = config.model.standardises_input().then(|| data.mel_statistics());
    if let Some(statistics) = &standardisation {
        network.set_standardisation(&statistics.mean, &statistics.std);
    }
    let settings = AdamSettings {
        weight_decay: recipe.weight_decay,
        clip_norm: recipe.clip_norm,
        clip_value: recipe.clip_value,
        ..AdamSettings::default()
    };
    let adam = Adam::new(gpu, network.parameters(), settings)?;
    let kept = network.parameters().statistics().plan().elements();
    Ok(Session {
        config,
        adam,
        timer: Timer::new(gpu)?,
        learning_rate: recipe.learning_rate,
        steps: 0,
        kept_statistics: gpu.tensor("kept statistics", Element::F32, &[kept])?,
        network,
        standardisation,
    })
}

impl Session<'_> {
    fn weights(&self) -> Result<Vec<NamedTensor>, TrainError> {
        let standardisation = self.standardisation.as_ref().map(|s| (s.mean.as_slice(), s.std.as_slice()));
        Ok(weights::export(&self.network, standardisation)?)
    }
}

struct Validated {
    metrics: EpochMetrics,
    is_best: bool,
}

/// Validates an epoch, writes `last/` and, if it is the best so far, `best/`.
fn validate(
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
    let note = |validation: Option<Validation>| Note {
        epoch,
        step: session.steps,
        val_accuracy: validation.map(|v| v.accuracy),
        val_loss: validation.map(|v| v.loss),
    };
    let optimizer = weights::export_optimizer(&session.network, &session.adam)?;
    let (validation, is_best) = recalibrated(session, batches, || {
        let validation = if part.is_empty() {
            None
        } else {
            let outputs = evaluate(&session.network, &windows, data.samples.len())?;
            let right = part
                .iter()
                .filter(|&&i| super::metrics::most_likely(&outputs[i].probabilities) as usize == data.samples[i].label)
                .count();
            let loss: f64 = part.iter().map(|&i| outputs[i].log_loss(data.samples[i].label)).sum();
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
    write_checkpoint(&run.file("last"), &session.weights()?, &optimizer, &note(validation))?;
    let metrics = EpochMetrics {
        epoch,
        train_loss: result.loss,
        train_accuracy: result.accuracy,
        val_loss: validation.map(|v| v.loss),
        val_accuracy: validation.map(|v| v.accuracy),
        learning_rate: decimal(session.learning_rate),
        epoch_seconds: result.seconds,
        gpu_seconds: result.gpu_seconds,
    };
    observer.event(&Event::Epoch(metrics)).map_err(TrainError::Observer)?;
    Ok(Validated { metrics, is_best })
}

struct Outcome {
    validation: Option<Evaluation>,
    test: Option<Evaluation>,
    test_groups: Option<usize>,
}

/// Loads the best weights and evaluates validation and test part, all windows of each clip; writes the test part's
/// files, or the validation part's where there is no test part.
fn conclude(session: &Session<'_>, data: &Dataset, run: &RunDirectory) -> Result<Outcome, TrainError> {
    let path = run.file("best");
    let checkpoint = read_checkpoint::<Note>(&path)?;
    let names = weights::expected(session.network.parameters().declarations(), data.n_mels, session.standardisation.is_some());
    weights::import(&session.network, &fit(&path, checkpoint.model, &names)?);
    let mut outcome = Outcome { validation: None, test: None, test_groups: None };
    for split in [Split::Valid, Split::Test].into_iter().filter(|split| !data.part(*split).is_empty()) {
        let predictions = predict_part(&session.network, data, split)?;
        let evaluation = evaluate_part(data, split, &predictions, session.config.train.seed)?;
        write_evaluation(run, data, &predictions, &evaluation)?;
        if split == Split::Valid {
            outcome.validation = Some(evaluation);
        } else {
            let groups: std::collections::BTreeSet<&str> = predictions.iter().map(|p| p.group.as_str()).collect();
            outcome.test_groups = Some(groups.len());
            outcome.test = Some(evaluation);
        }
    }
    Ok(outcome)
}

/// What the network says of each clip of a part, over all its windows.
pub fn predict_part(network: &Network, data: &Dataset, split: Split) -> Result<Vec<Prediction>, TrainError> {
    let windows = Batches::evaluation(data, split, network.dimensions().batch, Windows::All);
    let mut outputs = evaluate(network, &windows, data.samples.len())?;
    let prediction = |index: usize| {
        let sample = &data.samples[index];
        Prediction {
            path: sample.path.display().to_string(),
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

/// The number that was typed: 0.0002 and not its nearest 32-bit neighbour.
fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => 0.5 * (sorted[n / 2 - 1] + sorted[n / 2]),
    }
}

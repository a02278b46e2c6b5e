//! A whole training run: epochs, validation, checkpoints, and one look at the test part with the best weights.

use super::TrainError;
use super::class_weights;
use super::conclude::{Outcome, conclude, go_on};
use super::device_clips::DeviceClips;
use super::early_stop::EarlyStop;
use super::epoch::train_epoch;
use super::event::{Event, Observer, Started, Summary};
use super::predictions::{Evaluation, Prediction};
use super::run_directory::RunDirectory;
use super::session::Session;
use super::validate::{Validation, validate};
use crate::config::Config;
use crate::dataset::{Batches, Dataset, Split, write_bad_files_csv, write_splits_csv};
use crate::gpu::Gpu;
use std::collections::BTreeSet;

/// What a run came to after so many epochs: with the best weights until then.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Epochs trained.
    pub epoch: usize,
    /// The epoch whose weights were evaluated: the best on the validation part, or the newest where there is none.
    pub best_epoch: usize,
    /// All windows of each clip of the validation part.
    pub validation: Option<Evaluation>,
    /// The same of the test part.
    pub test: Option<Evaluation>,
    /// What was said of each clip of the test part.
    pub test_predictions: Vec<Prediction>,
}

/// A finished run.
#[derive(Debug, Clone)]
pub struct Trained {
    /// What it came to.
    pub summary: Summary,
    /// What it had come to at each mark, the last epoch always among them.
    pub marks: Vec<Mark>,
    /// Wall seconds of each epoch's training steps.
    pub epoch_seconds: Vec<f64>,
    /// Seconds that the device worked on them, where the adapter has timestamps.
    pub gpu_seconds: Vec<Option<f64>>,
}

/// Trains as `config` says and writes the run directory. `config.data.classes` are those of `data`.
pub fn train(
    gpu: &Gpu,
    config: &Config,
    data: &Dataset,
    run: &RunDirectory,
    observer: &mut dyn Observer,
) -> Result<Summary, TrainError> {
    train_to_marks(gpu, &DeviceClips::default(), config, data, run, &[], observer).map(|trained| trained.summary)
}

/// As [`train`], and looks at validation and test part after each of the epochs `marks`, too. Training does not notice: it
/// gives the same bits with and without marks, and whether or not `clips`, which runs on the same data share, have room.
pub fn train_to_marks(
    gpu: &Gpu,
    clips: &DeviceClips,
    config: &Config,
    data: &Dataset,
    run: &RunDirectory,
    marks: &[usize],
    observer: &mut dyn Observer,
) -> Result<Trained, TrainError> {
    write_splits_csv(&run.file("splits.csv"), data)?;
    write_bad_files_csv(&run.file("bad_files.csv"), data)?;
    let mut session = Session::open(gpu, clips, config, data)?;
    run.write_kernels(&gpu.choices())?;
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
        precision: config.train.precision,
        adapter: adapter.clone(),
    }))?;
    let weightless = class_weights::warning(config.train.class_weights, &data.classes, &data.class_counts(Split::Train));
    for message in data.warnings.iter().cloned().chain(weightless) {
        tell(Event::Warning { message })?;
    }
    let mut early = EarlyStop::new(&config.train);
    let mut best: Option<Validation> = None;
    let (mut best_epoch, mut epochs) = (0, 0);
    let (mut looks, mut epoch_seconds, mut gpu_seconds) = (Vec::new(), Vec::new(), Vec::new());
    for epoch in 1..=config.train.epochs {
        let batch_size = session.network.dimensions().batch;
        let batches = Batches::training(data, batch_size, &config.augment, config.train.seed, epoch as u64);
        let result = train_epoch(&session, epoch, &batches, observer)?;
        session.steps += result.steps as u64;
        epochs = epoch;
        epoch_seconds.push(result.seconds);
        gpu_seconds.push(result.gpu_seconds);
        let improved = validate(&session, data, epoch, &batches, &result, &mut best, run, observer)?;
        session.plateau = improved.plateau;
        if improved.is_best {
            best_epoch = epoch;
        }
        if let Some(reason) = early.after(epoch, improved.metrics.train_loss, improved.metrics.val_loss) {
            observer.event(&Event::StoppedEarly { epoch, reason }).map_err(TrainError::Observer)?;
            break;
        }
        if marks.contains(&epoch) && epoch < config.train.epochs {
            looks.push(mark(epoch, best_epoch, conclude(&session, data, run)?));
            go_on(&session, data, run)?;
        }
    }
    let last = mark(epochs, best_epoch, conclude(&session, data, run)?);
    let summary = Summary {
        run: run.path().into(),
        model: config.model.name.to_string(),
        parameters: declarations.total(),
        trainable_parameters: declarations.trainable(),
        epochs,
        best_epoch,
        val_accuracy: last.validation.as_ref().map(|e| e.accuracy),
        test_accuracy: last.test.as_ref().map(|e| e.accuracy),
        test_accuracy_ci95: last.test.as_ref().and_then(|e| e.accuracy_ci95.as_ref()).map(|i| [i.low, i.high]),
        test_groups: last.test.as_ref().map(|_| groups(&last.test_predictions)),
        majority_baseline: last.test.as_ref().and_then(|e| e.majority_baseline),
        epoch_seconds_median: median(if epochs > 1 { &epoch_seconds[1..] } else { &epoch_seconds }),
        adapter,
    };
    observer.event(&Event::Finished(Box::new(summary.clone()))).map_err(TrainError::Observer)?;
    looks.push(last);
    Ok(Trained { summary, marks: looks, epoch_seconds, gpu_seconds })
}

fn mark(epoch: usize, best_epoch: usize, outcome: Outcome) -> Mark {
    let Outcome { validation, test, test_predictions } = outcome;
    Mark { epoch, best_epoch, validation, test, test_predictions }
}

/// Independent groups among the clips.
fn groups(predictions: &[Prediction]) -> usize {
    predictions.iter().map(|prediction| prediction.group.as_str()).collect::<BTreeSet<_>>().len()
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

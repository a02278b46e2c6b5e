//! A whole training run: epochs, validation, checkpoints, and one look at the test part with the best weights.

use super::TrainError;
use super::class_weights;
use super::conclude::conclude;
use super::early_stop::EarlyStop;
use super::epoch::train_epoch;
use super::event::{Event, Observer, Started, Summary};
use super::run_directory::RunDirectory;
use super::session::Session;
use super::validate::{Validation, validate};
use crate::config::Config;
use crate::dataset::{Batches, Dataset, Split, write_bad_files_csv, write_splits_csv};
use crate::gpu::Gpu;

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
    let mut session = Session::open(gpu, config, data)?;
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
        adapter: adapter.clone(),
    }))?;
    let weightless = class_weights::warning(config.train.class_weights, &data.classes, &data.class_counts(Split::Train));
    for message in data.warnings.iter().cloned().chain(weightless) {
        tell(Event::Warning { message })?;
    }
    let mut early = EarlyStop::new(&config.train);
    let mut best: Option<Validation> = None;
    let (mut best_epoch, mut epochs, mut seconds) = (0, 0, Vec::new());
    for epoch in 1..=config.train.epochs {
        let batch_size = session.network.dimensions().batch;
        let batches = Batches::training(data, batch_size, &config.augment, config.train.seed, epoch as u64);
        let result = train_epoch(&mut session, epoch, &batches, observer)?;
        session.steps += result.steps as u64;
        epochs = epoch;
        seconds.push(result.seconds);
        let improved = validate(&session, data, epoch, &batches, &result, &mut best, run, observer)?;
        session.plateau = improved.plateau;
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

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => 0.5 * (sorted[n / 2 - 1] + sorted[n / 2]),
    }
}

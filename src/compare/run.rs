//! Training what is not finished yet.

use super::results::{CellTiming, Finished};
use super::{Cell, Entry, Reading, Shard, Study, StudyDirectory, StudyError, lengths};
use crate::config::Config;
use crate::dataset::{Dataset, DatasetError, Draw, Split, write_bad_files_csv, write_splits_csv};
use crate::gpu::Gpu;
use crate::models::{Dimensions, declare};
use crate::train::baseline::{Baseline, BaselineError};
use crate::train::checkpoint::read_model;
use crate::train::event::Observer;
use crate::train::run_directory::{RunDirectory, RunDirectoryError};
use crate::train::{DeviceClips, Mark, TrainError, evaluate_part, restore, train_to_marks};

/// What can end a study.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A training.
    #[error("{cell}: {source}")]
    Train {
        /// Which.
        cell: String,
        /// What ended it.
        source: TrainError,
    },
    /// The study's directory.
    #[error(transparent)]
    Study(#[from] StudyError),
    /// A cell's directory.
    #[error(transparent)]
    RunDirectory(#[from] RunDirectoryError),
    /// The data.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The baseline.
    #[error(transparent)]
    Baseline(#[from] BaselineError),
    /// A look at a part of the data.
    #[error(transparent)]
    Look(#[from] TrainError),
}

/// Trains every cell of `shard` that has no result yet. `data` parts the data for an entry; `observe` is told
/// which cell begins, its place among those to be trained and their number, and gives who listens to it.
pub fn run(
    gpu: &Gpu,
    study: &Study,
    shard: Shard,
    directory: &StudyDirectory,
    mut data: impl FnMut(&Entry, Draw) -> Result<Dataset, DatasetError>,
    mut observe: impl FnMut(&Cell, &RunDirectory, usize, usize) -> std::io::Result<Box<dyn Observer>>,
) -> Result<(), CompareError> {
    let (clips, mut open) = (DeviceClips::default(), Vec::new());
    for (_, cell) in study.cells().into_iter().enumerate().filter(|(place, _)| shard.has(*place)) {
        if directory.result(&cell)?.is_none() {
            open.push(cell);
        }
    }
    for (place, cell) in open.iter().enumerate() {
        directory.clear(cell)?;
        let entry = &study.models[cell.model];
        let data = data(entry, study.draw(cell))?;
        let run = RunDirectory::create(Some(&directory.cell(cell)), cell)?;
        let observer = observe(cell, &run, place, open.len());
        let failed = |source: TrainError| CompareError::Train { cell: cell.to_string(), source };
        let mut observer = observer.map_err(|error| failed(TrainError::Observer(error)))?;
        match entry {
            Entry::Network(config) => train(gpu, &clips, study, directory, cell, config, &data, &run, observer.as_mut())?,
            Entry::Baseline(reading) => fit(directory, cell, reading, &data, &run)?,
        }
    }
    Ok(())
}

/// Trains one cell of a network into its new directory, and finishes it.
pub(super) fn train(
    gpu: &Gpu,
    clips: &DeviceClips,
    study: &Study,
    directory: &StudyDirectory,
    cell: &Cell,
    config: &Config,
    data: &Dataset,
    run: &RunDirectory,
    observer: &mut dyn Observer,
) -> Result<(), CompareError> {
    let mut config = config.clone();
    config.data.classes.clone_from(&data.classes);
    config.train.epochs = study.epochs(cell);
    config.train.seed = cell.training_seed();
    run.write_config(&config)?;
    run.write_environment(serde_json::to_value(gpu.summary()).unwrap_or_default())?;
    // A run that is a mark itself is looked at once, at its end.
    let marks: &[usize] = if study.independent { &[] } else { &study.marks };
    match train_to_marks(gpu, clips, &config, data, run, marks, observer) {
        Ok(trained) => {
            let lengths = if study.is_final(cell) { by_length(gpu, &config, data, run)? } else { Vec::new() };
            let timing = CellTiming {
                epoch_seconds: trained.epoch_seconds,
                gpu_seconds: trained.gpu_seconds,
                adapter: trained.summary.adapter,
            };
            let (parameters, marks) = (trained.summary.parameters, &*trained.marks);
            let finished = Finished { classes: &data.classes, parameters, marks, lengths, timing: Some(timing) };
            Ok(directory.finish(cell, finished)?)
        }
        Err(TrainError::Diverged { epoch, .. }) => {
            let dimensions = Dimensions { batch: 1, frames: config.train.frames, mels: data.n_mels, classes: data.classes.len() };
            let parameters = declare(&config.model, dimensions).map_or(0, |declared| declared.total());
            Ok(directory.finish_diverged(cell, parameters, epoch)?)
        }
        Err(source) => Err(CompareError::Train { cell: cell.to_string(), source }),
    }
}

/// Accuracy of the best weights by the length that is heard.
fn by_length(gpu: &Gpu, config: &Config, data: &Dataset, run: &RunDirectory) -> Result<Vec<lengths::LengthResult>, CompareError> {
    if data.part(Split::Test).is_empty() {
        return Ok(Vec::new());
    }
    let (path, tensors) = read_model(run.path()).map_err(TrainError::from)?;
    lengths::of_network(&restore(gpu, config, &path, tensors)?, config, data)
}

/// Fits the baseline and looks at it once.
fn fit(
    directory: &StudyDirectory,
    cell: &Cell,
    reading: &Reading,
    data: &Dataset,
    run: &RunDirectory,
) -> Result<(), CompareError> {
    write_splits_csv(&run.file("splits.csv"), data)?;
    write_bad_files_csv(&run.file("bad_files.csv"), data)?;
    let baseline = Baseline::fit(data)?;
    let mut mark = Mark { epoch: 0, best_epoch: 0, validation: None, test: None, test_predictions: Vec::new() };
    for split in [Split::Valid, Split::Test] {
        if data.part(split).is_empty() {
            continue;
        }
        let predictions = baseline.predict_part(data, split);
        let evaluation = evaluate_part(data, split, &predictions, cell.seed)?;
        if split == Split::Valid {
            mark.validation = Some(evaluation);
        } else {
            (mark.test, mark.test_predictions) = (Some(evaluation), predictions);
        }
    }
    let lengths = lengths::of_baseline(&baseline, &reading.features, data)?;
    let (parameters, marks) = (baseline.parameters(), std::slice::from_ref(&mark));
    let finished = Finished { classes: &data.classes, parameters, marks, lengths, timing: None };
    Ok(directory.finish(cell, finished)?)
}

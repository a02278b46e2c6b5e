//! Training what is not finished yet.

use super::{Cell, Shard, Study, StudyDirectory, StudyError};
use crate::config::Config;
use crate::dataset::{Dataset, DatasetError, Draw};
use crate::gpu::Gpu;
use crate::models::{Dimensions, declare};
use crate::train::event::Observer;
use crate::train::run_directory::{RunDirectory, RunDirectoryError};
use crate::train::{TrainError, train_to_marks};

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
}

/// Trains every cell of `shard` that has no result yet. `data` parts the data for a network; `observe` is told
/// which cell begins, its place among those to be trained and their number, and gives who listens to it.
pub fn run(
    gpu: &Gpu,
    study: &Study,
    shard: Shard,
    directory: &StudyDirectory,
    mut data: impl FnMut(&Config, Draw) -> Result<Dataset, DatasetError>,
    mut observe: impl FnMut(&Cell, &RunDirectory, usize, usize) -> std::io::Result<Box<dyn Observer>>,
) -> Result<(), CompareError> {
    let mut open = Vec::new();
    for (_, cell) in study.cells().into_iter().enumerate().filter(|(place, _)| shard.has(*place)) {
        if directory.result(&cell)?.is_none() {
            open.push(cell);
        }
    }
    for (place, cell) in open.iter().enumerate() {
        let failed = |source: TrainError| CompareError::Train { cell: cell.to_string(), source };
        directory.clear(cell)?;
        let mut config = study.models[cell.model].clone();
        let data = data(&config, study.draw(cell))?;
        config.data.classes.clone_from(&data.classes);
        config.train.epochs = study.epochs(cell);
        config.train.seed = cell.training_seed();
        let run = RunDirectory::create(Some(&directory.cell(cell)), cell)?;
        run.write_config(&config)?;
        run.write_environment(serde_json::to_value(gpu.summary()).unwrap_or_default())?;
        let mut observer = observe(cell, &run, place, open.len()).map_err(|error| failed(TrainError::Observer(error)))?;
        // A run that is a mark itself is looked at once, at its end.
        let marks: &[usize] = if study.independent { &[] } else { &study.marks };
        match train_to_marks(gpu, &config, &data, &run, marks, observer.as_mut()) {
            Ok(trained) => directory.finish(cell, &data.classes, &trained)?,
            Err(TrainError::Diverged { epoch, .. }) => {
                let dimensions =
                    Dimensions { batch: 1, frames: config.train.frames, mels: data.n_mels, classes: data.classes.len() };
                let parameters = declare(&config.model, dimensions).map_or(0, |declared| declared.total());
                directory.finish_diverged(cell, parameters, epoch)?;
            }
            Err(source) => return Err(failed(source)),
        }
    }
    Ok(())
}

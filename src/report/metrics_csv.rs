//! `metrics.csv`: a row per epoch.

use super::about;
use crate::train::event::{Event, Observer};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

/// The columns: the fields of [`EpochMetrics`](crate::train::event::EpochMetrics) in their order.
pub const COLUMNS: [&str; 8] =
    ["epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate", "epoch_seconds", "gpu_seconds"];

/// Writes `metrics.csv`; what an epoch does not have stays empty.
pub struct MetricsTable {
    path: PathBuf,
    table: csv::Writer<File>,
}

impl MetricsTable {
    /// Writes the header, or goes on after the rows that the file has.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(about(path))?;
        let empty = file.metadata().map_err(about(path))?.len() == 0;
        let mut table = csv::WriterBuilder::new().has_headers(false).from_writer(file);
        if empty {
            table.write_record(COLUMNS).map_err(|error| about(path)(error.into()))?;
            table.flush().map_err(about(path))?;
        }
        Ok(Self { path: path.into(), table })
    }
}

impl Observer for MetricsTable {
    fn event(&mut self, event: &Event) -> std::io::Result<()> {
        let Event::Epoch(metrics) = event else { return Ok(()) };
        self.table.serialize(metrics).map_err(|error| about(&self.path)(error.into()))?;
        self.table.flush().map_err(about(&self.path))
    }
}

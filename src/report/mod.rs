//! What becomes of a run's [`Event`](crate::train::event::Event)s: a progress bar or plain lines, `events.jsonl`,
//! `metrics.csv`, TensorBoard's files. Each is an [`Observer`](crate::train::event::Observer); [`fan_out::FanOut`] is several as one.
//! When a run is over, [`page`] makes its pictures and its `report.html` from what lies in its directory ([`record`]).

pub mod bar;
pub mod fan_out;
pub mod html;
pub mod jsonl;
pub mod lines;
pub mod metrics_csv;
pub mod page;
pub mod pictures;
pub mod plot;
pub mod record;
pub mod table;
pub mod tensorboard;
pub mod terminal;
pub mod text_plot;
pub mod time_left;
pub mod words;

use std::path::{Path, PathBuf};

/// A file of the run directory that could not be written; the inside of the [`std::io::Error`] that an observer returns.
#[derive(Debug, thiserror::Error)]
#[error("{path}: cannot be written: {source}")]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: std::io::Error,
}

/// Gives an error of the system the name of the file that it is about; its kind stays.
fn about(path: &Path) -> impl Fn(std::io::Error) -> std::io::Error {
    move |source| std::io::Error::new(source.kind(), WriteError { path: path.into(), source })
}

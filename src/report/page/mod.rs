//! `report.html` of a run, and of several: everything on it comes from run directories, so it can be made again.

pub mod conclusion;
pub mod mistakes;
pub mod several;
pub mod tables;

use super::html::{Picture, Report};
use super::plot::Plot;
use super::record::{RecordError, RunRecord};
use super::{pictures, words};
use crate::train::calibration::{Calibration, calibration};
use crate::train::event::{Event, Observer};
use crate::train::predictions::Prediction;
use crate::train::run_directory::{RunDirectory, write_atomic};
use std::path::{Path, PathBuf};

/// Mistakes on the page; `mistakes.csv` has all.
const MOST_MISTAKES: usize = 50;

/// Makes a run's pictures, `mistakes.csv` and `report.html` when it is over. It reads what other observers wrote, so it
/// must hear the end after them.
pub struct PageAtEnd {
    run: RunDirectory,
}

impl PageAtEnd {
    /// The page of `run`.
    pub fn new(run: &RunDirectory) -> Self {
        Self { run: run.clone() }
    }
}

impl Observer for PageAtEnd {
    fn event(&mut self, event: &Event) -> std::io::Result<()> {
        let Event::Finished(_) = event else { return Ok(()) };
        let record = RunRecord::read(self.run.path()).map_err(std::io::Error::other)?;
        write(&record).map(drop).map_err(std::io::Error::other)
    }
}

/// Writes the pictures, `mistakes.csv` and `report.html` into the run's directory; returns the page's path.
pub fn write(record: &RunRecord) -> Result<PathBuf, RecordError> {
    let folder = record.run.path();
    pictures::learning_curves(record).write(folder, "learning_curves")?;
    if let Some(evaluation) = &record.evaluation {
        pictures::confusion(record, evaluation).write(folder, "confusion_matrix")?;
        pictures::class_bars(record, evaluation).write(folder, "class_bars")?;
        let mistakes = mistakes::mistakes(&record.config.data.classes, &record.predictions);
        write_atomic(&record.run.file("mistakes.csv"), &mistakes::csv(&mistakes))?;
    }
    let path = record.run.file("report.html");
    write_page(&path, &report(record))?;
    Ok(path)
}

/// Writes a page to `path`.
pub fn write_page(path: &Path, report: &Report) -> Result<(), RecordError> {
    Ok(write_atomic(path, report.html().as_bytes())?)
}

/// The page of one run.
pub fn report(record: &RunRecord) -> Report {
    let mut plots = vec![picture("Learning curves", &pictures::learning_curves(record))];
    let mut report = Report {
        title: format!("{} on {}", record.model(), record.config.data.name()),
        conclusion: conclusion::conclusion(record),
        headline: Some(tables::headline(record)),
        settings: tables::settings(&record.config),
        environment: tables::environment(record),
        ..Report::default()
    };
    if let Some(evaluation) = &record.evaluation {
        plots.push(picture("What was taken for what", &pictures::confusion(record, evaluation)));
        plots.push(picture("Precision, recall and F1 of each class", &pictures::class_bars(record, evaluation)));
        report.classes = Some(tables::classes(&evaluation.classes, |class| {
            record.clips.iter().filter(|clip| clip.split == "train" && clip.label == class).count()
        }));
        let mistakes = mistakes::mistakes(&record.config.data.classes, &record.predictions);
        report.more_mistakes = mistakes.len().saturating_sub(MOST_MISTAKES);
        report.mistakes = mistakes.into_iter().take(MOST_MISTAKES).map(mistakes::MistakeRow::on_page).collect();
    }
    report.plots = plots;
    report
}

/// How far the probabilities of `predictions` can be believed; none of no clips.
pub fn believed(classes: usize, predictions: &[Prediction]) -> Option<Calibration> {
    let labels: Vec<u32> = predictions.iter().map(|prediction| prediction.label).collect();
    let probabilities: Vec<f32> = predictions.iter().flat_map(|prediction| prediction.probabilities.iter().copied()).collect();
    calibration(classes, &labels, &probabilities)
}

fn picture(caption: &str, plot: &impl Plot) -> Picture {
    Picture { caption: caption.into(), svg: plot.svg() }
}

/// A share, or a dash where there is none.
fn share(value: Option<f64>) -> String {
    value.map_or("-".into(), words::percent)
}

//! `learning_curves` and `confusion_matrix`, as SVG and PNG, when a run is over.

use super::plot::{Plot, confusion::Confusion, learning_curves::LearningCurves};
use super::words;
use crate::train::event::{EpochMetrics, Event, Observer, Started, Summary};
use crate::train::predictions::Evaluation;
use crate::train::run_directory::RunDirectory;

/// Draws a run into its directory.
pub struct Pictures {
    run: RunDirectory,
    /// What the data are called.
    data: String,
    /// Sizes of the parts, in words.
    clips: String,
    epochs: Vec<EpochMetrics>,
}

impl Pictures {
    /// Pictures of `run` on `data`, a name.
    pub fn new(run: &RunDirectory, data: &str) -> Self {
        Self { run: run.clone(), data: data.into(), clips: String::new(), epochs: Vec::new() }
    }

    fn draw(&self, summary: &Summary) -> std::io::Result<()> {
        let Summary { model, adapter, .. } = summary;
        let folder = self.run.path();
        let curves = LearningCurves {
            title: format!("{model} on {}: loss and accuracy", self.data),
            note: format!("{adapter} · {}", self.clips),
            epochs: self.epochs.clone(),
            best_epoch: Some(summary.best_epoch),
        };
        curves.write(folder, "learning_curves").map_err(std::io::Error::other)?;
        // Neither validation nor test part: nothing was evaluated.
        let Ok(json) = std::fs::read(self.run.file("evaluation.json")) else { return Ok(()) };
        let Ok(evaluation) = serde_json::from_slice::<Evaluation>(&json) else { return Ok(()) };
        confusion(summary, &self.data, evaluation).write(folder, "confusion_matrix").map_err(std::io::Error::other)
    }
}

/// The evaluation that stands in the run directory: of the test part, where there is one.
fn confusion(summary: &Summary, data: &str, evaluation: Evaluation) -> Confusion {
    let Summary { model, adapter, .. } = summary;
    let part = match evaluation.part.as_str() {
        "valid" => "Validation part",
        "test" => "Test part",
        other => other,
    };
    let (clips, accuracy) = (words::count(evaluation.clips, "clip"), words::percent(evaluation.accuracy));
    Confusion {
        title: format!("{model} on {data}: what was taken for what"),
        note: format!("{part}, {clips}, accuracy {accuracy} · {adapter}"),
        classes: evaluation.classes.into_iter().map(|class| class.name).collect(),
        counts: evaluation.confusion_matrix.counts,
    }
}

impl Observer for Pictures {
    fn event(&mut self, event: &Event) -> std::io::Result<()> {
        match event {
            Event::Started(Started { clips, .. }) => {
                let [train, valid, test] = clips.map(words::thousands);
                self.clips = format!("{train} clips to train on, {valid} to validate, {test} to test");
            }
            Event::Epoch(metrics) => self.epochs.push(*metrics),
            Event::Finished(summary) => self.draw(summary)?,
            _ => {}
        }
        Ok(())
    }
}

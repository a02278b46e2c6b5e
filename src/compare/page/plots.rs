//! The pictures of a study.

use crate::compare::{CellResult, Conclusion, Contestant, Headline, Study, StudyDirectory, StudyError, Summary, TimingRow};
use crate::config::FeatureConfig;
use crate::dataset::Sample;
use crate::report::plot::accuracy_curves::{AccuracyCurves, ModelCurves};
use crate::report::plot::class_bars::{ClassBars, ModelBars};
use crate::report::plot::confusion::Confusion;
use crate::report::plot::epoch_times::{EpochTimes, ModelTime};
use crate::report::plot::mel_spectrogram::MelSpectrogram;
use crate::report::words;
use crate::train::event::EpochMetrics;
use std::collections::BTreeMap;
use std::path::Path;

/// What the networks see of `sample`.
pub fn spectrogram(sample: &Sample, class: &str, features: &FeatureConfig) -> MelSpectrogram {
    MelSpectrogram::of(&format!("{} ({class})", sample.name()), features, sample.clip.decibels())
}

/// Everything that is drawn from.
pub(super) struct Drawing<'a> {
    pub study: &'a Study,
    pub directory: &'a StudyDirectory,
    pub conclusion: &'a Conclusion,
    pub summaries: &'a [Summary],
    pub times: &'a [TimingRow],
    /// What the data are called.
    pub data: &'a str,
}

impl Drawing<'_> {
    /// `protocol grouped, 289 test clips of 101 groups`.
    fn note(&self) -> String {
        let Conclusion { protocol, clips, groups, group_noun, .. } = self.conclusion;
        let by = if clips == groups { String::new() } else { format!(" of {}", words::count(*groups, group_noun)) };
        format!("protocol {protocol}, {}{by}", words::count(*clips, "test clip"))
    }

    /// Figure 9 of the genre study.
    pub fn accuracy(&self) -> AccuracyCurves {
        let mode = if self.study.independent { "a run for every mark" } else { "looks at the same runs" };
        AccuracyCurves {
            title: format!("Test accuracy on {}", self.data),
            note: format!("{}; {mode}", self.note()),
            axis: "epochs trained".into(),
            marks: self.study.marks.clone(),
            models: (0..self.study.models.len()).map(|model| self.curves(model)).collect(),
        }
    }

    /// Its curve for each seed and fold.
    fn curves(&self, model: usize) -> ModelCurves {
        let mut runs: BTreeMap<(u64, usize), Vec<Option<f64>>> = BTreeMap::new();
        for cell in self.study.cells().iter().filter(|cell| cell.model == model) {
            let result: Option<CellResult> = self.directory.result(cell).ok().flatten();
            let run = runs.entry((cell.seed, cell.fold)).or_insert_with(|| vec![None; self.study.marks.len()]);
            for (value, &epoch) in run.iter_mut().zip(&self.study.marks) {
                let at = result.as_ref().and_then(|result| result.at(epoch)?.test_accuracy);
                *value = at.or(*value);
            }
        }
        ModelCurves { name: self.study.label(model), runs: runs.into_values().collect() }
    }

    /// The course of training: validation accuracy after every epoch of the longest runs; none without validation parts.
    pub fn validation(&self) -> Result<Option<AccuracyCurves>, StudyError> {
        let models = validation_curves(self.study, self.directory)?;
        if !models.iter().flat_map(|model| model.runs.iter().flatten()).any(Option::is_some) {
            return Ok(None);
        }
        Ok(Some(AccuracyCurves {
            title: format!("Validation accuracy on {}", self.data),
            note: "one window of each validation clip after every epoch; faint: each seed and fold".into(),
            axis: "epochs trained".into(),
            marks: (1..=self.conclusion.epochs).collect(),
            models,
        }))
    }

    /// Figure 8 of the genre study.
    pub fn classes(&self) -> ClassBars {
        let bars = |model: &Headline| {
            let values = model.classes.iter().map(|class| class.metrics.recall).collect();
            ModelBars { name: model.model.clone(), values }
        };
        ClassBars {
            title: format!("Recall of each class on {}", self.data),
            note: self.note(),
            metric: "recall".into(),
            classes: self.conclusion.classes.clone(),
            models: self.conclusion.models.iter().map(bars).collect(),
        }
    }

    /// Seconds per epoch of each network.
    pub fn times(&self) -> EpochTimes {
        let time = |row: &TimingRow| ModelTime {
            name: row.model.clone(),
            median: row.epoch_seconds,
            quartiles: [row.epoch_seconds_q1, row.epoch_seconds_q3],
        };
        EpochTimes {
            title: format!("Seconds per epoch on {}", self.data),
            note: self.times.first().map_or_else(String::new, |row| row.adapter.clone()),
            models: self.times.iter().map(time).collect(),
        }
    }

    /// Accuracy by the length that is heard; none where there is only one.
    pub fn lengths(&self) -> Option<AccuracyCurves> {
        let mut seconds: Vec<usize> =
            self.summaries.iter().flat_map(|model| &model.lengths).map(|length| length.seconds as usize).collect();
        seconds.sort_unstable();
        seconds.dedup();
        let at = |model: &Summary, seconds: &usize| {
            model.lengths.iter().find(|length| length.seconds as usize == *seconds)?.test_accuracy
        };
        let curves = |model: &Summary| ModelCurves {
            name: model.model.clone(),
            runs: vec![seconds.iter().map(|seconds| at(model, seconds)).collect()],
        };
        (seconds.len() > 1).then(|| AccuracyCurves {
            title: format!("Test accuracy by what is heard of {}", self.data),
            note: "the middle of each test clip, final weights".into(),
            axis: "seconds of each clip".into(),
            models: self.summaries.iter().map(curves).collect(),
            marks: seconds.clone(),
        })
    }

    /// What one entry took for what, all runs together.
    pub fn confusion(&self, model: &Headline) -> Confusion {
        let accuracy = model.test_accuracy.map_or_else(|| "-".into(), words::percent);
        let runs = if model.runs > 1 { format!(", {}", words::count(model.runs, "run")) } else { String::new() };
        Confusion {
            title: format!("{} on {}: what was taken for what", model.model, self.data),
            note: format!("{}{runs}, accuracy {accuracy}", self.note()),
            classes: self.conclusion.classes.clone(),
            counts: model.confusion_matrix.counts.clone(),
        }
    }
}

fn validation_curves(study: &Study, directory: &StudyDirectory) -> Result<Vec<ModelCurves>, StudyError> {
    let mut models = Vec::new();
    for model in (0..study.models.len()).filter(|&model| study.models[model].name() != Contestant::Baseline) {
        let mut runs = Vec::new();
        for cell in study.cells().iter().filter(|cell| cell.model == model && study.is_final(cell)) {
            let path = directory.cell(cell).join("metrics.csv");
            if directory.result(cell)?.is_some() && path.is_file() {
                runs.push(epochs(&path)?.into_iter().map(|epoch| epoch.val_accuracy).collect());
            }
        }
        models.push(ModelCurves { name: study.label(model), runs });
    }
    Ok(models)
}

/// Each network with the mean validation accuracy of its longest runs after every epoch; not a number where there is none.
pub fn courses(study: &Study, directory: &StudyDirectory) -> Result<Vec<(String, Vec<f64>)>, StudyError> {
    let of = |curves: ModelCurves| {
        let epochs = curves.runs.iter().map(Vec::len).max().unwrap_or(0);
        let means = (0..epochs).map(|epoch| curves.mean(epoch).unwrap_or(f64::NAN)).collect();
        (curves.name, means)
    };
    Ok(validation_curves(study, directory)?.into_iter().map(of).collect())
}

fn epochs(path: &Path) -> Result<Vec<EpochMetrics>, StudyError> {
    let unreadable = |error: csv::Error| StudyError::Unreadable { path: path.into(), problem: error.to_string() };
    let mut reader = csv::Reader::from_path(path).map_err(unreadable)?;
    reader.deserialize().collect::<Result<_, _>>().map_err(unreadable)
}

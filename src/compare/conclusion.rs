//! What a study says in the end: how far each network's figure can be believed, and which are ahead of which.

use super::statistics::{self, Clips, Comparison, Metric, Model, Run, TestParts};
use super::tables::label;
use super::{Cell, Study, StudyDirectory, StudyError};
use crate::dataset::Protocol;
use crate::train::metrics::Interval;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// One network at the last mark.
#[derive(Debug, Clone, Serialize)]
pub struct Headline {
    /// The network.
    pub model: String,
    /// Accuracy over all its runs, 0..1.
    pub test_accuracy: Option<f64>,
    /// Its 95 % interval: whole groups are resampled, and seeds within them.
    pub interval: Option<Interval>,
    /// Mean F1 of the classes.
    pub macro_f1: Option<f64>,
}

/// `statistics.json`.
#[derive(Debug, Clone, Serialize)]
pub struct Conclusion {
    /// Epochs of the runs that are compared: the last mark.
    pub epochs: usize,
    /// Test clips.
    pub clips: usize,
    /// Independent groups among them.
    pub groups: usize,
    /// Each network, in the order of the study.
    pub models: Vec<Headline>,
    /// Every two of them.
    pub pairs: Vec<Comparison>,
    /// The same in words, the most important first.
    pub sentences: Vec<String>,
}

/// What is known of a test clip.
struct Clip {
    class: u32,
    group: String,
}

/// Compares what every network's finished runs say of the test clips after the last mark; none before any is finished.
pub fn conclude(study: &Study, directory: &StudyDirectory) -> Result<Option<Conclusion>, StudyError> {
    let Some(&epochs) = study.marks.last() else { return Ok(None) };
    let mut clips: BTreeMap<String, Clip> = BTreeMap::new();
    // The folds of a cross-validation are one run; random splits are each a run of their own.
    let random = study.protocol == Protocol::Bbnn;
    let mut said: Vec<BTreeMap<(usize, u64), HashMap<String, u32>>> = vec![BTreeMap::new(); study.models.len()];
    let mut classes = 0;
    for cell in study.cells().into_iter().filter(|cell| study.epochs(cell) == epochs) {
        let finished = directory.result(&cell)?.is_some_and(|result| result.diverged_in.is_none());
        let path = directory.cell(&cell).join(format!("predictions-{epochs}.csv"));
        if finished && path.is_file() {
            let run = said[cell.model].entry((if random { cell.fold } else { 0 }, cell.seed)).or_default();
            classes = read(directory, &cell, &path, &mut clips, run)?.max(classes);
        }
    }
    if clips.is_empty() {
        return Ok(None);
    }
    let models: Vec<Model> = said
        .into_iter()
        .enumerate()
        .filter(|(_, runs)| !runs.is_empty())
        .map(|(model, runs)| {
            let run = |((split, seed), said): ((usize, u64), HashMap<String, u32>)| {
                let predictions = clips.keys().map(|path| said.get(path).copied()).collect();
                Run { split, seed, predictions }
            };
            Model { name: label(study, model), runs: runs.into_iter().map(run).collect() }
        })
        .collect();
    let compared = Clips {
        classes,
        labels: clips.values().map(|clip| clip.class).collect(),
        groups: clips.values().map(|clip| clip.group.clone()).collect(),
        group_noun: "track".into(),
        // 80/10/10.
        test_parts: if random { TestParts::RandomSplits { test_to_train: 0.125 } } else { TestParts::Same },
    };
    let seed = study.models.first().map_or(0, |config| config.train.seed);
    let pairs = statistics::compare_all(&compared, &models, Metric::Accuracy, seed);
    let groups = compared.groups.iter().collect::<std::collections::BTreeSet<_>>().len();
    let headline = |model: &Model| {
        let mean = |metric: Metric| {
            let values: Vec<f64> = model.runs.iter().filter_map(|run| metric.of(&run.confusion_matrix(&compared))).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        Headline {
            model: model.name.clone(),
            test_accuracy: mean(Metric::Accuracy),
            interval: statistics::interval(&compared, model, Metric::Accuracy, seed),
            macro_f1: mean(Metric::MacroF1),
        }
    };
    let mut sentences = vec![format!("protocol {}: {}", study.protocol, study.protocol.words())];
    sentences.extend(statistics::leader(&pairs));
    sentences.extend(statistics::too_few_groups(groups, &compared.group_noun));
    sentences.extend(statistics::sentences(&pairs));
    let models = models.iter().map(headline).collect();
    let conclusion = Conclusion { epochs, clips: compared.labels.len(), groups, models, pairs, sentences };
    directory.write(&directory.file("statistics.json"), &conclusion)?;
    Ok(Some(conclusion))
}

/// Adds what a cell said of its test clips; returns the number of classes.
fn read(
    directory: &StudyDirectory,
    cell: &Cell,
    path: &Path,
    clips: &mut BTreeMap<String, Clip>,
    said: &mut HashMap<String, u32>,
) -> Result<usize, StudyError> {
    let table = |path: &Path| {
        let unreadable = |error: csv::Error| StudyError::Unreadable { path: path.into(), problem: error.to_string() };
        let mut reader = csv::Reader::from_path(path).map_err(unreadable)?;
        let header = reader.headers().map_err(unreadable)?.clone();
        let rows = reader.records().collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
        Ok::<_, StudyError>((header, rows))
    };
    let splits = directory.cell(cell).join("splits.csv");
    let groups: HashMap<String, String> = {
        let (_, rows) = table(&splits)?;
        rows.iter().filter_map(|row| Some((row.get(0)?.to_owned(), row.get(3)?.to_owned()))).collect()
    };
    let (header, rows) = table(path)?;
    let class = |name: Option<&str>| header.iter().skip(3).position(|class| Some(class) == name).map(|class| class as u32);
    for row in &rows {
        let (Some(clip), Some(label), Some(named)) = (row.get(0), class(row.get(1)), class(row.get(2))) else {
            let problem = "a row names a class that no column has".to_owned();
            return Err(StudyError::Unreadable { path: path.into(), problem });
        };
        let group = groups.get(clip).cloned().unwrap_or_else(|| clip.to_owned());
        clips.insert(clip.into(), Clip { class: label, group });
        said.insert(clip.into(), named);
    }
    Ok(header.len().saturating_sub(3))
}

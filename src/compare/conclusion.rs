//! What a study says in the end: how far each figure can be believed, and who is ahead of whom.

use super::statistics::{self, Calibration, Clips, Comparison, Metric, Model};
use super::{Contestant, Outcomes, Study, StudyDirectory, StudyError, outcomes, summarise};
use crate::dataset::{NearDuplicateRow, Protocol};
use crate::report::words::{count, listed, percent};
use crate::train::metrics::{ConfusionMatrix, Interval};
use crate::train::predictions::ClassEvaluation;
use serde::Serialize;

/// One entry after the last mark.
#[derive(Debug, Clone, Serialize)]
pub struct Headline {
    /// Its name.
    pub model: String,
    /// Its runs: seeds, or seeds x random splits.
    pub runs: usize,
    /// Accuracy over all its runs, 0..1.
    pub test_accuracy: Option<f64>,
    /// Its 95 % interval: whole groups are resampled, and seeds within them.
    pub interval: Option<Interval>,
    /// Mean recall of the classes.
    pub balanced_accuracy: Option<f64>,
    /// Mean F1 of the classes.
    pub macro_f1: Option<f64>,
    /// Each class, all runs together.
    pub classes: Vec<ClassEvaluation>,
    /// `confusion_matrix[true class][predicted class]`, all runs together.
    pub confusion_matrix: ConfusionMatrix,
    /// Whether its probabilities can be believed; over all runs.
    pub calibration: Option<Calibration>,
}

/// `statistics.json`.
#[derive(Debug, Clone, Serialize)]
pub struct Conclusion {
    /// The protocol's name.
    pub protocol: String,
    /// Epochs of the runs that are compared: the last mark.
    pub epochs: usize,
    /// Class names.
    pub classes: Vec<String>,
    /// Test clips.
    pub clips: usize,
    /// Independent groups among them, and what a group is.
    pub groups: usize,
    /// See `groups`.
    pub group_noun: String,
    /// Accuracy of always naming the training part's largest class.
    pub majority_baseline: Option<f64>,
    /// Each entry, in the order of the study.
    pub models: Vec<Headline>,
    /// Every two of them.
    pub pairs: Vec<Comparison>,
    /// What it comes to in words, the most important first; without the pairs.
    pub sentences: Vec<String>,
    /// Every pair in words.
    pub pair_sentences: Vec<String>,
}

/// Compares what every entry's finished runs say of the test clips after the last mark; none before any is finished.
pub fn conclude(study: &Study, directory: &StudyDirectory) -> Result<Option<(Outcomes, Conclusion)>, StudyError> {
    let outcomes = Outcomes::read(study, directory)?;
    if outcomes.clips.is_empty() {
        return Ok(None);
    }
    let clips = outcomes.tested(study);
    let models: Vec<Model> = outcomes.entries.iter().map(|entry| entry.named()).collect();
    let pairs = statistics::compare_all(&clips, &models, Metric::Accuracy, study.split_seed);
    let headlines = outcomes.entries.iter().zip(&models);
    let conclusion = Conclusion {
        protocol: study.protocol.to_string(),
        epochs: study.marks.last().copied().unwrap_or(0),
        classes: outcomes.classes.clone(),
        clips: clips.labels.len(),
        groups: outcomes.groups(),
        group_noun: clips.group_noun.clone(),
        majority_baseline: outcomes.majority_baseline,
        models: headlines.map(|(entry, model)| headline(&outcomes.classes, &clips, entry, model, study.split_seed)).collect(),
        sentences: sentences(study, directory, &outcomes, &clips, &pairs)?,
        pair_sentences: statistics::sentences(&pairs),
        pairs,
    };
    directory.write(&directory.file("statistics.json"), &conclusion)?;
    Ok(Some((outcomes, conclusion)))
}

fn headline(classes: &[String], clips: &Clips, entry: &super::outcomes::EntryOutcome, model: &Model, seed: u64) -> Headline {
    let mean = |metric: Metric| {
        let values: Vec<f64> = model.runs.iter().filter_map(|run| metric.of(&run.confusion_matrix(clips))).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let confusion_matrix = entry.confusion_matrix(clips);
    let of_class =
        |(class, name): (usize, &String)| ClassEvaluation { name: name.clone(), metrics: confusion_matrix.class(class) };
    let labels: Vec<u32> = entry.each(clips).map(|(label, _)| label).collect();
    let probabilities: Vec<f32> = entry.each(clips).flat_map(|(_, said)| said.probabilities.iter().copied()).collect();
    Headline {
        model: model.name.clone(),
        runs: model.runs.len(),
        test_accuracy: mean(Metric::Accuracy),
        interval: statistics::interval(clips, model, Metric::Accuracy, seed),
        balanced_accuracy: mean(Metric::BalancedAccuracy),
        macro_f1: mean(Metric::MacroF1),
        classes: classes.iter().enumerate().map(of_class).collect(),
        calibration: statistics::calibration(clips.classes, &labels, &probabilities),
        confusion_matrix,
    }
}

fn sentences(
    study: &Study,
    directory: &StudyDirectory,
    outcomes: &Outcomes,
    clips: &Clips,
    pairs: &[Comparison],
) -> Result<Vec<String>, StudyError> {
    let summaries = &summarise(study, directory)?;
    let protocol = format!("protocol {}: {}", study.protocol, study.protocol.words());
    let mut sentences = Vec::new();
    // What the figures are worth comes before them, where that is little.
    let leaks = !study.protocol.keeps_groups() || outcomes.shared > 0;
    if leaks {
        sentences.push(protocol.clone());
        sentences.push(format!(
            "{} of {} share a {} with clips that were trained on",
            outcomes.shared,
            count(outcomes.tests, "test clip"),
            clips.group_noun
        ));
        if outcomes.copies > 0 && study.protocol != Protocol::LeakySegments {
            sentences
                .push(format!("of {} a copy was trained on: the data hold equal files", count(outcomes.copies, "test clip")));
        }
    }
    sentences.extend(near_duplicates(directory)?);
    sentences.extend(statistics::leader(pairs));
    sentences.extend(beside_baseline(study, pairs));
    sentences.extend(statistics::too_few_groups(outcomes.groups(), &clips.group_noun));
    if study.protocol.keeps_groups() && clips.group_noun == outcomes::CLIP {
        sentences.push(
            "no groups are known: every clip counts as independent, which is too sure of itself where clips share an artist \
             or a recording (give groups: --group tag:artist, or the manifest's column)"
                .into(),
        );
    }
    if let Some(majority) = outcomes.majority_baseline {
        sentences.push(format!("always naming the training part's largest class: {}", percent(majority)));
    }
    sentences.extend(untested(outcomes));
    if outcomes.diverged > 0 {
        sentences.push(format!("diverged: {}", count(outcomes.diverged, "run")));
    }
    if outcomes.missing > 0 {
        sentences.push(format!("still missing: {}; these figures will change", count(outcomes.missing, "run")));
    }
    if !outcomes.incomplete.is_empty() {
        let names = listed(&outcomes.incomplete);
        sentences.push(format!("{names}: what was not tested on every clip is left out, since other clips are no comparison"));
    }
    let networks = || study.models.iter().zip(summaries).filter(|(entry, _)| entry.config().is_some());
    if networks().any(|(_, summary)| summary.cells > 0) && networks().all(|(_, summary)| summary.val_accuracy.is_none()) {
        sentences.push("without a validation part the newest weights were taken: no epoch was chosen".into());
    }
    if !leaks {
        sentences.push(protocol);
    }
    if study.independent {
        sentences.push("every number of epochs is a run of its own with a seed of its own".into());
    } else if study.marks.len() > 1 {
        sentences.push("the accuracies over the epochs are looks at the same runs".into());
    }
    Ok(sentences)
}

/// Copies of a recording, equal or nearly so, that some split has on two sides.
fn near_duplicates(directory: &StudyDirectory) -> Result<Option<String>, StudyError> {
    let path = directory.file("near_duplicates.csv");
    if !path.is_file() {
        return Ok(None);
    }
    let unreadable = |error: csv::Error| StudyError::Unreadable { path: path.clone(), problem: error.to_string() };
    let mut reader = csv::Reader::from_path(&path).map_err(unreadable)?;
    let rows = reader.deserialize().collect::<Result<Vec<NearDuplicateRow>, _>>().map_err(unreadable)?;
    let separated: Vec<_> = rows.iter().filter(|row| row.separated).collect();
    Ok(separated.first().map(|row| {
        format!(
            "{} of files hold nearly the same recording on two sides of a split, so that what was tested was trained on in \
             another copy (near_duplicates.csv; {} and {})",
            count(separated.len(), "pair"),
            row.first,
            row.second
        )
    }))
}

/// The classes that no test part has a clip of.
fn untested(outcomes: &Outcomes) -> Option<String> {
    let tested: std::collections::BTreeSet<u32> = outcomes.clips.iter().map(|clip| clip.class).collect();
    let classes = outcomes.classes.iter().zip(0..).filter(|(_, class)| !tested.contains(class));
    let names: Vec<String> = classes.map(|(name, _)| name.clone()).collect();
    (!names.is_empty()).then(|| format!("no clip of class {} was tested: how well it is known cannot be told", names.join(", ")))
}

/// Which networks the simple baseline leaves standing; none where there is none.
fn beside_baseline(study: &Study, pairs: &[Comparison]) -> Option<String> {
    let place = study.models.iter().position(|entry| entry.name() == Contestant::Baseline)?;
    let baseline = study.label(place);
    let (mut ahead, mut behind, mut level) = (Vec::new(), Vec::new(), Vec::new());
    for pair in pairs.iter().filter(|pair| pair.models.contains(&baseline)) {
        let other = pair.models.iter().find(|name| **name != baseline)?.clone();
        match statistics::ahead(pair) {
            Some(name) if name == baseline => behind.push(other),
            Some(_) => ahead.push(other),
            None => level.push(other),
        }
    }
    let parts = [
        (!ahead.is_empty()).then(|| format!("{} ahead of the simple baseline", are(&ahead))),
        (!behind.is_empty()).then(|| format!("the simple baseline is ahead of {}", listed(&behind))),
        (!level.is_empty()).then(|| format!("{} cannot be told from the simple baseline", listed(&level))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let known = "it knows mean, spread and pace of the mel bands, and nothing of the course of the music";
    (!parts.is_empty()).then(|| format!("{} ({known})", parts.join("; ")))
}

fn are(names: &[String]) -> String {
    format!("{} {}", listed(names), if names.len() == 1 { "is" } else { "are" })
}

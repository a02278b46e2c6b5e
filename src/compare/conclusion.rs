//! What a study says in the end: how far each figure can be believed, and who is ahead of whom.

use super::statistics::{self, Calibration, Clips, Comparison, Metric, Model};
use super::{Contestant, Outcomes, Study, StudyDirectory, StudyError, outcomes};
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
        sentences: sentences(study, &outcomes, &clips, &pairs),
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

fn sentences(study: &Study, outcomes: &Outcomes, clips: &Clips, pairs: &[Comparison]) -> Vec<String> {
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
    }
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
        sentences.push(format!("{} diverged and counts nowhere", count(outcomes.diverged, "run")));
    }
    if outcomes.missing > 0 {
        sentences.push(format!("{} still missing: these figures will change", count(outcomes.missing, "run")));
    }
    if !leaks {
        sentences.push(protocol);
    }
    if study.independent {
        sentences.push("every number of epochs is a run of its own with a seed of its own".into());
    } else if study.marks.len() > 1 {
        sentences.push("the accuracies over the epochs are looks at the same runs".into());
    }
    sentences
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
    let (mut ahead, mut level) = (Vec::new(), Vec::new());
    for pair in pairs {
        let [a, b] = &pair.models;
        let other = if *a == baseline {
            b
        } else if *b == baseline {
            a
        } else {
            continue;
        };
        if statistics::ahead(pair) == Some(other.as_str()) { ahead.push(other.clone()) } else { level.push(other.clone()) }
    }
    let words = match (ahead.as_slice(), level.as_slice()) {
        ([], []) => return None,
        (ahead, []) => format!("{} ahead of the simple baseline", are(ahead)),
        ([], level) => format!("no network here ({}) is ahead of the simple baseline", listed(level)),
        (ahead, level) => format!("{} ahead of the simple baseline, {} not", are(ahead), are(level)),
    };
    Some(format!("{words}; the baseline knows mean, spread and pace of the mel bands, and nothing of the course of the music"))
}

fn are(names: &[String]) -> String {
    format!("{} {}", listed(names), if names.len() == 1 { "is" } else { "are" })
}

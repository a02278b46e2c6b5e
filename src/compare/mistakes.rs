//! The clips that were named wrongly, with what they were taken for.

use super::{Contestant, Outcomes, Study};
use serde::Serialize;

/// One row of `mistakes.csv`: a clip that an entry named wrongly in at least one of its runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MistakeRow {
    /// The entry.
    pub model: String,
    /// The clip, as `splits.csv` names it.
    pub path: String,
    /// Its group.
    pub group: String,
    /// Its class.
    pub label: String,
    /// What it was taken for, most often; of equals the more probable.
    pub prediction: String,
    /// Mean probability of that class over the runs that took it for that.
    pub probability: f64,
    /// Runs that named it wrongly.
    pub wrong: usize,
    /// Runs that were tested on it.
    pub runs: usize,
}

/// Every mistake: entry by entry, what most runs agree on and are surest of first.
pub fn mistakes(outcomes: &Outcomes) -> Vec<MistakeRow> {
    let mut all = Vec::new();
    for entry in &outcomes.entries {
        let mut own: Vec<MistakeRow> = (0..outcomes.clips.len()).filter_map(|clip| of_clip(outcomes, entry, clip)).collect();
        let agreed = |row: &MistakeRow| row.wrong as f64 / row.runs as f64;
        own.sort_by(|a, b| {
            let by_certainty = agreed(b).total_cmp(&agreed(a)).then(b.probability.total_cmp(&a.probability));
            by_certainty.then(a.path.cmp(&b.path))
        });
        all.append(&mut own);
    }
    all
}

fn of_clip(outcomes: &Outcomes, entry: &super::outcomes::EntryOutcome, place: usize) -> Option<MistakeRow> {
    let clip = &outcomes.clips[place];
    let mut runs = 0;
    // Of each class: how often it was named, and its probability then.
    let mut named = vec![(0, 0.0); outcomes.classes.len()];
    for said in entry.runs.iter().filter_map(|run| run.said[place].as_ref()) {
        runs += 1;
        let of_class = &mut named[said.class as usize];
        *of_class = (of_class.0 + 1, of_class.1 + f64::from(said.probabilities[said.class as usize]));
    }
    let wrong = |class: &usize| *class != clip.class as usize && named[*class].0 > 0;
    let order = |a: &usize, b: &usize| {
        let (a, b) = (named[*a], named[*b]);
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    };
    let taken_for = (0..named.len()).filter(wrong).max_by(order)?;
    Some(MistakeRow {
        model: entry.label.clone(),
        path: clip.path.clone(),
        group: clip.group.clone(),
        label: outcomes.classes[clip.class as usize].clone(),
        prediction: outcomes.classes[taken_for].clone(),
        probability: named[taken_for].1 / named[taken_for].0 as f64,
        wrong: (0..named.len()).filter(wrong).map(|class| named[class].0).sum(),
        runs,
    })
}

/// Clips that every network named wrongly in every run: the label, the clip or the features deserve a look.
pub fn by_all(study: &Study, outcomes: &Outcomes) -> Vec<String> {
    let networks = outcomes.entries.iter().filter(|entry| study.models[entry.model].name() != Contestant::Baseline);
    let networks: Vec<_> = networks.collect();
    let all_wrong = |clip: usize| {
        let mut said =
            networks.iter().flat_map(|entry| entry.runs.iter().filter_map(move |run| run.said[clip].as_ref())).peekable();
        said.peek().is_some() && said.all(|said| said.class != outcomes.clips[clip].class)
    };
    (0..outcomes.clips.len()).filter(|&clip| all_wrong(clip)).map(|clip| outcomes.clips[clip].path.clone()).collect()
}

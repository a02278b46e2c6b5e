//! The interval that stands beside a model's figure.

use super::{Clips, Metric, Model, Run, TestParts, bootstrap_interval};
use crate::train::metrics::Interval;
use std::collections::BTreeSet;

/// 97.5 % of the normal distribution lie below it.
const Z: f64 = 1.959963984540054;

/// The 95 % interval of a model's `metric`: [`bootstrap_interval`], or [`wilson`]'s for the accuracy of a single run where
/// every group has a single clip.
pub fn interval(clips: &Clips, model: &Model, metric: Metric, seed: u64) -> Option<Interval> {
    match model.runs.as_slice() {
        [run] if metric == Metric::Accuracy && independent(clips, run) => {
            let matrix = run.confusion_matrix(clips);
            let hits = (0..clips.classes).map(|class| matrix.counts[class][class]).sum();
            let interval = wilson(hits, matrix.total())?;
            let seed = if model.seeded { ", of one seed: of others it says nothing" } else { "" };
            Some(Interval { method: format!("{}{seed}", interval.method), ..interval })
        }
        _ => bootstrap_interval(clips, model, metric, seed),
    }
}

/// Wilson's 95 % score interval (1927) of a share of `clips` that are independent of each other; none of no clips.
pub fn wilson(hits: usize, clips: usize) -> Option<Interval> {
    let (n, share) = (clips as f64, hits as f64 / clips as f64);
    let centre = (share + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    (clips > 0).then(|| Interval {
        // Rounding must not lead out of 0..1 where all or none are right.
        low: if hits == 0 { 0.0 } else { centre - half },
        high: if hits == clips { 1.0 } else { centre + half },
        level: 0.95,
        method: "Wilson score, independent clips".into(),
        groups: clips,
        resamples: 0,
        seed: 0,
    })
}

/// Whether no two clips that the run was tested on share a group, or a training: folds are trained on each other's clips.
pub(super) fn independent(clips: &Clips, run: &Run) -> bool {
    if clips.test_parts == TestParts::Folds {
        return false;
    }
    let mut seen = BTreeSet::new();
    clips.groups.iter().zip(&run.predictions).filter(|(_, named)| named.is_some()).all(|(group, _)| seen.insert(group))
}

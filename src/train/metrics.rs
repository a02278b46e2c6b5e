//! What predictions are worth: pure functions of true and predicted classes.
//!
//! Names and edge cases are scikit-learn's, but a ratio without a denominator is `None`, not 0. Accuracies are in 0..1.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many clips of each true class were given each predicted class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConfusionMatrix {
    /// `counts[true class][predicted class]`.
    pub counts: Vec<Vec<usize>>,
}

impl ConfusionMatrix {
    /// Counts the pairs of `labels` and `predictions`; each is a class below `classes`.
    pub fn new(classes: usize, labels: &[u32], predictions: &[u32]) -> Self {
        assert_eq!(labels.len(), predictions.len(), "one prediction per label");
        let mut counts = vec![vec![0; classes]; classes];
        for (&label, &prediction) in labels.iter().zip(predictions) {
            counts[label as usize][prediction as usize] += 1;
        }
        Self { counts }
    }

    /// All clips.
    pub fn total(&self) -> usize {
        self.counts.iter().flatten().sum()
    }

    /// Share of the clips on the diagonal.
    pub fn accuracy(&self) -> Option<f64> {
        ratio((0..self.counts.len()).map(|class| self.counts[class][class]).sum(), self.total())
    }

    /// The counts of one class.
    pub fn class(&self, class: usize) -> ClassMetrics {
        let hits = self.counts[class][class];
        let support = self.counts[class].iter().sum();
        let predicted = self.counts.iter().map(|row| row[class]).sum();
        ClassMetrics {
            support,
            predicted,
            precision: ratio(hits, predicted),
            recall: ratio(hits, support),
            f1: ratio(2 * hits, support + predicted),
        }
    }

    /// Mean F1 of the classes that occur among labels or predictions (`f1_score(average="macro")`).
    pub fn macro_f1(&self) -> Option<f64> {
        self.mean(|class| class.f1)
    }

    /// Mean recall of the classes that occur among labels (`balanced_accuracy_score`).
    pub fn balanced_accuracy(&self) -> Option<f64> {
        self.mean(|class| class.recall)
    }

    fn mean(&self, metric: impl Fn(ClassMetrics) -> Option<f64>) -> Option<f64> {
        let values: Vec<f64> = (0..self.counts.len()).filter_map(|class| metric(self.class(class))).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }
}

/// How one class fared.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// Clips of this class.
    pub support: usize,
    /// Clips that were given this class.
    pub predicted: usize,
    /// Share of the clips given this class that are of it; none if no clip was.
    pub precision: Option<f64>,
    /// Share of the clips of this class that were given it; none if there are no such clips.
    pub recall: Option<f64>,
    /// Harmonic mean of precision and recall, `2 hits / (support + predicted)`; none if both are 0.
    pub f1: Option<f64>,
}

fn ratio(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The class of the largest probability, the first among equals.
pub fn most_likely(probabilities: &[f32]) -> u32 {
    let mut best = 0;
    for (class, probability) in probabilities.iter().enumerate() {
        if *probability > probabilities[best] {
            best = class;
        }
    }
    best as u32
}

/// Mean of `-ln p[label]` over clips, in nats; `probabilities` is `(clips, classes)`.
///
/// A probability below the machine epsilon of `f32` counts as that, so one miss costs at most 15.9 (`log_loss` on
/// `float32`).
pub fn log_loss(classes: usize, labels: &[u32], probabilities: &[f32]) -> Option<f64> {
    assert_eq!(probabilities.len(), labels.len() * classes, "one probability per clip and class");
    let losses = probabilities
        .chunks_exact(classes)
        .zip(labels)
        .map(|(row, &label)| -f64::from(row[label as usize].max(f32::EPSILON)).ln());
    (!labels.is_empty()).then(|| losses.sum::<f64>() / labels.len() as f64)
}

/// What always naming the largest class of the training part would reach elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MajorityBaseline {
    /// The largest class of the training part, the first among equals.
    pub class: u32,
    /// Its share of the evaluated part.
    pub accuracy: f64,
}

/// The majority of `train_labels`, measured on `labels`; none if either is empty.
pub fn majority_baseline(classes: usize, train_labels: &[u32], labels: &[u32]) -> Option<MajorityBaseline> {
    let count = |labels: &[u32], class: u32| labels.iter().filter(|&&label| label == class).count();
    // `max_by_key` gives the last among equals, hence the reverse.
    let class = (0..classes as u32).rev().max_by_key(|&class| count(train_labels, class)).filter(|_| !train_labels.is_empty())?;
    Some(MajorityBaseline { class, accuracy: ratio(count(labels, class), labels.len())? })
}

/// An interval of accuracies and how it was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Share of the resamples between the ends.
    pub level: f64,
    /// How it was found, in words.
    pub method: String,
    /// Groups that were drawn from.
    pub groups: usize,
    /// Times that as many groups were drawn; 0 where a formula gave the ends.
    pub resamples: usize,
    /// Seed of the draws.
    pub seed: u64,
}

impl Interval {
    /// The 95 % in the middle of what a bootstrap's `resamples` gave (the percentile method, Efron 1979); at least one.
    pub fn of_resamples(mut resamples: Vec<f64>, method: &str, groups: usize, seed: u64) -> Self {
        resamples.sort_by(f64::total_cmp);
        Self {
            low: percentile(&resamples, 2.5),
            high: percentile(&resamples, 97.5),
            level: 0.95,
            method: method.into(),
            groups,
            resamples: resamples.len(),
            seed,
        }
    }
}

/// Resamples of [`accuracy_ci95`].
pub const RESAMPLES: usize = 2_000;

/// The 95 % interval of the accuracy: the percentile bootstrap (Efron 1979) over whole groups.
///
/// Clips of one group (an artist, a track) stand or fall together, so groups are what is drawn, with replacement, as
/// many as there are; the accuracy of a draw is over all its clips. The order of the clips does not matter. None with
/// fewer than two groups, which say nothing of how groups differ. All clips right (or wrong) give an interval of no
/// width: the bootstrap cannot see errors that did not happen.
pub fn accuracy_ci95(correct: &[bool], groups: &[&str], seed: u64) -> Option<Interval> {
    assert_eq!(correct.len(), groups.len(), "one group per clip");
    let mut by_group: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (&correct, &group) in correct.iter().zip(groups) {
        let (hits, clips) = by_group.entry(group).or_default();
        *hits += usize::from(correct);
        *clips += 1;
    }
    let by_group: Vec<(usize, usize)> = by_group.into_values().collect();
    if by_group.len() < 2 {
        return None;
    }

    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let accuracies = (0..RESAMPLES)
        .map(|_| {
            let draws = (0..by_group.len()).map(|_| by_group[rng.random_range(0..by_group.len())]);
            let (hits, clips) = draws.fold((0, 0), |(hits, clips), draw| (hits + draw.0, clips + draw.1));
            hits as f64 / clips as f64
        })
        .collect();
    Some(Interval::of_resamples(accuracies, "percentile bootstrap over groups", by_group.len(), seed))
}

/// The `percent`-th percentile of ascending values, between two of them in proportion (numpy's default).
fn percentile(ascending: &[f64], percent: f64) -> f64 {
    let position = percent / 100.0 * (ascending.len() - 1) as f64;
    let (below, above) = (ascending[position.floor() as usize], ascending[position.ceil() as usize]);
    below + (above - below) * position.fract()
}

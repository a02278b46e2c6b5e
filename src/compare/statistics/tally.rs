//! What a model's runs said of each group, in the form that thousands of draws are made from.

use super::{Clips, Metric, Model, Run};
use crate::train::metrics::ConfusionMatrix;
use std::collections::{BTreeMap, HashMap};

/// Counts of (true class, predicted class, clips) by run and group.
///
/// Groups are in the order of their names, runs in that of split and seed, so that nothing hangs on the caller's order.
#[derive(Debug, Clone, PartialEq)]
pub struct Tally {
    classes: usize,
    groups: usize,
    /// `[run][group]`.
    counts: Vec<Vec<Vec<(u32, u32, usize)>>>,
}

/// Groups and runs by number, each as often as it was drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Draw {
    /// Groups, counted in the order of their names.
    pub groups: Vec<usize>,
    /// Runs, counted in the order of split and seed.
    pub runs: Vec<usize>,
}

impl Tally {
    /// Counts what `model` said of `clips`.
    pub fn new(clips: &Clips, model: &Model) -> Self {
        assert_eq!(clips.labels.len(), clips.groups.len(), "one group per clip");
        let names: std::collections::BTreeSet<&str> = clips.groups.iter().map(String::as_str).collect();
        let numbers: HashMap<&str, usize> = names.iter().enumerate().map(|(number, &name)| (name, number)).collect();
        let by_group = |run: &&Run| {
            assert_eq!(run.predictions.len(), clips.labels.len(), "one prediction or none per clip");
            let mut counts = vec![BTreeMap::new(); numbers.len()];
            for ((group, &label), named) in clips.groups.iter().zip(&clips.labels).zip(&run.predictions) {
                if let Some(named) = *named {
                    *counts[numbers[group.as_str()]].entry((label, named)).or_insert(0) += 1;
                }
            }
            counts.into_iter().map(|group| group.into_iter().map(|((label, named), n)| (label, named, n)).collect()).collect()
        };
        let mut runs: Vec<&Run> = model.runs.iter().collect();
        runs.sort_by_key(|run| run.key());
        Self { classes: clips.classes, groups: numbers.len(), counts: runs.iter().map(by_group).collect() }
    }

    /// How many groups there are.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// How many runs there are.
    pub fn runs(&self) -> usize {
        self.counts.len()
    }

    /// The mean over runs of `metric` over all clips; none if no run has a value.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        self.of(metric, &Draw { groups: (0..self.groups).collect(), runs: (0..self.runs()).collect() })
    }

    /// The mean over the drawn runs of `metric` over the clips of the drawn groups.
    ///
    /// Runs for which the metric has no value there do not count; none if that is all of them.
    pub fn of(&self, metric: Metric, draw: &Draw) -> Option<f64> {
        let (groups, runs) = (times(&draw.groups, self.groups), times(&draw.runs, self.runs()));
        let (mut sum, mut values) = (0.0, 0);
        let mut matrix = ConfusionMatrix { counts: vec![vec![0; self.classes]; self.classes] };
        for (run, &runs) in self.counts.iter().zip(&runs).filter(|&(_, &runs)| runs > 0) {
            matrix.counts.iter_mut().for_each(|row| row.fill(0));
            for (group, &times) in run.iter().zip(&groups).filter(|&(_, &times)| times > 0) {
                for &(label, named, clips) in group {
                    matrix.counts[label as usize][named as usize] += times * clips;
                }
            }
            if let Some(value) = metric.of(&matrix) {
                sum += runs as f64 * value;
                values += runs;
            }
        }
        (values > 0).then(|| sum / values as f64)
    }
}

/// How often each of `count` numbers is among `drawn`.
fn times(drawn: &[usize], count: usize) -> Vec<usize> {
    let mut times = vec![0; count];
    for &number in drawn {
        times[number] += 1;
    }
    times
}

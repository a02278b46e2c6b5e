//! K folds of whole groups.

use super::seed::generator;
use super::split::Item;
use rand::seq::SliceRandom;
use std::collections::BTreeMap;

/// The fold whose test part holds each item: whole groups, the same whatever the order of the items.
///
/// Large groups first (shuffled among equals), each goes where its classes are rarest: to the fold that adds least to
/// the sum over folds and classes of count^2 / total, and among equals to the smallest fold. For groups of one class
/// that is the longest-processing-time rule, so no class differs between two folds by more than its largest group.
pub(super) fn deal(items: &[Item], classes: usize, folds: usize, seed: u64) -> Vec<usize> {
    let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut total = vec![0usize; classes];
    for (i, item) in items.iter().enumerate() {
        members.entry(item.group).or_default().push(i);
        total[item.label] += 1;
    }
    let mut groups: Vec<Vec<usize>> = members.into_values().collect();
    groups.shuffle(&mut generator(seed, "folds"));
    groups.sort_by_key(|members| std::cmp::Reverse(members.len()));

    let mut counts = vec![vec![0usize; classes]; folds];
    let mut fold_of = vec![0; items.len()];
    for members in groups {
        let mut own = vec![0usize; classes];
        members.iter().for_each(|&i| own[items[i].label] += 1);
        let crowding = |fold: usize| -> f64 {
            let overlap = |class: usize| (own[class] * counts[fold][class]) as f64 / total[class].max(1) as f64;
            (0..classes).map(overlap).sum()
        };
        let size = |fold: usize| counts[fold].iter().sum::<usize>();
        let best = (0..folds).min_by(|&a, &b| crowding(a).total_cmp(&crowding(b)).then(size(a).cmp(&size(b)))).unwrap_or(0);
        counts[best].iter_mut().zip(&own).for_each(|(count, own)| *count += own);
        members.iter().for_each(|&i| fold_of[i] = best);
    }
    fold_of
}

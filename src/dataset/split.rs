//! Parting the data: stratified by class, whole by group, decided by the seed alone.

use super::Split;
use super::seed::generator;
use rand::seq::SliceRandom;
use std::collections::BTreeMap;

/// The purpose of the hold-out's draws.
pub(super) const SPLIT: &str = "split";

/// What a split sees of a sample.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    pub label: usize,
    /// What must stay on one side, where the protocol keeps groups whole.
    pub group: &'a str,
    /// The sample's own name, unlike any other's.
    pub name: &'a str,
    /// The part that the data gives it.
    pub given: Option<Split>,
}

/// Share of each class's samples that a part aims at; the rest is for training.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fractions {
    pub valid: f64,
    pub test: f64,
}

/// A part for each item: the same whatever the order of the items. `purpose` sets draws of one seed apart.
///
/// A group goes to one part, counted under its most frequent label. Class by class the groups are shuffled; test, then
/// validation, takes each group that brings it nearer to its share; training keeps the rest. A class with three groups
/// or more is in every part whose share is not 0; one with two is in training and validation.
pub(super) fn stratify(items: &[Item], classes: &[String], fractions: Fractions, seed: u64, purpose: &str) -> Vec<Split> {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut total = vec![0; classes.len()];
    for (i, item) in items.iter().enumerate() {
        groups.entry(item.group).or_default().push(i);
        total[item.label] += 1;
    }
    let mut by_class: Vec<Vec<Group>> = classes.iter().map(|_| Vec::new()).collect();
    for (_, members) in groups {
        let group = Group::new(members, items, classes.len());
        by_class[group.class].push(group);
    }

    let mut parts = Parts { counts: vec![[0; 3]; classes.len()], splits: vec![Split::Train; items.len()] };
    for (class, mut own) in by_class.into_iter().enumerate() {
        own.shuffle(&mut generator(seed, &format!("{purpose} {}", classes[class])));
        let share = |fraction: f64| fraction * total[class] as f64;
        let valid_waits = usize::from(fractions.valid > 0.0);
        parts.take(&mut own, class, Split::Test, share(fractions.test), 1 + valid_waits);
        parts.take(&mut own, class, Split::Valid, share(fractions.valid), 1);
        own.iter().for_each(|group| parts.put(group, Split::Train));
    }
    parts.splits
}

/// Samples that stay together.
struct Group {
    members: Vec<usize>,
    /// Samples of each class among them.
    counts: Vec<usize>,
    /// The most frequent one, the first of equals.
    class: usize,
}

impl Group {
    fn new(members: Vec<usize>, items: &[Item], classes: usize) -> Self {
        let mut counts = vec![0; classes];
        members.iter().for_each(|&i| counts[items[i].label] += 1);
        let class = (0..classes).rev().max_by_key(|&class| counts[class]).unwrap_or(0);
        Self { members, counts, class }
    }
}

/// The split so far.
struct Parts {
    counts: Vec<[usize; 3]>,
    splits: Vec<Split>,
}

impl Parts {
    /// Moves groups of a class into a part until its share is reached, leaving at least `reserve` for the parts after it.
    fn take(&mut self, own: &mut Vec<Group>, class: usize, part: Split, share: f64, reserve: usize) {
        if share == 0.0 {
            return;
        }
        let mut i = 0;
        while i < own.len() && own.len() > reserve {
            let (now, more) = (self.counts[class][part as usize] as f64, own[i].counts[class] as f64);
            if now + more / 2.0 <= share {
                self.put(&own.remove(i), part);
            } else {
                i += 1;
            }
        }
        if self.counts[class][part as usize] == 0 && own.len() > reserve {
            let smallest = (0..own.len()).min_by_key(|&i| own[i].counts[class]).unwrap_or(0);
            self.put(&own.remove(smallest), part);
        }
    }

    fn put(&mut self, group: &Group, part: Split) {
        for (counts, more) in self.counts.iter_mut().zip(&group.counts) {
            counts[part as usize] += more;
        }
        group.members.iter().for_each(|&i| self.splits[i] = part);
    }
}

/// The same with every item a group of its own.
pub(super) fn stratify_clips(items: &[Item], classes: &[String], fractions: Fractions, seed: u64, purpose: &str) -> Vec<Split> {
    let alone: Vec<Item> = items.iter().map(|item| Item { group: item.name, ..*item }).collect();
    stratify(&alone, classes, fractions, seed, purpose)
}

/// Completes a split that is given: without a validation part, one is taken from the training part's groups.
pub(super) fn complete(
    given: Vec<Split>,
    items: &[Item],
    classes: &[String],
    fractions: Fractions,
    seed: u64,
    warnings: &mut Vec<String>,
) -> Vec<Split> {
    if !given.contains(&Split::Test) {
        warnings.push("the given split has no test part: there will be no test accuracy".into());
    }
    if given.contains(&Split::Valid) || fractions.valid == 0.0 {
        return given;
    }
    let train = given.iter().filter(|&&split| split == Split::Train).count();
    let mut splits = given;
    let taken = take_validation(&mut splits, items, classes, fractions.valid, seed, SPLIT);
    if train > 0 {
        warnings.push(format!("the given split has no validation part: {taken} of {train} training files are used for it"));
    }
    splits
}

/// Moves whole groups, stratified, from the training part to the validation part until that has `share` of what was the
/// training part. Returns how many samples were moved.
pub(super) fn take_validation(
    splits: &mut [Split],
    items: &[Item],
    classes: &[String],
    share: f64,
    seed: u64,
    purpose: &str,
) -> usize {
    let train: Vec<usize> = (0..items.len()).filter(|&i| splits[i] == Split::Train).collect();
    let train_items: Vec<Item> = train.iter().map(|&i| items[i]).collect();
    let inner = stratify(&train_items, classes, Fractions { valid: share, test: 0.0 }, seed, purpose);
    train.iter().zip(&inner).for_each(|(&i, &split)| splits[i] = split);
    inner.iter().filter(|&&split| split == Split::Valid).count()
}

/// A split that separates groups is obeyed where it is given and made where the protocol wants it; but the result says
/// less, so it is said loudly.
pub(super) fn describe_separated(splits: &[Split], items: &[Item], which: &str, warnings: &mut Vec<String>) {
    let mut first: BTreeMap<&str, Split> = BTreeMap::new();
    let mut separated: BTreeMap<&str, (Split, Split)> = BTreeMap::new();
    for (item, &split) in items.iter().zip(splits) {
        let other = *first.entry(item.group).or_insert(split);
        if other != split {
            separated.entry(item.group).or_insert((other, split));
        }
    }
    if let Some((group, (one, other))) = separated.first_key_value() {
        warnings.push(format!(
            "{which} separates {} groups (first: `{group}` is in {one} and in {other}): accuracy on unseen groups may be lower than what it shows",
            separated.len()
        ));
    }
}

/// Says which classes a part lacks, among the parts that are there or were to be made, and why.
pub(super) fn describe_gaps(
    splits: &[Split],
    items: &[Item],
    classes: &[String],
    made: &[Split],
    why: &str,
    warnings: &mut Vec<String>,
) {
    for part in Split::ALL.into_iter().filter(|part| made.contains(part) || splits.contains(part)) {
        let here = |class: usize| (0..items.len()).any(|i| items[i].label == class && splits[i] == part);
        let anywhere = |class: usize| items.iter().any(|item| item.label == class);
        let gaps: Vec<&str> =
            (0..classes.len()).filter(|&class| anywhere(class) && !here(class)).map(|class| &*classes[class]).collect();
        if !gaps.is_empty() {
            warnings.push(format!("the {part} part has no files of class {}: {why}", gaps.join(", ")));
        }
    }
}

//! What must stay on one side of a split: the given groups, joined where files have equal content.

use super::extract::Extracted;
use super::source::Entry;
use super::{DatasetError, Recording, Sample, source::portable};
use std::collections::{BTreeMap, HashMap};

/// Each entry's group, and the sets of equal content.
pub(super) struct Groups {
    /// The group of each entry: the smallest name among those joined.
    pub names: Vec<String>,
    /// Sets of two or more entries of equal content.
    pub duplicates: Vec<Vec<usize>>,
}

/// Joins entries of one given group and entries of equal bytes or equal sound.
pub(super) fn join(entries: &[(Entry, Extracted)]) -> Groups {
    let given: Vec<String> =
        entries.iter().map(|(entry, _)| entry.group.clone().unwrap_or_else(|| portable(&entry.path))).collect();
    let mut content = Sets::new(entries.len());
    content.join_equal(entries.iter().map(|(_, extracted)| extracted.content));
    content.join_equal(entries.iter().map(|(_, extracted)| extracted.sound));
    let duplicates = content.members().into_values().filter(|set| set.len() > 1).collect();

    let mut groups = content;
    groups.join_equal(given.iter());
    let mut names = given.clone();
    for set in groups.members().into_values() {
        let smallest = set.iter().map(|&i| &given[i]).min().cloned().unwrap_or_default();
        set.iter().for_each(|&i| names[i].clone_from(&smallest));
    }
    Groups { names, duplicates }
}

/// Refuses a given split that separates equal content.
pub(super) fn refuse_leaks(recordings: &[Recording], duplicates: &[Vec<usize>]) -> Result<(), DatasetError> {
    let split_of = |i: usize| recordings[i].given;
    for set in duplicates {
        let other = set.iter().copied().find(|&i| split_of(i) != split_of(set[0]));
        if let Some(other) = other
            && let (Some(first_split), Some(second_split)) = (split_of(set[0]), split_of(other))
        {
            let path = |i: usize| recordings[i].path.clone();
            return Err(DatasetError::LeakingSplit { first: path(set[0]), first_split, second: path(other), second_split });
        }
    }
    Ok(())
}

/// Says how many files have equal content, on which sides they are, and whether their labels agree.
pub(super) fn describe(samples: &[Sample], duplicates: &[Vec<usize>], classes: &[String]) -> Vec<String> {
    let mut warnings = Vec::new();
    let shown = |i: usize| samples[i].path.display();
    if let Some(first) = duplicates.first() {
        let (files, sets): (usize, usize) = (duplicates.iter().map(Vec::len).sum(), duplicates.len());
        let split = |i: usize| samples[i].split;
        let separated: Vec<_> = pairs(duplicates, |a, b| split(a) != split(b)).collect();
        let (one, other) = separated.first().copied().unwrap_or((first[0], first[1]));
        let (where_they_are, of_one, of_other) = match separated.len() {
            0 => ("each kept on one side of the split".to_owned(), String::new(), String::new()),
            n => {
                let part = |i: usize| format!(" ({})", split(i));
                (format!("{n} of them on two sides of the split: what is tested there was trained on"), part(one), part(other))
            }
        };
        let (one, other) = (shown(one), shown(other));
        warnings.push(format!(
            "{files} files have equal content in {sets} sets, {where_they_are} (first: {one}{of_one} and {other}{of_other})"
        ));
    }
    let label = |i: usize| &classes[samples[i].label];
    let contradictions: Vec<_> = pairs(duplicates, |a, b| label(a) != label(b)).collect();
    if let Some(&(a, b)) = contradictions.first() {
        warnings.push(format!(
            "{} sets of equal content bear different labels (first: {} is `{}`, {} is `{}`)",
            contradictions.len(),
            shown(a),
            label(a),
            shown(b),
            label(b)
        ));
    }
    warnings
}

/// Of each set, its first member and the first that differs from it.
fn pairs(sets: &[Vec<usize>], differ: impl Fn(usize, usize) -> bool) -> impl Iterator<Item = (usize, usize)> {
    sets.iter().filter_map(move |set| Some((set[0], *set.iter().find(|&&i| differ(set[0], i))?)))
}

/// Disjoint sets of `0..n`.
struct Sets {
    parent: Vec<usize>,
}

impl Sets {
    fn new(n: usize) -> Self {
        Self { parent: (0..n).collect() }
    }

    fn root(&mut self, mut i: usize) -> usize {
        while self.parent[i] != i {
            self.parent[i] = self.parent[self.parent[i]];
            i = self.parent[i];
        }
        i
    }

    fn join_equal<K: std::hash::Hash + Eq>(&mut self, keys: impl Iterator<Item = K>) {
        let mut first = HashMap::new();
        for (i, key) in keys.enumerate() {
            let other = *first.entry(key).or_insert(i);
            let (a, b) = (self.root(i), self.root(other));
            self.parent[a.max(b)] = a.min(b);
        }
    }

    /// Members by smallest member, ascending.
    fn members(&mut self) -> BTreeMap<usize, Vec<usize>> {
        let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for i in 0..self.parent.len() {
            members.entry(self.root(i)).or_default().push(i);
        }
        members
    }
}

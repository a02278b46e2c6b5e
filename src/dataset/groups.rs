//! What must stay on one side of a split: the given groups, joined where files have equal content.

use super::extract::Extracted;
use super::source::Entry;
use super::{DatasetError, source::portable};
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
pub(super) fn refuse_leaks(entries: &[(Entry, Extracted)], duplicates: &[Vec<usize>]) -> Result<(), DatasetError> {
    let split_of = |i: usize| entries[i].0.split;
    for set in duplicates {
        let other = set.iter().copied().find(|&i| split_of(i) != split_of(set[0]));
        if let Some(other) = other
            && let (Some(first_split), Some(second_split)) = (split_of(set[0]), split_of(other))
        {
            let path = |i: usize| entries[i].0.path.clone();
            return Err(DatasetError::LeakingSplit { first: path(set[0]), first_split, second: path(other), second_split });
        }
    }
    Ok(())
}

/// Says how many files have equal content, and whether their labels agree.
pub(super) fn describe(entries: &[(Entry, Extracted)], duplicates: &[Vec<usize>]) -> Vec<String> {
    let mut warnings = Vec::new();
    let shown = |i: usize| entries[i].0.path.display();
    if let Some(first) = duplicates.first() {
        let files: usize = duplicates.iter().map(Vec::len).sum();
        warnings.push(format!(
            "{files} files have equal content in {} sets, each kept on one side of the split (first: {} and {})",
            duplicates.len(),
            shown(first[0]),
            shown(first[1])
        ));
    }
    let label = |i: usize| &entries[i].0.label;
    let contradictions: Vec<_> =
        duplicates.iter().filter_map(|set| Some((set[0], *set.iter().find(|&&i| label(i) != label(set[0]))?))).collect();
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

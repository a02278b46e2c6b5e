//! The files of an earlier split under the names that they had then, so that it can be drawn again.

use super::kept::KeptSplits;
use super::source::portable;
use super::{Collection, Dataset, Recording, Sample, Split, gtzan};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

/// What of the data at hand is known from an earlier split.
#[derive(Debug, Clone)]
pub struct Known {
    /// The known files alone, under the names that they had: a draw depends on names.
    pub collection: Collection,
    /// Files of the data at hand that are not among them.
    pub more: usize,
    /// Clips of the split that are not in the data.
    pub fewer: usize,
    /// Whether they may have other groups than they had: a file that is not among them has the bytes or the sound of one that
    /// is, or GTZAN's tracks, whose artists are known by name, were renamed.
    pub regrouped: bool,
}

impl Collection {
    /// The files that `kept` names, by name and content, else by content. Tracks that GTZAN's fault-filtered lists leave out
    /// are no part of the data where those were followed.
    pub fn known(&self, kept: &KeptSplits) -> Known {
        let pieces = self.pieces(kept.are_segments);
        let samples: Vec<Sample> = pieces.iter().map(|(i, clip)| self.recordings[*i].sample(Split::Test, clip.clone())).collect();
        let rows = kept.rows_of(&samples);
        let mut names: Vec<Option<String>> = vec![None; self.recordings.len()];
        let mut taken: BTreeMap<String, usize> = BTreeMap::new();
        let mut found: HashSet<&str> = HashSet::new();
        for ((origin, _), row) in pieces.iter().zip(&rows) {
            let Some(row) = row else { continue };
            found.insert(&row.name);
            let file = if kept.are_segments { row.name.rsplit_once('#').map_or(&*row.name, |(file, _)| file) } else { &row.name };
            // Of copies the one that bears the name is meant.
            let bears_it = portable(&self.recordings[*origin].path) == file;
            let holder = taken.entry(file.to_owned()).or_insert(*origin);
            if *holder != *origin && bears_it {
                names[*holder] = None;
                *holder = *origin;
            }
            if *holder == *origin {
                names[*origin] = Some(file.to_owned());
            }
        }
        let lists = gtzan::filtered();
        let left_out = |path: &Path| kept.are_filtered && gtzan::track(path).is_some_and(|track| !lists.contains_key(track));
        let strangers: BTreeSet<usize> = (0..names.len()).filter(|&i| names[i].is_none()).collect();
        let mixed = |set: &Vec<usize>| set.iter().any(|i| strangers.contains(i)) && !set.iter().all(|i| strangers.contains(i));
        let new_name = |(recording, name): (&Recording, &Option<String>)| {
            name.as_ref().is_some_and(|name| portable(&recording.path) != *name && gtzan::track(Path::new(name)).is_some())
        };
        let artists_unknown = self.recordings.iter().zip(&names).any(new_name);
        Known {
            more: strangers.iter().filter(|&&i| !left_out(&self.recordings[i].path)).count(),
            fewer: kept.rows.len() - found.len(),
            regrouped: artists_unknown || self.duplicates.iter().any(mixed),
            collection: self.renamed(&names),
        }
    }

    /// The files that have a name, under it. A group that is called by a file is called by the first name in it.
    fn renamed(&self, names: &[Option<String>]) -> Self {
        let files: HashSet<String> = self.recordings.iter().map(|recording| portable(&recording.path)).collect();
        let mut first: HashMap<&str, &str> = HashMap::new();
        for (recording, name) in self.recordings.iter().zip(names) {
            let Some(name) = name.as_deref().filter(|_| files.contains(&recording.group)) else { continue };
            let earliest = first.entry(&recording.group).or_insert(name);
            *earliest = name.min(earliest);
        }
        let mut known: Vec<(usize, Recording)> = Vec::new();
        for (i, (recording, name)) in self.recordings.iter().zip(names).enumerate() {
            let Some(name) = name else { continue };
            let group = first.get(recording.group.as_str()).map_or_else(|| recording.group.clone(), |name| (*name).to_owned());
            known.push((i, Recording { path: name.into(), group, ..recording.clone() }));
        }
        known.sort_by_key(|(_, recording)| portable(&recording.path));
        let place: HashMap<usize, usize> = known.iter().enumerate().map(|(place, (origin, _))| (*origin, place)).collect();
        let moved = |set: &Vec<usize>| set.iter().filter_map(|i| place.get(i).copied()).collect::<Vec<_>>();
        Self {
            duplicates: self.duplicates.iter().map(moved).filter(|set| set.len() > 1).collect(),
            recordings: known.into_iter().map(|(_, recording)| recording).collect(),
            ..self.clone()
        }
    }
}

impl KeptSplits {
    /// Clips that `drawn` has in another part, or not at all.
    pub fn other_sides(&self, drawn: &Dataset) -> usize {
        let parts: HashMap<String, Split> = drawn.samples.iter().map(|sample| (sample.name(), sample.split)).collect();
        self.rows.iter().filter(|row| parts.get(&row.name) != Some(&row.split)).count()
    }
}

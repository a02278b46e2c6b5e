//! Labels and groups from the files' own tags, for collections that are not sorted into folders.

use super::BadFile;
use super::source::{Entry, Listing, Root, extension};
use crate::config::NameSource;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Replaces labels and groups by the tags that are asked for; files without them come back with the reason.
///
/// Case does not tell names apart: the most frequent spelling is everyone's, or that of `known` classes.
pub(super) fn apply(listing: &mut Listing, label: &NameSource, group: &NameSource, known: Option<&[String]>) -> Vec<BadFile> {
    let wanted: Vec<&str> = [label.tag(), group.tag()].into_iter().flatten().collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let entries = std::mem::take(&mut listing.entries);
    let results: Vec<Result<Entry, BadFile>> =
        entries.into_par_iter().map(|entry| with_tags(entry, &listing.root, label.tag(), group.tag())).collect();
    let (mut entries, mut bad) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(entry) => entries.push(entry),
            Err(file) => bad.push(file),
        }
    }
    if label.tag().is_some() {
        let spelling = Spelling::of(entries.iter().map(|entry| entry.label.as_str()), known.unwrap_or_default());
        entries.iter_mut().for_each(|entry| entry.label = spelling.right(&entry.label));
    }
    if group.tag().is_some() {
        let spelling = Spelling::of(entries.iter().filter_map(|entry| entry.group.as_deref()), &[]);
        entries.iter_mut().for_each(|entry| entry.group = entry.group.as_deref().map(|group| spelling.right(group)));
    }
    if !bad.is_empty() && entries.is_empty() {
        listing.hint = format!("; none of its {} files has the tag that is asked for: {}", bad.len(), wanted.join(", "));
    }
    listing.entries = entries;
    bad
}

fn with_tags(mut entry: Entry, root: &Root, label: Option<&str>, group: Option<&str>) -> Result<Entry, BadFile> {
    let bad = |reason: String| BadFile { path: entry.path.clone(), reason };
    let tags = root.tags(&entry.path).map_err(bad)?;
    let remedy = match extension(&entry.path).as_str() {
        "wav" | "wave" => "; those of wav files are not read: name it in a manifest",
        _ => "",
    };
    let get = |name: &str| tags.get(name).map(str::to_owned).ok_or_else(|| bad(format!("has no tag `{name}`{remedy}")));
    let (label, group) = (label.map(get).transpose()?, group.map(get).transpose()?);
    if let Some(label) = label {
        entry.label = label;
    }
    entry.group = group.or(entry.group);
    Ok(entry)
}

/// One spelling for names that differ in case alone.
struct Spelling {
    by_lower_case: BTreeMap<String, String>,
}

impl Spelling {
    fn of<'a>(names: impl Iterator<Item = &'a str>, known: &[String]) -> Self {
        let mut counts: BTreeMap<String, BTreeMap<&str, usize>> = BTreeMap::new();
        for name in names {
            *counts.entry(name.to_lowercase()).or_default().entry(name).or_default() += 1;
        }
        // The first in alphabetical order among equals.
        let most = |spellings: BTreeMap<&'a str, usize>| spellings.into_iter().rev().max_by_key(|(_, count)| *count);
        let mut by_lower_case: BTreeMap<String, String> =
            counts.into_iter().filter_map(|(key, spellings)| Some((key, most(spellings)?.0.to_owned()))).collect();
        by_lower_case.extend(known.iter().map(|name| (name.to_lowercase(), name.clone())));
        Self { by_lower_case }
    }

    fn right(&self, name: &str) -> String {
        self.by_lower_case.get(&name.to_lowercase()).cloned().unwrap_or_else(|| name.to_owned())
    }
}

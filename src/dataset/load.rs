//! From what was given to a [`Dataset`].

use super::extract::{Extracted, Extractor};
use super::source::{Entry, Listing, portable};
use super::split::{Fractions, Item, complete, describe_gaps, stratify};
use super::{BadFile, CachePolicy, Dataset, DatasetError, Sample, Split, groups, manifest, scan};
use crate::config::{DataConfig, FeatureConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Bad files that an error shows.
const SHOWN: usize = 5;

/// How data becomes a [`Dataset`].
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Fractions of the split and the shortest usable clip; its path and classes are not read.
    pub data: DataConfig,
    /// The log-mel.
    pub features: FeatureConfig,
    /// Frames of a training crop: shorter clips are padded, as audio, with zeros at the end.
    pub frames: usize,
    /// Seed of the split.
    pub seed: u64,
    /// Whether a single unusable file is an error.
    pub strict: bool,
    /// Where features are kept between runs.
    pub cache: CachePolicy,
    /// The classes of a trained network, in its order: other labels are errors, missing ones are not.
    pub classes: Option<Vec<String>>,
}

/// Called with files done and files in all, from any thread.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// Loads a folder with a subfolder per class, a CSV manifest, or a folder that holds `manifest.csv`.
pub fn load(source: &Path, options: &LoadOptions, progress: Progress) -> Result<Dataset, DatasetError> {
    assemble(list(source)?, options, progress)
}

fn list(source: &Path) -> Result<Listing, DatasetError> {
    let not_data = |problem: &str| DatasetError::NotData { path: source.into(), problem: problem.into() };
    let metadata = std::fs::metadata(source).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => not_data("no such file or folder"),
        _ => DatasetError::Read { path: source.into(), source: error },
    })?;
    if metadata.is_dir() {
        let inside = source.join("manifest.csv");
        return if inside.is_file() { manifest::read(&inside) } else { scan::scan(source) };
    }
    match super::source::extension(source).as_str() {
        "csv" => manifest::read(source),
        _ => Err(not_data("is a file, but not a .csv manifest")),
    }
}

/// Extracts every entry and parts them.
pub(super) fn assemble(listing: Listing, options: &LoadOptions, progress: Progress) -> Result<Dataset, DatasetError> {
    let Listing { source, root, mut entries, split_given, mut warnings, hint } = listing;
    entries.sort_by_cached_key(|entry| portable(&entry.path));
    let classes = classes(&source, &entries, options.classes.as_deref(), hint)?;

    let extractor = Extractor::new(&options.features, options.frames, options.data.min_seconds, &options.cache);
    let paths: Vec<PathBuf> = entries.iter().map(|entry| entry.path.clone()).collect();
    let results = extractor.extract_all(&root, &paths, progress);
    let (usable, bad) = part_usable(entries, results, options.strict)?;
    warnings.extend(extractor.warning());

    let groups = groups::join(&usable);
    warnings.extend(groups::describe(&usable, &groups.duplicates));
    let label_of = |entry: &Entry| classes.iter().position(|class| *class == entry.label).unwrap_or(0);
    let items: Vec<Item> =
        usable.iter().zip(&groups.names).map(|((entry, _), group)| Item { label: label_of(entry), group }).collect();
    let fractions = Fractions { valid: options.data.valid_fraction, test: options.data.test_fraction };
    let (splits, made) = if split_given {
        groups::refuse_leaks(&usable, &groups.duplicates)?;
        let given: Vec<Split> = usable.iter().filter_map(|(entry, _)| entry.split).collect();
        if options.classes.is_none() && !given.contains(&Split::Train) {
            return Err(DatasetError::NothingToTrain { path: source });
        }
        (complete(given, &items, &classes, fractions, options.seed, &mut warnings), vec![])
    } else {
        let made = [(Split::Train, true), (Split::Valid, fractions.valid > 0.0), (Split::Test, fractions.test > 0.0)];
        let made = made.into_iter().filter(|(_, wanted)| *wanted).map(|(part, _)| part).collect();
        (stratify(&items, &classes, fractions, options.seed), made)
    };
    describe_gaps(&splits, &items, &classes, &made, &mut warnings);

    let labels: Vec<usize> = items.iter().map(|item| item.label).collect();
    let samples = usable
        .into_iter()
        .zip(groups.names)
        .zip(labels.into_iter().zip(splits))
        .map(|(((entry, extracted), group), (label, split))| Sample {
            path: entry.path,
            label,
            split,
            group,
            content_hash: extracted.content.to_hex().to_string(),
            clip: extracted.clip,
        })
        .collect();
    let (n_mels, frames) = (options.features.n_mels, options.frames);
    Ok(Dataset { classes, n_mels, frames, samples, bad, duplicates: groups.duplicates, warnings })
}

/// The names of the network's outputs: those of the trained network, or those that the data names, sorted.
fn classes(source: &Path, entries: &[Entry], known: Option<&[String]>, hint: String) -> Result<Vec<String>, DatasetError> {
    if let Some(known) = known {
        return match entries.iter().find(|entry| !known.contains(&entry.label)) {
            None => Ok(known.to_vec()),
            Some(entry) => {
                let (path, label) = (entry.path.clone(), entry.label.clone());
                Err(DatasetError::UnknownLabel { path, label, classes: known.join(", ") })
            }
        };
    }
    let found: BTreeSet<&String> = entries.iter().map(|entry| &entry.label).collect();
    let names: Vec<String> = found.into_iter().cloned().collect();
    if names.len() >= 2 {
        return Ok(names);
    }
    let found = match names.first() {
        None => "holds no class with audio or .npy features".to_owned(),
        Some(only) => format!("holds only the class `{only}`"),
    };
    Err(DatasetError::TooFewClasses { path: source.into(), found, hint })
}

type Usable = Vec<(Entry, Extracted)>;

/// Parts the usable from the bad; too many of the latter are an error.
fn part_usable(
    entries: Vec<Entry>,
    results: Vec<Result<Extracted, String>>,
    strict: bool,
) -> Result<(Usable, Vec<BadFile>), DatasetError> {
    let total = entries.len();
    let (mut usable, mut bad) = (Vec::new(), Vec::new());
    let mut lost: BTreeMap<String, (usize, BadFile)> = BTreeMap::new();
    for (entry, result) in entries.into_iter().zip(results) {
        match result {
            Ok(extracted) => usable.push((entry, extracted)),
            Err(reason) => {
                let file = BadFile { path: entry.path, reason };
                lost.entry(entry.label).or_insert_with(|| (0, file.clone())).0 += 1;
                bad.push(file);
            }
        }
    }
    if strict && !bad.is_empty() {
        let (count, first) = (bad.len(), bad.into_iter().take(SHOWN).collect());
        return Err(DatasetError::BadFiles { count, total, first });
    }
    usable.iter().for_each(|(entry, _)| drop(lost.remove(&entry.label)));
    match lost.into_iter().next() {
        Some((class, (count, first))) => Err(DatasetError::ClassLost { class, count, first }),
        None => Ok((usable, bad)),
    }
}

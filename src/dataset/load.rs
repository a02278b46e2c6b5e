//! From what was given to a [`Collection`], and to a [`Dataset`].

use super::extract::{Extracted, Extractor};
use super::protocol::{Draw, Protocol};
use super::source::{Entry, Listing, portable};
use super::split::Fractions;
use super::{BadFile, CachePolicy, Collection, Dataset, DatasetError, Recording, groups, gtzan, manifest, scan, tagged};
use crate::config::{DataConfig, FeatureConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Bad files that an error shows.
const SHOWN: usize = 5;

/// How data becomes a [`Dataset`].
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Where labels and groups come from, fractions of the split, the shortest usable clip; its path and classes are not read.
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

/// Loads a folder with a subfolder per class, a CSV manifest, or a folder that holds `manifest.csv`, and parts it: the
/// given split, or a hold-out of whole groups.
pub fn load(source: &Path, options: &LoadOptions, progress: Progress) -> Result<Dataset, DatasetError> {
    collect(source, options, progress)?.dataset(Protocol::Grouped, Draw::single(options.seed))
}

/// The same without parting it: for studies that part it more than once.
pub fn collect(source: &Path, options: &LoadOptions, progress: Progress) -> Result<Collection, DatasetError> {
    assemble(list(source, options.data.label.tag().is_some())?, options, progress)
}

/// Lists what was given; where the labels are the files' tags, a folder's subfolders say nothing.
fn list(source: &Path, labels_are_tags: bool) -> Result<Listing, DatasetError> {
    let not_data = |problem: &str| DatasetError::NotData { path: source.into(), problem: problem.into() };
    let metadata = std::fs::metadata(source).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => not_data("no such file or folder"),
        _ => DatasetError::Read { path: source.into(), source: error },
    })?;
    if metadata.is_dir() {
        let inside = source.join("manifest.csv");
        if inside.is_file() {
            return manifest::read(&inside);
        }
        if labels_are_tags {
            return scan::flat(source);
        }
        for folder in gtzan::FOLDERS.map(|name| source.join(name)).iter().filter(|folder| folder.is_dir()) {
            let listing = scan::scan(folder)?;
            if gtzan::is_gtzan(&listing.entries) {
                return Ok(listing);
            }
        }
        return scan::scan(source);
    }
    match super::source::extension(source).as_str() {
        "csv" => manifest::read(source),
        _ => Err(not_data("is a file, but not a .csv manifest")),
    }
}

/// Extracts every entry and joins what is one group.
pub(super) fn assemble(mut listing: Listing, options: &LoadOptions, progress: Progress) -> Result<Collection, DatasetError> {
    let without_tags = tagged::apply(&mut listing, &options.data.label, &options.data.group, options.classes.as_deref());
    let Listing { source, root, mut entries, mut warnings, hint } = listing;
    entries.sort_by_cached_key(|entry| portable(&entry.path));
    if gtzan::is_gtzan(&entries) {
        warnings.extend(gtzan::group_by_artist(&mut entries));
    }
    let classes = classes(&source, &entries, options.classes.as_deref(), hint)?;

    let extractor = Extractor::new(&options.features, options.frames, options.data.min_seconds, &options.cache);
    let paths: Vec<PathBuf> = entries.iter().map(|entry| entry.path.clone()).collect();
    let results = extractor.extract_all(&root, &paths, progress);
    let (usable, bad) = part_usable(entries, results, without_tags, options.strict)?;
    warnings.extend(extractor.warning());

    let groups = groups::join(&usable);
    let label_of = |entry: &Entry| classes.iter().position(|class| *class == entry.label).unwrap_or(0);
    let recording = |((entry, extracted), group): ((Entry, Extracted), String)| Recording {
        label: label_of(&entry),
        path: entry.path,
        group,
        content_hash: extracted.content.to_hex().to_string(),
        given: entry.split,
        clip: extracted.clip,
    };
    Ok(Collection {
        recordings: usable.into_iter().zip(groups.names).map(recording).collect(),
        source,
        n_mels: options.features.n_mels,
        frames: options.frames,
        frame_seconds: options.features.hop_length as f64 / f64::from(options.features.sample_rate),
        bad,
        duplicates: groups.duplicates,
        warnings,
        fractions: Fractions { valid: options.data.valid_fraction, test: options.data.test_fraction },
        trains: options.classes.is_none(),
        classes,
    })
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

/// Parts the usable from the bad, of which some are known already; too many of the latter are an error.
fn part_usable(
    entries: Vec<Entry>,
    results: Vec<Result<Extracted, String>>,
    mut bad: Vec<BadFile>,
    strict: bool,
) -> Result<(Usable, Vec<BadFile>), DatasetError> {
    let total = entries.len() + bad.len();
    let mut usable = Vec::new();
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
    bad.sort_by_cached_key(|file| portable(&file.path));
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

//! Data that is decoded once, and parted as often as a study wants.

use super::protocol::{Draw, Parting, Protocol, part};
use super::source::portable;
use super::split::{Fractions, Item, describe_gaps, describe_separated};
use super::{BadFile, Clip, Dataset, DatasetError, Sample, Split, groups, gtzan};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

/// Missing tracks that a warning names; all are among the bad files.
const NAMED: usize = 10;

/// A usable file that is in no part yet.
#[derive(Debug, Clone)]
pub struct Recording {
    /// As listed: relative to the folder or the manifest.
    pub path: PathBuf,
    /// Index into [`Collection::classes`].
    pub label: usize,
    /// What must stay on one side of a split; see [`Sample::group`].
    pub group: String,
    /// BLAKE3 of the file's bytes, in hexadecimal.
    pub content_hash: String,
    /// The part that the data gives it.
    pub given: Option<Split>,
    /// Its log-mel.
    pub clip: Arc<Clip>,
}

impl Recording {
    /// The whole of it, or a segment, in a part.
    pub(super) fn sample(&self, split: Split, clip: Arc<Clip>) -> Sample {
        let Self { path, label, group, content_hash, .. } = self;
        let (path, group, content_hash) = (path.clone(), group.clone(), content_hash.clone());
        Sample { path, label: *label, split, group, content_hash, clip }
    }
}

/// Labelled clips, decoded once: [`Collection::dataset`] parts them by any protocol without opening a file again.
#[derive(Debug, Clone)]
pub struct Collection {
    /// The folder or manifest, for messages.
    pub source: PathBuf,
    /// Class names, in the order of the network's outputs.
    pub classes: Vec<String>,
    /// Mel bands of every clip.
    pub n_mels: usize,
    /// Frames of a training crop and of a segment: no clip is shorter.
    pub frames: usize,
    /// Seconds from one frame to the next.
    pub frame_seconds: f64,
    /// The usable files, sorted by path.
    pub recordings: Vec<Recording>,
    /// The others.
    pub bad: Vec<BadFile>,
    /// Sets of recordings (indices) of equal content, each of two or more.
    pub duplicates: Vec<Vec<usize>>,
    /// What a person should know whatever the protocol, in words.
    pub warnings: Vec<String>,
    /// Shares that the hold-out, the folds' validation and the segments aim at.
    pub(super) fractions: Fractions,
    /// Whether there must be something to train on.
    pub(super) trains: bool,
}

impl Collection {
    /// Whether the files are GTZAN's, by their names.
    pub fn is_gtzan(&self) -> bool {
        let mut recordings = self.recordings.iter();
        recordings.len() > 0 && recordings.all(|recording| gtzan::is_track_of(&recording.path, &self.classes[recording.label]))
    }

    /// One split of a protocol. The clips are shared, not copied.
    ///
    /// # Errors
    /// A given split that separates equal content or trains on nothing, fewer groups than folds, and
    /// [`Protocol::GtzanFiltered`] for other data.
    ///
    /// # Panics
    /// If `draw.fold` is not below [`Protocol::splits`].
    pub fn dataset(&self, protocol: Protocol, draw: Draw) -> Result<Dataset, DatasetError> {
        self.refuse(protocol, draw)?;
        let pieces = self.pieces(protocol == Protocol::LeakySegments);
        let names: Vec<String> = pieces.iter().map(|(i, clip)| name(&self.recordings[*i].path, clip)).collect();
        let item = |((origin, _), name): (&(usize, Arc<Clip>), _)| {
            let Recording { label, group, given, .. } = &self.recordings[*origin];
            Item { label: *label, group, name, given: *given }
        };
        let items: Vec<Item> = pieces.iter().zip(names.iter().map(String::as_str)).map(item).collect();
        let parting = part(protocol, &items, &self.classes, self.fractions, draw)?;

        let mut data = Dataset {
            classes: self.classes.clone(),
            n_mels: self.n_mels,
            frames: self.frames,
            samples: Vec::with_capacity(pieces.len()),
            bad: self.bad.clone(),
            duplicates: Vec::new(),
            warnings: self.warnings.clone(),
        };
        let mut origins = Vec::with_capacity(pieces.len());
        let mut kept = Vec::with_capacity(pieces.len());
        for (((origin, clip), item), part) in pieces.into_iter().zip(&items).zip(&parting.parts) {
            let Some(split) = *part else { continue };
            data.samples.push(self.recordings[origin].sample(split, clip));
            origins.push(origin);
            kept.push(*item);
        }
        let members = |set: &Vec<usize>| (0..origins.len()).filter(|&i| set.contains(&origins[i])).collect::<Vec<_>>();
        data.duplicates = self.duplicates.iter().map(members).filter(|set| set.len() > 1).collect();
        self.describe(protocol, parting, &kept, &mut data)?;
        Ok(data)
    }

    fn refuse(&self, protocol: Protocol, draw: Draw) -> Result<(), DatasetError> {
        let obeys_given = protocol == Protocol::Grouped && draw.folds <= 1;
        if obeys_given {
            groups::refuse_leaks(&self.recordings, &self.duplicates)?;
        }
        if protocol == Protocol::GtzanFiltered && !self.is_gtzan() {
            let stranger = self.recordings.iter().find(|r| !gtzan::is_track_of(&r.path, &self.classes[r.label]));
            let stranger = stranger.map_or_else(PathBuf::new, |recording| recording.path.clone());
            return Err(DatasetError::NotGtzan { path: self.source.clone(), stranger });
        }
        Ok(())
    }

    /// What is parted: recordings (their indices) whole, or their segments.
    pub(super) fn pieces(&self, segments: bool) -> Vec<(usize, Arc<Clip>)> {
        if segments {
            return self.segments();
        }
        self.recordings.iter().enumerate().map(|(i, recording)| (i, recording.clip.clone())).collect()
    }

    /// Every clip cut into segments of `frames` frames, one after the other; what is left at the end is not used.
    fn segments(&self) -> Vec<(usize, Arc<Clip>)> {
        let cut = |(i, recording): (usize, &Recording)| {
            let clip = recording.clip.clone();
            let firsts = (0..clip.frames() / self.frames).map(|k| k * self.frames);
            firsts.map(move |first| (i, Arc::new(clip.segment(first, self.frames)))).collect::<Vec<_>>()
        };
        self.recordings.iter().enumerate().flat_map(cut).collect()
    }

    /// What a person should know about this split.
    fn describe(&self, protocol: Protocol, parting: Parting, items: &[Item], data: &mut Dataset) -> Result<(), DatasetError> {
        let splits: Vec<Split> = data.samples.iter().map(|sample| sample.split).collect();
        if self.trains && !splits.contains(&Split::Train) {
            return Err(DatasetError::NothingToTrain { path: self.source.clone() });
        }
        if protocol != Protocol::LeakySegments {
            data.warnings.extend(groups::describe(&data.samples, &data.duplicates, &self.classes));
        }
        data.warnings.extend(parting.warnings);
        if protocol == Protocol::LeakySegments {
            data.warnings.push(protocol.words().into());
            let whole = self.recordings.iter().all(|recording| recording.clip.frames() < 2 * self.frames);
            if whole {
                let words =
                    "every clip is one segment, so nothing leaks here: shorten the crops (--frames) to see what leakage does";
                data.warnings.push(words.into());
            }
        } else if !protocol.keeps_groups() {
            describe_separated(&splits, items, "as published, this split", &mut data.warnings);
        }
        if protocol == Protocol::GtzanFiltered {
            self.describe_missing(&parting.missing, data);
        }
        describe_gaps(&splits, items, &self.classes, &parting.made, parting.gap, &mut data.warnings);
        Ok(())
    }

    /// Tracks that the lists name and the data lacks become bad files; so it is on record which they were.
    fn describe_missing(&self, missing: &[(&str, Split)], data: &mut Dataset) {
        let left_out = self.recordings.len() - data.samples.len();
        if left_out > 0 {
            data.warnings
                .push(format!("{left_out} tracks are in none of the fault-filtered lists and are left out of the study"));
        }
        if missing.is_empty() {
            return;
        }
        let named: Vec<&str> = missing.iter().take(NAMED).map(|(track, _)| *track).collect();
        let more = if missing.len() > NAMED { ", .." } else { "" };
        data.warnings.push(format!(
            "{} tracks of the fault-filtered lists are not there or cannot be used: {}{more}",
            missing.len(),
            named.join(", ")
        ));
        let known: BTreeSet<String> = self.bad.iter().filter_map(|bad| gtzan::track(&bad.path)).map(str::to_owned).collect();
        for (track, split) in missing.iter().filter(|(track, _)| !known.contains(*track)) {
            let reason = format!("no such file, but the fault-filtered lists have it in their {split} part");
            data.bad.push(BadFile { path: gtzan::place(track), reason });
        }
    }
}

/// A sample's own name: its path, and the first frame where it is a segment.
pub(super) fn name(path: &std::path::Path, clip: &Clip) -> String {
    match clip.first_frame() {
        None => portable(path),
        Some(first) => format!("{}#{first}", portable(path)),
    }
}

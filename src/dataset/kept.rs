//! The split that a run was trained with, read back from its `splits.csv`: what it has seen must not become test data
//! because files came, went or were renamed since.

use super::{Collection, Dataset, DatasetError, Sample, Split, gtzan};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

pub(super) const HEADER: [&str; 5] = ["path", "label", "split", "group", "content_hash"];

/// A `splits.csv`, row by row.
///
/// A clip is known again by its name and content together; else, renamed, by its content alone: one protocol may have put
/// two files of equal content on two sides, and another the segments of one file.
#[derive(Debug, Clone, Default)]
pub struct KeptSplits {
    pub(super) rows: Vec<KeptClip>,
    by_group: HashMap<String, Split>,
    pub(super) are_segments: bool,
    pub(super) are_filtered: bool,
}

/// A clip of a `splits.csv`.
#[derive(Debug, Clone)]
pub struct KeptClip {
    /// See [`Sample::name`].
    pub name: String,
    /// Its class.
    pub label: String,
    /// The part that it was in.
    pub split: Split,
    /// See [`Sample::group`].
    pub group: String,
    piece: Piece,
}

impl KeptClip {
    /// See [`Sample::content_hash`].
    pub fn content_hash(&self) -> &str {
        &self.piece.0
    }
}

/// A file's content and, of a segment, the frame that it begins with.
type Piece = (String, Option<usize>);

impl KeptSplits {
    /// Reads a `splits.csv`.
    pub fn read(path: &Path) -> Result<Self, DatasetError> {
        let bytes = std::fs::read(path).map_err(|source| DatasetError::Read { path: path.into(), source })?;
        Self::parse(path, &bytes)
    }

    /// The same of bytes that came from `path`.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, DatasetError> {
        let at = |line: u64, problem: String| DatasetError::Line { path: path.into(), line, problem };
        let mut kept = Self::default();
        let mut reader = csv::Reader::from_reader(bytes);
        let header = reader.headers().map_err(|error| at(1, error.to_string()))?;
        if header != HEADER.as_slice() {
            return Err(at(1, format!("is damaged: it should begin with {}", HEADER.join(","))));
        }
        for record in reader.records() {
            let record = record.map_err(|error| at(error.position().map_or(0, csv::Position::line), error.to_string()))?;
            let line = record.position().map_or(0, csv::Position::line);
            let columns = [0, 1, 2, 3, 4].map(|column| record.get(column));
            let [Some(name), Some(label), Some(split), Some(group), Some(content)] = columns else {
                return Err(at(line, "a row has path,label,split,group,content_hash".into()));
            };
            let split = Split::from_name(split)
                .ok_or_else(|| at(line, format!("split `{split}` is unknown; use train, valid or test")))?;
            // A group that is only the file's own name says nothing of a file of that name elsewhere.
            if name != group {
                kept.by_group.insert(group.into(), split);
            }
            let piece = (content.to_owned(), first_frame(name));
            kept.rows.push(KeptClip { name: name.into(), label: label.into(), split, group: group.into(), piece });
        }
        if kept.rows.is_empty() {
            return Err(at(2, "is damaged: it names no clip".into()));
        }
        // A study's clips are all segments or none is, so that a file whose name ends like a segment's is none.
        kept.are_segments = kept.rows.iter().all(|row| row.piece.1.is_some());
        if !kept.are_segments {
            kept.rows.iter_mut().for_each(|row| row.piece.1 = None);
        }
        let lists = gtzan::filtered();
        let listed = |row: &KeptClip| gtzan::track(Path::new(&row.name)).and_then(|track| lists.get(track)) == Some(&row.split);
        kept.are_filtered = kept.rows.iter().all(listed);
        Ok(kept)
    }

    /// Clips that it names.
    pub fn clips(&self) -> usize {
        self.rows.len()
    }

    /// The clips of one part, in its order.
    pub fn part(&self, part: Split) -> impl Iterator<Item = &KeptClip> {
        self.rows.iter().filter(move |row| row.split == part)
    }

    /// The label that each clip had, by its name.
    pub fn labels(&self) -> HashMap<&str, &str> {
        self.rows.iter().map(|row| (row.name.as_str(), row.label.as_str())).collect()
    }

    /// Groups that are in more than one part, and contents (of segments: pieces).
    pub fn separated(&self) -> [usize; 2] {
        let mut groups: HashMap<&str, Vec<Split>> = HashMap::new();
        let mut pieces: HashMap<&Piece, Vec<Split>> = HashMap::new();
        for row in &self.rows {
            groups.entry(&row.group).or_default().push(row.split);
            pieces.entry(&row.piece).or_default().push(row.split);
        }
        let apart = |splits: &Vec<Split>| splits.iter().any(|split| *split != splits[0]);
        [groups.values().filter(|splits| apart(splits)).count(), pieces.values().filter(|splits| apart(splits)).count()]
    }

    /// Gives every sample the part that it had; a new sample the part of its group; one that is new altogether goes to the
    /// test part. Returns how many samples are new.
    pub fn apply(&self, data: &mut Dataset) -> usize {
        let rows = self.rows_of(&data.samples);
        // Equal content may have given a group another name since, so the samples at hand count before the names.
        let mut group: HashMap<&str, Split> = HashMap::new();
        for (sample, row) in data.samples.iter().zip(&rows) {
            if let Some(row) = row {
                let earliest = group.entry(&sample.group).or_insert(row.split);
                *earliest = row.split.min(*earliest);
            }
        }
        let part_of = |(sample, row): (&Sample, &Option<&KeptClip>)| {
            let by_group = || group.get(sample.group.as_str()).or_else(|| self.by_group.get(&sample.group)).copied();
            row.map(|row| row.split).or_else(by_group).unwrap_or(Split::Test)
        };
        let parts: Vec<Split> = data.samples.iter().zip(&rows).map(part_of).collect();
        let new = rows.iter().filter(|row| row.is_none()).count();
        data.samples.iter_mut().zip(parts).for_each(|(sample, part)| sample.split = part);
        new
    }

    /// Leaves the samples that it names, in its order, with the parts and groups that they had: what the run was trained
    /// with. Returns the name that each had.
    pub fn restore(&self, data: &mut Dataset) -> Vec<String> {
        let place: HashMap<&str, usize> = self.rows.iter().enumerate().map(|(i, row)| (row.name.as_str(), i)).collect();
        let mut found: BTreeMap<usize, Sample> = BTreeMap::new();
        for (sample, row) in data.samples.iter().zip(self.rows_of(&data.samples)) {
            let Some(row) = row else { continue };
            let was = Sample { split: row.split, group: row.group.clone(), ..sample.clone() };
            found.entry(place[row.name.as_str()]).or_insert(was);
        }
        data.duplicates.clear();
        let (places, samples): (Vec<usize>, Vec<Sample>) = found.into_iter().unzip();
        data.samples = samples;
        places.into_iter().map(|i| self.rows[i].name.clone()).collect()
    }

    /// The row of each sample: of its name and content, else one of its content that no sample bears the name of, else, of
    /// a copy that was made since, the one on the side nearest to training.
    pub(super) fn rows_of(&self, samples: &[Sample]) -> Vec<Option<&KeptClip>> {
        let mut by_piece: HashMap<&Piece, Vec<&KeptClip>> = HashMap::new();
        self.rows.iter().for_each(|row| by_piece.entry(&row.piece).or_default().push(row));
        let piece = |sample: &Sample| (sample.content_hash.clone(), sample.clip.first_frame());
        let by_name = |sample: &Sample| {
            let name = sample.name();
            by_piece.get(&piece(sample))?.iter().copied().find(|row| row.name == name)
        };
        let mut found: Vec<Option<&KeptClip>> = samples.iter().map(by_name).collect();
        let mut open = by_piece.clone();
        for row in found.iter().flatten() {
            open.entry(&row.piece).and_modify(|rows| rows.retain(|other| other.name != row.name));
        }
        for (sample, row) in samples.iter().zip(&mut found).filter(|(_, row)| row.is_none()) {
            let piece = piece(sample);
            let renamed = open.get_mut(&piece).filter(|rows| !rows.is_empty()).map(|rows| rows.remove(0));
            let copied = || by_piece.get(&piece)?.iter().copied().min_by_key(|row| row.split);
            *row = renamed.or_else(copied);
        }
        found
    }
}

impl Collection {
    /// The data as the run of `kept` was given it, clip by clip, in no part yet: the files' segments where those were
    /// parted, and without the tracks of GTZAN that its fault-filtered lists leave out where those were followed.
    /// [`KeptSplits::apply`] and [`KeptSplits::restore`] part it.
    pub fn for_kept(&self, kept: &KeptSplits) -> Dataset {
        let lists = gtzan::filtered();
        let left_out = |path: &Path| gtzan::track(path).is_some_and(|track| !lists.contains_key(track));
        let pieces = self.pieces(kept.are_segments).into_iter();
        let samples = pieces.map(|(origin, clip)| self.recordings[origin].sample(Split::Test, clip));
        Dataset {
            classes: self.classes.clone(),
            n_mels: self.n_mels,
            frames: self.frames,
            samples: samples.filter(|sample| !(kept.are_filtered && left_out(&sample.path))).collect(),
            bad: self.bad.clone(),
            duplicates: Vec::new(),
            warnings: self.warnings.clone(),
        }
    }
}

/// What stands behind the `#` of a segment's name; none of another.
fn first_frame(name: &str) -> Option<usize> {
    let (_, digits) = name.rsplit_once('#')?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

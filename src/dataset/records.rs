//! The data's part of a run directory, schema 1: `splits.csv`, `bad_files.csv` and `near_duplicates.csv`.

use super::source::portable;
use super::{Dataset, DatasetError, NearDuplicateRow, Sample, Split};
use std::collections::HashMap;
use std::path::Path;

/// Writes `path,label,split,group,content_hash`, a row per sample.
pub fn write_splits_csv(path: &Path, data: &Dataset) -> Result<(), DatasetError> {
    let rows = data.samples.iter().map(|sample| {
        let label = data.classes[sample.label].clone();
        vec![sample.name(), label, sample.split.to_string(), sample.group.clone(), sample.content_hash.clone()]
    });
    write(path, &["path", "label", "split", "group", "content_hash"], rows)
}

/// Writes `path,reason`, a row per file that could not be used.
pub fn write_bad_files_csv(path: &Path, data: &Dataset) -> Result<(), DatasetError> {
    write(path, &["path", "reason"], data.bad.iter().map(|file| vec![portable(&file.path), file.reason.clone()]))
}

/// Writes `first,second,distance,shift_seconds,shared_seconds,same_group,first_part,second_part,separated`, a row per
/// pair.
pub fn write_near_duplicates_csv(path: &Path, rows: &[NearDuplicateRow]) -> Result<(), DatasetError> {
    let header = [
        "first",
        "second",
        "distance",
        "shift_seconds",
        "shared_seconds",
        "same_group",
        "first_part",
        "second_part",
        "separated",
    ];
    let row = |row: &NearDuplicateRow| {
        vec![
            row.first.clone(),
            row.second.clone(),
            format!("{:.4}", row.distance),
            format!("{:.2}", row.shift_seconds),
            format!("{:.2}", row.shared_seconds),
            row.same_group.to_string(),
            row.first_part.clone(),
            row.second_part.clone(),
            row.separated.to_string(),
        ]
    };
    write(path, &header, rows.iter().map(row))
}

fn write(path: &Path, header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Result<(), DatasetError> {
    let failed = |error: csv::Error| DatasetError::Write { path: path.into(), source: error.into() };
    let mut writer = csv::Writer::from_path(path).map_err(failed)?;
    writer.write_record(header).map_err(failed)?;
    for row in rows {
        writer.write_record(&row).map_err(failed)?;
    }
    writer.flush().map_err(|source| DatasetError::Write { path: path.into(), source })
}

const HEADER: [&str; 5] = ["path", "label", "split", "group", "content_hash"];

/// The split that a run was trained with, read back from its `splits.csv`: what it has seen must not become test data
/// because files came or went since.
#[derive(Debug, Clone, Default)]
pub struct KeptSplits {
    content: HashMap<String, Split>,
    group: HashMap<String, Split>,
}

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
            let (Some(split), Some(group), Some(content)) = (record.get(2), record.get(3), record.get(4)) else {
                return Err(at(line, "a row has path,label,split,group,content_hash".into()));
            };
            let split = Split::from_name(split)
                .ok_or_else(|| at(line, format!("split `{split}` is unknown; use train, valid or test")))?;
            kept.content.insert(content.into(), split);
            // A group that is only the file's own name says nothing of a file of that name elsewhere.
            if record.get(0) != Some(group) {
                kept.group.insert(group.into(), split);
            }
        }
        if kept.content.is_empty() {
            return Err(at(2, "is damaged: it names no clip".into()));
        }
        Ok(kept)
    }

    /// Gives every sample the part that it had, by content; a new sample the part of its group; one that is new
    /// altogether goes to the test part. Returns how many samples are new.
    pub fn apply(&self, data: &mut Dataset) -> usize {
        // Equal content may have given a group another name since, so the samples at hand count before the names.
        let mut group: HashMap<&str, Split> = HashMap::new();
        for sample in &data.samples {
            if let Some(&split) = self.content.get(&sample.content_hash) {
                let earliest = group.entry(&sample.group).or_insert(split);
                *earliest = split.min(*earliest);
            }
        }
        let part_of = |sample: &Sample| {
            let by_content = self.content.get(&sample.content_hash);
            let by_group = || group.get(sample.group.as_str()).or_else(|| self.group.get(&sample.group));
            (by_content.is_none(), *by_content.or_else(by_group).unwrap_or(&Split::Test))
        };
        let parts: Vec<(bool, Split)> = data.samples.iter().map(part_of).collect();
        for (sample, (_, split)) in data.samples.iter_mut().zip(&parts) {
            sample.split = *split;
        }
        parts.iter().filter(|(is_new, _)| *is_new).count()
    }
}

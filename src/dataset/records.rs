//! The data's part of a run directory, schema 1: `splits.csv`, `bad_files.csv` and `near_duplicates.csv`.
//! [`KeptSplits`](super::KeptSplits) reads the first again.

use super::kept::HEADER;
use super::source::portable;
use super::{Dataset, DatasetError, NearDuplicateRow};
use std::path::Path;

/// Writes `path,label,split,group,content_hash`, a row per sample.
pub fn write_splits_csv(path: &Path, data: &Dataset) -> Result<(), DatasetError> {
    let rows = data.samples.iter().map(|sample| {
        let label = data.classes[sample.label].clone();
        vec![sample.name(), label, sample.split.to_string(), sample.group.clone(), sample.content_hash.clone()]
    });
    write(path, &HEADER, rows)
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

//! Whether a study goes on with the data that it was begun with: all of its runs, on whatever day and in whatever shard,
//! must be given the same clips, or their accuracies are of different things.

use super::{StudyDirectory, StudyError};
use crate::dataset::{Collection, portable};
use crate::train::run_directory::write_new;
use std::collections::BTreeMap;
use std::path::Path;

const HEADER: [&str; 5] = ["path", "label", "split", "group", "content_hash"];
/// Names that a message gives of each kind.
const NAMED: usize = 3;

/// Label, given part (empty where none is given), group and content of each file, by its path.
type List = BTreeMap<String, [String; 4]>;

/// Keeps the list of a reading's usable files, `data-N.csv` in the study's directory, at the first start, and compares it at
/// every later one. `reading` is its place among the ways in which the study reads the data, from 0.
///
/// # Errors
/// [`StudyError::OtherData`] with what came, went and is otherwise now.
pub fn same_data(directory: &StudyDirectory, reading: usize, data: &Collection) -> Result<(), StudyError> {
    let path = directory.file(&data_file(reading));
    let now = list(data);
    let table = written(&now).map_err(|source| StudyError::Table { path: path.clone(), source })?;
    if write_new(&path, &table)? {
        return Ok(());
    }
    let begun = read(&path)?;
    difference(&begun, &now).map_or(Ok(()), |difference| Err(StudyError::OtherData { path, difference }))
}

/// The name of the list of a reading's files.
pub(super) fn data_file(reading: usize) -> String {
    format!("data-{}.csv", reading + 1)
}

fn list(data: &Collection) -> List {
    let row = |recording: &crate::dataset::Recording| {
        let given = recording.given.map_or_else(String::new, |split| split.to_string());
        let row = [data.classes[recording.label].clone(), given, recording.group.clone(), recording.content_hash.clone()];
        (portable(&recording.path), row)
    };
    data.recordings.iter().map(row).collect()
}

fn written(list: &List) -> Result<Vec<u8>, csv::Error> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(HEADER)?;
    for (path, row) in list {
        table.write_record(std::iter::once(path).chain(row))?;
    }
    table.into_inner().map_err(|error| csv::Error::from(error.into_error()))
}

fn read(path: &Path) -> Result<List, StudyError> {
    let unreadable = |error: csv::Error| StudyError::Unreadable { path: path.into(), problem: error.to_string() };
    let rows: Result<Vec<csv::StringRecord>, csv::Error> = csv::Reader::from_path(path).map_err(unreadable)?.records().collect();
    let field = |row: &csv::StringRecord, i: usize| row.get(i).unwrap_or_default().to_owned();
    let rows = rows.map_err(unreadable)?;
    Ok(rows.iter().map(|row| (field(row, 0), [1, 2, 3, 4].map(|i| field(row, i)))).collect())
}

fn difference(begun: &List, now: &List) -> Option<String> {
    let came = now.keys().filter(|path| !begun.contains_key(*path)).collect::<Vec<_>>();
    let went = begun.keys().filter(|path| !now.contains_key(*path)).collect::<Vec<_>>();
    let changed = begun.iter().filter(|(path, row)| now.get(*path).is_some_and(|now| now != *row));
    let changed = changed.map(|(path, _)| path).collect::<Vec<_>>();
    let kinds = [("came", came), ("went", went), ("changed in content, label, group or part", changed)];
    let words = kinds.into_iter().filter(|(_, paths)| !paths.is_empty()).map(|(what, paths)| {
        let named = paths.iter().take(NAMED).map(|path| path.as_str()).collect::<Vec<_>>().join(", ");
        let more = if paths.len() > NAMED { ", .." } else { "" };
        format!("{} {what} ({named}{more})", crate::report::words::count(paths.len(), "clip"))
    });
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_went_and_changed_is_counted_and_named() {
        let row = |label: &str| [label, "", "g", "hash"].map(str::to_owned);
        let list = |rows: &[(&str, &str)]| rows.iter().map(|(path, label)| ((*path).to_owned(), row(label))).collect::<List>();
        let begun = list(&[("a", "x"), ("b", "x"), ("c", "y")]);
        assert_eq!(difference(&begun, &begun), None);
        let words = difference(&begun, &list(&[("a", "x"), ("c", "x"), ("d", "y"), ("e", "y")])).unwrap();
        assert_eq!(words, "2 clips came (d, e), 1 clip went (b), 1 clip changed in content, label, group or part (c)");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data-1.csv");
        std::fs::write(&path, written(&begun).unwrap()).unwrap();
        assert_eq!(read(&path).unwrap(), begun);
    }
}

//! Joining what was trained in different directories, on machines that share none.

use super::results::difference;
use super::same_data::data_file;
use super::{Cell, CellResult, Entry, Reading, Study, StudyDirectory, StudyError};
use crate::train::run_directory::{UNFINISHED, write_new};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Why directories cannot be joined.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A directory that holds no study, or that cannot be written.
    #[error(transparent)]
    Study(#[from] StudyError),
    /// Directories of different studies.
    #[error("{first} and {second} hold different studies ({difference}): only shares of one study can be joined")]
    OtherStudy {
        /// One directory.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// What differs.
        difference: String,
    },
    /// Two results of one cell.
    #[error("{cell} came to different results in {first} and in {second}: remove it from the one that you do not trust")]
    OtherResult {
        /// The cell.
        cell: String,
        /// Its directory in one study.
        first: PathBuf,
        /// And in the other.
        second: PathBuf,
    },
    /// Two splits that should be one.
    #[error(
        "{first} and {second} were parted otherwise, though by the same settings: the data are not the same on both machines; \
         train the one or the other again on the same data"
    )]
    OtherData {
        /// The splits.csv of one cell.
        first: PathBuf,
        /// That of the other.
        second: PathBuf,
    },
    /// A file that cannot be copied.
    #[error("{path}: cannot be copied to {to}: {source}")]
    Copy {
        /// The file or directory.
        path: PathBuf,
        /// Where it should go.
        to: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Copies what is finished in the directories `shares` into `out`, which is made, or holds a part of the same study; it may
/// be one of them. Nothing is written before all of them are seen to fit. Only where the data lie may differ.
///
/// # Panics
/// Without any share.
pub fn merge(shares: &[PathBuf], out: &Path) -> Result<(StudyDirectory, Study), MergeError> {
    let mut opened: Vec<(StudyDirectory, Study)> = Vec::new();
    let already = out.join("study.json").is_file().then(|| out.to_owned());
    for path in already.iter().chain(shares) {
        let (directory, study) = StudyDirectory::existing(path)?;
        if let Some((first, begun)) = opened.first() {
            let here = with_the_data_of(begun, &study);
            if let Some(difference) = difference(begun, &here) {
                let (first, second) = (first.path().into(), path.clone());
                return Err(MergeError::OtherStudy { first, second, difference });
            }
        }
        opened.push((directory, study));
    }
    let study = opened.first().map(|(_, study)| study.clone()).expect("shares to merge");
    let found = finished(&study, opened.iter().map(|(directory, _)| directory))?;

    let joined = StudyDirectory::open(out, &study)?;
    for (cell, source, _) in found.values() {
        if joined.result(cell)?.is_none() {
            joined.clear(cell)?;
            take(source, &joined.cell(cell))?;
        }
    }
    // Their splits are the same, so the data were; whoever goes on is held to what one of them began with.
    for (directory, _) in &opened {
        for reading in 0..study.models.len() {
            let name = data_file(reading);
            match std::fs::read(directory.file(&name)) {
                Ok(list) => drop(write_new(&joined.file(&name), &list).map_err(StudyError::from)?),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => {
                    return Err(MergeError::Copy { path: directory.file(&name), to: joined.file(&name), source });
                }
            }
        }
    }
    if joined.turns()?.is_none() {
        for (directory, _) in &opened {
            if let Some(turns) = directory.turns()? {
                joined.write_turns(&turns)?;
                break;
            }
        }
    }
    Ok((joined, study))
}

/// A finished cell, where it lies and what it came to.
type Found = (Cell, PathBuf, CellResult);

/// Every finished cell by its place in the study; what two directories finished must be the same.
fn finished<'a>(
    study: &Study,
    directories: impl Iterator<Item = &'a StudyDirectory>,
) -> Result<BTreeMap<usize, Found>, MergeError> {
    let mut found: BTreeMap<usize, Found> = BTreeMap::new();
    // Entries that read the data alike are given the same clips in a fold, on whatever machine.
    let mut parted: Vec<((usize, Reading), PathBuf, Vec<u8>)> = Vec::new();
    for directory in directories {
        for (place, cell) in study.cells().into_iter().enumerate() {
            let Some(result) = directory.result(&cell)? else { continue };
            let path = directory.cell(&cell);
            let (splits, clips) = (path.join("splits.csv"), (cell.fold, study.models[cell.model].reading()));
            if let Ok(contents) = std::fs::read(&splits) {
                match parted.iter().find(|(known, ..)| *known == clips) {
                    Some((_, first, other)) if *other != contents => {
                        return Err(MergeError::OtherData { first: first.clone(), second: splits });
                    }
                    Some(_) => {}
                    None => parted.push((clips, splits, contents)),
                }
            }
            match found.get(&place) {
                None => drop(found.insert(place, (cell, path, result))),
                Some((_, first, other)) if *other != result => {
                    return Err(MergeError::OtherResult { cell: cell.to_string(), first: first.clone(), second: path });
                }
                Some(_) => {}
            }
        }
    }
    Ok(found)
}

/// The study as it would be with the data where `other` has them.
fn with_the_data_of(other: &Study, study: &Study) -> Study {
    let mut here = study.clone();
    for (entry, other) in here.models.iter_mut().zip(&other.models) {
        let path = other.reading().data.path;
        match entry {
            Entry::Network(config) => config.data.path = path,
            Entry::Baseline(reading) => reading.data.path = path,
        }
    }
    here
}

/// Copies a finished cell under a hidden name, then renames it: whatever ends it, no half of a cell counts as finished.
fn take(cell: &Path, to: &Path) -> Result<(), MergeError> {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let hidden = to.with_file_name(format!("{UNFINISHED}{name}"));
    let failed = |path: &Path| {
        let (path, to) = (path.to_owned(), to.to_owned());
        move |source| MergeError::Copy { path, to, source }
    };
    if hidden.exists() {
        std::fs::remove_dir_all(&hidden).map_err(failed(&hidden))?;
    }
    copy(cell, &hidden)?;
    std::fs::rename(&hidden, to).map_err(failed(&hidden))
}

fn copy(from: &Path, to: &Path) -> Result<(), MergeError> {
    let failed = |path: &Path| {
        let (path, to) = (path.to_owned(), to.to_owned());
        move |source| MergeError::Copy { path, to, source }
    };
    std::fs::create_dir_all(to).map_err(failed(from))?;
    for entry in std::fs::read_dir(from).map_err(failed(from))? {
        let path = entry.map_err(failed(from))?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            std::fs::copy(&path, &target).map_err(failed(&path))?;
        }
    }
    Ok(())
}

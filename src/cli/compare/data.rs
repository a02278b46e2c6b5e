//! The data of a study, and what must be known of them before hours are spent.

use super::CompareArgs;
use crate::cli::demo::BUILT_IN;
use crate::cli::progress::Counting;
use crate::cli::reading::tell_bad_files;
use crate::compare::page::{SPECTROGRAM, spectrogram};
use crate::compare::{Reading, Study, StudyData, StudyDirectory, same_data};
use crate::dataset::{self, Collection, Dataset, DatasetError, Split, near_duplicate_warning, write_near_duplicates_csv};
use crate::report::plot::Plot;
use std::path::PathBuf;

impl CompareArgs {
    /// Where the data are, from wherever one asks.
    pub(super) fn source(&self) -> PathBuf {
        let Some(data) = &self.data else { return BUILT_IN.into() };
        std::path::absolute(data).unwrap_or_else(|_| data.clone())
    }

    /// The data, not decoded yet.
    pub(super) fn study_data(&self) -> StudyData<impl FnMut(&Reading) -> Result<Collection, DatasetError> + '_> {
        StudyData::new(|reading| {
            let options = self.reading.options_of(reading.clone());
            let counting = Counting::new("decoding");
            let progress = |done, total| counting.set(done, total);
            match &self.data {
                Some(path) => dataset::collect(path, &options, &progress),
                None => dataset::collect_builtin(&options, &progress),
            }
        })
    }
}

/// Decodes, refuses data that are not those that the directory's study was begun with, parts for the first run, and says
/// what cannot be used and what is there twice; near-duplicates are looked for once for a directory and written to it.
/// Returns the first run's data.
pub(super) fn look<F: FnMut(&Reading) -> Result<Collection, DatasetError>>(
    study: &Study,
    data: &mut StudyData<F>,
    directory: Option<&StudyDirectory>,
) -> anyhow::Result<Dataset> {
    eprintln!("protocol {}: {}", study.protocol, study.protocol.words());
    if let Some(directory) = directory {
        let mut readings: Vec<Reading> = Vec::new();
        for entry in &study.models {
            if !readings.contains(&entry.reading()) {
                same_data(directory, readings.len(), data.collection(entry)?)?;
                readings.push(entry.reading());
            }
        }
    }
    let first = study.draw(&study.cells()[0]);
    let collection = data.collection(&study.models[0])?;
    let parted = collection.dataset(study.protocol, first)?;
    tell_bad_files(&parted);
    let table = directory.map(|directory| directory.file("near_duplicates.csv"));
    if table.as_ref().is_some_and(|table| table.is_file()) {
        return Ok(parted);
    }
    let pairs = collection.near_duplicates();
    // Where the study has more than one split, what any of them separates counts.
    let draws = (0..study.protocol.splits(study.folds)).map(|fold| dataset::Draw { fold, ..first });
    let mut rows = collection.near_duplicate_rows(&pairs, &parted);
    for draw in draws.skip(1) {
        let of_split = collection.near_duplicate_rows(&pairs, &collection.dataset(study.protocol, draw)?);
        for (row, other) in rows.iter_mut().zip(of_split) {
            if other.separated && !row.separated {
                *row = other;
            }
        }
    }
    if let Some(warning) = near_duplicate_warning(&rows) {
        eprintln!("note: {warning}");
    }
    if let (Some(table), Some(directory)) = (table, directory) {
        if let Some(sample) = parted.part(Split::Test).first().map(|&i| &parted.samples[i]) {
            let features = study.models[0].reading().features;
            spectrogram(sample, &parted.classes[sample.label], &features).write(directory.path(), SPECTROGRAM)?;
        }
        write_near_duplicates_csv(&table, &rows)?;
    }
    Ok(parted)
}

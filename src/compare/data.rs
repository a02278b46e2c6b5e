//! The data of a study: decoded once for every way in which its entries read them.

use super::{Entry, Reading, Study};
use crate::dataset::{Collection, Dataset, DatasetError, Draw};

/// Collections by how they are read, made when first asked for.
pub struct StudyData<F> {
    collect: F,
    read: Vec<(Reading, Collection)>,
}

impl<F: FnMut(&Reading) -> Result<Collection, DatasetError>> StudyData<F> {
    /// Nothing is decoded yet; `collect` does it.
    pub fn new(collect: F) -> Self {
        Self { collect, read: Vec::new() }
    }

    /// The data as `entry` reads them.
    pub fn collection(&mut self, entry: &Entry) -> Result<&Collection, DatasetError> {
        let reading = entry.reading();
        let place = match self.read.iter().position(|(other, _)| *other == reading) {
            Some(place) => place,
            None => {
                let collection = (self.collect)(&reading)?;
                self.read.push((reading, collection));
                self.read.len() - 1
            }
        };
        Ok(&self.read[place].1)
    }

    /// One split of them.
    pub fn dataset(&mut self, study: &Study, entry: &Entry, draw: Draw) -> Result<Dataset, DatasetError> {
        self.collection(entry)?.dataset(study.protocol, draw)
    }
}

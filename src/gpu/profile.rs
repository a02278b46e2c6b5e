//! Where a step's time goes, kernel by kernel and size by size.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Time by kernel and size, each dispatch submitted and waited for by itself: shares, not what a step takes.
#[derive(Debug, Default)]
pub struct Profile(Mutex<BTreeMap<(String, usize), ProfileRow>>);

/// One kernel of a profile, in one size.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct ProfileRow {
    /// `shader.entry`
    pub label: String,
    /// Dispatches.
    pub times: usize,
    /// Seconds over all of them, of the device where it has timestamps, else of the wall.
    pub seconds: f64,
    /// Units of work of all of them, as they were recorded with.
    pub work: usize,
}

impl Profile {
    pub(super) fn add(&self, label: &str, seconds: f64, work: usize) {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let row =
            rows.entry((label.to_owned(), work)).or_insert_with(|| ProfileRow { label: label.into(), ..ProfileRow::default() });
        row.times += 1;
        row.seconds += seconds;
        row.work += work;
    }

    /// The slowest first.
    pub fn rows(&self) -> Vec<ProfileRow> {
        let mut rows: Vec<_> = self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        rows.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        rows
    }
}

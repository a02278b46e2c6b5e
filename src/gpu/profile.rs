//! Where a step's time goes, kernel by kernel.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Wall time by kernel, each dispatch submitted and waited for by itself: shares, not what a step takes.
#[derive(Debug, Default)]
pub struct Profile(Mutex<BTreeMap<String, ProfileRow>>);

/// One kernel of a profile.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct ProfileRow {
    /// `shader.entry`
    pub label: String,
    /// Dispatches.
    pub times: usize,
    /// Seconds over all of them.
    pub seconds: f64,
    /// Units of work, as the dispatches were recorded with.
    pub work: usize,
}

impl Profile {
    pub(super) fn add(&self, label: &str, time: Duration, work: usize) {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let row = rows.entry(label.to_owned()).or_insert_with(|| ProfileRow { label: label.into(), ..ProfileRow::default() });
        row.times += 1;
        row.seconds += time.as_secs_f64();
        row.work += work;
    }

    /// The slowest first.
    pub fn rows(&self) -> Vec<ProfileRow> {
        let mut rows: Vec<_> = self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        rows.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        rows
    }
}

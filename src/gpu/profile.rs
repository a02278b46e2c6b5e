//! Where a step's time goes, kernel by kernel and size by size.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Time by kernel and size, each dispatch submitted and waited for by itself: shares, not what a step takes.
#[derive(Debug, Default)]
pub struct Profile {
    rows: Mutex<BTreeMap<(String, usize), ProfileRow>>,
    sampling: Option<Sampling>,
}

/// How often a dispatch is timed. It is repeated in place, so it should not matter what it does the second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// Samples that are wanted, ..
    pub samples: usize,
    /// .. each of as many repeats as take this long together, ..
    pub at_least: Duration,
    /// .. all together no longer than this, if that leaves [`Sampling::FEWEST`] samples.
    pub in_all: Duration,
}

impl Sampling {
    /// A median of fewer says nothing.
    pub const FEWEST: usize = 3;
    const MOST_REPEATS: f64 = 256.0;
}

/// One kernel of a profile, in one size.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct ProfileRow {
    /// `shader.entry`
    pub label: String,
    /// Dispatches.
    pub times: usize,
    /// Seconds over all of them, of the device where it has timestamps, else of the wall: the median sample of each.
    pub seconds: f64,
    /// The same of the best sample of each.
    pub best_seconds: f64,
    /// Samples of each.
    pub samples: usize,
    /// Units of work of all of them, as they were recorded with.
    pub work: usize,
    /// Bytes that all of them bind.
    pub bytes_bound: u64,
}

impl Profile {
    /// A profile of several samples of each dispatch instead of one.
    pub fn sampled(sampling: Sampling) -> Self {
        Self { sampling: Some(sampling), ..Self::default() }
    }

    /// Seconds of a dispatch, ascending, from `time`, which takes a number of repeats and returns the seconds of all.
    pub(super) fn sample(&self, mut time: impl FnMut(usize) -> f64) -> Vec<f64> {
        let first = time(1);
        let Some(Sampling { samples, at_least, in_all }) = self.sampling else { return vec![first] };
        // The first dispatch may have waited for a compiler, or for memory to be touched.
        let one = time(1).max(1e-7);
        let repeats = (at_least.as_secs_f64() / one).ceil().clamp(1.0, Sampling::MOST_REPEATS);
        let fitting = (in_all.as_secs_f64() / (one * repeats)) as usize;
        let samples = fitting.clamp(Sampling::FEWEST, samples.max(Sampling::FEWEST));
        let mut seconds: Vec<f64> = (0..samples).map(|_| time(repeats as usize) / repeats).collect();
        seconds.sort_by(f64::total_cmp);
        seconds
    }

    /// `seconds` ascending, not empty.
    pub(super) fn add(&self, label: &str, work: usize, bytes_bound: u64, seconds: &[f64]) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let row =
            rows.entry((label.to_owned(), work)).or_insert_with(|| ProfileRow { label: label.into(), ..ProfileRow::default() });
        row.times += 1;
        row.seconds += (seconds[(seconds.len() - 1) / 2] + seconds[seconds.len() / 2]) / 2.0;
        row.best_seconds += seconds[0];
        row.samples = seconds.len();
        row.work += work;
        row.bytes_bound += bytes_bound;
    }

    /// The slowest first.
    pub fn rows(&self) -> Vec<ProfileRow> {
        let mut rows: Vec<_> = self.rows.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        rows.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_kernels_are_repeated_and_long_ones_are_not() {
        let milliseconds = Duration::from_millis;
        let sampling = Sampling { samples: 9, at_least: milliseconds(2), in_all: milliseconds(200) };
        for (seconds, expected) in [(1e-6, (256, 9)), (1e-4, (20, 9)), (0.1, (1, 3)), (0.05, (1, 4))] {
            let mut repeats = Vec::new();
            let samples = Profile::sampled(sampling).sample(|times| {
                repeats.push(times);
                seconds * times as f64
            });
            assert_eq!((repeats[2], samples.len()), expected, "{seconds}");
            assert!((samples[0] - seconds).abs() < 1e-9 * seconds);
        }
    }

    #[test]
    fn the_median_counts_and_the_best_is_beside_it() {
        let profile = Profile::default();
        profile.add("a.b", 10, 4, &[1.0, 2.0, 9.0]);
        profile.add("a.b", 10, 4, &[1.0, 3.0]);
        let row = &profile.rows()[0];
        assert_eq!((row.times, row.seconds, row.best_seconds, row.work, row.bytes_bound), (2, 4.0, 2.0, 20, 8));
    }
}

//! How long a run still takes, from what its epochs have taken.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Epochs whose median is taken: enough to pass over one disturbed epoch, few enough to follow a busy machine.
const RECENT: usize = 5;

/// Watches the epochs go by. Times are wall times between events, so validation and checkpoints count.
#[derive(Debug)]
pub struct TimeLeft {
    epochs: usize,
    /// Epochs that are over.
    over: usize,
    /// Share of the current epoch that is over.
    share: f64,
    /// When the last epoch ended.
    epoch_began: Option<Instant>,
    /// The first step heard of, before any epoch is over: what came before it was preparation.
    first: Option<(Instant, f64)>,
    /// The latest step heard of, before any epoch is over.
    latest: Option<(Instant, f64)>,
    recent: VecDeque<Duration>,
}

impl TimeLeft {
    /// A run of at most `epochs` epochs.
    pub fn new(epochs: usize) -> Self {
        Self { epochs, over: 0, share: 0.0, epoch_began: None, first: None, latest: None, recent: VecDeque::new() }
    }

    /// At `now`, `share` (0..1) of epoch `epoch` (from 1) is over.
    pub fn step(&mut self, epoch: usize, share: f64, now: Instant) {
        self.over = epoch.saturating_sub(1);
        self.share = share;
        self.first.get_or_insert((now, share));
        self.latest = Some((now, share));
    }

    /// Epoch `epoch` (from 1) has ended at `now`.
    pub fn epoch_over(&mut self, epoch: usize, now: Instant) {
        self.over = epoch;
        self.share = 0.0;
        let took = match (self.epoch_began, self.first) {
            (Some(began), _) => Some(now.saturating_duration_since(began)),
            // The first epoch heard of, without the preparation before its first step.
            (None, Some((first, share))) if share < 1.0 => Some(now.saturating_duration_since(first).div_f64(1.0 - share)),
            (None, _) => None,
        };
        self.recent.extend(took);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        self.epoch_began = Some(now);
    }

    /// Rough time to the end of the last epoch; none before anything is known, or when that is over.
    pub fn left(&self) -> Option<Duration> {
        let epochs = self.epochs.saturating_sub(self.over) as f64 - self.share;
        (epochs > 0.0).then_some(())?;
        Some(self.per_epoch()?.mul_f64(epochs))
    }

    fn per_epoch(&self) -> Option<Duration> {
        let mut recent: Vec<Duration> = self.recent.iter().copied().collect();
        recent.sort();
        if let Some(median) = recent.get(recent.len() / 2) {
            return Some(*median);
        }
        let ((first, from), (latest, to)) = (self.first?, self.latest?);
        (to > from).then(|| latest.saturating_duration_since(first).div_f64(to - from))
    }
}

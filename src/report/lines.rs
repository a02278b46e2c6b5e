//! Progress as plain lines, for files, pipes and terminals that cannot redraw: one per epoch, and one now and then
//! within a long one.

use super::time_left::TimeLeft;
use super::words;
use crate::train::event::{Event, Observer};
use std::io::Write;
use std::time::{Duration, Instant};

/// Time between lines within an epoch.
const WITHIN_EPOCH: Duration = Duration::from_secs(10);

/// Writes lines to `out`. It never fails: a reader that has gone away must not end a run.
pub struct Lines<W> {
    out: W,
    epochs: usize,
    time_left: TimeLeft,
    last_line: Option<Instant>,
}

impl<W: Write> Lines<W> {
    /// Lines for `out`.
    pub fn new(out: W) -> Self {
        Self { out, epochs: 0, time_left: TimeLeft::new(0), last_line: None }
    }

    /// What [`Observer::event`] does, as if it were `now`.
    pub fn event_at(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Started(started) => {
                self.epochs = started.epochs;
                self.time_left = TimeLeft::new(started.epochs);
                self.line(&words::opening(started), now);
            }
            Event::Step(step) => {
                self.time_left.step(step.epoch, step.step as f64 / step.steps.max(1) as f64, now);
                if self.last_line.is_none_or(|last| now.saturating_duration_since(last) >= WITHIN_EPOCH) {
                    let [head, text, left] = [self.head(step.epoch), words::step(step), self.left()];
                    self.line(&format!("{head}  {text}  step {}/{}{left}", step.step, step.steps), now);
                }
            }
            Event::Epoch(metrics) => {
                self.time_left.epoch_over(metrics.epoch, now);
                let [head, text, left] = [self.head(metrics.epoch), words::epoch(metrics), self.left()];
                self.line(&format!("{head}  {text}  {}{left}", words::seconds(metrics.epoch_seconds)), now);
            }
            Event::Warning { message } => self.line(&format!("warning: {message}"), now),
            Event::StoppedEarly { epoch, reason } => self.line(&format!("stopped after epoch {epoch}: {reason}"), now),
            Event::Finished(summary) => self.line(&words::summary(summary), now),
        }
    }

    /// `epoch   7/100`.
    fn head(&self, epoch: usize) -> String {
        let epochs = self.epochs.to_string();
        format!("epoch {epoch:>width$}/{epochs}", width = epochs.len())
    }

    /// `  about 12 min left`, or nothing.
    fn left(&self) -> String {
        self.time_left.left().map(|time| format!("  about {} left", words::rough(time))).unwrap_or_default()
    }

    fn line(&mut self, text: &str, now: Instant) {
        let _ = writeln!(self.out, "{text}").and_then(|()| self.out.flush());
        self.last_line = Some(now);
    }
}

impl<W: Write> Observer for Lines<W> {
    fn event(&mut self, event: &Event) -> std::io::Result<()> {
        self.event_at(event, Instant::now());
        Ok(())
    }
}

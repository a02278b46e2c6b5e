//! Progress as one bar over the whole run, redrawn in place; what deserves to stay is written above it.

use super::time_left::TimeLeft;
use super::words;
use crate::train::event::{Event, Observer, Step};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use std::time::Instant;

/// A bar on a terminal. Like [`Lines`](super::lines::Lines), it never fails.
pub struct Bar {
    bar: ProgressBar,
    epochs: usize,
    /// Of the last epoch, where there is a validation part.
    val_accuracy: Option<f64>,
    time_left: TimeLeft,
}

impl Bar {
    /// A bar on `target`. Its colour goes away with `NO_COLOR`.
    pub fn new(target: ProgressDrawTarget) -> Self {
        // The words first: a narrow terminal cuts off the bar.
        let style = ProgressStyle::with_template("{msg}  {wide_bar:.cyan/dim}").unwrap_or_else(|_| ProgressStyle::default_bar());
        // A run that fails leaves the bar where it was, and the error stands below it.
        let bar = ProgressBar::with_draw_target(Some(1), target)
            .with_style(style.progress_chars("█▌░"))
            .with_finish(ProgressFinish::Abandon);
        Self { bar, epochs: 0, val_accuracy: None, time_left: TimeLeft::new(0) }
    }

    /// What [`Observer::event`] does, as if it were `now`.
    pub fn event_at(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Started(started) => {
                self.epochs = started.epochs;
                self.time_left = TimeLeft::new(started.epochs);
                self.bar.println(words::opening(started));
                self.bar.set_message(format!("epoch 1/{}  preparing", self.epochs));
            }
            Event::Step(step) => {
                self.time_left.step(step.epoch, step.step as f64 / step.steps.max(1) as f64, now);
                self.bar.update(|bar| {
                    bar.set_len((self.epochs * step.steps) as u64);
                    bar.set_pos((step.epoch.saturating_sub(1) * step.steps + step.step) as u64);
                });
                self.bar.set_message(self.message(step));
            }
            Event::Epoch(metrics) => {
                self.time_left.epoch_over(metrics.epoch, now);
                self.val_accuracy = metrics.val_accuracy;
                if metrics.epoch == self.epochs {
                    self.bar.set_message(format!("epoch {0}/{0}  evaluating", self.epochs));
                }
            }
            Event::Warning { message } => self.bar.println(format!("warning: {message}")),
            Event::StoppedEarly { epoch, reason } => {
                self.bar.println(format!("stopped after epoch {epoch}: {reason}"));
                self.bar.set_message(format!("epoch {epoch}/{}  evaluating", self.epochs));
            }
            Event::Finished(summary) => {
                self.bar.finish_and_clear();
                self.bar.println(words::summary(summary));
            }
        }
    }

    fn message(&self, step: &Step) -> String {
        let val = self.val_accuracy.map(|accuracy| format!("  val {:>6}", words::percent(accuracy))).unwrap_or_default();
        let left = self.time_left.left().map(|time| format!("  {} left", words::rough(time))).unwrap_or_default();
        format!("epoch {}/{}  {}{val}{left}", step.epoch, self.epochs, words::step(step))
    }
}

impl Observer for Bar {
    fn event(&mut self, event: &Event) -> std::io::Result<()> {
        self.event_at(event, Instant::now());
        Ok(())
    }
}

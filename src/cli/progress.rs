//! Progress of decoding, on standard error.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;

/// Counts files: a bar on a terminal, else nothing.
pub struct Counting(ProgressBar);

impl Counting {
    /// Of `what` (`decoding`).
    pub fn new(what: &str) -> Self {
        let target = if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(0), target).with_message(what.to_owned());
        let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} files, {eta} left").expect("the template is right");
        Self(bar.with_style(style))
    }

    /// `done` of `total`.
    pub fn set(&self, done: usize, total: usize) {
        self.0.set_length(total as u64);
        self.0.set_position(done as u64);
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

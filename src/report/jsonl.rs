//! `events.jsonl`: every event but the steps, one JSON object per line.

use super::about;
use crate::train::environment::utc_now;
use crate::train::event::{Event, Observer};
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes `events.jsonl`.
pub struct EventLog {
    path: PathBuf,
    file: File,
}

/// One line: `time`, `event` (its name), then the event's own fields. Numbers that are not finite are null.
#[derive(Serialize)]
struct Line<'a> {
    /// RFC 3339 in UTC.
    time: String,
    #[serde(flatten)]
    event: &'a Event,
}

impl EventLog {
    /// Goes on after the lines that the file has, if it exists.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(about(path))?;
        Ok(Self { path: path.into(), file })
    }
}

impl Observer for EventLog {
    fn event(&mut self, event: &Event) -> std::io::Result<()> {
        if matches!(event, Event::Step(_)) {
            return Ok(());
        }
        let mut line = serde_json::to_vec(&Line { time: utc_now(), event })?;
        line.push(b'\n');
        // One write of a whole line, past no buffer of ours: a reader that follows the file never sees half an event.
        self.file.write_all(&line).map_err(about(&self.path))
    }
}

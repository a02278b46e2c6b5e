//! `tensorboard/events.out.tfevents.*`: the figures of every epoch as TensorBoard reads them.
//!
//! The crates for it stand still (the newest brings protobuf bindings of 2023), and scalars need little: a record is
//! TFRecord's (length, masked CRC-32C, bytes, masked CRC-32C; tensorflow/core/lib/io/record_writer.h), its bytes are the
//! protobuf message `Event` (tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto).

use super::about;
use crate::train::event::{EpochMetrics, Event, Observer};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Writes a file of events; each epoch is on the disk at once.
pub struct TensorBoard {
    path: PathBuf,
    file: File,
    started: bool,
}

impl TensorBoard {
    /// A new file in `folder`, which is made where it is missing. TensorBoard reads all of a folder's files in the order of
    /// their names, which begin with the time.
    pub fn create(folder: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder).map_err(about(folder))?;
        let name = |number| format!("events.out.tfevents.{:010.0}.melgrad.{}.{number}", now().trunc(), std::process::id());
        let free = (0..).map(|number| folder.join(name(number))).find(|path| !path.exists());
        let path = free.unwrap_or_else(|| folder.join(name(0)));
        let file = File::options().write(true).create_new(true).open(&path).map_err(about(&path))?;
        let mut log = Self { path, file, started: false };
        log.write(&event(0, &bytes(3, b"brain.Event:2")))?;
        Ok(log)
    }

    fn epoch(&mut self, metrics: &EpochMetrics) -> std::io::Result<()> {
        if !self.started {
            // What an earlier file says of this epoch and later ones counts no more: `SessionLog { status: START }`.
            self.write(&event(metrics.epoch, &bytes(7, &varint(1, 1))))?;
            self.started = true;
        }
        let summary: Vec<u8> = scalars(metrics).into_iter().flat_map(|(tag, value)| bytes(1, &scalar(tag, value))).collect();
        self.write(&event(metrics.epoch, &bytes(5, &summary)))
    }

    fn write(&mut self, event: &[u8]) -> std::io::Result<()> {
        self.file.write_all(&record(event)).map_err(about(&self.path))
    }
}

impl Observer for TensorBoard {
    fn event(&mut self, event: &Event) -> std::io::Result<()> {
        let Event::Epoch(metrics) = event else { return Ok(()) };
        self.epoch(metrics)
    }
}

/// What an epoch has, under the names that TensorBoard groups by.
fn scalars(metrics: &EpochMetrics) -> Vec<(&'static str, f64)> {
    [
        ("train/loss", Some(metrics.train_loss)),
        ("train/accuracy", Some(metrics.train_accuracy)),
        ("val/loss", metrics.val_loss),
        ("val/accuracy", metrics.val_accuracy),
        ("learning_rate", Some(metrics.learning_rate)),
        ("epoch_seconds", Some(metrics.epoch_seconds)),
    ]
    .into_iter()
    .filter_map(|(tag, value)| Some((tag, value?)))
    .collect()
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// `Event { wall_time = 1, step = 2, .. }`.
fn event(step: usize, what: &[u8]) -> Vec<u8> {
    let mut event = key(1, 1);
    event.extend(now().to_le_bytes());
    event.extend(varint(2, step as u64));
    event.extend(what);
    event
}

/// `Summary.Value { tag = 1, simple_value = 2 }`.
fn scalar(tag: &str, value: f64) -> Vec<u8> {
    let mut scalar = bytes(1, tag.as_bytes());
    scalar.extend(key(2, 5));
    scalar.extend((value as f32).to_le_bytes());
    scalar
}

/// A field of type `bytes`, `string` or message.
fn bytes(field: u8, contents: &[u8]) -> Vec<u8> {
    let mut bytes = key(field, 2);
    bytes.extend(base_128(contents.len() as u64));
    bytes.extend(contents);
    bytes
}

/// A field of an integer type.
fn varint(field: u8, value: u64) -> Vec<u8> {
    let mut varint = key(field, 0);
    varint.extend(base_128(value));
    varint
}

fn key(field: u8, wire_type: u8) -> Vec<u8> {
    vec![field << 3 | wire_type]
}

fn base_128(mut value: u64) -> Vec<u8> {
    let mut digits = Vec::new();
    while value >= 0x80 {
        digits.push(value as u8 | 0x80);
        value >>= 7;
    }
    digits.push(value as u8);
    digits
}

fn record(contents: &[u8]) -> Vec<u8> {
    let length = (contents.len() as u64).to_le_bytes();
    [&length[..], &masked_crc(&length).to_le_bytes(), contents, &masked_crc(contents).to_le_bytes()].concat()
}

/// The checksum of a record: rotated and offset, since the CRC of data that hold their own CRC says little.
fn masked_crc(contents: &[u8]) -> u32 {
    crc32c(contents).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), bit by bit: an epoch is some 200 bytes.
fn crc32c(contents: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    !contents.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

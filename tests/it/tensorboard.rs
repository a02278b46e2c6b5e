//! TensorBoard's event files, read back by another way than they were written.

use melgrad::report::tensorboard::TensorBoard;
use melgrad::train::event::{EpochMetrics, Event, Observer};
use std::collections::BTreeMap;
use std::path::Path;

fn metrics(epoch: usize) -> EpochMetrics {
    EpochMetrics {
        epoch,
        train_loss: 1.25 / epoch as f64,
        train_accuracy: 0.5,
        val_loss: Some(1.5),
        val_accuracy: Some(1.0),
        learning_rate: 0.0002,
        epoch_seconds: 39.84,
        gpu_seconds: Some(38.5),
    }
}

/// CRC-32C by table, the usual way: see `the_checksum_is_the_one_of_rfc_3720`.
fn crc32c(bytes: &[u8]) -> u32 {
    let table: Vec<u32> = (0..256u32)
        .map(|byte| (0..8).fold(byte, |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 }))
        .collect();
    !bytes.iter().fold(u32::MAX, |crc, &byte| table[((crc ^ u32::from(byte)) & 0xff) as usize] ^ (crc >> 8))
}

fn unmasked(crc: u32) -> u32 {
    crc.wrapping_sub(0xa282_ead8).rotate_left(15)
}

/// The contents of the records of a file, their checksums held against them.
fn records(path: &Path) -> Vec<Vec<u8>> {
    let file = std::fs::read(path).unwrap();
    let (mut rest, mut records) = (file.as_slice(), Vec::new());
    while !rest.is_empty() {
        let number = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        assert_eq!(unmasked(number(8)), crc32c(&rest[..8]), "the length's checksum");
        let contents = &rest[12..12 + length];
        assert_eq!(unmasked(number(12 + length)), crc32c(contents), "the contents' checksum");
        records.push(contents.to_vec());
        rest = &rest[16 + length..];
    }
    records
}

#[derive(Debug, Clone, PartialEq)]
enum Field {
    Varint(u64),
    Fixed(Vec<u8>),
    Bytes(Vec<u8>),
}

/// The fields of a protobuf message, in order.
fn fields(mut message: &[u8]) -> Vec<(u64, Field)> {
    fn varint(message: &mut &[u8]) -> u64 {
        let length = message.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
        let (digits, rest) = message.split_at(length);
        *message = rest;
        digits.iter().rev().fold(0, |value, digit| (value << 7) | u64::from(digit & 0x7f))
    }
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let length = match key & 7 {
            0 => {
                fields.push((key >> 3, Field::Varint(varint(&mut message))));
                continue;
            }
            1 => 8,
            5 => 4,
            2 => varint(&mut message) as usize,
            other => panic!("wire type {other}"),
        };
        let (contents, rest) = message.split_at(length);
        message = rest;
        let contents = contents.to_vec();
        fields.push((key >> 3, if key & 7 == 2 { Field::Bytes(contents) } else { Field::Fixed(contents) }));
    }
    fields
}

/// Step, and the other fields of an event than time and step.
fn event(record: &[u8]) -> (u64, Vec<(u64, Field)>) {
    let fields = fields(record);
    let [(1, Field::Fixed(time)), (2, Field::Varint(step)), rest @ ..] = &fields[..] else { panic!("{fields:?}") };
    let time = f64::from_le_bytes(time[..].try_into().unwrap());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((now - time).abs() < 60.0, "{time} is not now");
    (*step, rest.to_vec())
}

fn scalars(summary: &[u8]) -> BTreeMap<String, f32> {
    let scalar = |field: (u64, Field)| {
        let (1, Field::Bytes(value)) = field else { panic!("{field:?}") };
        let value = fields(&value);
        let [(1, Field::Bytes(tag)), (2, Field::Fixed(value))] = &value[..] else { panic!("{value:?}") };
        (String::from_utf8(tag.clone()).unwrap(), f32::from_le_bytes(value[..].try_into().unwrap()))
    };
    fields(summary).into_iter().map(scalar).collect()
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn the_checksum_is_the_one_of_rfc_3720() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa, "RFC 3720, B.4");
}

#[test]
fn every_epoch_is_a_record_of_scalars_that_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("tensorboard");
    let mut log = TensorBoard::create(&folder).unwrap();
    log.event(&Event::Warning { message: "no scalar".into() }).unwrap();
    log.event(&Event::Epoch(metrics(1))).unwrap();
    let unvalidated = EpochMetrics { val_loss: None, val_accuracy: None, train_loss: f64::NAN, ..metrics(300) };
    log.event(&Event::Epoch(unvalidated)).unwrap();

    let [file] = &files(&folder)[..] else { panic!("one file") };
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("events.out.tfevents.") && name.split('.').nth(3).unwrap().len() == 10, "{name}");
    let events: Vec<_> = records(file).iter().map(|record| event(record)).collect();
    assert_eq!(events[0], (0, vec![(3, Field::Bytes(b"brain.Event:2".to_vec()))]));
    assert_eq!(events[1], (1, vec![(7, Field::Bytes(vec![8, 1]))]), "a session begins with epoch 1");
    let [(1, first), (300, second)] = &events[2..] else { panic!("{events:?}") };
    let [(5, Field::Bytes(first))] = &first[..] else { panic!("{first:?}") };
    let expected = [
        ("train/loss", 1.25),
        ("train/accuracy", 0.5),
        ("val/loss", 1.5),
        ("val/accuracy", 1.0),
        ("learning_rate", 0.0002),
        ("epoch_seconds", 39.84),
    ];
    assert_eq!(scalars(first), expected.map(|(tag, value)| (tag.to_string(), value)).into());
    let [(5, Field::Bytes(second))] = &second[..] else { panic!("{second:?}") };
    let second = scalars(second);
    assert_eq!(second.len(), 4, "no validation part: {second:?}");
    assert!(second["train/loss"].is_nan());
}

#[test]
fn a_second_log_in_the_same_folder_replaces_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for epoch in 1..=3 {
        TensorBoard::create(dir.path()).unwrap().event(&Event::Epoch(metrics(epoch))).unwrap();
    }
    let files = files(dir.path());
    assert_eq!(files.len(), 3);
    assert!(files.iter().all(|file| records(file).len() == 3));
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let taken = dir.path().join("tensorboard");
    std::fs::write(&taken, "").unwrap();
    let error = TensorBoard::create(&taken).err().unwrap();
    assert!(error.to_string().starts_with(&format!("{}: cannot be written: ", taken.display())), "{error}");
}

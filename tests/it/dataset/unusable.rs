use super::fixtures::*;
use melgrad::dataset::{DatasetError, LoadOptions};
use melgrad::features::Features;

#[test]
fn every_kind_of_unusable_file_is_listed_with_its_reason() {
    let root = music(&[("rock", 3), ("jazz", 3)]);
    let at = |name: &str| root.path().join("rock").join(name);
    let whole = wav_bytes(&noise("whole", 0.6));
    write(&at("empty.wav"), b"");
    write(&at("header only.wav"), &whole[..20]);
    write(&at("cut off.wav"), &whole[..whole.len() / 2]);
    write(&at("text.wav"), b"this is a letter to my friend, and not a song at all");
    write(&at("song.opus"), &[b"OggS\0\x02".as_slice(), &[0; 20], b"\x01\x13OpusHead\x01\x01", &[0; 9]].concat());
    wav(&at("short.wav"), &noise("short", 0.3));
    wav(&at("no samples.wav"), &[]);
    ramp(&at("few bands.npy"), 12, 20, 0.0);
    ramp(&at("few frames.npy"), 16, 7, 0.0);
    write(&at("no array.npy"), b"\x93NUMPY");
    features(&at("nan.npy"), &Features { frames: 8, n_mels: 16, data: vec![f32::NAN; 128] });

    let data = load(root.path()).expect("the other files");
    assert_eq!(data.samples.len(), 6);
    let reason = |name: &str| {
        let bad = data.bad.iter().find(|bad| bad.path.ends_with(name));
        &bad.unwrap_or_else(|| panic!("{name} is not among {:?}", data.bad)).reason
    };
    assert_eq!(data.bad.len(), 11, "{:#?}", data.bad);
    for (name, words) in [
        ("empty.wav", "is empty"),
        ("short.wav", "lasts 0.30 s; at least 0.5 s"),
        ("few bands.npy", "12 mel bands, expected 16"),
        ("few frames.npy", "7 frames, a crop needs 8"),
        ("nan.npy", "NaN"),
        ("song.opus", "Opus"),
    ] {
        assert!(reason(name).contains(words), "{name}: {}", reason(name));
    }
    for name in ["header only.wav", "cut off.wav", "text.wav", "no samples.wav", "no array.npy"] {
        assert!(!reason(name).is_empty());
    }

    let strict = LoadOptions { strict: true, ..options() };
    let error = refused(load_with(root.path(), &strict), &["11 of 17 files", "strict", "cut off.wav"]);
    assert!(matches!(&error, DatasetError::BadFiles { first, .. } if first.len() == 5), "shows too many: {error}");
}

#[test]
fn strict_loads_what_is_sound() {
    let root = music(&[("rock", 3), ("jazz", 3)]);
    assert!(load_with(root.path(), &LoadOptions { strict: true, ..options() }).is_ok());
}

#[test]
fn a_class_that_loses_all_its_files_is_an_error() {
    let root = music(&[("rock", 3), ("jazz", 3)]);
    write(&root.path().join("folk/a.wav"), b"");
    write(&root.path().join("folk/b.wav"), b"");
    let error = refused(load(root.path()), &["class `folk`", "none of its 2 files", "is empty"]);
    assert!(matches!(error, DatasetError::ClassLost { .. }));
}

#[test]
fn evaluation_takes_the_classes_of_the_trained_network() {
    let root = music(&[("rock", 3), ("jazz", 3)]);
    let known =
        |classes: &[&str]| LoadOptions { classes: Some(classes.iter().map(|&class| class.into()).collect()), ..options() };
    // The network's order holds, and classes without files are no error.
    let data = load_with(root.path(), &known(&["rock", "folk", "jazz"])).expect("a data set");
    assert_eq!(data.classes, ["rock", "folk", "jazz"]);
    assert_eq!(sample(&data, "jazz/00.wav").label, 2);
    assert!(data.warnings.iter().all(|warning| !warning.contains("folk")), "{:?}", data.warnings);
    let error = refused(load_with(root.path(), &known(&["rock", "folk"])), &["`jazz`", "jazz/", "rock, folk"]);
    assert!(matches!(error, DatasetError::UnknownLabel { .. }));
    // A single class, or a split without training files, is nothing to train on but can be evaluated.
    manifest(root.path(), "path,label,split\nrock/00.wav,rock,test\nrock/01.wav,rock,test\n");
    assert_eq!(load_with(root.path(), &known(&["jazz", "rock"])).expect("a data set").samples.len(), 2);
    refused(load(root.path()), &["at least two"]);
}

#[test]
fn progress_counts_every_file_once() {
    let root = music(&[("rock", 5), ("jazz", 4)]);
    let seen = std::sync::Mutex::new(Vec::new());
    let note = |done, total| seen.lock().expect("no panic elsewhere").push((done, total));
    melgrad::dataset::load(root.path(), &options(), &note).expect("a data set");
    let mut seen = seen.into_inner().expect("no panic elsewhere");
    seen.sort_unstable();
    assert_eq!(seen, (1..=9).map(|done| (done, 9)).collect::<Vec<_>>());
}

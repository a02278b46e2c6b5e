//! Clips shorter and much longer than a training crop, and files without labels.

use super::fixtures::*;
use melgrad::dataset::{CachePolicy, Windows, audio_files, load_bytes, load_files};
use melgrad::features::LogMel;
use std::path::{Path, PathBuf};

fn files(paths: &[PathBuf], frames: usize) -> melgrad::dataset::Files {
    load_files(paths, &options().features, frames, &CachePolicy::Off, &|_, _| {})
}

fn floats(samples: &[i16]) -> Vec<f32> {
    samples.iter().map(|&sample| f32::from(sample) / 32768.0).collect()
}

/// 20 s of loud noise, then noise 60 dB below it.
fn loud_then_quiet(seconds: usize) -> Vec<i16> {
    let mut samples = noise("long", seconds as f64);
    samples[20 * RATE as usize..].iter_mut().for_each(|sample| *sample /= 1000);
    samples
}

#[test]
fn a_clip_too_short_for_a_crop_is_padded_as_audio() {
    let root = music(&[("rock", 3), ("jazz", 3)]);
    let mut options = options();
    options.frames = 60;
    let data = load_with(root.path(), &options).expect("a data set");
    let mut padded = floats(&noise("rock0", 0.6));
    padded.resize(59 * 128, 0.0);
    let expected = LogMel::new(&options.features).compute(&padded).expect("features");
    let clip = &sample(&data, "rock/00.wav").clip;
    assert_eq!((clip.frames(), clip.features()), (60, &expected));
    assert!((clip.seconds() - 0.6).abs() < 1e-3, "padding is no sound: {}", clip.seconds());
}

#[test]
fn a_much_longer_file_takes_top_db_per_window() {
    let root = folder();
    let path = root.path().join("long.wav");
    wav(&path, &loud_then_quiet(70));
    let mut config = options().features;
    config.top_db = 40.0;
    let found = load_files(&[path], &config, 100, &CachePolicy::Off, &|_, _| {});
    let clip = &found.clips[0].clip;
    assert!(clip.cuts_per_window());

    let whole = LogMel::new(&melgrad::config::FeatureConfig { top_db: 0.0, ..config })
        .compute(&floats(&loud_then_quiet(70)))
        .expect("features");
    let loudest = whole.data.iter().copied().fold(f32::MIN, f32::max);
    for start in clip.starts(100, Windows::All) {
        let mut window = Vec::new();
        clip.append_window(start, 100, &mut window);
        let raw = &whole.data[start * 16..(start + 100) * 16];
        let floor = raw.iter().copied().fold(f32::MIN, f32::max) - 40.0;
        let expected: Vec<f32> = raw.iter().map(|value| value.max(floor)).collect();
        assert_eq!(window, expected, "window at {start}");
    }
    let mut last = Vec::new();
    clip.append_window(clip.frames() - 100, 100, &mut last);
    assert!(last.iter().all(|&value| value < loudest - 41.0), "the quiet end must not be cut by the loud beginning");
}

#[test]
fn a_file_of_a_usual_length_takes_top_db_over_the_whole_however_short_the_crops() {
    let root = folder();
    let path = root.path().join("clip.wav");
    wav(&path, &loud_then_quiet(30));
    let found = files(&[path], 8);
    let clip = &found.clips[0].clip;
    assert!(!clip.cuts_per_window());
    let expected = LogMel::new(&options().features).compute(&floats(&loud_then_quiet(30))).expect("features");
    assert_eq!(clip.features(), &expected);
}

#[test]
fn training_sees_a_much_longer_file_as_prediction_does() {
    let root = music(&[("rock", 3), ("jazz", 2)]);
    wav(&root.path().join("jazz/long.wav"), &loud_then_quiet(65));
    let data = load(root.path()).expect("a data set");
    let found = files(&[root.path().join("jazz/long.wav")], 8);
    let (trained, predicted) = (&sample(&data, "jazz/long.wav").clip, &found.clips[0].clip);
    assert!(trained.cuts_per_window() && predicted.cuts_per_window());
    assert_eq!(trained.features(), predicted.features());
}

#[test]
fn files_and_folders_without_labels_are_loaded_each_with_its_own_fate() {
    let root = music(&[("b", 2), ("a", 1)]);
    let at = |name: &str| root.path().join(name);
    wav(&at("blip.wav"), &noise("blip", 0.05));
    write(&at("b/broken.wav"), b"no sound in here");
    write(&at("b/notes.txt"), b"no sound meant");
    std::fs::create_dir(at("empty")).expect("a folder");
    let found = files(&[at("blip.wav"), at("b"), at("missing.wav"), at("a/00.wav"), at("empty")], 8);
    let names: Vec<&Path> = found.clips.iter().map(|file| file.path.as_path()).collect();
    assert_eq!(names, [at("blip.wav"), at("b/00.wav"), at("b/01.wav"), at("a/00.wav")]);
    assert_eq!(found.clips[0].clip.frames(), 8);
    let reason = |name: &str| found.bad.iter().find(|bad| bad.path == at(name)).map(|bad| bad.reason.as_str());
    assert_eq!(found.bad.len(), 3, "{:?}", found.bad);
    assert_eq!(reason("missing.wav"), Some("no such file"));
    assert_eq!(reason("empty"), Some("holds no audio or .npy files"));
    assert!(reason("b/broken.wav").is_some_and(|reason| reason.contains("not audio")), "{:?}", reason("b/broken.wav"));
    assert_eq!(audio_files(&at("b")).expect("a folder").len(), 3);
}

#[test]
fn bytes_give_what_their_file_gives() {
    let root = music(&[("a", 1)]);
    let path = root.path().join("a/00.wav");
    let bytes = std::fs::read(&path).expect("the file");
    let clip = load_bytes(bytes, "wav", &options().features, 8).expect("a clip");
    assert_eq!(clip.features(), files(&[path], 8).clips[0].clip.features());
    assert!(load_bytes(Vec::new(), "", &options().features, 8).is_err());
}

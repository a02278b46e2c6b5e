//! What each protocol promises of its parts.

use super::fixtures::*;
use melgrad::dataset::{Batches, Collection, Dataset, Draw, Protocol, Split, Windows, collect};
use melgrad::features::Features;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// One clip of `frames` frames and one band per row `(class, group)`, all different; crops of one frame.
fn table(rows: &[(usize, String)], frames: usize) -> Collection {
    let root = folder();
    let mut text = String::from("path,label,group\n");
    for (i, (label, group)) in rows.iter().enumerate() {
        ramp(&root.path().join(format!("{i:04}.npy")), 1, frames, (100 * i) as f32);
        text += &format!("{i:04}.npy,class {label},{group}\n");
    }
    manifest(root.path(), &text);
    gather(root.path())
}

fn gather(path: &Path) -> Collection {
    let mut options = options();
    (options.frames, options.features.n_mels, options.data.min_seconds) = (1, 1, 0.0);
    collect(path, &options, &|_, _| {}).expect("a collection")
}

fn draw(seed: u64, folds: usize, fold: usize) -> Draw {
    Draw { seed, folds, fold }
}

fn dataset(collection: &Collection, protocol: Protocol, draw: Draw) -> Dataset {
    collection.dataset(protocol, draw).expect("a data set")
}

/// Clips of each class in the parts, `[train, valid, test]`.
fn counts(data: &Dataset) -> [Vec<usize>; 3] {
    Split::ALL.map(|part| data.class_counts(part))
}

fn named(data: &Dataset, part: Split) -> BTreeSet<String> {
    data.part(part).into_iter().map(|i| data.samples[i].name()).collect()
}

fn groups(data: &Dataset, part: Split) -> BTreeSet<String> {
    data.part(part).into_iter().map(|i| data.samples[i].group.clone()).collect()
}

/// Groups with clips of a class in some parts.
fn groups_of(data: &Dataset, class: usize, parts: &[Split]) -> usize {
    let own = data.samples.iter().filter(|sample| sample.label == class && parts.contains(&sample.split));
    own.map(|sample| &sample.group).collect::<BTreeSet<_>>().len()
}

#[test]
fn every_group_is_tested_in_one_fold_and_whole_in_every_fold() {
    for trial in 0..16 {
        let mut rng = ChaCha8Rng::seed_from_u64(trial);
        let (classes, largest, folds) = (rng.random_range(2..6), rng.random_range(1..9), rng.random_range(2..8));
        let mut rows = Vec::new();
        for label in 0..classes {
            for group in 0..rng.random_range(folds..3 * folds) {
                rows.extend((0..rng.random_range(1..=largest)).map(|_| (label, format!("{label} {group}"))));
            }
        }
        let collection = table(&rows, 1);
        let mut tested: BTreeMap<String, usize> = BTreeMap::new();
        let mut shares = vec![Vec::new(); classes];
        for fold in 0..folds {
            let data = dataset(&collection, Protocol::Grouped, draw(trial, folds, fold));
            let sides = Split::ALL.map(|part| groups(&data, part));
            for (a, b) in [(0, 1), (0, 2), (1, 2)] {
                assert!(sides[a].is_disjoint(&sides[b]), "trial {trial}, fold {fold}: parts {a} and {b} share a group");
            }
            named(&data, Split::Test).into_iter().for_each(|name| *tested.entry(name).or_default() += 1);
            assert_eq!(data.samples.len(), rows.len());
            let [train, valid, test] = counts(&data);
            for class in 0..classes {
                shares[class].push(test[class]);
                let rest = train[class] + valid[class];
                assert!(test[class] > 0 && train[class] > 0, "trial {trial}: class {class} is not on both sides");
                let aim = 0.15 * rest as f64;
                let left = groups_of(&data, class, &[Split::Train, Split::Valid]);
                assert_eq!(valid[class] > 0, left > 1, "trial {trial}, fold {fold}: class {class} has {left} groups to train on");
                assert!((valid[class] as f64 - aim).abs() <= largest as f64, "trial {trial}: {} of {rest}", valid[class]);
            }
            let gaps = (0..classes).any(|class| valid[class] == 0);
            assert_eq!(data.warnings.len(), usize::from(gaps), "trial {trial}: {:?}", data.warnings);
        }
        assert_eq!(tested.len(), rows.len(), "trial {trial}: some clips are never tested");
        assert!(tested.values().all(|&times| times == 1), "trial {trial}: a clip is tested twice");
        for (class, shares) in shares.iter().enumerate() {
            let (most, least) = (shares.iter().max().unwrap(), shares.iter().min().unwrap());
            assert!(most - least <= largest, "trial {trial}, class {class}: {shares:?} of groups up to {largest}");
        }
    }
}

#[test]
fn folds_of_single_clips_are_even_in_every_class_and_in_all() {
    let rows: Vec<_> = (0..91).map(|i| (i % 3, String::new())).collect();
    let collection = table(&rows, 1);
    for fold in 0..5 {
        let test = counts(&dataset(&collection, Protocol::Grouped, draw(1, 5, fold)))[2].clone();
        assert!(test.iter().all(|n| (6..=7).contains(n)), "{test:?}");
        assert!((18..=19).contains(&test.iter().sum::<usize>()), "{test:?}");
    }
}

#[test]
fn groups_of_several_classes_are_dealt_by_all_of_them() {
    // Ten artists, each half jazz and half blues: every fold can have two of them, and so the same of both.
    let rows: Vec<_> = (0..80).map(|i| (i % 2, format!("artist {}", i / 8))).collect();
    let collection = table(&rows, 1);
    for fold in 0..5 {
        assert_eq!(counts(&dataset(&collection, Protocol::Grouped, draw(3, 5, fold)))[2], [8, 8]);
    }
}

#[test]
fn too_few_groups_for_the_folds_are_refused_and_gaps_said_in_words() {
    let mut rows: Vec<_> = (0..12).map(|i| (0, format!("group {}", i / 2))).collect();
    rows.extend((0..4).map(|_| (1, "the only one".to_owned())));
    let collection = table(&rows, 1);
    let refusal = collection.dataset(Protocol::Grouped, draw(0, 8, 0)).expect_err("seven groups");
    assert!(refusal.to_string().contains("8 folds need at least 8 groups"), "{refusal}");
    let gaps: Vec<_> = (0..3).map(|fold| dataset(&collection, Protocol::Grouped, draw(0, 3, fold)).warnings).collect();
    let without = |part: &str| {
        gaps.iter()
            .filter(|warnings| warnings.iter().any(|w| w.contains(&format!("{part} part has no files of class class 1"))))
            .count()
    };
    assert_eq!((without("train"), without("valid"), without("test")), (1, 3, 2), "{gaps:#?}");
}

#[test]
fn the_hold_out_is_what_load_gives() {
    let root = folder();
    let mut text = String::from("path,label,split\n");
    for i in 0..20 {
        ramp(&root.path().join(format!("{i}.npy")), 1, 1, i as f32);
        text += &format!("{i}.npy,class {},{}\n", i % 2, ["train", "train", "test", "valid"][i % 4]);
    }
    manifest(root.path(), &text);
    let given = gather(root.path());
    let held = dataset(&given, Protocol::Grouped, Draw::single(5));
    assert!(held.samples.iter().zip(&given.recordings).all(|(sample, recording)| Some(sample.split) == recording.given));
    // Folds and random splits are over all clips, whatever was given.
    for (protocol, folds) in [(Protocol::Grouped, 4), (Protocol::Seed, 0), (Protocol::Bbnn, 0), (Protocol::LeakySegments, 0)] {
        warned(&dataset(&given, protocol, draw(5, folds, 0)), &["the split that the data gives is set aside"]);
    }
}

#[test]
fn published_splits_are_by_clip_and_say_what_they_share() {
    let rows: Vec<_> = (0..200).map(|i| (i % 2, format!("artist {}", i / 20))).collect();
    let collection = table(&rows, 1);
    let seed = dataset(&collection, Protocol::Seed, draw(1, 0, 0));
    assert_eq!(counts(&seed), [vec![90, 90], vec![0, 0], vec![10, 10]]);
    warned(&seed, &["as published", "separates", "artist"]);
    assert_ne!(named(&seed, Split::Test), named(&dataset(&collection, Protocol::Seed, draw(2, 0, 0)), Split::Test));
    assert_eq!(named(&seed, Split::Test), named(&dataset(&collection, Protocol::Seed, draw(1, 9, 0)), Split::Test));

    assert_eq!((Protocol::Bbnn.splits(3), Protocol::Seed.splits(3), Protocol::Grouped.splits(3)), (10, 1, 3));
    let tests: BTreeSet<_> = (0..10)
        .map(|fold| {
            let data = dataset(&collection, Protocol::Bbnn, draw(1, 0, fold));
            assert_eq!(counts(&data), [vec![80, 80], vec![10, 10], vec![10, 10]]);
            named(&data, Split::Test)
        })
        .collect();
    assert_eq!(tests.len(), 10, "the ten splits differ");
}

#[test]
fn equal_content_on_two_sides_is_named() {
    let root = folder();
    let mut text = String::from("path,label\n");
    // Each sound twice.
    for i in 0..40 {
        ramp(&root.path().join(format!("{i:02}.npy")), 1, 1, (i / 2) as f32);
        text += &format!("{i:02}.npy,class {}\n", i / 20);
    }
    manifest(root.path(), &text);
    let collection = gather(root.path());
    assert_eq!(collection.duplicates.len(), 20);
    warned(&dataset(&collection, Protocol::Grouped, draw(0, 4, 1)), &["40 files", "20 sets", "each kept on one side"]);
    let split = dataset(&collection, Protocol::Seed, draw(0, 0, 0));
    let separated = split.duplicates.iter().filter(|set| split.samples[set[0]].split != split.samples[set[1]].split).count();
    assert!(separated > 0, "a random split of pairs separates some");
    warned(&split, &["20 sets", &format!("{separated} of them on two sides"), "(train)", "(test)"]);
}

#[test]
fn segments_of_one_clip_are_on_both_sides_only_where_leakage_is_to_be_shown() {
    let rows: Vec<_> = (0..12).map(|i| (i % 2, String::new())).collect();
    let mut collection = table(&rows, 23);
    collection.frames = 5;
    let data = dataset(&collection, Protocol::LeakySegments, draw(4, 0, 0));
    assert_eq!(data.samples.len(), 12 * 4, "four whole segments a clip");
    assert_eq!(counts(&data)[2], [4, 4]);
    let both = groups(&data, Split::Train).intersection(&groups(&data, Split::Test)).count();
    assert!(both >= 4, "{both} clips on both sides");
    warned(&data, &["segments of one recording are on both sides: this measures memory, not genre"]);
    let names: BTreeSet<_> = data.samples.iter().map(|sample| sample.name()).collect();
    assert_eq!(names.len(), 48);
    assert!(names.contains("0003.npy#15"), "{names:?}");

    // A segment is its own frames and shares the clip's memory.
    let segment = data.samples.iter().find(|sample| sample.name() == "0003.npy#15").expect("a segment");
    assert_eq!(segment.clip.decibels(), [315.0, 316.0, 317.0, 318.0, 319.0]);
    assert!(std::ptr::eq(segment.clip.features(), collection.recordings[3].clip.features()));
    let windows: Vec<f32> =
        Batches::evaluation(&data, Split::Test, 64, Windows::All).iter().flat_map(|batch| batch.features).collect();
    let expected: Vec<f32> = data.part(Split::Test).iter().flat_map(|&i| data.samples[i].clip.decibels().to_vec()).collect();
    assert_eq!(windows, expected);

    for protocol in [Protocol::Grouped, Protocol::Seed, Protocol::Bbnn] {
        let data = dataset(&collection, protocol, draw(4, 0, 0));
        assert!(data.samples.iter().all(|sample| sample.clip.first_frame().is_none()), "{protocol} cuts nothing");
    }
    collection.frames = 12;
    let whole = dataset(&collection, Protocol::LeakySegments, draw(4, 0, 0));
    warned(&whole, &["every clip is one segment", "shorten the crops"]);
}

#[test]
fn statistics_of_segments_are_over_their_frames() {
    let data = Features { frames: 4, n_mels: 1, data: vec![1.0, 3.0, 50.0, 70.0] };
    let whole = melgrad::dataset::Clip::new(data, 4.0, None);
    let (a, b) = (whole.segment(0, 2), whole.segment(1, 3).segment(1, 2));
    assert_eq!((a.seconds(), b.seconds(), b.first_frame()), (2.0, 2.0, Some(2)));
    let mean = |clip| melgrad::dataset::MelStatistics::of([clip].into_iter(), 1, 2).mean;
    assert_eq!((mean(&a), mean(&b)), (vec![2.0], vec![60.0]));
}

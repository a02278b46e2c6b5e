use super::fixtures::*;
use melgrad::config::DataConfig;
use melgrad::dataset::{Dataset, LoadOptions, Split};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// One clip: its label, and its group where one is given.
type Row = (usize, Option<String>);

/// Clips of one frame and one band, all different, so that a table of hundreds loads at once.
fn table(root: &Path, rows: &[Row]) {
    let mut text = String::from("path,label,group\n");
    for (i, (label, group)) in rows.iter().enumerate() {
        ramp(&root.join(format!("{i:03}.npy")), 1, 1, i as f32);
        text += &format!("{i:03}.npy,class {label},{}\n", group.as_deref().unwrap_or(""));
    }
    manifest(root, &text);
}

fn tiny(seed: u64, valid_fraction: f64, test_fraction: f64) -> LoadOptions {
    let mut options = LoadOptions { seed, frames: 1, ..options() };
    options.features.n_mels = 1;
    options.data = DataConfig { valid_fraction, test_fraction, ..DataConfig::default() };
    options.data.min_seconds = 0.0;
    options
}

fn splits(data: &Dataset) -> Vec<Split> {
    data.samples.iter().map(|sample| sample.split).collect()
}

/// How many groups hold each class.
fn groups_of(rows: &[Row]) -> BTreeMap<usize, usize> {
    let distinct: BTreeSet<_> =
        rows.iter().enumerate().map(|(i, (label, group))| (*label, group.clone().unwrap_or(format!("own {i}")))).collect();
    let mut counts = BTreeMap::new();
    distinct.iter().for_each(|(label, _)| *counts.entry(*label).or_default() += 1);
    counts
}

#[test]
fn over_random_tables_no_group_is_separated_and_every_share_is_met() {
    for trial in 0..24 {
        let mut rng = ChaCha8Rng::seed_from_u64(trial);
        let (classes, largest) = (rng.random_range(2..5), rng.random_range(1..9));
        let mut rows = Vec::new();
        for label in 0..classes {
            for group in 0..rng.random_range(3..12) {
                let name = (largest > 1).then(|| format!("class {label} group {group}"));
                rows.extend((0..rng.random_range(1..=largest)).map(|_| (label, name.clone())));
            }
        }
        let root = folder();
        table(root.path(), &rows);
        let data = load_with(root.path(), &tiny(trial, 0.15, 0.2)).expect("a data set");

        let mut side: BTreeMap<&str, Split> = BTreeMap::new();
        for sample in &data.samples {
            assert_eq!(*side.entry(&sample.group).or_insert(sample.split), sample.split, "trial {trial}: `{}`", sample.group);
        }
        for label in 0..classes {
            let all = rows.iter().filter(|row| row.0 == label).count() as f64;
            for (part, share) in [(Split::Valid, 0.15), (Split::Test, 0.2), (Split::Train, 0.65)] {
                let count = data.class_counts(part)[label] as f64;
                assert!(count > 0.0, "trial {trial}: class {label} has none in {part}");
                // A part ends within half a group of its share, or holds the one group that it must.
                let slack = largest as f64 * if part == Split::Train { 2.0 } else { 1.0 };
                assert!(
                    (count - share * all).abs() <= slack,
                    "trial {trial}: {count} of {all} in {part}, groups up to {largest}"
                );
            }
        }
        assert_eq!(data.warnings, Vec::<String>::new(), "trial {trial}");
    }
}

#[test]
fn single_files_are_parted_by_the_fractions_exactly() {
    let root = folder();
    let rows: Vec<Row> = (0..100).map(|i| (i % 2, None)).collect();
    table(root.path(), &rows);
    for (valid, test, expected) in
        [(0.15, 0.15, [34, 8, 8]), (0.2, 0.1, [35, 10, 5]), (0.1, 0.0, [45, 5, 0]), (0.0, 0.3, [35, 0, 15])]
    {
        let data = load_with(root.path(), &tiny(0, valid, test)).expect("a data set");
        assert_eq!(Split::ALL.map(|part| data.class_counts(part)), expected.map(|n| vec![n, n]), "{valid} {test}");
    }
}

#[test]
fn the_seed_alone_decides() {
    let root = folder();
    let rows: Vec<Row> = (0..60).map(|i| (i % 3, Some(format!("group {}", i / 2)))).collect();
    table(root.path(), &rows);
    let of = |seed| splits(&load_with(root.path(), &tiny(seed, 0.15, 0.15)).expect("a data set"));
    assert_eq!(of(7), of(7));
    assert_ne!(of(7), of(8));
}

#[test]
fn a_group_with_several_labels_stays_whole() {
    let root = folder();
    let rows: Vec<Row> = (0..80).map(|i| (i % 2, Some(format!("album {}", i / 8)))).collect();
    table(root.path(), &rows);
    for seed in 0..6 {
        let data = load_with(root.path(), &tiny(seed, 0.2, 0.2)).expect("a data set");
        for album in data.samples.chunks(8) {
            assert!(album.iter().all(|sample| sample.split == album[0].split), "seed {seed}: {}", album[0].group);
        }
        assert_eq!(Split::ALL.map(|part| data.part(part).len()), [48, 16, 16], "seed {seed}");
    }
}

#[test]
fn too_few_groups_for_every_part_are_said_in_words() {
    let root = folder();
    let mut rows: Vec<Row> = (0..20).map(|_| (0, None)).collect();
    rows.extend((0..10).map(|i| (1, Some(format!("one of two {}", i % 2)))));
    rows.extend((0..10).map(|_| (2, Some("all one".into()))));
    assert_eq!(groups_of(&rows)[&1], 2);
    table(root.path(), &rows);
    let data = load_with(root.path(), &tiny(1, 0.15, 0.15)).expect("a data set");
    assert_eq!([Split::Train, Split::Valid, Split::Test].map(|part| data.class_counts(part)[1]), [5, 5, 0]);
    assert_eq!(data.class_counts(Split::Train)[2], 10);
    warned(&data, &["valid part has no files of class class 2"]);
    warned(&data, &["test part has no files of class class 1, class 2"]);
}

#[test]
fn parts_that_stay_empty_altogether_are_said_in_words() {
    let root = folder();
    table(root.path(), &[(0, None), (1, None)]);
    let data = load_with(root.path(), &tiny(1, 0.15, 0.15)).expect("a data set");
    assert_eq!(data.part(Split::Train).len(), 2);
    warned(&data, &["valid part has no files of class class 0, class 1", "too few groups"]);
    warned(&data, &["test part has no files of class class 0, class 1"]);
}

/// A manifest with a split: `(label, split, group)`.
fn given(rows: &[(&str, &str, &str)], options: &LoadOptions) -> Dataset {
    let root = folder();
    let mut text = String::from("path,label,split,group\n");
    for (i, (label, split, group)) in rows.iter().enumerate() {
        ramp(&root.path().join(format!("{i:03}.npy")), 1, 1, i as f32);
        text += &format!("{i:03}.npy,{label},{split},{group}\n");
    }
    manifest(root.path(), &text);
    load_with(root.path(), options).expect("a data set")
}

#[test]
fn a_given_split_is_obeyed() {
    let rows =
        [("a", "test", ""), ("a", "train", ""), ("b", "valid", ""), ("b", "train", ""), ("a", "valid", ""), ("b", "test", "")];
    let data = given(&rows, &tiny(0, 0.15, 0.15));
    assert_eq!(splits(&data).iter().map(|split| split.name()).collect::<Vec<_>>(), rows.map(|row| row.1));
    assert_eq!(data.warnings, Vec::<String>::new());
}

#[test]
fn a_given_split_without_validation_takes_it_from_the_training_groups() {
    let names: Vec<String> = (0..40).map(|i| format!("group {}", i / 4)).collect();
    let rows: Vec<_> =
        (0..40).map(|i| (["a", "b"][i / 20], if i % 20 < 16 { "train" } else { "test" }, names[i].as_str())).collect();
    let data = given(&rows, &tiny(3, 0.25, 0.15));
    for (sample, row) in data.samples.iter().zip(&rows) {
        assert_eq!(sample.split == Split::Test, row.1 == "test", "the given test part must not change");
    }
    assert_eq!(data.class_counts(Split::Valid), [4, 4]);
    let side = |part| data.part(part).iter().map(|&i| data.samples[i].group.clone()).collect::<BTreeSet<_>>();
    assert!(side(Split::Valid).is_disjoint(&side(Split::Train)));
    warned(&data, &["no validation part", "8 of 32 training files"]);
}

#[test]
fn what_a_given_split_lacks_or_separates_is_said_loudly() {
    let rows = [("a", "train", "x"), ("b", "train", "y"), ("a", "valid", "x"), ("b", "valid", "z"), ("a", "valid", "w")];
    let data = given(&rows, &tiny(0, 0.15, 0.15));
    warned(&data, &["separates 1 groups", "`x`", "train", "valid"]);
    warned(&data, &["no test part"]);
    let data = given(&[("a", "train", ""), ("b", "valid", ""), ("b", "test", ""), ("a", "test", "")], &tiny(0, 0.15, 0.15));
    warned(&data, &["train part has no files of class b"]);
}

#[test]
fn a_given_split_without_training_files_is_refused() {
    let root = folder();
    ramp(&root.path().join("a.npy"), 1, 1, 0.0);
    ramp(&root.path().join("b.npy"), 1, 1, 1.0);
    manifest(root.path(), "path,label,split\na.npy,a,test\nb.npy,b,valid\n");
    refused(load_with(root.path(), &tiny(0, 0.15, 0.15)), &["no usable file is in the `train` part"]);
}

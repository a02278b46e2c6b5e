use super::fixtures::*;
use melgrad::dataset::{Dataset, DatasetError};

/// Three classes of five wavs, and copies: one with the same bytes, one with the same sound in another format.
fn with_copies() -> tempfile::TempDir {
    let root = music(&[("folk", 5), ("jazz", 5), ("rock", 5)]);
    wav(&root.path().join("rock/again.wav"), &noise("rock1", 0.6));
    au(&root.path().join("jazz/copy.au"), &noise("jazz2", 0.6));
    root
}

fn together(data: &Dataset, one: &str, other: &str) -> bool {
    let (one, other) = (sample(data, one), sample(data, other));
    one.group == other.group && one.split == other.split
}

#[test]
fn equal_bytes_and_equal_sound_in_another_format_stay_on_one_side() {
    let root = with_copies();
    for seed in 0..8 {
        let data = load_with(root.path(), &melgrad::dataset::LoadOptions { seed, ..options() }).expect("a data set");
        assert!(together(&data, "rock/again.wav", "rock/01.wav"), "seed {seed}");
        assert!(together(&data, "jazz/copy.au", "jazz/02.wav"), "seed {seed}");
        assert!(!(together(&data, "jazz/00.wav", "jazz/01.wav")), "different files must not share a group");
        warned(&data, &["4 files have equal content in 2 sets"]);
        assert_eq!(data.duplicates.len(), 2);
    }
}

#[test]
fn features_of_a_file_count_as_that_file() {
    let root = with_copies();
    let sound = melgrad::audio::decode(&root.path().join("folk/03.wav")).expect("a sound").samples;
    let log_mel = melgrad::features::LogMel::new(&options().features).compute(&sound).expect("features");
    features(&root.path().join("folk/features.npy"), &log_mel);
    let data = load(root.path()).expect("a data set");
    assert!(together(&data, "folk/features.npy", "folk/03.wav"));
}

#[test]
fn groups_that_share_content_become_one() {
    let root = with_copies();
    // x and y share a recording, y and z share another: all three must stay together.
    let rows = "path,label,group\nrock/00.wav,rock,x\nrock/01.wav,rock,x\nrock/again.wav,rock,y\njazz/02.wav,jazz,y\n\
                jazz/copy.au,jazz,z\njazz/00.wav,jazz,z\njazz/01.wav,jazz,w\nrock/02.wav,rock,v\n";
    manifest(root.path(), rows);
    let data = load(root.path()).expect("a data set");
    for path in ["rock/01.wav", "rock/again.wav", "jazz/02.wav", "jazz/copy.au", "jazz/00.wav"] {
        assert!(together(&data, "rock/00.wav", path), "{path}");
    }
    assert_eq!(sample(&data, "rock/00.wav").group, "x");
    assert_eq!(sample(&data, "jazz/01.wav").group, "w");
}

#[test]
fn a_given_split_that_separates_equal_content_is_refused_by_name() {
    for copy in ["rock/again.wav", "jazz/copy.au"] {
        let root = with_copies();
        let label = &copy[..4];
        manifest(
            root.path(),
            &format!(
                "path,label,split\nrock/00.wav,rock,train\nrock/01.wav,rock,train\njazz/02.wav,jazz,train\n{copy},{label},test\n"
            ),
        );
        let error = refused(load(root.path()), &[copy, "(train)", "(test)", "equal content"]);
        assert!(matches!(error, DatasetError::LeakingSplit { .. }));
    }
}

#[test]
fn equal_content_on_one_side_of_a_given_split_is_fine() {
    let root = with_copies();
    manifest(root.path(), "path,label,split\nrock/01.wav,rock,train\nrock/again.wav,rock,train\njazz/02.wav,jazz,train\n");
    warned(&load(root.path()).expect("a data set"), &["2 files have equal content in 1 sets"]);
}

#[test]
fn equal_content_under_two_labels_is_pointed_out() {
    let root = with_copies();
    wav(&root.path().join("folk/rock.wav"), &noise("rock3", 0.6));
    warned(&load(root.path()).expect("a data set"), &["different labels", "folk/rock.wav", "`folk`", "rock/03.wav", "`rock`"]);
}

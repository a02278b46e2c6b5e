use super::fixtures::*;
use melgrad::dataset::{DatasetError, KeptSplits, Split, write_bad_files_csv, write_splits_csv};

#[test]
fn splits_and_bad_files_are_written_in_schema_1() {
    let root = music(&[("rock, hard", 3), ("jazz", 3)]);
    write(&root.path().join("jazz/sub dir/broken \"x\".wav"), b"");
    let data = load(root.path()).expect("a data set");
    let (splits, bad) = (root.path().join("splits.csv"), root.path().join("bad_files.csv"));
    write_splits_csv(&splits, &data).expect("written");
    write_bad_files_csv(&bad, &data).expect("written");

    let splits = std::fs::read_to_string(splits).expect("the file");
    let lines: Vec<&str> = splits.lines().collect();
    assert_eq!(lines[0], "path,label,split,group,content_hash");
    assert_eq!(lines.len(), 7);
    let first = sample(&data, "jazz/00.wav");
    assert_eq!(lines[1], format!("jazz/00.wav,jazz,{},jazz/00.wav,{}", first.split, first.content_hash));
    assert!(lines[4].starts_with("\"rock, hard/00.wav\",\"rock, hard\","), "{}", lines[4]);
    let bad = std::fs::read_to_string(bad).expect("the file");
    assert_eq!(bad, "path,reason\n\"jazz/sub dir/broken \"\"x\"\".wav\",is empty\n");
}

#[test]
fn a_record_that_cannot_be_written_is_an_error_of_its_own_kind() {
    let root = music(&[("rock", 3), ("jazz", 3)]);
    let data = load(root.path()).expect("a data set");
    let error = write_splits_csv(&root.path().join("nowhere/splits.csv"), &data).expect_err("no such folder");
    assert!(matches!(error, DatasetError::Write { .. }) && error.to_string().contains("splits.csv"), "{error}");
}

#[test]
fn what_was_trained_on_never_becomes_test_data_when_files_are_added() {
    let root = music(&[("rock", 8), ("jazz", 8)]);
    let before = load(root.path()).expect("a data set");
    let record = root.path().join("splits.csv");
    write_splits_csv(&record, &before).expect("written");
    for i in 0..6 {
        wav(&root.path().join(format!("rock/aa new {i}.wav")), &noise(&format!("new {i}"), 0.6));
    }
    // A copy in another format, whose name comes before that of the original and so becomes the group's.
    let trained =
        before.samples.iter().find(|sample| sample.split == Split::Train && sample.path.starts_with("rock")).expect("one");
    let number = trained.path.file_stem().and_then(|name| name.to_str()).expect("a name").trim_start_matches('0');
    au(&root.path().join("rock/00 copy.au"), &noise(&format!("rock{}", if number.is_empty() { "0" } else { number }), 0.6));
    let mut after = load(root.path()).expect("a data set");
    let moved = |after: &melgrad::dataset::Dataset| {
        before.samples.iter().filter(|old| after.samples.iter().any(|new| new.path == old.path && new.split != old.split)).count()
    };
    assert!(moved(&after) > 0, "the seed alone does not keep the split; if it did, this test would show nothing");
    assert_eq!(KeptSplits::read(&record).expect("the record").apply(&mut after), 7);
    assert_eq!(moved(&after), 0);
    assert!((0..6).all(|i| sample(&after, &format!("rock/aa new {i}.wav")).split == Split::Test));
    assert_eq!(sample(&after, "rock/00 copy.au").split, Split::Train);
}

#[test]
fn a_faulty_record_is_refused_with_its_line() {
    let root = folder();
    let check = |text: &str, words: &str| {
        let path = root.path().join("splits.csv");
        write(&path, text.as_bytes());
        let error = KeptSplits::read(&path).expect_err("must be refused").to_string();
        assert!(error.contains(words), "{error}");
    };
    check("path,label,split,group,content_hash\na,b,train,c,d\na,b,half,c,d\n", "line 3: split `half` is unknown");
    check("path,label\na,b\n", "line 1: is damaged: it should begin with path,label,split,group,content_hash");
    check("path,label,split,group,content_hash\n", "names no clip");
}

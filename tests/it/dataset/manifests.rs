use super::fixtures::*;
use melgrad::dataset::{DatasetError, Split};

#[test]
fn a_manifest_is_read_with_bom_crlf_quotes_and_further_columns() {
    let root = folder();
    for name in ["sub dir/a, b.wav", "c.wav", "ü.wav", "d.npy"] {
        match name {
            "d.npy" => ramp(&root.path().join(name), 16, 9, 3.0),
            name => wav(&root.path().join(name), &noise(name, 0.6)),
        }
    }
    manifest(
        root.path(),
        "\u{feff}label,bpm,path,split,group\r\nhip hop,120,\"sub dir/a, b.wav\",train,\"artist, the \"\"first\"\"\"\r\n\
         rock,90,./c.wav,valid,second\r\nrock,,ü.wav,train,\r\n\r\nhip hop,1,d.npy,test,second\r\n",
    );
    let data = load(root.path()).expect("a data set");
    assert_eq!(data.classes, ["hip hop", "rock"]);
    let first = sample(&data, "sub dir/a, b.wav");
    assert_eq!((first.label, first.split, first.group.as_str()), (0, Split::Train, "artist, the \"first\""));
    assert_eq!(sample(&data, "ü.wav").group, "ü.wav");
    assert_eq!(sample(&data, "d.npy").split, Split::Test);
    assert_eq!(sample(&data, "./c.wav").split, Split::Valid);
    // Given directly, or by the folder that holds it: the same.
    let direct = load(&root.path().join("manifest.csv")).expect("a data set");
    assert_eq!(paths(&direct), paths(&data));
}

#[test]
fn a_faulty_manifest_is_refused_with_line_value_and_remedy() {
    let check = |text: &[u8], line: u64, words: &[&str]| {
        let root = folder();
        for name in ["a.wav", "b.wav", "c.wav"] {
            wav(&root.path().join(name), &noise(name, 0.6));
        }
        write(&root.path().join("manifest.csv"), text);
        let error = refused(load(root.path()), &[words, &["manifest.csv"]].concat());
        assert!(matches!(error, DatasetError::Line { line: found, .. } if found == line), "not line {line}: {error}");
    };
    check(b"file,label\na.wav,x\n", 1, &["no column `path`", "file,label", "path,label[,split][,group]"]);
    check(b"path;label\na.wav;x\n", 1, &["commas"]);
    check(b"path,label,path\na.wav,x,b.wav\n", 1, &["`path` appears twice"]);
    check(b"", 1, &["no column `path`"]);
    check(b"path,label\na.wav,x\nb.wav\n", 3, &["has 1 fields, the header has 2", "quote"]);
    check(b"path,label\na.wav,x\nb.wav,y,z\n", 3, &["has 3 fields"]);
    check(b"path,label\n,x\n", 2, &["path is empty"]);
    check(b"path,label\na.wav, \n", 2, &["label is empty"]);
    check(b"path,label,split\na.wav,x,train\nb.wav,y,validation\n", 3, &["`validation`", "train, valid or test"]);
    check(b"path,label,split\na.wav,x,train\nb.wav,y,Test\n", 3, &["`Test`"]);
    check(b"path,label,split\na.wav,x,train\nb.wav,y,\n", 3, &["split is empty", "every row, or in none"]);
    check(b"path,label\na.wav,x\nb.wav,y\n./a.wav,x\n", 4, &["already on line 2"]);
    check(b"path,label\na.wav,x\nb.wav,\xff\n", 3, &["UTF-8"]);
}

#[test]
fn files_that_a_manifest_names_but_nobody_has_are_listed_with_the_reason() {
    let root = music(&[("rock", 3), ("jazz", 3)]);
    std::fs::create_dir(root.path().join("folder.wav")).expect("a folder");
    let rows: String =
        ["rock", "jazz"].iter().flat_map(|class| (0..3).map(move |i| format!("{class}/{i:02}.wav,{class}\n"))).collect();
    manifest(root.path(), &format!("path,label\n{rows}gone.wav,rock\nold\\gone.wav,rock\nfolder.wav,rock\n"));
    let data = load(root.path()).expect("a data set");
    assert_eq!(data.samples.len(), 6);
    let reasons: Vec<_> = data.bad.iter().map(|bad| (bad.path.to_string_lossy().into_owned(), bad.reason.as_str())).collect();
    assert_eq!(reasons[0], ("folder.wav".into(), "is a folder, not a file"));
    assert_eq!(reasons[1], ("gone.wav".into(), "no such file"));
    if cfg!(unix) {
        assert!(reasons[2].1.contains("with / instead of \\"), "{reasons:?}");
    }
}

#[test]
fn rows_for_names_with_a_dot_in_front_are_ignored_and_counted() {
    let root = music(&[("rock", 3), ("jazz", 3)]);
    manifest(
        root.path(),
        "path,label\nrock/00.wav,rock\nrock/01.wav,rock\njazz/00.wav,jazz\nrock/._00.wav,rock\n.DS_Store,jazz\n",
    );
    let data = load(root.path()).expect("a data set");
    assert_eq!((data.samples.len(), data.bad.len()), (3, 0));
    warned(&data, &["2 rows", "dot"]);
}

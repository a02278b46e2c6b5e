//! Collections that are not sorted into folders: labels and groups from the files' own tags (tests/fixtures/tags).

use super::fixtures::*;
use melgrad::audio;
use melgrad::config::NameSource;
use melgrad::dataset::{Dataset, LoadOptions, Split};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tags").join(name)
}

/// A folder of copies, in subfolders whose names say nothing.
fn collection(names: &[&str]) -> TempDir {
    let root = folder();
    for (i, name) in names.iter().enumerate() {
        let bytes = std::fs::read(fixture(name)).expect("a fixture");
        write(&root.path().join(["", "some album", "some album/disc 2"][i % 3]).join(name), &bytes);
    }
    root
}

fn tagged(label: &str, group: &str) -> LoadOptions {
    let mut options = options();
    options.data.label = label.parse().expect("a source");
    options.data.group = group.parse().expect("a source");
    options
}

/// `(file, label, group)` in the order of the paths.
fn told(data: &Dataset) -> Vec<(String, &str, &str)> {
    let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
    data.samples.iter().map(|s| (name(&s.path), data.classes[s.label].as_str(), s.group.as_str())).collect()
}

#[test]
fn every_format_tells_genre_and_artist_under_the_same_names() {
    for (file, genre, artist) in [
        ("id3v2.mp3", "Rock", "Ünë Band"),
        ("id3v23.mp3", "Jazz", "Trio"),
        ("both.mp3", "Jazz", "The Thirty Letters And More Orchestra"),
        ("id3v1.mp3", "Rock", "Old Player"),
        ("vorbis.ogg", "rock", "ünë band"),
        ("comments.flac", "Jazz", "Trio"),
        ("mp4.m4a", "Rock", "Ünë Band"),
    ] {
        let tags = audio::tags(&fixture(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!((tags.get("genre"), tags.get("artist")), (Some(genre), Some(artist)), "{file}");
        let bytes = std::fs::read(fixture(file)).expect("a fixture");
        assert_eq!(audio::tags_of_bytes(bytes, "").expect("tags"), tags, "{file} in memory");
    }
    let of = |file: &str, name: &str| audio::tags(&fixture(file)).expect("tags").get(name).map(str::to_owned);
    assert_eq!(of("id3v23.mp3", "Album_Artist").as_deref(), Some("Quartet"));
    assert_eq!(of("mp4.m4a", "album").as_deref(), Some("One"));
    assert_eq!(of("id3v2.mp3", "mood").as_deref(), Some("calm"), "names of one's own are found too");
    assert_eq!(of("comments.flac", "studio").as_deref(), Some("Room 5"));
    assert_eq!(of("none.mp3", "genre"), None);
    assert_eq!(of("empty.flac", "genre"), None, "an empty tag is none");
}

#[test]
fn what_is_no_audio_has_a_reason_instead_of_tags() {
    let root = folder();
    for (name, bytes, reason) in [
        ("a.mp3", &b"<html>not found</html>"[..], "web page"),
        ("b.flac", b"", "empty"),
        ("c.wma", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media"),
    ] {
        write(&root.path().join(name), bytes);
        let error = audio::tags(&root.path().join(name)).expect_err(name).to_string();
        assert!(error.contains(reason), "{name}: {error}");
    }
    au(&root.path().join("d.au"), &noise("d", 0.6));
    assert_eq!(audio::tags(&root.path().join("d.au")).expect("a format without tags"), audio::Tags::default());
}

#[test]
fn a_folder_without_class_folders_works_with_labels_and_groups_from_tags() {
    let names = ["both.mp3", "comments.flac", "empty.flac", "id3v1.mp3", "id3v2.mp3", "id3v23.mp3", "mp4.m4a"];
    let root = collection(&[&names[..], &["no_artist.flac", "none.mp3", "vorbis.ogg"]].concat());
    write(&root.path().join("cover.mp3"), b"<html>");
    ramp(&root.path().join("ready.npy"), 16, 8, 0.0);
    wav(&root.path().join("sound.wav"), &noise("sound", 0.6));
    let data = load_with(root.path(), &tagged("tag:genre", "tag:artist")).expect("a data set");
    assert_eq!(data.classes, ["Jazz", "Rock"], "case does not make two classes");
    let mut told = told(&data);
    told.sort();
    // `Ünë Band` has more files than `ünë band`.
    assert_eq!(
        told.iter().map(|(name, label, group)| (name.as_str(), *label, *group)).collect::<Vec<_>>(),
        [
            ("both.mp3", "Jazz", "The Thirty Letters And More Orchestra"),
            ("comments.flac", "Jazz", "Trio"),
            ("id3v1.mp3", "Rock", "Old Player"),
            ("id3v2.mp3", "Rock", "Ünë Band"),
            ("id3v23.mp3", "Jazz", "Trio"),
            ("mp4.m4a", "Rock", "Ünë Band"),
            ("vorbis.ogg", "Rock", "Ünë Band"),
        ]
    );
    let bad: Vec<String> = data
        .bad
        .iter()
        .map(|bad| format!("{}: {}", bad.path.file_name().expect("a name").to_string_lossy(), bad.reason))
        .collect();
    for expected in [
        "empty.flac: has no tag `genre`",
        "no_artist.flac: has no tag `artist`",
        "none.mp3: has no tag `genre`",
        "ready.npy: has no tag `genre`",
        "sound.wav: has no tag `genre`; those of wav files are not read: name it in a manifest",
    ] {
        assert!(bad.iter().any(|bad| bad == expected), "{expected} is not among {bad:?}");
    }
    assert!(bad.iter().any(|bad| bad.starts_with("cover.mp3: not audio")), "{bad:?}");
    assert_eq!(bad.len(), 6);
    let sides = |group: &str| data.samples.iter().filter(|s| s.group == group).map(|s| s.split).collect::<Vec<_>>();
    let band = sides("Ünë Band");
    assert!(band.iter().all(|side| *side == band[0]), "{band:?}");
    assert!(data.part(Split::Train).len() >= 2);
}

#[test]
fn tags_stand_beside_folders_and_manifests() {
    let root = folder();
    let copy = |name: &str, to: &str| write(&root.path().join(to), &std::fs::read(fixture(name)).expect("a fixture"));
    copy("id3v2.mp3", "loud/a.mp3");
    copy("mp4.m4a", "loud/b.m4a");
    copy("comments.flac", "quiet/c.flac");
    copy("no_artist.flac", "quiet/d.flac");
    let data = load_with(root.path(), &tagged("given", "tag:artist")).expect("a data set");
    assert_eq!(
        told(&data),
        [("a.mp3".into(), "loud", "Ünë Band"), ("b.m4a".into(), "loud", "Ünë Band"), ("c.flac".into(), "quiet", "Trio")]
    );
    manifest(root.path(), "path,label,group\nloud/a.mp3,x,one\nloud/b.m4a,x,two\nquiet/c.flac,y,three\nquiet/d.flac,y,four\n");
    let data = load_with(root.path(), &tagged("tag:genre", "given")).expect("a data set");
    assert_eq!(
        told(&data),
        [
            ("a.mp3".into(), "Rock", "one"),
            ("b.m4a".into(), "Rock", "two"),
            ("c.flac".into(), "Jazz", "three"),
            ("d.flac".into(), "Rock", "four")
        ]
    );
}

#[test]
fn a_trained_network_knows_its_classes_in_any_spelling() {
    let root = collection(&["vorbis.ogg", "comments.flac"]);
    let mut options = tagged("tag:genre", "tag:artist");
    options.classes = Some(vec!["ROCK".into(), "jazz".into(), "folk".into()]);
    let data = load_with(root.path(), &options).expect("a data set");
    let mut labels: Vec<_> = told(&data).into_iter().map(|(name, label, _)| (name, label)).collect();
    labels.sort();
    assert_eq!(labels, [("comments.flac".into(), "jazz"), ("vorbis.ogg".into(), "ROCK")]);
}

#[test]
fn nothing_tagged_and_strictness_are_said_in_words() {
    let root = collection(&["none.mp3", "empty.flac"]);
    refused(load_with(root.path(), &tagged("tag:genre", "given")), &["no class", "none of its 2 files has the tag", "genre"]);
    let root = collection(&["none.mp3", "vorbis.ogg", "comments.flac"]);
    let strict = LoadOptions { strict: true, ..tagged("tag:genre", "given") };
    refused(load_with(root.path(), &strict), &["1 of 3 files", "none.mp3: has no tag `genre`"]);
    // A folder of loose files says what would help.
    refused(load(root.path()), &["--label tag:genre"]);
}

#[test]
fn a_source_is_given_or_a_tag() {
    assert_eq!("tag:Genre".parse(), Ok(NameSource::Tag("genre".into())));
    assert_eq!("given".parse(), Ok(NameSource::Given));
    assert_eq!(NameSource::Tag("album artist".into()).to_string(), "tag:album artist");
    for wrong in ["genre", "tag:", "tag: ", "", "folder"] {
        let error = wrong.parse::<NameSource>().expect_err(wrong);
        assert!(error.contains("use tag:NAME"), "{error}");
    }
}

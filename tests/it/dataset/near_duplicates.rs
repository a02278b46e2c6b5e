//! The same recording in several files is found; recordings that only sound alike are not.

use super::fixtures::*;
use melgrad::audio;
use melgrad::dataset::{
    CachePolicy, Collection, Draw, LoadOptions, NearDuplicate, Protocol, collect, collect_builtin, near_duplicate_warning,
    write_near_duplicates_csv,
};
use melgrad::features::Features;
use std::path::{Path, PathBuf};

/// Of "War of freedom"; 00008 and 00010 are other places of it.
const ORIGINAL: &str = "metal/metal.00009.ogg";

fn built_in(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dataset/builtin/clips").join(path)
}

fn gather(path: &Path) -> Collection {
    let options = LoadOptions { frames: 64, cache: CachePolicy::Off, ..LoadOptions::default() };
    collect(path, &options, &|_, _| {}).expect("a collection")
}

/// The pairs by name, in alphabetical order.
fn named(collection: &Collection, pairs: &[NearDuplicate]) -> Vec<(String, String)> {
    let name = |i: usize| collection.recordings[i].path.file_name().expect("a name").to_string_lossy().into_owned();
    let mut names: Vec<_> = pairs.iter().map(|pair| (name(pair.first), name(pair.second))).collect();
    names.sort();
    names
}

/// Copies of one clip beside other clips of its track and of others.
fn copies(root: &Path) {
    let copy = |from: &Path, to: &str| write(&root.join(to), &std::fs::read(from).expect("a clip"));
    copy(&built_in(ORIGINAL), "a/original.ogg");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/near_duplicates/reencoded.mp3"), "b/reencoded.mp3");
    for (i, other) in ["metal.00008.mp3", "metal.00010.au", "metal.00002.mp3", "metal.00003.ogg"].iter().enumerate() {
        copy(&built_in("metal").join(other), &format!("{}/{other}", ["a", "b"][i % 2]));
    }
    let wave = audio::decode(&built_in(ORIGINAL)).expect("the clip");
    let pcm = |gain: f32, skip: f64, keep: f64| -> Vec<i16> {
        let [skip, keep] = [skip, keep].map(|seconds| (seconds * f64::from(wave.sample_rate)) as usize);
        wave.samples.iter().skip(skip).take(keep).map(|x| (x * gain * 32767.0) as i16).collect()
    };
    write(&root.join("b/quieter.wav"), &wav_bytes_at(wave.sample_rate, &pcm(0.1, 0.0, 60.0)));
    write(&root.join("b/excerpt.wav"), &wav_bytes_at(wave.sample_rate, &pcm(0.5, 1.234, 4.3)));
}

#[test]
fn copies_quieter_encoded_anew_and_cut_elsewhere_are_found_and_other_places_of_the_track_are_not() {
    let root = folder();
    copies(root.path());
    let collection = gather(root.path());
    let pairs = collection.near_duplicates();
    let copies = ["excerpt.wav", "original.ogg", "quieter.wav", "reencoded.mp3"];
    let mut expected = Vec::new();
    for a in 0..4 {
        // `a/original.ogg` lies before the others.
        expected.extend((a + 1..4).map(|b| if b == 1 { (1, a) } else { (a, b) }));
    }
    let mut expected: Vec<_> = expected.into_iter().map(|(a, b)| (copies[a].to_owned(), copies[b].to_owned())).collect();
    expected.sort();
    assert_eq!(named(&collection, &pairs), expected);
    assert!(pairs.windows(2).all(|two| two[0].distance <= two[1].distance), "the closest first");

    let of = |name: &str| {
        let is = |i: usize| collection.recordings[i].path.ends_with(name);
        *pairs
            .iter()
            .find(|pair| is(pair.second) && collection.recordings[pair.first].path.ends_with("original.ogg"))
            .expect(name)
    };
    for (name, most) in [("quieter.wav", 0.005), ("reencoded.mp3", 0.15), ("excerpt.wav", 0.1)] {
        println!("{name}: {:?}", of(name));
        assert!((0.0..most).contains(&of(name).distance), "{name}: {:?}", of(name));
    }
    assert_eq!(of("quieter.wav").shift_seconds, 0.0);
    assert!((of("excerpt.wav").shift_seconds - 1.234).abs() < 0.05, "{:?}", of("excerpt.wav"));
    assert!((3.9..4.4).contains(&of("excerpt.wav").shared_seconds), "{:?}", of("excerpt.wav"));
    assert_eq!(collection.near_duplicates(), pairs, "twice the same");
}

#[test]
fn no_two_clips_of_the_built_in_set_are_one_recording() {
    let options = LoadOptions { frames: 130, cache: CachePolicy::Off, ..LoadOptions::default() };
    let collection = collect_builtin(&options, &|_, _| {}).expect("the built-in set");
    let of_one_track =
        collection.recordings.iter().filter(|a| collection.recordings.iter().filter(|b| a.group == b.group).count() > 1);
    assert!(of_one_track.count() > 9, "there are clips of one track among them");
    assert_eq!(collection.near_duplicates(), []);
}

#[test]
fn pairs_are_named_with_the_sides_they_are_on() {
    let root = folder();
    copies(root.path());
    std::fs::copy(root.path().join("a/original.ogg"), root.path().join("a/copy.ogg")).expect("a copy");
    let parts = [
        ("a/original.ogg", "train", "x"),
        ("a/copy.ogg", "train", "x"),
        ("b/quieter.wav", "test", "x"),
        ("b/reencoded.mp3", "train", "y"),
        ("a/metal.00008.mp3", "valid", "z"),
        ("b/metal.00010.au", "test", "z"),
    ];
    let rows = parts.iter().map(|(path, part, group)| format!("{path},{},{part},{group}\n", &path[..1]));
    manifest(root.path(), &format!("path,label,split,group\n{}", rows.collect::<String>()));
    let collection = gather(root.path());
    let pairs = collection.near_duplicates();
    // Equal content is named elsewhere.
    assert_eq!(collection.duplicates.len(), 1);
    assert_eq!(pairs.len(), 5, "{:?}", named(&collection, &pairs));

    let data = collection.dataset(Protocol::Grouped, Draw::single(0)).expect("a data set");
    let rows = collection.near_duplicate_rows(&pairs, &data);
    let row = rows.iter().find(|row| (&*row.first, &*row.second) == ("a/original.ogg", "b/quieter.wav")).expect("the pair");
    assert_eq!((&*row.first_part, &*row.second_part, row.separated, row.same_group), ("train", "test", true, true));
    let row = rows.iter().find(|row| (&*row.first, &*row.second) == ("a/original.ogg", "b/reencoded.mp3")).expect("the pair");
    assert_eq!((&*row.first_part, &*row.second_part, row.separated, row.same_group), ("train", "train", false, false));
    assert_eq!(rows.iter().filter(|row| row.separated).count(), 3);
    let warning = near_duplicate_warning(&rows).expect("a warning");
    for words in ["5 pairs of files hold the same recording", "3 of them on two sides", "(train)", "b/quieter.wav (test)"] {
        assert!(warning.contains(words), "`{words}` is missing in: {warning}");
    }
    assert_eq!(near_duplicate_warning(&[]), None);
    let kept: Vec<_> = rows.iter().filter(|row| !row.separated).cloned().collect();
    assert!(near_duplicate_warning(&kept).expect("a warning").contains("none on two sides"));

    let path = root.path().join("near_duplicates.csv");
    write_near_duplicates_csv(&path, &rows).expect("written");
    let text = std::fs::read_to_string(&path).expect("the table");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "first,second,distance,shift_seconds,shared_seconds,same_group,first_part,second_part,separated");
    assert_eq!(lines.len(), 6);
    assert!(lines[1].contains(",0.00,") && lines[1].ends_with(",true,train,test,true"), "{text}");
}

#[test]
fn silence_steady_tones_and_scraps_are_no_recordings_to_compare() {
    let root = folder();
    let clip = |name: &str, frames: usize, value: &dyn Fn(usize) -> f32| {
        let data = (0..frames * 128).map(value).collect();
        features(&root.path().join(name), &Features { frames, n_mels: 128, data });
    };
    for (i, level) in [-80.0, -40.0, -20.0].into_iter().enumerate() {
        clip(&format!("a/steady {i}.npy"), 100 + i, &|cell| level + (cell % 128) as f32 / 10.0);
        clip(&format!("b/frame {i}.npy"), 64, &|cell| level + ((cell * (i + 3)) % 17) as f32);
    }
    assert_eq!(gather(root.path()).near_duplicates(), []);
    // Tones begin and end alike, whatever their pitch.
    let tones = folder();
    for (i, seconds) in [0.7, 0.7, 0.7, 5.0, 5.0, 5.0].into_iter().enumerate() {
        let pitch = [300.0, 350.0, 420.0][i % 3];
        let tone = |t: usize| (8000.0 * (t as f64 * pitch * std::f64::consts::TAU / f64::from(RATE)).sin()) as i16;
        let samples: Vec<i16> = (0..(seconds * f64::from(RATE)) as usize).map(tone).collect();
        wav(&tones.path().join(["a", "b"][i % 2]).join(format!("{pitch} Hz, {seconds} s.wav")), &samples);
    }
    for frames in [8, 100] {
        let options = LoadOptions { frames, ..options() };
        assert_eq!(collect(tones.path(), &options, &|_, _| {}).expect("a collection").near_duplicates(), []);
    }
    let short = music(&[("a", 12), ("b", 12)]);
    let options = LoadOptions { frames: 1, ..options() };
    assert_eq!(collect(short.path(), &options, &|_, _| {}).expect("a collection").near_duplicates(), []);
}

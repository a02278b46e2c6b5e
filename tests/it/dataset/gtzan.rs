//! GTZAN is known by its names, and what is known about it is built in.

use super::fixtures::*;
use melgrad::dataset::{BadFile, Collection, Dataset, DatasetError, Draw, Protocol, Split, collect};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const GENRES: [&str; 10] = ["blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock"];

/// Tracks of one frame and one band, but for those left out.
fn tracks(root: &Path, without: &[&str]) {
    for (g, genre) in GENRES.iter().enumerate() {
        for i in 0..100 {
            let track = format!("{genre}.{i:05}");
            if !without.contains(&track.as_str()) {
                ramp(&root.join(genre).join(track + ".npy"), 1, 1, (100 * g + i) as f32);
            }
        }
    }
}

fn gather(path: &Path) -> Result<Collection, DatasetError> {
    let mut options = options();
    (options.frames, options.features.n_mels, options.data.min_seconds) = (1, 1, 0.0);
    collect(path, &options, &|_, _| {})
}

fn filtered(collection: &Collection) -> Dataset {
    collection.dataset(Protocol::GtzanFiltered, Draw::single(0)).expect("the fault-filtered split")
}

#[test]
fn the_fault_filtered_split_is_built_in_and_separates_every_known_artist() {
    let root = folder();
    tracks(root.path(), &[]);
    let collection = gather(root.path()).expect("GTZAN");
    assert!(collection.is_gtzan());
    let data = filtered(&collection);
    assert_eq!(Split::ALL.map(|part| data.part(part).len()), [443, 197, 290]);
    warned(&data, &["70 tracks are in none of the fault-filtered lists"]);
    assert_eq!(data.bad, []);
    assert_eq!(sample(&data, "blues/blues.00012.npy").split, Split::Test);
    assert_eq!(sample(&data, "blues/blues.00012.npy").group, "Robert Johnson");
    let mut side: BTreeMap<&str, Split> = BTreeMap::new();
    for sample in &data.samples {
        assert_eq!(*side.entry(&sample.group).or_insert(sample.split), sample.split, "{}", sample.group);
    }
    for protocol in [Protocol::Grouped, Protocol::Seed, Protocol::Bbnn] {
        assert_eq!(collection.dataset(protocol, Draw::single(1)).expect("a data set").samples.len(), 1000, "{protocol}");
    }
}

#[test]
fn artists_are_the_groups_of_gtzan_in_every_protocol() {
    let root = folder();
    tracks(root.path(), &[]);
    let collection = gather(root.path()).expect("GTZAN");
    let (mut artists, mut alone) = (BTreeSet::new(), 0);
    for recording in &collection.recordings {
        if recording.group == recording.path.to_string_lossy() {
            alone += 1;
        } else {
            artists.insert(&recording.group);
        }
    }
    assert_eq!((artists.len(), alone), (244, 81));
    for fold in 0..5 {
        let data = collection.dataset(Protocol::Grouped, Draw { seed: 0, folds: 5, fold }).expect("a fold");
        let of = |part| data.part(part).iter().map(|&i| data.samples[i].group.clone()).collect::<BTreeSet<_>>();
        assert!(of(Split::Train).is_disjoint(&of(Split::Test)) && of(Split::Valid).is_disjoint(&of(Split::Test)));
        for (genre, n) in data.class_counts(Split::Test).into_iter().enumerate() {
            // A third of the reggae is Bob Marley: whole groups leave no evener choice.
            assert!((15..=35).contains(&n), "fold {fold}: {n} of {}", GENRES[genre]);
        }
        warned(&data, &["this is GTZAN", "919 of 1000 tracks"]);
    }
}

#[test]
fn the_folder_above_is_understood_and_what_is_missing_is_named() {
    let root = folder();
    let genres = root.path().join("genres_original");
    tracks(&genres, &["jazz.00054", "blues.00012", "pop.00015"]);
    write(&genres.join("jazz/jazz.00054.wav"), b"RIFF, but no sound");
    write(&genres.join("jazz/._jazz.00001.wav"), b"what another system left");
    write(&root.path().join("images_original/blues/blues00000.png"), b"a picture");
    write(&root.path().join("features_30_sec.csv"), b"filename,tempo\n");
    let collection = gather(root.path()).expect("GTZAN");
    let data = filtered(&collection);
    assert_eq!(Split::ALL.map(|part| data.part(part).len()), [442, 197, 289]);
    warned(&data, &["2 tracks", "not there or cannot be used: blues.00012, jazz.00054"]);
    let reasons: Vec<_> = data.bad.iter().map(|BadFile { path, reason }| format!("{}: {reason}", path.display())).collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons[0].starts_with("jazz/jazz.00054.wav: "), "{reasons:?}");
    assert!(reasons[1].starts_with("blues/blues.00012: no such file, but the fault-filtered lists have it in their test part"));

    let above = folder();
    tracks(&above.path().join("genres"), &[]);
    assert_eq!(gather(above.path()).expect("GTZAN").recordings.len(), 1000);
}

#[test]
fn other_data_is_no_gtzan() {
    let root = folder();
    for name in ["blues/blues.00000.npy", "blues/song.npy", "jazz/jazz.00001.npy"] {
        ramp(&root.path().join(name), 1, 1, name.len() as f32);
    }
    let collection = gather(root.path()).expect("a collection");
    assert!(!collection.is_gtzan());
    assert_eq!(collection.recordings[0].group, "blues/blues.00000.npy");
    let refusal = collection.dataset(Protocol::GtzanFiltered, Draw::single(0)).expect_err("no GTZAN").to_string();
    assert!(refusal.contains("is not GTZAN") && refusal.contains("blues/song.npy"), "{refusal}");
    // `metal` is a genre of GTZAN's, `ambient` is not.
    let other = folder();
    for name in ["metal/metal.00000.npy", "ambient/ambient.00000.npy"] {
        ramp(&other.path().join(name), 1, 1, name.len() as f32);
    }
    assert!(!gather(other.path()).expect("a collection").is_gtzan());
    // Nor are its names under other labels, or beyond its numbers.
    for name in ["jazz/blues.00000.npy", "blues/blues.00100.npy", "blues/blues.0000.npy"] {
        let odd = folder();
        for name in [name, "rock/rock.00000.npy"] {
            ramp(&odd.path().join(name), 1, 1, name.len() as f32);
        }
        assert!(!gather(odd.path()).expect("a collection").is_gtzan(), "{name}");
    }
}

//! What a `splits.csv` gives back, whatever protocol it was written by.

use super::fixtures::*;
use melgrad::dataset::{Collection, Dataset, Draw, KeptSplits, Protocol, Split, collect, write_splits_csv};
use std::path::Path;

fn gather(path: &Path) -> Collection {
    let mut options = options();
    (options.frames, options.features.n_mels, options.data.min_seconds) = (2, 1, 0.0);
    collect(path, &options, &|_, _| {}).expect("a collection")
}

/// Two classes of 12 files of seven frames, every second one a copy of the one before.
fn copies() -> Collection {
    let root = folder();
    for class in ["rock", "jazz"] {
        for i in 0..12 {
            let base = 1000.0 * f32::from(class == "rock") + 50.0 * (i / 2) as f32;
            ramp(&root.path().join(format!("{class}/{i:02}.npy")), 1, 7, base);
        }
    }
    gather(root.path())
}

/// A few tracks of GTZAN, of which its lists leave some out.
fn gtzan() -> Collection {
    let root = folder();
    for genre in ["blues", "jazz", "rock"] {
        for i in 0..40 {
            ramp(&root.path().join(format!("{genre}/{genre}.{i:05}.npy")), 1, 2, (100 * genre.len() + 2000 + i * 3) as f32);
        }
    }
    gather(root.path())
}

fn kept(data: &Dataset) -> KeptSplits {
    let root = folder();
    let path = root.path().join("splits.csv");
    write_splits_csv(&path, data).expect("written");
    KeptSplits::read(&path).expect("read")
}

fn rows(data: &Dataset) -> Vec<(String, Split, String)> {
    data.samples.iter().map(|sample| (sample.name(), sample.split, sample.group.clone())).collect()
}

/// What a network hears of the samples, and in which part.
fn heard(data: &Dataset) -> Vec<(&str, Option<usize>, Split)> {
    data.samples.iter().map(|sample| (sample.content_hash.as_str(), sample.clip.first_frame(), sample.split)).collect()
}

#[test]
fn every_protocol_is_restored_to_the_clip_and_also_of_renamed_files() {
    let (copies, gtzan) = (copies(), gtzan());
    let cases = Protocol::ALL.map(|protocol| (protocol, if protocol == Protocol::GtzanFiltered { &gtzan } else { &copies }));
    for (protocol, collection) in cases {
        for seed in 0..4 {
            let data = collection.dataset(protocol, Draw::single(seed)).expect("a data set");
            let kept = kept(&data);
            let mut again = collection.for_kept(&kept);
            assert_eq!(kept.apply(&mut again), 0, "{protocol}: nothing is new");
            assert_eq!(rows(&again), rows(&data), "{protocol}");

            let mut renamed = collection.clone();
            renamed.recordings.reverse();
            if protocol != Protocol::GtzanFiltered {
                for (i, recording) in renamed.recordings.iter_mut().enumerate() {
                    (recording.path, recording.group) = (format!("other/{i:03}.npy").into(), format!("other {i}"));
                }
            }
            let mut restored = renamed.for_kept(&kept);
            let names = kept.restore(&mut restored);
            assert_eq!(names, data.samples.iter().map(|sample| sample.name()).collect::<Vec<_>>(), "{protocol}");
            assert_eq!(heard(&restored), heard(&data), "{protocol}");
            assert!(restored.samples.iter().zip(&data.samples).all(|(now, then)| now.group == then.group), "{protocol}");
        }
    }
    let seed = |seed| copies.dataset(Protocol::Seed, Draw::single(seed)).expect("a data set");
    let apart = |data: &Dataset| data.samples.chunks(2).any(|pair| pair[0].split != pair[1].split);
    assert!((0..4).any(|draw| apart(&seed(draw))), "no copies are on two sides: the test would show less than it says");
    let filtered = gtzan.dataset(Protocol::GtzanFiltered, Draw::single(0)).expect("a data set");
    assert!(filtered.samples.len() < gtzan.recordings.len(), "the lists leave nothing out: the same");
}

#[test]
fn what_is_not_in_the_record_is_left_out_and_what_is_missing_can_be_counted() {
    let copies = copies();
    let data = copies.dataset(Protocol::LeakySegments, Draw::single(0)).expect("a data set");
    let kept = kept(&data);
    let mut fewer = copies.clone();
    fewer.recordings.retain(|recording| recording.path != Path::new("rock/03.npy"));
    fewer.recordings[0].content_hash = "changed since".into();
    let mut restored = fewer.for_kept(&kept);
    assert_eq!(kept.restore(&mut restored).len(), kept.clips() - 2 * 3, "three segments of seven frames each");
    assert!(restored.samples.iter().all(|sample| sample.content_hash != "changed since"));
    let mut applied = fewer.for_kept(&kept);
    assert_eq!(kept.apply(&mut applied), 3, "changed content is new");
}

#[test]
fn a_name_that_ends_like_a_segments_among_others_is_none() {
    let text = "path,label,split,group,content_hash\na/b#12,a,train,a/b#12,one\na/c.npy,a,test,a/c.npy,two\n";
    let kept = KeptSplits::parse(Path::new("splits.csv"), text.as_bytes()).expect("a record");
    assert_eq!((kept.clips(), kept.part(Split::Train).count()), (2, 1));
    let data = copies().for_kept(&kept);
    assert!(data.samples.iter().all(|sample| sample.clip.first_frame().is_none()));
}

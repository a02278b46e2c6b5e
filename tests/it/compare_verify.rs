//! Capsules of studies whose clips no content alone tells apart: segments of one file, and files that were renamed since.

use crate::training::{Recorder, built_in_collection, gpu, tiny_config};
use melgrad::compare::{Capsule, Cell, Shard, Study, StudyDirectory, run, verify, write_capsule};
use melgrad::config::{Config, ModelName};
use melgrad::dataset::{Collection, Draw, Protocol, Split};
use melgrad::gpu::Gpu;
use melgrad::train::event::Observer;
use melgrad::train::run_directory::RunDirectory;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub(crate) fn study(protocol: Protocol, seeds: Vec<u64>) -> Study {
    let mut config = Config::new(ModelName::Indrnn);
    (config.model.hidden, config.model.layers) = (8, 1);
    config.train = tiny_config().train;
    Study { schema: Study::SCHEMA, models: vec![config], seeds, protocol, folds: 1, marks: vec![1, 2], independent: false }
}

/// Trains the whole study and writes its capsule.
pub(crate) fn finished(gpu: &Gpu, study: &Study, collection: &Collection, folder: &Path) -> Capsule {
    let directory = StudyDirectory::open(&folder.join("study"), study).unwrap();
    let observe = |_: &Cell, _: &RunDirectory, _: usize, _: usize| -> std::io::Result<Box<dyn Observer>> {
        Ok(Box::new(Recorder::default()))
    };
    let data = |_: &Config, draw: Draw| collection.dataset(study.protocol, draw);
    run(gpu, study, Shard::default(), &directory, data, observe).unwrap();
    melgrad::compare::write_tables(study, &directory).unwrap();
    let file = folder.join("study.tar");
    write_capsule(&file, study, &directory).unwrap();
    Capsule::read(&file).unwrap()
}

/// The same files under other names and in another order.
pub(crate) fn renamed(collection: &Collection) -> Collection {
    let mut renamed = collection.clone();
    renamed.recordings.reverse();
    for (i, recording) in renamed.recordings.iter_mut().enumerate() {
        recording.path = format!("renamed/{i:03}.ogg").into();
    }
    renamed
}

#[test]
fn segments_of_one_file_on_two_sides_are_each_known_again() {
    let (gpu, collection) = (gpu(), built_in_collection(&tiny_config()));
    let folder = tempfile::tempdir().unwrap();
    let study = study(Protocol::LeakySegments, vec![0]);
    let capsule = finished(&gpu, &study, &collection, folder.path());
    let data = collection.dataset(study.protocol, Draw::single(0)).unwrap();
    let mut sides: BTreeMap<&Path, BTreeSet<Split>> = BTreeMap::new();
    for sample in &data.samples {
        sides.entry(&sample.path).or_default().insert(sample.split);
    }
    let separated = sides.values().filter(|sides| sides.contains(&Split::Test) && sides.len() > 1).count();
    assert!(separated > 10, "{separated} files are on two sides: the test would show nothing");
    for (collection, bits) in [(&collection, true), (&renamed(&collection), false)] {
        let verdicts = verify(&gpu, &capsule, |_| Ok(collection.clone())).unwrap();
        let [verdict] = verdicts.as_slice() else { panic!("{verdicts:?}") };
        assert_eq!((verdict.clips, verdict.different), (data.part(Split::Test).len(), 0), "{verdict:?}");
        assert!(verdict.largest_difference < 1e-5 && verdict.accuracy == verdict.published_accuracy, "{verdict:?}");
        assert!(!bits || verdict.same_bits, "the same adapter and weights: {verdict:?}");
    }
}

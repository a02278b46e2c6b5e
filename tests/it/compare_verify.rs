//! Capsules of studies whose clips no content alone tells apart (segments of one file, files that were renamed since), and
//! runs that are trained again.

use crate::training::{Recorder, built_in_collection, gpu, tiny_config};
use melgrad::compare::statistics::{Block, spread};
use melgrad::compare::{
    Capsule, Cell, Entry, Retraining, Shard, Study, StudyDirectory, VerifyError, retrain, run, verify, write_capsule,
};
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
    Study {
        schema: Study::SCHEMA,
        models: vec![config.into()],
        split_seed: 0,
        seeds,
        protocol,
        folds: 1,
        marks: vec![1, 2],
        independent: false,
    }
}

/// Trains the whole study and writes its capsule.
pub(crate) fn finished(gpu: &Gpu, study: &Study, collection: &Collection, folder: &Path) -> Capsule {
    let directory = StudyDirectory::open(&folder.join("study"), study).unwrap();
    let observe = |_: &Cell, _: &RunDirectory, _: usize, _: usize| -> std::io::Result<Box<dyn Observer>> {
        Ok(Box::new(Recorder::default()))
    };
    let data = |_: &Entry, draw: Draw| collection.dataset(study.protocol, draw);
    run(gpu, study, Shard::default(), &directory, data, observe).unwrap();
    melgrad::compare::write_tables(study, &directory).unwrap();
    let (outcomes, conclusion) = melgrad::compare::conclude(study, &directory).unwrap().unwrap();
    melgrad::compare::write_outcomes(study, &directory, &outcomes, &conclusion).unwrap();
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
        let verdicts = verify(&gpu, &capsule, |_| Ok(collection.clone())).unwrap().verdicts;
        let [verdict] = verdicts.as_slice() else { panic!("{verdicts:?}") };
        assert_eq!((verdict.clips, verdict.different), (data.part(Split::Test).len(), 0), "{verdict:?}");
        assert!(verdict.largest_difference < 1e-5 && verdict.accuracy == verdict.published_accuracy, "{verdict:?}");
        assert!(!bits || verdict.same_bits, "the same adapter and weights: {verdict:?}");
    }
}

/// Trains the wanted runs again; what it came to, and the runs that were trained and not taken as they were.
fn again(
    gpu: &Gpu,
    capsule: &Capsule,
    collection: &Collection,
    folder: &Path,
    wanted: impl Fn(&Cell) -> bool,
) -> Result<(Retraining, usize), VerifyError> {
    let mut trained = 0;
    let observe = |_: &Cell, _: &RunDirectory, _: usize, _: usize| -> std::io::Result<Box<dyn Observer>> {
        trained += 1;
        Ok(Box::new(Recorder::default()))
    };
    let directory = StudyDirectory::open(folder, &capsule.study).unwrap();
    let outcome = retrain(gpu, capsule, wanted, &directory, |_| Ok(collection.clone()), observe)?;
    Ok((outcome, trained))
}

#[test]
fn trained_again_on_the_same_adapter_a_study_gives_the_same_bits() {
    let (gpu, collection) = (gpu(), built_in_collection(&tiny_config()));
    let folder = tempfile::tempdir().unwrap();
    let capsule = finished(&gpu, &study(Protocol::Grouped, vec![0, 1]), &collection, folder.path());
    let out = folder.path().join("again");
    let (some, trained) = again(&gpu, &capsule, &collection, &out, |cell| cell.seed == 1).unwrap();
    assert_eq!((some.cells.len(), some.networks.len(), some.networks[0].runs, trained), (1, 1, 1, 1));
    let (all, trained) = again(&gpu, &capsule, &renamed(&collection), &out, |_| true).unwrap();
    assert_eq!((all.cells.len(), trained), (2, 1), "what is finished is not trained again");
    for cell in &all.cells {
        let verdict = cell.again.as_ref().unwrap();
        assert!(verdict.same_bits && verdict.different == 0 && verdict.accuracy == cell.published_accuracy, "{cell:?}");
    }
    let network = &all.networks[0];
    assert!(network.same_bits && network.within == Some(true), "{network:?}");
    let [low, high] = network.seed_range;
    let means: Vec<f64> = all.cells.iter().map(|cell| cell.published_accuracy).collect();
    assert_eq!((network.seeds, low, high), (2, means[0].min(means[1]), means[0].max(means[1])));
    assert!((network.accuracy.unwrap() - (low + high) / 2.0).abs() < 1e-12, "{network:?}");

    let mut fewer = collection.clone();
    let data = collection.dataset(Protocol::Grouped, Draw::single(0)).unwrap();
    let learnt = &data.samples[data.part(Split::Train)[0]];
    fewer.recordings.retain(|recording| recording.path != learnt.path);
    let error = again(&gpu, &capsule, &fewer, &folder.path().join("fewer"), |_| true).unwrap_err().to_string();
    assert!(error.contains("1 of 70 clips"), "what it learnt from is asked for, too: {error}");
}

#[test]
fn a_study_that_does_not_come_out_again_is_found_out() {
    let (gpu, collection) = (gpu(), built_in_collection(&tiny_config()));
    let folder = tempfile::tempdir().unwrap();
    let mut study = study(Protocol::LeakySegments, vec![0]);
    study.marks = vec![8];
    let Entry::Network(config) = &mut study.models[0] else { panic!("a network") };
    config.model.hidden = 32;
    let capsule = finished(&gpu, &study, &collection, folder.path());
    // Files that all sound like the first teach nothing.
    let mut silent = collection.clone();
    let clip = silent.recordings[0].clip.clone();
    silent.recordings.iter_mut().for_each(|recording| recording.clip = clip.clone());
    let (outcome, _) = again(&gpu, &capsule, &silent, &folder.path().join("again"), |_| true).unwrap();
    let network = &outcome.networks[0];
    assert!(network.within == Some(false) && !network.same_bits, "{network:?}");
    assert!(network.method.contains("so few seeds"), "{network:?}");
    assert!(network.accuracy.unwrap() < network.interval.unwrap()[0], "{network:?}");
}

/// ```python
/// def spread(blocks):  # (published, again, clips)
///     df = sum(len(p) - 1 for p, a, c in blocks)
///     s2 = sum(((np.array(p) - np.mean(p)) ** 2).sum() for p, a, c in blocks) / df
///     w = np.array([len(a) * c for p, a, c in blocks]) / sum(len(a) * c for p, a, c in blocks)
///     published = sum(w * [np.mean(p) for p, a, c in blocks])
///     half = scipy.stats.t.ppf(.975, df) * np.sqrt(s2 * sum(w**2 * [1 / len(a) + 1 / len(p) for p, a, c in blocks]))
///     return published, published - half, published + half
/// ```
#[test]
fn the_spread_of_seeds_is_the_prediction_interval_of_scipys_t() {
    let block = |published: &[f64], again: &[f64], clips| Block { published: published.into(), again: again.into(), clips };
    let three = |again: &[f64]| block(&[0.6, 0.7, 0.65], again, 20);
    let cases = [
        (vec![three(&[0.72])], [0.65, 0.72, 0.401586228824967, 0.8984137711750328], 2),
        (
            vec![three(&[0.72, 0.5]), block(&[0.5, 0.4], &[0.45], 40), block(&[0.1], &[], 9)],
            [0.55, 0.53, 0.4096673085900494, 0.6903326914099505],
            3,
        ),
        // Seeds that agree by chance: a clip to either side.
        (vec![block(&[0.5, 0.5, 0.5], &[0.6], 10)], [0.5, 0.6, 0.4, 0.6], 2),
    ];
    for (blocks, expected, freedom) in cases {
        let spread = spread(&blocks).unwrap();
        let found = [spread.published, spread.again, spread.interval[0], spread.interval[1]];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{spread:?}");
        assert!(spread.freedom == freedom && spread.holds());
    }
    assert!(!spread(&[block(&[0.5, 0.5, 0.5], &[0.61], 10)]).unwrap().holds());
    assert_eq!(spread(&[block(&[0.5], &[0.5], 10), block(&[0.7], &[0.2], 10)]), None, "one seed has no spread");
    assert_eq!(spread(&[block(&[0.5, 0.6], &[0.0], 10)]), None, "two could have any");
    assert!(spread(&[block(&[0.5, 0.6], &[0.5], 10), block(&[0.3, 0.4], &[0.4], 10)]).is_some(), "in two folds they count twice");
}

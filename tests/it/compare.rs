//! Studies: what is finished is not trained again, shards and interruptions change no byte, and looking changes no training.

use crate::training::{Recorder, built_in, built_in_collection, gpu, tiny_config};
use melgrad::compare::{
    Capsule, CapsuleError, Cell, Entry, Reading, Shard, Study, StudyDirectory, StudyError, conclude, run, summarise, verify,
    write_capsule, write_outcomes, write_tables,
};
use melgrad::config::{Config, ModelName};
use melgrad::dataset::{Dataset, Protocol, Split};
use melgrad::gpu::Gpu;
use melgrad::train::checkpoint::read_model;
use melgrad::train::event::Observer;
use melgrad::train::run_directory::RunDirectory;
use melgrad::train::{DeviceClips, train, train_to_marks};
use std::path::Path;

pub(crate) fn study(independent: bool) -> Study {
    let of = |name| {
        let mut config = Config::new(name);
        (config.model.hidden, config.model.layers) = (8, 1);
        config.train = tiny_config().train;
        config
    };
    let [indrnn, gru] = [ModelName::Indrnn, ModelName::Gru].map(of);
    let baseline = Entry::Baseline(Reading::of(&indrnn));
    Study {
        schema: Study::SCHEMA,
        models: vec![indrnn.into(), gru.into(), baseline],
        split_seed: 0,
        seeds: vec![0, 1],
        protocol: Protocol::Grouped,
        folds: 1,
        marks: vec![1, 2, 3],
        independent,
    }
}

/// Trains what is open, stopping before cell number `most` of it; returns the cells that were trained.
pub(crate) fn go_on(gpu: &Gpu, study: &Study, shard: Shard, path: &Path, data: &Dataset, most: usize) -> Vec<String> {
    let directory = StudyDirectory::open(path, study).unwrap();
    let mut trained = Vec::new();
    let observe = |cell: &Cell, _: &RunDirectory, place: usize, _: usize| -> std::io::Result<Box<dyn Observer>> {
        if place == most {
            return Err(std::io::Error::other("enough"));
        }
        trained.push(cell.to_string());
        Ok(Box::new(Recorder::default()))
    };
    let outcome = run(gpu, study, shard, &directory, |_, _| Ok(data.clone()), observe);
    assert_eq!(outcome.is_ok(), trained.len() < most, "{outcome:?}");
    write_tables(study, &directory).unwrap();
    if let Some((outcomes, conclusion)) = conclude(study, &directory).unwrap() {
        write_outcomes(study, &directory, &outcomes, &conclusion).unwrap();
    }
    trained
}

/// Everything that holds no times.
fn tables(path: &Path) -> [Vec<u8>; 6] {
    let names = ["accuracy.csv", "lengths.csv", "classes.csv", "confusion_matrix.csv", "mistakes.csv", "statistics.json"];
    names.map(|name| std::fs::read(path.join(name)).unwrap())
}

#[test]
fn an_interrupted_study_and_its_shards_give_the_tables_of_an_undisturbed_one() {
    let (gpu, data) = (gpu(), built_in(&tiny_config()));
    for independent in [false, true] {
        let study = study(independent);
        let cells = study.cells().len();
        let folder = tempfile::tempdir().unwrap();
        let [whole, cut, shards] = ["whole", "cut", "shards"].map(|name| folder.path().join(name));
        assert_eq!(go_on(&gpu, &study, Shard::default(), &whole, &data, usize::MAX).len(), cells);

        let first = go_on(&gpu, &study, Shard::default(), &cut, &data, 1);
        // A training that was killed leaves a directory without a result.
        let directory = StudyDirectory::open(&cut, &study).unwrap();
        std::fs::write(directory.cell(&study.cells()[1]).join("config.toml"), "half of").unwrap();
        let rest = go_on(&gpu, &study, Shard::default(), &cut, &data, usize::MAX);
        assert_eq!((first.len(), rest.len()), (1, cells - 1), "what is finished is not trained again");
        assert!(!rest.contains(&first[0]));

        for index in [1, 0] {
            go_on(&gpu, &study, Shard { index, count: 2 }, &shards, &data, usize::MAX);
        }
        assert!(go_on(&gpu, &study, Shard::default(), &shards, &data, usize::MAX).is_empty(), "two halves are all");
        for other in [&cut, &shards] {
            assert!(tables(&whole) == tables(other), "{} differs (independent: {independent})", other.display());
        }
        let rows = String::from_utf8(tables(&whole)[0].clone()).unwrap().lines().count() - 1;
        assert_eq!(rows, 2 * 2 * 3 + 1, "a row for each network, seed and mark, and one for the baseline");
        assert_eq!(summarise(&study, &directory).unwrap().iter().map(|model| model.cells).sum::<usize>(), cells);
        let (outcomes, conclusion) = conclude(&study, &directory).unwrap().unwrap();
        assert_eq!((conclusion.epochs, conclusion.clips, conclusion.models.len(), conclusion.pairs.len()), (3, 15, 3, 3));
        assert_eq!(outcomes.entries.iter().map(|entry| entry.runs.len()).collect::<Vec<_>>(), [2, 2, 1]);
        assert!(conclusion.sentences.iter().any(|sentence| sentence.contains("simple baseline")), "{:?}", conclusion.sentences);
        assert!(conclusion.sentences.iter().any(|sentence| sentence.contains("too few to tell")), "{:?}", conclusion.sentences);
        for (headline, summary) in conclusion.models.iter().zip(summarise(&study, &directory).unwrap()) {
            let [a, b] = [headline.test_accuracy, summary.test_accuracy].map(Option::unwrap);
            assert!((a - b).abs() < 1e-12, "{}: {a} and {b}", headline.model);
        }
    }
}

#[test]
fn looking_at_marks_changes_no_bit_of_a_training() {
    let (gpu, mut config) = (gpu(), tiny_config());
    config.train.epochs = 3;
    let data = built_in(&config);
    config.data.classes.clone_from(&data.classes);
    let folder = tempfile::tempdir().unwrap();
    let directory = |name: &str| RunDirectory::create(Some(&folder.path().join(name)), "indrnn").unwrap();
    let (plain, marked) = (directory("plain"), directory("marked"));
    train(&gpu, &config, &data, &plain, &mut Recorder::default()).unwrap();
    let trained =
        train_to_marks(&gpu, &DeviceClips::default(), &config, &data, &marked, &[1, 2, 3], &mut Recorder::default()).unwrap();
    let last = |run: &RunDirectory| read_model(&run.file("last")).unwrap().1;
    assert!(last(&plain) == last(&marked));
    assert_eq!(trained.marks.iter().map(|mark| mark.epoch).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(trained.marks.iter().all(|mark| mark.best_epoch <= mark.epoch && mark.test.is_some()));
    assert_eq!(trained.epoch_seconds.len(), 3);
    assert_eq!(trained.marks[2].test.as_ref().map(|test| test.accuracy), trained.summary.test_accuracy);
}

#[test]
fn another_study_or_something_else_is_not_written_into() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("study");
    StudyDirectory::open(&path, &study(false)).unwrap();
    StudyDirectory::open(&path, &study(false)).unwrap();
    let mut other = study(false);
    let Entry::Network(config) = &mut other.models[1] else { panic!("a network") };
    config.train.learning_rate = 0.5;
    let error = StudyDirectory::open(&path, &other).unwrap_err();
    assert!(
        matches!(error, StudyError::Other { .. }) && error.to_string().contains("models.1.network.train.learning_rate"),
        "{error}"
    );
    std::fs::write(folder.path().join("song.mp3"), "").unwrap();
    assert!(matches!(StudyDirectory::open(folder.path(), &study(false)), Err(StudyError::NotAStudy { .. })));
}

#[test]
fn runs_of_other_lengths_have_other_seeds() {
    let cells = study(true).cells().into_iter().filter(|cell| cell.length.is_some());
    let seeds: std::collections::BTreeSet<u64> = cells.map(|cell| cell.training_seed()).collect();
    assert_eq!(seeds.len(), 2 * 3, "one for each seed and length, the same for all networks");
    for seed in seeds {
        let mut config = tiny_config();
        config.train.seed = seed;
        assert_eq!(Config::from_text(&config.to_toml(), Path::new("config.toml")).unwrap().train.seed, seed, "on disk");
    }
    assert!(study(false).cells().iter().all(|cell| cell.training_seed() == cell.seed));
    for (text, expected) in [("1/1", Some((0, 1))), ("2/4", Some((1, 4))), ("0/4", None), ("5/4", None), ("x", None), ("1", None)]
    {
        assert_eq!(text.parse::<Shard>().ok().map(|shard| (shard.index, shard.count)), expected, "{text}");
    }
}

#[test]
fn a_capsule_is_checked_again_and_refused_once_it_was_changed() {
    let (gpu, data) = (gpu(), built_in(&tiny_config()));
    let mut study = study(false);
    (study.seeds, study.marks) = (vec![0], vec![2]);
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = (folder.path().join("study"), folder.path().join("study.tar"));
    let directory = StudyDirectory::open(&path, &study).unwrap();
    let unfinished = write_capsule(&file, &study, &directory).unwrap_err();
    assert!(matches!(unfinished, CapsuleError::Unfinished { .. }) && !file.exists(), "{unfinished}");
    go_on(&gpu, &study, Shard::default(), &path, &data, usize::MAX);
    write_capsule(&file, &study, &directory).unwrap();

    let capsule = Capsule::read(&file).unwrap();
    assert_eq!(capsule.study, study);
    let collection = built_in_collection(&tiny_config());
    let verdicts = verify(&gpu, &capsule, |_| Ok(collection.clone())).unwrap().verdicts;
    assert_eq!(verdicts.len(), 3, "the networks and the baseline");
    for verdict in &verdicts {
        assert!(verdict.clips == 15 && verdict.different == 0 && verdict.largest_difference < 1e-5, "{verdict:?}");
        assert_eq!(verdict.accuracy, verdict.published_accuracy);
    }
    let lacking = |_: &Config| {
        let mut collection = collection.clone();
        let tested = &data.samples[data.part(Split::Test)[0]];
        collection.recordings.retain(|recording| recording.path != tested.path);
        Ok(collection)
    };
    let error = verify(&gpu, &capsule, lacking).unwrap_err().to_string();
    assert!(error.contains("1 of 15 test clips"), "{error}");

    let whole = std::fs::read(&file).unwrap();
    let places = ["model.safetensors", "predictions-2.csv", "sha256.json"].map(|name| {
        let header = whole.windows(name.len()).position(|bytes| bytes == name.as_bytes()).unwrap();
        header / 512 * 512 + 512 + 100
    });
    for place in places {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        std::fs::write(&file, &changed).unwrap();
        assert!(matches!(Capsule::read(&file), Err(CapsuleError::Tampered { .. })), "byte {place}");
    }
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    assert!(matches!(Capsule::read(&file), Err(CapsuleError::Tampered { .. })), "half of it");
}

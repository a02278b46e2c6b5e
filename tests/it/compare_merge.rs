//! Shares of a study: who trains what, beginning at once, and joined from different directories.

use crate::cli::Sandbox;
use crate::compare_verify::study;
use crate::training::{Recorder, built_in_collection, gpu, tiny_config};
use melgrad::compare::{
    Cell, Entry, MergeError, Reading, Shard, Study, StudyDirectory, StudyError, merge, run, write_capsule, write_tables,
};
use melgrad::dataset::{Collection, Draw, Protocol};
use melgrad::gpu::Gpu;
use melgrad::train::event::Observer;
use melgrad::train::run_directory::RunDirectory;
use std::path::{Path, PathBuf};

#[test]
fn a_cluster_says_which_share_a_task_is_there_for() {
    let slurm = |id: &str, least: &str, count: &str, step: &str| {
        vec![
            ("SLURM_ARRAY_TASK_ID", id.to_owned()),
            ("SLURM_ARRAY_TASK_MIN", least.to_owned()),
            ("SLURM_ARRAY_TASK_COUNT", count.to_owned()),
            ("SLURM_ARRAY_TASK_STEP", step.to_owned()),
        ]
    };
    let index = |index: &str| ("JOB_COMPLETION_INDEX", index.to_owned());
    type Variables = Vec<(&'static str, String)>;
    let cases: [(Variables, Result<Option<&str>, &str>); 17] = [
        (vec![], Ok(None)),
        (vec![("MELGRAD_SHARDS", "4".into())], Ok(None)),
        (vec![("SLURM_JOB_ID", "77".into())], Ok(None)),
        (slurm("0", "0", "4", "1"), Ok(Some("1/4"))),
        (slurm("4", "1", "4", "1"), Ok(Some("4/4"))),
        (slurm("25", "10", "4", "5"), Ok(Some("4/4"))),
        (slurm("3", "3", "1", ""), Ok(Some("1/1"))),
        (slurm("12", "10", "4", "5"), Err("--array=0-3")),
        (slurm("7", "1", "3", "1"), Err("an array with gaps")),
        (slurm("0", "1", "4", "1"), Err("an array with gaps")),
        (slurm("two", "1", "4", "1"), Err("SLURM_ARRAY_TASK_ID=two is no number")),
        (vec![("SLURM_ARRAY_TASK_ID", "2".into())], Err("SLURM_ARRAY_TASK_COUNT")),
        (vec![index("2"), ("MELGRAD_SHARDS", "4".into())], Ok(Some("3/4"))),
        (vec![index("0"), ("JOB_COMPLETIONS", "2".into())], Ok(Some("1/2"))),
        (vec![index("0"), ("MELGRAD_SHARDS", "8".into()), ("JOB_COMPLETIONS", "2".into())], Ok(Some("1/8"))),
        (vec![index("4"), ("MELGRAD_SHARDS", "4".into())], Err("counted from 0, but there are 4")),
        (vec![index("2")], Err("set MELGRAD_SHARDS")),
    ];
    for (variables, expected) in cases {
        let get = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        let found = Shard::from_environment(get);
        match (&found, expected) {
            (Ok(shard), Ok(expected)) => {
                assert_eq!(shard.map(|(shard, _)| shard.to_string()).as_deref(), expected, "{variables:?}");
            }
            (Err(words), Err(expected)) => assert!(words.contains(expected), "{variables:?}: {words}"),
            _ => panic!("{variables:?}: {found:?}, not {expected:?}"),
        }
    }
}

#[test]
fn shares_that_begin_at_the_same_moment_share_a_directory() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (study(Protocol::Grouped, vec![0]), study(Protocol::Seed, vec![0]));
    for round in 0..40 {
        let path = folder.path().join(format!("study {round}"));
        let barrier = std::sync::Barrier::new(8);
        let begin = |place: usize| {
            barrier.wait();
            // Two people who chose the same directory, in every second round.
            let study = if round % 2 == 1 && place % 2 == 1 { &other } else { &one };
            StudyDirectory::open(&path, study).map(|_| place % 2)
        };
        let opened: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|place| scope.spawn(move || begin(place))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let (_, begun) = StudyDirectory::existing(&path).unwrap();
        if round % 2 == 0 {
            assert!(opened.iter().all(Result::is_ok) && begun == one, "{opened:?}");
        } else {
            let kind = usize::from(begun == other);
            let right = |opened: &Result<usize, StudyError>| match opened {
                Ok(own) => *own == kind,
                Err(error) => matches!(error, StudyError::Other { .. }),
            };
            assert!(opened.iter().filter(|opened| opened.is_ok()).count() == 4 && opened.iter().all(right), "{opened:?}");
        }
        let names: Vec<_> = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "settings and cells, nothing beside them: {names:?}");
    }
}

/// Trains a share in a directory of its own.
fn train(gpu: &Gpu, study: &Study, shard: &str, collection: &Collection, path: &Path) -> StudyDirectory {
    let directory = StudyDirectory::open(path, study).unwrap();
    let observe = |_: &Cell, _: &RunDirectory, _: usize, _: usize| -> std::io::Result<Box<dyn Observer>> {
        Ok(Box::new(Recorder::default()))
    };
    let data = |_: &Entry, draw: Draw| collection.dataset(study.protocol, draw);
    run(gpu, study, shard.parse().unwrap(), &directory, data, observe).unwrap();
    directory
}

fn tables(directory: &StudyDirectory, study: &Study) -> [Vec<u8>; 2] {
    write_tables(study, directory).unwrap();
    ["accuracy.csv", "lengths.csv"].map(|name| std::fs::read(directory.file(name)).unwrap())
}

#[test]
fn shares_from_two_machines_give_the_tables_of_one_process() {
    let (gpu, collection) = (gpu(), built_in_collection(&tiny_config()));
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut here = study(Protocol::Grouped, vec![0, 1]);
    let Entry::Network(config) = &here.models[0] else { panic!("a network") };
    here.models.push(Entry::Baseline(Reading::of(config)));
    let mut there = here.clone();
    let Entry::Network(config) = &mut there.models[0] else { panic!("a network") };
    config.data.path = "/elsewhere/music".into();

    let whole = train(&gpu, &here, "1/1", &collection, &path("whole"));
    let shares = [path("one"), path("two")];
    train(&gpu, &here, "1/2", &collection, &shares[0]);
    // A run that was interrupted there counts for nothing.
    std::fs::create_dir_all(shares[0].join("cells/indrnn-1-seed1-fold0/best")).unwrap();
    train(&gpu, &there, "2/2", &collection, &shares[1]);
    // Half of a copy, left by a merge that was killed.
    std::fs::create_dir_all(path("all/cells/.part-indrnn-1-seed0-fold0/best")).unwrap();
    std::fs::copy(shares[0].join("study.json"), path("all/study.json")).unwrap();

    let (joined, study) = merge(&shares, &path("all")).unwrap();
    assert_eq!((joined.finished(&study), study.cells().len()), (3, 3));
    assert!(tables(&joined, &study) == tables(&whole, &here), "the tables differ");
    write_capsule(&path("all.tar"), &study, &joined).expect("nothing is missing");
    let names: Vec<_> = std::fs::read_dir(joined.file("cells")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    // Again, and into one of them: what is there is there.
    merge(&shares, &path("all")).unwrap();
    let (joined, _) = merge(&shares, &shares[1]).unwrap();
    assert!(tables(&joined, &there) == tables(&whole, &here));

    refuses(&[shares[0].clone(), path("nothing")], &path("x"), "there is no study.json in it");
    let result = shares[1].join("cells/indrnn-1-seed0-fold0/result.json");
    let text = std::fs::read_to_string(&result).unwrap();
    std::fs::write(&result, text.replacen("\"parameters\": ", "\"parameters\": 1", 1)).unwrap();
    let error = refuses(&shares, &path("x"), "different results in");
    assert!(shares.iter().all(|share| error.contains(&*share.to_string_lossy())), "both are named: {error}");
    std::fs::write(&result, text).unwrap();
    let splits = shares[1].join("cells/indrnn-1-seed1-fold0/splits.csv");
    std::fs::write(&splits, std::fs::read_to_string(&splits).unwrap().replacen("train", "test", 1)).unwrap();
    refuses(&shares, &path("x"), "the data are not the same");
    let mut other = here.clone();
    other.marks = vec![1, 3];
    StudyDirectory::open(&path("other"), &other).unwrap();
    refuses(&[shares[0].clone(), path("other")], &path("x"), "different studies (marks.1 was 2 and is now 3)");
    assert!(!path("x").exists(), "nothing is written before all is seen to fit");
}

fn refuses(shares: &[PathBuf], out: &Path, words: &str) -> String {
    let error: MergeError = merge(shares, out).unwrap_err();
    let said = error.to_string();
    assert!(said.contains(words), "{said}");
    said
}

#[test]
fn processes_that_begin_and_end_together_write_the_tables_of_one() {
    let sandbox = Sandbox::new();
    let data = sandbox.tones("music", 6);
    let compare = |more: &[&str]| -> Vec<String> {
        let settings = "--models indrnn,baseline --seeds 2 --frames 16 --hidden 8 --layers 1 --epochs 2 --timing-rounds 0";
        let words = ["compare", &data].into_iter().chain(settings.split(' ')).chain(more.iter().copied());
        words.map(str::to_owned).collect()
    };
    let good = |args: Vec<String>| sandbox.good(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let [whole, shared, joined] = ["whole", "shared", "joined"].map(|name| sandbox.text(name));
    good(compare(&["--out", &whole]));
    std::thread::scope(|scope| {
        for shard in ["1/3", "2/3", "3/3"] {
            let (compare, good, shared) = (&compare, &good, &shared);
            scope.spawn(move || good(compare(&["--out", shared, "--shard", shard])));
        }
    });
    for shard in ["1/2", "2/2"] {
        good(compare(&["--out", &sandbox.text(&shard.replace('/', " of ")), "--shard", shard]));
    }
    let said = sandbox.good(&["compare", "--merge", &sandbox.text("1 of 2"), &sandbox.text("2 of 2"), "--out", &joined]);
    assert!(said.contains("3 of 3"), "{said}");
    for table in ["accuracy.csv", "lengths.csv", "classes.csv", "confusion_matrix.csv", "mistakes.csv"] {
        let read = |study: &str| std::fs::read_to_string(Path::new(study).join(table)).unwrap();
        assert!([&shared, &joined].iter().all(|study| read(study) == read(&whole)), "{table}");
    }
    let said = sandbox.bad(&["compare", "--merge", &whole], 2);
    assert!(said.contains("--out"), "{said}");
}

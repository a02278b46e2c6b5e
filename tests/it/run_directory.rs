//! Where runs go, and how they are found again.

use melgrad::config::{Config, ModelName};
use melgrad::train::run_directory::{RunDirectory, RunDirectoryError, write_atomic, write_json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Barrier;

fn names(dir: &Path) -> BTreeSet<String> {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn runs_are_numbered_per_network_from_the_highest_on() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("deep").join("runs");
    let create = |model| RunDirectory::create_numbered(&root, model).unwrap().path().to_path_buf();
    assert_eq!(create(ModelName::Bbnn), root.join("bbnn-1"));
    assert_eq!(create(ModelName::Bbnn), root.join("bbnn-2"));
    assert_eq!(create(ModelName::Indrnn), root.join("indrnn-1"));
    std::fs::remove_dir(root.join("bbnn-1")).unwrap();
    std::fs::write(root.join("bbnn-9"), "a file takes its number, too").unwrap();
    std::fs::create_dir(root.join("bbnn-x")).unwrap();
    assert_eq!(create(ModelName::Bbnn), root.join("bbnn-10"));
}

#[test]
fn two_runs_that_begin_at_once_get_two_directories() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..50 {
        let together = Barrier::new(4);
        let create = || {
            together.wait();
            RunDirectory::create_numbered(dir.path(), "bbnn").unwrap().path().to_path_buf()
        };
        let paths: BTreeSet<PathBuf> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(create)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(paths.len(), 4);
    }
    assert_eq!(names(dir.path()).len(), 200);
}

#[test]
fn a_given_directory_is_made_or_taken_if_empty_but_never_shared() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("a").join("b");
    assert_eq!(RunDirectory::create(Some(&out), ModelName::Bbnn).unwrap().path(), out);
    let again = RunDirectory::create(Some(&out), ModelName::Bbnn);
    assert!(again.is_ok(), "it is still empty");
    std::fs::write(out.join("notes.txt"), "mine").unwrap();
    let error = RunDirectory::create(Some(&out), ModelName::Bbnn).unwrap_err();
    assert!(matches!(error, RunDirectoryError::Exists { .. }));
    let expected = "exists and is not empty; a run needs a directory of its own: give --out another one, or move this one away";
    assert_eq!(error.to_string(), format!("{}: {expected}", out.display()));
    assert_eq!(names(&out), BTreeSet::from(["notes.txt".to_string()]));

    let file = out.join("notes.txt");
    let error = RunDirectory::create(Some(&file), ModelName::Bbnn).unwrap_err();
    assert!(matches!(error, RunDirectoryError::Exists { what: "is a file", .. }), "{error}");
    let error = RunDirectory::create(Some(&file.join("run")), ModelName::Bbnn).unwrap_err();
    assert!(matches!(error, RunDirectoryError::Write { .. }), "{error}");
}

#[test]
fn a_run_is_found_again_with_its_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let run = RunDirectory::create(Some(&dir.path().join("run")), "bbnn").unwrap();
    let mut config = Config::new(ModelName::Bbnn);
    config.train.seed = 7;
    config.data.classes = vec!["drum & bass".into(), "\"new\" wave".into()];
    run.write_config(&config).unwrap();
    let (opened, read) = RunDirectory::open(run.path()).unwrap();
    assert_eq!((opened, read), (run, config));
}

#[test]
fn what_is_no_run_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let check = |path: &Path, expected: &str| {
        let error = RunDirectory::open(path).unwrap_err();
        assert!(matches!(error, RunDirectoryError::Missing { .. }), "{error:?}");
        assert_eq!(error.to_string(), format!("{}: {expected}", path.display()));
    };
    let remedy = "give a directory that `melgrad train` wrote";
    check(&dir.path().join("none"), &format!("there is no such directory; {remedy}"));
    check(dir.path(), &format!("there is no config.toml in it; {remedy}"));
    let run = RunDirectory::create_numbered(dir.path(), "bbnn").unwrap();
    run.write_config(&Config::new(ModelName::Bbnn)).unwrap();
    check(&run.file("config.toml"), &format!("is a file, not a directory; {remedy}"));
    check(dir.path(), &format!("there is no config.toml in it; {remedy}, such as {}", run.path().display()));

    std::fs::write(run.file("config.toml"), "schema = 1\nmodel = 3\n").unwrap();
    let error = RunDirectory::open(run.path()).unwrap_err();
    assert!(matches!(error, RunDirectoryError::Config(_)), "{error:?}");
    assert!(error.to_string().contains("config.toml") && error.to_string().contains("line 2"), "{error}");
}

#[test]
fn the_environment_says_what_ran_where_and_when() {
    let dir = tempfile::tempdir().unwrap();
    let run = RunDirectory::create_numbered(dir.path(), "bbnn").unwrap();
    run.write_environment(serde_json::json!({"name": "Some GPU"})).unwrap();
    let text = std::fs::read_to_string(run.file("environment.json")).unwrap();
    let environment: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(environment["melgrad"], env!("CARGO_PKG_VERSION"));
    assert_eq!(environment["os"], std::env::consts::OS);
    assert_eq!(environment["arch"], std::env::consts::ARCH);
    assert_eq!(environment["adapter"]["name"], "Some GPU");
    assert_eq!(environment["command"].as_array().unwrap().len(), std::env::args().count());
    assert!(environment["started"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
}

#[test]
fn a_file_is_replaced_whole_and_leaves_nothing_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("evaluation.json");
    write_atomic(&path, b"old and long").unwrap();
    write_json(&path, &[1, 2]).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "[\n  1,\n  2\n]\n");
    assert_eq!(names(dir.path()), BTreeSet::from(["evaluation.json".to_string()]));

    // A directory cannot be replaced by a file.
    let taken = dir.path().join("taken");
    std::fs::create_dir(&taken).unwrap();
    let error = write_atomic(&taken, b"new").unwrap_err();
    assert!(matches!(&error, RunDirectoryError::Write { path, .. } if *path == taken), "{error:?}");
    assert!(error.to_string().starts_with(&format!("{}: cannot be written: ", taken.display())), "{error}");
    assert_eq!(names(dir.path()).len(), 2, "the failed attempt is cleared away");
}

//! What was published is what was said: runs whose files were lost, cut or changed, capsules that contradict themselves, and
//! splits that were picked and not drawn.

use crate::cli::Sandbox;
use crate::compare_verify::{finished, study};
use crate::training::{built_in_collection, gpu, tiny_config};
use melgrad::compare::{
    Capsule, CapsuleError, Entry, Reading, Study, StudyDirectory, StudyError, VerifyError, conclude, verify, write_tables,
};
use melgrad::dataset::{Collection, Protocol};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

fn with_baseline() -> Study {
    let mut study = study(Protocol::Grouped, vec![0]);
    let Entry::Network(config) = &study.models[0] else { panic!("a network") };
    study.models.push(Entry::Baseline(Reading::of(config)));
    study
}

const NETWORK: &str = "cells/indrnn-1-seed0-fold0";
const BASELINE: &str = "cells/baseline-2-seed0-fold0";

type Files = BTreeMap<String, Vec<u8>>;

/// A capsule of whatever is in `files`, with sums that fit.
fn packed(path: &Path, files: &Files) -> Capsule {
    let mut archive = tar::Builder::new(std::fs::File::create(path).unwrap());
    let mut append = |name: &str, contents: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(contents.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, contents).unwrap();
    };
    files.iter().for_each(|(name, contents)| append(name, contents));
    let sum = |contents: &Vec<u8>| Sha256::digest(contents).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let sums: BTreeMap<&String, String> = files.iter().map(|(name, contents)| (name, sum(contents))).collect();
    append("sha256.json", &serde_json::to_vec(&sums).unwrap());
    archive.finish().unwrap();
    drop(archive);
    Capsule::read(path).unwrap()
}

fn unpacked(path: &Path) -> Files {
    let mut files = Files::new();
    for entry in tar::Archive::new(std::fs::File::open(path).unwrap()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let (name, mut contents) = (entry.path().unwrap().display().to_string(), Vec::new());
        entry.read_to_end(&mut contents).unwrap();
        files.insert(name, contents);
    }
    files.remove("sha256.json");
    files
}

/// A table, row by row, changed.
fn edited(table: &[u8], edit: impl FnOnce(&mut Vec<Vec<String>>)) -> Vec<u8> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(table);
    let mut rows: Vec<Vec<String>> = reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
    edit(&mut rows);
    let mut writer = csv::Writer::from_writer(Vec::new());
    rows.iter().for_each(|row| writer.write_record(row).unwrap());
    writer.into_inner().unwrap()
}

/// Puts 0.99 where a table's first row has `column`.
fn embellished(table: &[u8], column: &str) -> Vec<u8> {
    edited(table, |rows| {
        let place = rows[0].iter().position(|name| name == column).unwrap();
        rows[1][place] = "0.99".into();
    })
}

fn in_json(json: &[u8], edit: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    let mut value = serde_json::from_slice(json).unwrap();
    edit(&mut value);
    serde_json::to_vec(&value).unwrap()
}

#[test]
fn figures_of_a_capsule_that_its_predictions_do_not_come_to_are_found() {
    let (gpu, collection) = (gpu(), built_in_collection(&tiny_config()));
    let folder = tempfile::tempdir().unwrap();
    finished(&gpu, &with_baseline(), &collection, folder.path());
    let files = unpacked(&folder.path().join("study.tar"));
    for name in ["statistics.json", "lengths.csv", "classes.csv"] {
        assert!(files.contains_key(name), "{name}");
    }
    let path = folder.path().join("changed.tar");
    let of = |name: &str| files[name].clone();
    let predictions = format!("{NETWORK}/predictions-2.csv");
    let other_class = |rows: &mut Vec<Vec<String>>, column: usize| {
        rows[1][column] = rows[0][3..].iter().find(|class| **class != rows[1][column]).unwrap().clone();
    };
    let last =
        |value: &mut serde_json::Value| value["marks"].as_array_mut().unwrap().last_mut().unwrap()["test_accuracy"] = 0.99.into();
    let cases = [
        (predictions.clone(), edited(&of(&predictions), |rows| other_class(rows, 2)), "its probabilities say"),
        (predictions.clone(), edited(&of(&predictions), |rows| other_class(rows, 1)), "in splits.csv"),
        (predictions.clone(), edited(&of(&predictions), |rows| drop(rows.pop())), "1 of 15 clips of the test part are missing"),
        (format!("{NETWORK}/result.json"), in_json(&of(&format!("{NETWORK}/result.json")), last), "test_accuracy comes to"),
        (format!("{BASELINE}/result.json"), in_json(&of(&format!("{BASELINE}/result.json")), last), "test_accuracy comes to"),
        ("accuracy.csv".into(), embellished(&of("accuracy.csv"), "test_accuracy"), "accuracy.csv: row 1: test_accuracy"),
        ("summary.csv".into(), embellished(&of("summary.csv"), "test_accuracy"), "summary.csv: row 1: test_accuracy"),
        ("classes.csv".into(), embellished(&of("classes.csv"), "recall"), "classes.csv: row 1: recall"),
        (
            "statistics.json".into(),
            in_json(&of("statistics.json"), |value| value["models"][0]["test_accuracy"] = 0.99.into()),
            "statistics.json: test_accuracy of indrnn",
        ),
        (
            "study.json".into(),
            in_json(&of("study.json"), |value| value["models"][0]["network"]["train"]["learning_rate"] = 0.5.into()),
            "has other settings than study.json",
        ),
    ];
    for (name, contents, expected) in cases {
        let mut changed = files.clone();
        changed.insert(name, contents);
        let error = verify(&gpu, &packed(&path, &changed), |_| Ok(collection.clone())).unwrap_err();
        assert!(matches!(error, VerifyError::Capsule(CapsuleError::Contradiction { .. })), "{expected}: {error}");
        assert!(error.to_string().contains(expected), "{expected}: {error}");
    }
    // Probabilities that the baseline never gave, though they name the same classes.
    let table = format!("{BASELINE}/predictions-0.csv");
    let halved = edited(&files[&table], |rows| {
        for row in rows.iter_mut().skip(1) {
            row[3..].iter_mut().for_each(|p| *p = format!("{:?}", p.parse::<f32>().unwrap() * 0.5));
        }
    });
    let whole = verify(&gpu, &packed(&path, &files), |_| Ok(collection.clone())).unwrap();
    assert!(whole.holds() && whole.verdicts.len() == 2 && whole.warnings.is_empty(), "{whole:?}");
    let found = verify(
        &gpu,
        &packed(&path, &[&files, &Files::from([(table, halved)])].into_iter().flat_map(|f| f.clone()).collect()),
        |_| Ok(collection.clone()),
    );
    let found = found.unwrap();
    assert!(!found.holds() && found.verdicts[0].holds() && found.verdicts[1].different == 0, "{found:?}");
}

#[test]
fn a_split_that_was_picked_and_labels_that_are_others_are_found() {
    let (gpu, mut collection) = (gpu(), built_in_collection(&tiny_config()));
    let folder = tempfile::tempdir().unwrap();
    // Groups that are called by their files go with them to new names.
    let called_by_file = |collection: &mut Collection| {
        collection.recordings.iter_mut().for_each(|recording| recording.group = recording.path.display().to_string());
    };
    called_by_file(&mut collection);
    finished(&gpu, &with_baseline(), &collection, folder.path());
    let (path, file) = (folder.path().join("changed.tar"), folder.path().join("study.tar"));
    let capsule = Capsule::read(&file).unwrap();
    let mut renamed = crate::compare_verify::renamed(&collection);
    called_by_file(&mut renamed);
    let again = verify(&gpu, &capsule, |_| Ok(renamed.clone())).unwrap();
    assert!(again.holds() && again.warnings.is_empty(), "{again:?}");

    let mut other = collection.clone();
    other.recordings[0].label = (other.recordings[0].label + 1) % other.classes.len();
    let error = verify(&gpu, &capsule, |_| Ok(other.clone())).unwrap_err();
    assert!(matches!(error, VerifyError::OtherLabels { others: 1, .. }), "{error}");

    let mut more = collection.clone();
    let stranger = &mut more.recordings[0];
    (stranger.path, stranger.content_hash) = ("zz/new.wav".into(), "new".into());
    stranger.group = "zz/new.wav".into();
    more.recordings.push(collection.recordings[0].clone());
    let found = verify(&gpu, &capsule, |_| Ok(more.clone())).unwrap();
    assert!(found.holds() && found.warnings.iter().any(|words| words.contains("1 file that are no part")), "{found:?}");
    let mut fewer = collection.clone();
    let parted = collection.dataset(Protocol::Grouped, melgrad::dataset::Draw::single(0)).unwrap();
    let learnt = parted.samples[parted.part(melgrad::dataset::Split::Train)[0]].path.clone();
    fewer.recordings.retain(|recording| recording.path != learnt);
    let found = verify(&gpu, &capsule, |_| Ok(fewer.clone())).unwrap();
    assert!(found.warnings[0].contains("0 more and 1 fewer clips") && found.verdicts.len() == 1, "{found:?}");

    let files = unpacked(&file);
    for name in [NETWORK, BASELINE].map(|cell| format!("{cell}/splits.csv")) {
        let mut picked = files.clone();
        let exchange = |rows: &mut Vec<Vec<String>>| {
            for (from, to) in [("train", "-"), ("valid", "train"), ("-", "valid")] {
                rows.iter_mut().find(|row| row[2] == from).unwrap()[2] = to.into();
            }
        };
        picked.insert(name.clone(), edited(&files[&name], exchange));
        let error = verify(&gpu, &packed(&path, &picked), |_| Ok(collection.clone())).unwrap_err();
        assert!(matches!(error, VerifyError::OtherSplit { others: 2, left_out: 0, .. }), "{name}: {error}");
        // A file more hides nothing.
        let error = verify(&gpu, &packed(&path, &picked), |_| Ok(more.clone())).unwrap_err();
        assert!(matches!(error, VerifyError::OtherSplit { left_out: 1, .. }), "{name}: {error}");
    }
}

#[test]
fn what_was_lost_cut_or_changed_in_a_study_is_told_and_not_concluded_from() {
    let (gpu, collection) = (gpu(), built_in_collection(&tiny_config()));
    let folder = tempfile::tempdir().unwrap();
    let study = with_baseline();
    finished(&gpu, &study, &collection, folder.path());
    let path = folder.path().join("study");
    let (directory, _) = StudyDirectory::existing(&path).unwrap();
    let table = path.join(NETWORK).join("predictions-2.csv");
    let whole = std::fs::read(&table).unwrap();
    std::fs::remove_file(&table).unwrap();
    let error = conclude(&study, &directory).unwrap_err();
    assert!(matches!(error, StudyError::Lost { .. }) && error.to_string().contains("to have it trained again"), "{error}");
    std::fs::write(&table, edited(&whole, |rows| drop(rows.pop()))).unwrap();
    let error = conclude(&study, &directory).unwrap_err();
    assert!(matches!(error, StudyError::Changed { .. }) && error.to_string().contains("changed after it was written"), "{error}");
    std::fs::write(&table, whole).unwrap();

    std::fs::write(path.join(NETWORK).join("timing.json"), "{\"epoch_sec").unwrap();
    write_tables(&study, &directory).unwrap();
    assert!(directory.damaged(&study).is_empty() && directory.finished(&study) == 2);
    let result = path.join(NETWORK).join("result.json");
    std::fs::write(&result, "{\"cell\":").unwrap();
    assert_eq!((directory.damaged(&study), directory.finished(&study)), (vec![result], 1));
    let (outcomes, _) = conclude(&study, &directory).unwrap().unwrap();
    assert_eq!((outcomes.missing, outcomes.entries.len()), (1, 1), "it is still to be trained");

    let settings = path.join("study.json");
    let older = in_json(&std::fs::read(&settings).unwrap(), |value| value["schema"] = 1.into());
    std::fs::write(settings, older).unwrap();
    for error in [StudyDirectory::existing(&path).unwrap_err(), StudyDirectory::open(&path, &study).unwrap_err()] {
        assert!(matches!(error, StudyError::OtherSchema { found: 1, .. }), "{error}");
    }
}

#[test]
fn a_study_is_held_to_its_data_and_its_capsule_to_its_place() {
    let sandbox = Sandbox::new();
    let (data, out, capsule) = (sandbox.tones("music", 6), sandbox.text("study"), sandbox.text("study.tar"));
    let settings = "--models indrnn,baseline --frames 16 --hidden 8 --layers 1 --epochs 1 --timing-rounds 0";
    let args = |file: &str| -> Vec<String> {
        let all = ["compare", &data, "--out", &out, "--capsule", file].into_iter().chain(settings.split(' '));
        all.map(str::to_owned).collect()
    };
    let words = |args: &[String], code: i32| sandbox.bad(&args.iter().map(String::as_str).collect::<Vec<_>>(), code);
    std::fs::write(sandbox.path("thesis.tex"), "all of it").unwrap();
    assert!(words(&args(&sandbox.text("thesis.tex")), 2).contains("is no capsule"));
    assert!(words(&args(&sandbox.text("nowhere/study.tar")), 2).contains("there is no folder"));
    assert!(words(&args(&data), 2).contains("is no capsule"));
    assert!(!sandbox.path("study").exists() && std::fs::read(sandbox.path("thesis.tex")).unwrap() == b"all of it");

    let good = |args: &[String]| sandbox.good(&args.iter().map(String::as_str).collect::<Vec<_>>());
    good(&args(&capsule));
    good(&args(&capsule));
    let said = sandbox.good(&["verify", &capsule]);
    assert!(said.contains("baseline-2") && said.contains("only the last mark is rechecked"), "{said}");

    let result = sandbox.path("study").join(NETWORK).join("result.json");
    std::fs::write(&result, "{").unwrap();
    let output = sandbox.run(&args(&capsule).iter().map(String::as_str).collect::<Vec<_>>());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && told.contains("trained again"), "{told}");

    let folder = sandbox.path("music").join("low");
    std::fs::rename(folder.join("low.00.wav"), folder.join("low.99.wav")).unwrap();
    let said = words(&args(&capsule), 3);
    assert!(said.contains("1 clip came (low/low.99.wav), 1 clip went (low/low.00.wav)"), "{said}");
}

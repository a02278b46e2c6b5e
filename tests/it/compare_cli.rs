//! `compare` as a black box: what it writes, what it says beforehand, and what a kill leaves.

use crate::cli::Sandbox;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SETTINGS: &str = "--models indrnn,gru,baseline --frames 16 --hidden 8 --layers 1 --epochs 4 --eval-every 2";

fn compare(data: &str, more: &[&str]) -> Vec<String> {
    ["compare", data].into_iter().chain(SETTINGS.split(' ')).chain(more.iter().copied()).map(str::to_owned).collect()
}

fn words(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

#[test]
fn a_study_leaves_tables_pictures_and_a_page_and_says_what_it_comes_to() {
    let sandbox = Sandbox::new();
    let (data, out) = (sandbox.tones("music", 8), sandbox.text("study"));
    let own = ["--set", "gru.train.frames=24", "--set", "gru.train.learning_rate=0.01"];
    let plan: Value = serde_json::from_str(&sandbox.good(&words(&compare(&data, &["--dry-run", "--json"])))).unwrap();
    assert_eq!((plan["cells"].as_u64(), plan["epochs"].as_u64()), (Some(3), Some(8)), "{plan}");
    assert!(plan["seconds"].as_f64().unwrap() > 0.0 && !Path::new(&out).exists(), "{plan}");

    let json = [&["--timing-rounds", "2", "--out", &out, "--json"], &own[..]].concat();
    let outcome: Value = serde_json::from_str(&sandbox.good(&words(&compare(&data, &json)))).unwrap();
    assert_eq!((outcome["finished"].as_u64(), outcome["protocol"].as_str()), (Some(3), Some("grouped")), "{outcome}");
    let timing = outcome["timing"].as_array().unwrap();
    assert!(timing.len() == 2 && timing[0]["source"] == "turns" && timing[0]["published_ratio"] == 1.0, "{outcome}");
    let models = outcome["models"].as_array().unwrap();
    assert_eq!(models.iter().map(|model| model["model"].as_str().unwrap()).collect::<Vec<_>>(), ["indrnn", "gru", "baseline"]);
    let study = PathBuf::from(&out);
    let settings = std::fs::read_to_string(study.join("cells/gru-2-seed0-fold0/config.toml")).unwrap();
    assert!(settings.contains("frames = 24") && settings.contains("learning_rate = 0.01"), "{settings}");
    let tables = ["accuracy.csv", "summary.csv", "timing.csv", "epochs.csv", "classes.csv", "mistakes.csv", "lengths.csv"];
    let others = ["confusion_matrix.csv", "near_duplicates.csv", "statistics.json", "report.html"];
    let pictures = ["accuracy_over_epochs", "validation_over_epochs", "class_recall", "epoch_times", "mel_spectrogram"];
    for name in tables.into_iter().chain(others) {
        assert!(study.join(name).is_file(), "{name}");
    }
    for name in pictures.iter().flat_map(|name| [format!("{name}.svg"), format!("{name}.png")]) {
        assert!(study.join(&name).is_file(), "{name}");
    }
    let page = std::fs::read(study.join("report.html")).unwrap();
    std::fs::remove_file(study.join("report.html")).unwrap();
    let said = sandbox.good(&["report", &out]);
    assert!(said.contains("report.html") && said.contains("protocol grouped"), "{said}");
    assert!(page == std::fs::read(study.join("report.html")).unwrap(), "the same page again");
    assert!(sandbox.bad(&["report", &out, &out], 2).contains("give it alone"));
}

#[test]
fn what_makes_no_study_is_refused_in_words() {
    let sandbox = Sandbox::new();
    let data = sandbox.tones("music", 4);
    for (more, expected) in [
        (&["--models", "baseline"][..], "name some with --models"),
        (&["--models", "indrnn,cnn"], "is none of indrnn, rnn, lstm, gru, bbnn, baseline"),
        (&["--set", "bbnn.train.frames=32"], "bbnn is not among --models"),
        (&["--set", "gru.train.frame=32"], "unknown field"),
        (&["--set", "gru.model.gamma=2.0"], "gru has no such setting"),
        (&["--eval-every", "9"], "use at most --epochs"),
        (&["--protocol", "leaky-segments", "--set", "gru.train.frames=24"], "the same --frames"),
        (&["--seed", "9223372036854775808"], "train.seed"),
        (&["--seed", "9223372036854775807", "--seeds", "2"], "train.seed"),
    ] {
        let args: Vec<String> = match more[0] {
            "--models" => ["compare", &data].iter().chain(more).map(|&word| word.to_owned()).collect(),
            "--eval-every" => ["compare", &data, "--epochs", "4"].iter().chain(more).map(|&word| word.to_owned()).collect(),
            _ => compare(&data, more),
        };
        let said = sandbox.bad(&words(&args), 2);
        assert!(said.contains(expected), "{args:?}: {said}");
    }
    sandbox.bad(&["compare", "--models", "indrnn"], 2);
    assert!(!sandbox.path("runs").exists(), "nothing was begun");
}

#[test]
fn a_study_that_was_killed_goes_on_to_the_tables_of_one_that_was_not() {
    let sandbox = Sandbox::new();
    let data = sandbox.tones("music", 6);
    for mode in [&[][..], &["--independent"][..]] {
        let name = |study: &str| format!("{study}{}", mode.concat());
        let [whole, cut] = ["whole", "cut"].map(|study| sandbox.text(&name(study)));
        let args = |out: &str| compare(&data, &[&["--seeds", "2", "--timing-rounds", "0", "--out", out], mode].concat());
        sandbox.good(&words(&args(&whole)));
        let finished = || std::fs::read_dir(Path::new(&cut).join("cells")).map_or(0, |cells| cells.filter(is_finished).count());
        for cells in [1, 2] {
            let mut program = Command::new(env!("CARGO_BIN_EXE_melgrad"));
            program.args(args(&cut)).env("MELGRAD_CACHE_DIR", sandbox.path("cache"));
            let mut process = program.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let begun = Instant::now();
            while finished() < cells && begun.elapsed() < Duration::from_secs(60) {
                std::thread::sleep(Duration::from_millis(2));
            }
            process.kill().unwrap();
            process.wait().unwrap();
        }
        let before = finished();
        sandbox.good(&words(&args(&cut)));
        assert!(2 <= before && before < finished(), "{before} of {} were finished when it was killed", finished());
        for table in ["accuracy.csv", "lengths.csv", "classes.csv", "confusion_matrix.csv", "mistakes.csv", "statistics.json"] {
            let read = |study: &str| std::fs::read_to_string(Path::new(study).join(table)).unwrap();
            assert!(read(&whole) == read(&cut), "{table} {mode:?}");
        }
    }
}

fn is_finished(cell: &std::io::Result<std::fs::DirEntry>) -> bool {
    cell.as_ref().is_ok_and(|cell| cell.path().join("result.json").is_file())
}

//! The program as a black box: what goes in, what comes out, and what a person is told when it is wrong.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder of its own that the program runs in.
pub struct Sandbox(tempfile::TempDir);

impl Sandbox {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_melgrad"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MELGRAD_")) {
            command.env_remove(name);
        }
        command.args(args).current_dir(self.0.path()).env("MELGRAD_CACHE_DIR", self.path("cache")).output().unwrap()
    }

    /// The same with the kernels that need no measuring.
    pub fn run_plain(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_melgrad"));
        command.args(args).current_dir(self.0.path()).env("MELGRAD_KERNELS", "plain").output().unwrap()
    }

    /// Runs what must succeed; standard output.
    pub fn good(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs what must fail with `code`; the words that it ends with.
    pub fn bad(&self, args: &[&str], code: i32) -> String {
        let output = self.run(args);
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {words}");
        assert!(!words.contains("panicked"), "{args:?}: {words}");
        words
    }

    /// Two classes of short tones, `clips` each, in folders.
    pub fn tones(&self, name: &str, clips: usize) -> String {
        self.named_tones(name, ["low", "high"], clips)
    }

    /// The same of other names.
    pub fn named_tones(&self, name: &str, classes: [&str; 2], clips: usize) -> String {
        for (class, hertz) in classes.into_iter().zip([220.0, 1760.0]) {
            for clip in 0..clips {
                let path = self.path(name).join(class).join(format!("{class}.{clip:02}.wav"));
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                tone(&path, hertz * (1.0 + 0.01 * clip as f64), 1.0);
            }
        }
        self.text(name)
    }
}

/// A 16-bit mono wav at 22,050 Hz.
pub fn tone(path: &Path, hertz: f64, seconds: f64) {
    let samples = (22_050.0 * seconds) as usize;
    let mut bytes = Vec::new();
    bytes.extend(b"RIFF");
    bytes.extend((36 + 2 * samples as u32).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16u32.to_le_bytes());
    bytes.extend([1, 0, 1, 0]);
    bytes.extend(22_050u32.to_le_bytes());
    bytes.extend(44_100u32.to_le_bytes());
    bytes.extend([2, 0, 16, 0]);
    bytes.extend(b"data");
    bytes.extend((2 * samples as u32).to_le_bytes());
    for i in 0..samples {
        let value = (hertz * std::f64::consts::TAU * i as f64 / 22_050.0).sin() * 8000.0;
        bytes.extend((value as i16).to_le_bytes());
    }
    std::fs::write(path, bytes).unwrap();
}

pub const SMALL: [&str; 12] =
    ["--model", "indrnn", "--frames", "16", "--hidden", "16", "--layers", "1", "--epochs", "3", "--learning-rate", "0.01"];

#[test]
fn a_folder_of_music_becomes_a_network_that_names_music() {
    let sandbox = Sandbox::new();
    let data = sandbox.tones("music", 8);
    let out = sandbox.text("run");
    let json = sandbox.good(&[&["train", &data, "--out", &out, "--json"], &SMALL[..]].concat());
    let summary: Value = serde_json::from_str(&json).unwrap();
    for key in [
        "run",
        "model",
        "parameters",
        "trainable_parameters",
        "epochs",
        "best_epoch",
        "val_accuracy",
        "test_accuracy",
        "test_accuracy_ci95",
        "majority_baseline",
        "epoch_seconds_median",
        "adapter",
    ] {
        assert!(!summary[key].is_null(), "{key}: {json}");
    }
    assert_eq!(summary["test_accuracy"], 1.0, "two tones three octaves apart: {json}");
    let metrics = std::fs::read_to_string(sandbox.path("run/metrics.csv")).unwrap();
    let header = "epoch,train_loss,train_accuracy,val_loss,val_accuracy,learning_rate,epoch_seconds,gpu_seconds";
    assert_eq!(metrics.lines().next(), Some(header));
    assert_eq!(metrics.lines().count(), 4, "one row for each epoch");
    for file in [
        "learning_curves.svg",
        "learning_curves.png",
        "confusion_matrix.svg",
        "confusion_matrix.png",
        "tensorboard",
        "report.html",
        "mistakes.csv",
    ] {
        assert!(sandbox.path("run").join(file).exists(), "{file}");
    }
    for file in ["config.toml", "environment.json", "events.jsonl", "splits.csv", "evaluation.json", "predictions.csv"] {
        assert!(sandbox.path("run").join(file).is_file(), "{file}");
    }

    let evaluation: Value = serde_json::from_str(&sandbox.good(&["evaluate", &out, "--json"])).unwrap();
    assert_eq!(evaluation["accuracy"], summary["test_accuracy"], "evaluate finds what train found");

    tone(&sandbox.path("long.wav"), 230.0, 7.0);
    let predicted =
        sandbox.good(&["predict", &out, &sandbox.text("long.wav"), &sandbox.text("music/high"), "--json", "--top", "1"]);
    let predicted: Value = serde_json::from_str(&predicted).unwrap();
    let predictions = predicted["predictions"].as_array().unwrap();
    assert_eq!(predictions.len(), 9);
    assert_eq!(predictions[0]["prediction"], "low");
    assert!(predictions[0]["windows"].as_u64().unwrap() > 5, "a long file is cut into windows: {}", predictions[0]);
    assert!(predictions[1..].iter().all(|p| p["prediction"] == "high"), "{predicted}");
    let sum: f64 = predictions[0]["probabilities"].as_object().unwrap().values().map(|p| p.as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-4);
}

#[test]
fn the_flags_of_augmentation_reach_the_run() {
    let sandbox = Sandbox::new();
    let data = sandbox.tones("music", 4);
    let out = sandbox.text("run");
    let flags =
        "--random-crop false --gain-db 3 --time-shift 4 --time-masks 1 --time-mask-frames 5 --mel-masks 2 --mel-mask-bands 6";
    let flags: Vec<&str> = flags.split(' ').collect();
    sandbox.good(&[&["train", &data, "--out", &out], &SMALL[..], &flags].concat());
    let config = std::fs::read_to_string(sandbox.path("run/config.toml")).unwrap();
    let augment: toml::Table = config.parse::<toml::Table>().unwrap()["augment"].clone().try_into().unwrap();
    let expected = "random_crop = false\ngain_db = 3.0\ntime_shift = 4\ntime_masks = 1\ntime_mask_frames = 5\nmel_masks = 2\nmel_mask_bands = 6\n";
    assert_eq!(augment, expected.parse().unwrap());
}

#[test]
fn the_precision_of_training_is_kept_for_whoever_evaluates() {
    let sandbox = Sandbox::new();
    let data = sandbox.tones("music", 8);
    let out = sandbox.text("run");
    let json = sandbox.good(&[&["train", &data, "--out", &out, "--json", "--precision", "mixed"], &SMALL[..]].concat());
    let summary: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(summary["test_accuracy"], 1.0, "two tones three octaves apart: {json}");
    let config = std::fs::read_to_string(sandbox.path("run/config.toml")).unwrap();
    assert_eq!(config.parse::<toml::Table>().unwrap()["train"]["precision"].as_str(), Some("mixed"));
    let events = std::fs::read_to_string(sandbox.path("run/events.jsonl")).unwrap();
    assert!(events.lines().next().unwrap().contains(r#""precision":"mixed""#), "{events}");
    let evaluation: Value = serde_json::from_str(&sandbox.good(&["evaluate", &out, "--json"])).unwrap();
    let of_training: Value =
        serde_json::from_str(&std::fs::read_to_string(sandbox.path("run/evaluation.json")).unwrap()).unwrap();
    assert_eq!(evaluation["log_loss"], of_training["log_loss"], "to the last digit: rounded alike");
    sandbox.bad(&["train", &data, "--precision", "f16"], 2);
}

#[test]
fn features_are_written_as_numpy_reads_them() {
    let sandbox = Sandbox::new();
    tone(&sandbox.path("tone.wav"), 440.0, 2.0);
    let words = sandbox.good(&["features", &sandbox.text("tone.wav"), "--out", &sandbox.text("tone.npy"), "--n-mels", "40"]);
    assert!(words.contains("44 frames x 40 bands"), "{words}");
    let bytes = std::fs::read(sandbox.path("tone.npy")).unwrap();
    assert!(bytes.starts_with(b"\x93NUMPY"));
    assert!(String::from_utf8_lossy(&bytes[..128]).contains("(44, 40)"));

    sandbox.good(&["features", &sandbox.text("tone.wav"), "--out", &sandbox.text("tone.png")]);
    assert!(std::fs::read(sandbox.path("tone.png")).unwrap().starts_with(b"\x89PNG"));
    sandbox.good(&["features", &sandbox.text("tone.wav"), "--out", &sandbox.text("tone.svg")]);
    let svg = std::fs::read_to_string(sandbox.path("tone.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains(">hertz (mel scale)<") && svg.contains(">tone.wav<"));
}

#[test]
fn wrong_usage_ends_with_two_and_says_what_to_change() {
    let sandbox = Sandbox::new();
    let data = sandbox.tones("music", 3);
    std::fs::create_dir(sandbox.path("full")).unwrap();
    std::fs::write(sandbox.path("full/something"), "x").unwrap();
    std::fs::write(sandbox.path("typo.toml"), "[train]\nepochz = 3\n").unwrap();
    let full = sandbox.text("full");
    for (args, words) in [
        (vec!["train", &data], "--model"),
        (vec!["train", &data, "--model", "transformer"], "bbnn"),
        (vec!["train", &data, "--model", "indrnn", "--epochs", "0"], "use 1 to"),
        (vec!["train", &data, "--model", "indrnn", "--learning-rate", "-1"], "above 0"),
        (vec!["train", &data, "--model", "indrnn", "--hidden", "0"], "1 to 4096"),
        (vec!["train", &data, "--model", "bbnn", "--frames", "4"], "at least 8 frames"),
        (vec!["train", &data, "--model", "indrnn", "--fmax", "20000"], "half the sample rate"),
        (vec!["train", &data, "--model", "indrnn", "--config", "typo.toml"], "epochz"),
        (vec!["train", &data, "--model", "indrnn", "--adapter", "no such adapter"], "there are: 0 ="),
        (vec!["train", &data, "--model", "indrnn", "--out", &full], "full"),
        (vec!["predict", &full, &data], "config.toml"),
        (vec!["features", "a.wav", "--out", "b.txt"], ".npy"),
        (vec!["bench", "cnn_b8"], "bbnn_b8_t647_m128"),
    ] {
        let said = sandbox.bad(&args, 2);
        assert!(said.contains(words), "{args:?} should say {words:?}: {said}");
    }
    assert!(!sandbox.path("runs").join("indrnn-1").exists(), "a run that cannot begin leaves no directory");
}

#[test]
fn wrong_data_ends_with_three_and_names_the_file() {
    let sandbox = Sandbox::new();
    let data = sandbox.tones("music", 3);
    std::fs::create_dir_all(sandbox.path("empty")).unwrap();
    std::fs::write(sandbox.path("music/low/noise.mp3"), "this is no music").unwrap();
    std::fs::write(sandbox.path("leak.csv"), "path,label,split\nmusic/low/low.00.wav,low,train\nmusic/low/copy.wav,low,test\nmusic/high/high.00.wav,high,train\nmusic/high/high.01.wav,high,test\n").unwrap();
    std::fs::copy(sandbox.path("music/low/low.00.wav"), sandbox.path("music/low/copy.wav")).unwrap();
    std::fs::write(sandbox.path("split.csv"), "path,label,split\nmusic/low/low.00.wav,low,dev\n").unwrap();
    let (empty, leak, split) = (sandbox.text("empty"), sandbox.text("leak.csv"), sandbox.text("split.csv"));
    for (args, words) in [
        (vec!["prepare", "nowhere"], "nowhere"),
        (vec!["prepare", &empty], "two classes"),
        (vec!["prepare", &data, "--strict"], "noise.mp3"),
        (vec!["prepare", &leak], "copy.wav"),
        (vec!["prepare", &split], "line 2"),
        (vec!["features", "nowhere.wav", "--out", "x.npy"], "nowhere.wav"),
    ] {
        let said = sandbox.bad(&args, 3);
        assert!(said.contains(words), "{args:?} should say {words:?}: {said}");
    }
    let listed: Value = serde_json::from_str(&sandbox.good(&["prepare", &data, "--json"])).unwrap();
    assert_eq!(listed["bad_files"].as_array().unwrap().len(), 1, "left out, not fatal: {listed}");
    assert_eq!(listed["duplicates"].as_array().unwrap().len(), 1, "{listed}");
}

#[test]
fn a_batch_that_no_binding_holds_ends_with_four_and_says_so() {
    let sandbox = Sandbox::new();
    let data = sandbox.tones("music", 4);
    let said = sandbox.bad(&["train", &data, "--model", "indrnn", "--frames", "16000000", "--epochs", "1", "--no-cache"], 4);
    assert!(said.contains("--frames") && said.contains("bytes"), "{said}");
}

#[test]
fn weights_that_do_not_fit_are_refused_by_name() {
    let sandbox = Sandbox::new();
    let data = sandbox.tones("music", 4);
    let out = sandbox.text("run");
    sandbox.good(&[&["train", &data, "--out", &out], &SMALL[..]].concat());
    let config = sandbox.path("run/config.toml");
    let changed = std::fs::read_to_string(&config).unwrap().replace("hidden = 16", "hidden = 17");
    std::fs::write(&config, changed).unwrap();
    let said = sandbox.bad(&["predict", &out, &sandbox.text("music")], 3);
    assert!(said.contains("layers.0.input.weight"), "{said}");
}

#[test]
fn what_was_trained_on_never_counts_as_test_data() {
    let sandbox = Sandbox::new();
    let data = sandbox.tones("music", 6);
    let out = sandbox.text("run");
    sandbox.good(&[&["train", &data, "--out", &out], &SMALL[..]].concat());
    let splits = sandbox.path("run/splits.csv");
    let whole = std::fs::read_to_string(&splits).unwrap();
    let without_a_clip: Vec<&str> = whole.lines().enumerate().filter(|(i, _)| *i != 2).map(|(_, line)| line).collect();
    for (text, words) in [("", "damaged"), ("a,b\n", "damaged"), (without_a_clip.join("\n").as_str(), "1 clip")] {
        std::fs::write(&splits, text).unwrap();
        let said = sandbox.bad(&["evaluate", &out], 3);
        assert!(said.contains(words), "{text:?} should say {words:?}: {said}");
    }
    std::fs::remove_file(&splits).unwrap();
    let said = sandbox.bad(&["evaluate", &out, &data], 3);
    assert!(said.contains("restore it"), "{said}");
}

#[test]
fn a_network_that_diverges_ends_with_six_and_leaves_no_best() {
    let sandbox = Sandbox::new();
    let data = sandbox.tones("music", 6);
    let out = sandbox.text("run");
    let said = sandbox.bad(&[&["train", &data, "--out", &out], &SMALL[..10], &["--learning-rate", "1e30"]].concat(), 6);
    assert!(said.contains("--learning-rate"), "{said}");
    assert!(!sandbox.path("run/best").exists());
}

#[test]
fn a_file_that_cannot_be_written_ends_with_seven_and_is_named() {
    let sandbox = Sandbox::new();
    tone(&sandbox.path("tone.wav"), 440.0, 1.0);
    let said = sandbox.bad(&["features", &sandbox.text("tone.wav"), "--out", &sandbox.text("nowhere/tone.npy")], 7);
    assert!(said.contains("tone.npy"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_named_pipe_is_no_file_and_is_not_waited_for() {
    let sandbox = Sandbox::new();
    let data = sandbox.tones("music", 2);
    assert!(Command::new("mkfifo").arg(sandbox.path("music/low/pipe.wav")).status().unwrap().success());
    let listed: Value = serde_json::from_str(&sandbox.good(&["prepare", &data, "--json"])).unwrap();
    assert_eq!(listed["bad_files"][0]["reason"], "is not a regular file", "{listed}");
    sandbox.bad(&["features", &sandbox.text("music/low/pipe.wav"), "--out", &sandbox.text("x.npy")], 3);
}

#[test]
fn plain_kernels_and_the_sizes_of_bbnn_s_kernels_have_names_of_their_own() {
    let sandbox = Sandbox::new();
    let output = sandbox.run_plain(&["train", "--model", "bbnn", "nothing"]);
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("nothing") && !words.contains("--kernels"), "{words}");
    // Those measured where they may be would be remembered in a file.
    let measured = || std::fs::read_dir(sandbox.path("cache").join("kernels")).map_or(0, Iterator::count);
    sandbox.good(&["bench", "lstm_t4_b2_i8_h8_l1", "--kernels", "plain"]);
    assert_eq!(measured(), 0);
    let data = sandbox.tones("music", 4);
    let sizes = ["--width", "4", "--blocks", "1", "--kernel-sizes", "5,7", "--frames", "16", "--epochs", "1"];
    let train = ["train", &data, "--model", "bbnn", "--out", &sandbox.text("run"), "--kernels", "plain"];
    sandbox.good(&[&train[..], &sizes].concat());
    assert_eq!(measured(), 0);
    let config = std::fs::read_to_string(sandbox.path("run/config.toml")).unwrap();
    assert!(config.contains("kernels = [") && config.contains("5,\n") || config.contains("kernels = [5, 7]"), "{config}");
    let run = sandbox.text("run");
    sandbox.good(&["evaluate", &run, "--kernels", "auto"]);
    let words = sandbox.bad(&["doctor", "--kernels", "3,5"], 2);
    assert!(words.contains("3,5") && words.contains("auto") && words.contains("plain"), "{words}");
}

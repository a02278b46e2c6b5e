//! A directory with a few lines of config.toml and a state dict that PyTorch wrote predicts what PyTorch predicts:
//! `fixtures/networks/make.py` (`save_run`) made them, optimiser-independent entries such as `num_batches_tracked`
//! included.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

fn runs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pytorch_runs");
    let mut runs: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    runs.sort();
    runs
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(bytes)))
}

#[test]
fn weights_that_pytorch_wrote_predict_the_same_probabilities() {
    let runs = runs();
    assert!(runs.len() >= 10, "every network has one: {runs:?}");
    for run in runs {
        let output = Command::new(env!("CARGO_BIN_EXE_melgrad"))
            .args(["predict", "--json"])
            .arg(&run)
            .arg(run.join("features.npy"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}: {}", run.display(), String::from_utf8_lossy(&output.stderr));
        let (found, expected) = (json(&output.stdout), json(&std::fs::read(run.join("expected.json")).unwrap()));
        let found = &found["predictions"][0];
        for kind in ["probabilities", "logits"] {
            for (class, expected) in expected[kind].as_array().unwrap().iter().enumerate() {
                let number = found[kind][format!("class{class}")].as_f64().unwrap();
                let expected = expected.as_f64().unwrap();
                assert!((number - expected).abs() < 1e-5, "{} {kind} {class}: {number} {expected}", run.display());
            }
        }
    }
}

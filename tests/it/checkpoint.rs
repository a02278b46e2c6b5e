//! Checkpoints: what is written is read, a crash at any moment leaves a whole one, damage is named.

use melgrad::train::checkpoint::{
    Checkpoint, CheckpointError, MANIFEST_FILE, MODEL_FILE, NamedTensor, OPTIMIZER_FILE, fit, read_checkpoint, read_model,
    write_checkpoint,
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Progress {
    epoch: usize,
    val_accuracy: f64,
}

fn tensor(name: &str, shape: &[usize], first: f32) -> NamedTensor {
    let data = (0..shape.iter().product()).map(|i| first + i as f32).collect();
    NamedTensor { name: name.into(), shape: shape.to_vec(), data }
}

/// The checkpoint of an epoch, told from that of another by its numbers.
fn of_epoch(epoch: usize) -> Checkpoint<Progress> {
    Checkpoint {
        model: vec![tensor("classifier.bias", &[3], epoch as f32), tensor("classifier.weight", &[3, 2], 0.1)],
        optimizer: vec![tensor("m", &[9], -(epoch as f32)), tensor("step", &[], 7.0)],
        metadata: Progress { epoch, val_accuracy: 0.1 + epoch as f64 / 3.0 },
    }
}

fn write(dir: &Path, epoch: usize) {
    let checkpoint = of_epoch(epoch);
    write_checkpoint(dir, &checkpoint.model, &checkpoint.optimizer, &checkpoint.metadata).unwrap();
}

fn read(dir: &Path) -> Result<Checkpoint<Progress>, CheckpointError> {
    read_checkpoint(dir)
}

/// Two tensors of one name, which no file can hold.
fn unwritable() -> Vec<NamedTensor> {
    vec![tensor("w", &[1], 0.0), tensor("w", &[1], 1.0)]
}

/// The names in a directory, in order.
fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for name in names(from) {
        std::fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
}

#[test]
fn what_is_written_is_read() {
    let run = tempfile::tempdir().unwrap();
    let best = run.path().join("deep/best");
    write(&best, 1);
    assert_eq!(read(&best).unwrap(), of_epoch(1));
    write(&best, 2);
    assert_eq!(read(&best).unwrap(), of_epoch(2));
    assert_eq!(names(&best), [MANIFEST_FILE, MODEL_FILE, OPTIMIZER_FILE]);
    assert_eq!(names(&run.path().join("deep")), ["best"]);
}

#[test]
fn equal_tensors_in_another_order_give_equal_bytes() {
    let run = tempfile::tempdir().unwrap();
    let mut checkpoint = of_epoch(1);
    let [a, b] = ["a", "b"].map(|name| run.path().join(name));
    write_checkpoint(&a, &checkpoint.model, &checkpoint.optimizer, &checkpoint.metadata).unwrap();
    checkpoint.model.reverse();
    write_checkpoint(&b, &checkpoint.model, &checkpoint.optimizer, &checkpoint.metadata).unwrap();
    for name in names(&a) {
        assert_eq!(std::fs::read(a.join(&name)).unwrap(), std::fs::read(b.join(&name)).unwrap(), "{name}");
    }
}

#[test]
fn special_values_keep_their_bits() {
    let run = tempfile::tempdir().unwrap();
    let values = vec![f32::NAN, -0.0, f32::INFINITY, f32::MIN_POSITIVE / 2.0, f32::MAX];
    let odd = NamedTensor { name: "odd".into(), shape: vec![5], data: values.clone() };
    let empty = NamedTensor { name: "empty".into(), shape: vec![0, 4], data: vec![] };
    write_checkpoint(&run.path().join("best"), &[odd, empty.clone()], &[], &()).unwrap();
    let (_, tensors) = read_model(run.path()).unwrap();
    assert_eq!(tensors[0], empty);
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&tensors[1].data), bits(&values));
}

/// A process was killed at each moment of writing epoch 2 over epoch 1: a reader still finds one of them whole, and the
/// next writer leaves nothing behind.
#[test]
fn a_crash_at_any_moment_leaves_a_whole_checkpoint() {
    type Scene = fn(best: &Path, new: &Path, old: &Path);
    let scenes: [(&str, Scene, usize); 7] = [
        (
            "another version of the program had begun",
            |_, new, _| {
                std::fs::create_dir(new).unwrap();
                std::fs::write(new.join("other.bin"), "").unwrap();
            },
            1,
        ),
        (
            "the model was half written",
            |best, new, _| {
                std::fs::create_dir(new).unwrap();
                let model = std::fs::read(best.join(MODEL_FILE)).unwrap();
                std::fs::write(new.join(MODEL_FILE), &model[..model.len() / 2]).unwrap();
            },
            1,
        ),
        (
            "all but the manifest was written",
            |_, new, _| {
                write(new, 2);
                std::fs::remove_file(new.join(MANIFEST_FILE)).unwrap();
            },
            1,
        ),
        ("the new one was whole", |_, new, _| write(new, 2), 1),
        (
            "the old one was renamed",
            |best, new, old| {
                write(new, 2);
                std::fs::rename(best, old).unwrap();
            },
            2,
        ),
        (
            "the new one was renamed",
            |best, _, old| {
                copy(best, old);
                write(best, 2);
                copy(best, old);
            },
            2,
        ),
        (
            "the old one was half removed",
            |best, _, old| {
                write(best, 2);
                copy(best, old);
                std::fs::remove_file(old.join(MODEL_FILE)).unwrap();
            },
            2,
        ),
    ];
    for (moment, scene, expected) in scenes {
        let run = tempfile::tempdir().unwrap();
        let [best, new, old] = ["best", ".best.new", ".best.old"].map(|name| run.path().join(name));
        write(&best, 1);
        scene(&best, &new, &old);

        assert_eq!(read(&best).unwrap(), of_epoch(expected), "killed when {moment}");
        assert_eq!(read_model(run.path()).unwrap().1, of_epoch(expected).model, "killed when {moment}");
        write_checkpoint(&best, &unwritable(), &[], &()).unwrap_err();
        assert_eq!(read(&best).unwrap(), of_epoch(expected), "killed when {moment}, and the next write failed");
        write(&best, 3);
        assert_eq!(read(&best).unwrap(), of_epoch(3), "killed when {moment}");
        assert_eq!(names(run.path()), ["best"], "killed when {moment}");
        assert_eq!(names(&best), [MANIFEST_FILE, MODEL_FILE, OPTIMIZER_FILE], "killed when {moment}");
    }
}

#[test]
fn a_first_checkpoint_that_was_never_finished_is_none() {
    let run = tempfile::tempdir().unwrap();
    let new = run.path().join(".best.new");
    write(&new, 1);
    std::fs::rename(new.join(MANIFEST_FILE), new.join("other.bin")).unwrap();
    assert!(matches!(read_model(run.path()), Err(CheckpointError::NotFound { .. })));
    write(&run.path().join("best"), 2);
    assert_eq!(names(run.path()), ["best"]);
    assert_eq!(names(&run.path().join("best")), [MANIFEST_FILE, MODEL_FILE, OPTIMIZER_FILE]);
}

#[test]
fn a_failed_write_leaves_the_checkpoint_before_it() {
    let run = tempfile::tempdir().unwrap();
    let best = run.path().join("best");
    write(&best, 1);
    let error = write_checkpoint(&best, &unwritable(), &[], &()).unwrap_err().to_string();
    assert!(error.contains("two tensors are called `w`"), "{error}");
    let misshapen = NamedTensor { name: "w".into(), shape: vec![2, 2], data: vec![1.0; 3] };
    let error = write_checkpoint(&best, &[misshapen], &[], &()).unwrap_err().to_string();
    assert!(error.contains("`w` of shape [2, 2] has 3 values"), "{error}");
    assert_eq!(names(run.path()), ["best"]);

    // A file where the hidden directory should go: the disk refuses.
    std::fs::write(run.path().join(".best.new"), "in the way").unwrap();
    let error = write_checkpoint(&best, &[], &[], &()).unwrap_err();
    assert!(matches!(error, CheckpointError::Write { .. }), "{error}");
    assert_eq!(read(&best).unwrap(), of_epoch(1));
}

#[test]
fn damage_is_named_with_its_file_and_a_remedy() {
    let flip: fn(&Path) = |path| {
        let mut bytes = std::fs::read(path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(path, bytes).unwrap();
    };
    let truncate: fn(&Path) = |path| {
        let bytes = std::fs::read(path).unwrap();
        std::fs::write(path, &bytes[..bytes.len() - 5]).unwrap();
    };
    let remove: fn(&Path) = |path| std::fs::remove_file(path).unwrap();
    let empty: fn(&Path) = |path| std::fs::write(path, "").unwrap();
    for (file, damage, expected) in [
        (MODEL_FILE, flip, "sha256 is not the one in its manifest"),
        (OPTIMIZER_FILE, flip, "sha256 is not the one in its manifest"),
        (MODEL_FILE, truncate, "bytes, its manifest says"),
        (MODEL_FILE, empty, "has 0 bytes, its manifest says"),
        (MODEL_FILE, remove, "cannot be read"),
        (MANIFEST_FILE, remove, "cannot be read"),
        (MANIFEST_FILE, truncate, "is no checkpoint's manifest"),
    ] {
        let run = tempfile::tempdir().unwrap();
        let best = run.path().join("best");
        write(&best, 1);
        damage(&best.join(file));
        let error = read(&best).unwrap_err().to_string();
        assert!(error.contains(file) && error.contains(expected), "{file}: {error}");
    }
}

#[test]
fn damaged_weights_are_not_loaded_for_prediction_either() {
    let run = tempfile::tempdir().unwrap();
    let best = run.path().join("best");
    write(&best, 1);
    let model = best.join(MODEL_FILE);
    let mut bytes = std::fs::read(&model).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&model, bytes).unwrap();
    let error = read_model(run.path()).unwrap_err().to_string();
    assert!(error.contains("sha256"), "{error}");
}

/// A safetensors file from its header and data, as another program may have written it.
fn foreign(dir: &Path, header: &str, data: &[u8]) -> PathBuf {
    let path = dir.join(MODEL_FILE);
    std::fs::write(&path, [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()).unwrap();
    path
}

#[test]
fn weights_written_by_pytorch_load_without_a_manifest_and_before_those_in_best() {
    let run = tempfile::tempdir().unwrap();
    write(&run.path().join("best"), 1);
    let header = r#"{"__metadata__":{"format":"pt"},
        "bn.num_batches_tracked":{"dtype":"I64","shape":[],"data_offsets":[0,8]},
        "bn.weight":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}"#;
    let data = [&100u64.to_le_bytes()[..], &1.5f32.to_le_bytes(), &(-2f32).to_le_bytes()].concat();
    let path = foreign(run.path(), header, &data);
    let expected = NamedTensor { name: "bn.weight".into(), shape: vec![2], data: vec![1.5, -2.0] };
    assert_eq!(read_model(run.path()).unwrap(), (path, vec![expected]));
}

#[test]
fn files_of_other_programs_are_refused_in_words() {
    for (header, data, expected) in [
        (
            r#"{"w":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}"#,
            &[0; 4][..],
            "`w` is stored as F16; save it as 32-bit floats",
        ),
        (
            r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
            &[0; 8],
            "two tensors are called `w`",
        ),
        (r#"{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}"#, &[0; 4], "not a whole safetensors file"),
        (r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, &[0; 4], "not a whole safetensors file"),
        ("<html>", b"", "not a whole safetensors file"),
    ] {
        let run = tempfile::tempdir().unwrap();
        foreign(run.path(), header, data);
        let error = read_model(run.path()).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(MODEL_FILE), "{header}: {error}");
    }
}

#[test]
fn a_run_without_weights_says_where_they_were_looked_for() {
    let run = tempfile::tempdir().unwrap();
    let error = read_model(run.path()).unwrap_err();
    assert!(matches!(error, CheckpointError::NotFound { .. }));
    assert!(error.to_string().contains("no model.safetensors in it or in its best/"), "{error}");
}

#[test]
fn tensors_that_do_not_fit_the_model_are_all_listed() {
    let path = Path::new("run/model.safetensors");
    let expected = [("a".to_string(), vec![2]), ("b".to_string(), vec![1, 3]), ("c".to_string(), vec![])];
    let fitting = vec![tensor("c", &[], 0.0), tensor("b", &[1, 3], 0.0), tensor("a", &[2], 0.0)];
    let names: Vec<String> = fit(path, fitting, &expected).unwrap().into_iter().map(|tensor| tensor.name).collect();
    assert_eq!(names, ["a", "b", "c"]);

    let other = vec![tensor("b", &[3, 1], 0.0), tensor("c", &[], 0.0), tensor("d", &[4], 0.0), tensor("c", &[], 1.0)];
    let error = fit(path, other, &expected).unwrap_err();
    assert_eq!(
        error.to_string(),
        "run/model.safetensors: does not fit the model in config.toml: `c` is there twice, `a` [2] is missing, \
         `b` has shape [3, 1], the model needs [1, 3], `d` [4] is unknown to the model"
    );
}

//! What benchmarks measure with: the kernels of the ceilings do what is counted, passes count what they are given, and the
//! command says what it measured.

use super::chosen;
use super::cli::Sandbox;
use melgrad::gpu::{Element, Gpu, GpuOptions, Grid, Pass, Profile, Sampling, Shader};
use serde_json::Value;
use std::time::Duration;

const CEILING: Shader = Shader("ceiling");
const GROUP: usize = 256;

fn gpu(runtime_checks: bool) -> Gpu {
    Gpu::open(&GpuOptions { choice: chosen(), runtime_checks, ..GpuOptions::default() }).unwrap()
}

#[test]
fn the_copy_that_is_timed_copies_every_byte() {
    for checks in [false, true] {
        let gpu = gpu(checks);
        for (vectors, each) in [(1, 1), (1000, 1), (1025, 4), (2048, 4), (4096, 16), (4097, 16)] {
            let tensor = |label: &str| gpu.tensor(label, Element::F32, &[4 * vectors]).unwrap();
            let (source, copied) = (tensor("source"), tensor("copied"));
            let numbers: Vec<f32> = (0..4 * vectors).map(|i| i as f32 + 0.5).collect();
            gpu.write(&source, &numbers);
            let tensors = [("source", &source), ("copied", &copied)];
            let kernel = CEILING.dispatch(&gpu, "copy", &[("EACH", each.into())], &tensors).unwrap();
            let mut pass = Pass::new(&gpu);
            pass.run(&kernel, Grid::threads(usize::div_ceil(vectors, each), GROUP), &[vectors as u32, 0, 0, 0], 1);
            pass.submit().unwrap();
            assert_eq!(gpu.read::<f32>(&copied).unwrap(), numbers, "{vectors} vectors, {each} each, checks {checks}");
        }
    }
}

#[test]
fn the_products_that_are_timed_are_all_done() {
    for checks in [false, true] {
        let gpu = gpu(checks);
        let sums = gpu.tensor("sums", Element::F32, &[2 * GROUP]).unwrap();
        let kernel = CEILING.dispatch(&gpu, "products", &[], &[("sums", &sums)]).unwrap();
        for turns in [0, 1, 7] {
            let mut pass = Pass::new(&gpu);
            let immediates = [0, turns, 0.998f32.to_bits(), 0.001f32.to_bits()];
            pass.run(&kernel, Grid::threads(2 * GROUP, GROUP), &immediates, 1);
            pass.submit().unwrap();
            let links = 8 * turns as i32;
            let rest = 0.001 / (1.0 - 0.998);
            for (at, sum) in gpu.read::<f32>(&sums).unwrap().into_iter().enumerate() {
                let chain = |start: f64| rest + (start - rest) * 0.998f64.powi(links);
                let expected: f64 = (0..12).map(|i| chain((i + at % 64) as f64)).sum();
                assert!((f64::from(sum) - expected).abs() < 1e-4 * expected, "{turns} turns, {at}: {sum}, not {expected}");
            }
        }
    }
}

#[test]
fn passes_count_what_they_bind_and_do() {
    let gpu = gpu(false);
    let tensor = |label: &str, elements| gpu.tensor(label, Element::F32, &[elements]).unwrap();
    let (x, y) = (tensor("x", 64), tensor("y", 128));
    let add = Shader("add");
    let kernel = add.dispatch(&gpu, "forward", &[], &[("x", &x), ("f", &x), ("y", &y)]).unwrap();
    assert_eq!(kernel.bytes_bound(), 4 * (64 + 128), "one tensor under two names counts once");
    let record = |pass: &mut Pass<'_>| {
        for _ in 0..3 {
            pass.run(&kernel, Grid::linear(1), &[64], 192);
        }
        pass.run(&kernel, Grid([0, 1, 1]), &[64], 192);
    };
    let mut pass = Pass::new(&gpu);
    record(&mut pass);
    let counts = pass.counts();
    assert_eq!((counts.dispatches, counts.bytes_bound, counts.work), (3, 3 * 4 * 192, 3 * 192));
    pass.submit().unwrap();

    let milliseconds = Duration::from_millis;
    let profile = Profile::sampled(Sampling { samples: 5, at_least: milliseconds(1), in_all: milliseconds(500) });
    let mut pass = Pass::profiled(&gpu, &profile, None);
    record(&mut pass);
    assert_eq!(pass.counts().work, 3 * 192, "repeats count once");
    pass.submit().unwrap();
    let rows = profile.rows();
    assert_eq!((rows.len(), rows[0].times, rows[0].work, rows[0].bytes_bound), (1, 3, 3 * 192, 3 * 4 * 192));
    assert!(rows[0].best_seconds > 0.0 && rows[0].best_seconds <= rows[0].seconds, "{rows:?}");
}

fn positive(row: &Value, keys: &[&str]) {
    for key in keys {
        assert!(row[key].as_f64().is_some_and(|number| number > 0.0), "{key}: {row}");
    }
}

/// What a GPU waits for between dispatches counts where layers are as small as these.
#[test]
fn a_step_of_five_indrnn_layers_has_at_most_sixty_dispatches_in_either_precision() {
    let sandbox = Sandbox::new();
    for precision in ["f32", "mixed"] {
        let line = sandbox.good(&["bench", "indrnn_t9_b2_i8_h8_l5", "--precision", precision]);
        let row: Value = serde_json::from_str(&line).unwrap();
        let dispatches = row["dispatches"].as_u64().unwrap();
        assert!((20..=60).contains(&dispatches), "{precision}: {dispatches}");
    }
}

#[test]
fn a_saved_bench_is_compared_with_another_and_other_files_are_refused() {
    let sandbox = Sandbox::new();
    let lines = sandbox.good(&["bench", "rnn_t4_b2_i3_h4_l1", "gru_t4_b2_i3_h4_l1"]);
    let rows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2);
    for row in &rows {
        positive(
            row,
            &["ms_per_step", "ms_per_step_median", "host_ms", "record_ms", "dispatches", "submissions", "bytes_bound", "work"],
        );
        positive(row, &["peak_bytes", "first_step_seconds"]);
        assert!(row["floor_bytes_ms"].is_null(), "nobody asked for ceilings: {row}");
    }
    std::fs::write(sandbox.path("lines.json"), &lines).unwrap();
    let json = sandbox.good(&["bench", "lstm_t4_b2_i3_h4_l1", "rnn_t4_b2_i3_h4_l1", "--json", "--ceilings"]);
    let document: Value = serde_json::from_str(&json).unwrap();
    positive(&document[1], &["floor_bytes_ms", "floor_work_ms", "ms_per_step"]);
    std::fs::write(sandbox.path("document.json"), &json).unwrap();

    let compare = ["bench", "--compare", "lines.json", "document.json"];
    let said: Value = serde_json::from_str(&sandbox.good(&[&compare[..], &["--json"]].concat())).unwrap();
    let row = &said["rows"][0];
    assert_eq!((&row["workload"], said["rows"].as_array().unwrap().len()), (&Value::from("rnn_t4_b2_i3_h4_l1"), 1));
    let [a, b, ratio] = ["a", "b", "ratio"].map(|key| row[key].as_f64().unwrap());
    assert_eq!((a, b), (rows[0]["ms_per_step"].as_f64().unwrap(), document[1]["ms_per_step"].as_f64().unwrap()));
    assert!((ratio - a / b).abs() < 1e-12, "{row}");
    assert_eq!(said["a"]["adapter"], rows[0]["adapter"]);
    assert_eq!((&said["only_a"][0], &said["only_b"][0]), (&rows[1]["workload"], &document[0]["workload"]));
    let table = sandbox.good(&compare);
    assert!(table.contains("a / b") && table.contains("Only in b: lstm_t4"), "{table}");

    std::fs::write(sandbox.path("run.json"), r#"{"run": "runs/a", "epochs": 3}"#).unwrap();
    std::fs::write(sandbox.path("table.txt"), "workload  ms/step\n").unwrap();
    for (file, words) in
        [("nowhere.json", "nowhere.json"), ("run.json", "names no `workload`"), ("table.txt", "line 1 is no JSON")]
    {
        let said = sandbox.bad(&["bench", "--compare", "lines.json", file], 3);
        assert!(said.contains(words) && said.contains(file), "{file}: {said}");
    }
    for args in [
        &["bench", "--compare", "lines.json"][..],
        &["bench", "--compare", "lines.json", "lines.json", "rnn_t4_b2_i3_h4_l1"],
        &["bench", "--epoch", "--each-kernel"],
        &["bench", "--seconds", "3"],
        &["bench", "--epoch", "--seconds", "0"],
        &["bench", "--epoch", "--clips", "1"],
        &["bench", "--epoch", "cnn"],
        &["bench", "--each-kernel", "cnn"],
    ] {
        sandbox.bad(args, 2);
    }
}

#[test]
fn an_epoch_is_timed_and_what_is_reckoned_is_said() {
    let sandbox = Sandbox::new();
    let json = sandbox.good(&["bench", "--epoch", "indrnn", "--clips", "10", "--seconds", "0.1", "--json"]);
    let rows: Value = serde_json::from_str(&json).unwrap();
    positive(&rows[0], &["seconds_per_epoch", "data_seconds", "turns", "peak_bytes"]);
    assert_eq!(rows[0]["workload"], "epoch_indrnn_c10_t647_m128_b32");
    assert_eq!((&rows[0]["train_clips"], &rows[0]["batches"]), (&Value::from(10), &Value::from(1)), "too few to part");
    assert_eq!((&rows[0]["reckoned"], &rows[0]["batches_timed"]), (&Value::from(false), &rows[0]["turns"]));

    let said = sandbox.good(&["bench", "--epoch", "indrnn", "--clips", "40", "--seconds", "0.001"]);
    assert!(said.contains("the epoch is reckoned from some batches: indrnn (1 of 2 batches a turn)"), "{said}");
}

#[test]
fn kernels_stand_beside_what_the_adapter_does_at_most() {
    let sandbox = Sandbox::new();
    let json = sandbox.good(&["bench", "--each-kernel", "softmax_cross_entropy", "indrnn", "--json"]);
    let document: Value = serde_json::from_str(&json).unwrap();
    positive(&document["ceilings"], &["copy_gb_per_s", "fma_gflop_per_s", "copied_bytes"]);
    let rows = document["kernels"].as_array().unwrap();
    for row in rows {
        positive(row, &["ms", "best_ms", "samples", "bytes_bound", "work", "gb_per_s", "gflop_per_s", "share_of_copy"]);
        let [share, gflop, most] =
            [&row["share_of_fma"], &row["gflop_per_s"], &document["ceilings"]["fma_gflop_per_s"]].map(|n| n.as_f64().unwrap());
        assert!((share - gflop / most).abs() < 1e-9, "{row}");
        assert!(share < 1.0, "nothing computes faster than registers: {row}");
    }
    let lines = sandbox.good(&["bench", "--each-kernel", "softmax_cross_entropy", "--lines"]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["adapter"], lines.len()), (&document["adapter"], 2));
    positive(&lines[0]["ceilings"], &["copy_gb_per_s"]);
    assert_eq!(lines[1]["family"], "softmax_cross_entropy");
    let has = |kernel: &str| rows.iter().any(|row| row["kernel"] == kernel);
    for entry in ["forward", "backward"] {
        // Software adapters have one of their own.
        assert!(has(&format!("indrnn.{entry}")) || has(&format!("indrnn_wide.{entry}")), "{entry}: {json}");
    }
    for kernel in ["indrnn_scan.forward", "softmax_cross_entropy.forward"] {
        assert!(has(kernel), "{kernel}: {json}");
    }
}

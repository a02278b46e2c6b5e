//! Whole networks against their twins in PyTorch: `fixtures/networks/make.py` says how the numbers were made.

use melgrad::config::{BatchNormPlace, ModelConfig, ModelName, Nonlinearity, Readout, Stack};
use melgrad::gpu::{Gpu, GpuOptions, KernelPolicy, Pass, Precision};
use melgrad::layers::{Mode, Size};
use melgrad::models::{Dimensions, Network};
use melgrad::optim::{Optimizer, OptimizerSettings};
use melgrad::reference::noise::Noise;
use melgrad::train::checkpoint::NamedTensor;
use melgrad::train::{named_tensor, weights};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use crate::training::{SMALL, small_model};

/// Largest difference over the largest magnitude of a tensor.
const TOLERANCE: f64 = 1e-4;

struct Case {
    file: &'static str,
    /// What `make.py` wrote, compiled in: this binary may be carried to a machine that has nothing else.
    fixture: &'static [u8],
    model: ModelConfig,
    dimensions: Dimensions,
}

macro_rules! case {
    ($file:literal, $model:expr, $dimensions:expr) => {
        Case {
            file: $file,
            fixture: include_bytes!(concat!("../fixtures/networks/", $file, ".safetensors")),
            model: $model,
            dimensions: $dimensions,
        }
    };
}

fn cases() -> Vec<Case> {
    let new = ModelConfig::new;
    let small = Dimensions { batch: 4, frames: 11, mels: 7, classes: 5 };
    let of = |name, layers| ModelConfig { hidden: 13, layers, ..new(name) };
    let indrnn = |layers| of(ModelName::Indrnn, layers);
    let place = |batch_norm| ModelConfig { batch_norm, ..indrnn(2) };
    let bbnn = |batch, frames, mels| Dimensions { batch, frames, mels, classes: 3 };
    let narrow =
        ModelConfig { width: 4, blocks: 2, kernels: [3, 7], pool: [2, 2], transition_pool: [3, 1], ..new(ModelName::Bbnn) };
    let dense = ModelConfig { stack: Stack::Dense, growth: 3, dense_blocks: vec![2, 1], ..new(ModelName::Indrnn) };
    let relu = ModelConfig { nonlinearity: Nonlinearity::Relu, readout: Readout::Mean, ..of(ModelName::Rnn, 2) };
    vec![
        case!("bbnn", new(ModelName::Bbnn), bbnn(3, 24, 8)),
        case!("bbnn_small", narrow, bbnn(3, 20, 9)),
        case!("indrnn_last", indrnn(3), small),
        case!("indrnn_mean", ModelConfig { readout: Readout::Mean, ..indrnn(2) }, small),
        case!("indrnn_before", place(BatchNormPlace::Before), small),
        case!("indrnn_input", place(BatchNormPlace::Input), small),
        case!("indrnn_none", place(BatchNormPlace::None), small),
        case!("indrnn_residual", ModelConfig { stack: Stack::Residual, ..indrnn(4) }, small),
        case!("indrnn_dense", dense, small),
        case!("rnn_tanh", of(ModelName::Rnn, 3), small),
        case!("rnn_relu", relu, small),
        case!("lstm", of(ModelName::Lstm, 3), small),
        case!("gru", of(ModelName::Gru, 3), small),
    ]
}

impl Case {
    fn expected(&self) -> BTreeMap<String, NamedTensor> {
        let tensors = named_tensor::decode(Path::new(self.file), self.fixture).unwrap();
        tensors.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect()
    }

    /// The network with the weights of `fill` in `make.py`.
    fn network(&self, gpu: &Gpu, most_per_slice: usize) -> Network {
        let network = Network::with_slices(gpu, &self.model, self.dimensions, most_per_slice).unwrap();
        let mels = self.dimensions.mels;
        if self.model.standardises_input() {
            network.set_standardisation(&vec![-32.0; mels], &vec![8.0; mels]);
        }
        fill(&network);
        network
    }
}

fn fill(network: &Network) {
    let declarations = network.parameters().declarations();
    let mut names: Vec<&str> = declarations.parameters.iter().map(|p| p.name.as_str()).collect();
    names.sort_unstable();
    let tensor = |(name, shape): (String, Vec<usize>)| {
        let count = shape.iter().product();
        let seed = names.iter().position(|known| *known == name).map_or(0, |place| place as u64 + 1);
        let (base, scale) = match () {
            () if name.ends_with("running_mean") => (0.0, 0.0),
            () if name.ends_with("running_var") => (1.0, 0.0),
            () if name.ends_with("recurrent.weight") => (0.0, 1.0),
            () if shape.len() > 1 && shape[1..].iter().product::<usize>() > 100 => (0.0, 0.125),
            () if name.contains("bn.weight") => (1.0, 0.25),
            () => (0.0, 0.25),
        };
        let data = Noise::new(seed).numbers(count).into_iter().map(|v| (base + scale * v) as f32).collect();
        NamedTensor { name, shape, data }
    };
    let tensors: Vec<NamedTensor> = weights::expected(declarations, 0, false).into_iter().map(tensor).collect();
    weights::import(network, &tensors);
}

fn upload(network: &Network) -> Size {
    let Dimensions { batch, frames, mels, classes } = network.dimensions();
    let features: Vec<f32> =
        Noise::new(1000).numbers(batch * frames * mels).into_iter().map(|v| (v * 16.0 - 32.0) as f32).collect();
    let labels: Vec<u32> = (0..batch).map(|i| ((3 * i + 1) % classes) as u32).collect();
    network.upload(&features, &labels);
    Size { batch, frames }
}

fn gpu(runtime_checks: bool) -> Gpu {
    open(runtime_checks, KernelPolicy::default())
}

fn open(runtime_checks: bool, kernels: KernelPolicy) -> Gpu {
    let options = GpuOptions { runtime_checks, kernels, choice: crate::chosen(), ..GpuOptions::default() };
    Gpu::open(&options).expect("the tests need a GPU adapter")
}

/// Kernels that only hardware gets.
fn of_hardware() -> KernelPolicy {
    KernelPolicy::Preferring(["tiled", "together"].map(str::to_owned).to_vec())
}

/// Adds a line to `misses` if `found` differs from `expected`; `floor` is the least magnitude that counts.
fn compare(misses: &mut String, what: &str, found: &[f32], expected: &[f32], floor: f64, tolerance: f64) -> f64 {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(floor, |a, &b| a.max(f64::from(b).abs()));
    let difference = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).abs();
    // f64::max would let a NaN pass.
    let worst = found.iter().zip(expected).map(difference).fold(0.0, |a: f64, b| if b.is_nan() { b } else { a.max(b) });
    let worst = if worst.is_nan() { f64::INFINITY } else { worst / largest };
    if worst > tolerance {
        let _ = writeln!(misses, "{what}: {worst:.2e} of {largest:.2e}");
    }
    worst
}

#[test]
fn logits_loss_every_gradient_running_statistics_and_ten_steps_of_adam_agree_with_pytorch() {
    agree_with_pytorch(false, KernelPolicy::default(), |_| true);
    // Of the same kernels: as a test of its own it would have them compiled beside this one.
    ten_steps_of_adam_follow_pytorch();
}

#[test]
fn with_runtime_checks_they_agree_with_pytorch() {
    // Kernels of the larger BBNN have checks in their own tests.
    agree_with_pytorch(true, KernelPolicy::default(), |case| case.file != "bbnn");
}

#[test]
fn by_the_kernels_that_only_hardware_gets_they_agree_with_pytorch() {
    agree_with_pytorch(false, of_hardware(), |case| case.model.name == ModelName::Bbnn);
}

fn agree_with_pytorch(checks: bool, kernels: KernelPolicy, tries: impl Fn(&Case) -> bool) {
    let gpu = open(checks, kernels.clone());
    for case in cases().into_iter().filter(tries) {
        // Only images are cut into slices.
        let slices: &[usize] = if case.model.name == ModelName::Bbnn { &[usize::MAX, 2] } else { &[usize::MAX] };
        for &most_per_slice in slices {
            let expected = case.expected();
            let network = case.network(&gpu, most_per_slice);
            let size = upload(&network);
            let mut pass = Pass::new(&gpu);
            network.forward(&mut pass, size, Mode::Train);
            network.backward(&mut pass, size);
            pass.submit().unwrap();

            let mut misses = String::new();
            let logits: Vec<f32> = gpu.read(network.logits()).unwrap();
            compare(&mut misses, "logits", &logits, &expected["logits"].data, 1.0, TOLERANCE);
            let results: Vec<f32> = gpu.read(&network.loss().results).unwrap();
            compare(&mut misses, "loss", &[results[0] / size.batch as f32], &expected["loss"].data, 1.0, TOLERANCE);
            // A bias before a batch norm has no influence: its gradient is rounding, and is held to the others' size.
            let gradients = weights::export_gradients(&network).unwrap();
            let floor = 0.02;
            let mut worst = (0.0, String::new());
            for gradient in &gradients {
                let key = format!("grad.{}", gradient.name);
                let difference = compare(&mut misses, &key, &gradient.data, &expected[&key].data, floor, TOLERANCE);
                if difference > worst.0 {
                    worst = (difference, key);
                }
            }
            for tensor in weights::export(&network, None).unwrap().iter().filter(|t| t.name.contains("running")) {
                let key = format!("running.{}", tensor.name);
                compare(&mut misses, &key, &tensor.data, &expected[&key].data, 1e-2, TOLERANCE);
            }
            let mut pass = Pass::new(&gpu);
            network.forward(&mut pass, size, Mode::Evaluate);
            pass.submit().unwrap();
            let logits: Vec<f32> = gpu.read(network.logits()).unwrap();
            compare(&mut misses, "evaluation logits", &logits, &expected["evaluation_logits"].data, 1.0, TOLERANCE);
            println!("{}: worst gradient {:.1e} ({})", case.file, worst.0, worst.1);
            assert!(misses.is_empty(), "{} (slices of {most_per_slice}, checks {checks}, {kernels:?}):\n{misses}", case.file);
        }
    }
}

fn ten_steps_of_adam_follow_pytorch() {
    let gpu = gpu(false);
    for case in cases() {
        let expected = case.expected();
        let network = case.network(&gpu, usize::MAX);
        let size = upload(&network);
        let optimizer = Optimizer::new(&gpu, network.parameters(), OptimizerSettings::default()).unwrap();
        let mut losses = Vec::new();
        for _ in 0..10 {
            let mut pass = Pass::new(&gpu);
            network.forward(&mut pass, size, Mode::Train);
            network.backward(&mut pass, size);
            optimizer.step(&mut pass, 1e-3);
            pass.submit().unwrap();
            losses.push(gpu.read::<f32>(&network.loss().results).unwrap()[0] / size.batch as f32);
        }
        let mut misses = String::new();
        compare(&mut misses, "losses", &losses, &expected["ten_losses"].data, 1.0, 1e-3);
        assert!(misses.is_empty(), "{}: {misses}\n{losses:?}\n{:?}", case.file, expected["ten_losses"].data);
    }
}

#[test]
fn bbnn_at_full_size_has_the_published_number_of_parameters() {
    for (classes, total, trainable) in [(10, 190_826, 185_642), (5, 190_661, 185_477)] {
        let dimensions = Dimensions { batch: 8, frames: 647, mels: 128, classes };
        let declared = melgrad::models::declare(&ModelConfig::new(ModelName::Bbnn), dimensions).unwrap();
        assert_eq!((declared.total(), declared.trainable()), (total, trainable));
    }
}

/// Sums over parts of the work are in an order that sizes alone decide.
#[test]
fn kernels_of_hardware_give_the_same_bits_twice() {
    let gpu = open(false, of_hardware());
    // Shapes that other tests have compiled.
    let cases = cases();
    let bbnn = cases.iter().find(|case| case.file == "bbnn").unwrap();
    let mixed = (
        Precision::Mixed,
        ModelConfig { blocks: 1, ..small_model(ModelName::Bbnn) },
        Dimensions { batch: 3, frames: 40, ..SMALL },
    );
    for (precision, model, dimensions) in [(Precision::F32, bbnn.model.clone(), bbnn.dimensions), mixed] {
        let run = || {
            let network = Network::new(&gpu.with_precision(precision), &model, dimensions).unwrap();
            fill(&network);
            let size = upload(&network);
            let mut pass = Pass::new(&gpu);
            network.forward(&mut pass, size, Mode::Train);
            network.backward(&mut pass, size);
            pass.submit().unwrap();
            let gradients = weights::export_gradients(&network).unwrap().into_iter().flat_map(|tensor| tensor.data);
            gradients.map(f32::to_bits).collect::<Vec<_>>()
        };
        let first = run();
        assert!(first.iter().any(|bits| *bits != 0) && first == run(), "{precision}");
    }
    assert!(gpu.choices().iter().any(|(_, kernels)| kernels.starts_with("tiled")), "{:?}", gpu.choices());
}

//! Training as a whole: a batch learnt by heart, the same bits twice, and a run directory from music to predictions.

use melgrad::config::{AugmentConfig, BatchNormPlace, Config, ModelConfig, ModelName, Nonlinearity, Readout, Stack};
use melgrad::dataset::{CachePolicy, Collection, Dataset, Draw, LoadOptions, Protocol, collect_builtin};
use melgrad::gpu::{Gpu, GpuOptions, Pass};
use melgrad::layers::{Mode, Size};
use melgrad::models::{Dimensions, Network};
use melgrad::optim::{Optimizer, OptimizerSettings};
use melgrad::reference::noise::Noise;
use melgrad::train::checkpoint::{NamedTensor, read_model};
use melgrad::train::event::{Event, Observer};
use melgrad::train::run_directory::RunDirectory;
use melgrad::train::train;

pub(crate) fn gpu() -> Gpu {
    Gpu::open(&GpuOptions { choice: crate::chosen(), ..GpuOptions::default() }).expect("the tests need a GPU adapter")
}

#[derive(Default)]
pub(crate) struct Recorder(pub(crate) Vec<Event>);

impl Observer for Recorder {
    fn event(&mut self, event: &Event) -> std::io::Result<()> {
        self.0.push(event.clone());
        Ok(())
    }
}

/// Trains on one batch of noise; returns the losses and the final weights.
pub(crate) fn learn_by_heart(
    gpu: &Gpu,
    model: &ModelConfig,
    dimensions: Dimensions,
    steps: usize,
    learning_rate: f32,
) -> (Vec<f32>, Vec<u32>) {
    let network = Network::new(gpu, model, dimensions).unwrap();
    network.initialise(3);
    let optimizer = Optimizer::new(gpu, network.parameters(), OptimizerSettings::default()).unwrap();
    let mut noise = Noise::new(7);
    let features: Vec<f32> =
        noise.numbers(dimensions.batch * dimensions.frames * dimensions.mels).into_iter().map(|v| v as f32).collect();
    network.upload(&features, &noise.labels(dimensions.batch, dimensions.classes));
    let size = Size { batch: dimensions.batch, frames: dimensions.frames };
    let mut losses = Vec::new();
    for step in 0..steps {
        network.set_dropout_seed(step as u64);
        let mut pass = Pass::new(gpu);
        network.forward(&mut pass, size, Mode::Train);
        network.backward(&mut pass, size);
        optimizer.step(&mut pass, learning_rate);
        pass.submit().unwrap();
        losses.push(gpu.read::<f32>(&network.loss().results).unwrap()[0] / size.batch as f32);
    }
    let weights: Vec<f32> = gpu.read(network.parameters().values().whole()).unwrap();
    (losses, weights.into_iter().map(f32::to_bits).collect())
}

/// The network of all tests that need no other, on [`SMALL`]'s bands: drivers take half a minute to compile a BBNN.
pub(crate) fn small_model(name: ModelName) -> ModelConfig {
    let model = ModelConfig::new(name);
    match name {
        ModelName::Bbnn => ModelConfig { width: 8, blocks: 2, kernels: [3, 5], pool: [2, 1], ..model },
        _ => ModelConfig { hidden: 32, layers: 2, ..model },
    }
}

/// Every network, and every way to build one, with the steps that it takes to learn a batch.
pub(crate) fn small() -> Vec<(&'static str, ModelConfig, usize)> {
    let of = small_model;
    let indrnn = || of(ModelName::Indrnn);
    let dense = ModelConfig { stack: Stack::Dense, growth: 8, dense_blocks: vec![2, 1], ..ModelConfig::new(ModelName::Indrnn) };
    vec![
        ("bbnn", of(ModelName::Bbnn), 60),
        ("indrnn", indrnn(), 150),
        ("indrnn before", ModelConfig { batch_norm: BatchNormPlace::Before, readout: Readout::Mean, ..indrnn() }, 150),
        ("indrnn input", ModelConfig { batch_norm: BatchNormPlace::Input, ..indrnn() }, 150),
        ("residual indrnn", ModelConfig { stack: Stack::Residual, ..indrnn() }, 150),
        ("dense indrnn", dense, 150),
        ("rnn", of(ModelName::Rnn), 150),
        ("rnn relu", ModelConfig { nonlinearity: Nonlinearity::Relu, ..of(ModelName::Rnn) }, 150),
        ("lstm", of(ModelName::Lstm), 150),
        ("gru", of(ModelName::Gru), 150),
    ]
}

pub(crate) const SMALL: Dimensions = Dimensions { batch: 6, frames: 16, mels: 8, classes: 3 };

#[test]
fn each_network_learns_one_batch_by_heart() {
    let gpu = gpu();
    for (name, model, steps) in small() {
        let (losses, _) = learn_by_heart(&gpu, &model, SMALL, steps, 1e-2);
        println!("{name}: {:.5} after {steps} steps", losses[steps - 1]);
        assert!(losses[0] > 0.5, "{name} knows it before it learns: {losses:?}");
        assert!(losses[steps - 1] < 0.01, "{name}: {losses:?}");
    }
}

#[test]
fn two_runs_give_the_same_bits() {
    let gpu = gpu();
    for (name, model, _) in small() {
        let dropout = if model.name.is_recurrent() { 0.25 } else { 0.0 };
        let model = ModelConfig { dropout, ..model };
        let (first_losses, first) = learn_by_heart(&gpu, &model, SMALL, 5, 1e-3);
        let (second_losses, second) = learn_by_heart(&gpu, &model, SMALL, 5, 1e-3);
        assert_eq!(first_losses, second_losses, "{name}");
        assert!(first == second, "{name}: the weights differ");
        let (_, other) = learn_by_heart(&gpu, &model, SMALL, 5, 2e-3);
        assert!(first != other, "{name}: this test would not see a difference");
    }
}

#[test]
fn dropout_changes_training_with_its_seed_and_leaves_evaluation_alone() {
    let gpu = gpu();
    for (name, model, _) in small().into_iter().filter(|(_, model, _)| model.name.is_recurrent()) {
        let logits = |dropout: f32, seed: u64, mode: Mode| {
            let network = Network::new(&gpu, &ModelConfig { dropout, ..model.clone() }, SMALL).unwrap();
            network.initialise(3);
            let mut noise = Noise::new(7);
            let features: Vec<f32> = noise.numbers(6 * 16 * 8).into_iter().map(|v| v as f32).collect();
            network.upload(&features, &[0; 6]);
            network.set_dropout_seed(seed);
            let mut pass = Pass::new(&gpu);
            network.forward(&mut pass, Size { batch: 6, frames: 16 }, mode);
            pass.submit().unwrap();
            gpu.read::<f32>(network.logits()).unwrap()
        };
        let first = logits(0.5, 1, Mode::Train);
        assert_eq!(first, logits(0.5, 1, Mode::Train), "{name}: one seed, one mask");
        assert_ne!(first, logits(0.5, 2, Mode::Train), "{name}: another seed, the same mask");
        assert_ne!(first, logits(0.0, 1, Mode::Train), "{name}: nothing is left out");
        let evaluated = logits(0.5, 1, Mode::Evaluate);
        assert_eq!(evaluated, logits(0.5, 2, Mode::Evaluate), "{name}: evaluation draws masks");
        // Without dropout a network may get other kernels, whose sums are in another order.
        for (with, without) in evaluated.iter().zip(logits(0.0, 1, Mode::Evaluate)) {
            assert!((with - without).abs() <= 1e-5, "{name}: evaluation leaves something out: {with}, {without}");
        }
    }
}

pub(crate) fn built_in(config: &Config) -> Dataset {
    built_in_collection(config).dataset(Protocol::Grouped, Draw::single(0)).unwrap()
}

pub(crate) fn built_in_collection(config: &Config) -> Collection {
    let options = LoadOptions {
        data: config.data.clone(),
        features: config.features.clone(),
        frames: config.train.frames,
        seed: 0,
        strict: true,
        cache: CachePolicy::Off,
        classes: None,
    };
    collect_builtin(&options, &|_, _| {}).unwrap()
}

pub(crate) fn tiny_config() -> Config {
    let mut config = Config::new(ModelName::Indrnn);
    (config.model.hidden, config.model.layers) = (32, 2);
    (config.train.frames, config.train.batch_size, config.train.epochs, config.train.learning_rate) = (64, 16, 8, 3e-3);
    config
}

#[test]
fn a_run_learns_from_music_and_leaves_a_whole_run_directory() {
    let gpu = gpu();
    let mut config = tiny_config();
    let data = built_in(&config);
    config.data.classes.clone_from(&data.classes);
    let folder = tempfile::tempdir().unwrap();
    let run = RunDirectory::create(Some(&folder.path().join("run")), "indrnn").unwrap();
    run.write_config(&config).unwrap();
    let mut events = Recorder::default();
    let summary = train(&gpu, &config, &data, &run, &mut events).unwrap();

    let epochs: Vec<_> =
        events.0.iter().filter_map(|event| if let Event::Epoch(metrics) = event { Some(*metrics) } else { None }).collect();
    assert_eq!(epochs.len(), 8);
    assert!(epochs[7].train_loss < 0.7 * epochs[0].train_loss, "{epochs:?}");
    let best = epochs.iter().map(|e| e.val_accuracy.unwrap()).fold(0.0, f64::max);
    assert_eq!(epochs[summary.best_epoch - 1].val_accuracy, Some(best), "the best epoch is the one kept");
    assert!(summary.test_accuracy.is_some() && summary.test_accuracy_ci95.is_some());
    assert_eq!(summary.majority_baseline, Some(0.2));
    assert!(matches!(events.0.last(), Some(Event::Finished(_))));

    for file in [
        "config.toml",
        "splits.csv",
        "bad_files.csv",
        "kernels.json",
        "evaluation.json",
        "predictions.csv",
        "confusion_matrix.csv",
    ] {
        assert!(run.file(file).is_file(), "{file}");
    }
    for file in ["model.safetensors", "optimizer.safetensors", "manifest.json"] {
        assert!(run.file("best").join(file).is_file() && run.file("last").join(file).is_file(), "{file}");
    }
    let (_, reread) = RunDirectory::open(run.path()).map(|(run, config)| (run.path().to_owned(), config)).unwrap();
    assert_eq!(reread, config, "config.toml says it all");
    let (_, tensors) = read_model(run.path()).unwrap();
    assert!(tensors.iter().any(|t| t.name == "input.mean" && t.shape == [128]));
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let gpu = gpu();
    let mut config = tiny_config();
    config.train.epochs = 2;
    let data = built_in(&config);
    config.data.classes.clone_from(&data.classes);
    let weights = |seed: u64| {
        let config = Config { train: melgrad::config::TrainConfig { seed, ..config.train.clone() }, ..config.clone() };
        trained(&gpu, &config, &data)
    };
    let first = weights(1);
    assert!(first == weights(1), "two runs of one seed differ");
    assert!(first != weights(2), "the seed has no influence");
}

/// The best weights of a run.
fn trained(gpu: &Gpu, config: &Config, data: &Dataset) -> Vec<NamedTensor> {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDirectory::create(Some(&folder.path().join("run")), "indrnn").unwrap();
    train(gpu, config, data, &run, &mut Recorder::default()).unwrap();
    read_model(run.path()).unwrap().1
}

#[test]
fn a_run_with_every_augmentation_gives_the_same_bits_twice() {
    let gpu = gpu();
    let mut config = tiny_config();
    config.train.epochs = 2;
    let data = built_in(&config);
    config.data.classes.clone_from(&data.classes);
    let plain = trained(&gpu, &config, &data);
    config.augment = AugmentConfig { gain_db: 6.0, time_shift: 16, time_masks: 2, mel_masks: 2, ..AugmentConfig::default() };
    let first = trained(&gpu, &config, &data);
    assert!(first == trained(&gpu, &config, &data), "two runs differ");
    assert!(first != plain, "augmentation has no influence");
}

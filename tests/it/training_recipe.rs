//! What a recipe does to the gradient on its way to an update, in whole networks and whole runs.

use melgrad::config::{ClassWeights, Config, ModelName, OptimizerName, ScheduleName, TrainConfig};
use melgrad::dataset::{Batches, Split};
use melgrad::gpu::{Gpu, Pass, Tensor};
use melgrad::layers::{Mode, Size};
use melgrad::models::{Dimensions, Network};
use melgrad::optim::{Accumulate, Optimizer, OptimizerSettings};
use melgrad::reference::noise::Noise;
use melgrad::train::checkpoint::{Checkpoint, read_checkpoint};
use melgrad::train::event::{EpochMetrics, Event};
use melgrad::train::run_directory::RunDirectory;
use melgrad::train::{train, weights};

use crate::training::{Recorder, SMALL, built_in, gpu, small_model, tiny_config};

const CLASS_WEIGHTS: [f32; 3] = [1.0, 2.0, 0.5];

fn network(gpu: &Gpu, model: ModelName) -> Network {
    let network = Network::new(gpu, &small_model(model), SMALL).unwrap();
    network.initialise(3);
    network
}

/// A batch of so many clips of noise, and the sum of its labels' weights.
struct Noisy {
    features: Vec<f32>,
    labels: Vec<u32>,
    weight: f64,
}

fn noisy(seed: u64, clips: usize) -> Noisy {
    let mut noise = Noise::new(seed);
    let features = noise.numbers(clips * SMALL.frames * SMALL.mels).into_iter().map(|v| v as f32).collect();
    let labels = noise.labels(clips, SMALL.classes);
    let weight = labels.iter().map(|&label| f64::from(CLASS_WEIGHTS[label as usize])).sum();
    Noisy { features, labels, weight }
}

/// Forward and backward of one batch, and then what `record` adds.
fn run(network: &Network, batch: &Noisy, divisor: Option<f32>, record: impl FnOnce(&mut Pass<'_>)) {
    network.upload(&batch.features, &batch.labels);
    let size = Size { batch: batch.labels.len(), frames: SMALL.frames };
    let mut pass = Pass::new(network.gpu());
    network.forward_part(&mut pass, size, Mode::Train, divisor);
    network.backward(&mut pass, size);
    record(&mut pass);
    pass.submit().unwrap();
}

fn bits(gpu: &Gpu, tensor: &Tensor) -> Vec<u32> {
    gpu.read::<f32>(tensor).unwrap().into_iter().map(f32::to_bits).collect()
}

#[test]
fn gradients_of_batches_of_different_sizes_add_up_to_those_of_their_weighted_mean() {
    let gpu = gpu();
    for model in [ModelName::Indrnn, ModelName::Bbnn] {
        let mut network = network(&gpu, model);
        network.set_loss(0.1, &CLASS_WEIGHTS);
        let batches = [noisy(1, 6), noisy(2, 1), noisy(3, 4)];
        let all: f64 = batches.iter().map(|batch| batch.weight).sum();
        let gradients = network.parameters().gradients().whole();
        let accumulate = Accumulate::new(&gpu, network.parameters()).unwrap();
        gpu.write(accumulate.sum(), &vec![f32::NAN; accumulate.sum().elements()]);

        let mut expected = vec![0.0; gradients.elements()];
        for batch in &batches {
            run(&network, batch, None, |_| {});
            let own: Vec<f32> = gpu.read(gradients).unwrap();
            expected.iter_mut().zip(own).for_each(|(sum, value)| *sum += batch.weight / all * f64::from(value));
        }
        // Twice: the second update must not hold what is left of the first.
        for _ in 0..2 {
            for (i, batch) in batches.iter().enumerate() {
                run(&network, batch, Some(all as f32), |pass| accumulate.add(pass, i == 0));
            }
        }
        let sum: Vec<f32> = gpu.read(accumulate.sum()).unwrap();
        let largest = expected.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
        let difference = |(a, b): (&f32, &f64)| (f64::from(*a) - b).abs();
        let worst = sum.iter().zip(&expected).map(difference).fold(0.0, |a: f64, b| if b.is_nan() { b } else { a.max(b) });
        println!("{model}: worst {:.1e}", worst / largest);
        assert!(worst / largest < 1e-5, "{model}: {worst} of {largest}");
        assert!(largest > 1e-3, "{model}: there is nothing to compare");
    }
}

#[test]
fn an_update_of_one_batch_is_the_same_to_the_bit_with_and_without_accumulation() {
    let gpu = gpu();
    let batch = noisy(1, 6);
    let weights = |accumulated: bool| {
        let network = network(&gpu, ModelName::Indrnn);
        let parameters = network.parameters();
        let accumulate = Accumulate::new(&gpu, parameters).unwrap();
        let gradients = if accumulated { accumulate.sum() } else { parameters.gradients().whole() };
        let optimizer = Optimizer::with_gradients(&gpu, parameters, gradients, OptimizerSettings::default()).unwrap();
        for _ in 0..3 {
            run(&network, &batch, accumulated.then_some(6.0), |pass| {
                if accumulated {
                    accumulate.add(pass, true);
                }
                optimizer.step(pass, 1e-2);
            });
        }
        bits(&gpu, parameters.values().whole())
    };
    assert!(weights(false) == weights(true));
}

/// The epochs of a run on the built-in music, its last checkpoint, and the number of training clips.
fn trained(recipe: TrainConfig) -> (Vec<EpochMetrics>, Checkpoint<serde_json::Value>, usize) {
    let gpu = gpu();
    let mut config = Config { train: recipe, ..tiny_config() };
    let data = built_in(&config);
    config.data.classes.clone_from(&data.classes);
    let folder = tempfile::tempdir().unwrap();
    let run = RunDirectory::create(Some(&folder.path().join("run")), "indrnn").unwrap();
    let mut events = Recorder::default();
    train(&gpu, &config, &data, &run, &mut events).unwrap();
    let epochs = events.0.iter().filter_map(|event| if let Event::Epoch(metrics) = event { Some(*metrics) } else { None });
    (epochs.collect(), read_checkpoint(&run.file("last")).unwrap(), data.part(Split::Train).len())
}

#[test]
fn a_run_counts_updates_follows_its_schedule_and_keeps_what_its_optimiser_keeps() {
    let recipe = TrainConfig {
        epochs: 2,
        batch_size: 8,
        accumulation: 3,
        optimizer: OptimizerName::Sgd,
        learning_rate: 0.1,
        schedule: ScheduleName::Cosine,
        warmup_epochs: 1,
        min_learning_rate: 0.01,
        label_smoothing: 0.1,
        class_weights: ClassWeights::Balanced,
        weight_decay: 1e-3,
        clip_norm: 1.0,
        ..tiny_config().train
    };
    let (epochs, last, clips) = trained(recipe.clone());
    let updates = clips.div_ceil(8).div_ceil(3);
    assert!(clips.div_ceil(8) % 3 != 0, "{clips} clips leave no smaller update at the end");
    assert_eq!(last.metadata["step"], 2 * updates);
    assert_eq!(last.metadata["plateau"], serde_json::json!({ "best": null, "since": 0, "reductions": 0 }));
    assert_eq!(epochs.iter().map(|epoch| epoch.learning_rate).collect::<Vec<_>>(), [0.1, 0.01]);
    let steps = last.optimizer.iter().find(|tensor| tensor.name == "steps").unwrap();
    assert_eq!(steps.data, [2.0 * updates as f32]);
    assert_eq!(last.optimizer.iter().filter(|tensor| tensor.name.starts_with("momentum.")).count(), last.optimizer.len() - 1);

    let (_, again, _) = trained(recipe.clone());
    assert!(last.model == again.model, "two runs of one recipe differ");
    let (_, plain, _) = trained(TrainConfig { label_smoothing: 0.0, ..recipe });
    assert!(last.model != plain.model, "label smoothing has no influence");
}

#[test]
fn fewer_batches_than_an_update_takes_make_one_update_of_the_epoch() {
    let recipe = TrainConfig { epochs: 2, accumulation: 1000, schedule: ScheduleName::Plateau, ..tiny_config().train };
    let (epochs, last, _) = trained(recipe);
    assert_eq!((last.metadata["step"].as_u64(), epochs.len()), (Some(2), 2));
    let best = last.metadata["plateau"]["best"].as_f64().unwrap();
    assert!(epochs.iter().any(|epoch| (epoch.val_loss.unwrap() - best).abs() < 1e-9), "{best} {epochs:?}");
}

#[test]
fn an_update_of_several_batches_is_what_its_parts_make_by_hand() {
    let (optimizer, learning_rate, momentum) = (OptimizerName::Sgd, 0.1, 0.0);
    let recipe = TrainConfig { epochs: 1, accumulation: 1000, optimizer, learning_rate, momentum, ..tiny_config().train };
    let (_, last, clips) = trained(recipe.clone());

    let gpu = gpu();
    let config = Config { train: recipe, ..tiny_config() };
    let data = built_in(&config);
    let dimensions = Dimensions {
        batch: config.train.batch_size,
        frames: config.train.frames,
        mels: data.n_mels,
        classes: data.classes.len(),
    };
    let network = Network::new(&gpu, &config.model, dimensions).unwrap();
    network.initialise(config.train.seed);
    let statistics = data.mel_statistics();
    network.set_standardisation(&statistics.mean, &statistics.std);
    let accumulate = Accumulate::new(&gpu, network.parameters()).unwrap();
    let settings = OptimizerSettings::new(&config.train);
    let optimizer = Optimizer::with_gradients(&gpu, network.parameters(), accumulate.sum(), settings).unwrap();
    let batches = Batches::training(&data, config.train.batch_size, &config.augment, config.train.seed, 1);
    for (i, batch) in batches.iter().enumerate() {
        network.upload(&batch.features, &batch.labels);
        let size = Size { batch: batch.len(), frames: batch.frames };
        let mut pass = Pass::new(&gpu);
        network.forward_part(&mut pass, size, Mode::Train, Some(clips as f32));
        network.backward(&mut pass, size);
        accumulate.add(&mut pass, i == 0);
        pass.submit().unwrap();
    }
    let mut pass = Pass::new(&gpu);
    optimizer.step(&mut pass, learning_rate);
    pass.submit().unwrap();

    let by_hand = weights::export(&network, Some((&statistics.mean, &statistics.std))).unwrap();
    for tensor in &last.model {
        let same = by_hand.iter().find(|own| own.name == tensor.name).unwrap();
        assert!(tensor == same, "{} differs", tensor.name);
    }
}

//! Mixed precision in whole networks and whole runs: rounded operands, and the scale of the gradients.

use melgrad::config::{Config, ModelName};
use melgrad::gpu::{Gpu, GpuOptions, KernelPolicy, Pass, Precision, Tensor};
use melgrad::layers::{Mode, Size};
use melgrad::models::{Dimensions, Network};
use melgrad::optim::{Accumulate, Optimizer, OptimizerSettings};
use melgrad::reference::noise::Noise;
use melgrad::train::checkpoint::read_checkpoint;
use melgrad::train::event::{EpochMetrics, Event};
use melgrad::train::run_directory::RunDirectory;
use melgrad::train::{train, weights};

use crate::training::{Recorder, SMALL, built_in, gpu, learn_by_heart, small, small_model, tiny_config};

const FRAMES: usize = SMALL.frames;

fn mixed() -> Gpu {
    gpu().with_precision(Precision::Mixed)
}

/// A network with its optimiser on one batch of noise.
struct Training {
    network: Network,
    optimizer: Optimizer,
    accumulate: Accumulate,
}

impl Training {
    fn new(gpu: &Gpu, model: ModelName) -> Self {
        let network = Network::new(gpu, &small_model(model), SMALL).unwrap();
        network.initialise(3);
        let accumulate = Accumulate::new(gpu, network.parameters()).unwrap();
        let settings = OptimizerSettings { clip_norm: 1.0, ..OptimizerSettings::default() };
        let optimizer = Optimizer::with_gradients(gpu, network.parameters(), accumulate.sum(), settings).unwrap();
        Self { network, optimizer, accumulate }
    }

    fn set_scale(&self, scale: f32, updates: f32) {
        self.network.gpu().write(self.network.parameters().gradient_scale().tensor(), &[scale, updates]);
    }

    fn scale(&self) -> Vec<f32> {
        self.network.gpu().read(self.network.parameters().gradient_scale().tensor()).unwrap()
    }

    /// An update of so many batches; returns the mean loss of the last one.
    fn update(&self, batches: usize) -> f32 {
        let Dimensions { batch, frames, mels, classes } = SMALL;
        for i in 0..batches {
            let mut noise = Noise::new(i as u64);
            let features: Vec<f32> = noise.numbers(batch * frames * mels).into_iter().map(|v| v as f32).collect();
            self.network.upload(&features, &noise.labels(batch, classes));
            let mut pass = Pass::new(self.network.gpu());
            let size = Size { batch, frames: FRAMES };
            self.network.forward_part(&mut pass, size, Mode::Train, Some((batch * batches) as f32));
            self.network.backward(&mut pass, size);
            self.accumulate.add(&mut pass, i == 0);
            if i + 1 == batches {
                self.optimizer.step(&mut pass, 1e-2);
            }
            pass.submit().unwrap();
        }
        self.network.gpu().read::<f32>(&self.network.loss().results).unwrap()[0] / batch as f32
    }

    /// So many updates of two batches.
    fn updates(&self, count: usize) {
        for _ in 0..count {
            self.update(2);
        }
    }

    fn bits(&self, tensor: &Tensor) -> Vec<u32> {
        self.network.gpu().read::<f32>(tensor).unwrap().into_iter().map(f32::to_bits).collect()
    }

    /// Weights and what the optimiser keeps.
    fn state(&self) -> Vec<Vec<u32>> {
        let kept = self.optimizer.tensors().iter().map(|(_, tensor)| self.bits(tensor));
        std::iter::once(self.bits(self.network.parameters().values().whole())).chain(kept).collect()
    }
}

#[test]
fn each_network_learns_one_batch_by_heart_in_mixed_precision_to_the_same_bits_twice() {
    let (gpu, mixed) = (gpu(), mixed());
    // The others differ from these in what precision has no part in.
    let others = ["indrnn before", "indrnn input", "dense indrnn", "rnn relu"];
    for (name, model, steps) in small().into_iter().filter(|(name, ..)| !others.contains(name)) {
        let (losses, weights) = learn_by_heart(&mixed, &model, SMALL, steps, 1e-2);
        println!("{name}: {:.5} after {steps} steps", losses[steps - 1]);
        assert!(losses[steps - 1] < 0.01, "{name}: {losses:?}");
        let (_, again) = learn_by_heart(&mixed, &model, SMALL, steps, 1e-2);
        assert!(weights == again, "{name}: two runs differ");
        let (single, _) = learn_by_heart(&gpu, &model, SMALL, 1, 1e-2);
        assert!(single[0] != losses[0] && (single[0] - losses[0]).abs() < 1e-2, "{name}: {} and {}", single[0], losses[0]);
    }
}

#[test]
fn gradients_that_overflow_are_withheld_until_their_scale_fits_and_then_training_goes_on() {
    for model in [ModelName::Indrnn, ModelName::Bbnn] {
        let training = Training::new(&mixed(), model);
        training.set_scale(2f32.powi(60), 0.0);
        let before = training.state();
        let first = training.update(1);
        assert!(training.state() == before, "{model}: an update of infinite gradients was made");
        assert_eq!(training.scale(), [2f32.powi(59), 0.0], "{model}");
        let mut last = first;
        for _ in 1..120 {
            last = training.update(1);
        }
        let state = training.optimizer.state(training.network.gpu()).unwrap();
        println!("{model}: {} updates withheld, scale {}, loss {first} to {last}", state.withheld, state.gradient_scale);
        assert_eq!(state.steps + state.withheld, 120, "{model}");
        assert!((20..60).contains(&state.withheld), "{model}: {state:?}");
        assert_eq!(f64::from(state.gradient_scale), 2f64.powi(60 - state.withheld as i32), "{model}: {state:?}");
        assert!(last < 0.2 * first, "{model}: loss {first} to {last}");
    }
}

#[test]
fn the_scale_is_doubled_after_many_updates_and_stays_within_its_bounds() {
    let training = Training::new(&mixed(), ModelName::Indrnn);
    for (before, after) in
        [([1024.0, 198.0], [1024.0, 199.0]), ([1024.0, 199.0], [2048.0, 0.0]), ([16_777_216.0, 199.0], [16_777_216.0, 0.0])]
    {
        training.set_scale(before[0], before[1]);
        training.update(1);
        // The largest may be too large for this network: then it is halved.
        let scale = training.scale();
        assert!(scale == after || (before[0] > 1e7 && scale == [before[0] / 2.0, 0.0]), "{before:?} became {scale:?}");
    }
    // A weight that is infinite in f16 is no fault of the scale.
    let network = &training.network;
    network.gpu().write(&network.parameters().parameter("layers.0.input.weight").value, &[1e30f32]);
    training.set_scale(1.0, 7.0);
    let before = training.state();
    training.update(1);
    assert!(training.state() == before, "an update of what is not finite was made");
    assert_eq!(training.scale(), [1.0, 0.0]);
}

#[test]
fn within_an_update_of_several_batches_the_scale_does_not_change_and_in_f32_never() {
    let weights = |gpu: &Gpu, updates: f32| {
        let training = Training::new(gpu, ModelName::Indrnn);
        if gpu.precision() == Precision::Mixed {
            training.set_scale(1024.0, updates);
        }
        training.update(3);
        (training.state(), training.scale())
    };
    let ((once, doubled), (other, kept)) = (weights(&mixed(), 199.0), weights(&mixed(), 0.0));
    assert_eq!((doubled, kept), (vec![2048.0, 0.0], vec![1024.0, 1.0]));
    assert!(once == other);
    assert_eq!(weights(&gpu(), 0.0).1, [1.0, 0.0]);
}

#[test]
fn what_a_checkpoint_keeps_goes_on_to_the_same_bits() {
    for gpu in [gpu(), mixed()] {
        let start = || {
            let training = Training::new(&gpu, ModelName::Indrnn);
            if gpu.precision() == Precision::Mixed {
                // So that it is doubled after the interruption.
                training.set_scale(1024.0, 195.0);
            }
            training
        };
        let whole = start();
        whole.updates(8);

        let interrupted = start();
        interrupted.updates(3);
        let model = weights::export(&interrupted.network, None).unwrap();
        let optimizer = weights::export_optimizer(&interrupted.network, &interrupted.optimizer).unwrap();
        let resumed = Training::new(&gpu, ModelName::Indrnn);
        weights::import(&resumed.network, &model);
        weights::import_optimizer(&resumed.network, &resumed.optimizer, &optimizer);
        resumed.updates(5);
        assert!(resumed.state() == whole.state(), "{}: the weights differ", gpu.precision());
        assert_eq!(resumed.scale(), whole.scale(), "{}", gpu.precision());
        if gpu.precision() == Precision::Mixed {
            assert_eq!(whole.scale(), [2048.0, 3.0]);
        }
    }
}

/// The epochs of a run on the built-in music, and what its last checkpoint keeps of the optimiser.
fn trained(precision: Precision) -> (Vec<EpochMetrics>, Vec<String>) {
    let mut config: Config = tiny_config();
    config.train.precision = precision;
    let data = built_in(&config);
    config.data.classes.clone_from(&data.classes);
    let folder = tempfile::tempdir().unwrap();
    let run = RunDirectory::create(Some(&folder.path().join("run")), "indrnn").unwrap();
    run.write_config(&config).unwrap();
    let mut events = Recorder::default();
    train(&gpu(), &config, &data, &run, &mut events).unwrap();
    let epochs = events.0.iter().filter_map(|event| if let Event::Epoch(metrics) = event { Some(*metrics) } else { None });
    let text = std::fs::read_to_string(run.file("config.toml")).unwrap();
    assert!(text.contains(&format!("precision = \"{precision}\"")), "{text}");
    let (_, reread) = RunDirectory::open(run.path()).unwrap();
    assert_eq!(reread.train.precision, precision);
    let (path, tensors) = melgrad::train::checkpoint::read_model(run.path()).unwrap();
    let restored = melgrad::train::restore(&gpu(), &reread, &path, tensors).unwrap();
    assert_eq!(restored.gpu().precision(), precision, "a run is evaluated in the precision that it was trained in");
    let kept = read_checkpoint::<serde_json::Value>(&run.file("last")).unwrap().optimizer;
    (epochs.collect(), kept.into_iter().map(|tensor| tensor.name).collect())
}

#[test]
fn a_run_in_mixed_precision_learns_the_built_in_music_as_well_as_one_in_f32() {
    let ((single, kept), (mixed, kept_mixed)) = (trained(Precision::F32), trained(Precision::Mixed));
    let best = |epochs: &[EpochMetrics]| epochs.iter().filter_map(|epoch| epoch.val_accuracy).fold(0.0, f64::max);
    let last = |epochs: &[EpochMetrics]| epochs[epochs.len() - 1].train_loss;
    println!("loss {:.4} and {:.4}, accuracy {:.3} and {:.3}", last(&single), last(&mixed), best(&single), best(&mixed));
    assert!((last(&single) / last(&mixed) - 1.0).abs() < 0.1, "{single:?} {mixed:?}");
    assert!((best(&single) - best(&mixed)).abs() < 0.15, "{single:?} {mixed:?}");
    assert!(single[0].train_loss != mixed[0].train_loss, "nothing is rounded");
    let scale = "gradient_scale".to_owned();
    assert!(!kept.contains(&scale) && kept_mixed.contains(&scale));
}

/// Where matrix units are emulated, as where they are: with states rounded on their way through time.
#[test]
fn recurrent_networks_learn_on_matrix_units_to_the_same_bits_twice() {
    let words = ["matrix", "wavefront"].map(str::to_owned).to_vec();
    let options = GpuOptions {
        kernels: KernelPolicy::Preferring(words),
        choice: crate::chosen(),
        emulate_matrix_units: true,
        ..GpuOptions::default()
    };
    let gpu = Gpu::open(&options).unwrap().with_precision(Precision::Mixed);
    // Shorter sequences take the plain kernels.
    let dimensions = Dimensions { frames: 32, ..SMALL };
    for (name, model, steps) in small().into_iter().filter(|(name, ..)| ["rnn", "lstm", "gru"].contains(name)) {
        let (losses, _) = learn_by_heart(&gpu, &model, dimensions, steps, 1e-2);
        println!("{name}: {:.5} after {steps} steps", losses[steps - 1]);
        assert!(losses[steps - 1] < 0.01, "{name}: {losses:?}");
        let [weights, again] = [(), ()].map(|()| learn_by_heart(&gpu, &model, dimensions, 5, 1e-2).1);
        assert!(weights == again, "{name}: two runs differ");
    }
    let choices = gpu.choices();
    println!("{choices:?}");
    let chosen = |word: &str| choices.values().filter(|kernel| kernel.starts_with(word)).count();
    assert!(chosen("matrix units") >= 6 && chosen("wavefront") >= 3, "{choices:?}");
}

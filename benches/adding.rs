//! The adding problem (Hochreiter & Schmidhuber 1997; IndRNN paper, section 5.1): of a long sequence of numbers, two are
//! marked, one in each half; the network must give their sum after the last step. A network that remembers nothing
//! reaches a mean squared error of 0.167 by always answering 1.
//!
//! `cargo bench --bench adding -- [indrnn|rnn|lstm|gru] [--frames 500] [--steps 3000] [--rate 0.001]`. Every batch is new, so the
//! training error is that of unseen sequences. Stops when the mean of the last 50 steps is below 0.01.

use anyhow::Context;
use melgrad::config::{BatchNormPlace, ModelConfig, ModelName, RecurrentInit};
use melgrad::gpu::{Gpu, GpuOptions, Pass};
use melgrad::layers::{Mode, Size};
use melgrad::models::{Dimensions, Network};
use melgrad::optim::{Optimizer, OptimizerSettings};
use melgrad::reference::noise::Noise;
use std::time::Instant;

const BATCH: usize = 50;
/// The mean of this many steps is reported and decides.
const WINDOW: usize = 50;
const SOLVED: f64 = 0.01;

struct Arguments {
    model: ModelName,
    frames: usize,
    steps: usize,
    hidden: usize,
    rate: f32,
}

fn arguments() -> anyhow::Result<Arguments> {
    let mut parsed = Arguments { model: ModelName::Indrnn, frames: 500, steps: 3000, hidden: 128, rate: 1e-3 };
    let mut rest = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = rest.next() {
        let mut number = || rest.next().with_context(|| format!("{argument} needs a number"));
        match argument.as_str() {
            "--frames" => parsed.frames = number()?.parse()?,
            "--steps" => parsed.steps = number()?.parse()?,
            "--hidden" => parsed.hidden = number()?.parse()?,
            "--rate" => parsed.rate = number()?.parse()?,
            name => {
                let named = ModelName::ALL.into_iter().find(|model| model.is_recurrent() && model.to_string() == name);
                parsed.model = named.with_context(|| format!("`{name}` is no recurrent network"))?;
            }
        }
    }
    Ok(parsed)
}

fn main() -> anyhow::Result<()> {
    let Arguments { model: name, frames, steps, hidden, rate } = arguments()?;
    let gpu = Gpu::open(&GpuOptions::default())?;
    let mut model = ModelConfig { hidden, layers: 2, ..ModelConfig::new(name) };
    if name == ModelName::Indrnn {
        // As in the paper: no batch norm here.
        (model.batch_norm, model.recurrent_init) = (BatchNormPlace::None, RecurrentInit::Paper);
    }
    // Two outputs, since a classifier has at least two; the second has no error.
    let dimensions = Dimensions { batch: BATCH, frames, mels: 2, classes: 2 };
    let network = Network::new(&gpu, &model, dimensions)?;
    network.initialise(0);
    let clip_norm = if name == ModelName::Indrnn { 0.0 } else { 1.0 };
    let optimizer = Optimizer::new(&gpu, network.parameters(), OptimizerSettings { clip_norm, ..OptimizerSettings::default() })?;
    let mut noise = Noise::new(1);
    let (start, size) = (Instant::now(), Size { batch: BATCH, frames });
    let mut errors = Vec::new();
    for step in 1..=steps {
        let (features, targets) = sequences(&mut noise, frames);
        network.upload(&features, &[0; BATCH]);
        let mut pass = Pass::new(&gpu);
        network.forward(&mut pass, size, Mode::Train);
        pass.submit()?;
        let outputs: Vec<f32> = gpu.read(network.logits())?;
        let differences: Vec<f64> =
            outputs.chunks_exact(2).zip(&targets).map(|(output, target)| f64::from(output[0]) - target).collect();
        errors.push(differences.iter().map(|d| d * d).sum::<f64>() / BATCH as f64);
        let gradient: Vec<f32> = differences.iter().flat_map(|d| [(2.0 * d / BATCH as f64) as f32, 0.0]).collect();
        gpu.write(network.logits_gradient(), &gradient);
        let mut pass = Pass::new(&gpu);
        network.backward(&mut pass, size);
        optimizer.step(&mut pass, rate);
        pass.submit()?;
        let recent = &errors[errors.len().saturating_sub(WINDOW)..];
        let mean = recent.iter().sum::<f64>() / recent.len() as f64;
        let solved = step >= WINDOW && mean < SOLVED;
        if step % 100 == 0 || step == steps || solved {
            println!("{name} T {frames} step {step:5}: mean squared error {mean:.5}  ({:.0} s)", start.elapsed().as_secs_f64());
        }
        if solved {
            break;
        }
    }
    Ok(())
}

/// A batch (sample, frame, [number in 0..1, mark]) and the sums of the two marked numbers of each.
fn sequences(noise: &mut Noise, frames: usize) -> (Vec<f32>, Vec<f64>) {
    let (mut features, mut sums) = (Vec::with_capacity(BATCH * frames * 2), Vec::with_capacity(BATCH));
    for _ in 0..BATCH {
        let half = frames / 2;
        let first = (noise.bits() % half as u64) as usize;
        let second = half + (noise.bits() % (frames - half) as u64) as usize;
        let mut sum = 0.0;
        for frame in 0..frames {
            let (number, marked) = (0.5 + 0.5 * noise.number(), frame == first || frame == second);
            features.extend([number as f32, if marked { 1.0 } else { 0.0 }]);
            sum += if marked { number } else { 0.0 };
        }
        sums.push(sum);
    }
    (features, sums)
}

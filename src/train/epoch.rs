//! One pass over the training part, and the statistics that evaluation needs after it.

use super::event::{Event, Observer, Step};
use super::{Session, TrainError};
use crate::dataset::Batches;
use crate::gpu::{Pass, Precision};
use crate::layers::{LEAST_GRADIENT_SCALE, Mode};
use std::time::Instant;

/// Training batches whose statistics are averaged before evaluation.
const RECALIBRATION_BATCHES: usize = 16;
/// Steps after which the running statistics are trusted.
const RECALIBRATION_STEPS: u64 = 1000;

/// What an epoch came to.
pub(super) struct EpochResult {
    pub loss: f64,
    pub accuracy: f64,
    pub seconds: f64,
    /// Of these, the host's for seeing to it that the device has its batches.
    pub data_seconds: f64,
    pub gpu_seconds: Option<f64>,
    /// Updates.
    pub steps: usize,
    /// Of the last update.
    pub learning_rate: f32,
}

/// Sums of what the batches of an epoch report.
#[derive(Default)]
struct Sums {
    loss: f64,
    right: f64,
    clips: f64,
    not_finite: f64,
    weight: f64,
    batches: usize,
}

impl Sums {
    fn add(&mut self, results: &[f32]) {
        self.loss += f64::from(results[0]);
        self.right += f64::from(results[1]);
        self.clips += f64::from(results[2]);
        self.not_finite += f64::from(results[3]);
        self.weight += f64::from(results[4]);
        self.batches += 1;
    }

    /// Weighted mean loss over the clips whose loss was finite.
    fn loss(&self) -> f64 {
        if self.weight > 0.0 { self.loss / self.weight } else { 0.0 }
    }

    fn accuracy(&self) -> f64 {
        self.right / self.clips.max(1.0)
    }
}

/// Trains one epoch of `batches`, each update made of as many as the recipe accumulates, or what is left of them at the
/// end. Nothing is waited for until then.
pub(super) fn train_epoch(
    session: &Session<'_>,
    epoch: usize,
    batches: &Batches,
    observer: &mut dyn Observer,
) -> Result<EpochResult, TrainError> {
    let (network, mut results) = (&session.network, session.results.borrow_mut());
    let gpu = network.gpu();
    let withheld = session.optimizer.state(gpu)?.withheld;
    if let Some(timer) = &session.timer {
        timer.take();
    }
    let accumulation = session.config.train.accumulation;
    let steps = batches.len().div_ceil(accumulation);
    let rate = |step: usize| session.schedule.rate(epoch, step, session.plateau);
    let start = Instant::now();
    let mut sums = Sums::default();
    let tell = |sums: &Sums, observer: &mut dyn Observer| {
        let step = Step { epoch, step: sums.batches, steps: batches.len(), loss: sums.loss(), accuracy: sums.accuracy() };
        observer.event(&Event::Step(step)).map_err(TrainError::Observer)
    };
    let seeds: Vec<u64> = (0..batches.len()).map(|i| dropout_seed(session.config.train.seed, epoch, batches.len(), i)).collect();
    let mut serving = session.feed.begin(batches, &seeds)?;
    let mut data_seconds = start.elapsed().as_secs_f64();
    for i in 0..batches.len() {
        let mut pass = Pass::timed(gpu, session.timer.as_ref());
        let begun = Instant::now();
        let size = serving.next(&mut pass)?;
        data_seconds += begun.elapsed().as_secs_f64();
        network.forward_part(&mut pass, size, Mode::Train, session.divisor(batches, i));
        network.backward(&mut pass, size);
        if let Some(accumulate) = &session.accumulate {
            accumulate.add(&mut pass, i % accumulation == 0);
        }
        if (i + 1) % accumulation == 0 || i + 1 == batches.len() {
            session.optimizer.step(&mut pass, rate(i / accumulation));
        }
        results.fetch(gpu, &mut pass, &network.loss().results, i as u64)?;
        pass.submit()?;
        results.submitted();
        serving.submitted();
        gpu.end_step()?;
        let arrived = results.ready();
        arrived.iter().for_each(|(_, results)| sums.add(results));
        if !arrived.is_empty() {
            tell(&sums, observer)?;
        }
    }
    results.finish(gpu)?.iter().for_each(|(_, results)| sums.add(results));
    let seconds = start.elapsed().as_secs_f64();
    tell(&sums, observer)?;
    let after = session.optimizer.state(gpu)?;
    let withheld = after.withheld - withheld;
    // Under mixed precision an update that is withheld makes the next one more likely, until the scale is at its least.
    let hopeless = withheld as usize == steps && after.gradient_scale <= LEAST_GRADIENT_SCALE;
    if hopeless || sums.not_finite == sums.clips {
        return Err(TrainError::Diverged { epoch, learning_rate: session.config.train.learning_rate });
    }
    if withheld > 0 {
        let scale = match session.config.train.precision {
            Precision::F32 => String::new(),
            Precision::Mixed => format!("; the loss is now scaled by {}", after.gradient_scale),
        };
        let message = format!("epoch {epoch}: {withheld} of {steps} updates withheld, their gradients were not finite{scale}");
        observer.event(&Event::Warning { message }).map_err(TrainError::Observer)?;
    }
    let gpu_seconds = session.timer.as_ref().and_then(crate::gpu::Timer::take);
    let learning_rate = rate(steps.saturating_sub(1));
    Ok(EpochResult { loss: sums.loss(), accuracy: sums.accuracy(), seconds, data_seconds, gpu_seconds, steps, learning_rate })
}

/// A number of its own for each batch of a run: the batch's in the low word, the run's in the high one.
fn dropout_seed(seed: u64, epoch: usize, batches: usize, batch: usize) -> u64 {
    let run = (seed ^ (seed >> 32)) & 0xffff_ffff;
    let number = ((epoch - 1) * batches + batch) as u64 & 0xffff_ffff;
    run << 32 | number
}

/// Runs `evaluate` with batch-norm statistics re-estimated from training batches, if the run is still so short that the
/// running ones lag behind; the running ones are then put back.
///
/// The estimate is the mean over up to 16 batches, each run in training mode.
pub(super) fn recalibrated<T>(
    session: &Session<'_>,
    batches: &Batches,
    evaluate: impl FnOnce() -> Result<T, TrainError>,
) -> Result<T, TrainError> {
    let has_statistics = !session.network.parameters().declarations().statistics.is_empty();
    if !has_statistics || !session.config.train.bn_recalibration || session.steps >= RECALIBRATION_STEPS {
        return evaluate();
    }
    let network = &session.network;
    let gpu = network.gpu();
    let statistics = network.parameters().statistics().whole();
    let mut pass = Pass::new(gpu);
    pass.copy(statistics, &session.kept_statistics, statistics.elements());
    pass.submit()?;
    let batches = batches.clone().take(RECALIBRATION_BATCHES);
    let mut serving = session.feed.begin(&batches, &[])?;
    for i in 0..batches.len() {
        let mut pass = Pass::new(gpu);
        let size = serving.next(&mut pass)?;
        network.forward(&mut pass, size, Mode::Recalibrate(1.0 / (i + 1) as f32));
        pass.submit()?;
        serving.submitted();
        gpu.end_step()?;
    }
    let result = evaluate()?;
    let mut pass = Pass::new(gpu);
    pass.copy(&session.kept_statistics, statistics, statistics.elements());
    pass.submit()?;
    Ok(result)
}

//! The step benchmark: milliseconds per training step of named workloads on synthetic data.
//!
//! A step is what it is in training: a batch gathered from clips that lie on the device (streamed, where they do not fit),
//! forward, backward, Adam's update, and its results on their way back; at most two are in flight. Steps are timed after
//! warm-up, in several rounds; the figure is the best mean of a round, as `benches/pytorch_peers.py` takes it.

use super::Workload;
use crate::dataset::{Batches, Clip, Dataset, Sample, Split, Windows};
use crate::features::Features;
use crate::gpu::{Counts, Gpu, GpuError, Pass, Profile, Readback, Timer};
use crate::layers::Mode;
use crate::models::{BuildError, Dimensions, Network};
use crate::optim::{Optimizer, OptimizerSettings};
use crate::reference::noise::Noise;
use crate::train::feed::{Feed, Serving};
use crate::train::{DeviceClips, Quartiles};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Rounds of which the best counts.
const ROUNDS: usize = 3;
/// A round has as many steps as fit this time, at least one.
const ROUND_TIME: Duration = Duration::from_millis(700);
/// Steps before timing: kernels compile at their first dispatch, memory is touched.
const WARM_UP: usize = 2;

/// One line of output.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Measurement {
    /// As in `benches/pytorch_peers.py`.
    pub workload: String,
    /// `f32` or `mixed`
    pub precision: String,
    /// Wall milliseconds of a step: the best mean of a round.
    pub ms_per_step: f64,
    /// The median of the rounds' means.
    pub ms_per_step_median: f64,
    /// Device milliseconds of a step, where the adapter has timestamps.
    pub gpu_ms: Option<f64>,
    /// Milliseconds that the host takes to record and submit a step, its batch included, without waiting for the device.
    pub host_ms: f64,
    /// Of these, until the submission is handed over to the driver: software may compute within that.
    pub record_ms: f64,
    /// Kernels per step.
    pub dispatches: usize,
    /// Submissions per step.
    pub submissions: usize,
    /// The sum over the dispatches of the bytes of the tensors that each binds, counted whole whether or not all is touched.
    pub bytes_bound: u64,
    /// The sum over the dispatches of their operations, or of their memory accesses where those are more.
    pub work: u64,
    /// Bytes of all tensors.
    pub peak_bytes: u64,
    /// The adapter, its backend and driver.
    pub adapter: String,
    /// Seconds from the start of building the network to the end of the first step.
    pub first_step_seconds: f64,
    /// That end.
    #[serde(skip)]
    pub first_step_ended: Instant,
    /// Kernels that were chosen by measuring: what for, and which.
    pub kernel_choices: BTreeMap<String, String>,
}

/// A network on synthetic data, ready to step.
pub struct Bench {
    network: Network,
    optimizer: Optimizer,
    feed: Feed,
    /// One batch.
    batches: Batches,
}

/// Steps that are about to be taken.
struct Steps {
    serving: Serving,
    results: Readback,
}

impl Bench {
    /// Builds the network of `workload` and its data.
    pub fn new(gpu: &Gpu, workload: &Workload) -> Result<Self, BuildError> {
        let dimensions = workload.dimensions;
        let network = Network::new(gpu, &workload.model, dimensions)?;
        network.initialise(0);
        let optimizer = Optimizer::new(gpu, network.parameters(), OptimizerSettings::default())?;
        let mut noise = Noise::new(1);
        let Dimensions { batch, frames, mels: n_mels, classes } = dimensions;
        let features: Vec<f32> = noise.numbers(batch * frames * n_mels).into_iter().map(|v| v as f32).collect();
        let labels = noise.labels(batch, classes);
        let sample = |(data, &label): (&[f32], &u32)| {
            let clip = Clip::new(Features { frames, n_mels, data: data.to_vec() }, 0.0, None).into();
            let (path, group, content_hash) = Default::default();
            Sample { path, label: label as usize, split: Split::Train, group, content_hash, clip }
        };
        let data = Dataset {
            classes: vec![String::new(); classes],
            n_mels,
            frames,
            samples: features.chunks_exact(frames * n_mels).zip(&labels).map(sample).collect(),
            bad: Vec::new(),
            duplicates: Vec::new(),
            warnings: Vec::new(),
        };
        let feed = Feed::of(&network, &DeviceClips::default(), &data);
        Ok(Self { feed, batches: Batches::evaluation(&data, Split::Train, batch, Windows::Centre), network, optimizer })
    }

    /// Gets so many steps on their way.
    fn steps(&self, count: usize) -> Result<Steps, GpuError> {
        let (batches, seeds) = (self.batches.clone().repeated(count), (0..count as u64).collect::<Vec<_>>());
        let results = Readback::new(self.network.loss().results.elements());
        Ok(Steps { serving: self.feed.begin(&batches, &seeds)?, results })
    }

    fn step<'a>(&'a self, steps: &mut Steps, mut pass: Pass<'a>) -> Result<Counts, GpuError> {
        let Steps { serving, results } = steps;
        let size = serving.next(&mut pass)?;
        self.network.forward(&mut pass, size, Mode::Train);
        self.network.backward(&mut pass, size);
        self.optimizer.step(&mut pass, 1e-4);
        results.fetch(pass.gpu(), &mut pass, &self.network.loss().results, 0)?;
        let counts = pass.counts();
        let submissions = pass.submit()?;
        results.submitted();
        serving.submitted();
        results.ready();
        Ok(Counts { submissions, ..counts })
    }

    /// One step with every kernel timed on its own: what takes how long, not how long a step takes.
    pub fn profile(&self) -> Result<Profile, GpuError> {
        let gpu = self.network.gpu();
        let mut steps = self.steps(WARM_UP + 1)?;
        for _ in 0..WARM_UP {
            self.step(&mut steps, Pass::new(gpu))?;
            gpu.wait()?;
        }
        let (profile, timer) = (Profile::default(), Timer::new(gpu)?);
        self.step(&mut steps, Pass::profiled(gpu, &profile, timer.as_ref()))?;
        Ok(profile)
    }
}

/// Measures one workload.
pub fn measure(gpu: &Gpu, workload: &Workload) -> Result<Measurement, BuildError> {
    let allocated = gpu.allocated_bytes();
    let start = Instant::now();
    let bench = Bench::new(gpu, workload)?;
    let timer = Timer::new(gpu)?;
    let mut warm_up = bench.steps(WARM_UP)?;
    let mut counts = bench.step(&mut warm_up, Pass::new(gpu))?;
    gpu.wait()?;
    let first_step_ended = Instant::now();
    let first_step_seconds = (first_step_ended - start).as_secs_f64();
    let mut one = Duration::ZERO;
    for _ in 1..WARM_UP {
        let start = Instant::now();
        bench.step(&mut warm_up, Pass::new(gpu))?;
        gpu.wait()?;
        one = start.elapsed();
    }
    drop(warm_up);
    let steps = (ROUND_TIME.as_secs_f64() / one.as_secs_f64().max(1e-6)).ceil().clamp(1.0, 200.0) as usize;
    let (mut best, mut device, mut means) = (f64::INFINITY, None, Vec::new());
    let [mut host, mut record] = [f64::INFINITY; 2];
    for _ in 0..ROUNDS {
        let mut round = bench.steps(steps)?;
        let (start, handing_over, mut hosts) = (Instant::now(), gpu.handing_over(), Duration::ZERO);
        for _ in 0..steps {
            let begin = Instant::now();
            counts = bench.step(&mut round, Pass::timed(gpu, timer.as_ref()))?;
            hosts += begin.elapsed();
            gpu.end_step()?;
        }
        gpu.wait()?;
        let milliseconds = |seconds: f64| 1e3 * seconds / steps as f64;
        let wall = milliseconds(start.elapsed().as_secs_f64());
        let seconds = timer.as_ref().and_then(Timer::take).map(milliseconds);
        means.push(wall);
        if wall < best {
            (best, device) = (wall, seconds);
        }
        let handing_over = gpu.handing_over() - handing_over;
        host = host.min(milliseconds(hosts.as_secs_f64()));
        record = record.min(milliseconds((hosts - handing_over).as_secs_f64()));
    }
    Ok(Measurement {
        workload: workload.name.clone(),
        precision: gpu.precision().to_string(),
        ms_per_step: best,
        ms_per_step_median: Quartiles::of(&means).map_or(best, |quartiles| quartiles.median),
        gpu_ms: device,
        host_ms: host,
        record_ms: record,
        dispatches: counts.dispatches,
        submissions: counts.submissions,
        bytes_bound: counts.bytes_bound,
        work: counts.work,
        peak_bytes: gpu.allocated_bytes() - allocated,
        adapter: crate::train::adapter_words(gpu),
        first_step_seconds,
        first_step_ended,
        kernel_choices: gpu.choices(),
    })
}

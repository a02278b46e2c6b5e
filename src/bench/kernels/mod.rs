//! Each kernel by itself, on the shapes of the real workloads, beside what the adapter can do at most.
//!
//! A kernel is repeated in place until its time is well above that of a submission, several times over, by the device's
//! own clock where it has one. Small tensors then lie in caches: more than all of the copy's bandwidth means that, and no
//! more.

mod blocks;
mod convolutions;
mod elements;
mod recurrences;
mod stacks;

use super::Ceilings;
use crate::gpu::{Element, Gpu, GpuError, Pass, Profile, Sampling, Tensor, Timer};
use crate::layers::{Channels, Map, Param};
use crate::reference::noise::Noise;
use serde::Serialize;
use std::time::Duration;

const SAMPLING: Sampling = Sampling { samples: 9, at_least: Duration::from_millis(2), in_all: Duration::from_secs(1) };
/// Numbers that tensors are filled with, over and over: zeros would cost hardware less power, and so time.
const NOISE: usize = 1 << 20;

/// One kernel of one variant on one shape.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KernelRow {
    /// What it is a part of: `convolution`, `lstm`, ..
    pub family: String,
    /// The shader variant that was asked for.
    pub variant: String,
    /// The sizes, in words.
    pub shape: String,
    /// `shader.entry`
    pub kernel: String,
    /// Dispatches that it takes.
    pub dispatches: usize,
    /// Milliseconds of all of them: the sum of their medians.
    pub ms: f64,
    /// The sum of their best samples.
    pub best_ms: f64,
    /// Samples of each.
    pub samples: usize,
    /// Bytes that they bind.
    pub bytes_bound: u64,
    /// Operations, or memory accesses where those are more.
    pub work: u64,
    /// Bytes bound in a second of the median time: 10^9.
    pub gb_per_s: f64,
    /// Work in a second of the median time: 10^9.
    pub gflop_per_s: f64,
    /// Of the adapter's rate of copying. Above 1 where tensors stay in caches.
    pub share_of_copy: f64,
    /// Of its rate of adding up products.
    pub share_of_fma: f64,
}

/// Measures every kernel family, each of its variants that the adapter takes; `told` hears of each row as soon as it is
/// known. `only` leaves out families that are named otherwise.
pub fn measure_kernels(
    gpu: &Gpu,
    ceilings: &Ceilings,
    only: &[String],
    told: &mut dyn FnMut(&KernelRow),
) -> Result<Vec<KernelRow>, GpuError> {
    let (timer, software) = (Timer::new(gpu)?, gpu.summary().is_software());
    let noise = Noise::new(1).numbers(NOISE).into_iter().map(|number| number as f32).collect();
    let mut table = Table { gpu, timer, ceilings, only, noise, told, rows: Vec::new() };
    // PERFORMANCE's workloads; where the processor is the device, smaller ones.
    let (batch, frames) = if software { (1, 162) } else { (8, 647) };
    blocks::images(&mut table, batch)?;
    convolutions::images(&mut table, batch)?;
    convolutions::products(&mut table, 32 * frames)?;
    recurrences::gated(&mut table, frames, 32, 128)?;
    recurrences::independent(&mut table, frames, 32, 128)?;
    // Minutes where the processor is the device: there, only if it is asked for.
    if !software || !only.is_empty() {
        let (levels, frames) = if software { (3, 64) } else { (5, frames) };
        stacks::stacks(&mut table, levels, frames, 32, 128)?;
    }
    elements::images(&mut table, batch)?;
    elements::sequences(&mut table, frames, 32, 128)?;
    elements::network(&mut table)?;
    Ok(table.rows)
}

/// Families that [`measure_kernels`] knows.
pub const FAMILIES: [&str; 18] = [
    "stem",
    "bottleneck",
    "pooled",
    "convolution",
    "linear",
    "rnn",
    "lstm",
    "gru",
    "indrnn",
    "stack",
    "batch_norm",
    "max_pool",
    "average_pool",
    "global_average_pool",
    "elementwise",
    "standardise",
    "softmax_cross_entropy",
    "adam",
];

/// What is measured with, and the rows so far.
struct Table<'a> {
    gpu: &'a Gpu,
    timer: Option<Timer>,
    ceilings: &'a Ceilings,
    only: &'a [String],
    noise: Vec<f32>,
    told: &'a mut dyn FnMut(&KernelRow),
    rows: Vec<KernelRow>,
}

impl Table<'_> {
    /// Whether rows of this family are wanted.
    fn wants(&self, family: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == family)
    }

    /// Measures every kernel that `record` records: a row for each entry point.
    fn case(&mut self, family: &str, variant: &str, shape: &str, record: impl Fn(&mut Pass<'_>)) -> Result<(), GpuError> {
        let profile = Profile::sampled(SAMPLING);
        let mut pass = Pass::profiled(self.gpu, &profile, self.timer.as_ref());
        record(&mut pass);
        pass.submit()?;
        let first = self.rows.len();
        for row in profile.rows() {
            let known = self.rows[first..].iter().position(|known| known.kernel == row.label).map(|place| first + place);
            let place = known.unwrap_or_else(|| {
                self.rows.push(KernelRow::new(family, variant, shape, &row.label));
                self.rows.len() - 1
            });
            self.rows[place].add(&row, self.ceilings);
        }
        self.rows[first..].sort_by(|a, b| b.ms.total_cmp(&a.ms));
        self.rows[first..].iter().for_each(|row| (self.told)(row));
        Ok(())
    }

    /// A tensor of noise.
    fn tensor(&self, label: &str, shape: &[usize]) -> Result<Tensor, GpuError> {
        self.scaled(label, shape, 1.0)
    }

    /// A tensor of noise between `-scale` and `scale`.
    fn scaled(&self, label: &str, shape: &[usize], scale: f32) -> Result<Tensor, GpuError> {
        let tensor = self.gpu.tensor(label, Element::F32, shape)?;
        self.fill(&tensor, scale);
        Ok(tensor)
    }

    /// Fills a tensor with noise between `-scale` and `scale`.
    fn fill(&self, tensor: &Tensor, scale: f32) {
        let noise: Vec<f32> = self.noise[..NOISE.min(tensor.elements())].iter().map(|number| scale * number).collect();
        for first in (0..tensor.elements()).step_by(NOISE) {
            let count = noise.len().min(tensor.elements() - first);
            self.gpu.write_numbers(&tensor.view(first, &[count]), &noise[..count]);
        }
    }

    /// A map and its gradient, of noise.
    fn map(&self, label: &str, shape: &[usize]) -> Result<Map, GpuError> {
        self.map_as(Element::F32, label, shape)
    }

    /// The same, stored as `element`.
    fn map_as(&self, element: Element, label: &str, shape: &[usize]) -> Result<Map, GpuError> {
        let filled = || {
            let tensor = self.gpu.tensor(label, element, shape)?;
            self.fill(&tensor, 1.0);
            Ok::<_, GpuError>(Channels::whole(&tensor))
        };
        Ok(Map { value: filled()?, grad: filled()? })
    }

    /// A parameter as a network begins with, `inputs` being added up in an output.
    fn param(&self, label: &str, shape: &[usize], inputs: usize) -> Result<Param, GpuError> {
        let value = self.scaled(label, shape, (inputs as f32).sqrt().recip())?;
        Ok(Param { value, grad: self.tensor(label, shape)? })
    }
}

impl KernelRow {
    fn new(family: &str, variant: &str, shape: &str, kernel: &str) -> Self {
        Self {
            family: family.into(),
            variant: variant.into(),
            shape: shape.into(),
            kernel: kernel.into(),
            dispatches: 0,
            ms: 0.0,
            best_ms: 0.0,
            samples: 0,
            bytes_bound: 0,
            work: 0,
            gb_per_s: 0.0,
            gflop_per_s: 0.0,
            share_of_copy: 0.0,
            share_of_fma: 0.0,
        }
    }

    /// Dispatches of another size belong to it, too.
    fn add(&mut self, row: &crate::gpu::ProfileRow, ceilings: &Ceilings) {
        self.dispatches += row.times;
        self.ms += 1e3 * row.seconds;
        self.best_ms += 1e3 * row.best_seconds;
        self.samples = row.samples;
        self.bytes_bound += row.bytes_bound;
        self.work += row.work as u64;
        self.gb_per_s = self.bytes_bound as f64 / self.ms / 1e6;
        self.gflop_per_s = self.work as f64 / self.ms / 1e6;
        self.share_of_copy = self.gb_per_s / ceilings.copy_gb_per_s;
        self.share_of_fma = self.gflop_per_s / ceilings.fma_gflop_per_s;
    }
}

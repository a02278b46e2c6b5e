//! The most that an adapter does, as far as a plain kernel reaches it: bytes copied and products added up in a second.

use super::Measurement;
use crate::gpu::{Element, Gpu, GpuError, Grid, Pass, Profile, Sampling, Shader, Timer};
use serde::Serialize;
use std::time::Duration;

const CEILING: Shader = Shader("ceiling");
/// Invocations of a workgroup, as the shader has it.
const GROUP: usize = 256;
/// Operations of one turn of the loop of products.
const TURN: usize = 192;
/// Invocations that add up products: all that the largest hardware holds at once.
const INVOCATIONS: usize = 1 << 18;
/// What a loop of products should take, so that its beginning and end do not count.
const LONG_ENOUGH: f64 = 0.01;
/// The fewest turns of that loop, and the most: lavapipe leaves a loop without a word after 65,535.
const TURNS: [usize; 2] = [16, 1 << 14];
/// Bytes of the tensor that is copied: several times the largest caches; and on software adapters, whose binding is smaller.
const COPIED: u64 = 512 << 20;
/// Vectors that an invocation copies: the best of these counts.
const EACH: [usize; 3] = [1, 4, 16];

const SAMPLING: Sampling = Sampling { samples: 7, at_least: Duration::from_millis(2), in_all: Duration::from_millis(300) };

/// What was reached on one adapter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ceilings {
    /// Bytes read and written in a second by a copy from one tensor to another, both larger than caches: 10^9.
    pub copy_gb_per_s: f64,
    /// Operations in a second, two for each product added up in registers: 10^9.
    pub fma_gflop_per_s: f64,
    /// Bytes of the tensor that was copied.
    pub copied_bytes: u64,
    /// Whether the device's own clock measured, not the host's with submissions and waits.
    pub timestamps: bool,
}

/// What one step of a workload cannot go below on an adapter, if it moves what its dispatches bind.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Floors {
    /// Milliseconds to move the bytes bound at the rate of a copy.
    pub floor_bytes_ms: f64,
    /// Milliseconds to do the operations at the rate of products in registers.
    pub floor_work_ms: f64,
}

impl Ceilings {
    /// Measures both; the best sample counts.
    pub fn measure(gpu: &Gpu) -> Result<Self, GpuError> {
        let timer = Timer::new(gpu)?;
        let timer = timer.as_ref();
        let (copied_bytes, copy) = copy(gpu, timer)?;
        let (copy_gb_per_s, fma_gflop_per_s) = (copy / 1e9, products(gpu, timer)? / 1e9);
        Ok(Self { copy_gb_per_s, fma_gflop_per_s, copied_bytes, timestamps: timer.is_some() })
    }

    /// The floors of a step that was measured on the same adapter.
    pub fn floors(&self, step: &Measurement) -> Floors {
        Floors {
            floor_bytes_ms: step.bytes_bound as f64 / self.copy_gb_per_s / 1e6,
            floor_work_ms: step.work as f64 / self.fma_gflop_per_s / 1e6,
        }
    }
}

/// The bytes of the tensor, and those read and written in a second.
fn copy(gpu: &Gpu, timer: Option<&Timer>) -> Result<(u64, f64), GpuError> {
    let bytes = COPIED.min(gpu.summary().max_binding_bytes).min(gpu.summary().max_buffer_bytes) / 16 * 16;
    let floats = (bytes / 4) as usize;
    let (source, copied) = (gpu.tensor("source", Element::F32, &[floats])?, gpu.tensor("copied", Element::F32, &[floats])?);
    let count = floats / 4;
    let mut best = f64::INFINITY;
    for each in EACH {
        let tensors = [("source", &source), ("copied", &copied)];
        let kernel = CEILING.dispatch(gpu, "copy", &[("EACH", each.into())], &tensors)?;
        let seconds = best_seconds(gpu, timer, SAMPLING, |pass| {
            let grid = Grid::threads(count.div_ceil(each), GROUP);
            pass.run(&kernel, grid, &[count as u32, 0, 0, 0], 2 * floats);
        })?;
        best = best.min(seconds);
    }
    Ok((bytes, 2.0 * bytes as f64 / best))
}

/// Operations in a second.
fn products(gpu: &Gpu, timer: Option<&Timer>) -> Result<f64, GpuError> {
    let sums = gpu.tensor("sums", Element::F32, &[INVOCATIONS])?;
    let kernel = CEILING.dispatch(gpu, "products", &[], &[("sums", &sums)])?;
    let seconds = |turns: usize, sampling| {
        best_seconds(gpu, timer, sampling, |pass| {
            // Chains that come to rest at 0.5.
            let immediates = [0, turns as u32, 0.998f32.to_bits(), 0.001f32.to_bits()];
            pass.run(&kernel, Grid::threads(INVOCATIONS, GROUP), &immediates, INVOCATIONS * TURN * turns);
        })
    };
    let [mut turns, most] = TURNS;
    let quick = Sampling { samples: Sampling::FEWEST, at_least: Duration::ZERO, in_all: Duration::ZERO };
    while turns < most && seconds(turns, quick)? < LONG_ENOUGH {
        turns *= 2;
    }
    Ok((INVOCATIONS * TURN * turns) as f64 / seconds(turns, SAMPLING)?)
}

fn best_seconds(
    gpu: &Gpu,
    timer: Option<&Timer>,
    sampling: Sampling,
    record: impl FnOnce(&mut Pass<'_>),
) -> Result<f64, GpuError> {
    let profile = Profile::sampled(sampling);
    let mut pass = Pass::profiled(gpu, &profile, timer);
    record(&mut pass);
    pass.submit()?;
    let seconds: f64 = profile.rows().iter().map(|row| row.best_seconds).sum();
    Ok(seconds.max(1e-9))
}

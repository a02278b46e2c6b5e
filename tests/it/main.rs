//! All integration tests in one binary: a module per concern.
#![allow(clippy::unwrap_used)]

mod audio;
mod checkpoint;
mod cli;
mod dataset;
mod features;
mod gpu;
mod kernels;
mod kernels_recurrent;
mod metrics;
mod networks;
mod permute;
mod reference;
mod reference_pytorch;
mod reference_recurrent;
mod report;
mod run_directory;
mod shaders;
mod structure;
mod training;

/// The adapter that the tests run on: the one that `MELGRAD_ADAPTER` names, or the first.
fn chosen() -> melgrad::gpu::AdapterChoice {
    melgrad::gpu::AdapterChoice { name: std::env::var("MELGRAD_ADAPTER").ok(), backend: None }
}

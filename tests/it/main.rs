//! All integration tests in one binary: a module per concern.
#![allow(clippy::unwrap_used)]

mod audio;
mod baseline;
mod bench;
mod checkpoint;
mod choice;
mod cli;
mod compare;
mod compare_bad_cases;
mod compare_cli;
mod compare_evidence;
mod compare_merge;
mod compare_study;
mod compare_verify;
mod config;
mod dataset;
mod features;
mod feed;
mod gpu;
mod halves;
mod html;
mod kernels;
mod kernels_bottleneck;
mod kernels_convolution;
mod kernels_dropout;
mod kernels_indrnn;
mod kernels_indrnn_folded;
mod kernels_recurrent;
mod kernels_recurrent_stack;
mod kernels_training;
mod metrics;
mod mixed;
mod networks;
mod permute;
mod plot;
mod pytorch_runs;
mod reference;
mod reference_pytorch;
mod reference_pytorch_training;
mod reference_recurrent;
mod report;
mod report_page;
mod run_directory;
mod schedule;
mod shaders;
mod statistics;
mod structure;
mod tensorboard;
mod text_plot;
mod training;
mod training_recipe;

/// The adapter that the tests run on: the one that `MELGRAD_ADAPTER` names, or the first.
fn chosen() -> melgrad::gpu::AdapterChoice {
    melgrad::gpu::AdapterChoice { name: std::env::var("MELGRAD_ADAPTER").ok(), backend: None }
}

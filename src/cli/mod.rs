//! Commands: each file turns arguments into calls of the library and results into output. No work is done here.

mod bench;
mod compare;
mod demo;
mod doctor;
mod evaluate;
mod exit;
mod features;
mod predict;
mod prepare;
mod progress;
mod reading;
mod report;
mod retrain;
mod settings;
mod train;
mod verify;

pub use exit::{exit_code, words};

use crate::gpu::{AdapterChoice, BackendName, Gpu, GpuError, GpuOptions, KernelPolicy};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Instant;

/// Trains music-genre networks on any Vulkan, Metal or DX12 GPU.
#[derive(Debug, Parser)]
#[command(name = "melgrad", version, about, max_term_width = 100, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Default, Args)]
pub struct Global {
    /// One JSON document on standard output; progress stays on standard error
    #[arg(long, global = true)]
    pub json: bool,
    /// The adapter to use: its index or part of its name (see `melgrad doctor`)
    #[arg(long, global = true, env = "MELGRAD_ADAPTER", value_name = "NAME")]
    pub adapter: Option<String>,
    /// Only adapters of this interface
    #[arg(long, global = true, env = "MELGRAD_BACKEND")]
    pub backend: Option<BackendName>,
    /// Seed of everything drawn at random
    #[arg(long, global = true, env = "MELGRAD_SEED", value_name = "N")]
    pub seed: Option<u64>,
    /// Which of several kernels that do the same: the fastest here, measured once and remembered (auto), the first (plain),
    /// or, to try them, those of a family where there are some (tiled, together, ..) [default: auto]
    #[arg(long, global = true, env = "MELGRAD_KERNELS", value_name = "KERNELS")]
    pub kernels: Option<KernelPolicy>,
    /// Settings in TOML, as a run's config.toml; flags and MELGRAD_* variables beat it
    #[arg(long, global = true, env = "MELGRAD_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl Global {
    /// How the device is opened.
    pub fn gpu_options(&self) -> GpuOptions {
        let choice = AdapterChoice { name: self.adapter.clone(), backend: self.backend };
        let says = |name: &str, wanted: &str| std::env::var_os(name).is_some_and(|value| value == wanted);
        let kernels = self.kernels.clone().unwrap_or_default();
        let room_for_data = std::env::var("MELGRAD_DEVICE_DATA_BYTES").ok().and_then(|bytes| bytes.parse().ok());
        let runtime_checks = says("MELGRAD_RUNTIME_CHECKS", "1");
        GpuOptions { choice, runtime_checks, kernels, room_for_data, ..GpuOptions::default() }
    }

    /// Opens the device.
    pub fn gpu(&self) -> Result<Gpu, GpuError> {
        Gpu::open(&self.gpu_options())
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train and compare networks on the built-in music: needs nothing but this program
    Demo(demo::DemoArgs),
    /// What this machine's adapters are, and whether every kernel computes rightly on them
    Doctor(doctor::DoctorArgs),
    /// Decode a data set, cache its log-mel features, list unusable files and duplicates
    Prepare(prepare::PrepareArgs),
    /// The log-mel features of one file, as .npy
    Features(features::FeaturesArgs),
    /// Train one network
    #[command(allow_negative_numbers = true)]
    Train(Box<train::TrainArgs>),
    /// Train several networks on the same split with the same seeds, and compare them
    #[command(allow_negative_numbers = true)]
    Compare(Box<compare::CompareArgs>),
    /// Metrics of a trained network on a part of its data, or on other data
    Evaluate(evaluate::EvaluateArgs),
    /// The most likely genres of files
    Predict(predict::PredictArgs),
    /// Pictures and report.html of runs again, and one page over several runs
    Report(report::ReportArgs),
    /// Predict the test clips of a published study again on this adapter, or train it again
    Verify(verify::VerifyArgs),
    /// Milliseconds per training step or seconds per epoch on this adapter; its kernels beside what it does at most
    Bench(bench::BenchArgs),
}

impl Cli {
    /// Runs the command.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let global = &self.global;
        match &self.command {
            Command::Demo(args) => demo::run(global, args),
            Command::Doctor(args) => doctor::run(global, args),
            Command::Prepare(args) => prepare::run(global, args),
            Command::Features(args) => features::run(global, args),
            Command::Train(args) => train::run(global, args),
            Command::Compare(args) => compare::run(global, args),
            Command::Evaluate(args) => evaluate::run(global, args),
            Command::Predict(args) => predict::run(global, args),
            Command::Report(args) => report::run(global, args),
            Command::Verify(args) => verify::run(global, args),
            Command::Bench(args) => bench::run(global, args),
        }
    }
}

/// Writes a line to standard output. A reader that has seen enough ends the program quietly.
fn say(line: impl std::fmt::Display) {
    use std::io::Write;
    if let Err(error) = writeln!(std::io::stdout(), "{line}") {
        let quiet = error.kind() == std::io::ErrorKind::BrokenPipe;
        if !quiet {
            eprintln!("melgrad: standard output: {error}");
        }
        std::process::exit(if quiet { 0 } else { 7 });
    }
}

/// When the program began.
static BEGAN: OnceLock<Instant> = OnceLock::new();

/// Notes when the program begins: the first thing that it does.
pub fn start_clock() {
    let _ = BEGAN.set(Instant::now());
}

/// Seconds from then to `end`; none where nobody noted it.
fn seconds_until(end: Instant) -> Option<f64> {
    BEGAN.get().map(|began| (end - *began).as_secs_f64())
}

/// Sends log lines to standard error: warnings, or what `MELGRAD_LOG` asks for (`MELGRAD_LOG=debug`).
pub fn start_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("MELGRAD_LOG").unwrap_or_else(|_| "warn,wgpu_hal=error,wgpu_core=error,symphonia=off,symphonia_core=off,symphonia_bundle_mp3=off,symphonia_format_riff=off".into());
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time().try_init();
}

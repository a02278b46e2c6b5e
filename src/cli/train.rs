//! `melgrad train DATA --model ..`

use super::Global;
use super::progress::Counting;
use super::settings::{FeatureArgs, RecipeArgs};
use crate::config::Config;
use crate::dataset::{self, CachePolicy, Dataset, LoadOptions};
use crate::gpu::Gpu;
use crate::models::{self, Dimensions};
use crate::report::{fan_out::FanOut, jsonl::EventLog, metrics_csv::MetricsTable, terminal::Terminal, words};
use crate::train::event::Summary;
use crate::train::run_directory::RunDirectory;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// A folder with one subfolder per class, a CSV manifest, or a folder that holds manifest.csv
    data: PathBuf,
    /// The run directory; an existing one is refused [default: runs/MODEL-N]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    reading: ReadingArgs,
    #[command(flatten)]
    recipe: RecipeArgs,
    #[command(flatten)]
    features: FeatureArgs,
}

/// How files are read.
#[derive(Debug, Clone, Default, Args)]
pub struct ReadingArgs {
    /// Stop at files that cannot be used instead of leaving them out
    #[arg(long)]
    pub strict: bool,
    /// Neither read nor write the feature cache
    #[arg(long)]
    pub no_cache: bool,
}

impl ReadingArgs {
    /// The cache that is meant.
    pub fn cache(&self) -> CachePolicy {
        if self.no_cache { CachePolicy::Off } else { CachePolicy::User }
    }
}

pub(super) fn run(global: &Global, args: &TrainArgs) -> anyhow::Result<ExitCode> {
    let mut config = args.recipe.resolve(global, &args.features)?;
    // The device and the directory first: they fail soonest, and decoding may take minutes.
    let gpu = global.gpu()?;
    let one_clip = Dimensions { batch: 1, frames: config.train.frames, mels: config.features.n_mels, classes: 2 };
    models::check(&gpu, &config.model, one_clip)?;
    let run = RunDirectory::create(args.out.as_deref(), config.model.name)?;
    let outcome = load_and_train(&gpu, &mut config, args, &run);
    if outcome.is_err() {
        // Only if nothing was written into it.
        let _ = std::fs::remove_dir(run.path());
    }
    let summary = outcome?;
    if global.json {
        super::say(format_args!("{}", serde_json::to_string(&summary)?));
    }
    Ok(ExitCode::SUCCESS)
}

fn load_and_train(gpu: &Gpu, config: &mut Config, args: &TrainArgs, run: &RunDirectory) -> anyhow::Result<Summary> {
    let options = LoadOptions {
        data: config.data.clone(),
        features: config.features.clone(),
        frames: config.train.frames,
        seed: config.train.seed,
        strict: args.reading.strict,
        cache: args.reading.cache(),
        classes: None,
    };
    let counting = Counting::new("decoding");
    let data = dataset::load(&args.data, &options, &|done, total| counting.set(done, total))?;
    drop(counting);
    config.data.path.clone_from(&args.data);
    config.data.classes.clone_from(&data.classes);
    tell_bad_files(&data);
    train(gpu, config, &data, run)
}

/// Trains into `run` with progress on standard error.
pub(super) fn train(gpu: &Gpu, config: &Config, data: &Dataset, run: &RunDirectory) -> anyhow::Result<Summary> {
    run.write_config(config)?;
    run.write_environment(serde_json::to_value(gpu.summary())?)?;
    let mut observer = FanOut::new()
        .with(EventLog::open(&run.file("events.jsonl"))?)
        .with(MetricsTable::open(&run.file("metrics.csv"))?)
        .with(Terminal::stderr());
    Ok(crate::train::train(gpu, config, data, run, &mut observer)?)
}

/// Says how many files are left out and why the first few are.
pub(super) fn tell_bad_files(data: &Dataset) {
    if data.bad.is_empty() {
        return;
    }
    eprintln!("{} cannot be used (see bad_files.csv):", words::count(data.bad.len(), "file"));
    for bad in data.bad.iter().take(5) {
        eprintln!("  {}: {}", bad.path.display(), bad.reason);
    }
}

//! `melgrad train DATA --model ..`

use super::Global;
use super::reading::{ReadingArgs, tell_bad_files};
use super::settings::{FeatureArgs, RecipeArgs};
use crate::config::{Config, ModelName};
use crate::dataset::Dataset;
use crate::gpu::Gpu;
use crate::models::{self, Dimensions};
use crate::report::{
    fan_out::FanOut, jsonl::EventLog, metrics_csv::MetricsTable, pictures::Pictures, tensorboard::TensorBoard, terminal::Terminal,
};
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
    /// The network
    #[arg(long, env = "MELGRAD_MODEL")]
    model: Option<ModelName>,
    #[command(flatten)]
    reading: ReadingArgs,
    #[command(flatten)]
    recipe: RecipeArgs,
    #[command(flatten)]
    features: FeatureArgs,
}

pub(super) fn run(global: &Global, args: &TrainArgs) -> anyhow::Result<ExitCode> {
    let mut config = args.recipe.resolve(global, &args.features, args.model)?;
    // The device and the directory first: they fail soonest, and decoding may take minutes.
    let gpu = global.gpu()?;
    let one_clip = Dimensions { batch: 1, frames: config.train.frames, mels: config.features.n_mels, classes: 2 };
    models::check(&gpu, &config.model, one_clip)?;
    let run = RunDirectory::create(args.out.as_deref(), config.model.name)?;
    let outcome = load_and_train(&gpu, &mut config, args, &run);
    // What ended before its first checkpoint leaves nothing, so that it can be tried again under the same name.
    if outcome.is_err() && !run.file("last").exists() {
        let _ = std::fs::remove_dir_all(run.path());
    }
    let summary = outcome?;
    if global.json {
        super::say(format_args!("{}", serde_json::to_string(&summary)?));
    }
    Ok(ExitCode::SUCCESS)
}

fn load_and_train(gpu: &Gpu, config: &mut Config, args: &TrainArgs, run: &RunDirectory) -> anyhow::Result<Summary> {
    let data = args.reading.load(&args.data, config)?;
    // The run must be able to find its data from anywhere.
    config.data.path = std::path::absolute(&args.data).unwrap_or_else(|_| args.data.clone());
    config.data.classes.clone_from(&data.classes);
    tell_bad_files(&data);
    train(gpu, config, &data, run)
}

/// Trains into `run` with progress on standard error.
pub(super) fn train(gpu: &Gpu, config: &Config, data: &Dataset, run: &RunDirectory) -> anyhow::Result<Summary> {
    run.write_config(config)?;
    run.write_environment(serde_json::to_value(gpu.summary())?)?;
    let data_name = config.data.path.file_name().map_or("the built-in set".into(), |name| name.to_string_lossy());
    Ok(crate::train::train(gpu, config, data, run, &mut listeners(run, &data_name)?)?)
}

/// Everyone who listens to a run on data of that name.
pub(super) fn listeners(run: &RunDirectory, data_name: &str) -> anyhow::Result<FanOut<'static>> {
    Ok(FanOut::new()
        .with(EventLog::open(&run.file("events.jsonl"))?)
        .with(MetricsTable::open(&run.file("metrics.csv"))?)
        .with(TensorBoard::create(&run.file("tensorboard"))?)
        .with(Pictures::new(run, data_name))
        .with(Terminal::stderr()))
}

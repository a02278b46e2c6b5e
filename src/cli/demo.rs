//! `melgrad demo`

use super::Global;
use super::progress::Counting;
use super::reading::{ReadingArgs, tell_bad_files};
use super::train::train;
pub(super) use crate::config::BUILT_IN;
use crate::config::{Config, ModelName};
use crate::dataset::{self, Dataset, DatasetError};
use crate::report::page::{self, several};
use crate::report::record::RunRecord;
use crate::report::table::{Column, Table};
use crate::report::words;
use crate::train::event::Summary;
use crate::train::run_directory::RunDirectory;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Fewer epochs: a look at how it works, not at what the networks can do
    #[arg(long)]
    quick: bool,
    /// The directory for the runs; an existing one is refused [default: runs/demo-N]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print where the built-in music comes from and its licences in full, and do nothing else
    #[arg(long)]
    licences: bool,
    #[command(flatten)]
    reading: ReadingArgs,
}

/// Frames of a built-in clip: 6 s.
pub(super) const CLIP_FRAMES: usize = 130;

#[derive(serde::Serialize)]
struct Comparison {
    runs: Vec<Summary>,
    majority_baseline: Option<f64>,
}

pub(super) fn run(global: &Global, args: &DemoArgs) -> anyhow::Result<ExitCode> {
    if args.licences {
        super::say(format_args!("{}", dataset::attribution()));
        for (package, text) in dataset::licences() {
            super::say(format_args!("\n==== {package} ====\n\n{text}"));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let gpu = global.gpu()?;
    eprintln!("{}", dataset::attribution());
    let out = RunDirectory::create(args.out.as_deref(), "demo")?;
    let mut runs = Vec::new();
    for model in [ModelName::Indrnn, ModelName::Rnn, ModelName::Gru, ModelName::Lstm, ModelName::Bbnn] {
        let mut config = recipe(model, gpu.summary().is_software(), args.quick);
        config.train.seed = global.seed.unwrap_or(0);
        let data = load(&config, args)?;
        tell_bad_files(&data);
        config.data.path = PathBuf::from(BUILT_IN);
        config.data.classes.clone_from(&data.classes);
        let run = RunDirectory::create(Some(&out.file(&model.to_string())), model)?;
        runs.push(train(&gpu, &config, &data, &run)?);
    }
    let records = runs.iter().map(|run| RunRecord::read(&run.run)).collect::<Result<Vec<_>, _>>()?;
    page::write_page(&out.file("report.html"), &several::report(&records))?;
    let comparison = Comparison { majority_baseline: runs[0].majority_baseline, runs };
    if global.json {
        super::say(format_args!("{}", serde_json::to_string(&comparison)?));
    } else {
        print(&comparison);
        super::say(format_args!("All of them on one page: {}", out.file("report.html").display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// The networks' recipes, cut down to a small set of short clips; BBNN sees short crops where there is no hardware.
fn recipe(model: ModelName, software: bool, quick: bool) -> Config {
    let mut config = Config::new(model);
    let train = &mut config.train;
    train.patience = 0;
    match model {
        ModelName::Bbnn => {
            let crop = match (software, quick) {
                (false, _) => CLIP_FRAMES,
                (true, false) => 32,
                (true, true) => 16,
            };
            (train.frames, train.batch_size, train.learning_rate) = (crop, 8, 3e-3);
            train.epochs = if quick { 3 } else { 13 };
        }
        _ => {
            (train.frames, train.batch_size, train.learning_rate) = (CLIP_FRAMES, 8, 1e-3);
            train.epochs = if quick { 4 } else { 25 };
        }
    }
    config
}

fn load(config: &Config, args: &DemoArgs) -> Result<Dataset, DatasetError> {
    let counting = Counting::new("decoding");
    dataset::load_builtin(&args.reading.options(config), &|done, total| counting.set(done, total))
}

fn print(comparison: &Comparison) {
    let mut table = Table::new(&[
        Column::Left("network"),
        Column::Right("parameters"),
        Column::Right("epochs"),
        Column::Right("s/epoch"),
        Column::Right("validation"),
        Column::Right("test"),
        Column::Left("95 % interval"),
    ]);
    let share = |value: Option<f64>| value.map_or("-".to_owned(), words::percent);
    for run in &comparison.runs {
        table.row([
            run.model.clone(),
            words::thousands(run.parameters),
            run.epochs.to_string(),
            format!("{:.2}", run.epoch_seconds_median),
            share(run.val_accuracy),
            share(run.test_accuracy),
            run.test_accuracy_ci95
                .map_or("-".to_owned(), |[low, high]| format!("{} to {}", words::percent(low), words::percent(high))),
        ]);
    }
    let none = "-".to_owned();
    table.row([
        "(largest class)".to_owned(),
        none.clone(),
        none.clone(),
        none.clone(),
        none.clone(),
        share(comparison.majority_baseline),
        none,
    ]);
    super::say(format_args!("\n{table}\n"));
    if let Some(groups) = comparison.runs[0].test_groups {
        super::say(format_args!(
            "The test part holds {}: enough to see that the program works, too few to tell which network is better.",
            words::count(groups, "track")
        ));
    }
    for run in &comparison.runs {
        super::say(format_args!("{}: {}", run.model, run.run.display()));
    }
    if let Some(run) = comparison.runs.first() {
        super::say(format_args!("Try: melgrad predict {} YOUR_MUSIC", run.run.display()));
    }
}

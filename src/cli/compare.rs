//! `melgrad compare DATA --models a,b,..`

use super::Global;
use super::exit::UsageError;
use super::progress::Counting;
use super::reading::{ReadingArgs, tell_bad_files};
use super::settings::{FeatureArgs, RecipeArgs};
use crate::compare::{
    self, Cell, Conclusion, Shard, Study, StudyDirectory, Summary, conclude, summarise, write_capsule, write_tables,
};
use crate::config::{Config, ModelName};
use crate::dataset::{self, Draw, Protocol};
use crate::gpu::Gpu;
use crate::models::{self, Dimensions};
use crate::report::table::{Column, Table};
use crate::report::{fan_out::FanOut, jsonl::EventLog, metrics_csv::MetricsTable, terminal::Terminal, words};
use crate::train::event::Observer;
use crate::train::run_directory::{RUNS, RunDirectory};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// A folder with one subfolder per class, a CSV manifest, or a folder that holds manifest.csv
    data: PathBuf,
    /// The networks to compare
    #[arg(long, value_name = "A,B,..", value_delimiter = ',', default_value = "indrnn,rnn,lstm,gru,bbnn")]
    models: Vec<ModelName>,
    /// Seeds of initialisation, order and augmentation: --seed and those after it; the split is the same for all
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// How the data is parted; all but grouped and gtzan-filtered say in words what they share between the sides
    #[arg(long, default_value = "grouped")]
    protocol: Protocol,
    /// grouped: parts of which each is the test part once; 1 is one hold-out
    #[arg(long, value_name = "K", default_value = "1", value_parser = clap::value_parser!(u64).range(1..=20))]
    folds: u64,
    /// Look at the test part after every so many epochs, and after the last
    #[arg(long, value_name = "EPOCHS", default_value = "0", hide_default_value = true)]
    eval_every: usize,
    /// Train a run of its own for every such number of epochs, each with a seed of its own, instead of looking at one
    #[arg(long)]
    independent: bool,
    /// Say what it will take and do nothing else
    #[arg(long)]
    dry_run: bool,
    /// Train only this share of the runs, like 2/4; the last one to finish writes the whole tables
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// When all runs are finished, write the study to this one file: settings, splits, weights, predictions; no audio
    #[arg(long, value_name = "FILE")]
    capsule: Option<PathBuf>,
    /// The study's directory; where it holds an unfinished study of these settings, it goes on [default: runs/compare-N]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    reading: ReadingArgs,
    #[command(flatten)]
    recipe: RecipeArgs,
    #[command(flatten)]
    features: FeatureArgs,
}

#[derive(serde::Serialize)]
struct Outcome {
    study: PathBuf,
    cells: usize,
    finished: usize,
    epochs: usize,
    models: Vec<Summary>,
    conclusion: Option<Conclusion>,
}

impl CompareArgs {
    fn study(&self, global: &Global) -> anyhow::Result<Study> {
        let mut models = self.recipe.resolve_all(global, &self.features, &self.models)?;
        let Some(first) = models.first() else { return Err(UsageError("which networks? Give --models".into()).into()) };
        let (epochs, seed, frames) = (first.train.epochs, first.train.seed, first.train.frames);
        if self.eval_every > epochs {
            let message = format!("--eval-every {}: use at most --epochs ({epochs})", self.eval_every);
            return Err(UsageError(message).into());
        }
        for config in &mut models {
            config.data.path = std::path::absolute(&self.data).unwrap_or_else(|_| self.data.clone());
            // Runs of one length can be compared; the best weights on the validation part are taken anyway.
            (config.train.patience, config.train.seed, config.train.frames) = (0, seed, frames);
        }
        let marks = Study::marks(epochs, self.eval_every);
        let seeds = (seed..seed + self.seeds).collect();
        Ok(Study {
            schema: Study::SCHEMA,
            models,
            seeds,
            protocol: self.protocol,
            folds: self.folds as usize,
            marks,
            independent: self.independent,
        })
    }
}

pub(super) fn run(global: &Global, args: &CompareArgs) -> anyhow::Result<ExitCode> {
    let study = args.study(global)?;
    let cells = study.cells();
    if args.dry_run {
        let (runs, epochs) = (words::count(cells.len(), "run"), words::count(study.total_epochs(), "epoch"));
        super::say(format_args!(
            "{runs}, {epochs} in all: {}",
            args.models.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        ));
        return Ok(ExitCode::SUCCESS);
    }
    let gpu = global.gpu()?;
    for config in &study.models {
        let one_clip = Dimensions { batch: 1, frames: config.train.frames, mels: config.features.n_mels, classes: 2 };
        models::check(&gpu, &config.model, one_clip)?;
    }
    let path = match &args.out {
        Some(path) => path.clone(),
        None => RunDirectory::create_numbered(RUNS.as_ref(), "compare")?.path().into(),
    };
    let directory = StudyDirectory::open(&path, &study)?;
    train(&gpu, &study, args, &directory)?;
    write_tables(&study, &directory)?;
    if let Some(path) = &args.capsule {
        write_capsule(path, &study, &directory)?;
    }
    let models = summarise(&study, &directory)?;
    let conclusion = conclude(&study, &directory)?;
    let finished = models.iter().map(|model| model.cells).sum();
    let outcome = Outcome { study: path, cells: cells.len(), finished, epochs: study.total_epochs(), models, conclusion };
    if global.json {
        super::say(serde_json::to_string(&outcome)?);
    } else {
        print(&outcome);
    }
    Ok(ExitCode::SUCCESS)
}

fn train(gpu: &Gpu, study: &Study, args: &CompareArgs, directory: &StudyDirectory) -> anyhow::Result<()> {
    let counting = Counting::new("decoding");
    let options = args.reading.options(&study.models[0]);
    let collection = dataset::collect(&args.data, &options, &|done, total| counting.set(done, total))?;
    drop(counting);
    eprintln!("protocol {}: {}", study.protocol, study.protocol.words());
    if let Some(cell) = study.cells().first() {
        tell_bad_files(&collection.dataset(study.protocol, study.draw(cell))?);
    }
    let observe = |cell: &Cell, run: &RunDirectory, place: usize, open: usize| -> std::io::Result<Box<dyn Observer>> {
        eprintln!("run {} of {open}: {cell}", place + 1);
        let log = EventLog::open(&run.file("events.jsonl")).map_err(std::io::Error::other)?;
        let table = MetricsTable::open(&run.file("metrics.csv")).map_err(std::io::Error::other)?;
        Ok(Box::new(FanOut::new().with(log).with(table).with(Terminal::stderr())))
    };
    let part = |_: &Config, draw: Draw| collection.dataset(study.protocol, draw);
    compare::run(gpu, study, args.shard.unwrap_or_default(), directory, part, observe)?;
    Ok(())
}

fn print(outcome: &Outcome) {
    let mut table = Table::new(&[
        Column::Left("network"),
        Column::Right("parameters"),
        Column::Right("runs"),
        Column::Right("diverged"),
        Column::Right("validation"),
        Column::Right("test"),
        Column::Right("mean over marks"),
        Column::Right("settled at"),
    ]);
    let share = |value: Option<f64>| value.map_or("-".to_owned(), words::percent);
    for model in &outcome.models {
        table.row([
            model.model.clone(),
            words::thousands(model.parameters),
            model.cells.to_string(),
            model.diverged.to_string(),
            share(model.val_accuracy),
            share(model.test_accuracy),
            share(model.mean_over_marks),
            model.settled_at.map_or("-".to_owned(), |epoch| epoch.to_string()),
        ]);
    }
    super::say(format_args!("\n{table}\n"));
    if let Some(conclusion) = &outcome.conclusion {
        for model in &conclusion.models {
            if let (Some(accuracy), Some(interval)) = (model.test_accuracy, &model.interval) {
                let bounds = [accuracy, interval.low, interval.high].map(words::percent);
                super::say(format_args!("{}: {} (95 % interval {} to {})", model.model, bounds[0], bounds[1], bounds[2]));
            }
        }
        for sentence in &conclusion.sentences {
            super::say(sentence);
        }
    }
    super::say(format_args!(
        "{} of {} are finished; tables in {}",
        outcome.finished,
        words::count(outcome.cells, "run"),
        outcome.study.display()
    ));
}

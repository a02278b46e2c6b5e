//! `melgrad evaluate RUN [DATA]`

use super::Global;
use super::demo::BUILT_IN;
use super::exit::DataError;
use super::progress::Counting;
use super::reading::{NamingArgs, ReadingArgs, tell_bad_files};
use crate::config::Config;
use crate::dataset::{self, Collection, Dataset, Draw, KeptSplits, LoadOptions, Protocol, Split};
use crate::gpu::Gpu;
use crate::models::Network;
use crate::report::table::{Column, Table};
use crate::report::words;
use crate::train::checkpoint::read_model;
use crate::train::predictions::Evaluation;
use crate::train::run_directory::RunDirectory;
use crate::train::{evaluate_part, predict_part, write_evaluation};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `evaluate`.
#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// A directory that `melgrad train` wrote, or one with a config.toml and a model.safetensors
    run: PathBuf,
    /// The data [default: what the run was trained on]
    data: Option<PathBuf>,
    /// Which part of it: train, valid or test
    #[arg(long, default_value = "test", value_parser = ["train", "valid", "test"])]
    split: String,
    /// Write evaluation.json, predictions.csv and confusion_matrix.csv into this new directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    reading: ReadingArgs,
    #[command(flatten)]
    naming: NamingArgs,
}

pub(super) fn run(global: &Global, args: &EvaluateArgs) -> anyhow::Result<ExitCode> {
    let (run, mut config) = RunDirectory::open(&args.run)?;
    args.naming.apply(&mut config.data);
    let gpu = global.gpu()?;
    let network = restore(&gpu, &run, &config)?;
    let options = LoadOptions { classes: Some(config.data.classes.clone()), ..args.reading.options(&config) };
    let source = args.data.as_ref().unwrap_or(&config.data.path);
    let built_in = args.data.is_none() && source == Path::new(BUILT_IN);
    if args.data.is_none() && !built_in && !source.exists() {
        let words =
            format!("the run was trained on {}, which is not there; give the data: melgrad evaluate RUN DATA", source.display());
        return Err(DataError(words).into());
    }
    let counting = Counting::new("decoding");
    let progress = |done, total| counting.set(done, total);
    let collection =
        if built_in { dataset::collect_builtin(&options, &progress)? } else { dataset::collect(source, &options, &progress)? };
    drop(counting);
    let data = keep_split(&run, &collection, &config, args.data.is_none())?;
    tell_bad_files(&data);
    if data.samples.is_empty() {
        return Err(DataError(format!("{}: there is no audio and no .npy that can be used", source.display())).into());
    }
    let split = Split::from_name(&args.split).expect("the parser knows the three names");
    let predictions = predict_part(&network, &data, split)?;
    let evaluation = evaluate_part(&data, split, &predictions, config.train.seed)?;
    if let Some(out) = &args.out {
        let out = RunDirectory::create(Some(out), "evaluation")?;
        write_evaluation(&out, &data, &predictions, &evaluation)?;
    }
    if global.json {
        super::say(format_args!("{}", serde_json::to_string(&evaluation)?));
    } else {
        print(&evaluation);
    }
    Ok(ExitCode::SUCCESS)
}

/// Gives every clip the part that it had when the run was trained: what was trained on must never count as test data.
fn keep_split(run: &RunDirectory, collection: &Collection, config: &Config, own: bool) -> anyhow::Result<Dataset> {
    let splits = run.file("splits.csv");
    if !splits.is_file() {
        if run.file("best").exists() {
            let words = format!(
                "{} is not there: clips that the run was trained on cannot be told from others; restore it",
                splits.display()
            );
            return Err(DataError(words).into());
        }
        eprintln!("note: no splits.csv beside the weights: clips that they were trained on cannot be told from others");
        return Ok(collection.dataset(Protocol::Grouped, Draw::single(config.train.seed))?);
    }
    let kept = KeptSplits::read(&splits)?;
    let mut data = collection.for_kept(&kept);
    let new = kept.apply(&mut data);
    if own && new > 0 {
        let words = format!(
            "{}: {} of the run's own data not in it; it is damaged, or the data has changed: give DATA to evaluate on what is there now",
            splits.display(),
            words::count(new, "clip")
        );
        return Err(DataError(words).into());
    }
    if new > 0 {
        eprintln!("note: {} not among the run's: counted as test", words::count(new, "clip"));
    }
    Ok(data)
}

/// The network of a run with its weights loaded.
pub(super) fn restore(gpu: &Gpu, run: &RunDirectory, config: &Config) -> anyhow::Result<Network> {
    let (path, tensors) = read_model(run.path())?;
    Ok(crate::train::restore(gpu, config, &path, tensors)?)
}

fn print(evaluation: &Evaluation) {
    let ratio = |value: Option<f64>| value.map_or("-".to_owned(), words::percent);
    let columns = ["class", "clips", "precision", "recall", "F1"];
    let mut table =
        Table::new(&std::array::from_fn::<_, 5, _>(
            |i| if i == 0 { Column::Left(columns[i]) } else { Column::Right(columns[i]) },
        ));
    for class in &evaluation.classes {
        let metrics = &class.metrics;
        table.row([
            class.name.clone(),
            metrics.support.to_string(),
            ratio(metrics.precision),
            ratio(metrics.recall),
            ratio(metrics.f1),
        ]);
    }
    super::say(format_args!("{table}"));
    let interval = evaluation
        .accuracy_ci95
        .as_ref()
        .map(|i| format!(" (95 % interval {} to {}, {} groups)", words::percent(i.low), words::percent(i.high), i.groups));
    super::say(format_args!(
        "accuracy {}{} on {} of the {} part",
        words::percent(evaluation.accuracy),
        interval.unwrap_or_default(),
        words::count(evaluation.clips, "clip"),
        evaluation.part
    ));
    super::say(format_args!(
        "balanced accuracy {}, macro F1 {}, log loss {:.3}",
        ratio(evaluation.balanced_accuracy),
        ratio(evaluation.macro_f1),
        evaluation.log_loss
    ));
    if let Some(interval) = evaluation.accuracy_ci95.as_ref().filter(|interval| interval.groups < words::FEWEST_GROUPS) {
        super::say(format_args!("{}: too few to tell how good that is", words::count(interval.groups, "group")));
    }
    if let (Some(accuracy), Some(class)) = (evaluation.majority_baseline, &evaluation.majority_class) {
        super::say(format_args!("always naming {class}: {}", words::percent(accuracy)));
    }
}

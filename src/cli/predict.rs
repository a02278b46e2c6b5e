//! `melgrad predict RUN FILE..`

use super::Global;
use super::evaluate::restore;
use super::exit::DataError;
use super::progress::Counting;
use super::reading::ReadingArgs;
use crate::dataset::{self, BadFile, Batches, Clip, Windows};
use crate::report::words;
use crate::train::evaluate::{ClipOutput, evaluate};
use crate::train::predictions::PredictionsError;
use crate::train::run_directory::RunDirectory;
use clap::Args;
use std::collections::BTreeMap;
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Arguments of `predict`.
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// A directory that `melgrad train` wrote, or one with a config.toml and a model.safetensors
    run: PathBuf,
    /// Audio or .npy files, folders of them, or - for audio on standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// How many genres to name
    #[arg(long, default_value = "3", value_name = "K")]
    top: NonZeroUsize,
    #[command(flatten)]
    reading: ReadingArgs,
}

#[derive(serde::Serialize)]
struct Predictions {
    run: PathBuf,
    predictions: Vec<Prediction>,
    bad_files: Vec<Bad>,
}

#[derive(serde::Serialize)]
struct Bad {
    path: PathBuf,
    reason: String,
}

#[derive(serde::Serialize)]
struct Prediction {
    path: PathBuf,
    prediction: String,
    top: Vec<Guess>,
    probabilities: BTreeMap<String, f32>,
    logits: BTreeMap<String, f32>,
    windows: usize,
    seconds: f64,
}

#[derive(serde::Serialize)]
struct Guess {
    class: String,
    probability: f32,
}

pub(super) fn run(global: &Global, args: &PredictArgs) -> anyhow::Result<ExitCode> {
    let (run, config) = RunDirectory::open(&args.run)?;
    let gpu = global.gpu()?;
    let network = restore(&gpu, &run, &config)?;
    let frames = config.train.frames;
    let (standard_input, paths): (Vec<PathBuf>, Vec<PathBuf>) =
        args.files.iter().cloned().partition(|path| path == Path::new("-"));
    let counting = Counting::new("decoding");
    let files =
        dataset::load_files(&paths, &config.features, frames, &args.reading.cache(), &|done, total| counting.set(done, total));
    drop(counting);
    for warning in &files.warnings {
        eprintln!("note: {warning}");
    }
    let mut bad = files.bad;
    let mut clips: Vec<(PathBuf, Arc<Clip>)> = files.clips.into_iter().map(|file| (file.path, file.clip)).collect();
    if !standard_input.is_empty() {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes)?;
        match dataset::load_bytes(bytes, "", &config.features, frames) {
            Ok(clip) => clips.push(("-".into(), clip)),
            Err(reason) => bad.push(BadFile { path: "-".into(), reason }),
        }
    }
    for BadFile { path, reason } in &bad {
        eprintln!("cannot be used: {}: {reason}", path.display());
    }
    if clips.is_empty() {
        return Err(DataError("there is nothing to predict: no file that was given can be used".into()).into());
    }
    let batches = Batches::unlabelled(clips.iter().map(|(_, clip)| clip), frames, network.dimensions().batch, Windows::All);
    let outputs = evaluate(&network, &batches, clips.len())?;
    if let Some(((path, _), output)) =
        clips.iter().zip(&outputs).find(|(_, output)| output.probabilities.iter().any(|p| !p.is_finite()))
    {
        let (path, probabilities) = (path.display().to_string(), output.probabilities.clone());
        return Err(PredictionsError::NotProbabilities { path, probabilities }.into());
    }
    let predictions = Predictions {
        run: args.run.clone(),
        predictions: clips
            .iter()
            .zip(&outputs)
            .map(|((path, clip), output)| prediction(path, clip, output, &config.data.classes, args.top.get()))
            .collect(),
        bad_files: bad.iter().map(|b| Bad { path: b.path.clone(), reason: b.reason.clone() }).collect(),
    };
    if global.json {
        super::say(format_args!("{}", serde_json::to_string(&predictions)?));
    } else {
        print(&predictions);
    }
    // A file that was named and cannot be used is an error; one that lies in a folder only with --strict.
    if bad.iter().any(|bad| args.reading.strict || args.files.contains(&bad.path)) {
        return Err(DataError(format!("{} cannot be used", words::count(bad.len(), "file"))).into());
    }
    Ok(ExitCode::SUCCESS)
}

fn prediction(path: &Path, clip: &Clip, output: &ClipOutput, classes: &[String], top: usize) -> Prediction {
    let mut order: Vec<usize> = (0..classes.len()).collect();
    order.sort_by(|&a, &b| output.probabilities[b].total_cmp(&output.probabilities[a]));
    let named = |values: &[f32]| classes.iter().cloned().zip(values.iter().copied()).collect();
    Prediction {
        path: path.into(),
        prediction: classes[order[0]].clone(),
        top: order.iter().take(top).map(|&i| Guess { class: classes[i].clone(), probability: output.probabilities[i] }).collect(),
        probabilities: named(&output.probabilities),
        logits: named(&output.logits),
        windows: output.windows,
        seconds: clip.seconds(),
    }
}

fn print(predictions: &Predictions) {
    for prediction in &predictions.predictions {
        let guesses: Vec<_> =
            prediction.top.iter().map(|g| format!("{} {}", g.class, words::percent(f64::from(g.probability)))).collect();
        super::say(format_args!("{}: {}", prediction.path.display(), guesses.join(", ")));
    }
}

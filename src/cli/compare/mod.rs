//! `melgrad compare DATA --models a,b,..`

mod data;
mod print;

use super::Global;
use super::demo::CLIP_FRAMES;
use super::exit::UsageError;
use super::reading::ReadingArgs;
use super::settings::{FeatureArgs, OwnSetting, RecipeArgs};
use super::train::listeners;
use crate::compare::{
    self, Cell, CompareError, Conclusion, Contestant, Entry, Reading, Shard, Study, StudyDirectory, Summary, TimingRow,
    check_place, estimate, merge, publish, summarise, time_epochs, time_rows, write_capsule,
};
use crate::config::ModelName;
use crate::dataset::{Protocol, Split};
use crate::gpu::Gpu;
use crate::models::{self, Dimensions};
use crate::report::fan_out::FanOut;
use crate::report::words;
use crate::train::event::Observer;
use crate::train::run_directory::{RUNS, RunDirectory};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// A folder with one subfolder per class, a CSV manifest, or a folder that holds manifest.csv
    #[arg(required_unless_present_any = ["built_in", "merge"])]
    data: Option<PathBuf>,
    /// The built-in music instead of DATA
    #[arg(long, conflicts_with = "data")]
    built_in: bool,
    /// What to compare: networks, and the simple baseline that any network should beat
    #[arg(long, value_name = "A,B,..", value_delimiter = ',', default_value = "indrnn,rnn,lstm,gru,bbnn,baseline")]
    models: Vec<Contestant>,
    /// A setting of one network alone, by its name in config.toml, like bbnn.train.frames=128; may be given more than once
    #[arg(long = "set", value_name = "NETWORK.SECTION.NAME=VALUE")]
    own: Vec<OwnSetting>,
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
    /// Turns of an epoch that the networks take one after the other to be timed, before the study begins; 0 for none
    #[arg(long, value_name = "N", default_value = "5")]
    timing_rounds: usize,
    /// A turn ends with the batch that is in work after so long; the rest of the epoch is reckoned
    #[arg(long, value_name = "SECONDS", default_value = "10")]
    turn_seconds: f64,
    /// Say what it will take and do nothing else
    #[arg(long)]
    dry_run: bool,
    /// Train only this share of the runs, like 2/4; the last one to finish writes the whole tables [default: everything, or
    /// what SLURM_ARRAY_TASK_ID, or JOB_COMPLETION_INDEX with MELGRAD_SHARDS, say]
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Train nothing: join the shares that were trained in these directories into --out and write the tables
    #[arg(long, value_name = "DIR", num_args = 1.., requires = "out", conflicts_with_all = ["data", "built_in", "shard", "dry_run"])]
    merge: Vec<PathBuf>,
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

/// What `--json` ends with.
#[derive(serde::Serialize)]
struct Outcome {
    study: PathBuf,
    protocol: String,
    cells: usize,
    finished: usize,
    epochs: usize,
    models: Vec<Summary>,
    timing: Vec<TimingRow>,
    conclusion: Option<Conclusion>,
}

/// What `--dry-run --json` says.
#[derive(serde::Serialize)]
struct Plan {
    cells: usize,
    open: usize,
    epochs: usize,
    seconds: Option<f64>,
}

impl CompareArgs {
    /// The share that was asked for, or that the scheduler of a cluster gave this process.
    fn shard(&self) -> anyhow::Result<Shard> {
        let given = || Shard::from_environment(|name| std::env::var(name).ok()).map_err(UsageError);
        let shard = match self.shard {
            Some(shard) => shard,
            None => match given()? {
                Some((shard, variable)) => {
                    eprintln!("shard {shard} of the runs, as {variable} says");
                    shard
                }
                None => Shard::default(),
            },
        };
        if shard.count > 1 && self.out.is_none() {
            eprintln!(
                "note: give all shards the same --out, or join their directories in the end: melgrad compare --merge DIR.. --out DIR"
            );
        }
        Ok(shard)
    }

    fn study(&self, global: &Global) -> anyhow::Result<Study> {
        if self.recipe.patience().is_some() {
            let message = "--patience: runs of one length are compared, so none stops early; leave it out".to_owned();
            return Err(UsageError(message).into());
        }
        if self.folds > 1 && self.protocol != Protocol::Grouped {
            let message = format!("--folds: protocol {} says itself how the data is parted; leave it out", self.protocol);
            return Err(UsageError(message).into());
        }
        let network = |contestant: &Contestant| match contestant {
            Contestant::Network(name) => Some(*name),
            Contestant::Baseline => None,
        };
        let names: Vec<ModelName> = self.models.iter().filter_map(network).collect();
        let mut configs = self.recipe.resolve_all(global, &self.features, &names, &self.own)?;
        let Some(first) = configs.first() else {
            return Err(UsageError("which networks? The baseline alone is no comparison: name some with --models".into()).into());
        };
        let (epochs, seed) = (first.train.epochs, first.train.seed);
        if self.eval_every > epochs {
            let message = format!("--eval-every {}: use at most --epochs ({epochs})", self.eval_every);
            return Err(UsageError(message).into());
        }
        for config in &mut configs {
            config.data.path = self.source();
            if self.built_in {
                config.train.frames = config.train.frames.min(CLIP_FRAMES);
            }
            // Runs of one length can be compared; the best weights on the validation part are taken anyway.
            (config.train.patience, config.train.epochs, config.train.seed) = (0, epochs, seed);
        }
        let windows = configs.iter().map(|config| config.train.frames).collect::<std::collections::BTreeSet<_>>();
        if self.protocol == Protocol::LeakySegments && windows.len() > 1 {
            let message = "leaky-segments cuts the clips into windows: give all networks the same --frames".to_owned();
            return Err(UsageError(message).into());
        }
        let mut last = configs[0].clone();
        last.train.seed = seed.saturating_add(self.seeds - 1);
        last.validate()?;
        let baseline = Entry::Baseline(Reading::of(&configs[0]));
        let mut configs = configs.into_iter();
        let entry = |contestant: &Contestant| match contestant {
            Contestant::Network(_) => configs.next().map(Entry::from),
            Contestant::Baseline => Some(baseline.clone()),
        };
        Ok(Study {
            schema: Study::SCHEMA,
            models: self.models.iter().filter_map(entry).collect(),
            split_seed: seed,
            seeds: (seed..seed + self.seeds).collect(),
            protocol: self.protocol,
            folds: self.folds as usize,
            marks: Study::marks(epochs, self.eval_every),
            independent: self.independent,
        })
    }
}

pub(super) fn run(global: &Global, args: &CompareArgs) -> anyhow::Result<ExitCode> {
    if let Some(path) = &args.capsule {
        check_place(path)?;
    }
    if let ([_, ..], Some(out)) = (&*args.merge, &args.out) {
        let (directory, study) = merge(&args.merge, out)?;
        return finish(global, args, &study, &directory);
    }
    let study = args.study(global)?;
    if args.dry_run {
        return dry_run(global, args, &study);
    }
    let shard = args.shard()?;
    let gpu = global.gpu()?;
    check(&gpu, &study)?;
    let path = match &args.out {
        Some(path) => path.clone(),
        None => RunDirectory::create_numbered(RUNS.as_ref(), "compare")?.path().into(),
    };
    let directory = StudyDirectory::open(&path, &study)?;
    train(&gpu, &study, args, shard, &directory)?;
    finish(global, args, &study, &directory)
}

/// Whether the adapter can take every network: sooner than decoding would say it.
fn check(gpu: &Gpu, study: &Study) -> anyhow::Result<()> {
    for config in study.models.iter().filter_map(Entry::config) {
        let one_clip = Dimensions { batch: 1, frames: config.train.frames, mels: config.features.n_mels, classes: 2 };
        models::check(gpu, &config.model, one_clip)?;
    }
    Ok(())
}

/// Tables and words of what is finished.
fn finish(global: &Global, args: &CompareArgs, study: &Study, directory: &StudyDirectory) -> anyhow::Result<ExitCode> {
    let concluded = publish(study, directory)?;
    let models = summarise(study, directory)?;
    if concluded.is_none() && models.iter().any(|model| model.cells > model.diverged) {
        eprintln!("no run was tested: there is no test part, so that nothing can be said of music that is not trained on");
    }
    let outcome = Outcome {
        study: directory.path().into(),
        protocol: study.protocol.to_string(),
        cells: study.cells().len(),
        finished: models.iter().map(|model| model.cells).sum(),
        epochs: study.total_epochs(),
        models,
        timing: time_rows(study, directory)?,
        conclusion: concluded.map(|(_, conclusion)| conclusion),
    };
    if global.json {
        super::say(serde_json::to_string(&outcome)?);
    } else {
        print::outcome(&outcome);
        print::course(study, directory, &outcome)?;
    }
    tell_damaged(study, directory);
    // Last: whatever hinders it, the figures have been seen.
    if let Some(path) = &args.capsule {
        write_capsule(path, study, directory)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Says which results are cut, so that their runs count as unfinished.
fn tell_damaged(study: &Study, directory: &StudyDirectory) {
    for path in directory.damaged(study) {
        eprintln!("note: {} is cut or no result: the run counts as unfinished and is trained again", path.display());
    }
}

fn train(gpu: &Gpu, study: &Study, args: &CompareArgs, shard: Shard, directory: &StudyDirectory) -> anyhow::Result<()> {
    let mut data = args.study_data();
    data::look(study, &mut data, Some(directory))?;
    tell_damaged(study, directory);
    if args.timing_rounds > 0 && shard.index == 0 && directory.turns()?.is_none() {
        let first = study.cells().first().map(|cell| study.draw(cell)).expect("a study has a cell");
        let parted = |entry: &Entry| data.dataset(study, entry, first).map_err(CompareError::from);
        let told = |step: &str| eprintln!("timing by turns: {step}");
        let timing = time_epochs(gpu, study, args.timing_rounds, args.turn_seconds, parted, told)?;
        directory.write_turns(&timing)?;
    }
    let observe = |cell: &Cell, run: &RunDirectory, place: usize, open: usize| -> std::io::Result<Box<dyn Observer>> {
        eprintln!("run {} of {open}: {cell}", place + 1);
        match cell.name {
            Contestant::Network(_) => Ok(Box::new(listeners(run).map_err(std::io::Error::other)?)),
            // It is fitted at once: there is nothing to hear.
            Contestant::Baseline => Ok(Box::new(FanOut::new())),
        }
    };
    compare::run(gpu, study, shard, directory, |entry, draw| data.dataset(study, entry, draw), observe)?;
    Ok(())
}

/// Says how many runs and epochs there are and about how long they will take on this adapter, by a short measurement.
fn dry_run(global: &Global, args: &CompareArgs, study: &Study) -> anyhow::Result<ExitCode> {
    let mut open = study.cells();
    let cells = open.len();
    if let Some(out) = args.out.as_deref().filter(|out| out.join("study.json").is_file()) {
        let directory = StudyDirectory::open(out, study)?;
        let mut finished = Vec::new();
        for cell in &open {
            finished.push(directory.result(cell)?.is_some());
        }
        let mut finished = finished.into_iter();
        open.retain(|_| !finished.next().unwrap_or(false));
    }
    let seconds = match global.gpu() {
        Ok(gpu) => {
            check(&gpu, study)?;
            let mut data = args.study_data();
            let valid_clips = data::look(study, &mut data, None)?.part(Split::Valid).len();
            let first = study.draw(&study.cells()[0]);
            let parted = |entry: &Entry| data.dataset(study, entry, first).map_err(CompareError::from);
            let timing = time_epochs(&gpu, study, 1, args.turn_seconds.min(2.0), parted, |step| eprintln!("timing: {step}"))?;
            Some(estimate(study, &timing, valid_clips, &open).as_secs_f64())
        }
        Err(error) => {
            eprintln!("no estimate of the time: {error}");
            None
        }
    };
    let plan = Plan { cells, open: open.len(), epochs: open.iter().map(|cell| study.epochs(cell)).sum(), seconds };
    if global.json {
        super::say(serde_json::to_string(&plan)?);
        return Ok(ExitCode::SUCCESS);
    }
    let (runs, epochs) = (words::count(plan.cells, "run"), words::count(plan.epochs, "epoch"));
    let left = if plan.open < plan.cells { format!(", {} still open", plan.open) } else { String::new() };
    let time = plan.seconds.map(|seconds| words::rough(std::time::Duration::from_secs_f64(seconds)));
    let time = time.map_or_else(String::new, |time| format!(", about {time} on this adapter"));
    let names: Vec<String> = (0..study.models.len()).map(|model| study.label(model)).collect();
    super::say(format_args!("{runs}{left}, {epochs} in all{time}: {}", names.join(", ")));
    Ok(ExitCode::SUCCESS)
}

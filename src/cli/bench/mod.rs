//! `melgrad bench [NAME..]`

mod tables;

use super::Global;
use super::exit::UsageError;
use crate::bench::{
    self, Bench, Ceilings, EpochOptions, FAMILIES, Floors, KernelRow, Measurement, Saved, Workload, compare, measure,
    measure_epochs, measure_kernels,
};
use crate::config::ModelName;
use crate::gpu::Precision;
use crate::train::adapter_words;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Like bbnn_b8_t647_m128 or indrnn_t647_b32_i128_h128_l5 [default: a few that suit the adapter]; with --epoch
    /// networks, with --each-kernel families of kernels [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Seconds per epoch instead, on a made-up set of GTZAN's size, by the loop of training itself
    #[arg(long, group = "what")]
    epoch: bool,
    /// Each kernel by itself instead, beside the most that the adapter does
    #[arg(long, group = "what")]
    each_kernel: bool,
    /// Time every kernel of a step on its own instead, and show the slowest
    #[arg(long, group = "what")]
    profile: bool,
    /// Two saved outputs (of steps or --epoch) beside each other; measures nothing
    #[arg(long, group = "what", num_args = 2, value_names = ["A", "B"], conflicts_with = "names")]
    compare: Option<Vec<PathBuf>>,
    /// With --epoch: measure each network for this long; where an epoch takes longer, it is reckoned from some of its
    /// batches, and the output says so [default: 20]
    #[arg(long, value_name = "N", requires = "epoch", value_parser = seconds)]
    seconds: Option<f64>,
    /// With --epoch: clips of the set, eight in ten of which are trained on [default: 1000]
    #[arg(long, value_name = "N", requires = "epoch", value_parser = clap::value_parser!(u32).range(10..=10_000))]
    clips: Option<u32>,
    /// What products are made of
    #[arg(long, value_name = "PRECISION", default_value_t)]
    precision: Precision,
    /// Measure how fast the adapter copies and multiplies, and say for each step what it cannot go below
    #[arg(long, conflicts_with = "what")]
    ceilings: bool,
    /// A table at the end in place of a JSON line for each workload
    #[arg(long, conflicts_with = "what")]
    table: bool,
    /// With --each-kernel: JSON lines in place of the table, the adapter and its ceilings first, each kernel as soon as it is known
    #[arg(long, requires = "each_kernel", conflicts_with = "json")]
    lines: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok();
    number.filter(|seconds| *seconds > 0.0 && *seconds <= 86_400.0).ok_or_else(|| "give seconds, above 0 up to a day".into())
}

pub(super) fn run(global: &Global, args: &BenchArgs) -> anyhow::Result<ExitCode> {
    match &args.compare {
        Some(files) => comparison(global, files)?,
        None if args.epoch => epochs(global, args)?,
        None if args.each_kernel => kernels(global, args)?,
        None => steps(global, args)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A step with what it cannot go below, if that was asked for.
#[derive(Serialize)]
struct Step {
    #[serde(flatten)]
    measured: Measurement,
    /// Of the first workload: seconds from the start of the program to the end of its first step.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_step_s: Option<f64>,
    #[serde(flatten)]
    floors: Option<Floors>,
}

fn steps(global: &Global, args: &BenchArgs) -> anyhow::Result<()> {
    let named: Result<Vec<Workload>, _> = args.names.iter().map(|name| name.parse()).collect();
    let named = named.map_err(|error: bench::WorkloadError| UsageError(error.to_string()))?;
    let gpu = global.gpu()?.with_precision(args.precision);
    let workloads = if named.is_empty() { Workload::defaults(gpu.summary().is_software()) } else { named };
    let ceilings = if args.ceilings { Some(Ceilings::measure(&gpu)?) } else { None };
    let (mut documents, mut steps) = (Vec::new(), Vec::new());
    for workload in &workloads {
        if args.table {
            eprintln!("{}", workload.name);
        }
        if args.profile {
            let profile = Bench::new(&gpu, workload)?.profile()?;
            if !global.json {
                super::say(tables::profile(workload, &profile));
            }
            documents.push(serde_json::json!({ "workload": workload.name, "kernels": profile.rows() }));
            continue;
        }
        let measured = measure(&gpu, workload)?;
        let first_step_s = super::seconds_until(measured.first_step_ended).filter(|_| steps.is_empty());
        let step = Step { first_step_s, floors: ceilings.map(|ceilings| ceilings.floors(&measured)), measured };
        if !global.json && !args.table {
            // A line each, as soon as it is known: a long list that is cut short is worth what it has.
            super::say(serde_json::to_string(&step)?);
        }
        documents.push(serde_json::to_value(&step)?);
        steps.push(step);
    }
    if global.json {
        super::say(serde_json::Value::Array(documents));
    } else if args.table {
        super::say(tables::steps(&steps, ceilings.as_ref()));
    }
    Ok(())
}

fn epochs(global: &Global, args: &BenchArgs) -> anyhow::Result<()> {
    let mut models = Vec::new();
    for name in &args.names {
        let Some(model) = ModelName::ALL.into_iter().find(|model| model.to_string() == *name) else {
            let words = format!("there is no network `{name}`: bench --epoch takes indrnn, rnn, gru, lstm and bbnn");
            return Err(UsageError(words).into());
        };
        if !models.contains(&model) {
            models.push(model);
        }
    }
    if models.is_empty() {
        models = vec![ModelName::Indrnn, ModelName::Rnn, ModelName::Gru, ModelName::Lstm, ModelName::Bbnn];
    }
    let default = EpochOptions::default();
    let options = EpochOptions {
        clips: args.clips.map_or(default.clips, |clips| clips as usize),
        seconds: args.seconds.unwrap_or(default.seconds),
    };
    let measured = measure_epochs(&global.gpu()?.with_precision(args.precision), &models, options, |step| eprintln!("{step}"))?;
    if global.json {
        super::say(serde_json::to_string(&measured)?);
    } else {
        super::say(tables::epochs(&measured));
    }
    Ok(())
}

/// The table of kernels as one document.
#[derive(Serialize)]
struct Kernels {
    adapter: String,
    ceilings: Ceilings,
    kernels: Vec<KernelRow>,
}

fn kernels(global: &Global, args: &BenchArgs) -> anyhow::Result<()> {
    if let Some(name) = args.names.iter().find(|name| !FAMILIES.contains(&name.as_str())) {
        let words = format!("there is no family of kernels `{name}`: bench --each-kernel takes {}", FAMILIES.join(", "));
        return Err(UsageError(words).into());
    }
    let gpu = global.gpu()?.with_precision(args.precision);
    eprintln!("what the adapter does at most");
    let (adapter, ceilings) = (adapter_words(&gpu), Ceilings::measure(&gpu)?);
    if args.lines {
        super::say(serde_json::json!({ "adapter": adapter, "ceilings": ceilings }));
    }
    let mut last = String::new();
    let mut told = |row: &KernelRow| {
        if args.lines {
            super::say(serde_json::json!(row));
        }
        let words = format!("{}, {}", row.variant, row.shape);
        if words != last {
            eprintln!("{words}");
            last = words;
        }
    };
    let kernels = measure_kernels(&gpu, &ceilings, &args.names, &mut told)?;
    let document = Kernels { adapter, ceilings, kernels };
    if global.json {
        super::say(serde_json::to_string(&document)?);
    } else if !args.lines {
        super::say(tables::kernels(&document));
    }
    Ok(())
}

fn comparison(global: &Global, files: &[PathBuf]) -> anyhow::Result<()> {
    let comparison = compare(&Saved::read(&files[0])?, &Saved::read(&files[1])?);
    if global.json {
        super::say(serde_json::to_string(&comparison)?);
    } else {
        super::say(tables::comparison(&comparison));
    }
    Ok(())
}

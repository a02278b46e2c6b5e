//! `melgrad verify CAPSULE [DATA] --retrain`

use super::Global;
use super::exit::UsageError;
use crate::compare::{self, Capsule, Cell, Outcome, Retrained, Retraining, StudyDirectory};
use crate::config::Config;
use crate::dataset::{Collection, DatasetError};
use crate::gpu::Gpu;
use crate::report::{terminal::Terminal, words};
use crate::train::adapter_words;
use crate::train::event::Observer;
use crate::train::run_directory::RunDirectory;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Which runs are trained again, and where.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training again")]
pub struct RetrainArgs {
    /// Train the runs again with their settings, splits and seeds, and say whether they come to what was published
    #[arg(long)]
    pub retrain: bool,
    /// Only the runs of these networks, as the study's tables name them
    #[arg(long, value_name = "A,B,..", value_delimiter = ',', requires = "retrain")]
    models: Vec<String>,
    /// Only these runs, by the names of their directories, like indrnn-1-seed0-fold0
    #[arg(long, value_name = "NAME,..", value_delimiter = ',', requires = "retrain")]
    cells: Vec<String>,
    /// Keep what is trained in this directory, and go on there after an interruption [default: nothing is kept]
    #[arg(long, value_name = "DIR", requires = "retrain")]
    out: Option<PathBuf>,
}

impl RetrainArgs {
    fn wanted(&self, capsule: &Capsule) -> anyhow::Result<Vec<String>> {
        let runs: Vec<(String, String)> = capsule.networks_and_cells();
        let known = |given: &[String], names: Vec<&String>, what: &str| match given.iter().find(|name| !names.contains(name)) {
            None => Ok(()),
            Some(name) => {
                let mut there: Vec<&str> = names.into_iter().map(String::as_str).collect();
                there.dedup();
                Err(UsageError(format!("{what} {name} is not in the capsule, which has {}", there.join(", "))))
            }
        };
        let mut networks: Vec<&String> = runs.iter().map(|(network, _)| network).collect();
        networks.sort();
        known(&self.models, networks, "--models:")?;
        known(&self.cells, runs.iter().map(|(_, cell)| cell).collect(), "--cells:")?;
        let fits = |given: &[String], name: &String| given.is_empty() || given.contains(name);
        let wanted = runs.into_iter().filter(|(network, cell)| fits(&self.models, network) && fits(&self.cells, cell));
        let wanted: Vec<String> = wanted.map(|(_, cell)| cell).collect();
        if wanted.is_empty() {
            return Err(UsageError("no run of the capsule is of these --models and among these --cells".into()).into());
        }
        Ok(wanted)
    }
}

pub(super) fn run(
    global: &Global,
    gpu: &Gpu,
    capsule: &Capsule,
    args: &RetrainArgs,
    load: impl FnMut(&Config) -> Result<Collection, DatasetError>,
) -> anyhow::Result<ExitCode> {
    let wanted = args.wanted(capsule)?;
    let temporary = tempfile::tempdir()?;
    let path = args.out.clone().unwrap_or_else(|| temporary.path().join("study"));
    let directory = StudyDirectory::open(&path, &capsule.study)?;
    let observe = |cell: &Cell, _: &RunDirectory, place: usize, all: usize| -> std::io::Result<Box<dyn Observer>> {
        eprintln!("run {} of {all}: {cell}", place + 1);
        Ok(Box::new(Terminal::stderr()))
    };
    let retraining = compare::retrain(gpu, capsule, |cell| wanted.contains(&cell.to_string()), &directory, load, observe)?;
    retraining.warnings.iter().for_each(|warning| eprintln!("note: {warning}"));
    if args.out.is_some() {
        compare::write_tables(&capsule.study, &directory)?;
    }
    let adapter = adapter_words(gpu);
    if global.json {
        super::say(serde_json::json!({ "adapter": adapter, "cells": retraining.cells, "networks": retraining.networks }));
    } else {
        print(&retraining, &adapter);
    }
    let failed = retraining.networks.iter().any(|network| network.within == Some(false));
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(retraining: &Retraining, adapter: &str) {
    super::say(format_args!("trained again on {adapter}"));
    retraining.cells.iter().for_each(|cell| super::say(cell_words(cell)));
    retraining.networks.iter().for_each(|network| super::say(network_words(network)));
}

fn cell_words(retrained: &Retrained) -> String {
    let published = words::percent(retrained.published_accuracy);
    match (&retrained.again, retrained.diverged_in) {
        (Some(again), _) if again.same_bits => {
            format!("{}: {published} as published: the same predictions, bit for bit", retrained.cell)
        }
        (Some(again), _) => format!(
            "{}: {} (published {published}); {} of {} predictions differ",
            retrained.cell,
            words::percent(again.accuracy),
            again.different,
            again.clips
        ),
        (None, epoch) => format!("{}: diverged in epoch {} (published {published})", retrained.cell, epoch.unwrap_or(0)),
    }
}

fn network_words(outcome: &Outcome) -> String {
    let Outcome { network, seeds, .. } = outcome;
    if outcome.same_bits {
        return format!("{network}: reproduced, the same predictions, bit for bit");
    }
    let Some(accuracy) = outcome.accuracy else { return format!("{network}: not reproduced: it diverged") };
    let range = |[low, high]: [f64; 2]| format!("{} to {}", words::percent(low.max(0.0)), words::percent(high.min(1.0)));
    let published = match seeds {
        1 => format!("published {}", words::percent(outcome.published_accuracy)),
        _ => format!("published {}, its seeds {}", words::percent(outcome.published_accuracy), range(outcome.seed_range)),
    };
    let verdict = match (outcome.within, outcome.interval) {
        (Some(true), Some(interval)) => format!("reproduced: within the {}, {}", outcome.method, range(interval)),
        (Some(false), Some(interval)) => format!("not reproduced: outside the {}, {}", outcome.method, range(interval)),
        _ => "one seed and one group of test clips have no spread to compare with".to_owned(),
    };
    format!("{network}: {} ({published}); {verdict}", words::percent(accuracy))
}

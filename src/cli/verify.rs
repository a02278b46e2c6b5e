//! `melgrad verify CAPSULE [DATA]`

use super::Global;
use super::demo::BUILT_IN;
use super::exit::DataError;
use super::progress::Counting;
use super::reading::ReadingArgs;
use super::retrain::{self, RetrainArgs};
use crate::compare::{Capsule, verify};
use crate::config::{Config, DataConfig};
use crate::dataset::{self, Collection, DatasetError, LoadOptions};
use crate::report::words;
use clap::Args;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// What `melgrad compare --capsule` wrote
    capsule: PathBuf,
    /// The data [default: where it was when the study was made]
    data: Option<PathBuf>,
    #[command(flatten)]
    retrain: RetrainArgs,
    #[command(flatten)]
    reading: ReadingArgs,
}

pub(super) fn run(global: &Global, args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let capsule = Capsule::read(&args.capsule)?;
    let gpu = global.gpu()?;
    let mut read: BTreeMap<String, Collection> = BTreeMap::new();
    let source = |given: &DataConfig| args.data.clone().unwrap_or_else(|| given.path.clone());
    if let Some(entry) = capsule.study.models.first() {
        let path = source(&entry.reading().data);
        if path != Path::new(BUILT_IN) && !path.exists() {
            let words = format!("{} is not there; give the data: melgrad verify CAPSULE DATA", path.display());
            return Err(DataError(words).into());
        }
    }
    let load = |config: &Config| -> Result<Collection, DatasetError> {
        let path = source(&config.data);
        // Networks that read the data alike share it.
        let key = format!("{path:?} {:?} {} {:?}", config.features, config.train.frames, config.data);
        if let Some(data) = read.get(&key) {
            return Ok(data.clone());
        }
        let options = LoadOptions { classes: Some(config.data.classes.clone()), ..args.reading.options(config) };
        let counting = Counting::new("decoding");
        let progress = |done, total| counting.set(done, total);
        let data = if path == Path::new(BUILT_IN) {
            dataset::collect_builtin(&options, &progress)?
        } else {
            dataset::collect(&path, &options, &progress)?
        };
        read.insert(key, data.clone());
        Ok(data)
    };
    if args.retrain.retrain {
        return retrain::run(global, &gpu, &capsule, &args.retrain, load);
    }
    let verification = verify(&gpu, &capsule, load)?;
    let verdicts = &verification.verdicts;
    verification.warnings.iter().for_each(|warning| eprintln!("note: {warning}"));
    let different: usize = verdicts.iter().map(|verdict| verdict.different).sum();
    if global.json {
        super::say(serde_json::to_string(verdicts)?);
    } else {
        for verdict in verdicts {
            super::say(format_args!(
                "{}: {} of {} predictions differ, largest probability difference {}{}; accuracy {} (published {})",
                verdict.cell,
                verdict.different,
                verdict.clips,
                difference(verdict.largest_difference),
                verdict.tolerance.map_or_else(String::new, |most| format!(" ({} is allowed)", difference(most))),
                words::percent(verdict.accuracy),
                words::percent(verdict.published_accuracy)
            ));
        }
        let clips: usize = verdicts.iter().map(|verdict| verdict.clips).sum();
        let largest = verdicts.iter().map(|verdict| verdict.largest_difference).fold(0.0, f64::max);
        let adapter = crate::train::adapter_words(&gpu);
        super::say(format_args!(
            "{different} of {clips} predictions differ, largest probability difference {}, on {adapter}",
            difference(largest)
        ));
        let words = "accuracies, tables and splits are those of the capsule's predictions, protocol and seed; of each run only \
                     the last mark is rechecked, not its earlier marks, shortened clips and validation";
        super::say(words);
    }
    Ok(if verification.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Its size in one digit; 0 where not a bit differs.
fn difference(of_probabilities: f64) -> String {
    if of_probabilities == 0.0 { "0".into() } else { format!("{of_probabilities:.0e}") }
}

//! `melgrad prepare DATA`

use super::Global;
use super::reading::{NamingArgs, ReadingArgs};
use super::settings::FeatureArgs;
use crate::dataset::{Draw, NearDuplicateRow, Protocol, Split};
use crate::report::table::{Column, Table};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `prepare`.
#[derive(Debug, Args)]
pub struct PrepareArgs {
    /// A folder with one subfolder per class, a CSV manifest, or a folder that holds manifest.csv
    data: PathBuf,
    /// Frames that shorter clips are padded to, as audio [default: 647]
    #[arg(long, env = "MELGRAD_FRAMES", value_name = "N")]
    frames: Option<usize>,
    #[command(flatten)]
    reading: ReadingArgs,
    #[command(flatten)]
    naming: NamingArgs,
    #[command(flatten)]
    features: FeatureArgs,
}

#[derive(serde::Serialize)]
struct Prepared {
    clips: usize,
    seconds: f64,
    classes: Vec<ClassCount>,
    bad_files: Vec<Bad>,
    duplicates: Vec<Vec<PathBuf>>,
    near_duplicates: Vec<NearDuplicateRow>,
    warnings: Vec<String>,
}

#[derive(serde::Serialize)]
struct ClassCount {
    class: String,
    train: usize,
    valid: usize,
    test: usize,
}

#[derive(serde::Serialize)]
struct Bad {
    path: PathBuf,
    reason: String,
}

pub(super) fn run(global: &Global, args: &PrepareArgs) -> anyhow::Result<ExitCode> {
    let mut config = args.features.resolve_all(global)?;
    config.train.frames = args.frames.unwrap_or(config.train.frames);
    config.train.seed = global.seed.unwrap_or(config.train.seed);
    args.naming.apply(&mut config.data);
    config.validate()?;
    let collection = args.reading.collect(&args.data, &config)?;
    let data = collection.dataset(Protocol::Grouped, Draw::single(config.train.seed))?;
    let counts = Split::ALL.map(|split| data.class_counts(split));
    let class = |(i, class): (usize, &String)| ClassCount {
        class: class.clone(),
        train: counts[0][i],
        valid: counts[1][i],
        test: counts[2][i],
    };
    let prepared = Prepared {
        clips: data.samples.len(),
        seconds: data.samples.iter().map(|sample| sample.clip.seconds()).sum(),
        classes: data.classes.iter().enumerate().map(class).collect(),
        bad_files: data.bad.iter().map(|bad| Bad { path: bad.path.clone(), reason: bad.reason.clone() }).collect(),
        duplicates: data.duplicates.iter().map(|group| group.iter().map(|&i| data.samples[i].path.clone()).collect()).collect(),
        near_duplicates: collection.near_duplicate_rows(&collection.near_duplicates(), &data),
        warnings: data.warnings.clone(),
    };
    if global.json {
        super::say(format_args!("{}", serde_json::to_string(&prepared)?));
    } else {
        print(&prepared);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(prepared: &Prepared) {
    let mut table = Table::new(&[Column::Left("class"), Column::Right("train"), Column::Right("valid"), Column::Right("test")]);
    for class in &prepared.classes {
        table.row([class.class.clone(), class.train.to_string(), class.valid.to_string(), class.test.to_string()]);
    }
    super::say(format_args!("{table}"));
    super::say(format_args!("{} clips, {:.1} minutes", prepared.clips, prepared.seconds / 60.0));
    for bad in &prepared.bad_files {
        super::say(format_args!("cannot be used: {}: {}", bad.path.display(), bad.reason));
    }
    for group in &prepared.duplicates {
        let names: Vec<_> = group.iter().map(|path| path.display().to_string()).collect();
        super::say(format_args!("equal content: {}", names.join(", ")));
    }
    for pair in &prepared.near_duplicates {
        let NearDuplicateRow { first, second, distance, first_part, second_part, .. } = pair;
        let sides = if pair.separated { "ON TWO SIDES OF THE SPLIT: " } else { "" };
        super::say(format_args!(
            "nearly the same recording: {sides}{first} ({first_part}), {second} ({second_part}), distance {distance:.3}"
        ));
    }
    for warning in &prepared.warnings {
        super::say(format_args!("note: {warning}"));
    }
}

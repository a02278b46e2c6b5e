//! `melgrad report RUN..`

use super::Global;
use super::exit::UsageError;
use crate::report::page::{self, several};
use crate::report::record::RunRecord;
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Directories that `melgrad train` wrote
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Where the page over several runs goes; one run's is its report.html
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    out: PathBuf,
}

#[derive(serde::Serialize)]
struct Written {
    /// The page of each run.
    reports: Vec<PathBuf>,
    /// The page over all of them, where there are several.
    page: Option<PathBuf>,
    /// What it concludes; of one run, what its own page does.
    conclusion: Vec<String>,
}

pub(super) fn run(global: &Global, args: &ReportArgs) -> anyhow::Result<ExitCode> {
    // All are read before anything is written: a damaged one changes nothing.
    let mut records = Vec::new();
    for path in &args.runs {
        not_a_study(path)?;
        records.push(RunRecord::read(path)?);
    }
    let reports = records.iter().map(page::write).collect::<Result<Vec<_>, _>>()?;
    let several = records.len() > 1;
    let report = if several { several::report(&records) } else { page::report(&records[0]) };
    if several {
        page::write_page(&args.out, &report)?;
    }
    let written = Written { reports, page: several.then(|| args.out.clone()), conclusion: report.conclusion };
    if global.json {
        super::say(serde_json::to_string(&written)?);
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(table) = report.headline {
        super::say(format_args!("{}\n", table.text()));
    }
    written.conclusion.iter().for_each(super::say);
    super::say("");
    written.reports.iter().chain(&written.page).for_each(|path| super::say(path.display()));
    Ok(ExitCode::SUCCESS)
}

/// A study has a page of its own, which is made from its cells together.
fn not_a_study(path: &Path) -> Result<(), UsageError> {
    if !path.join("study.json").is_file() {
        return Ok(());
    }
    let path = path.display();
    Err(UsageError(format!("{path}: holds a study, not a run; give runs of it, such as {path}/cells/*")))
}

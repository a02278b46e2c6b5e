//! `melgrad report RUN..`

use super::Global;
use super::exit::{DataError, UsageError};
use crate::compare::page::results;
use crate::compare::{StudyDirectory, publish, summarise};
use crate::report::html::HtmlTable;
use crate::report::page::{self, several};
use crate::report::record::RunRecord;
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Directories that `melgrad train` wrote, or one that `melgrad compare` wrote
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
    if let Some(study) = args.runs.iter().find(|path| path.join("study.json").is_file()) {
        if args.runs.len() > 1 {
            let words = format!("{}: is a study, which has a page of its own: give it alone", study.display());
            return Err(UsageError(words).into());
        }
        return of_study(global, study);
    }
    // All are read before anything is written: a damaged one changes nothing.
    let records = args.runs.iter().map(|path| RunRecord::read(path)).collect::<Result<Vec<_>, _>>()?;
    let reports = records.iter().map(page::write).collect::<Result<Vec<_>, _>>()?;
    let several = records.len() > 1;
    let report = if several { several::report(&records) } else { page::report(&records[0]) };
    if several {
        page::write_page(&args.out, &report)?;
    }
    tell(global, Written { reports, page: several.then(|| args.out.clone()), conclusion: report.conclusion }, report.headline)
}

/// A study's tables, pictures and page, from its runs together.
fn of_study(global: &Global, path: &Path) -> anyhow::Result<ExitCode> {
    let (directory, study) = StudyDirectory::existing(path)?;
    let concluded = publish(&study, &directory)?;
    let Some((_, conclusion)) = concluded else {
        return Err(DataError(format!("{}: no run of the study is finished yet", path.display())).into());
    };
    let headline = results(&summarise(&study, &directory)?, Some(&conclusion));
    let page = Some(directory.file("report.html"));
    tell(global, Written { reports: Vec::new(), page, conclusion: conclusion.sentences }, Some(headline))
}

fn tell(global: &Global, written: Written, headline: Option<HtmlTable>) -> anyhow::Result<ExitCode> {
    if global.json {
        super::say(serde_json::to_string(&written)?);
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(table) = headline {
        super::say(format_args!("{}\n", table.text()));
    }
    written.conclusion.iter().for_each(super::say);
    super::say("");
    written.reports.iter().chain(&written.page).for_each(|path| super::say(path.display()));
    Ok(ExitCode::SUCCESS)
}

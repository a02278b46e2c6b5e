//! A study on a terminal.

use super::Outcome;
use crate::cli::say;
use crate::compare::{Headline, LengthSummary, Summary, TimingRow};
use crate::report::table::{Column, Table};
use crate::report::words;

/// Pairs that are printed; of more, the first sentence says the most important.
const PAIRS: usize = 3;

pub(super) fn outcome(outcome: &Outcome) {
    say(format_args!("\n{}", results(outcome)));
    if !outcome.timing.is_empty() {
        say(format_args!("\n{}", times(&outcome.timing)));
    }
    if outcome.models.iter().any(|model| model.lengths.len() > 1) {
        say(format_args!("\n{}", lengths(&outcome.models)));
    }
    if let Some(conclusion) = &outcome.conclusion {
        say("");
        for sentence in &conclusion.sentences {
            say(format_args!("- {sentence}"));
        }
        let pairs = &conclusion.pair_sentences;
        match pairs.len() {
            0..=PAIRS => pairs.iter().for_each(|sentence| say(format_args!("- {sentence}"))),
            pairs => say(format_args!("- all {pairs} pairs: statistics.json, report.html")),
        }
    }
    let (finished, cells) = (outcome.finished, words::count(outcome.cells, "run"));
    say(format_args!("\n{finished} of {cells} are finished: {}", outcome.study.display()));
}

fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), words::percent)
}

fn seconds(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |value| words::seconds(value).trim_end_matches(" s").to_owned())
}

fn results(outcome: &Outcome) -> Table {
    let mut table = Table::new(&[
        Column::Left("model"),
        Column::Right("parameters"),
        Column::Right("runs"),
        Column::Right("validation"),
        Column::Right("test"),
        Column::Left("95 % interval"),
        Column::Right("macro F1"),
        Column::Right("mean over marks"),
        Column::Right("settled at"),
    ]);
    let headlines = outcome.conclusion.as_ref().map_or(&[][..], |conclusion| &conclusion.models);
    for model in &outcome.models {
        let headline: Option<&Headline> = headlines.iter().find(|headline| headline.model == model.model);
        let interval = headline.and_then(|headline| headline.interval.as_ref());
        let runs = match model.diverged {
            0 => model.cells.to_string(),
            diverged => format!("{} ({diverged} diverged)", model.cells),
        };
        table.row([
            model.model.clone(),
            words::thousands(model.parameters),
            runs,
            share(model.val_accuracy),
            share(headline.map_or(model.test_accuracy, |headline| headline.test_accuracy)),
            interval.map_or_else(|| "-".into(), |i| format!("{} to {}", words::percent(i.low), words::percent(i.high))),
            share(headline.and_then(|headline| headline.macro_f1)),
            share(model.mean_over_marks),
            model.settled_at.map_or_else(|| "-".into(), |epoch| epoch.to_string()),
        ]);
    }
    table
}

fn times(rows: &[TimingRow]) -> String {
    let mut table = Table::new(&[
        Column::Left("seconds per epoch"),
        Column::Right("median"),
        Column::Left("quartiles"),
        Column::Right("on the device"),
        Column::Right("data"),
        Column::Right("test part"),
        Column::Right("to IndRNN"),
        Column::Right("published"),
    ]);
    let ratio = |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{value:.2}"));
    for row in rows {
        table.row([
            row.model.clone(),
            seconds(Some(row.epoch_seconds)),
            format!("{} to {}", seconds(Some(row.epoch_seconds_q1)), seconds(Some(row.epoch_seconds_q3))),
            seconds(row.gpu_seconds),
            seconds(row.data_seconds),
            seconds(row.evaluation_seconds),
            ratio(row.ratio),
            ratio(row.published_ratio),
        ]);
    }
    format!("{table}\n{}", how_timed(rows))
}

/// On what and how the times were taken.
fn how_timed(rows: &[TimingRow]) -> String {
    let adapters: std::collections::BTreeSet<&str> = rows.iter().map(|row| row.adapter.as_str()).collect();
    let turns = rows.iter().filter(|row| row.source == "turns").map(|row| row.epochs).max();
    let how = match turns {
        Some(turns) => format!("{}, the networks one after the other, warm-up not counted", words::count(turns, "turn")),
        None => "over the study's own epochs, each run's first not counted, networks not by turns".into(),
    };
    let reckoned: Vec<String> = rows
        .iter()
        .filter(|row| row.batches < row.of)
        .map(|row| format!("{}: {} of {} batches", row.model, row.batches, row.of))
        .collect();
    let reckoned = if reckoned.is_empty() { String::new() } else { format!("; reckoned from {}", reckoned.join(", ")) };
    format!("{}; {how}{reckoned}", adapters.into_iter().collect::<Vec<_>>().join(", "))
}

fn lengths(models: &[Summary]) -> Table {
    let mut seconds: Vec<f64> = models.iter().flat_map(|model| &model.lengths).map(|length| length.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    seconds.dedup();
    let headings: Vec<String> = seconds.iter().map(|seconds| format!("{seconds} s")).collect();
    let mut columns = vec![Column::Left("test accuracy by what is heard")];
    columns.extend(headings.iter().map(|heading| Column::Right(heading)));
    let mut table = Table::new(&columns);
    for model in models {
        let at = |seconds: &f64| {
            let length: Option<&LengthSummary> = model.lengths.iter().find(|length| length.seconds == *seconds);
            share(length.and_then(|length| length.test_accuracy))
        };
        let mut row = vec![model.model.clone()];
        row.extend(seconds.iter().map(at));
        table.row(row);
    }
    table
}

//! A study on a terminal.

use super::Outcome;
use crate::cli::say;
use crate::compare::{Study, StudyDirectory, page};
use crate::report::text_plot::{Symbols, text_plot};
use crate::report::words;
use std::cmp::Ordering;
use std::io::IsTerminal;

/// Pairs that are printed; of more, the first sentence says the most important.
const PAIRS: usize = 3;

pub(super) fn outcome(outcome: &Outcome) {
    say(format_args!("\n{}", page::results(&outcome.models, outcome.conclusion.as_ref()).text()));
    if !outcome.timing.is_empty() {
        let times = page::times(&outcome.timing);
        say(format_args!("\n{}\n{}", times.text(), times.note));
    }
    if outcome.models.iter().any(|model| model.lengths.len() > 1) {
        say(format_args!("\n{}", page::lengths(&outcome.models).text()));
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

/// How the validation accuracy of the best network came about, small, for a terminal.
pub(super) fn course(study: &Study, directory: &StudyDirectory, outcome: &Outcome) -> anyhow::Result<()> {
    if !std::io::stdout().is_terminal() {
        return Ok(());
    }
    let accuracy = |label: &str| outcome.models.iter().find(|model| model.model == label).and_then(|model| model.test_accuracy);
    let courses = page::courses(study, directory)?;
    let best = courses.iter().max_by(|(a, _), (b, _)| accuracy(a).partial_cmp(&accuracy(b)).unwrap_or(Ordering::Equal));
    if let Some((label, shares)) = best.filter(|(_, shares)| shares.len() > 1) {
        say(format_args!("\n{label}: mean validation accuracy\n{}", text_plot(shares, 60, 5, Symbols::suited())));
    }
    Ok(())
}

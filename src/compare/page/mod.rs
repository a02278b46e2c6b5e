//! `report.html` of a study and the pictures on it, made from what its directory holds.

mod plots;
mod settings;
mod tables;

pub use plots::{courses, spectrogram};
pub use tables::{lengths, results, times};

use super::{Conclusion, MistakeRow, Outcomes, Study, StudyDirectory, StudyError, by_all, mistakes, summarise, time_rows};
use crate::report::html::{HtmlTable, Mistake, Picture, Report};
use crate::report::plot::Plot;
use crate::report::words;
use crate::train::run_directory::write_atomic;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Clips listed under the mistakes; `mistakes.csv` has all.
const MOST_MISTAKES: usize = 50;
/// Clips that every network got wrong, named in the conclusion.
const NAMED: usize = 3;
/// The picture of one clip, which needs the data and so is made when they are read.
pub const SPECTROGRAM: &str = "mel_spectrogram";

/// Draws the pictures and writes `report.html` into the study's directory; returns the page's path and what it says.
pub fn write_page(
    study: &Study,
    directory: &StudyDirectory,
    outcomes: &Outcomes,
    conclusion: &Conclusion,
) -> Result<(PathBuf, Report), StudyError> {
    let summaries = summarise(study, directory)?;
    let times = time_rows(study, directory)?;
    let data = study.models[0].reading().data.name();
    let drawing = plots::Drawing { study, directory, conclusion, summaries: &summaries, times: &times, data: &data };
    let mut pictures = Vec::new();
    let mut draw = |caption: &str, name: &str, plot: &dyn Plot| -> Result<(), StudyError> {
        plot.write(directory.path(), name)?;
        pictures.push(Picture { caption: caption.into(), svg: plot.svg() });
        Ok(())
    };
    // A single mark is no curve.
    if study.marks.len() > 1 {
        draw("Test accuracy over the epochs", "accuracy_over_epochs", &drawing.accuracy())?;
    }
    if let Some(curves) = drawing.validation()? {
        draw("Validation accuracy over the epochs", "validation_over_epochs", &curves)?;
    }
    draw("Recall of each class", "class_recall", &drawing.classes())?;
    if !times.is_empty() {
        draw("Seconds per epoch", "epoch_times", &drawing.times())?;
    }
    if let Some(curves) = drawing.lengths() {
        draw("Test accuracy by what is heard", "accuracy_by_length", &curves)?;
    }
    for model in &conclusion.models {
        let caption = format!("{}: what was taken for what", model.model);
        draw(&caption, &format!("confusion_matrix_{}", model.model), &drawing.confusion(model))?;
    }
    if let Ok(svg) = std::fs::read_to_string(directory.file(&format!("{SPECTROGRAM}.svg"))) {
        pictures.push(Picture { caption: "What the networks see of a clip".into(), svg });
    }
    let (listed, more) = grouped(outcomes);
    let report = Report {
        title: format!("{} on {data}", names(study)),
        conclusion: paragraphs(study, outcomes, conclusion),
        headline: Some(tables::results(&summaries, Some(conclusion))),
        tables: further(conclusion, &summaries, &times),
        plots: pictures,
        classes: Some(tables::classes(conclusion)),
        mistakes: listed,
        more_mistakes: more,
        settings: settings::settings(study),
        environment: settings::environment(study, directory)?,
    };
    let path = directory.file("report.html");
    write_atomic(&path, report.html().as_bytes())?;
    Ok((path, report))
}

fn names(study: &Study) -> String {
    words::listed(&(0..study.models.len()).map(|model| study.label(model)).collect::<Vec<_>>())
}

fn further(conclusion: &Conclusion, summaries: &[super::Summary], times: &[super::TimingRow]) -> Vec<(String, HtmlTable)> {
    let mut further = Vec::new();
    if !conclusion.pairs.is_empty() {
        further.push(("Every two models".into(), tables::pairs(conclusion)));
    }
    if !times.is_empty() {
        further.push(("Seconds per epoch".into(), tables::times(times)));
    }
    if summaries.iter().any(|summary| summary.lengths.len() > 1) {
        further.push(("Accuracy by what is heard".into(), tables::lengths(summaries)));
    }
    further.push(("Probabilities".into(), tables::calibration(conclusion)));
    further
}

/// The conclusion as paragraphs.
fn paragraphs(study: &Study, outcomes: &Outcomes, conclusion: &Conclusion) -> Vec<String> {
    let mut paragraphs: Vec<String> = conclusion.sentences.iter().map(|sentence| format!("{}.", capitalised(sentence))).collect();
    let hard = by_all(study, outcomes);
    // Where most clips are, it says something of the networks and not of the clips.
    if !hard.is_empty() && 4 * hard.len() < outcomes.clips.len() {
        let named: Vec<String> = hard.iter().take(NAMED).cloned().collect();
        let more = if hard.len() > NAMED { ", .." } else { "" };
        paragraphs.push(format!(
            "{} taken for something else by every network in every run ({}{more}): listen to them, and look at their labels.",
            match hard.len() {
                1 => "1 clip was".to_owned(),
                clips => format!("{} were", words::count(clips, "clip")),
            },
            named.join(", ")
        ));
    }
    paragraphs
}

/// Sentences of the terminal begin with a small letter, also those that begin with a network's name.
fn capitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Clip by clip what it was taken for and by whom, the clips that most entries agree on first; and how many are not listed.
fn grouped(outcomes: &Outcomes) -> (Vec<Mistake>, usize) {
    let mut clips: BTreeMap<String, Vec<MistakeRow>> = BTreeMap::new();
    for row in mistakes(outcomes) {
        clips.entry(row.path.clone()).or_default().push(row);
    }
    let mut clips: Vec<(String, Vec<MistakeRow>)> = clips.into_iter().collect();
    let wrong = |rows: &[MistakeRow]| rows.iter().map(|row| row.wrong as f64 / row.runs as f64).sum::<f64>();
    let sure = |rows: &[MistakeRow]| rows.iter().map(|row| row.probability).sum::<f64>() / rows.len() as f64;
    clips.sort_by(|(_, a), (_, b)| wrong(b).total_cmp(&wrong(a)).then(sure(b).total_cmp(&sure(a))));
    let more = clips.len().saturating_sub(MOST_MISTAKES);
    let listed = clips.into_iter().take(MOST_MISTAKES).map(|(path, rows)| {
        let mut by_class: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for row in &rows {
            by_class.entry(&row.prediction).or_default().push(row.model.clone());
        }
        let taken: Vec<String> = by_class.iter().map(|(class, by)| format!("{class} ({})", by.join(", "))).collect();
        Mistake { label: rows[0].label.clone(), prediction: taken.join("; "), probability: sure(&rows), path }
    });
    (listed.collect(), more)
}

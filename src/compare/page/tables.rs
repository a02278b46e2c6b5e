//! The tables of a study, for its page and for a terminal.

use crate::compare::statistics::{self, Comparison};
use crate::compare::{Conclusion, Headline, LengthSummary, Summary, TimingRow};
use crate::report::html::HtmlTable;
use crate::report::words;

fn table(columns: &[&str], rows: Vec<Vec<String>>, note: &str) -> HtmlTable {
    HtmlTable { columns: columns.iter().map(|&column| column.to_owned()).collect(), rows, note: note.into() }
}

fn dash() -> String {
    "-".into()
}

fn share(value: Option<f64>) -> String {
    value.map_or_else(dash, words::percent)
}

/// Three digits that count, so that small networks on fast adapters can be told apart too.
fn seconds(value: Option<f64>) -> String {
    let decimals = |value: f64| (2 - value.abs().max(1e-4).log10().floor() as i32).clamp(0, 6) as usize;
    value.map_or_else(dash, |value| if value == 0.0 { "0".into() } else { format!("{value:.*}", decimals(value)) })
}

/// What each entry came to, a row each.
pub fn results(summaries: &[Summary], conclusion: Option<&Conclusion>) -> HtmlTable {
    let row = |model: &Summary| {
        let headline: Option<&Headline> = conclusion.and_then(|c| c.models.iter().find(|headline| headline.model == model.model));
        let interval = headline.and_then(|headline| headline.interval.as_ref());
        vec![
            model.model.clone(),
            share(headline.map_or(model.test_accuracy, |headline| headline.test_accuracy)),
            interval.map_or_else(dash, |i| format!("{} to {}", words::percent(i.low), words::percent(i.high))),
            share(headline.and_then(|headline| headline.macro_f1)),
            share(model.val_accuracy),
            share(model.mean_over_marks),
            model.at_100_epochs.map_or_else(dash, words::percent),
            model.settled_at.map_or_else(dash, |epoch| epoch.to_string()),
            seconds(model.seconds_to_best),
            match model.diverged {
                0 => model.cells.to_string(),
                diverged => format!("{} ({diverged} diverged)", model.cells),
            },
            words::thousands(model.parameters),
        ]
    };
    let columns = [
        "model",
        "test",
        "95 % interval",
        "macro F1",
        "validation",
        "over marks",
        "100 epochs",
        "settled at",
        "s to best",
        "runs",
        "parameters",
    ];
    let models = conclusion.map_or(&[][..], |conclusion| &conclusion.models);
    let mut methods: Vec<(&str, Vec<String>)> = Vec::new();
    for (name, interval) in models.iter().filter_map(|model| Some((&model.model, model.interval.as_ref()?))) {
        match methods.iter_mut().find(|(method, _)| *method == interval.method) {
            Some((_, names)) => names.push(name.clone()),
            None => methods.push((&interval.method, vec![name.clone()])),
        }
    }
    let methods: String =
        methods.iter().map(|(method, names)| format!(" Interval of {}: {method}.", words::listed(names))).collect();
    let clips = conclusion.map_or_else(String::new, |conclusion| {
        let (clips, groups) = (words::count(conclusion.clips, "clip"), words::count(conclusion.groups, &conclusion.group_noun));
        if conclusion.clips == conclusion.groups { format!(" of {clips}") } else { format!(" of {clips} of {groups}") }
    });
    let note = format!(
        "Test accuracy after the last mark{clips}, over all seeds and folds.{methods} Over marks: the mean over all marks. Settled at: the \
         first mark from which the accuracy keeps its final value to half a point. S to best: seconds of training until the \
         weights that were taken."
    );
    table(&columns, summaries.iter().map(row).collect(), &note)
}

/// Seconds per epoch, a row for each network.
pub fn times(rows: &[TimingRow]) -> HtmlTable {
    let ratio = |value: Option<f64>| value.map_or_else(dash, |value| format!("{value:.2}"));
    let row = |row: &TimingRow| {
        vec![
            row.model.clone(),
            seconds(Some(row.epoch_seconds)),
            format!("{} to {}", seconds(Some(row.epoch_seconds_q1)), seconds(Some(row.epoch_seconds_q3))),
            seconds(row.gpu_seconds),
            seconds(row.data_seconds),
            seconds(row.evaluation_seconds),
            ratio(row.ratio),
            ratio(row.published_ratio),
        ]
    };
    let columns = ["seconds per epoch", "median", "quartiles", "on the device", "data", "test part", "to IndRNN", "published"];
    table(&columns, rows.iter().map(row).collect(), &how_timed(rows))
}

/// On what and how the times were taken.
fn how_timed(rows: &[TimingRow]) -> String {
    let adapters: std::collections::BTreeSet<&str> = rows.iter().map(|row| row.adapter.as_str()).collect();
    let turns = rows.iter().filter(|row| row.source == "turns").map(|row| row.epochs).max();
    let how = match turns {
        Some(turns) => format!("{} each, the networks one after the other, warm-up not counted", words::count(turns, "turn")),
        None => "over the study's own epochs, each run's first not counted; the networks did not take turns".into(),
    };
    let reckoned: Vec<String> = rows
        .iter()
        .filter(|row| row.batches < row.of)
        .map(|row| format!("{}: {} of {} batches", row.model, row.batches, row.of))
        .collect();
    let reckoned = if reckoned.is_empty() { String::new() } else { format!("; reckoned from a part: {}", reckoned.join(", ")) };
    format!("On {}; {how}{reckoned}.", adapters.into_iter().collect::<Vec<_>>().join(", "))
}

/// Accuracy by the seconds that are heard of each test clip.
pub fn lengths(summaries: &[Summary]) -> HtmlTable {
    let mut seconds: Vec<f64> = summaries.iter().flat_map(|model| &model.lengths).map(|length| length.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    seconds.dedup();
    let headings: Vec<String> = seconds.iter().map(|seconds| format!("{seconds} s")).collect();
    let mut columns = vec!["test accuracy by what is heard"];
    columns.extend(headings.iter().map(String::as_str));
    let row = |model: &Summary| {
        let at = |seconds: &f64| {
            let length: Option<&LengthSummary> = model.lengths.iter().find(|length| length.seconds == *seconds);
            share(length.and_then(|length| length.test_accuracy))
        };
        std::iter::once(model.model.clone()).chain(seconds.iter().map(at)).collect()
    };
    let note = "The middle of each test clip, with the final weights; windows are those of training, or shorter where the clip is. \
                A dash: the network cannot take so few frames.";
    table(&columns, summaries.iter().map(row).collect(), note)
}

/// Recall of each class, a column for each entry.
pub(super) fn classes(conclusion: &Conclusion) -> HtmlTable {
    let mut columns = vec!["class", "clips"];
    columns.extend(conclusion.models.iter().map(|model| model.model.as_str()));
    let row = |(class, name): (usize, &String)| {
        let first = conclusion.models.first();
        let clips = first.map_or(0, |model| model.classes[class].metrics.support / model.runs.max(1));
        let mut row = vec![name.clone(), words::thousands(clips)];
        row.extend(conclusion.models.iter().map(|model| share(model.classes[class].metrics.recall)));
        row
    };
    let rows = conclusion.classes.iter().enumerate().map(row).collect();
    let note = "Recall: of the test clips of this class, the share that was given it, all runs together. Precision and F1 are in \
                classes.csv.";
    table(&columns, rows, note)
}

/// Whether probabilities can be believed.
pub(super) fn calibration(conclusion: &Conclusion) -> HtmlTable {
    let row = |model: &Headline| {
        let number = |value: Option<f64>| value.map_or_else(dash, |value| format!("{value:.3}"));
        let calibration = model.calibration.as_ref();
        vec![
            model.model.clone(),
            share(calibration.map(|calibration| calibration.expected_calibration_error)),
            number(calibration.map(|calibration| calibration.brier_score)),
            number(calibration.map(|calibration| calibration.negative_log_likelihood)),
            share(model.balanced_accuracy),
        ]
    };
    let columns = ["model", "calibration error", "Brier score", "log loss", "balanced accuracy"];
    let note = "Expected calibration error: mean distance of how sure a network is from how often it is right, over 15 bins; few \
                clips inflate it. Brier score: 0 to 2, less is better. Balanced accuracy: mean recall of the classes.";
    table(&columns, conclusion.models.iter().map(row).collect(), note)
}

/// Every two entries.
pub(super) fn pairs(conclusion: &Conclusion) -> HtmlTable {
    let row = |pair: &Comparison| {
        let [a, b] = &pair.models;
        let told = match statistics::ahead(pair) {
            Some(ahead) => format!("{ahead} is ahead"),
            None if pair.one_seed => "nothing: one seed".into(),
            None => "nothing".into(),
        };
        let points = |value: f64| words::points(value).trim_end_matches(" points").to_owned();
        let interval = pair.interval.as_ref();
        vec![
            format!("{a} and {b}"),
            pair.difference.map_or_else(dash, points),
            interval.map_or_else(dash, |i| format!("{} to {}", points(i.low), points(i.high))),
            pair.p_holm.map_or_else(dash, |p| if p < 0.001 { "< 0.001".into() } else { format!("{p:.3}") }),
            told,
        ]
    };
    let columns = ["two", "points", "95 % interval", "p (Holm)", "told"];
    let whys: std::collections::BTreeSet<&str> = conclusion.pairs.iter().map(|pair| pair.why.as_str()).collect();
    let why: String = whys.into_iter().map(|why| format!(" {why}.")).collect();
    let note = format!(
        "Points of accuracy by which the first was ahead of the second. The interval is of that pair alone; p-values are corrected \
         for {} by Holm. Test:{why}",
        words::count(conclusion.pairs.len(), "pair")
    );
    table(&columns, conclusion.pairs.iter().map(row).collect(), &note)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn three_digits_count() {
        let written = [0.0345678, 0.3456, 3.456, 34.56, 345.6, 3456.0, 0.0].map(|value| seconds(Some(value)));
        assert_eq!(written, ["0.0346", "0.346", "3.46", "34.6", "346", "3456", "0"]);
        assert_eq!(seconds(None), "-");
    }
}

//! The tables of a page.

use super::{believed, share};
use crate::config::Config;
use crate::report::html::HtmlTable;
use crate::report::record::RunRecord;
use crate::report::words;
use crate::train::metrics::Interval;
use crate::train::predictions::ClassEvaluation;

/// The figures of one run, a row each.
pub fn headline(record: &RunRecord) -> HtmlTable {
    let mut rows: Vec<[String; 2]> = Vec::new();
    let mut row = |name: &str, value: String| rows.push([name.into(), value]);
    if let Some(evaluation) = &record.evaluation {
        let part = if evaluation.part == "test" { "test" } else { "validation" };
        row(&format!("{part} accuracy"), words::percent(evaluation.accuracy));
        row("95 % interval", interval(evaluation.accuracy_ci95.as_ref()));
        row("always naming the largest class", share(evaluation.majority_baseline));
        if part == "test" {
            row("validation accuracy", share(val_accuracy(record)));
        }
        row("mean recall of the classes (balanced accuracy)", share(evaluation.balanced_accuracy));
        row("mean F1 of the classes", share(evaluation.macro_f1));
        row("log loss", format!("{:.3}", evaluation.log_loss));
        if let Some(calibration) = believed(evaluation.classes.len(), &record.predictions) {
            row("expected calibration error", words::percent(calibration.expected_calibration_error));
            row("Brier score (0 to 2, less is better)", format!("{:.3}", calibration.brier_score));
        }
        row(&format!("{part} clips"), words::thousands(evaluation.clips));
        let groups = match record.group_noun() {
            "group" => "independent groups among them".into(),
            noun => format!("independent groups among them (by {noun})"),
        };
        row(&groups, words::thousands(record.groups()));
    } else {
        row("validation accuracy", share(val_accuracy(record)));
    }
    row("epochs trained", record.epochs.len().to_string());
    row("weights kept from epoch", record.best_epoch().epoch.to_string());
    if let Some(started) = record.started() {
        row("trained parameters", words::thousands(started.trainable_parameters));
    }
    row("seconds per epoch (median)", epoch_seconds(record));
    HtmlTable {
        columns: vec!["figure".into(), "value".into()],
        rows: rows.into_iter().map(Vec::from).collect(),
        note: String::new(),
    }
}

/// Precision, recall and F1 of each class; `trained` counts the training clips of a class.
pub fn classes(classes: &[ClassEvaluation], trained: impl Fn(&str) -> usize) -> HtmlTable {
    let row = |class: &ClassEvaluation| {
        let metrics = &class.metrics;
        vec![
            class.name.clone(),
            words::thousands(trained(&class.name)),
            words::thousands(metrics.support),
            share(metrics.precision),
            share(metrics.recall),
            share(metrics.f1),
        ]
    };
    HtmlTable {
        columns: ["class", "clips trained on", "clips evaluated", "precision", "recall", "F1"].map(String::from).to_vec(),
        rows: classes.iter().map(row).collect(),
        note: "Precision: of the clips that were given this class, the share that is of it. Recall: of the clips of this \
               class, the share that was given it. F1: their harmonic mean. A dash: there is nothing to divide by."
            .into(),
    }
}

/// `47.0% to 84.0%`.
pub fn interval(interval: Option<&Interval>) -> String {
    interval.map_or("-".into(), |ends| format!("{} to {}", words::percent(ends.low), words::percent(ends.high)))
}

/// Of the kept weights, over all windows of each clip; of one window where the run has not come to its end.
pub fn val_accuracy(record: &RunRecord) -> Option<f64> {
    record.finished().map_or(record.best_epoch().val_accuracy, |finished| finished.val_accuracy)
}

/// As the run's summary has it: absent before its end.
pub fn epoch_seconds(record: &RunRecord) -> String {
    record.finished().map_or("-".into(), |finished| words::seconds(finished.epoch_seconds_median))
}

/// Every setting by its name in `config.toml`, what decides most first.
pub fn settings(config: &Config) -> Vec<[String; 2]> {
    // From the text, where 0.0002 is no neighbour of it.
    let table: toml::Table = config.to_toml().parse().unwrap_or_default();
    let section = |name: &str| {
        let settings = table.get(name).and_then(toml::Value::as_table).cloned().unwrap_or_default();
        let name = name.to_owned();
        settings.into_iter().map(move |(key, value)| [format!("{name}.{key}"), setting(&value)])
    };
    ["model", "train", "data", "features", "augment"].into_iter().flat_map(section).collect()
}

fn setting(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(values) => values.iter().map(setting).collect::<Vec<_>>().join(", "),
        value => value.to_string(),
    }
}

/// Adapter, driver, versions.
pub fn environment(record: &RunRecord) -> Vec<[String; 2]> {
    let mut pairs = vec![["adapter".to_owned(), record.adapter()]];
    if let Some(environment) = &record.environment {
        let mut pair = |name: &str, value: String| pairs.push([name.into(), value]);
        pair("melgrad", environment.melgrad.clone());
        pair("system", format!("{} {}", environment.os, environment.arch));
        pair("begun", environment.started.clone());
        pair("command", environment.command.join(" "));
        let subgroups = &environment.adapter["subgroup_sizes"];
        if let (Some(least), Some(most)) = (subgroups[0].as_u64(), subgroups[1].as_u64()) {
            pair("subgroups", if least == most { least.to_string() } else { format!("{least} to {most}") });
        }
    }
    pairs
}

//! One page over several runs. It says first whether their figures may be compared at all.

use super::{picture, share, tables};
use crate::report::html::{HtmlTable, Report};
use crate::report::plot::accuracy_curves::{AccuracyCurves, ModelCurves};
use crate::report::plot::class_bars::{ClassBars, ModelBars};
use crate::report::record::RunRecord;
use crate::report::words;

/// The page of `records`, in their order.
pub fn report(records: &[RunRecord]) -> Report {
    let names = names(records);
    let mut plots = vec![picture("Validation accuracy over the epochs", &curves(records, &names))];
    plots.extend(class_bars(records, &names).map(|bars| picture("F1 of each class", &bars)));
    Report {
        title: format!("{}: {}", words::count(records.len(), "run"), names.join(", ")),
        conclusion: conclusion(records, &names),
        headline: Some(headline(records, &names)),
        plots,
        settings: differing_settings(records, &names),
        environment: names.iter().cloned().zip(records.iter().map(environment)).map(|(name, value)| [name, value]).collect(),
        ..Report::default()
    }
}

/// What each run is called: its directory's name, or its whole path where another has the same name.
pub fn names(records: &[RunRecord]) -> Vec<String> {
    let short = |record: &RunRecord| {
        let path = record.run.path();
        let absolute = path.canonicalize().unwrap_or_else(|_| path.into());
        absolute.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
    };
    let names: Vec<String> = records.iter().map(short).collect();
    let name = |(record, name): (&RunRecord, &String)| match names.iter().filter(|other| *other == name).count() {
        1 => name.clone(),
        _ => record.run.path().display().to_string(),
    };
    records.iter().zip(&names).map(name).collect()
}

/// The runs side by side.
pub fn headline(records: &[RunRecord], names: &[String]) -> HtmlTable {
    let columns = [
        "run",
        "test",
        "95 % interval",
        "largest class",
        "test clips",
        "groups",
        "validation",
        "epochs",
        "kept",
        "s/epoch",
        "parameters",
        "network",
        "data",
    ];
    let row = |(record, name): (&RunRecord, &String)| {
        let test = record.evaluation.as_ref().filter(|evaluation| evaluation.part == "test");
        let dash = || "-".to_owned();
        vec![
            name.clone(),
            share(test.map(|test| test.accuracy)),
            tables::interval(test.and_then(|test| test.accuracy_ci95.as_ref())),
            share(test.and_then(|test| test.majority_baseline)),
            test.map_or_else(dash, |test| words::thousands(test.clips)),
            test.map_or_else(dash, |_| words::thousands(record.groups())),
            share(tables::val_accuracy(record)),
            record.epochs.len().to_string(),
            record.best_epoch().epoch.to_string(),
            tables::epoch_seconds(record).trim_end_matches(" s").to_owned(),
            record.started().map_or_else(dash, |started| words::thousands(started.parameters)),
            record.model(),
            record.config.data.name(),
        ]
    };
    HtmlTable {
        columns: columns.map(String::from).to_vec(),
        rows: records.iter().zip(names).map(row).collect(),
        note: "Validation and test accuracy are those of the epoch that was kept. Largest class: the test accuracy of always \
               naming the largest class of the training part. s/epoch: the median, on the adapter named below."
            .into(),
    }
}

/// Whether the runs can be compared, and how far.
pub fn conclusion(records: &[RunRecord], names: &[String]) -> Vec<String> {
    let mut alike: Vec<(Vec<&str>, Vec<usize>)> = Vec::new();
    let mut untested = Vec::new();
    for (i, record) in records.iter().enumerate() {
        if record.evaluation.as_ref().is_none_or(|evaluation| evaluation.part != "test") {
            untested.push(names[i].clone());
            continue;
        }
        let clips = content(record, "test");
        match alike.iter_mut().find(|(other, _)| *other == clips) {
            Some((_, runs)) => runs.push(i),
            None => alike.push((clips, vec![i])),
        }
    }
    let mut paragraphs = Vec::new();
    if let [(clips, runs)] = alike.as_slice() {
        if runs.len() > 1 {
            paragraphs.extend(tested_alike(records, names, runs, clips.len()));
        }
    } else if !alike.is_empty() {
        let named = |runs: &[usize]| runs.iter().map(|&run| names[run].clone()).collect::<Vec<_>>();
        let sets = alike.iter().map(|(clips, runs)| {
            let clips = words::count(clips.len(), "clip");
            match runs.as_slice() {
                [run] => format!("{} on {clips}", names[*run]),
                runs => format!("{} on the same {clips}", words::listed(&named(runs))),
            }
        });
        paragraphs.push(format!(
            "These runs cannot be compared: they were not tested on the same clips (told by their content), so a higher figure \
             may only mean easier clips. {}.",
            sets.collect::<Vec<_>>().join("; ")
        ));
    }
    if !untested.is_empty() {
        let have = if untested.len() == 1 { "has" } else { "have" };
        paragraphs.push(format!(
            "{} {have} no test figure, and a validation figure flatters: it chose which epoch was kept.",
            words::listed(&untested)
        ));
    }
    paragraphs
}

/// What can be said of runs that were tested on the same clips.
fn tested_alike(records: &[RunRecord], names: &[String], runs: &[usize], clips: usize) -> Vec<String> {
    let accuracy = |run: usize| records[run].evaluation.as_ref().map_or(0.0, |evaluation| evaluation.accuracy);
    let highest = runs.iter().map(|&run| accuracy(run)).fold(0.0, f64::max);
    let best: Vec<usize> = runs.iter().copied().filter(|&run| accuracy(run) == highest).collect();
    let [all, best] = [runs, &best].map(|runs| words::listed(&runs.iter().map(|&run| names[run].clone()).collect::<Vec<_>>()));
    let first = &records[runs[0]];
    let trained_alike = runs.iter().all(|&run| content(&records[run], "train") == content(first, "train"));
    let training = if trained_alike { "trained on the same clips" } else { "trained on different clips" };
    let mut paragraphs = vec![format!(
        "{all} were {training} and tested on the same {} (told by their content), so their figures can stand side by side. \
         Highest: {best}, {}.",
        words::count(clips, "clip"),
        words::percent(highest)
    )];
    let few = words::too_few_groups(first.groups(), first.group_noun()).map(|few| format!("{few} which is better."));
    paragraphs.extend(few);
    paragraphs.push(
        "Whether a difference is more than chance is not tested here, and intervals that overlap do not settle it. The \
         command melgrad compare trains networks on the same splits with several seeds and says which are ahead."
            .into(),
    );
    paragraphs
}

/// The content of a part's clips, in an order that names have no influence on.
fn content<'a>(record: &'a RunRecord, split: &str) -> Vec<&'a str> {
    let mut content: Vec<&str> = record.part(split).iter().map(|clip| clip.content_hash.as_str()).collect();
    content.sort_unstable();
    content
}

/// Validation accuracy after each epoch, a line per run.
fn curves(records: &[RunRecord], names: &[String]) -> AccuracyCurves {
    let last = records.iter().map(|record| record.epochs.len()).max().unwrap_or(0);
    let curve = |record: &RunRecord| (0..last).map(|i| record.epochs.get(i)?.val_accuracy).collect();
    let models = records.iter().zip(names).map(|(record, name)| ModelCurves { name: name.clone(), runs: vec![curve(record)] });
    AccuracyCurves {
        title: "Validation accuracy".into(),
        axis: "epochs trained".into(),
        note: "One centred window of each validation clip, after each epoch".into(),
        marks: (1..=last).collect(),
        models: models.collect(),
    }
}

/// F1 of each class, where all runs were tested and have the same classes.
fn class_bars(records: &[RunRecord], names: &[String]) -> Option<ClassBars> {
    let classes = &records.first()?.config.data.classes;
    let bars = records.iter().zip(names).map(|(record, name)| {
        let test = record.evaluation.as_ref().filter(|evaluation| evaluation.part == "test")?;
        let same = record.config.data.classes == *classes;
        same.then(|| ModelBars { name: name.clone(), values: test.classes.iter().map(|class| class.metrics.f1).collect() })
    });
    Some(ClassBars {
        title: "F1 of each class".into(),
        note: "Each run on its own test part".into(),
        metric: "F1".into(),
        classes: classes.clone(),
        models: bars.collect::<Option<_>>()?,
    })
}

/// The settings that are not the same in all runs, with each run's value.
fn differing_settings(records: &[RunRecord], names: &[String]) -> Vec<[String; 2]> {
    let settings: Vec<Vec<[String; 2]>> = records.iter().map(|record| tables::settings(&record.config)).collect();
    let value = |run: &[[String; 2]], name: &str| {
        run.iter().find(|[other, _]| other == name).map_or("(absent)".to_owned(), |[_, value]| value.clone())
    };
    let mut keys: Vec<&String> = Vec::new();
    for [key, _] in settings.iter().flatten() {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let row = |key: &String| {
        let values: Vec<String> = settings.iter().map(|run| value(run, key)).collect();
        let differs = values.iter().any(|value| *value != values[0]);
        let each = names.iter().zip(&values).map(|(name, value)| format!("{name}: {value}"));
        differs.then(|| [key.clone(), each.collect::<Vec<_>>().join("; ")])
    };
    let what = ["listed here".to_owned(), "settings that are not the same in all runs".to_owned()];
    [what].into_iter().chain(keys.into_iter().filter_map(row)).collect()
}

fn environment(record: &RunRecord) -> String {
    let begun = record.environment.as_ref().map(|e| format!(", melgrad {}, begun {}", e.melgrad, e.started));
    format!("{}{}", record.adapter(), begun.unwrap_or_default())
}

//! What was done, and on what.

use crate::compare::{Study, StudyDirectory, StudyError};
use crate::report::page::tables;
use crate::report::words;
use crate::train::environment::Environment;
use std::collections::BTreeSet;

/// The study's settings, then each setting of the networks: once where it is the same for all, else by network.
pub(super) fn settings(study: &Study) -> Vec<[String; 2]> {
    let pair = |name: &str, value: String| [name.to_owned(), value];
    let mode = if study.independent { "a run of its own for each" } else { "looks at one run" };
    let marks = study.marks.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let mut all = vec![
        pair("protocol", format!("{}: {}", study.protocol, study.protocol.words())),
        pair("splits", format!("{}, drawn from seed {}", study.protocol.splits(study.folds), study.split_seed)),
        pair("seeds", study.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
        pair("epochs", format!("{marks} ({mode})")),
        pair(
            "early stop",
            "none: runs of one length are compared, each with the weights that were best on its validation part".into(),
        ),
    ];
    let networks: Vec<(String, Vec<[String; 2]>)> = (0..study.models.len())
        .filter_map(|model| Some((study.label(model), tables::settings(study.models[model].config()?))))
        .collect();
    let mut keys: Vec<&str> = Vec::new();
    for [key, _] in networks.iter().flat_map(|(_, settings)| settings) {
        // What the study decides stands above.
        if !keys.contains(&key.as_str())
            && !["train.seed", "train.epochs", "train.patience", "data.classes"].contains(&key.as_str())
        {
            keys.push(key);
        }
    }
    for key in keys {
        let own: Vec<(&str, &str)> = networks
            .iter()
            .filter_map(|(name, settings)| Some((name.as_str(), settings.iter().find(|[other, _]| other == key)?[1].as_str())))
            .collect();
        let same = own.len() == networks.len() && own.iter().all(|(_, value)| *value == own[0].1);
        let each = || own.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join("; ");
        all.push(pair(key, if same { own[0].1.into() } else { each() }));
    }
    all
}

/// Adapters, versions and commands of the study's runs.
pub(super) fn environment(study: &Study, directory: &StudyDirectory) -> Result<Vec<[String; 2]>, StudyError> {
    let mut found: [BTreeSet<String>; 4] = Default::default();
    let mut begun = BTreeSet::new();
    for cell in study.cells() {
        found[0].extend(directory.timing(&cell)?.map(|timing| timing.adapter));
        let Ok(text) = std::fs::read(directory.cell(&cell).join("environment.json")) else { continue };
        let Ok(environment) = serde_json::from_slice::<Environment>(&text) else { continue };
        found[1].insert(environment.melgrad);
        found[2].insert(format!("{} {}", environment.os, environment.arch));
        found[3].insert(environment.command.join(" "));
        begun.insert(environment.started);
    }
    let names = ["adapter", "melgrad", "system", "command"];
    let mut pairs: Vec<[String; 2]> = names
        .iter()
        .zip(found)
        .filter(|(_, values)| !values.is_empty())
        .map(|(name, values)| [name.to_string(), values.into_iter().collect::<Vec<_>>().join("; ")])
        .collect();
    if let (Some(first), Some(last)) = (begun.first(), begun.last()) {
        pairs.push(["runs begun".into(), format!("{} from {first} to {last}", words::count(begun.len(), "run"))]);
    }
    Ok(pairs)
}

//! Data as people have them: `compare` ends with right tables, or with words that say what to do.

use crate::cli::{Sandbox, tone};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const SETTINGS: [&str; 16] = [
    "--models",
    "indrnn,baseline",
    "--frames",
    "16",
    "--hidden",
    "8",
    "--layers",
    "1",
    "--epochs",
    "2",
    "--eval-every",
    "1",
    "--timing-rounds",
    "0",
    "--batch-size",
    "8",
];

/// One kind of data.
struct Case {
    name: &'static str,
    /// Makes the data in a folder.
    make: fn(&Path),
    flags: &'static [&'static str],
    /// What a person must be told.
    words: &'static [&'static str],
    /// The exit code, or the classes and the test clips of the study.
    ends: Result<(&'static [&'static str], usize), i32>,
}

/// A short tone, another one for every number.
fn clip(path: &Path, number: usize) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    tone(path, 150.0 + 37.0 * number as f64, 0.6);
}

/// Folders of that many clips each.
fn folders(root: &Path, classes: &[(&str, usize)]) {
    for (place, (class, clips)) in classes.iter().enumerate() {
        (0..*clips).for_each(|i| clip(&root.join(class).join(format!("{i:02}.wav")), 20 * place + i));
    }
}

/// `manifest.csv` of `path,label,split,group` without files that are not there yet.
fn manifest(root: &Path, header: &str, rows: &[String]) {
    for (i, row) in rows.iter().enumerate() {
        clip(&root.join(row.split(',').next().unwrap()), i);
    }
    std::fs::write(root.join("manifest.csv"), format!("{header}\n{}\n", rows.join("\n"))).unwrap();
}

/// Three genres of GTZAN, some tracks of each of its lists, without blues.00012, and what a Mac leaves beside files.
fn gtzan(root: &Path) {
    let numbers: [(&str, [usize; 8]); 3] = [
        ("blues", [0, 1, 13, 14, 29, 30, 31, 32]),
        ("jazz", [0, 1, 2, 3, 73, 74, 54, 12]),
        ("rock", [0, 1, 10, 11, 38, 49, 2, 3]),
    ];
    for (place, (genre, numbers)) in numbers.into_iter().enumerate() {
        for (i, number) in numbers.into_iter().enumerate() {
            let path = root.join("genres_original").join(genre).join(format!("{genre}.{number:05}.wav"));
            clip(&path, 10 * place + i);
            std::fs::write(path.with_file_name(format!("._{genre}.{number:05}.wav")), b"\0\x05\x16\x07\0\x02\0\0Mac OS X")
                .unwrap();
        }
    }
    std::fs::write(root.join("genres_original/jazz/jazz.00054.wav"), b"").unwrap();
    std::fs::write(root.join("genres_original/.DS_Store"), b"Bud1").unwrap();
    let beside = root.join("__MACOSX/genres_original/blues/._blues.00000.wav");
    std::fs::create_dir_all(beside.parent().unwrap()).unwrap();
    std::fs::write(beside, b"\0\x05\x16\x07").unwrap();
}

/// Copies of tagged files, and files without tags.
fn tagged(root: &Path, names: &[&str]) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tags");
    for name in names {
        std::fs::copy(fixtures.join(name), root.join(name)).unwrap();
    }
}

fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "a class too small to be on every side",
            make: |root| folders(root, &[("high", 8), ("low", 8), ("rare", 2)]),
            flags: &[],
            words: &[
                "the test part has no files of class rare: it has too few groups",
                "no clip of class rare was tested: how well it is known cannot be told",
            ],
            ends: Ok((&["high", "low", "rare"], 2)),
        },
        Case {
            name: "a given split whose test part lacks a class",
            make: |root| {
                let part = |i: usize| ["train", "train", "valid", "test"][i % 4];
                let label = |i: usize| if i % 4 == 3 { "a" } else { ["a", "b"][i / 4 % 2] };
                let rows = (0..24).map(|i| format!("{i}.wav,{},{}", label(i), part(i)));
                manifest(root, "path,label,split", &rows.collect::<Vec<_>>());
            },
            flags: &[],
            words: &["the test part has no files of class b: the given split leaves it out"],
            ends: Ok((&["a", "b"], 6)),
        },
        Case {
            name: "one clip in a class",
            make: |root| folders(root, &[("high", 8), ("low", 8), ("only", 1)]),
            flags: &[],
            words: &["the test part has no files of class only: it has too few groups", "no clip of class only was tested"],
            ends: Ok((&["high", "low", "only"], 2)),
        },
        Case {
            name: "one clip in a class, in folds",
            make: |root| folders(root, &[("high", 6), ("low", 6), ("only", 1)]),
            flags: &["--folds", "3"],
            words: &["no files of class only"],
            ends: Ok((&["high", "low", "only"], 13)),
        },
        Case {
            name: "one clip in a class, by clip",
            make: |root| folders(root, &[("high", 12), ("low", 12), ("only", 1)]),
            flags: &["--protocol", "seed"],
            words: &["the test part has no files of class only: it has too few clips"],
            ends: Ok((&["high", "low", "only"], 2)),
        },
        Case {
            name: "one group in a class",
            make: |root| {
                let row = |i: usize| match i % 2 {
                    0 => format!("a{i}.wav,band,the band"),
                    _ => format!("b{i}.wav,others,artist {i}"),
                };
                manifest(root, "path,label,group", &(0..20).map(row).collect::<Vec<_>>());
            },
            flags: &[],
            words: &["the test part has no files of class band: it has too few groups"],
            ends: Ok((&["band", "others"], 2)),
        },
        Case {
            name: "fewer groups than folds",
            make: |root| {
                manifest(
                    root,
                    "path,label,group",
                    &(0..8).map(|i| format!("{i}.wav,class {},{}", i % 2, i % 2)).collect::<Vec<_>>(),
                )
            },
            flags: &["--folds", "5"],
            words: &["there are 2", "use fewer --folds"],
            ends: Err(3),
        },
        Case {
            name: "folders with spaces and letters of other scripts",
            make: |root| folders(root, &[("hip hop", 6), ("жазз 音楽", 6), ("=1+1", 6), ("Ünë #3", 6)]),
            flags: &[],
            words: &[],
            ends: Ok((&["=1+1", "hip hop", "Ünë #3", "жазз 音楽"], 4)),
        },
        Case {
            name: "labels that are markup",
            make: |root| {
                let label = |i: usize| ["<script>alert('x')&</script>", "\"\"\"hard\"\", \\fast\\\""][i % 2];
                manifest(root, "path,label", &(0..12).map(|i| format!("{i}.wav,{}", label(i))).collect::<Vec<_>>());
            },
            flags: &[],
            words: &[],
            ends: Ok((&["<script>alert('x')&</script>", "\"hard\", \\fast\\"], 2)),
        },
        Case {
            name: "GTZAN with a file missing, by its lists",
            make: gtzan,
            flags: &["--protocol", "gtzan-filtered"],
            words: &[
                "jazz/jazz.00054.wav: is empty",
                "tracks of the fault-filtered lists are not there",
                "blues/blues.00012,\"no such file, but the fault-filtered lists",
            ],
            ends: Ok((&["blues", "jazz", "rock"], 6)),
        },
        Case {
            name: "GTZAN with a file missing, by artist",
            make: gtzan,
            flags: &[],
            words: &["this is GTZAN: its artists are its groups", "jazz/jazz.00054.wav: is empty"],
            ends: Ok((&["blues", "jazz", "rock"], 5)),
        },
        Case {
            name: "something else by GTZAN's lists",
            make: |root| folders(root, &[("blues", 4), ("jazz", 4)]),
            flags: &["--protocol", "gtzan-filtered"],
            words: &["is not GTZAN", "blues/00.wav", "use --protocol grouped"],
            ends: Err(3),
        },
        Case {
            name: "no file has tags",
            make: |root| {
                (0..6).for_each(|i| clip(&root.join(format!("{i}.wav")), i));
                tagged(root, &["none.mp3", "empty.flac"]);
            },
            flags: &["--label", "tag:genre", "--group", "tag:artist"],
            words: &["none of its 8 files has the tag that is asked for: genre, artist"],
            ends: Err(3),
        },
        Case {
            name: "some files have tags",
            make: |root| {
                tagged(root, &["both.mp3", "comments.flac", "id3v1.mp3", "id3v2.mp3", "id3v23.mp3", "mp4.m4a", "none.mp3"]);
                clip(&root.join("untagged.wav"), 1);
            },
            flags: &["--label", "tag:genre", "--group", "tag:artist", "--valid-fraction", "0"],
            words: &["none.mp3: has no tag `genre`", "untagged.wav: has no tag `genre`; those of wav files are not read"],
            ends: Ok((&["Jazz", "Rock"], 2)),
        },
        Case {
            name: "one class",
            make: |root| folders(root, &[("only", 6)]),
            flags: &[],
            words: &["holds only the class `only`, but at least two classes are needed"],
            ends: Err(3),
        },
        Case {
            name: "a split without a test part",
            make: |root| {
                let part = |i: usize| if i < 12 { "train" } else { "valid" };
                manifest(
                    root,
                    "path,label,split",
                    &(0..16).map(|i| format!("{i}.wav,class {},{}", i % 2, part(i))).collect::<Vec<_>>(),
                );
            },
            flags: &[],
            words: &[
                "the given split has no test part: there will be no test accuracy",
                "no run was tested: there is no test part",
            ],
            ends: Ok((&[], 0)),
        },
    ]
}

#[test]
fn every_kind_of_data_ends_in_right_tables_or_in_words() {
    let mut wrong = Vec::new();
    for case in cases() {
        let sandbox = Sandbox::new();
        std::fs::create_dir(sandbox.path("my music")).unwrap();
        (case.make)(&sandbox.path("my music"));
        let (data, out) = (sandbox.text("my music"), sandbox.text("study"));
        let args = [&["compare", &data, "--out", &out, "--json"], &SETTINGS[..], case.flags].concat();
        let output = sandbox.run(&args);
        // What cannot be used is named in a table.
        let bad = sandbox.path("study/cells/indrnn-1-seed0-fold0/bad_files.csv");
        let mut said = String::from_utf8_lossy(&[output.stderr, output.stdout.clone()].concat()).into_owned();
        said += &std::fs::read_to_string(bad).unwrap_or_default();
        let mut problems: Vec<String> =
            case.words.iter().filter(|words| !said.contains(**words)).map(|words| format!("does not say `{words}`")).collect();
        if said.contains("panicked") {
            problems.push("panics".into());
        }
        match (output.status.code(), case.ends) {
            (Some(0), Ok((classes, clips))) => problems.extend(check(&sandbox.path("study"), &output.stdout, classes, clips)),
            (Some(code), Err(expected)) if code == expected => {}
            (code, _) => problems.push(format!("ends with {code:?}")),
        }
        if !problems.is_empty() {
            let said: String = said.chars().take(4000).collect();
            wrong.push(format!("{}: {}\n{said}", case.name, problems.join("; ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn table(path: &Path) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    reader.deserialize().map(|row| row.unwrap()).collect()
}

/// Whether the tables say what the predictions of the cells say.
fn check(study: &Path, json: &[u8], classes: &[&str], clips: usize) -> Vec<String> {
    let mut problems = Vec::new();
    let outcome: Value = serde_json::from_slice(json).unwrap();
    if outcome["finished"] != outcome["cells"] {
        problems.push(format!("{} of {} runs are finished", outcome["finished"], outcome["cells"]));
    }
    let accuracies = table(&study.join("accuracy.csv"));
    for row in &accuracies {
        let place = if row["model"] == "baseline" { 2 } else { 1 };
        let cell = format!("{}-{place}-seed{}-fold{}", row["model"], row["seed"], row["fold"]);
        let predictions = study.join("cells").join(cell).join(format!("predictions-{}.csv", row["epochs"]));
        if clips == 0 {
            problems.extend((!row["test_accuracy"].is_empty()).then(|| "an accuracy without a test part".to_owned()));
            continue;
        }
        if !predictions.is_file() {
            problems.push(format!("{} is not there", predictions.display()));
            continue;
        }
        let said = table(&predictions);
        let right = said.iter().filter(|row| row["label"] == row["prediction"]).count();
        let accuracy = right as f64 / said.len() as f64;
        if row["test_accuracy"].parse::<f64>().map_or(true, |found| (found - accuracy).abs() > 1e-12) {
            problems.push(format!("accuracy.csv says {} for {accuracy}", row["test_accuracy"]));
        }
    }
    if clips == 0 {
        return problems;
    }
    if !study.join("classes.csv").is_file() {
        problems.push("there is no classes.csv".into());
        return problems;
    }
    let rows = table(&study.join("classes.csv"));
    for model in ["indrnn", "baseline"] {
        let own: Vec<_> = rows.iter().filter(|row| row["model"] == model).collect();
        let names: BTreeSet<&str> = own.iter().map(|row| row["class"].as_str()).collect();
        let tested: usize = own.iter().map(|row| row["clips"].parse::<usize>().unwrap()).sum();
        if names != classes.iter().copied().collect() || own.len() != classes.len() {
            problems.push(format!("the classes of {model} are {names:?}"));
        }
        if tested != clips {
            problems.push(format!("{model} was tested on {tested} clips, not {clips}"));
        }
        let none_without_clips = own.iter().all(|row| row["clips"] != "0" || row["recall"].is_empty());
        problems.extend((!none_without_clips).then(|| "a recall of no clips".to_owned()));
    }
    problems
}

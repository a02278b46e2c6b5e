//! `report.html`: what it says of a run and of several, that it can be made again, and what is said of damaged runs.

use crate::cli::{SMALL, Sandbox};
use crate::html::as_xml;
use crate::plot::check_well_formed;
use melgrad::config::{Config, ModelName, NameSource};
use melgrad::report::page::{self, conclusion::conclusion, mistakes, several};
use melgrad::report::record::RunRecord;
use melgrad::train::predictions::{Evaluation, Prediction, write_predictions};
use melgrad::train::run_directory::{RunDirectory, write_json};
use std::path::Path;

const NASTY: [&str; 2] = ["<script>alert(1) 'x'", "drum & bass – 音楽"];
const MADE: [&str; 8] = [
    "report.html",
    "mistakes.csv",
    "learning_curves.svg",
    "learning_curves.png",
    "confusion_matrix.svg",
    "confusion_matrix.png",
    "class_bars.svg",
    "class_bars.png",
];

#[test]
fn a_run_leaves_a_page_that_can_be_made_again_byte_for_byte_whatever_names_are() {
    let sandbox = Sandbox::new();
    let data = sandbox.named_tones("my <b>music<b>", NASTY, 8);
    std::fs::write(sandbox.path("my <b>music<b>").join(NASTY[0]).join("no <i>music.mp3"), "text").unwrap();
    let out = sandbox.text("a run");
    // It learns next to nothing, so it makes mistakes.
    sandbox.good(&[&["train", &data, "--out", &out], &SMALL[..10], &["--learning-rate", "1e-9"]].concat());
    let files = MADE.map(|file| sandbox.path("a run").join(file));
    let first = files.each_ref().map(|file| std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display())));

    let html = String::from_utf8(first[0].clone()).unwrap();
    check_well_formed(&as_xml(&html));
    assert!(!html.contains("<script") && !html.contains("<b>") && !html.contains("http"), "{html}");
    for text in [
        "<h1>indrnn on my &lt;b&gt;music&lt;b&gt;</h1>",
        "&lt;script&gt;alert(1) &#39;x&#39;",
        "drum &amp; bass – 音楽",
        "2 clips in the test part: too few to tell",
        "1 file could not be used",
        "expected calibration error",
        "<h2>Mistakes</h2>",
        "train.learning_rate",
    ] {
        assert!(html.contains(text), "{text}: {html}");
    }
    let mistakes = String::from_utf8(first[1].clone()).unwrap();
    assert!(mistakes.starts_with("path,label,prediction,probability,group\n") && mistakes.lines().count() > 1, "{mistakes}");

    files.iter().for_each(|file| std::fs::remove_file(file).unwrap());
    let said = sandbox.good(&["report", &out]);
    assert!(said.contains("report.html") && said.contains("too few to tell"), "{said}");
    for (file, before) in files.iter().zip(&first) {
        assert!(std::fs::read(file).unwrap() == *before, "{} differs", file.display());
    }
}

/// A run of `part` written by hand: each clip's name, group, class and the probability of the first of two classes.
fn by_hand(path: &Path, part: &str, group: NameSource, clips: &[(&str, &str, u32, f32)]) -> RunDirectory {
    let run = RunDirectory::create(Some(path), "run").unwrap();
    let mut config = Config::new(ModelName::Gru);
    config.data.classes = vec!["blues".into(), "rock".into()];
    (config.data.group, config.data.path) = (group, "/somewhere/music".into());
    run.write_config(&config).unwrap();
    let metrics = "epoch,train_loss,train_accuracy,val_loss,val_accuracy,learning_rate,epoch_seconds,gpu_seconds
1,0.9,0.5,0.8,0.5,0.001,2.0,
2,0.5,0.9,0.7,0.75,0.001,2.0,1.5
3,0.1,1.0,1.2,0.75,0.001,2.0,1.5
";
    std::fs::write(run.file("metrics.csv"), metrics).unwrap();
    let mut splits = "path,label,split,group,content_hash\nt.wav,rock,train,t,00\n".to_owned();
    for (name, group, label, _) in clips {
        splits += &format!("{name},{},{part},{group},hash of {name}\n", config.data.classes[*label as usize]);
    }
    std::fs::write(run.file("splits.csv"), splits).unwrap();
    let prediction = |&(path, group, label, first): &(&str, &str, u32, f32)| Prediction {
        path: path.into(),
        group: group.into(),
        label,
        probabilities: vec![first, 1.0 - first],
    };
    let predictions: Vec<Prediction> = clips.iter().map(prediction).collect();
    let evaluation = Evaluation::new(part, &config.data.classes, &predictions, &[1], 0).unwrap();
    write_json(&run.file("evaluation.json"), &evaluation).unwrap();
    write_predictions(&run.file("predictions.csv"), &config.data.classes, &predictions).unwrap();
    run
}

const CLIPS: [(&str, &str, u32, f32); 4] =
    [("a.wav", "x", 0, 0.75), ("b.wav", "x", 1, 0.625), ("c.wav", "y", 1, 0.875), ("d.wav", "y", 1, 0.25)];

fn artists() -> NameSource {
    "tag:artist".parse().unwrap()
}

#[test]
fn the_conclusion_says_what_the_figures_say() {
    let folder = tempfile::tempdir().unwrap();
    let check = |name: &str, part: &str, group: NameSource, clips: &[(&str, &str, u32, f32)], expected: &[&str]| {
        let run = by_hand(&folder.path().join(name), part, group, clips);
        let said = conclusion(&RunRecord::read(run.path()).unwrap()).join("\n");
        expected.iter().for_each(|words| assert!(said.contains(words), "{name}: {words}: {said}"));
        said
    };
    let said = check(
        "artists",
        "test",
        artists(),
        &CLIPS,
        &[
            "gru names 50.0% of 4 test clips, which played no part in training, rightly. The 95 % interval is 50.0% to 50.0%: \
             whole artists are drawn anew 2,000 times, 2 artists each",
            "2 artists in the test part: too few to tell how good that is.",
            "Always naming rock, the largest class of the training part, gives 75.0%: the network is no better than that.",
            "It knows blues best (recall 100.0%) and rock least (33.3%). Most often, rock was taken for blues: 2 clips.",
            "epoch 2 is kept",
            "90.0% of the training crops",
            "75.0% of the 0 validation clips: 15.0 points apart, so it fits its training clips far better than others",
            // 0.75, 0.625, 0.875 and 0.75, of which two are right.
            "a probability of 75.0% on average, and 50.0% were right: it is surer than it should be",
        ],
    );
    assert!(!said.contains("could not be used") && !said.contains("more of them"), "{said}");
    let alone: Vec<_> = CLIPS.map(|(path, _, label, first)| (path, path, label, first)).to_vec();
    check("alone", "test", NameSource::Given, &alone, &["the 4 clips are drawn anew"]);
    let one = CLIPS.map(|(path, _, label, first)| (path, "x", label, first));
    check("one", "test", NameSource::Given, &one, &["They are all of one group, so there is no interval."]);
    let shared = CLIPS.map(|(path, group, label, first)| (path, if group == "x" { "t" } else { group }, label, first));
    let said = check("shared", "test", artists(), &shared, &["2 of them have other clips of their artist in the training part"]);
    assert!(!said.contains("played no part"), "{said}");
    let said = check("valid", "valid", artists(), &CLIPS, &["There is no test part.", "50.0% of the 4 validation clips"]);
    assert!(!said.contains("test clip") && !said.contains("too few"), "{said}");
}

#[test]
fn a_run_that_has_not_ended_is_not_given_a_result() {
    let folder = tempfile::tempdir().unwrap();
    let run = by_hand(&folder.path().join("run"), "test", artists(), &CLIPS);
    let started = r#"{"event":"started","run":"r","model":"gru","parameters":9,"trainable_parameters":8,"epochs":9,"batch_size":1,"frames":1,"clips":[1,0,4],"classes":["blues","rock"],"adapter":"Some GPU"}"#;
    let warning = r#"{"event":"warning","message":"look out"}"#;
    std::fs::write(run.file("events.jsonl"), format!("{started}\n{warning}\n{{\"event\":\"ep")).unwrap();
    let record = RunRecord::read(run.path()).unwrap();
    assert!(!record.is_over() && record.evaluation.is_none() && record.adapter() == "Some GPU");
    let said = conclusion(&record).join("\n");
    assert!(said.contains("has not come to its end") && said.contains("Warning: look out"), "{said}");
    page::write(&record).unwrap();
    assert!(!run.file("mistakes.csv").exists());
}

#[test]
fn mistakes_come_with_the_surest_first() {
    let folder = tempfile::tempdir().unwrap();
    let record = RunRecord::read(by_hand(&folder.path().join("run"), "test", artists(), &CLIPS).path()).unwrap();
    let table = mistakes::csv(&mistakes::mistakes(&record.config.data.classes, &record.predictions));
    let expected = "path,label,prediction,probability,group\nc.wav,rock,blues,0.875,y\nb.wav,rock,blues,0.625,x\n";
    assert_eq!(String::from_utf8(table).unwrap(), expected);
    assert_eq!(mistakes::csv(&[]), b"path,label,prediction,probability,group\n");
    let html = page::report(&record).html();
    assert!(html.find("c.wav") < html.find("b.wav") && html.contains("<td>blues</td><td>87.5%</td>"), "{html}");
}

#[test]
fn several_runs_are_compared_only_where_they_were_tested_on_the_same_clips() {
    let folder = tempfile::tempdir().unwrap();
    let record = |name: &str, part: &str, clips: &[(&str, &str, u32, f32)]| {
        RunRecord::read(by_hand(&folder.path().join(name), part, artists(), clips).path()).unwrap()
    };
    let right = CLIPS.map(|(path, group, label, _)| (path, group, label, if label == 0 { 1.0 } else { 0.0 }));
    let one_other = [CLIPS[0], CLIPS[1], CLIPS[2], ("e.wav", "y", 1, 0.25)];
    let [a, b, other, untested] = [
        record("a", "test", &CLIPS),
        record("b <i>", "test", &right),
        record("other/a", "test", &one_other),
        record("untested", "valid", &CLIPS),
    ];
    let said = |records: &[&RunRecord]| {
        let records: Vec<RunRecord> = records.iter().map(|record| (*record).clone()).collect();
        let report = several::report(&records);
        check_well_formed(&as_xml(&report.html()));
        report.conclusion.join("\n")
    };
    let same = said(&[&a, &b]);
    assert!(same.contains("a and b <i> were trained on the same clips and tested on the same 4 clips"), "{same}");
    assert!(same.contains("Highest: b <i>, 100.0%.") && same.contains("too few to tell which is better"), "{same}");
    let different = said(&[&b, &other, &untested]);
    assert!(different.contains("cannot be compared") && different.contains("b <i> on 4 clips; a on 4 clips"), "{different}");
    assert!(different.contains("untested has no test figure"), "{different}");
    let three = said(&[&a, &b, &other]);
    assert!(three.contains(&format!("{} and b <i> on the same 4 clips", folder.path().join("a").display())), "{three}");
    assert!(!three.contains("Highest"), "{three}");
}

#[test]
fn one_page_over_several_runs_is_written_where_it_is_wanted() {
    let sandbox = Sandbox::new();
    for name in ["a", "b"] {
        by_hand(&sandbox.path(name), "test", artists(), &CLIPS);
    }
    let said = sandbox.good(&["report", "a", "b", "--out", "both.html", "--json"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["page"], "both.html");
    assert_eq!(said["reports"], serde_json::json!(["a/report.html", "b/report.html"]));
    let html = std::fs::read_to_string(sandbox.path("both.html")).unwrap();
    assert!(html.contains("2 runs: a, b") && html.contains("F1 of each class") && html.contains("Validation accuracy"), "{html}");
    assert!(sandbox.path("b/report.html").is_file());
    let said = sandbox.bad(&["report", "a", "b", "--out", "nowhere/both.html"], 7);
    assert!(said.contains("both.html"), "{said}");
}

#[test]
fn a_damaged_run_is_named_in_words_and_nothing_is_written() {
    let sandbox = Sandbox::new();
    by_hand(&sandbox.path("good"), "test", artists(), &CLIPS);
    let run = by_hand(&sandbox.path("run"), "test", artists(), &CLIPS);
    for (file, text, words) in [
        ("metrics.csv", None, "metrics.csv: is not there; restore it"),
        ("metrics.csv", Some("epoch,train_loss\n"), "metrics.csv: has no epoch"),
        ("metrics.csv", Some("epoch,train_loss\n1,2\n"), "train_accuracy"),
        ("metrics.csv", Some("\u{0}\u{1}\n\u{2}\n"), "metrics.csv: is damaged"),
        ("splits.csv", None, "splits.csv: is not there"),
        ("splits.csv", Some("path,label\na,b\n"), "splits.csv: is damaged"),
        ("predictions.csv", None, "predictions.csv: is not there"),
        ("predictions.csv", Some(""), "not the classes of config.toml"),
        ("predictions.csv", Some("path,label,prediction,blues,rock\na.wav,jazz,rock,0.5,0.5\n"), "line 2"),
        ("predictions.csv", Some("path,label,prediction,blues,rock\na.wav,rock,rock,0.5,half\n"), "line 2"),
        ("predictions.csv", Some("path,label,prediction,blues,rock\na.wav,rock,rock,0.5,0.5\n"), "has 1 clip where"),
        ("predictions.csv", Some("path,label,prediction,blues,rock\na.wav,rock\n"), "predictions.csv: is damaged"),
        ("evaluation.json", Some("{\"part\": \"te"), "evaluation.json: is damaged"),
        ("environment.json", Some("[]"), "environment.json: is damaged"),
        ("bad_files.csv", Some("path\nx\n"), "bad_files.csv: is damaged"),
    ] {
        let path = run.file(file);
        let before = std::fs::read(&path).ok();
        match text {
            Some(text) => std::fs::write(&path, text).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let said = sandbox.bad(&["report", "good", "run"], 3);
        assert!(said.contains(words), "{file} {text:?} should say {words:?}: {said}");
        assert!(!sandbox.path("good/report.html").exists(), "{file}: all runs are read before one is written");
        match before {
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
    }
    let evaluation = std::fs::read_to_string(run.file("evaluation.json")).unwrap();
    let mut changed: serde_json::Value = serde_json::from_str(&evaluation).unwrap();
    changed["classes"].as_array_mut().unwrap().pop();
    std::fs::write(run.file("evaluation.json"), changed.to_string()).unwrap();
    assert!(sandbox.bad(&["report", "run"], 3).contains("does not fit its classes"));
    changed["confusion_matrix"] = serde_json::json!([[1]]);
    std::fs::write(run.file("evaluation.json"), changed.to_string()).unwrap();
    assert!(sandbox.bad(&["report", "run"], 3).contains("has other classes than config.toml"));
}

#[test]
fn what_is_no_run_is_refused_with_a_remedy() {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.path("study/cells")).unwrap();
    std::fs::write(sandbox.path("study/study.json"), "{}").unwrap();
    std::fs::create_dir(sandbox.path("empty")).unwrap();
    for (args, words) in [
        (vec!["report"], "RUN"),
        (vec!["report", "nowhere"], "nowhere: there is no such directory; give a directory that `melgrad train` wrote"),
        (vec!["report", "empty"], "there is no config.toml in it"),
    ] {
        let said = sandbox.bad(&args, 2);
        assert!(said.contains(words), "{args:?} should say {words:?}: {said}");
    }
    let said = sandbox.bad(&["report", "study"], 3);
    assert!(said.contains("study.json"), "a study that is none: {said}");
}

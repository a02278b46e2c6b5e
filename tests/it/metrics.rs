//! Metrics against scikit-learn 1.9 and numpy 2.4, from the script below; and the tables that hold them.
//!
//! ```python
//! import numpy as np
//! from sklearn.metrics import *
//! labels      = [0, 0, 0, 1, 1, 2, 2, 2, 2, 0, 1, 2]  # class 3 is only predicted, class 4 is nowhere
//! predictions = [0, 2, 0, 1, 3, 2, 2, 0, 2, 0, 0, 2]
//! print(accuracy_score(labels, predictions), balanced_accuracy_score(labels, predictions))
//! print(f1_score(labels, predictions, average="macro"))
//! print(precision_recall_fscore_support(labels, predictions, zero_division=np.nan))
//! print(confusion_matrix(labels, predictions))
//! p = np.float32([[.7, .2, .1], [.1, .1, .8], [.25, .5, .25], [0, 1, 0]])
//! print(log_loss([0, 2, 0, 2], p, labels=[0, 1, 2]))
//!
//! # 12 groups of 1 to 12 clips, all wrong in every third group, drawn a million times
//! clips = np.arange(1, 13); hits = clips * (clips % 3 > 0)
//! draws = np.random.default_rng(0).integers(0, 12, (1_000_000, 12))
//! print(hits.sum() / clips.sum(), np.percentile(hits[draws].sum(1) / clips[draws].sum(1), [2.5, 97.5]))
//! ```

use melgrad::train::metrics::{ConfusionMatrix, RESAMPLES, accuracy_ci95, log_loss, majority_baseline, most_likely};
use melgrad::train::predictions::{Evaluation, Prediction, PredictionsError, write_confusion_matrix, write_predictions};

const LABELS: [u32; 12] = [0, 0, 0, 1, 1, 2, 2, 2, 2, 0, 1, 2];
const PREDICTIONS: [u32; 12] = [0, 2, 0, 1, 3, 2, 2, 0, 2, 0, 0, 2];

/// scikit-learn sums the log loss of `float32` in `float32`, hence the tolerance.
fn check(what: &str, actual: Option<f64>, expected: Option<f64>) {
    let close = match (actual, expected) {
        (Some(actual), Some(expected)) => (actual - expected).abs() < 1e-6,
        (actual, expected) => actual == expected,
    };
    assert!(close, "{what}: {actual:?} instead of {expected:?}");
}

#[test]
fn accuracies_and_f1_are_those_of_scikit_learn() {
    let matrix = ConfusionMatrix::new(5, &LABELS, &PREDICTIONS);
    check("accuracy", matrix.accuracy(), Some(0.6666666666666666));
    check("balanced accuracy", matrix.balanced_accuracy(), Some(0.6277777777777778));
    check("macro F1", matrix.macro_f1(), Some(0.49166666666666664));
    for (class, support, precision, recall, f1) in [
        (0, 4, Some(0.6), Some(0.75), Some(0.66666667)),
        (1, 3, Some(1.0), Some(0.33333333), Some(0.5)),
        (2, 5, Some(0.8), Some(0.8), Some(0.8)),
        (3, 0, Some(0.0), None, Some(0.0)),
        (4, 0, None, None, None),
    ] {
        let metrics = matrix.class(class);
        assert_eq!(metrics.support, support, "class {class}");
        check(&format!("precision of class {class}"), metrics.precision, precision);
        check(&format!("recall of class {class}"), metrics.recall, recall);
        check(&format!("F1 of class {class}"), metrics.f1, f1);
    }
    let rows = [[3, 0, 1, 0, 0], [1, 1, 0, 1, 0], [1, 0, 4, 0, 0], [0; 5], [0; 5]];
    assert_eq!(matrix.counts, rows);
}

#[test]
fn log_loss_is_that_of_scikit_learn_and_bounded_where_a_probability_is_zero() {
    let probabilities = [0.7, 0.2, 0.1, 0.1, 0.1, 0.8, 0.25, 0.5, 0.25, 0.0, 1.0, 0.0];
    check("log loss", log_loss(3, &[0, 2, 0, 2], &probabilities), Some(4.477124214172363));
    check("log loss of nothing", log_loss(3, &[], &[]), None);
}

#[test]
fn metrics_of_nothing_are_absent() {
    let matrix = ConfusionMatrix::new(2, &[], &[]);
    assert_eq!((matrix.accuracy(), matrix.balanced_accuracy(), matrix.macro_f1()), (None, None, None));
}

#[test]
fn the_first_of_equal_probabilities_is_the_prediction() {
    for (probabilities, expected) in [(&[0.2f32, 0.4, 0.4][..], 1), (&[0.5, 0.5], 0), (&[1.0], 0), (&[0.1, 0.2, 0.7], 2)] {
        assert_eq!(most_likely(probabilities), expected, "{probabilities:?}");
    }
}

#[test]
fn the_majority_is_learnt_from_training_and_measured_elsewhere() {
    for (train, labels, expected) in [
        (&[1, 1, 0][..], &[0, 0, 1, 2][..], Some((1, 0.25))), // 0 would reach 0.5 here, but training does not say so
        (&[2, 1, 1, 2], &[1, 1], Some((1, 1.0))),
        (&[2], &[0], Some((2, 0.0))),
        (&[], &[0], None),
        (&[0], &[], None),
    ] {
        let baseline = majority_baseline(3, train, labels).map(|baseline| (baseline.class, baseline.accuracy));
        assert_eq!(baseline, expected, "{train:?} {labels:?}");
    }
}

/// The groups of the script, `(right, group)` per clip.
fn groups_of_1_to_12() -> (Vec<bool>, Vec<String>) {
    (1..=12).flat_map(|n| (0..n).map(move |_| (n % 3 > 0, format!("group {n}")))).unzip()
}

#[test]
fn the_interval_is_the_percentile_bootstrap_over_groups() {
    let (correct, groups) = groups_of_1_to_12();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let interval = accuracy_ci95(&correct, &groups, 7).unwrap();
    // 2,000 draws place a percentile to about 0.01.
    assert!((interval.low - 0.29787234).abs() < 0.03, "{interval:?}");
    assert!((interval.high - 0.92105263).abs() < 0.03, "{interval:?}");
    assert_eq!((interval.groups, interval.resamples, interval.seed, interval.level), (12, RESAMPLES, 7, 0.95));

    let apart: Vec<String> = (0..correct.len()).map(|clip| clip.to_string()).collect();
    let apart: Vec<&str> = apart.iter().map(String::as_str).collect();
    let naive = accuracy_ci95(&correct, &apart, 7).unwrap();
    assert!(naive.high - naive.low < 0.6 * (interval.high - interval.low), "clips of a group are not independent: {naive:?}");
}

#[test]
fn the_interval_depends_on_the_seed_but_not_on_the_order_of_clips() {
    let (correct, groups) = groups_of_1_to_12();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let (mut reversed, mut reversed_groups) = (correct.clone(), groups.clone());
    reversed.reverse();
    reversed_groups.reverse();
    let interval = accuracy_ci95(&correct, &groups, 7);
    assert_eq!(interval, accuracy_ci95(&correct, &groups, 7));
    assert_eq!(interval, accuracy_ci95(&reversed, &reversed_groups, 7));
    assert_ne!(interval, accuracy_ci95(&correct, &groups, 8));
}

#[test]
fn one_group_has_no_interval() {
    assert_eq!(accuracy_ci95(&[true, false], &["a", "a"], 0), None);
    assert_eq!(accuracy_ci95(&[], &[], 0), None);
}

fn classes() -> Vec<String> {
    ["blues", "rock, hard", "jazz"].map(String::from).to_vec()
}

fn prediction(path: &str, group: &str, label: u32, probabilities: [f32; 3]) -> Prediction {
    Prediction { path: path.into(), group: group.into(), label, probabilities: probabilities.to_vec() }
}

fn predictions() -> Vec<Prediction> {
    vec![
        prediction("a/1.wav", "x", 0, [0.5, 0.25, 0.25]),
        prediction("a/2.wav", "x", 0, [0.25, 0.5, 0.25]),
        prediction("b/\"3\".wav", "y", 1, [1e-30, 1.0, 0.0]),
    ]
}

#[test]
fn an_evaluation_gathers_every_figure_and_survives_json() {
    let evaluation = Evaluation::new("test", &classes(), &predictions(), &[0, 0, 2], 3).unwrap();
    assert_eq!((evaluation.clips, evaluation.accuracy, evaluation.majority_baseline), (3, 2.0 / 3.0, Some(2.0 / 3.0)));
    assert_eq!(evaluation.majority_class.as_deref(), Some("blues"));
    check("log loss", Some(evaluation.log_loss), Some((2f64.ln() + 4f64.ln()) / 3.0));

    let json = serde_json::to_value(&evaluation).unwrap();
    assert_eq!(json["accuracy_ci95"]["groups"], 2);
    assert_eq!(json["confusion_matrix"], serde_json::json!([[1, 1, 0], [0, 1, 0], [0, 0, 0]]));
    let jazz = serde_json::json!({"name": "jazz", "support": 0, "predicted": 0, "precision": null, "recall": null, "f1": null});
    assert_eq!(json["classes"][2], jazz);
    assert_eq!(serde_json::from_value::<Evaluation>(json).unwrap(), evaluation);
}

#[test]
fn nothing_to_evaluate_and_diverged_networks_are_errors_in_words() {
    let error = Evaluation::new("test", &classes(), &[], &[], 0).unwrap_err();
    assert!(matches!(error, PredictionsError::Empty { .. }));
    assert!(error.to_string().contains("the test part has no clips"), "{error}");

    let diverged = [prediction("a/1.wav", "x", 0, [f32::NAN; 3])];
    let error = Evaluation::new("test", &classes(), &diverged, &[], 0).unwrap_err().to_string();
    assert!(error.starts_with("a/1.wav") && error.contains("diverged"), "{error}");
}

#[test]
fn the_tables_are_csv_with_quotes_where_needed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("predictions.csv");
    write_predictions(&path, &classes(), &predictions()).unwrap();
    let expected = "path,label,prediction,blues,\"rock, hard\",jazz\n\
        a/1.wav,blues,blues,0.5,0.25,0.25\n\
        a/2.wav,blues,\"rock, hard\",0.25,0.5,0.25\n\
        \"b/\"\"3\"\".wav\",\"rock, hard\",\"rock, hard\",1e-30,1.0,0.0\n";
    assert_eq!(std::fs::read_to_string(path).unwrap(), expected);

    let path = dir.path().join("confusion_matrix.csv");
    write_confusion_matrix(&path, &classes(), &ConfusionMatrix::new(3, &[0, 0, 1], &[0, 1, 1])).unwrap();
    let expected = "label,blues,\"rock, hard\",jazz\nblues,1,1,0\n\"rock, hard\",0,1,0\njazz,0,0,0\n";
    assert_eq!(std::fs::read_to_string(path).unwrap(), expected);

    let error = write_predictions(&dir.path().join("no/such/folder.csv"), &classes(), &[]).unwrap_err().to_string();
    assert!(error.contains("folder.csv: cannot be written"), "{error}");
}

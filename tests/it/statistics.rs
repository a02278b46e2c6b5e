//! The statistics of a comparison against scipy, scikit-learn, statsmodels, mlxtend and numpy: `statistics.json`, from
//! `make.py` beside it.

mod properties;
mod tests_and_words;

use melgrad::compare::statistics::*;
use melgrad::train::metrics::{ConfusionMatrix, Interval};
use serde_json::Value;

fn fixture(part: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("../fixtures/statistics/statistics.json")).unwrap();
    all[part].clone()
}

fn numbers<T: serde::de::DeserializeOwned>(value: &Value) -> Vec<T> {
    serde_json::from_value(value.clone()).unwrap()
}

#[track_caller]
fn check(what: &str, actual: impl Into<Option<f64>>, expected: &Value) {
    let (actual, expected) = (actual.into(), expected.as_f64());
    let close = match (actual, expected) {
        (Some(actual), Some(expected)) => (actual - expected).abs() < 1e-9,
        (actual, expected) => actual == expected,
    };
    assert!(close, "{what}: {actual:?} instead of {expected:?}");
}

fn each(value: &Value) -> impl Iterator<Item = &Value> {
    assert!(value.as_array().is_some_and(|values| !values.is_empty()), "no cases: {value}");
    value.as_array().unwrap().iter()
}

fn count(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

#[test]
fn mcnemars_test_is_that_of_statsmodels_and_mlxtend() {
    for case in each(&fixture("mcnemar")) {
        let test = mcnemar(count(&case["only_a"]), count(&case["only_b"]));
        assert_eq!(Some(test.exact), case["exact"].as_bool(), "{case}");
        check(&case.to_string(), test.p, &case["p"]);
    }
    // There both make it 0.9: the correction is subtracted from nothing.
    assert_eq!(mcnemar(30, 30), McNemar { exact: false, p: 1.0 });
}

#[test]
fn holms_correction_is_that_of_statsmodels() {
    for case in each(&fixture("holm")) {
        for (place, corrected) in holm(&numbers::<f64>(&case["p"])).into_iter().enumerate() {
            check(&case.to_string(), corrected, &case["corrected"][place]);
        }
    }
    assert!(holm(&[]).is_empty());
}

#[test]
fn wilsons_interval_is_that_of_statsmodels() {
    for case in each(&fixture("wilson")) {
        let interval = wilson(count(&case["hits"]), count(&case["clips"])).unwrap();
        check(&format!("low end of {case}"), interval.low, &case["low"]);
        check(&format!("high end of {case}"), interval.high, &case["high"]);
    }
    assert_eq!(wilson(0, 0), None);
}

#[test]
fn nadeau_and_bengios_test_is_the_formula_with_scipys_t() {
    for case in each(&fixture("resampled_t")) {
        let test = resampled_t(&numbers::<f64>(&case["differences"]), case["test_to_train"].as_f64().unwrap()).unwrap();
        for (what, actual) in [("t", test.t), ("p", test.p), ("low", test.interval[0]), ("high", test.interval[1])] {
            check(&format!("{what} of {case}"), actual, &case[what]);
        }
    }
    assert_eq!(resampled_t(&[0.1], 0.1), None);
    assert_eq!(resampled_t(&[0.0; 10], 0.1).unwrap().p, 1.0);
    assert_eq!(resampled_t(&[-0.5; 10], 0.1).map(|test| (test.t, test.p)), Some((f64::NEG_INFINITY, 0.0)));
}

#[test]
fn the_figures_of_each_class_are_those_of_scikit_learn() {
    let case = fixture("classes");
    let classes = count(&case["classes"]);
    let matrix = ConfusionMatrix::new(classes, &numbers(&case["labels"]), &numbers(&case["predictions"]));
    for (metric, name) in
        [(Metric::Accuracy, "accuracy"), (Metric::BalancedAccuracy, "balanced_accuracy"), (Metric::MacroF1, "macro_f1")]
    {
        check(name, metric.of(&matrix), &case[name]);
    }
    for class in 0..classes {
        let metrics = matrix.class(class);
        assert_eq!(metrics.support, count(&case["support"][class]), "class {class}");
        check(&format!("precision of class {class}"), metrics.precision, &case["precision"][class]);
        check(&format!("recall of class {class}"), metrics.recall, &case["recall"][class]);
        check(&format!("F1 of class {class}"), metrics.f1, &case["f1"][class]);
    }
}

#[test]
fn calibration_is_that_of_scikit_learn_and_numpy() {
    let case = fixture("calibration");
    let labels: Vec<u32> = numbers(&case["labels"]);
    let probabilities: Vec<f32> = numbers::<f32>(&case["parts_of_1024"]).into_iter().map(|part| part / 1024.0).collect();
    let found = calibration(count(&case["classes"]), &labels, &probabilities).unwrap();
    check("expected calibration error", found.expected_calibration_error, &case["ece"]);
    check("Brier score", found.brier_score, &case["brier"]);
    check("negative log likelihood", found.negative_log_likelihood, &case["log_loss"]);
    assert_eq!(found.bins.len(), BINS);
    for (bin, expected) in found.bins.iter().zip(each(&case["bins"])) {
        assert_eq!(bin.clips, count(&expected["clips"]), "{bin:?}");
        check(&format!("confidence of {bin:?}"), bin.confidence, &expected["confidence"]);
        check(&format!("accuracy of {bin:?}"), bin.accuracy, &expected["accuracy"]);
    }
    assert_eq!(calibration(3, &[], &[]), None);
}

#[test]
fn a_confidence_of_one_and_slightly_more_is_in_the_last_bin() {
    let found = calibration(2, &[0, 1], &[1.0, 0.0, 0.0, 1.0005]).unwrap();
    assert_eq!(found.bins[BINS - 1].clips, 2);
    let edge = calibration(2, &[0], &[0.6, 0.4]).unwrap();
    // As an f32, 0.6 lies above 9/15.
    assert_eq!(edge.bins[9].clips, 1);
}

/// The clips of the bootstrap's fixture and its models: `a`, `b` and `partial`.
fn bootstrap_case() -> (Value, Clips, [Model; 3]) {
    let case = fixture("bootstrap");
    let clips = Clips {
        classes: count(&case["classes"]),
        labels: numbers(&case["labels"]),
        // In the order of their names, as numpy numbers them.
        groups: numbers::<usize>(&case["groups"]).into_iter().map(|group| format!("artist {group:02}")).collect(),
        group_noun: "artist".into(),
        test_parts: TestParts::Same,
    };
    let models = ["a", "b", "partial"].map(|name| Model {
        name: name.into(),
        runs: (0..)
            .zip(each(&case[name]))
            .map(|(seed, run)| {
                let predictions = numbers::<i64>(run).into_iter().map(|class| u32::try_from(class).ok()).collect();
                Run { split: 0, seed, predictions }
            })
            .collect(),
        seeded: true,
    });
    (case, clips, models)
}

#[test]
fn every_draw_of_a_bootstrap_gives_what_scikit_learn_makes_of_the_drawn_clips() {
    let (case, clips, models) = bootstrap_case();
    let tallies = models.each_ref().map(|model| Tally::new(&clips, model));
    let mut differences = Vec::new();
    for drawn in each(&case["draws"]) {
        let draw = Draw { groups: numbers(&drawn["groups"]), runs: numbers(&drawn["runs"]) };
        for (metric, name) in
            [(Metric::Accuracy, "accuracy"), (Metric::BalancedAccuracy, "balanced_accuracy"), (Metric::MacroF1, "macro_f1")]
        {
            for (model, tally) in tallies.iter().enumerate() {
                check(&format!("{name} of model {model} in {drawn}"), tally.of(metric, &draw), &drawn["values"][name][model]);
            }
        }
        let [a, b] = [0, 1].map(|model| tallies[model].of(Metric::Accuracy, &draw).unwrap());
        differences.push(if (a - b).abs() < 1e-12 { 0.0 } else { a - b });
    }
    check("p", bootstrap_p(&differences), &case["differences"]["p"]);
    let interval = Interval::of_resamples(differences, "", tallies[0].groups(), 0);
    check("low end", interval.low, &case["differences"]["low"]);
    check("high end", interval.high, &case["differences"]["high"]);
}

#[test]
fn intervals_are_those_of_numpys_own_draws_within_monte_carlo_error() {
    let (case, clips, [a, b, _]) = bootstrap_case();
    let mut elsewhere = b.clone();
    elsewhere.runs.iter_mut().for_each(|run| run.seed += 100);
    let difference = |b: &Model| bootstrap_difference(&clips, [&a, b], Metric::Accuracy, 5).unwrap().interval;
    for (name, interval) in [
        ("a", bootstrap_interval(&clips, &a, Metric::Accuracy, 5).unwrap()),
        ("matched", difference(&b)),
        ("unmatched", difference(&elsewhere)),
    ] {
        let expected = &case["distribution"][name];
        let [low, high] = ["low", "high"].map(|end| expected[end].as_f64().unwrap());
        // 10,000 draws place a percentile to about 0.006, widened as they are; seeds drawn apart instead of together move an
        // end by 0.05.
        assert!((interval.low - low).abs() < 0.012 && (interval.high - high).abs() < 0.012, "{name}: {interval:?}, {expected}");
        assert_eq!((interval.groups, interval.resamples, interval.seed), (23, REPLICATES, 5));
    }
}

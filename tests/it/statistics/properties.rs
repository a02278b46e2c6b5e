//! What must hold of intervals and comparisons whatever the data.

use super::bootstrap_case;
use melgrad::compare::statistics::*;
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

/// `groups` of `size` clips each, all of class 0 of 2, and runs that name a share of them rightly which varies from group
/// to group and from run to run: 0.7 on average.
fn synthetic(rng: &mut ChaCha8Rng, groups: usize, size: usize, runs: u64) -> (Clips, Model) {
    let clips = Clips {
        classes: 2,
        labels: vec![0; groups * size],
        groups: (0..groups * size).map(|clip| format!("{}", clip / size)).collect(),
        group_noun: "track".into(),
        test_parts: TestParts::Same,
    };
    let ease: Vec<f64> = (0..groups).map(|_| rng.random_range(0.45..0.95)).collect();
    // Clips of one track are the same to a network more often than not.
    let luck: Vec<f64> = (0..groups).map(|_| rng.random_range(0.0..1.0)).collect();
    let runs = (0..runs).map(|seed| {
        let skill = rng.random_range(-0.04..0.04);
        let predictions = (0..groups * size)
            .map(|clip| {
                let luck = if rng.random_bool(0.7) { luck[clip / size] } else { rng.random_range(0.0..1.0) };
                Some(u32::from(luck >= ease[clip / size] + skill))
            })
            .collect();
        Run { split: 0, seed, predictions }
    });
    (clips, Model { name: "synthetic".into(), runs: runs.collect(), seeded: true })
}

#[test]
fn the_interval_covers_the_truth_about_as_often_as_it_says() {
    const DATASETS: usize = 120;
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let (mut covered, mut naive) = (0, 0);
    for dataset in 0..DATASETS {
        let (mut clips, model) = synthetic(&mut rng, 40, 4, 3);
        let covers = |clips: &Clips| {
            let interval = bootstrap_interval(clips, &model, Metric::Accuracy, dataset as u64).unwrap();
            usize::from((interval.low..=interval.high).contains(&0.7))
        };
        covered += covers(&clips);
        clips.groups = (0..clips.labels.len()).map(|clip| clip.to_string()).collect();
        let one = Model { runs: model.runs[..1].to_vec(), ..model.clone() };
        let interval = interval(&clips, &one, Metric::Accuracy, dataset as u64).unwrap();
        naive += usize::from((interval.low..=interval.high).contains(&0.7));
    }
    assert!(covered >= DATASETS * 90 / 100, "{covered} of {DATASETS}");
    assert!(naive < DATASETS * 85 / 100, "clips taken for independent: {naive} of {DATASETS}");
}

#[test]
fn intervals_and_p_values_of_few_seeds_hold_what_they_promise() {
    const DATASETS: usize = 60;
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    // Seeds that differ by far more than 60 clips do.
    let model = |rng: &mut ChaCha8Rng, name: &str, runs: u64| {
        let run = |seed| {
            let skill = 0.7 + rng.random_range(-0.25..0.25);
            Run { split: 0, seed, predictions: (0..60).map(|_| Some(u32::from(!rng.random_bool(skill)))).collect() }
        };
        Model { name: name.into(), runs: (0..runs).map(run).collect(), seeded: true }
    };
    let clips = Clips {
        classes: 2,
        labels: vec![0; 60],
        groups: (0..60).map(|clip| clip.to_string()).collect(),
        group_noun: "track".into(),
        test_parts: TestParts::Same,
    };
    for runs in [2, 3, 5] {
        let (mut covered, mut ahead_of_its_like) = (0, 0);
        for dataset in 0..DATASETS {
            let [a, b] = ["a", "b"].map(|name| model(&mut rng, name, runs));
            let interval = bootstrap_interval(&clips, &a, Metric::Accuracy, dataset as u64).unwrap();
            covered += usize::from((interval.low..=interval.high).contains(&0.7));
            ahead_of_its_like += usize::from(ahead(&compare_pair(&clips, [&a, &b], Metric::Accuracy, dataset as u64)).is_some());
        }
        assert!(covered >= 52, "{runs} seeds: the interval covers {covered} of {DATASETS}");
        assert!(ahead_of_its_like <= 8, "{runs} seeds: ahead of its like {ahead_of_its_like} times of {DATASETS}");
    }
    // A single one says nothing of others, however small its p-value.
    let [mut good, mut bad] = ["a", "b"].map(|name| model(&mut rng, name, 1));
    good.runs[0].predictions.fill(Some(0));
    bad.runs[0].predictions.fill(Some(1));
    let pair = compare_pair(&clips, [&good, &bad], Metric::Accuracy, 1);
    assert!(pair.one_seed && pair.p.unwrap() < 1e-6 && ahead(&pair).is_none(), "{pair:?}");
    let words = sentences(std::slice::from_ref(&pair)).remove(0);
    assert!(words.starts_with("in these runs a was 100.0 points ahead of b"), "{words}");
    assert!(leader(&[pair]).unwrap().contains("with one seed these are single runs"));
    bad.seeded = false;
    good.runs = vec![good.runs[0].clone(), Run { seed: 1, ..good.runs[0].clone() }];
    assert_eq!(
        ahead(&compare_pair(&clips, [&good, &bad], Metric::Accuracy, 1)),
        Some("a"),
        "what has no seed needs only one run"
    );
}

#[test]
fn a_model_does_not_differ_from_itself() {
    let (_, clips, models) = bootstrap_case();
    let mut namesake = models[0].clone();
    namesake.name = "z".into();
    for metric in [Metric::Accuracy, Metric::BalancedAccuracy, Metric::MacroF1] {
        for other in [&models[0], &namesake] {
            let pair = compare_pair(&clips, [&models[0], other], metric, 1);
            assert_eq!((pair.difference, pair.p), (Some(0.0), Some(1.0)), "{metric:?}");
            let interval = pair.interval.unwrap();
            assert_eq!((interval.low, interval.high), (0.0, 0.0), "{metric:?}");
        }
    }
}

#[test]
fn swapping_the_models_changes_the_sign_and_nothing_else() {
    let (_, mut clips, models) = bootstrap_case();
    for unmatched in [false, true] {
        let mut b = models[1].clone();
        b.runs.iter_mut().for_each(|run| run.seed += u64::from(unmatched));
        let pair = compare_pair(&clips, [&models[0], &b], Metric::MacroF1, 1);
        assert_eq!(pair.clone().reversed(), compare_pair(&clips, [&b, &models[0]], Metric::MacroF1, 1));
        assert_eq!(pair.why.contains("apart"), unmatched, "{}", pair.why);
        assert!(pair.difference.unwrap() > 0.0 && pair.interval.unwrap().high > 0.0);
    }
    clips.test_parts = TestParts::RandomSplits { test_to_train: 0.1 };
    let in_splits = models.map(in_splits);
    let pair = compare_pair(&clips, [&in_splits[0], &in_splits[1]], Metric::Accuracy, 1);
    assert_eq!(pair.test, Test::NadeauBengio);
    let swapped = compare_pair(&clips, [&in_splits[1], &in_splits[0]], Metric::Accuracy, 1);
    assert_eq!(pair.reversed(), swapped);
}

/// The three runs of a model again and again as twelve random splits, a different fifth left out of each.
pub(super) fn in_splits(model: Model) -> Model {
    let runs = (0..12).map(|split| {
        let mut run = Run { split, ..model.runs[split % 3].clone() };
        run.predictions.iter_mut().skip(split % 5).step_by(5).for_each(|named| *named = None);
        run
    });
    Model { name: model.name.clone(), runs: runs.collect(), seeded: true }
}

#[test]
fn the_order_of_clips_and_of_runs_does_not_matter() {
    let (_, clips, models) = bootstrap_case();
    let mut order: Vec<usize> = (0..clips.labels.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(9));
    let shuffled = Clips {
        labels: order.iter().map(|&clip| clips.labels[clip]).collect(),
        groups: order.iter().map(|&clip| clips.groups[clip].clone()).collect(),
        ..clips.clone()
    };
    assert_ne!(shuffled, clips);
    let shuffled_models = models.clone().map(|mut model| {
        for run in &mut model.runs {
            run.predictions = order.iter().map(|&clip| run.predictions[clip]).collect();
        }
        model.runs.reverse();
        model
    });
    for metric in [Metric::Accuracy, Metric::BalancedAccuracy, Metric::MacroF1] {
        assert_eq!(compare_all(&clips, &models, metric, 1), compare_all(&shuffled, &shuffled_models, metric, 1));
        let interval = |clips: &Clips, model: &Model, seed: u64| bootstrap_interval(clips, model, metric, seed);
        assert_eq!(interval(&clips, &models[0], 1), interval(&shuffled, &shuffled_models[0], 1));
        assert_ne!(interval(&clips, &models[0], 1), interval(&clips, &models[0], 2), "the seed decides");
    }
}

#[test]
fn seeds_that_differ_widen_the_interval() {
    let (_, clips, models) = bootstrap_case();
    let one = Model { runs: vec![models[0].runs[0].clone(); 3], ..models[0].clone() };
    let width = |model: &Model| {
        let interval = bootstrap_interval(&clips, model, Metric::Accuracy, 1).unwrap();
        interval.high - interval.low
    };
    let mut hopeless = one.clone();
    hopeless.runs[0].predictions = clips.labels.iter().map(|&label| Some((label + 1) % 4)).collect();
    assert!(width(&hopeless) > 1.5 * width(&one), "{} {}", width(&hopeless), width(&one));
}

#[test]
fn one_group_or_no_run_has_no_interval_and_no_p_value() {
    let (_, mut clips, models) = bootstrap_case();
    let untrained = Model { name: "none".into(), runs: Vec::new(), seeded: true };
    assert_eq!(bootstrap_interval(&clips, &untrained, Metric::Accuracy, 1), None);
    let pair = compare_pair(&clips, [&models[0], &untrained], Metric::Accuracy, 1);
    assert_eq!((pair.difference, pair.p, pair.p_holm, pair.interval), (None, None, None, None));

    clips.groups.fill("one".into());
    assert_eq!(bootstrap_interval(&clips, &models[0], Metric::Accuracy, 1), None);
    let all = compare_all(&clips, &models, Metric::Accuracy, 1);
    assert!(all.iter().all(|pair| pair.difference.is_some() && pair.p.is_none() && pair.p_holm.is_none()));
    assert_eq!(sentences(&all)[0], "a and b cannot be compared: 1 artist in the test part");
}

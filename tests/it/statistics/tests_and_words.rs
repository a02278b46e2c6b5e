//! Which test is chosen and why, and what a comparison comes to in words.

use super::bootstrap_case;
use super::properties::in_splits;
use melgrad::compare::statistics::*;
use melgrad::train::metrics::Interval;

/// The first run of each of the fixture's models, every clip a track of its own.
fn single_runs() -> (Clips, [Model; 3]) {
    let (_, mut clips, mut models) = bootstrap_case();
    clips.groups = (0..clips.labels.len()).map(|clip| format!("{clip:03}")).collect();
    clips.group_noun = "track".into();
    models.iter_mut().for_each(|model| model.runs.truncate(1));
    (clips, models)
}

#[test]
fn single_runs_on_independent_clips_are_compared_by_mcnemar() {
    let (clips, [a, b, partial]) = single_runs();
    let right = |model: &Model, clip: usize| model.runs[0].predictions[clip] == Some(clips.labels[clip]);
    let only = |a: &Model, b: &Model| (0..clips.labels.len()).filter(|&clip| right(a, clip) && !right(b, clip)).count();
    let expected = mcnemar(only(&a, &b), only(&b, &a));

    let pair = compare_pair(&clips, [&a, &b], Metric::Accuracy, 1);
    assert_eq!((pair.test, pair.p), (Test::McnemarExact, Some(expected.p)));
    assert!(pair.why.contains("of other seeds it says nothing"), "{}", pair.why);
    assert!(expected.exact && pair.interval.is_some());

    for (why, clips, models, metric) in [
        ("the models were not tested on the same clips", clips.clone(), [&a, &partial], Metric::Accuracy),
        ("McNemar's test is of accuracy, not macro F1", clips.clone(), [&a, &b], Metric::MacroF1),
        ("clips of one track are not independent", paired_up(clips.clone()), [&a, &b], Metric::Accuracy),
    ] {
        let pair = compare_pair(&clips, models, metric, 1);
        let why = format!("paired bootstrap over whole tracks: {why}; of other seeds it says nothing");
        assert_eq!((pair.test, pair.why), (Test::PairedBootstrap, why));
    }
}

/// Two clips of every track.
fn paired_up(mut clips: Clips) -> Clips {
    clips.groups = (0..clips.labels.len()).map(|clip| format!("{:03}", clip / 2)).collect();
    clips
}

#[test]
fn ten_random_splits_are_compared_by_nadeau_and_bengio_and_nine_by_the_bootstrap() {
    let (_, mut clips, models) = bootstrap_case();
    clips.test_parts = TestParts::RandomSplits { test_to_train: 0.125 };
    let mut models = models.map(in_splits);
    let differences: Vec<f64> = (0..12)
        .map(|split| {
            let [a, b] = [0, 1].map(|model: usize| {
                let matrix = models[model].runs[split].confusion_matrix(&clips);
                matrix.accuracy().unwrap()
            });
            a - b
        })
        .collect();
    let expected = resampled_t(&differences, 0.125).unwrap();
    let pair = compare_pair(&clips, [&models[0], &models[1]], Metric::Accuracy, 1);
    assert_eq!((pair.test, pair.p, pair.difference), (Test::NadeauBengio, Some(expected.p), Some(expected.mean)));
    assert_eq!(pair.interval.map(|interval| [interval.low, interval.high]), Some(expected.interval));
    assert!(pair.why.contains("12 random splits"), "{}", pair.why);

    models[1].runs.truncate(9);
    let pair = compare_pair(&clips, [&models[0], &models[1]], Metric::Accuracy, 1);
    assert_eq!(pair.test, Test::PairedBootstrap);
    assert!(pair.why.contains("fewer than 10 random splits"), "{}", pair.why);
}

#[test]
fn a_comparison_of_all_corrects_for_all_its_pairs() {
    let (_, clips, models) = bootstrap_case();
    let all = compare_all(&clips, &models, Metric::Accuracy, 1);
    let names: Vec<[&str; 2]> = all.iter().map(|pair| pair.models.each_ref().map(String::as_str)).collect();
    assert_eq!(names, [["a", "b"], ["a", "partial"], ["b", "partial"]]);
    let corrected = holm(&all.iter().map(|pair| pair.p.unwrap()).collect::<Vec<f64>>());
    assert_eq!(all.iter().map(|pair| pair.p_holm.unwrap()).collect::<Vec<f64>>(), corrected);
    assert!(all[0].p_holm > all[0].p);
    let json = serde_json::to_value(&all[0]).unwrap();
    assert_eq!((&json["test"], &json["metric"]), (&"paired_bootstrap".into(), &"accuracy".into()));
    assert_eq!(serde_json::from_value::<Comparison>(json).unwrap(), all[0]);
}

#[test]
fn wilson_stands_beside_single_runs_on_independent_clips_alone() {
    let (mut clips, [mut a, _, partial]) = single_runs();
    let method = |clips: &Clips, model: &Model, metric| interval(clips, model, metric, 1).unwrap().method;
    assert_eq!(method(&clips, &a, Metric::Accuracy), "Wilson score, independent clips, of one seed: of others it says nothing");
    a.seeded = false;
    assert_eq!(method(&clips, &a, Metric::Accuracy), "Wilson score, independent clips");
    assert_eq!(method(&clips, &a, Metric::MacroF1), "percentile bootstrap over groups");
    assert_eq!(method(&paired_up(clips.clone()), &a, Metric::Accuracy), "percentile bootstrap over groups");
    let tested = partial.runs[0].predictions.iter().flatten().count();
    assert_eq!(interval(&clips, &partial, Metric::Accuracy, 1).unwrap().groups, tested);
    let several = bootstrap_case().2;
    assert!(method(&clips, &several[0], Metric::Accuracy).contains("seeds resampled within and widened"));
    clips.test_parts = TestParts::Folds;
    assert_eq!(method(&clips, &a, Metric::Accuracy), "percentile bootstrap over groups", "folds are trained on each other");
}

fn pair(models: [&str; 2], values: [f64; 2], ends: [f64; 2], p_holm: f64) -> Comparison {
    Comparison {
        models: models.map(String::from),
        metric: Metric::Accuracy,
        values: values.map(Some),
        difference: Some(values[0] - values[1]),
        interval: Some(Interval {
            low: ends[0],
            high: ends[1],
            level: 0.95,
            method: "paired percentile bootstrap over groups".into(),
            groups: 57,
            resamples: REPLICATES,
            seed: 0,
        }),
        test: Test::PairedBootstrap,
        why: String::new(),
        p: Some(p_holm / 3.0),
        p_holm: Some(p_holm),
        one_seed: false,
        groups: 57,
        group_noun: "track".into(),
    }
}

fn three() -> Vec<Comparison> {
    vec![
        pair(["rnn", "lstm"], [0.7, 0.762], [-0.11, -0.011], 0.0201),
        pair(["rnn", "gru"], [0.7, 0.75], [-0.09, -0.0004], 0.0504),
        pair(["lstm", "gru"], [0.762, 0.75], [-0.0314, 0.0551], 0.4129),
    ]
}

#[test]
fn a_comparison_comes_to_plain_sentences() {
    let expected = [
        "lstm is ahead of rnn by 6.2 points (95 % interval 1.1 to 11.0, paired bootstrap over 57 tracks, p = 0.02 after Holm)",
        "between gru and rnn nothing can be told: gru was ahead by 5.0 points (95 % interval 0.0 to 9.0, paired bootstrap over \
         57 tracks, p = 0.05 after Holm)",
        "between lstm and gru nothing can be told: lstm was ahead by 1.2 points (95 % interval -3.1 to 5.5, paired bootstrap \
         over 57 tracks, p = 0.41 after Holm)",
    ];
    assert_eq!(sentences(&three()), expected);
    assert_eq!(
        leader(&three()).unwrap(),
        "lstm has the highest accuracy, 76.2%: it is ahead of rnn, and it cannot be told from gru"
    );
    assert_eq!(leader(&[]), None);
}

#[test]
fn sentences_fit_the_metric_the_test_and_a_single_pair() {
    for (change, expected) in [
        (
            (|pair: &mut Comparison| pair.metric = Metric::MacroF1) as fn(&mut Comparison),
            "lstm is ahead of rnn by 6.2 points of macro F1 (95 % interval 1.1 to 11.0, paired bootstrap over 57 tracks, p = 0.02)",
        ),
        (
            |pair| (pair.test, pair.p_holm) = (Test::McnemarExact, Some(0.00004)),
            "lstm is ahead of rnn by 6.2 points (95 % interval 1.1 to 11.0, exact McNemar test over 57 tracks, p < 0.001)",
        ),
        (
            |pair| (pair.test, pair.p_holm) = (Test::McnemarChiSquare, Some(0.0498)),
            "lstm is ahead of rnn by 6.2 points (95 % interval 1.1 to 11.0, McNemar's test over 57 tracks, p = 0.049)",
        ),
        (
            |pair| {
                pair.test = Test::NadeauBengio;
                pair.interval.as_mut().unwrap().method = "corrected resampled t-test over 12 random splits".into();
            },
            "lstm is ahead of rnn by 6.2 points (95 % interval 1.1 to 11.0, corrected resampled t-test over 12 random splits, \
             p = 0.02)",
        ),
        (
            |pair| (pair.difference, pair.p_holm) = (Some(0.0), Some(1.0)),
            "between rnn and lstm nothing can be told: they are level (95 % interval -11.0 to -1.1, paired bootstrap over 57 \
             tracks, p = 1.00)",
        ),
    ] {
        let mut pair = three().remove(0);
        change(&mut pair);
        assert_eq!(sentences(&[pair]), [expected]);
    }
}

#[test]
fn under_thirty_groups_nothing_is_claimed() {
    assert_eq!(too_few_groups(29, "artist").unwrap(), "29 artists in the test part: too few to tell");
    assert_eq!(too_few_groups(30, "artist"), None);
    let mut few = three();
    few.iter_mut().for_each(|pair| (pair.groups, pair.group_noun) = (29, "artist".into()));
    assert_eq!(
        sentences(&few)[0],
        "between lstm and rnn nothing can be told with 29 artists in the test part: lstm was ahead by 6.2 points (95 % \
         interval 1.1 to 11.0, paired bootstrap over 29 artists, p = 0.02 after Holm)"
    );
    assert_eq!(
        leader(&few).unwrap(),
        "lstm has the highest accuracy, 76.2%, but 29 artists in the test part are too few to tell"
    );
}

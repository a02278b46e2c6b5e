//! Models against each other, each pair with the test that its runs allow.

use super::bootstrap::{Drawn, difference, negated, tidy};
use super::interval::independent;
use super::{Clips, Metric, Model, Run, Tally, TestParts, holm, mcnemar, resampled_t};
use crate::train::metrics::Interval;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// With fewer random splits in common the variance over splits is too poorly known for a t-test.
pub const FEWEST_SPLITS: usize = 10;

/// How a p-value was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// [`super::bootstrap_difference`].
    PairedBootstrap,
    /// [`mcnemar()`], the binomial distribution itself.
    McnemarExact,
    /// [`mcnemar()`], the chi-square approximation.
    McnemarChiSquare,
    /// [`resampled_t()`].
    NadeauBengio,
}

/// Two models on the same clips.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The names of the models.
    pub models: [String; 2],
    /// What is compared.
    pub metric: Metric,
    /// Each model's value, the mean over its runs; null if the metric has no denominator.
    pub values: [Option<f64>; 2],
    /// The first's value less the second's; over the splits that both have where that is the test.
    pub difference: Option<f64>,
    /// Its 95 % interval, of this pair alone; null with fewer than two groups.
    pub interval: Option<Interval>,
    /// How the p-value was found.
    pub test: Test,
    /// Why so, in words.
    pub why: String,
    /// Two-sided p-value of there being no difference; null where the interval is.
    pub p: Option<f64>,
    /// The same after [`holm()`] over all pairs of the comparison.
    pub p_holm: Option<f64>,
    /// Whether the runs of one of them say nothing of other seeds, there being a single one.
    pub one_seed: bool,
    /// Groups of clips.
    pub groups: usize,
    /// What a group is, in the singular.
    pub group_noun: String,
}

/// Compares every two of `models`, in their order, and corrects the p-values for how many pairs there are.
pub fn compare_all(clips: &Clips, models: &[Model], metric: Metric, seed: u64) -> Vec<Comparison> {
    let drawn: Vec<Drawn> = models.iter().map(|model| Drawn::new(clips, model, metric, seed)).collect();
    let mut all: Vec<Comparison> = (0..models.len())
        .flat_map(|a| (a + 1..models.len()).map(move |b| (a, b)))
        .map(|(a, b)| compare(clips, [&drawn[a], &drawn[b]]))
        .collect();
    let corrected = holm(&all.iter().filter_map(|pair| pair.p).collect::<Vec<f64>>());
    for (pair, corrected) in all.iter_mut().filter(|pair| pair.p.is_some()).zip(corrected) {
        pair.p_holm = Some(corrected);
    }
    all
}

/// Compares two models by the test that their runs allow, as the only pair there is.
///
/// Ten or more random splits: Nadeau-Bengio. The accuracy of one run each on clips that are independent: McNemar, beside
/// the bootstrap's interval. Otherwise the paired bootstrap over groups. `seed` is that of the bootstrap's draws.
pub fn compare_pair(clips: &Clips, models: [&Model; 2], metric: Metric, seed: u64) -> Comparison {
    compare(clips, models.map(|model| Drawn::new(clips, model, metric, seed)).each_ref())
}

fn compare(clips: &Clips, [a, b]: [&Drawn; 2]) -> Comparison {
    if a.model.name > b.model.name {
        return compare(clips, [b, a]).reversed();
    }
    let (models, metric) = ([a.model, b.model], a.metric);
    let mut comparison = undecided(clips, [a, b]);
    if let Some(decided) = over_splits(clips, models, &comparison) {
        return decided;
    }
    if let Some(bootstrap) = difference([a, b]) {
        comparison = Comparison {
            difference: Some(bootstrap.difference),
            interval: Some(bootstrap.interval),
            why: why_bootstrap(clips, models, metric, bootstrap.matched),
            p: Some(bootstrap.p),
            p_holm: Some(bootstrap.p),
            ..comparison
        };
    }
    if let ([a], [b], Metric::Accuracy, Some(_)) = (&*models[0].runs, &*models[1].runs, metric, comparison.p)
        && same_clips(a, b)
        && independent(clips, a)
    {
        let test = mcnemar(only(clips, a, b), only(clips, b, a));
        comparison.test = if test.exact { Test::McnemarExact } else { Test::McnemarChiSquare };
        (comparison.p, comparison.p_holm) = (Some(test.p), Some(test.p));
        comparison.why = match clips.group_noun.as_str() {
            "clip" => "McNemar's test: one run each, clips taken for independent; of other seeds it says nothing".into(),
            noun => format!(
                "McNemar's test: one run each and one clip of every {noun}, so that clips are independent; of other seeds it says \
                 nothing"
            ),
        };
    }
    comparison
}

/// Names and values, without a p-value.
fn undecided(clips: &Clips, drawn: [&Drawn; 2]) -> Comparison {
    let values = drawn.map(|drawn| drawn.tally.value(drawn.metric));
    Comparison {
        models: drawn.map(|drawn| drawn.model.name.clone()),
        metric: drawn[0].metric,
        values,
        difference: values[0].zip(values[1]).map(|(a, b)| tidy(a - b)),
        interval: None,
        test: Test::PairedBootstrap,
        why: format!("nothing can be tested with fewer than two {}s or without runs", clips.group_noun),
        p: None,
        p_holm: None,
        one_seed: drawn.iter().any(|drawn| drawn.model.seeded && drawn.tally.runs() < 2),
        groups: drawn[0].tally.groups(),
        group_noun: clips.group_noun.clone(),
    }
}

/// The corrected resampled t-test, if the models have enough random splits in common.
fn over_splits(clips: &Clips, models: [&Model; 2], undecided: &Comparison) -> Option<Comparison> {
    let TestParts::RandomSplits { test_to_train } = clips.test_parts else { return None };
    let [a, b] = models.map(|model| model.runs.iter().map(|run| run.split).collect::<BTreeSet<usize>>());
    let of_split = |model: &Model, split: usize| {
        let runs = model.runs.iter().filter(|run| run.split == split).cloned().collect();
        Tally::new(clips, &Model { runs, ..model.clone() }).value(undecided.metric)
    };
    let differences: Vec<f64> =
        a.intersection(&b).filter_map(|&split| Some(tidy(of_split(models[0], split)? - of_split(models[1], split)?))).collect();
    let splits = differences.len();
    let test = resampled_t(&differences, test_to_train).filter(|_| splits >= FEWEST_SPLITS)?;
    Some(Comparison {
        difference: Some(test.mean),
        interval: Some(Interval {
            low: test.interval[0],
            high: test.interval[1],
            level: 0.95,
            method: format!("corrected resampled t-test (Nadeau-Bengio) over {splits} random splits"),
            groups: undecided.groups,
            resamples: 0,
            seed: 0,
        }),
        test: Test::NadeauBengio,
        why: format!(
            "the corrected resampled t-test (Nadeau and Bengio 2003): {splits} random splits share clips, which an ordinary \
             t-test would take for new ones"
        ),
        p: Some(test.p),
        p_holm: Some(test.p),
        ..undecided.clone()
    })
}

fn why_bootstrap(clips: &Clips, models: [&Model; 2], metric: Metric, matched: bool) -> String {
    let noun = &clips.group_noun;
    let single = models.iter().all(|model| model.runs.len() == 1);
    let shared = models.iter().flat_map(|model| &model.runs).any(|run| !independent(clips, run));
    let mut reasons = Vec::new();
    if clips.test_parts == TestParts::Folds {
        reasons.push("folds are trained on each other's clips".to_owned());
    } else if shared {
        reasons.push(format!("clips of one {noun} are not independent"));
    }
    match (single, matched) {
        (true, _) if !shared && metric != Metric::Accuracy => {
            reasons.push(format!("McNemar's test is of accuracy, not {}", metric.name()))
        }
        (true, _) => {}
        (false, true) => reasons.push("seeds differ too, and are drawn for both models together".into()),
        (false, false) => reasons.push("seeds differ too, and are drawn for each model apart".into()),
    }
    if let TestParts::RandomSplits { .. } = clips.test_parts {
        reasons.push(format!("fewer than {FEWEST_SPLITS} random splits are too few for a t-test"));
    }
    if reasons.is_empty() {
        reasons.push("the models were not tested on the same clips".into());
    }
    if single && models.iter().any(|model| model.seeded) {
        reasons.push("of other seeds it says nothing".into());
    }
    format!("paired bootstrap over whole {noun}s: {}", reasons.join("; "))
}

fn same_clips(a: &Run, b: &Run) -> bool {
    a.predictions.len() == b.predictions.len()
        && a.predictions.iter().zip(&b.predictions).all(|(a, b)| a.is_some() == b.is_some())
}

/// Clips that `a` names rightly and `b` does not.
fn only(clips: &Clips, a: &Run, b: &Run) -> usize {
    let right = |run: &Run, clip: usize| run.predictions[clip] == Some(clips.labels[clip]);
    (0..clips.labels.len()).filter(|&clip| right(a, clip) && !right(b, clip)).count()
}

impl Comparison {
    /// The same of the second model to the first.
    pub fn reversed(self) -> Self {
        let [a, b] = self.models;
        Self {
            models: [b, a],
            values: [self.values[1], self.values[0]],
            difference: self.difference.map(|difference| 0.0 - difference),
            interval: self.interval.map(negated),
            ..self
        }
    }
}

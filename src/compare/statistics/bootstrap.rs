//! The bootstrap over whole groups (Efron 1979), runs resampled within each draw of groups.
//!
//! Every replicate draws as many groups as there are, with replacement, and as many runs as there are; its value is the
//! mean over those runs of the metric over those groups' clips. So an interval speaks of other music and of other seeds.
//! Where two models are compared they see the same groups and, if their runs match by split and seed, the same runs.
//!
//! Few runs vary less among themselves than runs do, and a percentile of a few draws is no quantile of Student's t: what a
//! replicate owes to its runs is widened by [`widening`], so that intervals of two to ten seeds hold what they promise.

use super::{Clips, Draw, Metric, Model, Run, Tally};
use crate::train::metrics::Interval;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{ContinuousCDF, StudentsT};
use std::cell::OnceCell;

/// Draws of a bootstrap: the smallest p-value is 2 in 10,001, which Holm's correction over 15 pairs leaves at 0.003.
pub const REPLICATES: usize = 10_000;

/// Smaller differences come from the order of sums.
const NOTHING: f64 = 1e-12;

/// 97.5 % of the normal distribution lie below it.
const Z: f64 = 1.959963984540054;

/// ChaCha's streams: groups are drawn alike for all models, runs alike for models whose runs match.
const GROUPS: u64 = 0;
const RUNS: [u64; 2] = [1, 2];

/// How far one model is ahead of another.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The first's value less the second's.
    pub difference: f64,
    /// Its 95 % interval.
    pub interval: Interval,
    /// Two-sided p-value of there being none, see [`bootstrap_p`].
    pub p: f64,
    /// Whether the models' runs were drawn together.
    pub matched: bool,
}

/// The 95 % interval of `metric` over other groups and other seeds; none with fewer than two groups or without a value.
///
/// One run cannot tell how seeds differ: its interval speaks of other groups alone. All clips right (or wrong) give an
/// interval of no width: the bootstrap cannot see errors that did not happen.
pub fn bootstrap_interval(clips: &Clips, model: &Model, metric: Metric, seed: u64) -> Option<Interval> {
    let drawn = Drawn::new(clips, model, metric, seed);
    let values: Vec<f64> = drawn.replicates(0)?.iter().copied().flatten().collect();
    let method = match (drawn.tally.runs(), model.seeded) {
        (1, true) => "percentile bootstrap over groups, of one seed: of others it says nothing",
        (1, false) => "percentile bootstrap over groups",
        _ => "percentile bootstrap over groups, seeds resampled within and widened for their number",
    };
    if values.is_empty() {
        return None;
    }
    let interval = Interval::of_resamples(values, method, drawn.tally.groups(), seed);
    // Widened, it may reach past what any metric can be.
    Some(Interval { low: interval.low.max(0.0), high: interval.high.min(1.0), ..interval })
}

/// How far `a` is ahead of `b`; none with fewer than two groups or without a value.
///
/// Swapping the models changes the sign and nothing else.
pub fn bootstrap_difference(clips: &Clips, [a, b]: [&Model; 2], metric: Metric, seed: u64) -> Option<Difference> {
    difference([a, b].map(|model| Drawn::new(clips, model, metric, seed)).each_ref())
}

/// [`bootstrap_difference`] of models that may have been drawn before, of one metric and seed.
pub(super) fn difference([a, b]: [&Drawn; 2]) -> Option<Difference> {
    if a.model.name > b.model.name {
        return difference([b, a]).map(Difference::reversed);
    }
    let matched = a.keys() == b.keys();
    let (first, second) = (a.replicates(0)?, b.replicates(usize::from(!matched))?);
    let differences: Vec<f64> = first.iter().zip(second).filter_map(|(a, b)| Some(tidy((*a)? - (*b)?))).collect();
    if differences.is_empty() {
        return None;
    }
    let method = match (matched, a.tally.runs()) {
        (true, 1) => "paired percentile bootstrap over groups",
        (true, _) => "paired percentile bootstrap over groups, matched seeds resampled within",
        (false, _) => "paired percentile bootstrap over groups, each model's seeds resampled within",
    };
    Some(Difference {
        difference: tidy(a.tally.value(a.metric)? - b.tally.value(b.metric)?),
        p: bootstrap_p(&differences),
        interval: Interval::of_resamples(differences, method, a.tally.groups(), a.seed),
        matched,
    })
}

/// A model and, once they have been asked for, its values in every draw: what all pairs with it share.
pub(super) struct Drawn<'a> {
    pub(super) model: &'a Model,
    pub(super) tally: Tally,
    pub(super) metric: Metric,
    seed: u64,
    /// By the place in [`RUNS`] of the stream that runs were drawn from.
    values: [OnceCell<Option<Vec<Option<f64>>>>; 2],
}

impl<'a> Drawn<'a> {
    pub(super) fn new(clips: &Clips, model: &'a Model, metric: Metric, seed: u64) -> Self {
        Self { model, tally: Tally::new(clips, model), metric, seed, values: Default::default() }
    }

    fn keys(&self) -> Vec<(usize, u64)> {
        let mut keys: Vec<_> = self.model.runs.iter().map(Run::key).collect();
        keys.sort_unstable();
        keys
    }

    /// The metric of every draw; none with fewer than two groups, which say nothing of how groups differ, or without runs.
    fn replicates(&self, stream: usize) -> Option<&[Option<f64>]> {
        let draw = || {
            let [mut groups, mut runs] = [GROUPS, RUNS[stream]].map(|stream| {
                let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
                rng.set_stream(stream);
                rng
            });
            let numbers = |rng: &mut ChaCha8Rng, count: usize| (0..count).map(|_| rng.random_range(0..count)).collect();
            let draws = (0..REPLICATES)
                .map(|_| Draw { groups: numbers(&mut groups, self.tally.groups()), runs: numbers(&mut runs, self.tally.runs()) });
            let every: Vec<usize> = (0..self.tally.runs()).collect();
            let wider = widening(every.len());
            let value = |draw: Draw| {
                let drawn = self.tally.of(self.metric, &draw)?;
                if every.len() < 2 {
                    return Some(drawn);
                }
                let all = self.tally.of(self.metric, &Draw { runs: every.clone(), ..draw })?;
                Some(all + wider * (drawn - all))
            };
            draws.map(value).collect()
        };
        let possible = self.tally.groups() > 1 && self.tally.runs() > 0;
        self.values[stream].get_or_init(|| possible.then(draw)).as_deref()
    }
}

/// By how much the part of a replicate that comes from its runs is widened: `sqrt(n / (n - 1))`, since resampling `n` runs
/// gives the variance that divides by `n`, times the 97.5 % quantile of Student's t with `n - 1` degrees of freedom over
/// that of the normal distribution. 9.2 for two runs, 1.6 for five, 1.2 for ten; 1 for a single one, which cannot vary.
pub fn widening(runs: usize) -> f64 {
    if runs < 2 {
        return 1.0;
    }
    let n = runs as f64;
    let distribution = StudentsT::new(0.0, 1.0, n - 1.0).expect("there is a degree of freedom");
    (n / (n - 1.0)).sqrt() * distribution.inverse_cdf(0.975) / Z
}

/// The two-sided p-value of no difference, of a bootstrap's `differences`: twice the smaller share on either side of 0.
///
/// Zeros count on both sides, and one replicate is added to each, so that it is never 0 (Davison and Hinkley 1997, 4.2).
pub fn bootstrap_p(differences: &[f64]) -> f64 {
    let below = differences.iter().filter(|&&d| d <= 0.0).count();
    let above = differences.iter().filter(|&&d| d >= 0.0).count();
    (2.0 * (1 + below.min(above)) as f64 / (1 + differences.len()) as f64).min(1.0)
}

/// The difference, or 0 where it is rounding.
pub(super) fn tidy(difference: f64) -> f64 {
    if difference.abs() < NOTHING { 0.0 } else { difference }
}

impl Difference {
    /// Of the second model to the first.
    fn reversed(self) -> Self {
        Self { difference: 0.0 - self.difference, interval: negated(self.interval), ..self }
    }
}

/// The interval of the negative of what it is of.
pub(super) fn negated(interval: Interval) -> Interval {
    // Not `-0.0`, which would be written so.
    Interval { low: 0.0 - interval.high, high: 0.0 - interval.low, ..interval }
}

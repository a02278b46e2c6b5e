//! What a comparison comes to, in plain sentences.

use super::{Comparison, Metric, Test};
pub use crate::report::words::too_few_groups;
use crate::report::words::{count, listed, percent};

/// Corrected p-values below it count as a difference.
const LEVEL: f64 = 0.05;

/// One sentence for each pair: who is ahead and by how much, or that nothing can be told.
///
/// `lstm is ahead of rnn by 6.2 points (95 % interval 1.1 to 11.0, paired bootstrap over 57 tracks, p = 0.02 after Holm)`.
/// Someone is ahead only if there are groups enough, more than one seed of every network, and the p-value after Holm's correction is below 0.05; the interval is
/// of the pair alone and not corrected, so that it can leave out 0 where nothing can be told.
pub fn sentences(pairs: &[Comparison]) -> Vec<String> {
    pairs.iter().map(|pair| sentence(&ahead_first(pair), pairs.len())).collect()
}

/// The best model, those that it is ahead of and those that it cannot be told from; none without values.
///
/// `pairs` are all of one comparison. Of equal models the one that is named first counts as best.
pub fn leader(pairs: &[Comparison]) -> Option<String> {
    let named = pairs.iter().flat_map(|pair| pair.models.iter().zip(pair.values));
    let mut best: Option<(&String, f64)> = None;
    for (name, value) in named.filter_map(|(name, value)| Some((name, value?))) {
        if best.is_none_or(|(_, most)| value > most) {
            best = Some((name, value));
        }
    }
    let (best, value) = best?;
    let metric = pairs[0].metric.name();
    let opening = format!("{best} has the highest {metric}, {}", percent(value));
    if too_few_groups(pairs[0].groups, &pairs[0].group_noun).is_some() {
        let groups = count(pairs[0].groups, &pairs[0].group_noun);
        return Some(format!("{opening}, but {groups} in the test part are too few to tell"));
    }
    let own = || pairs.iter().filter(|pair| pair.models.contains(best));
    if own().all(|pair| pair.one_seed) {
        return Some(format!("{opening}; with one seed these are single runs, not networks: --seeds 5 tells more"));
    }
    let (mut behind, mut level) = (Vec::new(), Vec::new());
    for pair in own() {
        let pair = ahead_first(pair);
        let other = pair.models.iter().find(|name| *name != best).unwrap_or(best).clone();
        if told(&pair) && pair.models[0] == *best { behind.push(other) } else { level.push(other) }
    }
    let parts = [("it is ahead of", behind), ("it cannot be told from", level)]
        .map(|(words, names)| (!names.is_empty()).then(|| format!("{words} {}", listed(&names))));
    Some(format!("{opening}: {}", parts.into_iter().flatten().collect::<Vec<_>>().join(", and ")))
}

/// The model that is ahead of the other, where that can be told; see [`sentences`].
pub fn ahead(pair: &Comparison) -> Option<&str> {
    let first = pair.difference.is_some_and(|difference| difference > 0.0);
    told(pair).then(|| pair.models[usize::from(!first)].as_str())
}

fn sentence(pair: &Comparison, pairs: usize) -> String {
    let Comparison { models: [a, b], groups, group_noun, .. } = pair;
    let Some((difference, evidence)) = pair.difference.zip(evidence(pair, pairs)) else {
        return format!("{a} and {b} cannot be compared: {} in the test part", count(*groups, group_noun));
    };
    let points = points(difference);
    let unit = match pair.metric {
        Metric::Accuracy => "points".to_owned(),
        metric => format!("points of {}", metric.name()),
    };
    let lead = match points.as_str() {
        "0.0" => "they are level".to_owned(),
        _ => format!("{a} was ahead by {points} {unit}"),
    };
    let lead_of = || format!("{a} was {points} {unit} ahead of {b}");
    if too_few_groups(*groups, group_noun).is_some() {
        let groups = count(*groups, group_noun);
        return format!("between {a} and {b} nothing can be told with {groups} in the test part: {lead} ({evidence})");
    }
    if pair.one_seed && pair.p_holm.is_some_and(|p| p < LEVEL) {
        return format!("in these runs {} ({evidence}); of one seed, they tell nothing of other runs", lead_of());
    }
    match told(pair) {
        true => format!("{a} is ahead of {b} by {points} {unit} ({evidence})"),
        false => format!("between {a} and {b} nothing can be told: {lead} ({evidence})"),
    }
}

/// Interval, test and p-value.
fn evidence(pair: &Comparison, pairs: usize) -> Option<String> {
    let groups = count(pair.groups, &pair.group_noun);
    let test = match pair.test {
        Test::PairedBootstrap => format!("paired bootstrap over {groups}"),
        Test::McnemarExact => format!("exact McNemar test over {groups}"),
        Test::McnemarChiSquare => format!("McNemar's test over {groups}"),
        Test::NadeauBengio => pair.interval.as_ref()?.method.clone(),
    };
    let interval = pair.interval.as_ref()?;
    let after = if pairs > 1 { " after Holm" } else { "" };
    Some(format!(
        "95 % interval {} to {}, {test}, p {}{after}",
        points(interval.low),
        points(interval.high),
        p_value(pair.p_holm?)
    ))
}

/// Whether there are groups and seeds enough and the corrected p-value is small.
fn told(pair: &Comparison) -> bool {
    !pair.one_seed && too_few_groups(pair.groups, &pair.group_noun).is_none() && pair.p_holm.is_some_and(|p| p < LEVEL)
}

fn ahead_first(pair: &Comparison) -> Comparison {
    if pair.difference.is_some_and(|difference| difference < 0.0) { pair.clone().reversed() } else { pair.clone() }
}

/// `6.2` for 0.062; never `-0.0`.
fn points(share: f64) -> String {
    let text = format!("{:.1}", 100.0 * share);
    if text == "-0.0" { "0.0".into() } else { text }
}

/// `= 0.021`, `= 0.02`, `= 0.41`, `< 0.001`.
fn p_value(p: f64) -> String {
    match p {
        p if p < 0.001 => "< 0.001".into(),
        // Rounded down, so that nothing below 0.05 is written as 0.05.
        p if p < 0.1 => format!("= {:.3}", (p * 1000.0).floor() / 1000.0).trim_end_matches('0').to_owned(),
        p => format!("= {p:.2}"),
    }
}

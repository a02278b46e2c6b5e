//! Two saved outputs beside each other.

use super::saved::{Saved, Unit};
use serde::Serialize;
use std::path::PathBuf;

/// Times that are nearer than this share are called the same: two runs of one program differ by as much.
const SAME: f64 = 0.02;

/// Where the times of one side come from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    /// The file.
    pub file: PathBuf,
    /// The adapter.
    pub adapter: String,
}

/// One workload that both sides have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparisonRow {
    /// Its name.
    pub workload: String,
    /// What the times count.
    pub unit: Unit,
    /// The first file's.
    pub a: f64,
    /// The second file's.
    pub b: f64,
    /// a / b: above 1 the second is faster.
    pub ratio: f64,
    /// `a`, `b`, or `same` within 2 %.
    pub faster: &'static str,
}

/// Two outputs of `melgrad bench`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The first.
    pub a: Side,
    /// The second.
    pub b: Side,
    /// Workloads of both, in the order of the first.
    pub rows: Vec<ComparisonRow>,
    /// Workloads of the first alone.
    pub only_a: Vec<String>,
    /// Workloads of the second alone.
    pub only_b: Vec<String>,
}

/// Puts `b` beside `a`.
pub fn compare(a: &Saved, b: &Saved) -> Comparison {
    let side = |saved: &Saved| Side { file: saved.path.clone(), adapter: saved.adapter.clone() };
    let of = |saved: &Saved, name: &str, unit: Unit| {
        saved.figures.iter().find(|(other, figure)| other == name && figure.unit == unit).map(|(_, figure)| figure.value)
    };
    let alone = |saved: &Saved, other: &Saved| {
        let alone = saved.figures.iter().filter(|(name, figure)| of(other, name, figure.unit).is_none());
        alone.map(|(name, _)| name.clone()).collect()
    };
    let rows = a.figures.iter().filter_map(|(name, figure)| {
        let (a, b) = (figure.value, of(b, name, figure.unit)?);
        let ratio = a / b;
        let faster = if ratio.max(1.0 / ratio) <= 1.0 + SAME { "same" } else { ["a", "b"][usize::from(ratio > 1.0)] };
        Some(ComparisonRow { workload: name.clone(), unit: figure.unit, a, b, ratio, faster })
    });
    Comparison { a: side(a), b: side(b), rows: rows.collect(), only_a: alone(a, b), only_b: alone(b, a) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn what_both_have_is_compared_and_the_rest_is_listed() {
        let saved = |name: &str, rows: &[(&str, f64)]| {
            let row = |(workload, ms): &(&str, f64)| {
                format!(r#"{{"workload": "{workload}", "ms_per_step": {ms}, "adapter": "of {name}"}}"#)
            };
            Saved::from_text(&rows.iter().map(row).collect::<Vec<_>>().join("\n"), Path::new(name)).unwrap()
        };
        let a = saved("a", &[("gru", 6.0), ("rnn", 1.0), ("lstm", 1.01), ("bbnn", 4.0)]);
        let b = saved("b", &[("lstm", 1.0), ("indrnn", 2.0), ("gru", 3.0), ("rnn", 2.0)]);
        let comparison = compare(&a, &b);
        let rows: Vec<_> = comparison.rows.iter().map(|row| (row.workload.as_str(), row.ratio, row.faster)).collect();
        assert_eq!(rows, [("gru", 2.0, "b"), ("rnn", 0.5, "a"), ("lstm", 1.01, "same")]);
        assert_eq!((comparison.only_a, comparison.only_b), (vec!["bbnn".into()], vec!["indrnn".to_owned()]));
        assert_eq!(comparison.b.adapter, "of b");
    }
}

//! What `bench` prints for people.

use super::{Kernels, Step};
use crate::bench::{Ceilings, Comparison, EpochMeasurement, Unit, Workload};
use crate::gpu::Profile;
use crate::report::table::{Column, Table};
use Column::{Left, Right};
use std::fmt::Write;

/// Three digits that say something, and no more.
fn figure(value: f64) -> String {
    let decimals = if value == 0.0 { 0 } else { (2 - value.abs().log10().floor() as i32).clamp(0, 4) as usize };
    format!("{value:.decimals$}")
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), figure)
}

/// What every share is a share of.
fn ceilings(ceilings: &Ceilings) -> String {
    let Ceilings { copy_gb_per_s, fma_gflop_per_s, copied_bytes, timestamps } = ceilings;
    let clock = if *timestamps { "the device's clock" } else { "the host's clock, submissions and waits included" };
    format!(
        "At most, by {clock}: {} GB/s read and written by a copy of {} MiB, {} GFLOP/s of products in registers.",
        figure(*copy_gb_per_s),
        copied_bytes >> 20,
        figure(*fma_gflop_per_s)
    )
}

/// Steps, and what they cannot go below.
pub(super) fn steps(steps: &[Step], most: Option<&Ceilings>) -> String {
    let mut columns = vec![
        Left("workload"),
        Right("ms/step"),
        Right("median"),
        Right("gpu ms"),
        Right("host ms"),
        Right("dispatches"),
        Right("submissions"),
        Right("GB bound"),
        Right("G work"),
        Right("peak MB"),
    ];
    if most.is_some() {
        columns.extend([Right("floor of bytes"), Right("floor of work")]);
    }
    let mut table = Table::new(&columns);
    for Step { measured, floors, .. } in steps {
        let mut cells = vec![
            measured.workload.clone(),
            figure(measured.ms_per_step),
            figure(measured.ms_per_step_median),
            optional(measured.gpu_ms),
            figure(measured.host_ms),
            measured.dispatches.to_string(),
            measured.submissions.to_string(),
            figure(measured.bytes_bound as f64 / 1e9),
            figure(measured.work as f64 / 1e9),
            format!("{:.0}", measured.peak_bytes as f64 / 1e6),
        ];
        cells.extend(floors.iter().flat_map(|floors| [figure(floors.floor_bytes_ms), figure(floors.floor_work_ms)]));
        table.row(cells);
    }
    let adapter = steps.first().map_or("", |step| step.measured.adapter.as_str());
    let mut text = format!("{adapter}\n\n{table}");
    if let Some(most) = most {
        let _ = write!(
            text,
            "\n\n{}\nFloors are the milliseconds that the bytes bound and the work take at these rates.",
            ceilings(most)
        );
    }
    text
}

/// Seconds per epoch, and which of them are reckoned.
pub(super) fn epochs(measured: &[EpochMeasurement]) -> String {
    let mut table = Table::new(&[
        Left("network"),
        Right("s/epoch"),
        Right("quartiles"),
        Right("gpu s"),
        Right("data s"),
        Right("batch"),
        Right("batches"),
        Right("timed"),
        Right("turns"),
        Right("peak MB"),
    ]);
    for row in measured {
        table.row([
            row.model.to_string(),
            figure(row.seconds_per_epoch),
            format!("{}-{}", figure(row.seconds_per_epoch_q1), figure(row.seconds_per_epoch_q3)),
            optional(row.gpu_seconds),
            figure(row.data_seconds),
            row.batch_size.to_string(),
            row.batches.to_string(),
            row.batches_timed.to_string(),
            row.turns.to_string(),
            format!("{:.0}", row.peak_bytes as f64 / 1e6),
        ]);
    }
    let Some(first) = measured.first() else { return String::new() };
    let mut text = format!(
        "{}: an epoch of {} made-up clips of 30 s\n\n{table}\n\nMedian of the turns, which the networks take one after the other.",
        first.adapter, first.train_clips
    );
    let reckoned: Vec<String> = measured
        .iter()
        .filter(|row| row.reckoned)
        .map(|row| format!("{} ({} of {} batches a turn)", row.model, row.batches_per_turn, row.batches))
        .collect();
    if !reckoned.is_empty() {
        let _ = write!(text, "\nNot a whole epoch was timed, the epoch is reckoned from some batches: {}.", reckoned.join(", "));
    }
    text
}

/// Every kernel beside the ceilings.
pub(super) fn kernels(document: &Kernels) -> String {
    let mut table = Table::new(&[
        Left("family"),
        Left("shape"),
        Left("kernel"),
        Right("ms"),
        Right("best"),
        Right("GB/s"),
        Right("of copy"),
        Right("GFLOP/s"),
        Right("of FMA"),
    ]);
    for row in &document.kernels {
        table.row([
            row.family.clone(),
            row.shape.clone(),
            row.kernel.clone(),
            figure(row.ms),
            figure(row.best_ms),
            figure(row.gb_per_s),
            percent(row.share_of_copy),
            figure(row.gflop_per_s),
            percent(row.share_of_fma),
        ]);
    }
    format!(
        "{}\n{}\nMilliseconds are medians, all dispatches of a kernel together; GB/s of the tensors bound, which may lie in caches;\nGFLOP/s of operations, or of memory accesses where those are more.\n\n{table}",
        document.adapter,
        ceilings(&document.ceilings)
    )
}

/// Two saved outputs.
pub(super) fn comparison(comparison: &Comparison) -> String {
    let Comparison { a, b, rows, only_a, only_b } = comparison;
    let mut text = String::new();
    for (name, side) in [("a", a), ("b", b)] {
        let _ = writeln!(text, "{name}: {} on {}", side.file.display(), side.adapter);
    }
    if rows.is_empty() {
        text += "\nThey have no workload in common.";
    } else {
        let mut table = Table::new(&[Left("workload"), Left("unit"), Right("a"), Right("b"), Right("a / b"), Left("faster")]);
        for row in rows {
            let unit = match row.unit {
                Unit::MsPerStep => "ms per step",
                Unit::SecondsPerEpoch => "s per epoch",
            };
            let ratio = format!("{:.2}", row.ratio);
            table.row([row.workload.as_str(), unit, &figure(row.a), &figure(row.b), &ratio, row.faster]);
        }
        let _ = write!(text, "\n{table}");
    }
    for (name, only) in [("a", only_a), ("b", only_b)] {
        if !only.is_empty() {
            let _ = write!(text, "\n\nOnly in {name}: {}", only.join(", "));
        }
    }
    text
}

/// The kernels of a step, the slowest first.
pub(super) fn profile(workload: &Workload, profile: &Profile) -> String {
    let rows = profile.rows();
    let total: f64 = rows.iter().map(|row| row.seconds).sum();
    let mut table = Table::new(&[
        Left("kernel"),
        Right("times"),
        Right("ms"),
        Right("share"),
        Right("M work each"),
        Right("G work/s"),
        Right("GB/s bound"),
    ]);
    for row in rows {
        let rate = row.work as f64 / row.seconds / 1e9;
        table.row([
            row.label,
            row.times.to_string(),
            format!("{:.2}", 1e3 * row.seconds),
            percent(row.seconds / total),
            format!("{:.3}", row.work as f64 / row.times as f64 / 1e6),
            format!("{rate:.2}"),
            format!("{:.2}", row.bytes_bound as f64 / row.seconds / 1e9),
        ]);
    }
    format!("{}: {:.1} ms, each kernel submitted and waited for by itself\n{table}", workload.name, 1e3 * total)
}

#[cfg(test)]
mod tests {
    use super::figure;

    #[test]
    fn figures_have_three_digits() {
        for (value, words) in [(0.0, "0"), (0.01234, "0.0123"), (1.2345, "1.23"), (99.96, "100.0"), (12_345.6, "12346")] {
            assert_eq!(figure(value), words);
        }
    }
}

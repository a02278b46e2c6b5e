//! `melgrad bench [WORKLOAD..]`

use super::Global;
use super::exit::UsageError;
use crate::bench::{Bench, Workload, measure};
use crate::gpu::Profile;
use crate::report::table::{Column, Table};
use clap::Args;
use std::process::ExitCode;

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Like bbnn_b8_t647_m128 or indrnn_t647_b32_i128_h128_l5 [default: a few that suit the adapter]
    workloads: Vec<String>,
    /// Time every kernel on its own instead, and show the slowest
    #[arg(long)]
    profile: bool,
}

pub(super) fn run(global: &Global, args: &BenchArgs) -> anyhow::Result<ExitCode> {
    let named: Result<Vec<Workload>, _> = args.workloads.iter().map(|name| name.parse()).collect();
    let named = named.map_err(|error: crate::bench::WorkloadError| UsageError(error.to_string()))?;
    let gpu = global.gpu()?;
    let workloads = if named.is_empty() { Workload::defaults(gpu.summary().is_software()) } else { named };
    let mut documents = Vec::new();
    for workload in &workloads {
        let document = if args.profile {
            let profile = Bench::new(&gpu, workload)?.profile()?;
            if !global.json {
                print_profile(workload, &profile);
            }
            serde_json::json!({ "workload": workload.name, "kernels": profile.rows() })
        } else {
            let measurement = serde_json::to_value(measure(&gpu, workload)?)?;
            if !global.json {
                // A line each, as soon as it is known: a long list that is cut short is worth what it has.
                super::say(&measurement);
            }
            measurement
        };
        documents.push(document);
    }
    if global.json {
        super::say(serde_json::Value::Array(documents));
    }
    Ok(ExitCode::SUCCESS)
}

fn print_profile(workload: &Workload, profile: &Profile) {
    let rows = profile.rows();
    let total: f64 = rows.iter().map(|row| row.seconds).sum();
    super::say(format_args!("{}: {:.1} ms, each kernel submitted and waited for by itself", workload.name, 1e3 * total));
    let mut table = Table::new(&[
        Column::Left("kernel"),
        Column::Right("times"),
        Column::Right("ms"),
        Column::Right("share"),
        Column::Right("M work each"),
        Column::Right("G work/s"),
    ]);
    for row in rows {
        let rate = row.work as f64 / row.seconds / 1e9;
        table.row([
            row.label,
            row.times.to_string(),
            format!("{:.2}", 1e3 * row.seconds),
            format!("{:.1} %", 100.0 * row.seconds / total),
            format!("{:.3}", row.work as f64 / row.times as f64 / 1e6),
            format!("{rate:.2}"),
        ]);
    }
    super::say(format_args!("{table}"));
}

//! `melgrad doctor`: what the adapters of this machine are, and whether every kernel computes rightly on them.

use super::Global;
use crate::gpu::{AdapterChoice, AdapterSummary, Gpu, GpuError, GpuOptions, list_adapters};
use crate::report::table::{Column, Table};
use crate::selftest::{self, Comparison, Outcome};
use clap::Args;
use std::process::ExitCode;

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Try the kernels on every adapter, not only on the one that would be used
    #[arg(long)]
    all: bool,
}

/// At least one kernel computes wrongly, or does not run.
#[derive(Debug, thiserror::Error)]
#[error(
    "{wrong} kernel families disagree with the reference on {adapter}: do not train on it; choose another adapter with `--adapter`, or update its driver"
)]
struct WrongKernels {
    wrong: usize,
    adapter: String,
}

#[derive(serde::Serialize)]
struct Examination {
    version: &'static str,
    adapters: Vec<AdapterSummary>,
    /// The adapter that commands use under the same options; none if it is not there or cannot be used.
    used: Option<usize>,
    /// Why there is none.
    error: Option<String>,
    tested: Vec<Tested>,
}

/// The self-test of one adapter.
#[derive(serde::Serialize)]
struct Tested {
    adapter: usize,
    passes: bool,
    /// Why it cannot be used at all.
    error: Option<String>,
    seconds: f64,
    kernels: Vec<Kernel>,
}

/// One kernel family on one adapter; numbers that are not finite are null.
#[derive(serde::Serialize)]
struct Kernel {
    kernel: &'static str,
    /// The shader of the family that the adapter gets.
    shader: &'static str,
    passes: bool,
    error: Option<String>,
    worst_relative: Option<f64>,
    seconds: f64,
    comparisons: Vec<Comparison>,
}

impl Kernel {
    fn new(outcome: Outcome) -> Self {
        let passes = outcome.passes();
        let (comparisons, error) = match outcome.comparisons {
            Ok(comparisons) => (comparisons, None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let worst_relative = comparisons.iter().map(|comparison| comparison.worst_relative).max_by(f64::total_cmp);
        Self {
            kernel: outcome.kernel,
            shader: outcome.shader,
            passes,
            error,
            worst_relative,
            seconds: outcome.seconds,
            comparisons,
        }
    }
}

impl Tested {
    fn new(adapter: usize, opened: &Result<Gpu, GpuError>) -> Self {
        let kernels: Vec<Kernel> = match opened {
            Ok(gpu) => selftest::run(gpu).into_iter().map(Kernel::new).collect(),
            Err(_) => Vec::new(),
        };
        // A device that was lost on the way says so here.
        let error =
            opened.as_ref().map_or_else(|error| Some(error.to_string()), |gpu| gpu.health().err().map(|error| error.to_string()));
        let passes = error.is_none() && kernels.iter().all(|kernel| kernel.passes);
        Self { adapter, passes, error, seconds: kernels.iter().map(|kernel| kernel.seconds).sum(), kernels }
    }

    fn wrong(&self) -> usize {
        self.kernels.iter().filter(|kernel| !kernel.passes).count()
    }
}

pub(super) fn run(global: &Global, args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let adapters = list_adapters();
    if !global.json {
        super::say(format_args!("{}", describe(&adapters)));
    }
    let options = global.gpu_options();
    let chosen = Gpu::open(&options);
    let used = chosen.as_ref().ok().map(|gpu| gpu.summary().index);
    let mut tested: Vec<Tested> = used.map(|index| Tested::new(index, &chosen)).into_iter().collect();
    if args.all {
        let others = adapters.iter().map(|adapter| adapter.index).filter(|index| Some(*index) != used);
        tested.extend(others.map(|index| Tested::new(index, &open(&options, index))));
    }
    let error = chosen.as_ref().err().map(ToString::to_string);
    let examination = Examination { version: env!("CARGO_PKG_VERSION"), adapters, used, error, tested };
    if global.json {
        super::say(format_args!("{}", serde_json::to_string(&examination)?));
    } else {
        examination.tested.iter().for_each(|tested| print(&examination.adapters, tested));
    }
    chosen?.health()?;
    match examination.tested.iter().find(|tested| tested.wrong() > 0) {
        None => Ok(ExitCode::SUCCESS),
        Some(tested) => Err(WrongKernels { wrong: tested.wrong(), adapter: name(&examination.adapters, tested.adapter) }.into()),
    }
}

fn open(options: &GpuOptions, index: usize) -> Result<Gpu, GpuError> {
    let choice = AdapterChoice { name: Some(index.to_string()), backend: None };
    Gpu::open(&GpuOptions { choice, ..options.clone() })
}

fn name(adapters: &[AdapterSummary], index: usize) -> String {
    adapters.iter().find(|adapter| adapter.index == index).map_or_else(|| index.to_string(), |adapter| adapter.name.clone())
}

/// A column per adapter.
fn describe(adapters: &[AdapterSummary]) -> String {
    if adapters.is_empty() {
        return "no adapter that can compute".into();
    }
    let headings: Vec<String> = adapters.iter().map(|adapter| format!("adapter {}", adapter.index)).collect();
    let columns: Vec<Column<'_>> =
        [Column::Left("")].into_iter().chain(headings.iter().map(|heading| Column::Left(heading))).collect();
    let mut table = Table::new(&columns);
    let mut row = |word: &str, value: &dyn Fn(&AdapterSummary) -> String| {
        table.row([word.to_owned()].into_iter().chain(adapters.iter().map(value)));
    };
    let yes = |present: bool| if present { "yes" } else { "no" }.to_owned();
    row("name", &|adapter| adapter.name.clone());
    row("interface", &|adapter| format!("{}, {}", adapter.backend, adapter.kind));
    row("driver", &|adapter| adapter.driver.clone());
    row("subgroups", &|adapter| match (adapter.subgroups, adapter.subgroup_sizes) {
        (false, _) => "no".into(),
        (true, [least, most]) if least == most => format!("of {least}"),
        (true, [least, most]) => format!("of {least} to {most}"),
    });
    row("16-bit floats", &|adapter| yes(adapter.f16));
    row("64-bit integers", &|adapter| yes(adapter.integers_64));
    row("matrix units", &|adapter| {
        if adapter.cooperative_matrix.is_empty() { "no".into() } else { adapter.cooperative_matrix.join("; ") }
    });
    row("timestamps", &|adapter| yes(adapter.timestamps));
    row("largest buffer", &|adapter| bytes(adapter.max_buffer_bytes));
    row("largest binding", &|adapter| bytes(adapter.max_binding_bytes));
    row("workgroup", &|adapter| {
        format!("{} invocations, {}", adapter.workgroup_invocations, bytes(adapter.workgroup_bytes.into()))
    });
    row("immediates", &|adapter| format!("{} bytes", adapter.immediate_bytes));
    table.to_string()
}

/// In the largest binary unit that keeps at least one digit before the point.
fn bytes(count: u64) -> String {
    let (size, unit) = [(1u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB")]
        .into_iter()
        .find(|(size, _)| count >= *size)
        .unwrap_or((1 << 10, "KiB"));
    let value = count as f64 / size as f64;
    if value.fract() == 0.0 { format!("{value} {unit}") } else { format!("{value:.1} {unit}") }
}

fn print(adapters: &[AdapterSummary], tested: &Tested) {
    super::say(format_args!("\nself-test of adapter {}, {}:\n", tested.adapter, name(adapters, tested.adapter)));
    if let Some(error) = &tested.error {
        super::say(format_args!("{error}"));
    }
    if tested.kernels.is_empty() {
        return;
    }
    let mut table = Table::new(&[
        Column::Left("kernel"),
        Column::Left("shader"),
        Column::Right("tensors"),
        Column::Right("worst difference"),
        Column::Right("seconds"),
        Column::Left(""),
    ]);
    for kernel in &tested.kernels {
        let verdict = match (&kernel.error, kernel.passes) {
            (Some(error), _) => error.as_str(),
            (None, true) => "agrees",
            (None, false) => "DISAGREES",
        };
        table.row([
            kernel.kernel.to_owned(),
            kernel.shader.to_owned(),
            kernel.comparisons.len().to_string(),
            kernel.worst_relative.map_or_else(String::new, |worst| format!("{worst:.1e}")),
            format!("{:.2}", kernel.seconds),
            verdict.to_owned(),
        ]);
    }
    super::say(format_args!("{table}"));
    for miss in tested.kernels.iter().flat_map(|kernel| &kernel.comparisons).filter(|comparison| !comparison.passes()) {
        let Comparison { kernel, case, compared, worst_absolute, worst_relative, tolerance } = miss;
        super::say(format_args!(
            "{kernel}, {case}: {compared} is off by {worst_absolute:.2e}, {worst_relative:.2e} of its largest; {tolerance:.0e} is allowed"
        ));
    }
    if tested.passes {
        super::say(format_args!("\nevery kernel agrees with its 64-bit reference ({:.1} s)", tested.seconds));
    }
}

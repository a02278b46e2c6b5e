//! Each kernel by itself beside what the adapter does at most: `melgrad bench --each-kernel`.
//!
//! `cargo bench --bench kernels [-- FAMILY.. --json --adapter NAME]`

use clap::Parser;
use melgrad::cli::{Cli, start_logging};
use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    start_logging();
    let arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    Cli::parse_from(["melgrad", "bench", "--each-kernel"].map(String::from).into_iter().chain(arguments)).run()
}

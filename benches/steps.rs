//! Training steps and what they cannot go below: `melgrad bench --table --ceilings`.
//!
//! `cargo bench --bench steps [-- WORKLOAD.. --json --adapter NAME]`

use clap::Parser;
use melgrad::cli::{Cli, start_logging};
use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    start_logging();
    let arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    Cli::parse_from(["melgrad", "bench", "--table", "--ceilings"].map(String::from).into_iter().chain(arguments)).run()
}

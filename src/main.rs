//! The program: parse, run, print what went wrong, exit code.

use clap::Parser;
use melgrad::cli::{self, Cli};
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::start_clock();
    let cli = Cli::parse();
    cli::start_logging();
    match cli.run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("melgrad: {}", cli::words(&error));
            ExitCode::from(cli::exit_code(&error))
        }
    }
}

use super::Global; use std::process::ExitCode;
/// x
#[derive(Debug, clap::Args)] pub struct DoctorArgs {}
pub fn run(_: &Global, _: &DoctorArgs) -> anyhow::Result<ExitCode> { Ok(ExitCode::SUCCESS) }

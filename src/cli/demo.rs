use super::Global; use std::process::ExitCode;
/// x
#[derive(Debug, clap::Args)] pub struct DemoArgs {}
pub(super) fn run(_: &Global, _: &DemoArgs) -> anyhow::Result<ExitCode> { Ok(ExitCode::SUCCESS) }

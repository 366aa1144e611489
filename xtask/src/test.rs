//! test
use crate::workspace::Workspace;
use anyhow::Result;
use clap::ValueEnum;
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Step {
    Format,
}
pub(crate) fn run(_w: &Workspace, _keep: bool, _o: &[Step]) -> Result<std::process::ExitCode> {
    Ok(std::process::ExitCode::SUCCESS)
}

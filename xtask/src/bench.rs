//! `cargo xtask bench`: the functions' release builds beside their peers, by the programs in `bench/`.

use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::ValueEnum;

use crate::{
    console::Step, environment::VirtualEnvironment, prerequisites, process, workspace::Workspace,
};

/// What is measured. The names are those of the functions, and of the programs in `bench/`.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Benchmark {
    /// Landed objects into partitions by event time.
    Rekey,
}

impl Benchmark {
    fn name(self) -> &'static str {
        match self {
            Self::Rekey => "rekey",
        }
    }
}

/// Builds the function, installs what the benchmark needs, and runs it; the arguments are the benchmark's own.
///
/// # Errors
/// Something is missing, or cannot be built or installed. A benchmark that fails says why itself.
pub(crate) fn run(
    workspace: &Workspace,
    benchmark: Benchmark,
    arguments: &[String],
) -> Result<ExitCode> {
    let folder = workspace.root().join("bench");
    let python = VirtualEnvironment::prepare(
        workspace,
        &prerequisites::python()?,
        &workspace.state().join("bench/venv"),
        &folder.join("requirements.txt"),
    )?;
    build(workspace, benchmark)?;
    let mut command = Command::new(python.program("python"));
    command
        .arg(folder.join(benchmark.name()).with_extension("py"))
        .arg("--function")
        .arg(workspace.target().join("release").join(benchmark.name()))
        .args(arguments)
        .current_dir(workspace.root());
    process::run_shown("the benchmark", &mut command)
}

fn build(workspace: &Workspace, benchmark: Benchmark) -> Result<()> {
    let step = Step::begin("Release build");
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--release", "--package", "lakewright-functions"])
        .args(["--bin", benchmark.name()])
        .current_dir(workspace.root())
        .env("CARGO_TARGET_DIR", workspace.target());
    let log = workspace.log("bench-build");
    process::run_watched("cargo build", &mut cargo, &log, |line| {
        step.message(line.trim());
    })?;
    step.done(benchmark.name());
    Ok(())
}

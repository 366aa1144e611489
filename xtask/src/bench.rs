//! `cargo xtask bench`: measures the deployed functions and their peers, with the programs in `bench/`.

use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::ValueEnum;

use crate::{
    assembly, environment::VirtualEnvironment, prerequisites, process, workspace::Workspace,
};

/// The benchmarks. The names are those of the programs in `bench/`.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Benchmark {
    /// Landed objects into partitions by event time.
    Rekey,
    /// The largest objects of rekey, within a limited memory.
    Scale,
    /// A query's result into one object for each row.
    Split,
    /// Many small files into few large ones.
    Compact,
    /// Tables rewritten by columns and into a number of files.
    Repartition,
}

impl Benchmark {
    fn name(self) -> &'static str {
        match self {
            Self::Rekey => "rekey",
            Self::Scale => "scale",
            Self::Split => "split",
            Self::Compact => "compact",
            Self::Repartition => "repartition",
        }
    }
}

/// Builds the functions, installs the benchmark's dependencies, and runs it; the arguments are passed to the benchmark.
///
/// # Errors
/// Something is missing, or cannot be built or installed. A benchmark that fails says why itself.
pub(crate) fn run(
    workspace: &Workspace,
    benchmark: Benchmark,
    arguments: &[String],
) -> Result<ExitCode> {
    let system_python = prerequisites::python()?;
    let tools = VirtualEnvironment::of_commands(workspace, &system_python)?;
    let architecture = prerequisites::architecture()?;
    assembly::release_functions(workspace, &tools, architecture, &workspace.release_zips())?;
    let folder = workspace.benchmarks();
    let python = VirtualEnvironment::prepare(
        workspace,
        &system_python,
        &workspace.state().join("bench/venv"),
        &folder.join("requirements.txt"),
    )?;
    let mut command = Command::new(python.program("python"));
    command
        .arg(folder.join(benchmark.name()).with_extension("py"))
        .arg("--functions")
        .arg(workspace.release_zips())
        .args(arguments)
        .current_dir(workspace.root());
    process::run_shown("the benchmark", &mut command)
}

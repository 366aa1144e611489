//! `cargo xtask bench`: measures the deployed functions and their peers, with the programs in `bench/`.

use std::{
    fmt::{self, Display, Formatter},
    fs, io,
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;

use crate::{
    assembly, environment::VirtualEnvironment, prerequisites, process, summary::Audience,
    workspace::Workspace,
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
    /// Short timeouts and throttling.
    Forward,
}

impl Benchmark {
    fn name(self) -> &'static str {
        match self {
            Self::Rekey => "rekey",
            Self::Scale => "scale",
            Self::Split => "split",
            Self::Compact => "compact",
            Self::Repartition => "repartition",
            Self::Forward => "forward",
        }
    }

    /// The limits of memory are measured by hand, and told on the page in words.
    fn has_a_chapter(self) -> bool {
        !matches!(self, Self::Scale)
    }
}

/// What was measured.
#[derive(Serialize)]
struct Measured {
    benchmark: &'static str,
    /// Each run, as the benchmark keeps it.
    runs: Vec<Value>,
    /// The page with the medians, if it has a chapter there.
    page: Option<PathBuf>,
}

impl Display for Measured {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} runs", self.benchmark, self.runs.len())?;
        match &self.page {
            Some(page) => write!(f, ", and their medians in {}", page.display()),
            None => Ok(()),
        }
    }
}

/// Builds the functions, installs the benchmark's dependencies, and runs it; the arguments are passed to the benchmark.
///
/// # Errors
/// Something is missing, or cannot be built or installed. A benchmark that fails says why itself.
pub(crate) fn run(
    workspace: &Workspace,
    audience: Audience,
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
    let kept = workspace.state().join("bench/last.jsonl");
    match fs::remove_file(&kept) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut command = Command::new(python.program("python"));
    if audience == Audience::Programs {
        command.stdout(io::stderr());
    }
    command
        .arg(folder.join(benchmark.name()).with_extension("py"))
        .arg("--functions")
        .arg(workspace.release_zips())
        .arg("--record")
        .arg(&kept)
        .args(arguments)
        .current_dir(workspace.root());
    let ended = process::run_shown("the benchmark", &mut command)?;
    // Without a run it was asked for its arguments, or has failed and says why itself.
    if let Ok(lines) = fs::read_to_string(&kept) {
        let runs = lines.lines().map(serde_json::from_str);
        audience.show(&Measured {
            benchmark: benchmark.name(),
            runs: runs
                .collect::<Result<_, _>>()
                .context("a run cannot be read")?,
            page: benchmark.has_a_chapter().then(|| folder.join("RESULTS.md")),
        })?;
    }
    Ok(ended)
}

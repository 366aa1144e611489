//! `cargo xtask bench`: measures the deployed functions and their peers, with the programs in `bench/`.

use std::{
    fmt::{self, Display, Formatter},
    fs, io,
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;

use crate::{
    assembly, console,
    environment::{Environment, VirtualEnvironment},
    prerequisites::{self, Spark},
    process,
    summary::Audience,
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

/// What a quick run runs once.
const QUICK: [(Benchmark, &[&str]); 4] = [
    (
        Benchmark::Rekey,
        &["--sizes", "1m", "--memory", "256", PEERS, QUICK_PEERS],
    ),
    (
        Benchmark::Compact,
        &[
            "--written-by",
            "pyarrow",
            "--memory",
            "256",
            "--compressions",
            "keep",
            PEERS,
            QUICK_PEERS,
        ],
    ),
    (Benchmark::Repartition, &[PEERS, QUICK_PEERS]),
    (
        Benchmark::Split,
        &[
            "--sizes",
            "20k",
            "--uploaders",
            "s5cmd",
            "--environments",
            "1",
        ],
    ),
];
const PEERS: &str = "--peers";
const QUICK_PEERS: &str = "DuckDB,Polars";

/// What a quick run has measured.
#[derive(Serialize)]
struct QuicklyMeasured {
    measured: Vec<Measured>,
    page: PathBuf,
    pictures: PathBuf,
}

impl Display for QuicklyMeasured {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let header = ["", "contender", "wall s", "CPU s", "peak MB"].map(str::to_owned);
        let figure = |run: &Value, name: &str, unit: f64| {
            let figure = run.get(name).and_then(Value::as_f64);
            figure.map_or_else(String::new, |figure| format!("{:.2}", figure / unit))
        };
        let rows = self.measured.iter().flat_map(|measured| {
            measured.runs.iter().map(|run| {
                let text = |name: &str| run.get(name).and_then(Value::as_str).unwrap_or_default();
                let size = [text("size"), text("job"), text("server")].join(" ");
                vec![
                    format!("{} {}", measured.benchmark, size.trim()),
                    text("contender").to_owned(),
                    figure(run, "wall_seconds", 1.0),
                    figure(run, "cpu_seconds", 1.0),
                    figure(run, "peak_rss_bytes", 1e6),
                ]
            })
        });
        let table = console::table_of("Each once", &header, &rows.collect::<Vec<_>>());
        let (page, pictures) = (self.page.display(), self.pictures.display());
        write!(
            f,
            "{table}\n\n{page}\n{pictures}/peers-light.svg, peers-dark.svg"
        )
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
    let bench = Bench::prepare(workspace, audience)?;
    let (ended, runs) = bench.run(benchmark, arguments)?;
    // Without a run it was asked for its arguments, or has failed and says why itself.
    if let Some(runs) = runs {
        audience.show(&Measured {
            benchmark: benchmark.name(),
            runs,
            page: benchmark
                .has_a_chapter()
                .then(|| workspace.benchmarks().join("RESULTS.md")),
        })?;
    }
    Ok(ended)
}

/// Runs every job once beside its fastest peers, and writes a page, and the README's chart of it, where the benchmarks keep their
/// state.
///
/// # Errors
/// As [`run`], and a benchmark that fails.
pub(crate) fn quick(workspace: &Workspace, audience: Audience) -> Result<()> {
    let bench = Bench::prepare(workspace, audience)?;
    Environment::prepare(workspace, Spark::StaysAway)?;
    let pictures = workspace.state().join("bench/quick");
    fs::create_dir_all(&pictures)?;
    let page = pictures.join("RESULTS.md");
    let mut measured = Vec::new();
    for (benchmark, own) in QUICK {
        let mut arguments = ["--repetitions", "1", "--results"]
            .map(str::to_owned)
            .to_vec();
        arguments.push(page.display().to_string());
        arguments.extend(own.iter().map(|&argument| argument.to_owned()));
        let (ended, runs) = bench.run(benchmark, &arguments)?;
        ensure!(
            ended == ExitCode::SUCCESS,
            "the benchmark of {} has failed",
            benchmark.name()
        );
        measured.push(Measured {
            benchmark: benchmark.name(),
            runs: runs.unwrap_or_default(),
            page: None,
        });
    }
    let mut draw = Command::new("node");
    draw.arg(workspace.pictures()).arg(&page).arg(&pictures);
    process::run("draw.mjs", &mut draw, &workspace.log("pictures"))?;
    audience.show(&QuicklyMeasured {
        measured,
        page,
        pictures,
    })
}

/// The functions as they are deployed, and what the benchmarks need.
struct Bench<'a> {
    workspace: &'a Workspace,
    audience: Audience,
    python: VirtualEnvironment,
}

impl<'a> Bench<'a> {
    fn prepare(workspace: &'a Workspace, audience: Audience) -> Result<Self> {
        let system_python = prerequisites::python()?;
        let tools = VirtualEnvironment::of_commands(workspace, &system_python)?;
        let architecture = prerequisites::architecture()?;
        assembly::release_functions(workspace, &tools, architecture, &workspace.release_zips())?;
        let python = VirtualEnvironment::prepare(
            workspace,
            &system_python,
            &workspace.state().join("bench/venv"),
            &workspace.benchmarks().join("requirements.txt"),
        )?;
        Ok(Self {
            workspace,
            audience,
            python,
        })
    }

    /// Runs a benchmark. How it ended, and its runs, if there were any.
    fn run(
        &self,
        benchmark: Benchmark,
        arguments: &[String],
    ) -> Result<(ExitCode, Option<Vec<Value>>)> {
        let kept = self.workspace.state().join("bench/last.jsonl");
        match fs::remove_file(&kept) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut command = Command::new(self.python.program("python"));
        if self.audience == Audience::Programs {
            command.stdout(io::stderr());
        }
        let program = self.workspace.benchmarks().join(benchmark.name());
        command
            .arg(program.with_extension("py"))
            .arg("--functions")
            .arg(self.workspace.release_zips())
            .arg("--record")
            .arg(&kept)
            .args(arguments)
            .current_dir(self.workspace.root());
        let ended = process::run_shown("the benchmark", &mut command)?;
        let Ok(lines) = fs::read_to_string(&kept) else {
            return Ok((ended, None));
        };
        let runs = lines.lines().map(serde_json::from_str);
        let runs = runs
            .collect::<Result<_, _>>()
            .context("a run cannot be read")?;
        Ok((ended, Some(runs)))
    }
}

//! `cargo xtask try`: runs your own files through a proposed job.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    console::Step,
    environment::Environment,
    helper::{Helpers, To},
    prerequisites::Spark,
    report::{self, Written},
    summary::{Audience, Outcome, grouped},
    up::{self, Deployment},
    workspace::{self, Workspace},
};

/// The settings; those that are not given are proposed.
#[derive(Args)]
pub(crate) struct Trial {
    /// JSON, CSV or Parquet, compressed or not, or a folder of them.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The job: rekey if there is a time, otherwise repartition.
    #[arg(long, value_enum)]
    job: Option<Job>,
    /// The job's name; by default that of the first file or folder.
    #[arg(long)]
    name: Option<String>,
    /// The format of the files; by default, that of most of them.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The column with the record's time, or a path such as `detail.time`.
    #[arg(long, value_name = "COLUMN")]
    timestamp: Option<String>,
    /// The strptime pattern of the times, such as `%d/%m/%Y %H:%M`.
    #[arg(long, value_name = "PATTERN")]
    timestamp_format: Option<String>,
    /// The unit of numeric times; by default, it is derived from their magnitude.
    #[arg(long, value_parser = ["s", "ms", "us", "ns"])]
    unit: Option<String>,
    /// The IANA time zone of times without one, and of the partitions.
    #[arg(long)]
    zone: Option<String>,
    /// The partitions, such as `year,month,day`; by default, as fine as the range of the times allows.
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,…")]
    partition_by: Option<Vec<String>>,
    /// The output formats.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "parquet",
        value_name = "FORMAT,…"
    )]
    output: Vec<Format>,
    /// The delimiter of CSV; by default, it is detected.
    #[arg(long)]
    delimiter: Option<char>,
    /// The configuration to write.
    #[arg(long, default_value = "lakewright.toml")]
    config: PathBuf,
    /// Overwrites the configuration, even if it was changed since `try` wrote it.
    #[arg(long)]
    force: bool,
    /// Writes the configuration, and runs nothing.
    #[arg(long)]
    propose_only: bool,
    /// Leaves the local cloud running until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// A folder of functions that `cargo xtask package` made, instead of building them.
    #[arg(long, value_name = "DIR")]
    functions: Option<PathBuf>,
}

/// The jobs that take files.
#[derive(Clone, Copy, ValueEnum)]
enum Job {
    Rekey,
    Repartition,
}

impl Job {
    fn name(self) -> &'static str {
        match self {
            Self::Rekey => "rekey",
            Self::Repartition => "repartition",
        }
    }
}

/// File formats.
#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Json,
    Csv,
    Parquet,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }
}

/// The job that the helper proposes.
#[derive(Deserialize, Serialize)]
struct Proposal {
    job: String,
    kind: String,
    format: String,
    compression: BTreeMap<String, u64>,
    files: u64,
    looked_at: u64,
    broken: u64,
    unlike: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timestamp: Option<BTreeMap<String, String>>,
    #[serde(default)]
    parsed: u64,
    #[serde(default)]
    records: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ambiguous: Option<String>,
    partition_by: Vec<String>,
    columns: BTreeMap<String, String>,
    config: PathBuf,
    text: String,
}

impl Display for Proposal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let compressions: Vec<_> = self
            .compression
            .iter()
            .map(|(name, count)| format!("{name} {}", grouped(*count)))
            .collect();
        writeln!(
            f,
            "\n{} files of {} (compression: {}), {} records looked at",
            grouped(self.files),
            self.format,
            compressions.join(", "),
            grouped(self.looked_at)
        )?;
        if self.broken > 0 {
            writeln!(f, "  {} pieces are not records", grouped(self.broken))?;
        }
        for file in &self.unlike {
            writeln!(f, "  unlike the others: {file}")?;
        }
        if let Some(pattern) = &self.ambiguous {
            writeln!(
                f,
                "  note: all times fit {pattern} as well, with day and month the other way round: --timestamp-format says which"
            )?;
        }
        write!(f, "Proposed in {}:\n\n", self.config.display())?;
        for line in self.text.lines() {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

/// The job that was tried.
#[derive(Serialize)]
struct Tried {
    proposal: Proposal,
    outcomes: Vec<Outcome>,
    /// Of a rekey job that has committed something.
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<Written>,
    next: Vec<String>,
}

impl Display for Tried {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.proposal)?;
        for outcome in &self.outcomes {
            writeln!(f, "\n{outcome}")?;
        }
        if let Some(report) = &self.report {
            writeln!(f, "\nThe report, with charts: {}", report.file.display())?;
        }
        write!(f, "\nNext:")?;
        for command in &self.next {
            write!(f, "\n  {command}")?;
        }
        Ok(())
    }
}

impl Trial {
    fn flags(&self) -> serde_json::Value {
        json!({
            "job": self.job.map(Job::name),
            "name": self.name,
            "format": self.format.map(Format::name),
            "timestamp": self.timestamp,
            "timestamp_format": self.timestamp_format,
            "unit": self.unit,
            "zone": self.zone,
            "partition_by": self.partition_by,
            "output": self.output.iter().map(|format| format.name()).collect::<Vec<_>>(),
            "delimiter": self.delimiter,
            "force": self.force,
        })
    }

    fn propose(&self, workspace: &Workspace, files: &[PathBuf], config: &Path) -> Result<Proposal> {
        let environment = Environment::prepare(workspace, Spark::StaysAway)?;
        let step = Step::begin("Files");
        let helpers = Helpers {
            workspace,
            environment: &environment,
            to: To::Terminal,
        };
        let proposal: Proposal = helpers.run(
            "landing.propose",
            &[
                ("files", serde_json::to_string(files)?),
                ("config", config.display().to_string()),
                ("flags", self.flags().to_string()),
            ],
            &step,
        )?;
        step.done(&format!(
            "{} looked at: {} `{}`",
            grouped(proposal.files),
            proposal.kind,
            proposal.job
        ));
        Ok(proposal)
    }

    /// The next steps.
    fn next(&self, config: &Path) -> Vec<String> {
        let land: Vec<_> = self
            .files
            .iter()
            .map(|file| format!("--land {}", file.display()))
            .collect();
        let config = config.display();
        let name = self.config.display();
        vec![
            format!(
                "cargo xtask up --config {name} {}   # change {name}, and try it again",
                land.join(" ")
            ),
            format!(
                "(cd infra && npx cdk deploy -c config={config})   # with your own buckets in it"
            ),
        ]
    }
}

/// Proposes a job for files, runs it on the local cloud, and shows what came out.
///
/// # Errors
/// The files cannot be read, or a step fails. If a file produced no output, the exit code is 1.
pub(crate) fn run(workspace: &Workspace, audience: Audience, trial: &Trial) -> Result<ExitCode> {
    let files = trial
        .files
        .iter()
        .map(|file| workspace::absolute(file))
        .collect::<Result<Vec<_>>>()?;
    let config = workspace::absolute(&trial.config)?;
    let proposal = trial.propose(workspace, &files, &config)?;
    let next = trial.next(&config);
    if trial.propose_only {
        audience.show(&Tried {
            proposal,
            outcomes: Vec::new(),
            report: None,
            next,
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    let land = files.iter().map(|file| file.display().to_string());
    let deployment = Deployment::Own {
        config,
        land: land.collect(),
    };
    let functions = trial
        .functions
        .as_deref()
        .map(workspace::absolute)
        .transpose()?;
    let mut running = up::bring_up(workspace, "try", &deployment, functions.as_deref())?;
    let outcomes = running.land(workspace)?;
    let refused = outcomes.iter().any(|outcome| !outcome.refused.is_empty());
    let report = if outcomes.iter().any(Outcome::can_be_reported) {
        let helpers = running.cloud.helpers(workspace, &running.environment);
        let config = ("config", deployment.config().display().to_string());
        let file = workspace.state().join("try-report.html");
        Some(report::write(&helpers, config, &file)?)
    } else {
        None
    };
    let tried = Tried {
        proposal,
        outcomes,
        report,
        next,
    };
    audience.show(&tried)?;
    if trial.keep {
        audience.show(&running.summary(Vec::new()))?;
        running.wait()?;
    }
    Ok(if refused {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

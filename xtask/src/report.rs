//! `cargo xtask report`: writes one HTML file about what landed and the lake that was made of it.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::{
    console::Step,
    environment::Environment,
    helper::{Helpers, To},
    prerequisites::Spark,
    summary::{Audience, grouped, size},
    workspace::{self, Workspace},
};

/// What to report on.
#[derive(clap::Args)]
pub(crate) struct Report {
    /// The target of a rekey job, as `s3://bucket/prefix/`; instead of a configuration.
    #[arg(value_name = "TARGET")]
    target: Option<String>,
    /// The configuration, each job of which is in the report.
    #[arg(long, value_name = "FILE", env = "LAKEWRIGHT_CONFIG")]
    config: Option<PathBuf>,
    /// Where the report is written.
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "lakewright-report.html"
    )]
    output: PathBuf,
}

/// The report that was written.
#[derive(Deserialize, Serialize)]
pub(crate) struct Written {
    /// Where it is.
    pub(crate) file: PathBuf,
    jobs: Vec<Job>,
    /// What jobs of the other kinds have done.
    others: Vec<Other>,
}

/// The figures of one job.
#[derive(Deserialize, Serialize)]
struct Job {
    name: String,
    /// In the ledger.
    objects: u64,
    batches: u64,
    landed: Landed,
    lake: Lake,
    rows: Rows,
    files_after_compaction: u64,
    landing_to_commit_seconds: Seconds,
    usd: f64,
}

/// What one of the other jobs has done.
#[derive(Deserialize, Serialize)]
struct Other {
    kind: String,
    name: String,
    #[serde(flatten)]
    what: Done,
}

/// The figures of its ledger, or why there are none.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Done {
    Done {
        /// What is done so often, such as a partition.
        of: String,
        done: u64,
        before: Amount,
        after: Amount,
        notes: BTreeMap<String, u64>,
    },
    Unknown {
        error: String,
    },
}

/// What it is, how many there are, and their bytes.
#[derive(Deserialize, Serialize)]
struct Amount(String, u64, Option<u64>);

impl Display for Amount {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(what, count, bytes) = self;
        write!(f, "{} {what}", grouped(*count))?;
        match bytes {
            Some(bytes) => write!(f, " of {}", size(*bytes)),
            None => Ok(()),
        }
    }
}

impl Display for Other {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`: ", self.kind, self.name)?;
        match &self.what {
            Done::Unknown { error } => write!(f, "{error}"),
            Done::Done {
                of,
                done,
                before,
                after,
                notes,
            } => {
                let many = if *done == 1 { "" } else { "s" };
                write!(
                    f,
                    "{} {of}{many} done, {before} became {after}",
                    grouped(*done)
                )?;
                for (what, count) in notes {
                    write!(f, "; {what}: {}", grouped(*count))?;
                }
                Ok(())
            }
        }
    }
}

#[derive(Deserialize, Serialize)]
struct Landed {
    objects: u64,
    bytes: u64,
}

#[derive(Deserialize, Serialize)]
struct Lake {
    files: u64,
    bytes: u64,
    partitions: u64,
}

#[derive(Deserialize, Serialize)]
struct Rows {
    r#in: u64,
    out: u64,
    quarantined: u64,
}

#[derive(Deserialize, Serialize)]
struct Seconds {
    window: Option<f64>,
    median: Option<u64>,
    p95: Option<u64>,
    longest: Option<u64>,
}

impl Display for Written {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for job in &self.jobs {
            writeln!(
                f,
                "rekey `{}`: {} objects of {} became {} files of {} in {} partitions; {} rows = {} written + {} quarantined",
                job.name,
                grouped(job.landed.objects),
                size(job.landed.bytes),
                grouped(job.lake.files),
                size(job.lake.bytes),
                grouped(job.lake.partitions),
                grouped(job.rows.r#in),
                grouped(job.rows.out),
                grouped(job.rows.quarantined),
            )?;
        }
        for other in &self.others {
            writeln!(f, "{other}")?;
        }
        write!(f, "The report: {}", self.file.display())
    }
}

/// Writes the report of the cloud in the environment.
///
/// # Errors
/// The cloud does not answer, there is no rekey job, or the file cannot be written.
pub(crate) fn run(workspace: &Workspace, audience: Audience, given: &Report) -> Result<ExitCode> {
    let of = match (&given.target, &given.config) {
        (Some(target), _) if target.starts_with("s3://") && target.ends_with('/') => {
            ("target", target.clone())
        }
        (Some(target), _) => {
            bail!("{target} is no target: write s3://bucket/prefix/, with a slash at its end")
        }
        (None, Some(config)) => ("config", workspace::absolute(config)?.display().to_string()),
        (None, None) => bail!(
            "which lake? Name a target, or the configuration with --config, or source .lakewright/env.sh, which `cargo xtask up` writes"
        ),
    };
    let environment = Environment::prepare(workspace, Spark::StaysAway)?;
    let helpers = Helpers {
        workspace,
        environment: &environment,
        to: To::Terminal,
    };
    let written = write(&helpers, of, &given.output)?;
    audience.show(&written)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the report of a target or of a configuration's jobs.
///
/// # Errors
/// As for [`run`].
pub(crate) fn write(helpers: &Helpers<'_>, of: (&str, String), file: &Path) -> Result<Written> {
    let step = Step::begin("Report");
    let file = ("file", workspace::absolute(file)?.display().to_string());
    let written: Written = helpers.run("report.write", &[of, file], &step)?;
    step.done(&written.file.display().to_string());
    Ok(written)
}

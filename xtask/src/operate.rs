//! What a person does with a deployment: `doctor` says before it is made what of it will fail, and `cost` what it costs in a month;
//! `pause` and `resume` switch a job; `redrive` sends what was given up; `quarantine` lists, shows and replays records.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    console::{self, Step},
    environment::Environment,
    helper::{Helpers, To},
    prerequisites::Spark,
    summary::Audience,
    workspace::{self, Workspace},
};

/// What was found.
#[derive(Deserialize, Serialize)]
struct Findings {
    findings: Vec<Finding>,
}

/// Something that will fail, or may.
#[derive(Deserialize, Serialize)]
struct Finding {
    fails: bool,
    subject: String,
    says: String,
}

impl Display for Findings {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.findings.is_empty() {
            return write!(f, "nothing was found that will fail");
        }
        for (index, finding) in self.findings.iter().enumerate() {
            let line = if index == 0 { "" } else { "\n" };
            let sign = if finding.fails { "✗" } else { "!" };
            write!(f, "{line}{sign} {}: {}", finding.subject, finding.says)?;
        }
        Ok(())
    }
}

/// What it costs.
#[derive(Deserialize, Serialize)]
struct Cost {
    /// Of the prices.
    date: String,
    usd: f64,
    rows: Vec<Vec<String>>,
}

/// What was switched.
#[derive(Deserialize, Serialize)]
struct Switched {
    lines: Vec<String>,
}

impl Display for Switched {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.lines.join("\n"))
    }
}

/// Runs a helper on the cloud in the environment.
pub(crate) fn ask<T: DeserializeOwned>(
    workspace: &Workspace,
    title: &str,
    helper: &str,
    arguments: &[(&str, String)],
) -> Result<T> {
    let environment = Environment::prepare(workspace, Spark::StaysAway)?;
    let helpers = Helpers {
        workspace,
        environment: &environment,
        to: To::Terminal,
    };
    let step = Step::begin(title);
    let answer = helpers.run(helper, arguments, &step);
    drop(step);
    answer
}

/// Pairs as the command line has them.
///
/// # Errors
/// One is none.
pub(crate) fn named(given: &[String]) -> Result<BTreeMap<&str, &str>> {
    let pairs = given.iter().map(|pair| {
        pair.split_once('=')
            .with_context(|| format!("`{pair}` is not of the form name=value"))
    });
    pairs.collect()
}

fn pairs(given: &[String]) -> Result<String> {
    Ok(serde_json::to_string(&named(given)?)?)
}

/// Says what will fail. The exit code is 1 if anything will.
///
/// # Errors
/// The account cannot be asked, or an argument is invalid.
pub(crate) fn doctor(
    workspace: &Workspace,
    audience: Audience,
    config: &Path,
    context: &[String],
    template: Option<&Path>,
) -> Result<ExitCode> {
    let mut arguments = vec![
        ("config", workspace::absolute(config)?.display().to_string()),
        ("context", pairs(context)?),
    ];
    if let Some(template) = template {
        let template = workspace::absolute(template)?.display().to_string();
        arguments.push(("template", template));
    }
    let found: Findings = ask(workspace, "Doctor", "operate.doctor", &arguments)?;
    audience.show(&found)?;
    Ok(if found.findings.iter().any(|finding| finding.fails) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Shows the costs of a month.
///
/// # Errors
/// The configuration or the prices cannot be read, or an argument is invalid.
pub(crate) fn cost(
    workspace: &Workspace,
    audience: Audience,
    config: &Path,
    set: &[String],
    prices: Option<&Path>,
) -> Result<ExitCode> {
    let mut arguments = vec![
        ("config", workspace::absolute(config)?.display().to_string()),
        ("set", pairs(set)?),
    ];
    if let Some(prices) = prices {
        let prices = workspace::absolute(prices)?.display().to_string();
        arguments.push(("prices", prices));
    }
    let cost: Cost = ask(workspace, "Cost", "operate.cost", &arguments)?;
    if audience == Audience::Programs {
        println!("{}", serde_json::to_string(&cost)?);
        return Ok(ExitCode::SUCCESS);
    }
    let header = ["job", "what", "count", "USD a month"].map(str::to_owned);
    let title = format!("Prices of {}, us-east-1", cost.date);
    console::table(&title, &header, &cost.rows);
    Ok(ExitCode::SUCCESS)
}

/// Pauses a job, or resumes it.
///
/// # Errors
/// The stack has no such job, or cannot be changed.
pub(crate) fn switch(
    workspace: &Workspace,
    audience: Audience,
    job: String,
    on: bool,
) -> Result<ExitCode> {
    let title = if on { "Resume" } else { "Pause" };
    let arguments = [("job", job), ("on", on.to_string())];
    let switched: Switched = ask(workspace, title, "operate.pause", &arguments)?;
    audience.show(&switched)?;
    Ok(ExitCode::SUCCESS)
}

/// What to redrive.
#[derive(clap::Args)]
pub(crate) struct Redrive {
    /// The rekey job.
    job: String,
    /// Only objects that are given up with an error of this name.
    #[arg(long, value_name = "NAME")]
    error: Option<String>,
    /// Lists them, and sends nothing.
    #[arg(long)]
    dry_run: bool,
}

/// What was redriven.
#[derive(Deserialize, Serialize)]
struct Redriven {
    sent: u64,
    messages: u64,
    given_up: Vec<GivenUp>,
}

/// An object that is given up.
#[derive(Deserialize, Serialize)]
struct GivenUp {
    source: String,
    error: String,
    message: String,
}

impl Display for Redriven {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for GivenUp {
            source,
            error,
            message,
        } in &self.given_up
        {
            writeln!(f, "{source}: {error}: {message}")?;
        }
        write!(f, "{} objects in {} messages", self.sent, self.messages)
    }
}

/// Sends the objects that are given up to the job's backfill queue, or lists them.
///
/// # Errors
/// There is no such job, or the function does not answer.
pub(crate) fn redrive(workspace: &Workspace, audience: Audience, given: Redrive) -> Result<()> {
    let mut arguments = vec![("job", given.job), ("dry-run", given.dry_run.to_string())];
    arguments.extend(given.error.map(|error| ("error", error)));
    let redriven: Redriven = ask(workspace, "Redrive", "operate.redrive", &arguments)?;
    audience.show(&redriven)
}

/// What to do with a quarantine.
#[derive(clap::Args)]
pub(crate) struct Quarantine {
    /// The rekey job.
    job: String,
    /// The configuration.
    #[arg(long, value_name = "FILE", env = "LAKEWRIGHT_CONFIG")]
    config: PathBuf,
    /// Shows the records as JSON lines, instead of their numbers by reason and file.
    #[arg(long, conflicts_with = "replay")]
    read: bool,
    /// Only records of this reason.
    #[arg(long, requires = "read")]
    reason: Option<String>,
    /// Lands the records of one file, by its key as the numbers name it. A file is replayed once.
    #[arg(long, value_name = "FILE")]
    replay: Option<String>,
    /// Lands these instead: mended, a JSON record a line.
    #[arg(long, value_name = "FILE", requires = "replay")]
    mended: Option<PathBuf>,
}

/// Lists a quarantine, shows its records, or replays a file of it.
///
/// # Errors
/// There is no such job or file, or the cloud does not answer.
pub(crate) fn quarantine(
    workspace: &Workspace,
    audience: Audience,
    given: Quarantine,
) -> Result<ExitCode> {
    let config = workspace::absolute(&given.config)?;
    let mut arguments = vec![("config", config.display().to_string()), ("job", given.job)];
    if given.read {
        arguments.push(("read", true.to_string()));
    }
    arguments.extend(given.reason.map(|reason| ("reason", reason)));
    arguments.extend(given.replay.map(|file| ("replay", file)));
    if let Some(mended) = given.mended {
        let mended = workspace::absolute(&mended)?;
        arguments.push(("mended", mended.display().to_string()));
    }
    let answer: Value = ask(workspace, "Quarantine", "operate.quarantine", &arguments)?;
    match answer.get("records").and_then(Value::as_array) {
        _ if audience == Audience::Programs => println!("{answer}"),
        Some(records) => {
            for record in records {
                println!("{record}");
            }
        }
        None => println!("{answer:#}"),
    }
    Ok(ExitCode::SUCCESS)
}

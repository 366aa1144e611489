//! `cargo xtask status`: the result of everything that landed and the progress of jobs, from the ledger, the queues and
//! the functions.

use std::{
    fmt::{self, Display, Formatter},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::{
    console::Step,
    environment::Environment,
    helper::{Helpers, To},
    operate::ask,
    prerequisites::Spark,
    summary::Audience,
    workspace::{self, Workspace},
};

/// How a job of split ended.
#[derive(Deserialize, Serialize)]
struct Ended {
    state: String,
    outcome: String,
    failures: Vec<String>,
}

impl Display for Ended {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.state, self.outcome)?;
        for failure in &self.failures {
            write!(f, "\n  {failure}")?;
        }
        Ok(())
    }
}

/// The status of all jobs.
#[derive(Deserialize, Serialize)]
struct Overview {
    jobs: Vec<Job>,
    /// Objects in the buckets of sources that no job reads.
    unread: Vec<String>,
}

/// The status of one job.
#[derive(Deserialize, Serialize)]
struct Job {
    kind: String,
    name: String,
    /// One sentence.
    summary: String,
    /// Notes and problems.
    details: Vec<String>,
}

impl Display for Overview {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, job) in self.jobs.iter().enumerate() {
            let line = if index == 0 { "" } else { "\n" };
            write!(f, "{line}{} `{}`: {}", job.kind, job.name, job.summary)?;
            for detail in &job.details {
                write!(f, "\n  {detail}")?;
            }
        }
        for object in &self.unread {
            write!(f, "\nno job reads {object}")?;
        }
        Ok(())
    }
}

/// Where landed objects are.
#[derive(Deserialize, Serialize)]
struct Whereabouts {
    objects: Vec<Whereabout>,
}

/// Where one object is.
#[derive(Deserialize, Serialize)]
struct Whereabout {
    source: String,
    state: String,
    /// One sentence.
    summary: String,
    /// Its files and its quarantine.
    details: Vec<String>,
}

impl Display for Whereabouts {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, object) in self.objects.iter().enumerate() {
            let line = if index == 0 { "" } else { "\n" };
            write!(f, "{line}{}: {}", object.source, object.summary)?;
            for detail in &object.details {
                write!(f, "\n  {detail}")?;
            }
        }
        Ok(())
    }
}

/// Shows the status of all jobs of a configuration, where objects are, or a split job's progress until it ends.
///
/// # Errors
/// The cloud does not answer, or there is no such job. A split job that did not succeed makes the exit code 1.
pub(crate) fn run(
    workspace: &Workspace,
    audience: Audience,
    of: Vec<String>,
    config: Option<&Path>,
) -> Result<ExitCode> {
    let (objects, mut jobs): (Vec<_>, Vec<_>) =
        of.into_iter().partition(|name| name.starts_with("s3://"));
    if !objects.is_empty() {
        if let Some(job) = jobs.first() {
            bail!("{job} is no object: ask about objects, or about one split job");
        }
        let objects = ("objects", serde_json::to_string(&objects)?);
        let whereabouts: Whereabouts = ask(workspace, "Status", "operate.whereabouts", &[objects])?;
        audience.show(&whereabouts)?;
        return Ok(ExitCode::SUCCESS);
    }
    if jobs.len() > 1 {
        bail!("one split job at a time: {}", jobs.join(", "));
    }
    let Some(job) = jobs.pop() else {
        let config = config.context(
            "which jobs? Name the configuration with --config, or source .lakewright/env.sh, which `cargo xtask up` writes",
        )?;
        let config = ("config", workspace::absolute(config)?.display().to_string());
        let overview: Overview = ask(workspace, "Status", "operate.overview", &[config])?;
        audience.show(&overview)?;
        return Ok(ExitCode::SUCCESS);
    };
    let environment = Environment::prepare(workspace, Spark::StaysAway)?;
    let helpers = Helpers {
        workspace,
        environment: &environment,
        to: To::Terminal,
    };
    let step = Step::begin(&job);
    let ended: Ended = helpers.run("operate.status", &[("job", job)], &step)?;
    if ended.state == "succeeded" {
        step.done(&ended.outcome);
        if audience == Audience::Programs {
            audience.show(&ended)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    drop(step);
    if audience == Audience::Programs {
        audience.show(&ended)?;
        return Ok(ExitCode::FAILURE);
    }
    bail!("{ended}")
}

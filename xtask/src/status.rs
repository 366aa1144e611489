//! `cargo xtask status`: how far a job is, as its function reads it from the ledger.

use anyhow::{Result, bail};
use serde::Deserialize;

use crate::{
    console::Step, environment::Environment, helper::Helpers, prerequisites::Spark,
    workspace::Workspace,
};

#[derive(Deserialize)]
struct Ended {
    state: String,
    outcome: String,
    failures: Vec<String>,
}

/// Shows a job's progress until it ends.
///
/// # Errors
/// There is no such job, or it did not succeed.
pub(crate) fn run(workspace: &Workspace, job: String) -> Result<()> {
    let environment = Environment::prepare(workspace, Spark::StaysAway)?;
    let helpers = Helpers {
        workspace,
        environment: &environment,
        variables: None,
    };
    let step = Step::begin(&job);
    let ended: Ended = helpers.run("operate.status", &[("job", job)], &step)?;
    if ended.state == "succeeded" {
        step.done(&ended.outcome);
        return Ok(());
    }
    drop(step);
    for failure in &ended.failures {
        eprintln!("{failure}");
    }
    bail!("{}: {}", ended.state, ended.outcome)
}

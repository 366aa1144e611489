//! The progress of a job, from the ledger.

use std::collections::BTreeSet;

use lakewright_core::config;
use lakewright_ports::Store;

use super::{
    Progress, State,
    ledger::{self, Ledger, Outcome, Summary},
    settle,
};
use crate::kit::JobError;

/// The progress of the run `run` of the job `id`, or of its latest run.
///
/// # Errors
/// See [`JobError`]. Its kind is `PlanMissing` if there is no such job.
pub async fn status(
    store: &dyn Store,
    job: &config::Split,
    id: &str,
    run: Option<&str>,
) -> Result<Progress, JobError> {
    super::source::check_name("the job's id", id)?;
    let ledger = Ledger::new(job, id);
    let found = ledger::read_plan(store, &ledger).await?;
    let (plan, _) = found.ok_or_else(|| JobError::plan_missing(ledger.plan()))?;
    let run = match run {
        Some(run) => Some(run.to_owned()),
        None => ledger::runs(store, &ledger).await?.pop(),
    };
    let done = ledger::entries(store, &ledger.done()).await?;
    let summary: Option<Summary> = ledger::read(store, &ledger.success()).await?;
    let mut progress = Progress {
        job: "split".to_owned(),
        name: plan.settings.name.clone(),
        id: plan.id.clone(),
        run: run.clone(),
        state: State::Running,
        rows: plan.rows,
        rows_done: 0,
        chunks: plan.chunks.len() as u64,
        chunks_done: done.len() as u64,
        error: None,
        failures: Vec::new(),
        summary,
    };
    let count = u32::try_from(plan.chunks.len()).unwrap_or(u32::MAX);
    let open: BTreeSet<u32> = (0..count).filter(|chunk| !done.contains(chunk)).collect();
    progress.rows_done = plan.rows_but(&open);
    if progress.summary.is_some() {
        progress.state = State::Succeeded;
    } else if let Some(run) = run {
        let failed = ledger::entries(store, &ledger.failed(&run)).await?;
        let failed = failed.intersection(&open).copied().collect();
        progress.failures = settle::failures(store, &ledger, &run, &failed).await?;
        let outcome: Option<Outcome> = ledger::read(store, &ledger.outcome(&run)).await?;
        if let Some(outcome) = outcome {
            progress.state = settle::state_of(&outcome);
            progress.error = Some(outcome.error);
        }
    }
    Ok(progress)
}

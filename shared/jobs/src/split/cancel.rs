//! Cancels the runs of a job.

use lakewright_core::config;
use serde::{Deserialize, Serialize};

use super::{
    Cancellation, Ports,
    ledger::{self, Ledger},
};
use crate::kit::JobError;

/// The marker of a cancelled run.
#[derive(Serialize, Deserialize)]
struct Cancelled {}

/// Cancels the run `run` of the job `id`, or all of its runs: no further chunk of theirs is begun. Chunks in progress
/// continue to their end. A later request for the same job is a separate run and resumes the job.
///
/// # Errors
/// See [`JobError`].
pub async fn cancel(
    ports: &Ports,
    job: &config::Split,
    id: &str,
    run: Option<&str>,
) -> Result<Cancellation, JobError> {
    let ports = &ports.writing(job);
    let store = &*ports.store;
    super::source::check_name("the job's id", id)?;
    let ledger = Ledger::new(job, id);
    let found = ledger::read_plan(store, &ledger).await?;
    let (plan, _) = found.ok_or_else(|| JobError::plan_missing(ledger.plan()))?;
    let runs = match run {
        Some(run) => {
            super::source::check_name("run", run)?;
            vec![run.to_owned()]
        }
        None => ledger::runs(store, &ledger).await?,
    };
    for run in &runs {
        ledger::create(store, &ledger.cancelled(run), &Cancelled {}).await?;
    }
    Ok(Cancellation {
        job: "split".to_owned(),
        name: plan.settings.name.clone(),
        id: plan.id.clone(),
        runs,
        chunks: plan.chunks.len() as u64,
        chunks_done: ledger::entries(store, &ledger.done()).await?.len() as u64,
    })
}

#[cfg(test)]
mod tests {
    use crate::split::fixture::{
        Step::Cancel,
        Was::{Cancelled, Planned, Wrote},
        check,
    };

    #[test]
    fn a_run_is_cancelled() {
        check(&[
            (&[], Cancel, "PlanMissing", &[]),
            (&[Planned], Cancel, "0 of 3 done", &["+ledger/cancel/r"]),
            (
                &[Planned, Wrote(0)],
                Cancel,
                "1 of 3 done",
                &["+ledger/cancel/r"],
            ),
            (&[Planned, Cancelled], Cancel, "0 of 3 done", &[]),
        ]);
    }
}

//! The commit of a run: verifies that all outputs exist, then makes the run valid.

use jiff::Timestamp;

use super::{
    CommitRequest, Ports, bookmark,
    finish::{check_partitions, finish},
    ledger::{self, Commit},
    refusal::withdrawn,
    report::{CommitReport, Status},
    verify::verified,
};
use crate::kit::JobError;

/// Commits the run of a plan before the `deadline`, and executes the steps after the commit. Continues an earlier attempt.
///
/// # Errors
/// See [`JobError`]. The same request may be sent again.
pub async fn commit(
    ports: &Ports,
    request: &CommitRequest,
    deadline: Timestamp,
) -> Result<CommitReport, JobError> {
    let (ledger, plan) = ledger::plan(&*ports.store, &request.plan).await?;
    let ports = &ports.writing(&plan.settings.tags, plan.settings.encryption.as_ref());
    let store = &*ports.store;
    let existing: Option<Commit> = ledger::read(store, &ledger.commit()).await?;
    let (status, commit) = if let Some(commit) = existing {
        (Status::Duplicate, commit)
    } else {
        let done = ledger::all_done(store, &ledger, &plan).await?;
        check_partitions(ports, &plan, &done).await?;
        // P2
        let commit = verified(ports, &ledger, &plan, &done, deadline).await?;
        if plan.settings.bookmark {
            // P5: before the commit, so that the next run never reads an object again.
            bookmark::note(ports, &ledger, &plan).await?;
        }
        let commit = ledger::propose(store, &ledger.commit(), commit).await?;
        (Status::Committed, commit)
    };
    if commit.withdrawn {
        return Err(withdrawn(request.plan.clone()));
    }
    let finished = finish(ports, &ledger, &plan).await?;
    Ok(CommitReport {
        job: "repartition".to_owned(),
        name: plan.settings.name.clone(),
        run: plan.run,
        plan: request.plan.clone(),
        status,
        rows: commit.rows,
        outputs: commit.outputs,
        bytes: commit.bytes,
        removed: finished.removed,
        left: finished.left,
        unregistered: finished.unregistered,
    })
}

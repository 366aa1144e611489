//! The commit of a run: verifies that all outputs exist, then makes the run valid.

use futures::{FutureExt, StreamExt, stream};

use super::{
    CommitRequest, Ports, bookmark,
    finish::finish,
    ledger::{self, Commit, Done, Ledger, Plan},
    refusal::withdrawn,
    report::{CommitReport, Status},
    verify::verified,
};
use crate::kit::{ErrorKind, JobError};

/// The most ledger entries that are read at once.
const CONCURRENT: usize = 16;

/// Commits the run of a plan and executes the steps after the commit, or finishes what an earlier attempt began.
///
/// # Errors
/// See [`JobError`]. The same request may be sent again.
pub async fn commit(ports: &Ports, request: &CommitRequest) -> Result<CommitReport, JobError> {
    let (ledger, plan) = ledger::plan(&*ports.store, &request.plan).await?;
    let ports = &ports.writing(&plan.settings.tags, plan.settings.encryption.as_ref());
    let store = &*ports.store;
    let standing: Option<Commit> = ledger::read(store, &ledger.commit()).await?;
    let (status, commit) = if let Some(commit) = standing {
        (Status::Duplicate, commit)
    } else {
        let done = done(ports, &ledger, &plan).await?;
        let commit = verified(ports, &ledger, &plan, &done).await?;
        if plan.settings.bookmark {
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
    })
}

/// The results of the tasks, in order.
pub(super) async fn done(
    ports: &Ports,
    ledger: &Ledger,
    plan: &Plan,
) -> Result<Vec<Done>, JobError> {
    let places = (0..plan.tasks.len()).map(|task| ledger.done(task));
    let places = places.collect::<Vec<_>>();
    let reads = places.iter();
    let reads = reads
        .map(|place| ledger::read(&*ports.store, place).boxed())
        .collect::<Vec<_>>();
    let mut reads = stream::iter(reads).buffered(CONCURRENT);
    let mut all = Vec::with_capacity(plan.tasks.len());
    let (mut missing, mut first, mut task) = (0, None, 0);
    while let Some(done) = reads.next().await {
        if let Some(done) = done? {
            all.push(done);
        } else {
            missing += 1;
            first.get_or_insert(task);
        }
        task += 1;
    }
    match first {
        None => Ok(all),
        Some(first) => Err(JobError::new(
            ErrorKind::TasksMissing,
            format!(
                "{} of {} tasks are not done, the first is {}: run them, then commit again",
                missing,
                plan.tasks.len(),
                first
            ),
        )),
    }
}

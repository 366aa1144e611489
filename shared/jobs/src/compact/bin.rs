use std::sync::Arc;

use lakewright_ports::{Store, StoreErrorKind};

use super::{
    Budget, MergeTask, Ports, ledger, merge as engine,
    report::{MergeReport, MergeStatus},
};
use crate::{
    kit::{ErrorKind, JobError, Stage, Unfinished},
    work::{metered::Metered, upload::Finished},
};

/// Makes one file of a plan, unless it exists or the partition has moved on.
///
/// # Errors
/// See [`JobError`]. The same request may be sent again.
pub async fn merge(
    ports: &Ports,
    task: &MergeTask,
    budget: &Budget,
) -> Result<MergeReport, JobError> {
    let (ledger, plan) = ledger::read_plan(&*ports.store, &task.plan).await?;
    let ports = &ports.writing(&plan.settings.tags, plan.settings.encryption.as_ref());
    let store = &*ports.store;
    let bin = plan.bins.get(task.task).ok_or_else(|| {
        JobError::new(
            ErrorKind::BadRequest,
            format!("{} has no task {}", task.plan, task.task),
        )
    })?;
    let output = plan.output(bin);
    let report = |status, bytes| MergeReport {
        job: "compact".to_owned(),
        table: plan.settings.subject(),
        partition: plan.partition.clone(),
        plan: task.plan.clone(),
        task: task.task,
        status,
        files: bin.inputs.len() as u64,
        output: output.clone(),
        rows: bin.rows,
        bytes,
    };
    let has_moved_on = if plan.is_in_place() {
        let placed = plan.from.join(&bin.output);
        let swept = ledger.swept(plan.generation);
        ledger::age(store, &placed).await?.is_some() || ledger::age(store, &swept).await?.is_some()
    } else {
        let state = ledger::read_state(store, &ledger).await?;
        state.is_some_and(|(state, _)| state.last() >= plan.generation)
    };
    if has_moved_on {
        return Ok(report(MergeStatus::Superseded, 0));
    }
    match store.head(&output, None).await {
        Ok(meta) => return Ok(report(MergeStatus::Duplicate, meta.size)),
        Err(error) if error.kind == StoreErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let metered = Metered::new(&ports.store);
    let reading = Ports {
        store: Arc::clone(&metered) as Arc<dyn Store>,
        ..ports.clone()
    };
    let begun = ports.clock.now();
    let written = engine::make(&reading, &plan, bin, budget).await;
    let written = written.map_err(|error| match error.kind() {
        // A merge cannot be resumed: nothing of it is visible before its end.
        ErrorKind::Deadline => {
            // A sorted merge reads its files once for the keys.
            let passes = if plan.settings.sort_by.is_empty() {
                1
            } else {
                2
            };
            let unfinished = Unfinished {
                begun,
                done: metered.bytes(),
                all: bin.bytes * passes,
                of: "bytes",
                tries: 1,
                instead: "choose a smaller target_size for the next plan",
            };
            let error = unfinished.too_short(&*ports.clock, Stage::Read);
            error.of(output.clone())
        }
        _ => error,
    });
    if let Err(error) = &written
        && is_final(error)
    {
        // The caller must see the error of the merge, even if it could not be recorded.
        let _ = ledger::note_failure(store, &ledger, &plan, task.task, error).await;
    }
    let (bytes, finished) = written?;
    let status = match finished {
        Finished::Written { .. } => MergeStatus::Merged,
        Finished::Existed => MergeStatus::Duplicate,
    };
    Ok(report(status, bytes))
}

/// Whether every attempt at the merge fails like this: the plan pins its files, so they do not change.
fn is_final(error: &JobError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unmergeable | ErrorKind::Unreadable | ErrorKind::InputChanged
    )
}

#[cfg(test)]
mod tests {
    use crate::compact::{
        fixture::{
            Was::{Gone, Merged, MovedOn, Ran, Swapped, Written},
            check_merge,
        },
        report::Step,
    };

    #[test]
    fn a_file_is_merged_once_from_the_files_of_the_plan() {
        let failed: &[&str] = &["+ledger/failed/00000001"];
        check_merge(
            0,
            &[
                (&[], "Merged 2", &["+to/merged"]),
                (&[Merged(2)], "Duplicate 2", &[]),
                (&[Written("c"), Written("d")], "Merged 2", &["+to/merged"]),
                // C2: no other object than the plan's.
                (&[Written("a")], "InputChanged", failed),
                (&[Gone("b")], "InputChanged", failed),
                (&[Swapped], "Superseded 2", &[]),
                (&[MovedOn], "Superseded 2", &[]),
                (&[Ran(Step::Abandon)], "Superseded 2", &[]),
            ],
        );
        check_merge(1, &[(&[], "BadRequest", &[])]);
    }
}

//! Deletes the files of a directory that its partition has left.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lakewright_core::{compact::PartitionLedger, location::Location};
use lakewright_ports::{Deletion, MAX_DELETE_BATCH, Store};

use super::{
    Ports,
    carry::input_changed,
    directory,
    ledger::{self, Plan},
    outcome::Outcome,
    publish::confirm,
    report::Step,
    verify::{not_merged, verified},
};
use crate::kit::{ErrorKind, JobError};

/// Deletes what the plan's generation left, once its grace period is over and it is verified that each of its
/// rows exists in the directory that it went to.
///
/// Generations are deleted in order, so that directory is complete: it is the current one, or it will be deleted later.
pub(super) async fn delete(
    ports: &Ports,
    ledger: &PartitionLedger,
    plan: &Plan,
    deadline: Timestamp,
) -> Result<Outcome, JobError> {
    let store = &*ports.store;
    let generation = plan.generation;
    let mark = ledger.deleted(generation);
    if ledger::age(store, &mark).await?.is_some() {
        return Ok(Outcome::done(0, None));
    }
    let Some(age) = ledger::age(store, &ledger.swept(generation)).await? else {
        return Ok(Outcome::waiting(Step::Sweep, 0));
    };
    if let Some(seconds) = ledger::wait(age, plan.settings.grace_period) {
        return Ok(Outcome::waiting(Step::Delete, seconds));
    }
    // C5: the directory that the rows went to is complete only in the order of the generations.
    if generation > 1
        && ledger::age(store, &ledger.deleted(generation - 1))
            .await?
            .is_none()
    {
        return Err(JobError::new(
            ErrorKind::Unsuited,
            format!(
                "the files that generation {} left are to be deleted first",
                generation - 1
            ),
        ));
    }
    let state = ledger::read_state(store, ledger).await?;
    let (state, _) =
        state.ok_or_else(|| JobError::entry(ledger.state(), "it is gone".to_owned()))?;
    let old = leftovers(ports, ledger, plan, deadline).await?;
    // Check this last: no reader will be sent to the old directory any more.
    match confirm(ports, plan, &state.directory).await {
        // The next generation is being published.
        Err(error)
            if error.kind() == ErrorKind::PartitionElsewhere && state.generation > generation =>
        {
            confirm(ports, plan, &state.previous).await?;
        }
        confirmed => confirmed?,
    }
    for batch in old.chunks(MAX_DELETE_BATCH) {
        delete_batch(store, &plan.from, batch).await?;
    }
    ledger::mark(store, &mark, generation).await?;
    Ok(Outcome::done(old.len() as u64, None))
}

/// The old files, after checking that all of their rows exist in the new directory.
async fn leftovers(
    ports: &Ports,
    ledger: &PartitionLedger,
    plan: &Plan,
    deadline: Timestamp,
) -> Result<Vec<Deletion>, JobError> {
    let store = &*ports.store;
    // C5: merged rows, then carried files.
    verified(ports, ledger, plan, deadline).await?;
    let inputs = plan.inputs();
    let (there, _) = directory::files(store, &plan.to).await?;
    let there = there
        .into_iter()
        .map(|file| (file.name, file.size))
        .collect::<BTreeMap<_, _>>();
    // Those that an earlier attempt has verified must still exist.
    let mut merged = plan.bins.iter().enumerate();
    if let Some((task, bin)) = merged.find(|(_, bin)| !there.contains_key(&bin.output)) {
        return Err(not_merged(ledger, plan, task, plan.output(bin)));
    }
    let (here, _) = directory::files(store, &plan.from).await?;
    let mut old = Vec::with_capacity(here.len());
    for file in here {
        let location = plan.from.join(&file.name);
        let exists = match inputs.get(file.name.as_str()) {
            Some(input) => input.etag == file.etag,
            None => there.get(&file.name) == Some(&file.size),
        };
        if !exists {
            let message = "it is in a directory that its partition has left, and its rows are nowhere else: its \
            writer does not follow the partition's state. Nothing was deleted; move it to the \
            partition's directory by hand";
            return Err(JobError::new(ErrorKind::Stray, message).of(location));
        }
        // C5: only the object that was verified.
        old.push(Deletion {
            key: location.key,
            etag: Some(file.etag),
        });
    }
    Ok(old)
}

/// Deletes at most [`MAX_DELETE_BATCH`] objects in the bucket of `directory`.
pub(super) async fn delete_batch(
    store: &dyn Store,
    directory: &Location,
    objects: &[Deletion],
) -> Result<(), JobError> {
    let failures = store.delete(&directory.bucket, objects).await?;
    match failures.first() {
        None => Ok(()),
        Some(first) if first.is_of_another_object() => {
            Err(input_changed(Location::new(&directory.bucket, &first.key)))
        }
        Some(first) => Err(JobError::new(
            if first.is_denied() {
                ErrorKind::AccessDenied
            } else {
                ErrorKind::NotDeleted
            },
            format!(
                "{} objects were not deleted; the first is {}: {}: {}",
                failures.len(),
                Location::new(&directory.bucket, &first.key),
                first.code,
                first.message
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::Step;
    use crate::compact::fixture::{
        Was::{Gone, Merged, MovedOn, Pointed, Ran, Waited, Written},
        check,
    };

    #[test]
    fn old_files_go_once_their_rows_are_elsewhere() {
        let swept = [Merged(2), Ran(Step::Publish), Waited(6), Ran(Step::Sweep)];
        let after = |more: &[_]| [&swept[..], more].concat();
        let all: &[&str] = &["+ledger/deleted/00000001", "-from/a", "-from/b", "-from/c"];
        check(
            Step::Delete,
            &[
                (&[Merged(2)], "Waiting 0, Sweep after 0 s", &[]),
                (&after(&[Waited(59)]), "Waiting 0, Delete after 61 s", &[]),
                (&after(&[Waited(61)]), "Done 3", all),
                (
                    &after(&[Gone("a"), Waited(61)]),
                    "Done 2",
                    &["+ledger/deleted/00000001", "-from/b", "-from/c"],
                ),
                // C5: nothing is deleted while one row would be lost.
                (&after(&[Written("d"), Waited(61)]), "Stray", &[]),
                (&after(&[Written("a"), Waited(61)]), "Stray", &[]),
                (&after(&[Merged(1), Waited(61)]), "RowsDiffer", &[]),
                (
                    &after(&[Pointed("t/day=1/"), Waited(61)]),
                    "PartitionElsewhere",
                    &[],
                ),
                // The next generation is being published: readers are still sent to this one.
                (&after(&[Waited(61), MovedOn]), "Done 3", all),
                (
                    &after(&[Waited(61), Ran(Step::Delete), Written("d")]),
                    "Done 0",
                    &[],
                ),
            ],
        );
    }
}

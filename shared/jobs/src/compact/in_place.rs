//! Compaction without a catalog: the merged files are copied beside the old ones, which are then deleted. In between,
//! readers see rows twice.
//!
//! The merged files are made in a directory that readers skip, so that the window only lasts for a copy and a delete.
//! The plan is the intent: an invocation that finds it without its marker finishes it.

use std::collections::BTreeMap;

use lakewright_core::compact::PartitionLedger;
use lakewright_ports::{Deletion, MAX_DELETE_BATCH, Precondition, Store, StoreErrorKind};

use super::{
    Ports,
    carry::input_changed,
    delete::delete_batch,
    directory,
    ledger::{self, Bin, Input, Plan},
    outcome::Outcome,
    verify::{rows_differ, rows_of, verify_file},
};
use crate::kit::JobError;

/// Moves the plan's files into place, one after the other, and deletes the files that were merged into them.
pub(super) async fn publish(
    ports: &Ports,
    ledger: &PartitionLedger,
    plan: &Plan,
) -> Result<Outcome, JobError> {
    let store = &*ports.store;
    let mark = ledger.swept(plan.generation);
    if ledger::age(store, &mark).await?.is_some() {
        return Ok(Outcome::done(0, None));
    }
    let (existing, _) = directory::files(store, &plan.from).await?;
    let existing = existing.into_iter().map(|file| (file.name, file.etag));
    let existing = existing.collect::<BTreeMap<_, _>>();
    let mut files = 0;
    for (task, bin) in plan.bins.iter().enumerate() {
        let inputs = bin.inputs.iter();
        let left = inputs.filter(|input| existing.contains_key(&input.name));
        let left = left.collect::<Vec<_>>();
        // An earlier attempt has verified it before it deleted the first of its files.
        if left.is_empty() && existing.contains_key(&bin.output) {
            continue;
        }
        place(store, ledger, plan, task, bin).await?;
        files += replace(store, plan, &left, &existing).await?;
    }
    let staged = plan.bins.iter().map(|bin| plan.output(bin).key.into());
    for batch in staged.collect::<Vec<_>>().chunks(MAX_DELETE_BATCH) {
        delete_batch(store, &plan.to, batch).await?;
    }
    ledger::mark(store, &mark, plan.generation).await?;
    Ok(Outcome::done(files, None))
}

/// Copies a merged file to where readers see it, and verifies its rows.
async fn place(
    store: &dyn Store,
    ledger: &PartitionLedger,
    plan: &Plan,
    task: usize,
    bin: &Bin,
) -> Result<(), JobError> {
    let (staged, target) = (plan.output(bin), plan.from.join(&bin.output));
    let mut placed = rows_of(store, &target).await?;
    if placed.is_none() {
        verify_file(store, ledger, plan, task, bin).await?;
        let copied = store.copy(&staged, None, &target, Precondition::Absent, None);
        match copied.await {
            Ok(_) => {}
            Err(error) if error.kind == StoreErrorKind::PreconditionFailed => {}
            Err(error) => return Err(error.into()),
        }
        placed = rows_of(store, &target).await?;
    }
    let found = placed.map(|(_, rows)| rows).unwrap_or_default();
    if found != bin.rows {
        return Err(rows_differ(target, found, bin));
    }
    Ok(())
}

/// Deletes the files that were merged into a file, which must exist, if they still exist. Returns their number.
async fn replace(
    store: &dyn Store,
    plan: &Plan,
    inputs: &[&Input],
    existing: &BTreeMap<String, String>,
) -> Result<u64, JobError> {
    let mut keys = Vec::with_capacity(inputs.len());
    for input in inputs {
        let location = plan.from.join(&input.name);
        if existing.get(&input.name) != Some(&input.etag) {
            return Err(input_changed(location));
        }
        keys.push(Deletion {
            key: location.key,
            etag: Some(input.etag.clone()),
        });
    }
    for batch in keys.chunks(MAX_DELETE_BATCH) {
        delete_batch(store, &plan.from, batch).await?;
    }
    Ok(keys.len() as u64)
}

#[cfg(test)]
mod tests {
    use crate::compact::{
        fixture::{
            Was::{Gone, Merged, Ran, Written},
            check_in_place,
        },
        report::Step,
    };

    #[test]
    fn merged_files_replace_those_that_they_were_made_of() {
        check_in_place(
            Step::Publish,
            &[
                (&[], "NotMerged", &[]),
                (&[Merged(3)], "RowsDiffer", &[]),
                (
                    &[Merged(2)],
                    "Done 2",
                    &[
                        "+from/merged",
                        "+ledger/swept/00000001",
                        "-from/a",
                        "-from/b",
                        "-to/merged",
                    ],
                ),
                (
                    &[Merged(2), Gone("a")],
                    "Done 1",
                    &[
                        "+from/merged",
                        "+ledger/swept/00000001",
                        "-from/b",
                        "-to/merged",
                    ],
                ),
                // Nothing is deleted that the merged file does not hold.
                (
                    &[Merged(2), Written("a")],
                    "InputChanged",
                    &["+from/merged"],
                ),
                (
                    &[Merged(2), Ran(Step::Publish), Written("d")],
                    "Done 0",
                    &[],
                ),
            ],
        );
        check_in_place(Step::Abandon, &[(&[Merged(2)], "BadRequest", &[])]);
        check_in_place(Step::Sweep, &[(&[Merged(2)], "Superseded 0", &[])]);
        check_in_place(Step::Delete, &[(&[Merged(2)], "Superseded 0", &[])]);
    }
}

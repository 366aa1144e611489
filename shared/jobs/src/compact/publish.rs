//! Switches writers and readers to the new files of a partition.

use jiff::Timestamp;
use lakewright_core::{
    catalog::{StorageDescriptor, TableName},
    compact::PartitionLedger,
    config,
    location::Location,
};
use lakewright_ports::Partition;

use super::{
    Ports,
    carry::carry,
    ledger::{self, Plan},
    outcome::Outcome,
    report::Step,
    verify::verified,
};
use crate::kit::{ErrorKind, JobError};

/// Publishes the plan's generation.
///
/// Earlier invocations that may still be running determine the order. A writer that read the old state has ended
/// `longest_invocation` after the swap, and until then it reads the state again after its PUT. What it wrote before the
/// swap is carried by the second carrying, after which readers are sent to the new directory. The catalog has no
/// compare-and-swap. Therefore an invocation that finds the marker `published` does not change the catalog, and the
/// sweep waits until all that did not find it have ended.
pub(super) async fn publish(
    ports: &Ports,
    ledger: &PartitionLedger,
    plan: &Plan,
    deadline: Timestamp,
) -> Result<Outcome, JobError> {
    let store = &*ports.store;
    let wait = seconds_until_sweep(&plan.settings);
    let existing = ledger::read_state(store, ledger).await?;
    let generation = existing.as_ref().map_or(0, |(state, _)| state.generation);
    let abandoned = existing.as_ref().map_or(0, |(state, _)| state.abandoned);
    if generation > plan.generation || abandoned >= plan.generation {
        return Ok(Outcome::superseded());
    }
    let mark = ledger.published(plan.generation);
    if ledger::age(store, &mark).await?.is_some() {
        return Ok(Outcome::done(0, Some((Step::Sweep, wait))));
    }
    let mut files = 0;
    if generation < plan.generation {
        // C2
        verified(ports, ledger, plan, deadline).await?;
        files += carry(store, plan).await?;
        if !ledger::swap(store, ledger, plan, existing.as_ref()).await? {
            // A twin was faster: the state has the plan's generation by now, or a later one. Or the plan was abandoned.
            let existing = ledger::read_state(store, ledger).await?;
            if existing.is_none_or(|(state, _)| state.generation != plan.generation) {
                return Ok(Outcome::superseded());
            }
        }
    }
    // C3: files that writers of the old state PUT before the swap.
    files += carry(store, plan).await?;
    point(ports, plan).await?;
    ledger::mark(store, &mark, plan.generation).await?;
    Ok(Outcome::done(files, Some((Step::Sweep, wait))))
}

/// Points the catalog's partition at the new directory.
async fn point(ports: &Ports, plan: &Plan) -> Result<(), JobError> {
    let (table, partition) = registered(ports, plan).await?;
    let at = Location::directory(&partition.storage.location).ok();
    if at.as_ref() == Some(&plan.to) {
        return Ok(());
    }
    if at.as_ref() != Some(&plan.from) {
        return Err(elsewhere(plan, &partition, &plan.from));
    }
    let moved = Partition {
        storage: StorageDescriptor {
            location: plan.to.to_string(),
            ..partition.storage
        },
        values: partition.values,
    };
    let failures = ports
        .catalog
        .update_partitions(table, std::slice::from_ref(&moved))
        .await?;
    if let Some(failure) = failures.into_iter().next() {
        return Err(JobError::new(
            ErrorKind::of_partition(failure.kind),
            format!("partition {}: {}", plan.partition, failure.message),
        ));
    }
    confirm(ports, plan, &plan.to).await
}

/// How many seconds after its publication a generation can be swept.
pub(super) fn seconds_until_sweep(settings: &config::Compact) -> u64 {
    u64::try_from(settings.longest_invocation.as_secs()).unwrap_or_default() + 1
}

/// Checks that the catalog sends readers to `directory`.
pub(super) async fn confirm(
    ports: &Ports,
    plan: &Plan,
    directory: &Location,
) -> Result<(), JobError> {
    let (_, partition) = registered(ports, plan).await?;
    if Location::directory(&partition.storage.location).as_ref() == Ok(directory) {
        return Ok(());
    }
    Err(elsewhere(plan, &partition, directory))
}

fn elsewhere(plan: &Plan, partition: &Partition, expected: &Location) -> JobError {
    JobError::new(
        ErrorKind::PartitionElsewhere,
        format!(
            "partition {} lies at {} in the catalog, but should be at {}: only Lakewright may move the partitions of a compacted table",
            plan.partition, partition.storage.location, expected
        ),
    )
}

/// The plan's partition in the catalog.
async fn registered<'a>(
    ports: &Ports,
    plan: &'a Plan,
) -> Result<(&'a TableName, Partition), JobError> {
    let table = plan.settings.table.as_ref().ok_or_else(|| {
        JobError::new(
            ErrorKind::BadRequest,
            format!("the plan of {} has no table", plan.partition),
        )
    })?;
    let found = ports
        .catalog
        .partitions(table, std::slice::from_ref(&plan.values))
        .await?;
    let partition = found.into_iter().next();
    let partition = partition.ok_or_else(|| {
        JobError::new(
            ErrorKind::PartitionMissing,
            format!(
                "partition {} of {} is not in the catalog any more",
                plan.partition, table
            ),
        )
    })?;
    Ok((table, partition))
}

#[cfg(test)]
mod tests {
    use super::Step;
    use crate::compact::fixture::{
        Was::{Carried, Gone, Merged, MovedOn, Pointed, Ran, Swapped, Waited, Written},
        check,
    };

    #[test]
    fn readers_and_writers_are_sent_to_the_new_directory() {
        let published: &[&str] = &[
            "+ledger/published/00000001",
            "+ledger/state",
            "+to/c",
            "~partition 1",
        ];
        check(
            Step::Publish,
            &[
                (&[], "NotMerged", &[]),
                (&[Merged(3)], "RowsDiffer", &[]),
                (&[Merged(2)], "Done 1, Sweep after 301 s", published),
                // C1: its rows are in the merged file, whether or not it is still there.
                (
                    &[Merged(2), Gone("a")],
                    "Done 1, Sweep after 301 s",
                    published,
                ),
                (&[Merged(2), Written("a")], "InputChanged", &[]),
                (
                    &[Merged(2), Carried("c")],
                    "Done 0, Sweep after 301 s",
                    &[
                        "+ledger/published/00000001",
                        "+ledger/state",
                        "~partition 1",
                    ],
                ),
                // C3: what a writer added before the swap.
                (
                    &[Merged(2), Swapped, Written("d")],
                    "Done 2, Sweep after 301 s",
                    &[
                        "+ledger/published/00000001",
                        "+to/c",
                        "+to/d",
                        "~partition 1",
                    ],
                ),
                // The catalog points there already.
                (
                    &[
                        Merged(2),
                        Swapped,
                        Pointed("t.generations/day=1/g00000001/"),
                    ],
                    "Done 1, Sweep after 301 s",
                    &["+ledger/published/00000001", "+to/c"],
                ),
                (
                    &[Merged(2), Pointed("elsewhere/")],
                    "PartitionElsewhere",
                    &["+ledger/state", "+to/c"],
                ),
                (
                    &[Merged(2), Ran(Step::Publish), Written("d")],
                    "Done 0, Sweep after 301 s",
                    &[],
                ),
                (&[Merged(2), MovedOn], "Superseded 0", &[]),
                (
                    &[Merged(2), Ran(Step::Abandon), Waited(6)],
                    "Superseded 0",
                    &[],
                ),
            ],
        );
    }
}

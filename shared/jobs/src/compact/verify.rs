//! Verifies merged files.

use lakewright_core::{compact::PartitionLedger, location::Location};

use super::{
    footers,
    ledger::{Bin, Plan},
};
use crate::{
    kit::{ErrorKind, JobError},
    ports::{Store, StoreErrorKind},
};

/// Verifies that the file of each bin exists with the planned rows. Returns their sizes.
pub(super) async fn verified(
    store: &dyn Store,
    ledger: &PartitionLedger,
    plan: &Plan,
) -> Result<Vec<u64>, JobError> {
    let mut sizes = Vec::with_capacity(plan.bins.len());
    for (task, bin) in plan.bins.iter().enumerate() {
        let location = plan.output(bin);
        let Some((size, rows)) = rows_of(store, &location).await? else {
            return Err(not_merged(ledger, plan, task, location));
        };
        if rows != bin.rows {
            return Err(rows_differ(location, rows, bin));
        }
        sizes.push(size);
    }
    Ok(sizes)
}

/// The file of a task does not exist yet.
pub(super) fn not_merged(
    ledger: &PartitionLedger,
    plan: &Plan,
    task: usize,
    location: Location,
) -> JobError {
    let plan = ledger.plan(plan.generation);
    JobError::new(
        ErrorKind::NotMerged,
        format!("it does not exist: run compact-merge with task {task} of {plan} first"),
    )
    .of(location)
}

/// A merged file has another number of rows than its plan says.
pub(super) fn rows_differ(location: Location, rows: u64, bin: &Bin) -> JobError {
    JobError::new(
        ErrorKind::RowsDiffer,
        format!("it has {rows} rows, its plan says {}", bin.rows),
    )
    .of(location)
}

/// The size and the row count of a file, if it exists.
pub(super) async fn rows_of(
    store: &dyn Store,
    location: &Location,
) -> Result<Option<(u64, u64)>, JobError> {
    let meta = match store.head(location, None).await {
        Ok(meta) => meta,
        Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let footer = footers::footer(store, location, meta.size, Some(&meta.etag)).await?;
    Ok(Some((meta.size, footers::rows(&footer))))
}

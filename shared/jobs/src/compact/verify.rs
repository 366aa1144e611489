//! Verifies merged files.

use futures::{StreamExt, stream};
use jiff::Timestamp;
use lakewright_core::{compact::PartitionLedger, location::Location};
use lakewright_ports::{Store, StoreErrorKind};

use super::{
    Ports, footers,
    ledger::{Bin, Plan, Verified},
};
use crate::kit::{
    ErrorKind, JobError,
    ledger::{furthest, reach},
};

/// The most merged files that are verified at once.
const CONCURRENT: usize = 32;

/// Verifies that the file of each bin exists with the planned rows. Where the time runs out, it is noted how many do, so that
/// the next attempt only looks at the others: a merged file is never written again.
pub(super) async fn verified(
    ports: &Ports,
    ledger: &PartitionLedger,
    plan: &Plan,
    deadline: Timestamp,
) -> Result<(), JobError> {
    let store = &*ports.store;
    let prefix = ledger.verified(plan.generation);
    // As many as this are looked at together.
    let known = if plan.bins.len() > CONCURRENT {
        furthest::<Verified>(store, &prefix).await?
    } else {
        None
    };
    let known = known.map_or(0, |verified| verified.files);
    let looks = plan.bins.iter().enumerate().skip(known);
    let looks = looks.map(|(task, bin)| async move {
        // At least one is looked at.
        if task > known && ports.clock.now() >= deadline {
            return Err(JobError::deadline());
        }
        verify_file(store, ledger, plan, task, bin).await
    });
    let mut looks = stream::iter(looks).buffered(CONCURRENT);
    let mut files = known;
    while let Some(look) = looks.next().await {
        match look {
            Ok(()) => files += 1,
            Err(error) => {
                if error.kind() == ErrorKind::Deadline && files > known {
                    let verified = Verified {
                        version: Verified::VERSION,
                        files,
                    };
                    reach(store, &prefix, files, &verified).await?;
                }
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Verifies the file of a bin.
pub(super) async fn verify_file(
    store: &dyn Store,
    ledger: &PartitionLedger,
    plan: &Plan,
    task: usize,
    bin: &Bin,
) -> Result<(), JobError> {
    let location = plan.output(bin);
    let Some((_, rows)) = rows_of(store, &location).await? else {
        return Err(not_merged(ledger, plan, task, location));
    };
    if rows != bin.rows {
        return Err(rows_differ(location, rows, bin));
    }
    Ok(())
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

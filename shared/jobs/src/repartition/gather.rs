//! Combines the results of preparations, so that no task has to read all of them.
//!
//! The invocation that ends the last preparation of a block of [`BLOCK`] (or of all) combines them. So each of N
//! preparations reads at most one block of entries, and each task reads its own parts of N / [`BLOCK`] blocks. If that
//! invocation was killed, a task does its work.

use std::{collections::BTreeMap, ops::Range};

use futures::{FutureExt, Stream, StreamExt, TryStreamExt, stream};
use lakewright_core::location::Location;
use lakewright_ports::Store;

use super::{
    Ports,
    ledger::{self, Counted, Counts, Gathered, Ledger, Plan, Prepared},
    shuffle::{self, Staged},
};
use crate::{
    kit::{
        ErrorKind, JobError, Stage,
        parts::{Parts, Written, part},
    },
    work::list::Pages,
};

/// How many preparations are combined into one entry. All that they have staged is in memory meanwhile.
const BLOCK: usize = 64;

/// The most ledger entries that are read at once.
const CONCURRENT: usize = 16;

/// Combines the results of the preparations if this one was the last.
pub(super) async fn after(
    ports: &Ports,
    ledger: &Ledger,
    plan: &Plan,
    index: usize,
) -> Result<(), JobError> {
    let store = &*ports.store;
    let all = if plan.is_staged() {
        of_block(plan, index / BLOCK)
    } else {
        0..plan.prepare.len()
    };
    // The entries after this one are more often missing.
    let is_last = all_exist(store, ledger, index + 1..all.end).await?
        && all_exist(store, ledger, all.start..index).await?;
    if is_last && plan.is_staged() {
        block(ports, ledger, plan, index / BLOCK).await?;
    } else if is_last {
        counts(ports, ledger, plan).await?;
    }
    Ok(())
}

/// The preparations of a block.
fn of_block(plan: &Plan, block: usize) -> Range<usize> {
    let start = block * BLOCK;
    start..plan.prepare.len().min(start + BLOCK)
}

/// Whether these preparations are done.
async fn all_exist(
    store: &dyn Store,
    ledger: &Ledger,
    mut expected: Range<usize>,
) -> Result<bool, JobError> {
    let prefix = ledger.all_prepared();
    let mut pages = Pages::new(store, &prefix);
    if let Some(before) = expected.start.checked_sub(1) {
        pages.skip_to(ledger.prepared(before).key);
    }
    let failed = |error| JobError::store(Stage::Ledger, error);
    while !expected.is_empty()
        && let Some(page) = pages.next().await.map_err(failed)?
    {
        for object in page.objects.iter().take(expected.len()) {
            if object.key != ledger.prepared(expected.start).key {
                return Ok(false);
            }
            expected.start += 1;
        }
    }
    Ok(expected.is_empty())
}

/// The entries of these preparations, in order.
fn prepared<'a>(
    ports: &'a Ports,
    ledger: &'a Ledger,
    plan: &'a Plan,
    range: Range<usize>,
) -> impl Stream<Item = Result<Prepared, JobError>> + Send + 'a {
    let reads = range.map(|index| one(ports, ledger, plan, index).boxed());
    stream::iter(reads.collect::<Vec<_>>()).buffered(CONCURRENT)
}

async fn one(
    ports: &Ports,
    ledger: &Ledger,
    plan: &Plan,
    index: usize,
) -> Result<Prepared, JobError> {
    let prepared: Option<Prepared> = ledger::read(&*ports.store, &ledger.prepared(index)).await?;
    prepared.ok_or_else(|| {
        let all = plan.prepare.len();
        let message = format!(
            "preparation {index} of {all} is not done: run it, then send this request again"
        );
        JobError::new(ErrorKind::TasksMissing, message)
    })
}

/// The counts of a plan's units, in order: from the entry `counted` or, if it does not exist yet, from all `prepared`
/// entries.
pub(super) async fn counts(
    ports: &Ports,
    ledger: &Ledger,
    plan: &Plan,
) -> Result<Vec<Counts>, JobError> {
    let at = ledger.counted();
    let counted: Option<Counted> = ledger::read(&*ports.store, &at).await?;
    if let Some(counted) = counted {
        return Ok(counted.units);
    }
    let mut units = Vec::new();
    let mut entries = prepared(ports, ledger, plan, 0..plan.prepare.len());
    while let Some(prepared) = entries.try_next().await? {
        units.extend(prepared.units);
    }
    drop(entries);
    let counted = Counted {
        version: Counted::VERSION,
        units,
    };
    Ok(ledger::propose(&*ports.store, &at, counted).await?.units)
}

/// The combined results of a block of preparations. Combines them if that was not done yet.
async fn block(
    ports: &Ports,
    ledger: &Ledger,
    plan: &Plan,
    block: usize,
) -> Result<Gathered, JobError> {
    let (store, at) = (&*ports.store, ledger.gathered(block));
    if let Some(gathered) = ledger::read::<Gathered>(store, &at).await? {
        return Ok(gathered);
    }
    let tasks = plan.tasks.len();
    let mut of_tasks = BTreeMap::<usize, shuffle::Gathered>::new();
    let mut entries = prepared(ports, ledger, plan, of_block(plan, block));
    while let Some(prepared) = entries.try_next().await? {
        for (task, staged) in prepared.staged.unwrap_or_default().by_task(tasks) {
            of_tasks.entry(task).or_default().take(staged);
        }
    }
    drop(entries);
    let mut documents = Parts::default();
    for task in 0..tasks {
        let staged = of_tasks.remove(&task).map(shuffle::Gathered::together);
        documents
            .push(staged.as_ref())
            .map_err(|error| JobError::entry(at.clone(), error))?;
    }
    let Written { key, ends } = documents.write(store, &at).await?;
    let gathered = Gathered {
        version: Gathered::VERSION,
        key,
        ends,
    };
    ledger::propose(store, &at, gathered).await
}

/// What all preparations have staged for a task.
pub(super) async fn of_task(
    ports: &Ports,
    ledger: &Ledger,
    plan: &Plan,
    task: usize,
) -> Result<shuffle::Gathered, JobError> {
    let blocks = 0..plan.prepare.len().div_ceil(BLOCK);
    let reads = blocks.map(|block| of_task_in(ports, ledger, plan, block, task).boxed());
    let mut reads = stream::iter(reads.collect::<Vec<_>>()).buffered(CONCURRENT);
    let mut all = shuffle::Gathered::default();
    while let Some(staged) = reads.try_next().await? {
        all.take(staged);
    }
    Ok(all)
}

async fn of_task_in(
    ports: &Ports,
    ledger: &Ledger,
    plan: &Plan,
    number: usize,
    task: usize,
) -> Result<Staged, JobError> {
    let gathered = block(ports, ledger, plan, number).await?;
    let object = Location::new(&ledger.plan().bucket, &gathered.key);
    let staged = part(&*ports.store, &object, &gathered.ends, task).await?;
    Ok(staged.unwrap_or_default())
}

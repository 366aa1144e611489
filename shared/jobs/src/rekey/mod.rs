//! rekey: writes every row of a landed object exactly once, to the partition of its own time.
//!
//! Objects that arrive together are planned together, as a batch. `bid` is a hash of a batch's objects and settings,
//! `sid` one of an object's bucket, key and `ETag`. Each step is create-only: what exists already is adopted.
//!
//! 1. Look up each object's claim, except of objects that have just landed. If its batch is committed, the object is a
//!    duplicate. If its batch is not, it is finished first, from where it was left.
//! 2. Objects without a claim, and those that have just landed, make new batches: PUT `batch/<bid>`, then
//!    `claim/<sid>/<n>` for each of its objects. The members are the objects whose claim names this batch; the others are
//!    looked up. If `batch/<bid>` exists already, its objects that have just landed are looked up before anything else.
//! 3. Read and route the members into a spool, so that all outputs are known by name and rows. Members that cannot be
//!    read, or not together with the others, are left out.
//!    With `on_unknown = "add"`, fields without a column become columns of the table, and the members are read again.
//! 4. PUT `plan/<bid>`: the members, those that were left out, and the outputs. If it exists, read the members that it
//!    names; for one that has disappeared, PUT `lost/<bid>/<sid>`.
//! 5. PUT the outputs. If the table is compacted, they go into the directory that the partition's state names. The state
//!    is read again afterwards: if the partition has moved on meanwhile, the same outputs are put into its new
//!    directory too.
//! 6. Register new partitions in the catalog.
//! 7. PUT `commit/<bid>`, with what was lost.
//! 8. Objects that were left out because they were refused are claimed anew, each alone.
//!
//! After a crash at any point, the next attempt resumes from the ledger. Invariants R1 to R6 are in
//! docs/ARCHITECTURE.md; the simulation in `tests/` checks this code against them.

mod alone;
mod asked;
mod batch;
mod columns;
mod cut;
mod destination;
mod find;
#[cfg(test)]
pub(crate) mod fixture;
mod follow;
mod invocation;
mod ledger;
mod member;
mod plan;
mod quarantine;
mod read;
mod route;
mod schema;
mod secrets;
mod status;
mod target;
#[cfg(test)]
mod tests;
mod timed;
mod write;

use std::{collections::BTreeSet, sync::Arc};

use futures::{StreamExt, stream};
use lakewright_core::{catalog::TableName, config, location::Location};
use lakewright_ports::Secrets;

use self::{asked::identify, invocation::Invocation, ledger::CONCURRENT};
pub use self::{
    find::{Finder, ObjectState},
    ledger::{
        AddedColumn, Alone, Batch, Candidate, Claim, Commit, GivenUp, LeftOut, Lost, Member, Plan,
        PlannedOutput, Reached, Settings, TableColumns, Why,
    },
    status::{ObjectStatus, State, status},
    target::check_target,
};
pub use crate::kit::{Budget, Ports, Stage};
use crate::{kit::JobError, report::ObjectReport};

/// A source object as named by a trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceObject {
    /// Its location.
    pub location: Location,
    /// The `ETag` that the trigger names, with or without quotes; if it names none, that of the current object is used.
    pub etag: Option<String>,
    /// Its size in bytes, if the trigger says it.
    pub size: Option<u64>,
}

/// A source object, and how often it was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// The object.
    pub object: SourceObject,
    /// How often its message was received, including this time.
    pub receives: u32,
    /// Whether no batch is likely to have claimed the object yet. It is then claimed without a lookup first, which saves a
    /// request. If a batch has claimed it, it is looked up afterwards, so this changes no answer.
    pub just_landed: bool,
}

/// The results of [`rekey`].
#[derive(Debug)]
pub struct Answers {
    /// One for each object, in order.
    pub objects: Vec<Result<ObjectReport, Arc<JobError>>>,
    /// The reports of other objects that were committed with them: their own messages will find a duplicate.
    pub others: Vec<ObjectReport>,
}

impl Answers {
    /// All of these objects fail with this error.
    pub fn refused(objects: &[Delivered], error: JobError) -> Self {
        let error = Arc::new(error);
        Self {
            objects: objects.iter().map(|_| Err(Arc::clone(&error))).collect(),
            others: Vec::new(),
        }
    }
}

/// Processes source objects of one job to their commits. `secrets` has the secrets that columns are hashed with. `compacted`
/// are the tables whose partitions move between directories.
///
/// After any error the same call may be made again, with these objects or others: it resumes from the ledger.
pub async fn rekey(
    ports: &Ports,
    secrets: &dyn Secrets,
    job: &config::Rekey,
    compacted: &BTreeSet<TableName>,
    objects: &[Delivered],
    budget: &Budget,
) -> Answers {
    let ports = ports.writing(&job.tags, job.encryption.as_ref());
    let named = objects.iter().map(|object| identify(&*ports.store, object));
    let named = stream::iter(named.collect::<Vec<_>>()).buffered(CONCURRENT);
    let named = named.collect::<Vec<_>>().await;
    let mut invocation = Invocation::new(&ports, secrets, job, compacted, budget, &named);
    // The future is large, and would be part of every caller's.
    Box::pin(invocation.work()).await;
    invocation.give_up(&named).await;
    invocation.answers(named)
}

type Answer = Result<ObjectReport, Arc<JobError>>;

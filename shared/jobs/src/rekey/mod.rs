//! rekey: writes every row of a landed object exactly once, to the partition of its own time.
//!
//! The protocol handles one source object at a time (`sid` is a hash of its bucket, key and `ETag`):
//!
//! 1. If `commit/<sid>` exists, the object is a duplicate.
//! 2. Read and route the whole object into a spool, so that all its outputs are known by name and rows.
//! 3. PUT `intent/<sid>`, create-only. If it exists, use its settings.
//! 4. PUT the outputs, create-only. An existing output was made by the same plan. If the table is compacted, they go
//!    into the directory that the partition's state names. The state is read again afterwards: if the partition has
//!    moved on meanwhile, the same outputs are put into its new directory too.
//! 5. Register new partitions in the catalog.
//! 6. PUT `commit/<sid>`, create-only.
//!
//! After a crash at any point, the next attempt resumes from the ledger. Invariants R1 to R5 are in
//! docs/ARCHITECTURE.md; the simulation in `tests/` checks this code against them.

mod follow;
mod ledger;
mod plan;
mod quarantine;
mod read;
pub(crate) mod register;
mod route;
mod schema;
mod write;

use std::{collections::BTreeSet, sync::Arc};

use lakewright_core::{catalog::TableName, config, location::Location, naming::source_id};

pub use self::ledger::{Commit, Intent, PlannedOutput, Settings, TableColumns};
use self::{follow::Follow, ledger::Ledger, plan::Plan, source::Source};
pub use crate::kit::{Budget, Ports, Stage};
use crate::{
    kit::{ErrorKind, JobError},
    ports::{Store, StoreErrorKind},
    report::{ObjectReport, Status},
    work::{source, spool},
};

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

/// How often the partitions' states are read again if the catalog has a partition at another location.
const REGISTRATIONS: usize = 3;

/// Processes one source object to its commit. `compacted` are the tables whose partitions move between directories.
///
/// # Errors
/// See [`JobError`]. After any error the same call may be made again: it resumes from the ledger.
pub async fn rekey(
    ports: &Ports,
    job: &config::Rekey,
    compacted: &BTreeSet<TableName>,
    source: &SourceObject,
    budget: &Budget,
) -> Result<ObjectReport, JobError> {
    let ports = ports.writing(&job.tags, job.encryption.as_ref());
    process(&ports, job, compacted, source, budget).await
}

async fn process(
    ports: &Ports,
    job: &config::Rekey,
    compacted: &BTreeSet<TableName>,
    source: &SourceObject,
    budget: &Budget,
) -> Result<ObjectReport, JobError> {
    let without_rows = |status| Ok(ObjectReport::without_rows(source.location.clone(), status));
    let Some(etag) = etag_of(&*ports.store, source).await? else {
        return without_rows(Status::Gone);
    };
    let sid = source_id(&source.location.bucket, &source.location.key, &etag);
    let ledger = Ledger::new(job, sid.clone());
    if ledger.is_committed(&*ports.store).await? {
        return without_rows(Status::Duplicate);
    }

    let table = plan::table(&*ports.catalog, job).await?;
    let standing = ledger.read_intent(&*ports.store).await?;
    if standing.as_ref().is_some_and(|intent| intent.withdrawn) {
        return withdrawn(ports, &ledger, &source.location, &etag).await;
    }
    let mut resumed = standing.is_some();
    let (mut settings, mut landed) = standing.map_or_else(
        || (Settings::current(job, table.as_ref()), None),
        |intent| (intent.settings, intent.landed),
    );
    // At most twice: a plan that another invocation made meanwhile is final.
    let (mut plan, mut routed) = loop {
        let request = route::Request {
            ports,
            budget,
            ledger: &ledger,
            settings: &settings,
            location: &source.location,
            etag: &etag,
            landed,
        };
        let mut routed = match route::route(request).await? {
            Ok(routed) => routed,
            Err(status) => {
                let gone = Intent::withdrawn(source.location.clone(), etag, settings);
                return unread(&*ports.store, &ledger, gone, status).await;
            }
        };
        let plan = Plan::new(&ledger, &sid, &settings, &routed)?;
        let intent = ledger
            .propose(&*ports.store, plan.intent(&source.location, &etag))
            .await?;
        if intent.withdrawn {
            routed.discard().await;
            return withdrawn(ports, &ledger, &source.location, &etag).await;
        }
        if intent.settings == settings && intent.landed == Some(routed.landed) {
            plan.check_against(&ledger, &intent)?;
            break (plan, routed);
        }
        routed.discard().await;
        (settings, landed) = (intent.settings, intent.landed);
        resumed = true;
    };

    let mut follow = Follow::begin(&*ports.store, compacted, &mut plan, &routed).await?;
    let sizes = write::outputs(ports, budget, &plan, &routed, resumed).await?;
    routed.spool.discard().await;
    // A plan of another deployment uses the table that it names.
    let table = if plan.job().table == job.table {
        table
    } else {
        plan::table(&*ports.catalog, plan.job()).await?
    };
    for attempt in 1.. {
        follow.settle(&*ports.store, &mut plan).await?;
        let Some(table) = &table else {
            break;
        };
        let partitions = plan.partitions(&routed, &follow);
        let registered = register::register(&*ports.catalog, table, &partitions).await;
        let moved = |error: &JobError| error.kind() == ErrorKind::PartitionElsewhere;
        // The partition has moved since its state was read.
        if !registered.as_ref().is_err_and(moved) || !follow.is_needed() || attempt >= REGISTRATIONS
        {
            registered?;
            break;
        }
    }
    let quarantined = routed.quarantine.rows();
    let report = ObjectReport {
        rows_in: routed.rows_in,
        rows_out: routed.rows_in - quarantined,
        rows_quarantined: quarantined,
        fields_dropped: routed.fields_dropped,
        values_dropped: routed.values_dropped,
        quarantined_by_reason: routed.quarantine.by_reason().clone(),
        lateness: routed.lateness.finish(),
        outputs: plan.reports(&sizes),
        quarantine: plan.quarantine.as_ref().map(|planned| planned.key.clone()),
        ..ObjectReport::without_rows(source.location.clone(), Status::Committed)
    };
    if report.quarantine.is_some() {
        routed.quarantine.finish().await?;
    }
    let commit = Commit {
        version: Commit::VERSION,
        etag,
        report,
    };
    ledger.write_commit(&*ports.store, &commit).await?;
    Ok(commit.report)
}

/// Decides the outcome for a source object that could not be read.
///
/// A plan without a commit means that some of its rows may exist and the others may be lost, which must not count as
/// success. And after a success, nobody would finish a plan. Therefore a withdrawn plan is written first: a twin that
/// has read the object and is still running cannot write a plan then.
async fn unread(
    store: &dyn Store,
    ledger: &Ledger,
    gone: Intent,
    status: Status,
) -> Result<ObjectReport, JobError> {
    let source = gone.source.clone();
    let status = if status == Status::Ignored || ledger.propose(store, gone).await?.withdrawn {
        status
    } else if ledger.is_committed(store).await? {
        Status::Duplicate
    } else {
        let message = format!(
            "it no longer exists, but its plan at {} has no commit: some of its rows may be \
            missing. See OPERATIONS.md, \"A source object that was lost\"",
            ledger.intent()
        );
        return Err(JobError::new(ErrorKind::SourceLost, message)
            .during(Stage::Read)
            .of(source));
    };
    Ok(ObjectReport::without_rows(source, status))
}

/// Decides the outcome for a source object that was answered as gone or superseded before.
async fn withdrawn(
    ports: &Ports,
    ledger: &Ledger,
    source: &Location,
    etag: &str,
) -> Result<ObjectReport, JobError> {
    if let Err(status) = Source::open(Arc::clone(&ports.store), source, etag).await? {
        return Ok(ObjectReport::without_rows(source.clone(), status));
    }
    let message = format!(
        "it was gone when it was first looked for, as {} says, and is back: delete that entry and deliver the object again",
        ledger.intent()
    );
    Err(JobError::new(ErrorKind::Withdrawn, message).of(source.clone()))
}

/// The object's `ETag` with its quotes; `None` if the trigger names none and there is no object.
async fn etag_of(store: &dyn Store, source: &SourceObject) -> Result<Option<String>, JobError> {
    if let Some(etag) = &source.etag {
        return Ok(Some(format!("\"{}\"", etag.trim_matches('"'))));
    }
    match store.head(&source.location, None).await {
        Ok(meta) => Ok(Some(meta.etag)),
        Err(error) if error.kind == StoreErrorKind::NotFound => Ok(None),
        Err(error) => Err(JobError::store(Stage::Read, error)),
    }
}

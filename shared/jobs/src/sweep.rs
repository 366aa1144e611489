//! sweep: finds landed objects without a commit and sends them to rekey.
//!
//! An event can be lost between S3 and the queue, and data that landed before Lakewright was deployed had no event. The
//! sweep lists the source, looks up each object in the ledger, and sends those without a commit to rekey's own queue. A
//! backfill of a year works the same way with more pages: one page is in memory at a time, and a sweep that runs out of
//! time returns where to continue.

use std::{sync::Arc, time::Duration};

use futures::{TryStreamExt, stream::FuturesOrdered};
use jiff::Timestamp;
use lakewright_core::{config, location::Location, naming::source_id};
use serde::{Deserialize, Serialize};

use crate::{
    kit::{JobError, send},
    ports::{Clock, ListPage, Listed, MAX_SEND_BATCH, Queue, Store, StoreErrorKind},
    rekey::SourceObject,
};

/// The most concurrent lookups in the ledger.
const CONCURRENT_QUESTIONS: usize = 64;

/// How long the sweep waits for an object's own event before it looks for its commit.
pub const DEFAULT_MIN_AGE: Duration = Duration::from_hours(1);

/// The services that a sweep needs.
#[derive(Clone)]
pub struct Ports {
    /// Objects.
    pub store: Arc<dyn Store>,
    /// Rekey's queue.
    pub queue: Arc<dyn Queue>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// What to sweep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepRequest {
    /// The rekey job's name.
    pub sweep: String,
    /// Only keys that begin with this, below the job's source: for example `2026/05/` for a month of Firehose's
    /// objects.
    #[serde(default)]
    pub prefix: String,
    /// Only keys after this one: the `next` of the previous sweep.
    #[serde(default)]
    pub after: Option<String>,
    /// Only objects that landed at least this many seconds ago; an hour by default.
    #[serde(default)]
    pub min_age_seconds: Option<u64>,
    /// Only objects that landed at this time or later; by default, all. The ledger is not asked about earlier ones.
    #[serde(default)]
    pub since: Option<Timestamp>,
}

/// The result of a sweep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepReport {
    /// `sweep`.
    pub job: String,
    /// The rekey job's name.
    pub name: String,
    /// The number of objects listed.
    pub listed: u64,
    /// The number of objects that are committed.
    pub committed: u64,
    /// The number of objects that were skipped: not an input of the job, empty, too young, or older than `since`.
    pub passed_over: u64,
    /// The number of objects that were sent to rekey.
    pub sent: u64,
    /// The `after` of the next sweep; `None` when all objects were listed.
    pub next: Option<String>,
}

/// Sweeps until everything is listed or the `deadline` is reached.
///
/// # Errors
/// See [`JobError`]. Messages that were sent before stay in the queue; the same request may be sent again.
pub async fn sweep(
    ports: &Ports,
    job: &config::Rekey,
    request: &SweepRequest,
    queue_url: &str,
    deadline: Timestamp,
) -> Result<SweepReport, JobError> {
    let prefix = job.source.join(&request.prefix);
    let min_age = request
        .min_age_seconds
        .map_or(DEFAULT_MIN_AGE, Duration::from_secs);
    let mut report = SweepReport {
        job: "sweep".to_owned(),
        name: job.name.clone(),
        listed: 0,
        committed: 0,
        passed_over: 0,
        sent: 0,
        next: request.after.clone(),
    };
    loop {
        let page = ports.store.list(&prefix, report.next.as_deref()).await?;
        let missing = missing(
            &*ports.store,
            job,
            &page,
            (min_age, request.since),
            &mut report,
        )
        .await?;
        for batch in missing.chunks(MAX_SEND_BATCH) {
            send(ports, queue_url, batch).await?;
            report.sent += batch.len() as u64;
        }
        match page.objects.last() {
            Some(last) if page.truncated => report.next = Some(last.key.clone()),
            _ => {
                report.next = None;
                return Ok(report);
            }
        }
        if ports.clock.now() >= deadline {
            return Ok(report);
        }
    }
}

/// The objects of a page that rekey should have committed by now, but has not.
async fn missing(
    store: &dyn Store,
    job: &config::Rekey,
    page: &ListPage,
    (min_age, since): (Duration, Option<Timestamp>),
    report: &mut SweepReport,
) -> Result<Vec<SourceObject>, JobError> {
    let due = |object: &&Listed| {
        let age = page.answered_at.duration_since(object.last_modified);
        let location = Location::new(&job.source.bucket, &object.key);
        let is_recent = since.is_none_or(|since| object.last_modified >= since);
        object.size > 0 && job.reads(&location) && is_recent && age.unsigned_abs() >= min_age
    };
    let due = page.objects.iter().filter(due).collect::<Vec<_>>();
    report.listed += page.objects.len() as u64;
    report.passed_over += (page.objects.len() - due.len()) as u64;
    let asked = due.len();
    let mut under_way = FuturesOrdered::new();
    let mut missing = Vec::new();
    for object in due {
        if under_way.len() >= CONCURRENT_QUESTIONS {
            missing.extend(under_way.try_next().await?.flatten());
        }
        under_way.push_back(uncommitted(store, job, object));
    }
    while let Some(object) = under_way.try_next().await? {
        missing.extend(object);
    }
    report.committed += (asked - missing.len()) as u64;
    Ok(missing)
}

/// The object as named by a trigger, unless it is committed.
async fn uncommitted(
    store: &dyn Store,
    job: &config::Rekey,
    object: &Listed,
) -> Result<Option<SourceObject>, JobError> {
    let sid = source_id(&job.source.bucket, &object.key, &object.etag);
    match store.head(&job.commit(&sid), None).await {
        Ok(_) => Ok(None),
        Err(error) if error.kind == StoreErrorKind::NotFound => Ok(Some(SourceObject {
            location: Location::new(&job.source.bucket, &object.key),
            etag: Some(object.etag.clone()),
            size: Some(object.size),
        })),
        Err(error) => Err(error.into()),
    }
}

/// Sends one message for each object, in the form of an item of a Distributed Map, and retries those that the queue
/// rejects.
async fn send(ports: &Ports, queue_url: &str, objects: &[SourceObject]) -> Result<(), JobError> {
    let bodies = objects
        .iter()
        .map(|SourceObject { location, etag, size }| {
            let (bucket, key) = (&location.bucket, &location.key);
            serde_json::json!({"Bucket": bucket, "Key": key, "Etag": etag, "Size": size}).to_string()
        })
        .collect();
    send::send(&*ports.queue, &*ports.clock, queue_url, bodies).await
}

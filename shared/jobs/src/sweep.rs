//! sweep: finds landed objects that have no commit and hands them to rekey.
//!
//! An event can be lost between S3 and the queue, and data that landed before Lakewright was deployed never
//! had one. The sweep lists the source, asks the ledger about each object, and sends those that are missing
//! to rekey's own queue. A backfill of a year is the same thing with more pages: one page is in memory at a
//! time, and a sweep that runs out of time says where the next one goes on.

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

/// Questions to the ledger under way at a time.
const CONCURRENT_QUESTIONS: usize = 64;

/// How long an object is left to its own event before the sweep looks for its commit.
pub const DEFAULT_MIN_AGE: Duration = Duration::from_hours(1);

/// What a sweep needs from the outside.
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
    /// Only keys that begin with this, below the job's source: `2026/05/` for a month of Firehose's.
    #[serde(default)]
    pub prefix: String,
    /// Only keys after this one: the `next` of the sweep before.
    #[serde(default)]
    pub after: Option<String>,
    /// Only objects that landed at least this many seconds ago; an hour where nothing is said.
    #[serde(default)]
    pub min_age_seconds: Option<u64>,
    /// Only objects that landed then or later; the whole history where nothing is said. No question is asked about others.
    #[serde(default)]
    pub since: Option<Timestamp>,
}

/// What a sweep found and did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepReport {
    /// `sweep`.
    pub job: String,
    /// The rekey job's name.
    pub name: String,
    /// Objects listed.
    pub listed: u64,
    /// Those that are committed.
    pub committed: u64,
    /// Those left alone: not the job's to read, empty, too young, or of before `since`.
    pub passed_over: u64,
    /// Those handed to rekey.
    pub sent: u64,
    /// Where the next sweep goes on (its `after`); `None` when all was listed.
    pub next: Option<String>,
}

/// Sweeps until everything is listed or the `deadline` is reached.
///
/// # Errors
/// See [`JobError`]. What was sent by then is sent; the same request may be made again.
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

/// The objects of a page that rekey should have committed by now, and has not.
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

/// The object as a trigger would name it, unless it is committed.
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
        })),
        Err(error) => Err(error.into()),
    }
}

/// Sends one message for each object, in the form of an item of a Distributed Map, and those again that the queue
/// did not take.
async fn send(ports: &Ports, queue_url: &str, objects: &[SourceObject]) -> Result<(), JobError> {
    let bodies = objects
        .iter()
        .map(|SourceObject { location, etag }| {
            let (bucket, key) = (&location.bucket, &location.key);
            serde_json::json!({"Bucket": bucket, "Key": key, "Etag": etag}).to_string()
        })
        .collect();
    send::send(&*ports.queue, &*ports.clock, queue_url, bodies).await
}

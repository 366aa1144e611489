//! sweep: finds landed objects without a commit and hands them to rekey.
//!
//! An event can be lost between S3 and the queue, and data that landed before Lakewright was deployed had no event. The
//! sweep lists the source, looks up each object in the ledger, and sends those without a commit to a queue of rekey, in
//! messages that list as many objects as rekey plans together. A backfill of years works the same way with more pages: two
//! pages are in memory at a time, and a sweep that runs out of time returns where to continue.

mod messages;
mod redrive;

use std::{sync::Arc, time::Duration};

use futures::{
    TryStreamExt, future,
    stream::{FuturesOrdered, FuturesUnordered},
};
use jiff::Timestamp;
use lakewright_core::{config, location::Location};
use serde::{Deserialize, Serialize};

use self::messages::{Packer, calls};
pub use self::redrive::{RedriveReport, RedriveRequest, redrive};
use crate::{
    kit::{ErrorKind, JobError, send},
    ports::{Clock, ListPage, Listed, Queue, Store},
    rekey::{Candidate, Finder, SourceObject, Standing},
};

/// The most concurrent lookups in the ledger.
const CONCURRENT_QUESTIONS: usize = 256;

/// The most concurrent calls that send messages.
const CONCURRENT_CALLS: usize = 16;

/// How long the sweep waits for an object's own event before it looks for its commit.
pub const DEFAULT_MIN_AGE: Duration = Duration::from_hours(1);

/// The services that a sweep needs.
#[derive(Clone)]
pub struct Ports {
    /// Objects.
    pub store: Arc<dyn Store>,
    /// The queue that feeds rekey with messages of many objects.
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
    /// Whether nothing is sent: the report says what would be.
    #[serde(default)]
    pub dry_run: bool,
    /// Whether the schedule started it: then what it finds had an event, and the event was lost.
    #[serde(default)]
    pub scheduled: bool,
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
    /// The number of objects that are given up, because they always fail: a redrive sends them again.
    pub given_up: u64,
    /// The number of objects that were skipped: not an input of the job, empty, too young, or older than `since`.
    pub passed_over: u64,
    /// The number of objects that were sent to rekey or, by a dry run, would be.
    pub sent: u64,
    /// The sum of their sizes.
    pub bytes: u64,
    /// The number of messages that list them.
    pub messages: u64,
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
        given_up: 0,
        passed_over: 0,
        sent: 0,
        bytes: 0,
        messages: 0,
        next: None,
    };
    let finder = Finder::new(&*ports.store, job);
    let window = (min_age, request.since);
    let queue = (!request.dry_run).then_some(queue_url);
    let mut packer = Packer::new(job.batch.objects, job.batch.size.as_u64());
    let mut page = ports.store.list(&prefix, request.after.as_deref()).await?;
    loop {
        let last = page.objects.last().filter(|_| page.truncated);
        let next = last.map(|object| object.key.clone());
        let is_due = ports.clock.now() >= deadline;
        // The next page is listed while this one is looked up: a listing is the slowest part.
        let listed = async {
            match next.as_deref().filter(|_| !is_due) {
                Some(next) => ports.store.list(&prefix, Some(next)).await.map(Some),
                None => Ok(None),
            }
        };
        let swept = async {
            let missing = missing(&finder, job, &page, window, &mut report).await?;
            let mut complete = Vec::new();
            for object in &missing {
                report.sent += 1;
                report.bytes += object.size.unwrap_or(0);
                let message = packer.add(object);
                complete.extend(message.map_err(|error| unwritten(&error))?);
            }
            enqueue(ports, queue, complete, &mut report).await
        };
        let (following, ()) =
            future::try_join(async { listed.await.map_err(JobError::from) }, swept).await?;
        let Some(following) = following else {
            let rest = packer.rest().into_iter().collect();
            enqueue(ports, queue, rest, &mut report).await?;
            report.next = next;
            return Ok(report);
        };
        page = following;
    }
}

fn unwritten(error: &serde_json::Error) -> JobError {
    JobError::new(ErrorKind::BadRequest, error.to_string())
}

/// Sends messages, and counts them.
async fn enqueue(
    ports: &Ports,
    queue_url: Option<&str>,
    messages: Vec<String>,
    report: &mut SweepReport,
) -> Result<(), JobError> {
    report.messages += messages.len() as u64;
    enqueue_all(ports, queue_url, messages).await
}

/// Sends messages, many at a time. Without a queue nothing is sent.
async fn enqueue_all(
    ports: &Ports,
    queue_url: Option<&str>,
    messages: Vec<String>,
) -> Result<(), JobError> {
    let Some(queue_url) = queue_url else {
        return Ok(());
    };
    let mut under_way = FuturesUnordered::new();
    for call in calls(messages) {
        if under_way.len() >= CONCURRENT_CALLS {
            under_way.try_next().await?;
        }
        under_way.push(send::send(&*ports.queue, queue_url, call));
    }
    while under_way.try_next().await?.is_some() {}
    Ok(())
}

/// The objects of a page that rekey should have committed by now, but has not.
async fn missing(
    finder: &Finder<'_>,
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
    let mut under_way = FuturesOrdered::new();
    let mut missing = Vec::new();
    let mut take = |found| match found {
        Found::Done => report.committed += 1,
        Found::GivenUp => report.given_up += 1,
        Found::Missing(object) => missing.push(object),
    };
    for object in due {
        if under_way.len() >= CONCURRENT_QUESTIONS
            && let Some(found) = under_way.try_next().await?
        {
            take(found);
        }
        under_way.push_back(uncommitted(
            finder,
            Candidate {
                source: Location::new(&job.source.bucket, &object.key),
                etag: object.etag.clone(),
                claim: 0,
            },
            object.size,
        ));
    }
    while let Some(found) = under_way.try_next().await? {
        take(found);
    }
    Ok(missing)
}

/// What has become of an object.
enum Found {
    /// Its rows are written.
    Done,
    GivenUp,
    /// As named by a trigger.
    Missing(SourceObject),
}

async fn uncommitted(finder: &Finder<'_>, object: Candidate, size: u64) -> Result<Found, JobError> {
    let standing = finder.find(&object).await?;
    if matches!(standing, Standing::Committed { .. }) {
        return Ok(Found::Done);
    }
    if finder.given_up(&object, &standing).await?.is_some() {
        return Ok(Found::GivenUp);
    }
    Ok(Found::Missing(SourceObject {
        location: object.source,
        etag: Some(object.etag),
        size: Some(size),
    }))
}

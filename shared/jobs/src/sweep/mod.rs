//! sweep: finds landed objects without a commit and hands them to rekey.
//!
//! An event can be lost between S3 and the queue, and data that landed before Lakewright was deployed had no event. The
//! sweep lists the source, looks up each object in the ledger, and sends those without a commit to a queue of rekey, in
//! messages that list as many objects as rekey plans together. A backfill of years works the same way with more pages: two
//! pages are in memory at a time, and a sweep that runs out of time returns where to continue.

mod cost;
mod messages;
mod redrive;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use futures::{
    TryStreamExt, future,
    stream::{FuturesOrdered, FuturesUnordered},
};
use jiff::Timestamp;
use lakewright_core::{config, location::Location};
use lakewright_ports::{Clock, ListPage, Listed, Queue, Store, StoreErrorKind};
use serde::{Deserialize, Serialize};

pub use self::cost::Requests;
use self::messages::{Packer, calls};
pub use self::redrive::{RedriveReport, RedriveRequest, redrive};
use crate::{
    kit::{ErrorKind, JobError, send},
    rekey::{Candidate, Finder, ObjectState, SourceObject},
    work::list::Pages,
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
    /// Whether to send nothing, and only report what would be sent.
    #[serde(default)]
    pub dry_run: bool,
    /// Whether the schedule started it: then every object that it finds had an event that was lost.
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
    /// The number of objects that are given up because they always fail. A redrive sends them again.
    pub given_up: u64,
    /// The number of objects that were skipped: not an input of the job, empty, too young, or older than `since`.
    pub passed_over: u64,
    /// The number of objects that were sent to rekey or, by a dry run, would be.
    pub sent: u64,
    /// The sum of their sizes.
    pub bytes: u64,
    /// The number of messages that list them.
    pub messages: u64,
    /// An estimate of what it takes to find and to process them.
    pub requests: Requests,
    /// What that costs in US dollars, as `"0.01"`.
    pub usd: String,
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
        requests: Requests::default(),
        usd: String::new(),
        next: None,
    };
    let finder = Finder::new(&*ports.store, job);
    let window = (min_age, request.since);
    let queue = (!request.dry_run).then_some(queue_url);
    let mut packer = Packer::new(job.batch.objects, job.batch.size.as_u64());
    let clock = &*ports.clock;
    // The last key that was looked up.
    let mut reached = request.after.clone();
    let mut pages = Pages::new(&*ports.store, &prefix);
    if let Some(after) = &request.after {
        pages.skip_to(after.clone());
    }
    let mut page = pages.next().await?;
    while let Some(current) = page {
        let last = current.objects.last().filter(|_| current.truncated);
        let next = last.map(|object| object.key.clone());
        let is_due = clock.now() >= deadline;
        // The next page is listed while this one is looked up: a listing is the slowest part.
        let listed = async {
            if is_due {
                return Ok(None);
            }
            match pages.next().await {
                // This page is complete, and the next sweep continues after it.
                Err(error) if error.kind == StoreErrorKind::Deadline => Ok(None),
                listed => listed,
            }
        };
        let swept = async {
            let until = (clock, deadline);
            let looked = look(&finder, job, &current, window, until, &mut report).await?;
            let mut complete = Vec::new();
            for object in &looked.missing {
                report.sent += 1;
                report.bytes += object.size.unwrap_or(0);
                let message = packer.add(object);
                complete.extend(message.map_err(|error| unwritten(&error))?);
            }
            enqueue(ports, queue, complete, &mut report).await?;
            Ok(looked.end)
        };
        let (following, end) =
            future::try_join(async { listed.await.map_err(JobError::from) }, swept).await?;
        page = None;
        match (end, following) {
            (End::Whole, Some(following)) => {
                reached = next;
                page = Some(following);
            }
            (End::Whole, None) => report.next = next,
            // The next sweep begins with the objects that were not looked up in time.
            (End::After(key), _) => report.next = Some(key),
            (End::AtOnce, _) if reached == request.after => return Err(JobError::deadline()),
            (End::AtOnce, _) => report.next = reached.take(),
        }
    }
    let rest = packer.rest().into_iter().collect();
    enqueue(ports, queue, rest, &mut report).await?;
    Ok(priced(report))
}

/// Adds the estimated requests and cost to the report.
fn priced(report: SweepReport) -> SweepReport {
    let SweepReport {
        sent,
        bytes,
        messages,
        listed,
        ..
    } = report;
    let requests = Requests::of(sent, bytes, messages, listed);
    SweepReport {
        usd: requests.usd(sent, bytes, messages),
        requests,
        ..report
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

/// The lookups of a page.
struct Looked {
    /// The objects that rekey should have committed by now, but has not.
    missing: Vec<SourceObject>,
    end: End,
}

/// How the lookups of a page ended.
enum End {
    /// All were made.
    Whole,
    /// The time ran out after the lookup of this key.
    After(String),
    /// The time ran out before the first.
    AtOnce,
}

/// Looks up the objects of a page, in their order, until the time is over.
async fn look(
    finder: &Finder<'_>,
    job: &config::Rekey,
    page: &ListPage,
    (min_age, since): (Duration, Option<Timestamp>),
    (clock, deadline): (&dyn Clock, Timestamp),
    report: &mut SweepReport,
) -> Result<Looked, JobError> {
    let due = |object: &&Listed| {
        let age = page.answered_at.duration_since(object.last_modified);
        let location = Location::new(&job.source.bucket, &object.key);
        let is_recent = since.is_none_or(|since| object.last_modified >= since);
        object.size > 0 && job.reads(&location) && is_recent && age.unsigned_abs() >= min_age
    };
    let mut due = page
        .objects
        .iter()
        .enumerate()
        .filter(|(_, object)| due(object));
    let mut under_way = FuturesOrdered::new();
    let mut looked = Looked {
        missing: Vec::new(),
        end: End::Whole,
    };
    // How many objects of the page were passed, and how many of them were looked up.
    let (mut seen, mut answered) = (0, 0);
    let mut is_over = false;
    loop {
        while under_way.len() < CONCURRENT_QUESTIONS
            && !is_over
            && let Some((index, object)) = due.next()
        {
            let candidate = Candidate {
                source: Location::new(&job.source.bucket, &object.key),
                etag: object.etag.clone(),
                claim: 0,
            };
            under_way.push_back(async move {
                let found = uncommitted(finder, candidate, object.size).await;
                Ok::<_, JobError>((index, found))
            });
            // At least one is looked up.
            is_over = clock.now() >= deadline;
        }
        let Some((index, found)) = under_way.try_next().await? else {
            break;
        };
        match found {
            Ok(Found::Done) => report.committed += 1,
            Ok(Found::GivenUp) => report.given_up += 1,
            Ok(Found::Missing(object)) => looked.missing.push(object),
            Err(error) if error.kind() == ErrorKind::Deadline => {
                is_over = true;
                break;
            }
            Err(error) => return Err(error),
        }
        answered += 1;
        seen = index + 1;
        is_over |= clock.now() >= deadline;
    }
    if is_over && (!under_way.is_empty() || due.next().is_some() || seen == 0) {
        let last = seen.checked_sub(1).and_then(|last| page.objects.get(last));
        looked.end = last.map_or(End::AtOnce, |object| End::After(object.key.clone()));
    } else {
        seen = page.objects.len();
    }
    report.listed += seen as u64;
    report.passed_over += seen as u64 - answered;
    Ok(looked)
}

/// The result of a lookup.
enum Found {
    /// Its rows are written.
    Done,
    GivenUp,
    /// As named by a trigger.
    Missing(SourceObject),
}

async fn uncommitted(finder: &Finder<'_>, object: Candidate, size: u64) -> Result<Found, JobError> {
    let state = finder.find(&object).await?;
    if matches!(state, ObjectState::Committed { .. }) {
        return Ok(Found::Done);
    }
    if finder.given_up(&object, &state).await?.is_some() {
        return Ok(Found::GivenUp);
    }
    Ok(Found::Missing(SourceObject {
        location: object.source,
        etag: Some(object.etag),
        size: Some(size),
    }))
}

//! Determines whether the job, or a run of it, is over, and tells the waiting callers.
//!
//! The writer of a marker (`done/<chunk>`, `failed/<run>/<chunk>`) checks afterwards whether it was the last. S3's
//! listings are consistent, and markers are never deleted, so of two writers the later one sees both markers, and the
//! last writer sees them all. Every message of a run ends as one of the two, so every run ends.

use std::{collections::BTreeSet, ops::Range};

use futures::{TryStreamExt, stream::FuturesUnordered};
use lakewright_core::location::Location;
use lakewright_ports::{CallbackErrorKind, Store};

use super::{
    Ports, State,
    ledger::{
        self, Done, Failure, JOB_CANCELLED, JOB_CHUNK_FAILED, Ledger, NAMED, Outcome, Plan, Run,
        Summary, chunk_of, entry, vanished,
    },
};
use crate::{
    kit::{JobError, Stage, ledger::Document},
    work::list::Pages,
};

/// The most markers that are read at once.
const CONCURRENT_READS: usize = 64;

/// The state of a job's chunks.
enum Tally {
    /// Some are neither done nor failed in the run.
    Open,
    /// All are done.
    Done,
    /// These failed in the run, and all others are done.
    Failed(BTreeSet<u32>),
}

/// Ends the run if no chunk is left. The search for chunks that are left begins after the chunk `near`.
pub(super) async fn settle(
    ports: &Ports,
    ledger: &Ledger,
    plan: &Plan,
    run: &str,
    near: Option<u32>,
) -> Result<State, JobError> {
    let store = &*ports.store;
    let chunks = u32::try_from(plan.chunks.len()).unwrap_or(u32::MAX);
    match tally(store, ledger, run, chunks, near).await? {
        Tally::Open => {
            tell(ports, ledger, run, News::GoesOn).await?;
            Ok(State::Running)
        }
        // S1: all markers are there.
        Tally::Done => {
            let summary = succeed(ports, ledger, plan).await?;
            let output = text(ledger, &summary)?;
            for run in ledger::runs(store, ledger).await? {
                tell(ports, ledger, &run, News::Succeeded(&output)).await?;
            }
            Ok(State::Succeeded)
        }
        Tally::Failed(failed) => {
            let outcome = fail(ports, ledger, plan, run, &failed).await?;
            let error = format!("Lakewright.{}", outcome.error);
            let cause = text(ledger, &outcome)?;
            let news = News::Failed {
                error: &error,
                cause: &cause,
            };
            tell(ports, ledger, run, news).await?;
            Ok(state_of(&outcome))
        }
    }
}

pub(super) fn state_of(outcome: &Outcome) -> State {
    if outcome.error == JOB_CANCELLED {
        State::Cancelled
    } else {
        State::Failed
    }
}

fn text<T: serde::Serialize>(ledger: &Ledger, document: &T) -> Result<String, JobError> {
    serde_json::to_string(document)
        .map_err(|error| JobError::entry(ledger.plan(), error.to_string()))
}

/// The result for the waiting callers.
#[derive(Clone, Copy)]
enum News<'a> {
    GoesOn,
    Succeeded(&'a str),
    Failed { error: &'a str, cause: &'a str },
}

/// Tells the caller that waits for a run, if there is one.
async fn tell(ports: &Ports, ledger: &Ledger, run: &str, news: News<'_>) -> Result<(), JobError> {
    let waiting = ledger::read::<Run>(&*ports.store, &ledger.run(run)).await?;
    let Some(token) = waiting.and_then(|run| run.task_token) else {
        return Ok(());
    };
    let told = match news {
        News::GoesOn => {
            // A lost heartbeat does no harm: the next chunk sends another one.
            if let Err(error) = ports.callback.heartbeat(&token).await
                && error.kind != CallbackErrorKind::Gone
            {
                tracing::warn!(%error, run, "no heartbeat was sent");
            }
            return Ok(());
        }
        News::Succeeded(output) => ports.callback.succeed(&token, output).await,
        News::Failed { error, cause } => ports.callback.fail(&token, error, cause).await,
    };
    match told {
        Err(error) if error.kind != CallbackErrorKind::Gone => Err(error.into()),
        _ => Ok(()),
    }
}

async fn tally(
    store: &dyn Store,
    ledger: &Ledger,
    run: &str,
    chunks: u32,
    near: Option<u32>,
) -> Result<Tally, JobError> {
    let middle = near.map_or(0, |chunk| chunk.saturating_add(1)).min(chunks);
    let mut failures = Failures {
        ledger,
        run,
        known: None,
    };
    let mut failed = BTreeSet::new();
    // Messages arrive roughly in the order of their chunks, so missing chunks are usually right after this one.
    for range in [middle..chunks, 0..middle] {
        if !all_accounted(store, ledger, range, &mut failures, &mut failed).await? {
            return Ok(Tally::Open);
        }
    }
    Ok(if failed.is_empty() {
        Tally::Done
    } else {
        Tally::Failed(failed)
    })
}

/// The chunks that failed in a run, read when first needed.
struct Failures<'a> {
    ledger: &'a Ledger,
    run: &'a str,
    known: Option<BTreeSet<u32>>,
}

impl Failures<'_> {
    async fn contains(&mut self, store: &dyn Store, chunk: u32) -> Result<bool, JobError> {
        if self.known.is_none() {
            let prefix = self.ledger.failed(self.run);
            self.known = Some(ledger::entries(store, &prefix).await?);
        }
        Ok(self
            .known
            .as_ref()
            .is_some_and(|known| known.contains(&chunk)))
    }
}

/// Whether each chunk of the range is done or failed; failed ones are added to `failed`. Stops at the first that is
/// neither.
async fn all_accounted(
    store: &dyn Store,
    ledger: &Ledger,
    range: Range<u32>,
    failures: &mut Failures<'_>,
    failed: &mut BTreeSet<u32>,
) -> Result<bool, JobError> {
    let prefix = ledger.done();
    let mut expected = range.clone();
    let mut pages = Pages::new(store, &prefix);
    if let Some(before) = range.start.checked_sub(1) {
        pages.skip_to(entry(&prefix, before).key);
    }
    let unlisted = |error| JobError::store(Stage::Ledger, error);
    while !expected.is_empty()
        && let Some(page) = pages.next().await.map_err(unlisted)?
    {
        let found = page
            .objects
            .iter()
            .filter_map(|object| chunk_of(&prefix, &object.key));
        // At the end of the listing, all chunks that are still expected are missing.
        let end = (!page.truncated).then_some(range.end);
        for chunk in found.chain(end) {
            for missing in expected.start..chunk.min(range.end) {
                if !failures.contains(store, missing).await? {
                    return Ok(false);
                }
                failed.insert(missing);
            }
            expected.start = chunk.saturating_add(1).max(expected.start);
        }
    }
    Ok(true)
}

/// Writes the summary, or reads the existing one.
async fn succeed(ports: &Ports, ledger: &Ledger, plan: &Plan) -> Result<Summary, JobError> {
    let store = &*ports.store;
    let at = ledger.success();
    if let Some(summary) = ledger::read(store, &at).await? {
        return Ok(summary);
    }
    let prefix = ledger.done();
    let count = u32::try_from(plan.chunks.len()).unwrap_or(u32::MAX);
    let mut bytes = 0;
    let mut reads = FuturesUnordered::new();
    for chunk in 0..count {
        if reads.len() >= CONCURRENT_READS {
            bytes += reads.try_next().await?.unwrap_or_default();
        }
        reads.push(bytes_of(store, entry(&prefix, chunk)));
    }
    while let Some(more) = reads.try_next().await? {
        bytes += more;
    }
    let meta = store
        .head(&ledger.plan(), None)
        .await
        .map_err(|error| JobError::store(Stage::Ledger, error))?;
    let elapsed = meta.answered_at.duration_since(meta.last_modified);
    let seconds = u64::try_from(elapsed.as_secs()).unwrap_or_default();
    let objects = plan.objects();
    let summary = Summary {
        version: Summary::VERSION,
        id: plan.id.clone(),
        name: plan.settings.name.clone(),
        rows: plan.rows,
        objects,
        bytes,
        chunks: plan.chunks.len() as u64,
        collisions: plan.collisions,
        duplicates: plan.dropped.count() - plan.collisions,
        collided: plan.dropped.collided().take(NAMED).copied().collect(),
        seconds,
        objects_per_minute: objects * 60 / seconds.max(1),
    };
    create_or_read(store, at, summary).await
}

/// Writes how the run ended, or reads the existing outcome.
async fn fail(
    ports: &Ports,
    ledger: &Ledger,
    plan: &Plan,
    run: &str,
    failed: &BTreeSet<u32>,
) -> Result<Outcome, JobError> {
    let store = &*ports.store;
    let at = ledger.outcome(run);
    if let Some(outcome) = ledger::read(store, &at).await? {
        return Ok(outcome);
    }
    let failures = failures(store, ledger, run, failed).await?;
    let is_cancelled = ledger::exists(store, &ledger.cancelled(run)).await?;
    let error = if is_cancelled {
        JOB_CANCELLED.to_owned()
    } else {
        let first = failures.first().map(|failure| failure.error.clone());
        first.unwrap_or_else(|| JOB_CHUNK_FAILED.to_owned())
    };
    let outcome = Outcome {
        version: Outcome::VERSION,
        id: plan.id.clone(),
        run: run.to_owned(),
        error,
        chunks: plan.chunks.len() as u64,
        chunks_done: (plan.chunks.len() - failed.len()) as u64,
        rows_done: plan.rows_but(failed),
        failures,
    };
    create_or_read(store, at, outcome).await
}

/// Why the first of these chunks failed.
pub(super) async fn failures(
    store: &dyn Store,
    ledger: &Ledger,
    run: &str,
    failed: &BTreeSet<u32>,
) -> Result<Vec<Failure>, JobError> {
    let prefix = ledger.failed(run);
    let mut found = Vec::new();
    for chunk in failed.iter().take(NAMED) {
        found.extend(ledger::read::<Failure>(store, &entry(&prefix, *chunk)).await?);
    }
    Ok(found)
}

/// Writes a document, or reads the existing one.
async fn create_or_read<T: Document>(
    store: &dyn Store,
    at: Location,
    document: T,
) -> Result<T, JobError> {
    if ledger::create(store, &at, &document).await? {
        return Ok(document);
    }
    let existing = ledger::read(store, &at).await?;
    existing.ok_or_else(|| vanished(at))
}

/// The total size of a chunk's objects, from its marker.
async fn bytes_of(store: &dyn Store, marker: Location) -> Result<u64, JobError> {
    let done = ledger::read::<Done>(store, &marker).await?;
    done.map(|done| done.bytes).ok_or_else(|| vanished(marker))
}

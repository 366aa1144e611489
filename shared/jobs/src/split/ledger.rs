//! The ledger of one job: its plan and markers, as create-only objects beside the rows.

use std::{collections::BTreeSet, sync::Arc};

use lakewright_core::{
    config,
    location::Location,
    split::{Chunk, Dropped, SourceFormat},
};
use lakewright_ports::{ObjectMeta, Store, StoreError};
use serde::{Deserialize, Serialize};

use super::{Columns, dropped::DroppedRows};
pub(super) use crate::kit::ledger::{create, exists, read, replace};
use crate::{
    kit::{
        ErrorKind, JobError, Stage,
        ledger::{self, Document, documents},
    },
    work::{list::Pages, source::Pinned},
};

/// The version of the ledger's documents, and of the keys and objects that a plan determines.
const LEDGER_VERSION: u32 = 1;

/// The error name of a run if a chunk's message reached the dead-letter queue.
pub const JOB_CHUNK_FAILED: &str = "ChunkFailed";

/// The error name of a cancelled run.
pub const JOB_CANCELLED: &str = "Cancelled";

/// The error for an object that the job itself wrote and that is gone.
pub(super) fn vanished(location: Location) -> JobError {
    JobError::new(
        ErrorKind::OutputVanished,
        "it disappeared while it was written: nothing may be deleted before the job is done",
    )
    .during(Stage::Write)
    .of(location)
}

/// The plan of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The version of this document's format.
    pub version: u32,
    /// The job's id.
    pub id: String,
    /// The configuration that it was made with, which every task uses.
    pub settings: config::Split,
    /// The query of the result, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The objects of the result.
    pub sources: Vec<Source>,
    /// The columns of CSV and text.
    pub columns: Columns,
    /// The number of the result's rows.
    pub rows: u64,
    /// The size of the result in bytes, decompressed if it is text.
    pub bytes: u64,
    /// The chunks that the tasks process.
    pub chunks: Vec<Chunk>,
    /// The rows that are not written because another one has their key.
    pub dropped: DroppedRows,
    /// How many of those differ from the row that is written.
    pub collisions: u64,
}

/// An object of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its location.
    pub location: Location,
    /// Its `ETag`: only that object is read.
    pub etag: String,
    /// Its size.
    pub size: u64,
    /// Its format.
    pub format: SourceFormat,
    /// Whether it is compressed.
    pub compressed: bool,
    /// The number of its first row in the whole result.
    pub first_row: u64,
}

impl Source {
    /// The object, of which only the planned version is read (S2).
    pub(super) fn pinned(&self, store: &Arc<dyn Store>) -> Pinned {
        Pinned {
            store: Arc::clone(store),
            location: self.location.clone(),
            etag: self.etag.clone(),
            size: self.size,
        }
    }
}

/// One attempt at a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The version of this document's format.
    pub version: u32,
    /// The task token of the caller that waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_token: Option<String>,
}

/// The marker that a chunk's rows are written. It is determined by the plan alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The version of this document's format.
    pub version: u32,
    /// The chunk.
    pub chunk: u32,
    /// The number of the chunk's rows.
    pub rows: u64,
    /// The number of objects: the rows except those that were dropped.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The sum of the XXH3 hashes (128 bits) of the objects, each seeded by the hash of its key.
    pub hash: String,
}

/// How far an attempt at a chunk came before its time ran out: the next one begins after these rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// The version of this document's format.
    pub version: u32,
    /// The number of the first row, in the whole result, whose object may be missing.
    pub next_row: u64,
}

/// A chunk that was not done in a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Failure {
    /// The chunk.
    pub chunk: u32,
    /// The error name.
    pub error: String,
    /// The error message.
    pub message: String,
}

/// The end of a run that did not finish the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The version of this document's format.
    pub version: u32,
    /// The job's id.
    pub id: String,
    /// The run.
    pub run: String,
    /// The error name.
    pub error: String,
    /// The number of the job's chunks.
    pub chunks: u64,
    /// The number of chunks that are done.
    pub chunks_done: u64,
    /// The number of rows in those.
    pub rows_done: u64,
    /// The first failures.
    pub failures: Vec<Failure>,
}

/// The summary of a job that is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The version of this document's format.
    pub version: u32,
    /// The job's id.
    pub id: String,
    /// Its name in the configuration.
    pub name: String,
    /// The number of the result's rows.
    pub rows: u64,
    /// The number of objects that were written for them.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The number of chunks.
    pub chunks: u64,
    /// The number of rows that were not written because a different row has their key.
    pub collisions: u64,
    /// The number of rows that were not written because an identical row has their key.
    pub duplicates: u64,
    /// The first of the collisions.
    pub collided: Vec<Dropped>,
    /// The seconds since the plan was written, by S3's clock.
    pub seconds: u64,
    /// The number of objects per minute.
    pub objects_per_minute: u64,
}

/// The most collisions in a summary, and failures in an outcome: a callback is limited to 32,768 characters.
/// <https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskFailure.html>
pub(super) const NAMED: usize = 20;

documents!(LEDGER_VERSION; Plan, Run, Done, Reached, Outcome, Summary);

// A failure has only had one version, and has no version field.
impl Document for Failure {
    const FORM: u32 = LEDGER_VERSION;

    fn form(&self) -> u32 {
        LEDGER_VERSION
    }
}

impl Plan {
    /// The number of objects that will be written.
    pub fn objects(&self) -> u64 {
        self.rows - self.dropped.count()
    }

    /// The number of PUT requests for the rows and the ledger.
    pub fn puts(&self) -> u64 {
        // The plan, the run and the summary.
        self.objects() + self.chunks.len() as u64 + 3
    }

    /// Their cost in US dollars, with cents.
    pub fn usd(&self) -> String {
        let micros = u128::from(self.puts()) * u128::from(self.settings.usd_per_million_puts);
        let cents = micros.div_ceil(10_000);
        format!("{}.{:02}", cents / 100, cents % 100)
    }

    /// The number of rows in all chunks except those in `left_out`.
    pub(super) fn rows_but(&self, left_out: &BTreeSet<u32>) -> u64 {
        let chunks = (0_u32..).zip(&self.chunks);
        let others = chunks.filter(|(index, _)| !left_out.contains(index));
        others.map(|(_, chunk)| chunk.rows).sum()
    }
}

/// The locations of one job's entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    prefix: Location,
}

impl Ledger {
    /// For the job `id`.
    pub fn new(job: &config::Split, id: &str) -> Self {
        Self {
            prefix: job.ledger().join(&format!("{id}/")),
        }
    }

    /// The ledger of a plan, from the plan's location. `None` if this is not the location of a plan.
    pub fn of_plan(plan: &Location) -> Option<Self> {
        let prefix = plan
            .key
            .strip_suffix("plan")
            .filter(|key| key.ends_with('/'))?;
        Some(Self {
            prefix: Location::new(&plan.bucket, prefix),
        })
    }

    /// The location of the plan.
    pub fn plan(&self) -> Location {
        self.prefix.join("plan")
    }

    /// The location of the summary.
    pub fn success(&self) -> Location {
        self.prefix.join("_SUCCESS")
    }

    pub(super) fn done(&self) -> Location {
        self.prefix.join("done/")
    }

    pub(super) fn progress(&self) -> Location {
        self.prefix.join("progress/")
    }

    pub(super) fn runs(&self) -> Location {
        self.prefix.join("run/")
    }

    pub(super) fn run(&self, run: &str) -> Location {
        self.runs().join(run)
    }

    pub(super) fn failed(&self, run: &str) -> Location {
        self.prefix.join(&format!("failed/{run}/"))
    }

    pub(super) fn cancelled(&self, run: &str) -> Location {
        self.prefix.join(&format!("cancel/{run}"))
    }

    pub(super) fn outcome(&self, run: &str) -> Location {
        self.prefix.join(&format!("outcome/{run}"))
    }
}

/// A chunk's entry below a prefix. The names sort in numeric order.
pub(super) fn entry(prefix: &Location, chunk: u32) -> Location {
    prefix.join(&format!("{chunk:010}"))
}

/// The chunk of an entry.
pub(super) fn chunk_of(prefix: &Location, key: &str) -> Option<u32> {
    key.strip_prefix(&prefix.key)?.parse().ok()
}

/// The plan, if there is one.
pub(super) async fn read_plan(
    store: &dyn Store,
    ledger: &Ledger,
) -> Result<Option<(Plan, ObjectMeta)>, JobError> {
    ledger::read_with_meta(store, &ledger.plan()).await
}

/// The chunks that have an entry below a prefix.
pub(super) async fn entries(
    store: &dyn Store,
    prefix: &Location,
) -> Result<BTreeSet<u32>, JobError> {
    let mut chunks = BTreeSet::new();
    let mut pages = Pages::new(store, prefix);
    while let Some(page) = pages.next().await.map_err(unlisted)? {
        chunks.extend(
            page.objects
                .iter()
                .filter_map(|object| chunk_of(prefix, &object.key)),
        );
    }
    Ok(chunks)
}

fn unlisted(error: StoreError) -> JobError {
    JobError::store(Stage::Ledger, error)
}

/// The runs of a job, the latest last.
pub(super) async fn runs(store: &dyn Store, ledger: &Ledger) -> Result<Vec<String>, JobError> {
    let prefix = ledger.runs();
    let mut runs = Vec::new();
    let mut pages = Pages::new(store, &prefix);
    while let Some(page) = pages.next().await.map_err(unlisted)? {
        runs.extend(page.objects.iter().filter_map(|object| {
            let name = object.key.strip_prefix(&prefix.key)?;
            Some((object.last_modified, name.to_owned()))
        }));
    }
    runs.sort();
    Ok(runs.into_iter().map(|(_, run)| run).collect())
}

#[cfg(test)]
mod tests {
    use lakewright_core::config::Config;

    use super::*;
    use crate::kit::ledger::documented::{again, compare};

    #[test]
    fn the_documents_are_as_the_architecture_shows_them() {
        let job = "[[split]]\nname = \"j\"\ntarget = \"s3://objects/j/\"\nallow_any_source = true";
        let job = Config::parse(job).unwrap().split.remove(0);
        compare(
            "split",
            &job,
            &[
                ("split/<id>/plan", again::<Plan>),
                ("split/<id>/run/<run>", again::<Run>),
                ("split/<id>/done/<chunk>", again::<Done>),
                ("split/<id>/progress/<chunk>", again::<Reached>),
                ("split/<id>/failed/<run>/<chunk>", again::<Failure>),
                ("split/<id>/outcome/<run>", again::<Outcome>),
                ("split/<id>/_SUCCESS", again::<Summary>),
            ],
        );
    }
}

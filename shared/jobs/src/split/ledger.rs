//! The ledger of one job: what is planned, and what has happened, as create-only objects beside the rows.

use std::collections::BTreeSet;

use lakewright_core::{
    config,
    location::Location,
    split::{Chunk, Dropped, SourceFormat},
};
use serde::{Deserialize, Serialize};

use super::Columns;
pub(super) use crate::kit::ledger::{create, exists, read};
use crate::{
    kit::{
        JobError, Stage,
        ledger::{self, Document, documents},
    },
    ports::{ObjectMeta, Store},
};

/// The form of the ledger's documents, and of the keys and objects that a plan leads to.
const LEDGER_VERSION: u32 = 1;

/// The name by which a run fails whose chunk came to the dead-letter queue.
pub const JOB_CHUNK_FAILED: &str = "ChunkFailed";

/// The name by which a cancelled run fails.
pub const JOB_CANCELLED: &str = "Cancelled";

/// A job: what it is made of and what it makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The form of this document.
    pub version: u32,
    /// The job's id.
    pub id: String,
    /// The configuration that it was made with; every task goes by this one.
    pub settings: config::Split,
    /// The query whose result it is, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The objects of the result.
    pub sources: Vec<Source>,
    /// The columns of CSV and text.
    pub columns: Columns,
    /// Rows of the result.
    pub rows: u64,
    /// Bytes of the result, decompressed where it is text.
    pub bytes: u64,
    /// What the tasks handle.
    pub chunks: Vec<Chunk>,
    /// The rows that are not written because another one has their key.
    pub dropped: Vec<Dropped>,
    /// How many of those are different from the row that is written.
    pub collisions: u64,
}

/// An object of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Where it is.
    pub location: Location,
    /// Its `ETag`: only that object is read.
    pub etag: String,
    /// Its size.
    pub size: u64,
    /// What it holds.
    pub format: SourceFormat,
    /// Whether it is compressed.
    pub compressed: bool,
    /// The number of its first row in the whole result.
    pub first_row: u64,
}

/// One attempt at a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The form of this document.
    pub version: u32,
    /// Who waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_token: Option<String>,
}

/// A chunk's rows stand. It follows from the plan alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The form of this document.
    pub version: u32,
    /// The chunk.
    pub chunk: u32,
    /// Rows of the chunk.
    pub rows: u64,
    /// Objects that stand for them: the rows but for those that were dropped.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The sum of the XXH3 (128 bits) of the objects, each seeded by that of its key.
    pub hash: String,
}

/// A chunk that was not done in a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Failure {
    /// The chunk.
    pub chunk: u32,
    /// The failure's name.
    pub error: String,
    /// What happened.
    pub message: String,
}

/// How a run ended that did not finish the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The form of this document.
    pub version: u32,
    /// The job's id.
    pub id: String,
    /// The run.
    pub run: String,
    /// The name by which it failed.
    pub error: String,
    /// Chunks of the job.
    pub chunks: u64,
    /// Those that are done.
    pub chunks_done: u64,
    /// Rows of those.
    pub rows_done: u64,
    /// The first of the others.
    pub failures: Vec<Failure>,
}

/// The job is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The form of this document.
    pub version: u32,
    /// The job's id.
    pub id: String,
    /// Its name in the configuration.
    pub name: String,
    /// Rows of the result.
    pub rows: u64,
    /// Objects that stand for them.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Chunks.
    pub chunks: u64,
    /// Rows that were not written because another, different one has their key.
    pub collisions: u64,
    /// Rows that were not written because the same one was.
    pub duplicates: u64,
    /// The first of the collisions.
    pub collided: Vec<Dropped>,
    /// Seconds since the plan stood, on S3's clock.
    pub seconds: u64,
    /// Objects a minute.
    pub objects_per_minute: u64,
}

/// Collisions that a summary names, and failures that an outcome names: what is told to those who wait is limited to
/// 32,768 characters.
/// <https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskFailure.html>
pub(super) const NAMED: usize = 20;

documents!(LEDGER_VERSION; Plan, Run, Done, Outcome, Summary);

// A failure has had one form only, and does not say which.
impl Document for Failure {
    const FORM: u32 = LEDGER_VERSION;

    fn form(&self) -> u32 {
        LEDGER_VERSION
    }
}

impl Plan {
    /// Objects that will stand.
    pub fn objects(&self) -> u64 {
        self.rows - self.dropped.len() as u64
    }

    /// PUT requests for the rows and the ledger.
    pub fn puts(&self) -> u64 {
        // The plan, the run and the summary.
        self.objects() + self.chunks.len() as u64 + 3
    }

    /// What they cost, in US dollars with cents.
    pub fn usd(&self) -> String {
        let micros = u128::from(self.puts()) * u128::from(self.settings.usd_per_million_puts);
        let cents = micros.div_ceil(10_000);
        format!("{}.{:02}", cents / 100, cents % 100)
    }

    /// Rows of these chunks.
    pub(super) fn rows_but(&self, left_out: &BTreeSet<u32>) -> u64 {
        let chunks = (0_u32..).zip(&self.chunks);
        let others = chunks.filter(|(index, _)| !left_out.contains(index));
        others.map(|(_, chunk)| chunk.rows).sum()
    }
}

/// Where the entries of one job stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    prefix: Location,
}

impl Ledger {
    /// Of the job `id`.
    pub fn new(job: &config::Split, id: &str) -> Self {
        Self {
            prefix: job.ledger().join(&format!("{id}/")),
        }
    }

    /// Of the job whose plan stands there; nothing where no plan has such a name.
    pub fn of_plan(plan: &Location) -> Option<Self> {
        let prefix = plan
            .key
            .strip_suffix("plan")
            .filter(|key| key.ends_with('/'))?;
        Some(Self {
            prefix: Location::new(&plan.bucket, prefix),
        })
    }

    /// Where the plan stands.
    pub fn plan(&self) -> Location {
        self.prefix.join("plan")
    }

    /// Where the summary stands.
    pub fn success(&self) -> Location {
        self.prefix.join("_SUCCESS")
    }

    pub(super) fn done(&self) -> Location {
        self.prefix.join("done/")
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

/// A chunk's entry below a prefix. The names sort as the numbers do.
pub(super) fn entry(prefix: &Location, chunk: u32) -> Location {
    prefix.join(&format!("{chunk:010}"))
}

/// The chunk that an entry is about.
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
    let mut after: Option<String> = None;
    loop {
        let page = store
            .list(prefix, after.as_deref())
            .await
            .map_err(|error| JobError::store(Stage::Ledger, error))?;
        chunks.extend(
            page.objects
                .iter()
                .filter_map(|object| chunk_of(prefix, &object.key)),
        );
        match page.objects.last() {
            Some(last) if page.truncated => after = Some(last.key.clone()),
            _ => return Ok(chunks),
        }
    }
}

/// The runs of a job, the latest last.
pub(super) async fn runs(store: &dyn Store, ledger: &Ledger) -> Result<Vec<String>, JobError> {
    let prefix = ledger.runs();
    let mut runs = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store
            .list(&prefix, after.as_deref())
            .await
            .map_err(|error| JobError::store(Stage::Ledger, error))?;
        runs.extend(page.objects.iter().filter_map(|object| {
            let name = object.key.strip_prefix(&prefix.key)?;
            Some((object.last_modified, name.to_owned()))
        }));
        match page.objects.last() {
            Some(last) if page.truncated => after = Some(last.key.clone()),
            _ => break,
        }
    }
    runs.sort();
    Ok(runs.into_iter().map(|(_, run)| run).collect())
}

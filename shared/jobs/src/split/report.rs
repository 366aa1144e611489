//! The answers and logs of split.

use lakewright_core::location::Location;
use serde::{Deserialize, Serialize};

use super::ledger::{Failure, Summary};

/// The result of planning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanReport {
    /// `split`.
    pub job: String,
    /// The job's name in the configuration.
    pub name: String,
    /// The job's id.
    pub id: String,
    /// The run.
    pub run: String,
    /// The location of the plan.
    pub plan: Location,
    /// The number of the result's rows.
    pub rows: u64,
    /// The number of objects that will be written for them.
    pub objects: u64,
    /// The number of chunks.
    pub chunks: u64,
    /// The number of chunks that were enqueued, because they are not done.
    pub enqueued: u64,
    /// The number of rows that will not be written because a different row has their key.
    pub collisions: u64,
    /// The number of PUT requests of the whole job.
    pub puts: u64,
    /// Their cost in US dollars.
    pub usd: String,
    /// The state of the job.
    pub state: State,
}

/// The state of a job, or of one of its runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is in progress.
    Running,
    /// Every row's object is written.
    Succeeded,
    /// It ended with chunks that failed.
    Failed,
    /// It was cancelled.
    Cancelled,
}

/// The result of one chunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkReport {
    /// `split`.
    pub job: String,
    /// The job's name in the configuration.
    pub name: String,
    /// The job's id.
    pub id: String,
    /// The chunk.
    pub chunk: u32,
    /// The outcome.
    pub status: ChunkStatus,
    /// The number of its rows, if they are written.
    pub rows: u64,
    /// The number of objects that this call wrote.
    pub written: u64,
    /// The number of objects that already existed.
    pub stood: u64,
    /// The bytes of both.
    pub bytes: u64,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The state of the run after this.
    pub state: State,
}

/// The outcome of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChunkStatus {
    /// Its rows are written, and the ledger has the marker.
    Done,
    /// The ledger already had the marker.
    Duplicate,
    /// It can never succeed, or its message reached the dead-letter queue; the ledger has a marker for this.
    Failed,
    /// Its run was cancelled before it began.
    Cancelled,
}

/// The progress of a job, from the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// `split`.
    pub job: String,
    /// The job's name in the configuration.
    pub name: String,
    /// The job's id.
    pub id: String,
    /// The run; the latest one, unless the request names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The state.
    pub state: State,
    /// The number of the result's rows.
    pub rows: u64,
    /// The number of rows in chunks that are done.
    pub rows_done: u64,
    /// The number of chunks.
    pub chunks: u64,
    /// The number of chunks that are done.
    pub chunks_done: u64,
    /// The error name with which the run failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The failed chunks of the run.
    pub failures: Vec<Failure>,
    /// The job's summary, once it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
}

/// The result of a cancellation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancellation {
    /// `split`.
    pub job: String,
    /// The job's name in the configuration.
    pub name: String,
    /// The job's id.
    pub id: String,
    /// The runs of which no further chunk starts.
    pub runs: Vec<String>,
    /// The number of chunks.
    pub chunks: u64,
    /// The number of chunks that are done. Chunks in progress may still be done later.
    pub chunks_done: u64,
}

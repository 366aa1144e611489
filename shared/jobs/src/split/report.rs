//! What split answers with and logs.

use lakewright_core::location::Location;
use serde::{Deserialize, Serialize};

use super::ledger::{Failure, Summary};

/// What planning did.
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
    /// Where the plan stands.
    pub plan: Location,
    /// Rows of the result.
    pub rows: u64,
    /// Objects that will stand for them.
    pub objects: u64,
    /// Chunks.
    pub chunks: u64,
    /// Those that were enqueued, as they were not done.
    pub enqueued: u64,
    /// Rows that will not be written because another, different one has their key.
    pub collisions: u64,
    /// PUT requests of the whole job.
    pub puts: u64,
    /// What they cost, in US dollars.
    pub usd: String,
    /// How far the job is.
    pub state: State,
}

/// How far a job, or one run of it, is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It goes on.
    Running,
    /// Every row's object stands.
    Succeeded,
    /// It ended with chunks that failed.
    Failed,
    /// It was cancelled.
    Cancelled,
}

/// What became of one chunk.
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
    /// What became of it.
    pub status: ChunkStatus,
    /// Its rows, where they stand.
    pub rows: u64,
    /// Objects that this call wrote.
    pub written: u64,
    /// Objects that stood already.
    pub stood: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// How far the run is now.
    pub state: State,
}

/// What became of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChunkStatus {
    /// Its rows stand, and the ledger says so.
    Done,
    /// The ledger said so already.
    Duplicate,
    /// It can never succeed, or came to the dead-letter queue; the ledger says so.
    Failed,
    /// Its run was cancelled before it began.
    Cancelled,
}

/// How far a job is, from the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// `split`.
    pub job: String,
    /// The job's name in the configuration.
    pub name: String,
    /// The job's id.
    pub id: String,
    /// The run that is meant: the latest where none was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// How far it is.
    pub state: State,
    /// Rows of the result.
    pub rows: u64,
    /// Rows of the chunks that are done.
    pub rows_done: u64,
    /// Chunks.
    pub chunks: u64,
    /// Those that are done.
    pub chunks_done: u64,
    /// The name by which the run failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Chunks that failed in the run.
    pub failures: Vec<Failure>,
    /// What the job did, once it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
}

/// What cancelling did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancellation {
    /// `split`.
    pub job: String,
    /// The job's name in the configuration.
    pub name: String,
    /// The job's id.
    pub id: String,
    /// The runs whose chunks are not begun any more.
    pub runs: Vec<String>,
    /// Chunks.
    pub chunks: u64,
    /// Those that are done. What is under way may still become so.
    pub chunks_done: u64,
}

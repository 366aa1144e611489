//! split: each row of a query's result is an object of its own, exactly once, and the job knows when it is done.
//!
//! The protocol, one job at a time (its id is the query's):
//!
//! 1. [`plan`] pins the result's objects by `ETag`, scans them once for rows and chunks (and, where keys are made of
//!    columns, for rows that share one), and PUTs `plan`, create-only. If one stands, it is adopted.
//! 2. It PUTs `run/<run>`, which says who waits, and enqueues every chunk that is not done. A run is one attempt at the
//!    job; its messages end as done or as failed, each of them.
//! 3. [`rows`], for each message: where `done/<chunk>` stands, go to 5. Otherwise PUT each row, create-only; one that
//!    stands with the same content is done, and one with another is never overwritten.
//! 4. PUT `done/<chunk>`, create-only. What can never succeed, or came to the dead-letter queue, is
//!    `failed/<run>/<chunk>` instead, and so is what a cancelled run has not begun.
//! 5. When every chunk is done, PUT `_SUCCESS`, create-only, and tell all who wait. When every chunk is done or failed
//!    in this run, PUT `outcome/<run>` and tell who waits for this run. The writer of the last marker sees them all.
//!
//! Killed anywhere, the next attempt goes on from what stands. Invariants S1 to S3 are in docs/ARCHITECTURE.md; the
//! simulation in `tests/` holds this code to them.

mod blocks;
mod cancel;
mod ledger;
mod parquet;
mod patience;
mod plan;
mod read;
mod report;
mod rows;
mod scan;
mod settle;
mod source;
mod status;
mod write;

use std::sync::Arc;

use lakewright_core::{
    config::{self, ResultColumn},
    location::Location,
};
use serde::{Deserialize, Serialize};

pub use self::{
    cancel::cancel,
    ledger::{
        Done, Failure, JOB_CANCELLED, JOB_CHUNK_FAILED, Ledger, Outcome, Plan, Run, Source, Summary,
    },
    plan::plan,
    report::{Cancellation, ChunkReport, ChunkStatus, PlanReport, Progress, State},
    rows::{abandon, rows},
    status::status,
};
pub use crate::kit::MemoryBudget as Budget;
use crate::ports::{Callback, Clock, Queries, Queue, Store, written_as};

/// What split needs from the outside.
#[derive(Clone)]
pub struct Ports {
    /// Objects.
    pub store: Arc<dyn Store>,
    /// Athena.
    pub queries: Arc<dyn Queries>,
    /// The queue of chunks.
    pub queue: Arc<dyn Queue>,
    /// Who waits for the job.
    pub callback: Arc<dyn Callback>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Ports {
    /// The same, for the objects that a job writes.
    fn writing(&self, job: &config::Split) -> Self {
        Self {
            store: written_as(&self.store, &job.tags, job.encryption.as_ref()),
            ..self.clone()
        }
    }
}

/// A job to plan, or to go on with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// The job's name in the configuration.
    pub name: String,
    /// The finished query whose result it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_execution_id: Option<String>,
    /// Or where the result is: Athena's CSV, or UNLOAD's manifest (`…-manifest.csv`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Location>,
    /// The job's id: the query's where nothing is said, or a hash of where the result is and of its `ETag`. With another
    /// id, a result can be split anew with other settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The run's name: a hash of the task token where nothing is said, or else the time. What has one name is one run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Who is to be told when it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_token: Option<String>,
    /// Whether it may cost more than `max_puts`.
    #[serde(default)]
    pub confirm: bool,
}

/// A message of the queue: one chunk to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Where the plan stands.
    pub plan: Location,
    /// The chunk's index in it.
    pub chunk: u32,
    /// The run that it belongs to.
    pub run: String,
    /// Whether the job was begun before, so that some of the rows probably stand and it is cheaper to look first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resumed: bool,
}

/// The columns of a result, as far as they are known before it is read.
type Columns = Vec<ResultColumn>;

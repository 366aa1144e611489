//! split: writes each row of a query's result as a separate object, exactly once, and knows when the job is done.
//!
//! The protocol handles one job at a time (its id is the query's):
//!
//! 1. [`plan`] pins the result's objects by `ETag`, scans them once for rows and chunks (and, if keys are made of
//!    columns, for rows that share one), and PUTs `plan`, create-only. If it exists, it is adopted.
//! 2. It PUTs `run/<run>`, which says who waits, and enqueues every chunk that is not done. A run is one attempt at the
//!    job; each of its messages ends as done or as failed.
//! 3. [`rows`], for each message: if `done/<chunk>` exists, go to 5. Otherwise PUT each row, create-only. An existing
//!    object with the same content counts as written; one with another content is never overwritten.
//! 4. PUT `done/<chunk>`, create-only. A chunk gets `failed/<run>/<chunk>` instead if it can never succeed, if its
//!    message reached the dead-letter queue, or if its run was cancelled before it began.
//! 5. If every chunk is done, PUT `_SUCCESS`, create-only, and tell all waiting callers. If every chunk is done or
//!    failed in this run, PUT `outcome/<run>` and tell the caller that waits for this run. The writer of the last
//!    marker sees them all.
//!
//! After a crash at any point, the next attempt resumes from the ledger. Invariants S1 to S3 are in
//! docs/ARCHITECTURE.md; the simulation in `tests/` checks this code against them.

mod blocks;
mod cancel;
mod dropped;
#[cfg(test)]
mod fixture;
mod ledger;
mod parquet;
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
use lakewright_ports::{Callback, Clock, Queries, Queue, Store, written_as};
use serde::{Deserialize, Serialize};

pub use self::{
    cancel::cancel,
    ledger::{
        Done, Failure, JOB_CANCELLED, JOB_CHUNK_FAILED, Ledger, Outcome, Plan, Reached, Run,
        Source, Summary,
    },
    plan::plan,
    report::{Cancellation, ChunkReport, ChunkStatus, PlanReport, Progress, State},
    rows::{abandon, rows},
    status::status,
};
pub use crate::kit::MemoryBudget as Budget;

/// The services that split needs.
#[derive(Clone)]
pub struct Ports {
    /// Objects.
    pub store: Arc<dyn Store>,
    /// Athena.
    pub queries: Arc<dyn Queries>,
    /// The queue of chunks.
    pub queue: Arc<dyn Queue>,
    /// The state machines that wait for the job.
    pub callback: Arc<dyn Callback>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Ports {
    /// The same services, with a job's attributes for the objects that it writes.
    fn writing(&self, job: &config::Split) -> Self {
        Self {
            store: written_as(&self.store, &job.tags, job.encryption.as_ref()),
            ..self.clone()
        }
    }
}

/// A request to plan a job, or to resume one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// The job's name in the configuration.
    pub name: String,
    /// The finished query whose result it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_execution_id: Option<String>,
    /// Or the location of the result: Athena's CSV, or UNLOAD's manifest (`…-manifest.csv`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Location>,
    /// The job's id: by default the query's, or a hash of the result's location and `ETag`. With another id, a result
    /// can be split again with other settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The run's name: by default a hash of the task token or, without one, the time. Requests with the same name are
    /// the same run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The task token of the caller to tell when it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_token: Option<String>,
    /// Whether it may make more PUT requests than `max_puts`.
    #[serde(default)]
    pub confirm: bool,
}

/// A message of the queue: one chunk to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// The location of the plan.
    pub plan: Location,
    /// The chunk's index in it.
    pub chunk: u32,
    /// The run that it belongs to.
    pub run: String,
    /// Whether the job was begun before, so that some of the rows probably exist and it is cheaper to check first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resumed: bool,
}

/// The columns of a result that are known before it is read.
type Columns = Vec<ResultColumn>;

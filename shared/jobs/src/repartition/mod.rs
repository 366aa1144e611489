//! repartition: a table is rewritten into so many files, or by columns, and cannot be lost on the way.
//!
//! The protocol, one run of a job at a time:
//!
//! 1. [`plan`] lists the source and pins its objects by `ETag`, cuts it into tasks, lists what is to be replaced, and PUTs
//!    `<run>/plan`, create-only. One that stands and is not committed is adopted; after one that is, a new run begins.
//! 2. [`write`], for each entry of `prepare`: counts rows and bytes, and PUTs `<run>/prepared/<i>`, create-only.
//! 3. [`write`], for each task: PUTs the files, create-only, under names that have the run's id, then `<run>/done/<i>`.
//! 4. [`commit`] verifies that every file stands as it was written and that every row is in one, and PUTs `<run>/commit`,
//!    create-only.
//! 5. Then it swaps the manifests, registers what is asked for in the catalog, removes exactly the objects that the plan
//!    lists, and PUTs `<run>/finished`. A crash before the commit leaves the old data whole; after it, whoever comes next
//!    finishes.
//!
//! Invariants P1 to P5 are in docs/ARCHITECTURE.md; the simulation in `tests/` holds this code to them.

mod bookmark;
mod commit;
mod files;
mod finish;
mod ledger;
mod over;
mod plan;
mod read;
mod refusal;
mod replay;
mod report;
mod rows;
mod shuffle;
mod source;
mod unite;
mod verify;
mod write;

use lakewright_core::location::Location;
use serde::{Deserialize, Serialize};

pub use self::{
    commit::commit,
    ledger::{
        Commit, Counts, Done, File, Finished, Ledger, Plan, Prepared, SourceObject,
        SourcePartition, Standing, Taken,
    },
    plan::plan,
    refusal::Difference,
    report::{CommitReport, ObjectName, PlanReport, Status, TaskReport},
    write::write,
};
pub use crate::kit::{Budget, Ports, Stage};

/// A job to plan a run of, or to go on with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// The job's name in the configuration.
    pub name: String,
}

/// A task of a plan, or what is to be done before them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskRequest {
    /// Where the plan stands.
    pub plan: Location,
    /// The task's index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<usize>,
    /// The index of what is to be done before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare: Option<usize>,
}

/// A run to commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitRequest {
    /// Where the plan stands.
    pub plan: Location,
}

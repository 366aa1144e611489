//! repartition: rewrites a table into a given number of files, or partitioned by columns, without a risk of losing it.
//!
//! The protocol handles one run of a job at a time:
//!
//! 1. [`plan`] lists the source and pins its objects by `ETag`, cuts it into tasks, lists what is to be replaced, and
//!    PUTs `<run>/plan`, create-only. An existing plan without a commit is adopted; after a committed one, a new run
//!    starts.
//! 2. [`write`], for each entry of `prepare`: counts rows and bytes, and PUTs `<run>/prepared/<i>`, create-only.
//! 3. [`write`], for each task: PUTs the files, create-only, under names that contain the run's id, then
//!    `<run>/done/<i>`.
//! 4. [`commit`] verifies that every file exists as it was written and that every row is in one, and PUTs
//!    `<run>/commit`, create-only.
//! 5. Then it swaps the manifests, updates the catalog as requested, removes exactly the objects that the plan lists,
//!    and PUTs `<run>/finished`. A crash before the commit leaves the old data complete; after it, the next request
//!    finishes.
//!
//! Invariants P1 to P5 are in docs/ARCHITECTURE.md; the simulation in `tests/` checks this code against them.

mod bookmark;
mod commit;
mod context;
mod files;
mod finish;
#[cfg(test)]
mod fixture;
mod gather;
mod infer;
mod ledger;
mod outline;
mod over;
mod plan;
mod read;
mod refusal;
mod replay;
mod report;
mod rows;
mod shuffle;
mod source;
#[cfg(test)]
mod tests;
mod unite;
mod verify;
mod write;

use lakewright_core::location::Location;
use serde::{Deserialize, Serialize};

pub use self::{
    commit::commit,
    ledger::{
        Commit, Counted, Counts, Done, File, Finished, Gathered, Inferred, Inputs, Ledger, Plan,
        Prepared, Reached, ReplacedObject, SourceObject, SourcePartition, Taken, Verified,
    },
    plan::plan,
    refusal::Difference,
    report::{CommitReport, ObjectName, PlanReport, Status, TaskReport},
    write::write,
};
pub use crate::kit::{Budget, Ports, Stage};

/// A request to plan a run of a job, or to resume one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// The job's name in the configuration.
    pub name: String,
}

/// A task of a plan, or one of the preparations before the tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskRequest {
    /// The location of the plan.
    pub plan: Location,
    /// The task's index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<usize>,
    /// The index of the preparation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare: Option<usize>,
}

/// A run to commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitRequest {
    /// The location of the plan.
    pub plan: Location,
}

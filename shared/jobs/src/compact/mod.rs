//! compact: merges the many small Parquet files of a partition into few large ones while queries run, and no query sees
//! a row twice.
//!
//! The protocol handles one partition of a catalog table at a time. Readers follow the partition's location in the
//! catalog; writers follow the partition's state in the ledger, which names a generation and its directory.
//!
//! 1. [`plan`] lists the current directory and PUTs `plan/<generation>`, create-only: which files are merged together.
//!    It only merges settled files, whose source was committed so long ago that no twin can write them again. A
//!    generation is planned only when the previous one is swept.
//! 2. [`merge`] writes the merged files into the next generation's directory, create-only.
//! 3. [`step`] `publish` verifies them, carries over every other file under its own name, swaps the state by
//!    `If-Match`, carries files that were added meanwhile, points the catalog at the new directory and PUTs
//!    `published/<generation>`.
//! 4. [`step`] `sweep`, when no writer of the old directory and no publisher can still be running: carries what is left
//!    there and PUTs `swept/<generation>`.
//! 5. [`step`] `delete`, after the grace period: verifies that every row exists in the new directory, deletes the old
//!    files and PUTs `deleted/<generation>`.
//!
//! [`step`] `abandon` gives up a plan that can never be completed, as long as the state does not name its generation:
//! it replaces the state, so that no publisher can swap it, and deletes what was made for the plan.
//!
//! After a crash at any point, the same request resumes from the ledger. Invariants C1 to C5 are in
//! docs/ARCHITECTURE.md; the simulation in `tests/` checks this code against them. [`in_place`] is the variant without
//! a catalog, in which readers see rows twice for a short time.

mod abandon;
mod bin;
mod carry;
mod delete;
mod directory;
#[cfg(test)]
mod fixture;
mod footers;
mod generation;
mod in_place;
mod ledger;
mod look;
mod merge;
mod outcome;
mod plan;
mod publish;
mod report;
mod scope;
mod status;
mod steps;
mod sweep;
mod verify;

use lakewright_core::{catalog::TableName, location::Location};
use serde::{Deserialize, Serialize};

pub use self::{
    bin::merge,
    ledger::{Bin, Failed, Input, Plan, Verified},
    plan::plan,
    report::{
        Item, Merge, MergeReport, MergeStatus, PartitionStatus, PlanReport, Refusal, StatusReport,
        Step, StepReport, StepStatus,
    },
    status::status,
    steps::step,
};
pub use crate::kit::{MemoryBudget as Budget, Ports};

/// What to plan: a table of the catalog, or a prefix.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// The table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableName>,
    /// Or the target of a job with `mode = "in_place"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Location>,
    /// Only these partitions: an expression over the partition keys, or a prefix below the target. All by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<String>,
    /// Only the partitions whose path comes after this one: the `next` of the report before. All by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Whether to only report what would be done.
    #[serde(default)]
    pub dry_run: bool,
    /// Whether to only report the state of each partition.
    #[serde(default)]
    pub status: bool,
}

/// One merge to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MergeTask {
    /// The location of the plan.
    pub plan: Location,
    /// The index of the new file in the plan.
    pub task: usize,
}

/// One step of a partition's compaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepRequest {
    /// The location of the plan.
    pub plan: Location,
    /// The partition's path, as in the plan.
    pub partition: String,
    /// The step.
    pub step: Step,
}

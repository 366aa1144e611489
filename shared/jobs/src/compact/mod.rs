//! compact: many small Parquet files of a partition become few large ones while queries run, and no row is ever seen
//! twice.
//!
//! The protocol, one partition of a catalog table at a time. Readers follow the partition's location in the catalog;
//! writers follow the partition's state in the ledger, which names a generation and its directory.
//!
//! 1. [`plan`] lists the current directory and PUTs `plan/<generation>`, create-only: which files are merged into which.
//!    Only settled ones are: their source was committed so long ago that no twin can write them again. A generation is
//!    planned only when the one before is swept.
//! 2. [`merge`] writes the merged files into the next generation's directory, create-only.
//! 3. [`step`] `publish` verifies them, carries over every other file under its own name, swaps the state by `If-Match`,
//!    carries once more what came meanwhile, points the catalog at the new directory and PUTs `published/<generation>`.
//! 4. [`step`] `sweep`, when no writer of the old directory and no publisher can be alive any more: carries what is left
//!    there and PUTs `swept/<generation>`.
//! 5. [`step`] `delete`, after the grace period: verifies that every row stands in the new directory, deletes the old files
//!    and PUTs `deleted/<generation>`.
//!
//! A plan that can never be carried out is given up by [`step`] `abandon`, as long as the state does not name its generation:
//! the state is written anew, so that no publisher can swap it, and what was made is deleted.
//!
//! Killed anywhere, the same request goes on from what stands. Invariants C1 to C5 are in docs/ARCHITECTURE.md; the
//! simulation in `tests/` holds this code to them. [`in_place`] is the way without a catalog, which has a window.

mod abandon;
mod bin;
mod carry;
mod delete;
mod directory;
mod footers;
mod in_place;
mod ledger;
mod look;
mod merge;
mod plan;
mod publish;
mod report;
mod status;
mod steps;
mod sweep;

use lakewright_core::{catalog::TableName, location::Location};
use serde::{Deserialize, Serialize};

pub use self::{
    bin::merge,
    ledger::{Bin, Input, Plan},
    plan::plan,
    report::{
        Item, MergeReport, MergeStatus, PartitionStatus, PlanReport, Refusal, StatusReport, Step,
        StepReport, StepStatus,
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
    /// Only these partitions: an expression over the partition keys, or a prefix below the target. All where nothing is
    /// said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<String>,
    /// Whether only to say what would be done.
    #[serde(default)]
    pub dry_run: bool,
    /// Whether only to say where each partition stands.
    #[serde(default)]
    pub status: bool,
}

/// One merge to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MergeTask {
    /// Where the plan stands.
    pub plan: Location,
    /// Which of the plan's new files.
    pub task: usize,
}

/// One step of a partition's compaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepRequest {
    /// Where the plan stands.
    pub plan: Location,
    /// The partition's path, as the plan says it.
    pub partition: String,
    /// Which.
    pub step: Step,
}

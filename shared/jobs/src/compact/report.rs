//! The reports of compact's functions.

use std::collections::BTreeMap;

use lakewright_core::{compact::Requests, location::Location};
use serde::{Deserialize, Serialize};

use super::{MergeTask, StepRequest};

/// A step after the merges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// Switches readers and writers to the new files.
    Publish,
    /// Carries over the files that slow writers left in the old directory.
    Sweep,
    /// Deletes the old files.
    Delete,
    /// Gives up the plan and deletes what was made for it.
    Abandon,
}

/// The tasks of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The location of its plan.
    pub plan: Location,
    /// Its path.
    pub partition: String,
    /// The step after the merges.
    pub step: Step,
    /// The merges, in any order.
    pub merges: Vec<MergeTask>,
}

/// One merge, as it is in the list of all merges of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merge {
    /// The location of the plan.
    pub plan: Location,
    /// The partition's path.
    pub partition: String,
    /// The index of the new file in the plan.
    pub task: usize,
}

/// A partition that cannot be compacted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Its path.
    pub partition: String,
    /// The reason.
    pub reason: String,
}

/// The result of planning, or of a dry run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanReport {
    /// `compact`.
    pub job: String,
    /// The table, or the target.
    pub table: String,
    /// Whether this was a dry run, which writes nothing.
    pub dry_run: bool,
    /// The object that contains all tasks as a JSON array; `None` in a dry run.
    pub plan: Option<Location>,
    /// The tasks, if they are short enough for an answer.
    pub tasks: Vec<Item>,
    /// The number of entries in `plan`.
    pub items: u64,
    /// The object that contains all merges of these tasks as a JSON array, if there are any.
    pub merges: Option<Location>,
    /// The number of merges.
    pub merges_planned: u64,
    /// How many seconds after the last publication the partitions can be swept; 0 if there is nothing to sweep.
    pub wait_seconds: u64,
    /// The number of partitions that were examined: those that are compacted, resumed, refused or left alone.
    pub partitions_seen: u64,
    /// The number of partitions that were left for the next request because the time ran out.
    pub partitions_unseen: u64,
    /// The path after which the next request begins, as its `after`; `None` if all were seen.
    pub next: Option<String>,
    /// The number of partitions that are compacted.
    pub partitions_planned: u64,
    /// The number of partitions with an unfinished step of an earlier run.
    pub partitions_resumed: u64,
    /// The number of their files before.
    pub files_before: u64,
    /// The bytes of their files before.
    pub bytes_before: u64,
    /// The number of their files after.
    pub files_after: u64,
    /// The bytes of their files after, if merging does not change the size.
    pub bytes_after: u64,
    /// The estimated requests.
    pub requests: Requests,
    /// The cost of the requests in US dollars, with cents.
    pub usd: String,
    /// The number of partitions that cannot be compacted.
    pub partitions_refused: u64,
    /// The first of these.
    pub refused: Vec<Refusal>,
    /// The number of partitions that need no compaction, by reason.
    pub left: BTreeMap<String, u64>,
}

/// The result of one merge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergeReport {
    /// `compact`.
    pub job: String,
    /// The table, or the target.
    pub table: String,
    /// The partition's path.
    pub partition: String,
    /// The location of the plan.
    pub plan: Location,
    /// The index of the new file in the plan.
    pub task: usize,
    /// The outcome.
    pub status: MergeStatus,
    /// The number of files that were merged.
    pub files: u64,
    /// The new file.
    pub output: Location,
    /// Its number of rows.
    pub rows: u64,
    /// Its size in bytes; 0 if it is superseded.
    pub bytes: u64,
}

/// The outcome of a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MergeStatus {
    /// The file was written.
    Merged,
    /// It already existed.
    Duplicate,
    /// The partition has moved on; there is nothing to do.
    Superseded,
}

/// The result of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepReport {
    /// `compact`.
    pub job: String,
    /// The table, or the target.
    pub table: String,
    /// The partition's path.
    pub partition: String,
    /// The location of the plan.
    pub plan: Location,
    /// The step.
    pub step: Step,
    /// The outcome.
    pub status: StepStatus,
    /// The number of files that were carried over or deleted.
    pub files: u64,
    /// The next step in this run, if any.
    pub next: Option<StepRequest>,
    /// How long to wait before the next step.
    pub wait_seconds: u64,
}

/// The outcome of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepStatus {
    /// It is done, now or earlier.
    Done,
    /// It is too early for the step.
    Waiting,
    /// The partition has moved on; there is nothing to do.
    Superseded,
}

/// The status of the partitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// `compact`.
    pub job: String,
    /// The table, or the target.
    pub table: String,
    /// The number of partitions in each condition.
    pub counts: BTreeMap<String, u64>,
    /// The partitions that were compacted or have a plan: at most 5,000, which fit into an answer.
    pub partitions: Vec<PartitionStatus>,
    /// The last partition that was looked at, if there are more: the `after` of the next request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The status of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionStatus {
    /// Its path.
    pub partition: String,
    /// How often its files were replaced.
    pub generation: u32,
    /// The directory that writers use.
    pub directory: Location,
    /// Its location in the catalog.
    pub location: Location,
    /// `planned`, `swapped`, `published`, `swept` or `deleted`; `never` if it was never compacted.
    pub condition: String,
    /// The plan to go on with, if there is one.
    pub plan: Option<Location>,
}

//! What the functions of compact answer with.

use std::collections::BTreeMap;

use lakewright_core::{compact::Requests, location::Location};
use serde::{Deserialize, Serialize};

use super::{MergeTask, StepRequest};

/// A step after the merges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// Readers and writers are sent to the new files.
    Publish,
    /// What slow writers left in the old directory is carried over.
    Sweep,
    /// The old files are deleted.
    Delete,
    /// The plan is given up, and what was made for it is deleted.
    Abandon,
}

/// What is to be done for one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Where its plan stands.
    pub plan: Location,
    /// Its path.
    pub partition: String,
    /// The step after the merges.
    pub step: Step,
    /// The merges, in any order.
    pub merges: Vec<MergeTask>,
}

/// A partition that cannot be compacted as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Its path.
    pub partition: String,
    /// Why.
    pub reason: String,
}

/// What is planned, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanReport {
    /// `compact`.
    pub job: String,
    /// The table, or the target.
    pub table: String,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// The object that holds all tasks as a JSON array; `None` in a dry run.
    pub plan: Option<Location>,
    /// The tasks, while they are few.
    pub tasks: Vec<Item>,
    /// Partitions that were looked at.
    pub partitions_seen: u64,
    /// Those that were left for the next run because the time was up.
    pub partitions_unseen: u64,
    /// Those that are compacted.
    pub partitions_planned: u64,
    /// Files of those, before and after.
    pub files_before: u64,
    /// Their bytes.
    pub bytes_before: u64,
    /// The files that they become.
    pub files_after: u64,
    /// Their bytes, if merging neither saves nor costs any.
    pub bytes_after: u64,
    /// What it takes.
    pub requests: Requests,
    /// What the requests cost, in US dollars with cents.
    pub usd: String,
    /// Partitions that cannot be compacted as they are.
    pub partitions_refused: u64,
    /// The first of them.
    pub refused: Vec<Refusal>,
    /// How many partitions are left as they are, by the reason.
    pub left: BTreeMap<String, u64>,
}

/// What became of one merge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergeReport {
    /// `compact`.
    pub job: String,
    /// The table, or the target.
    pub table: String,
    /// The partition's path.
    pub partition: String,
    /// Where the plan stands.
    pub plan: Location,
    /// Which of its new files.
    pub task: usize,
    /// What became of it.
    pub status: MergeStatus,
    /// The files that it is made of.
    pub files: u64,
    /// The new file.
    pub output: Location,
    /// Its rows.
    pub rows: u64,
    /// Its bytes; 0 where it is superseded.
    pub bytes: u64,
}

/// What became of a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MergeStatus {
    /// The file was written.
    Merged,
    /// It stood already.
    Duplicate,
    /// The partition has moved on; nothing is to be done.
    Superseded,
}

/// What became of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepReport {
    /// `compact`.
    pub job: String,
    /// The table, or the target.
    pub table: String,
    /// The partition's path.
    pub partition: String,
    /// Where the plan stands.
    pub plan: Location,
    /// Which step.
    pub step: Step,
    /// What became of it.
    pub status: StepStatus,
    /// Files that were carried over or deleted.
    pub files: u64,
    /// The step that comes next in this run, if any.
    pub next: Option<StepRequest>,
    /// How long to wait before it.
    pub wait_seconds: u64,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepStatus {
    /// It is done, now or before.
    Done,
    /// It is too early for it.
    Waiting,
    /// The partition has moved on; nothing is to be done.
    Superseded,
}

/// Where the partitions stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// `compact`.
    pub job: String,
    /// The table, or the target.
    pub table: String,
    /// How many partitions are in each condition.
    pub counts: BTreeMap<String, u64>,
    /// Those that were compacted or are planned to be: the first 5,000, which fit into an answer.
    pub partitions: Vec<PartitionStatus>,
}

/// Where one partition stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionStatus {
    /// Its path.
    pub partition: String,
    /// How often its files were replaced.
    pub generation: u32,
    /// Where its files are written.
    pub directory: Location,
    /// Where the catalog sends readers.
    pub location: Location,
    /// `planned`, `swapped`, `published`, `swept` or `deleted`; `never` where it was never compacted.
    pub condition: String,
    /// The plan that is to be gone on with, if there is one.
    pub plan: Option<Location>,
}

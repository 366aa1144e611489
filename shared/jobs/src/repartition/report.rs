use lakewright_core::{catalog::Column, location::Location};
use serde::{Deserialize, Serialize};

use super::TaskRequest;

/// What `repartition-plan` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanReport {
    /// `repartition`.
    pub job: String,
    /// The job's name in the configuration.
    pub name: String,
    /// The run's number, from 0.
    pub run: u64,
    /// Where the plan stands.
    pub plan: Location,
    /// Files of the source.
    pub files_before: u64,
    /// Its splits of 128 MiB, which are Spark's partitions.
    pub splits_before: u64,
    /// How many files there will be, where rows are not partitioned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// Bytes of the source.
    pub bytes: u64,
    /// The columns that are written, those of the path last.
    pub columns: Vec<Column>,
    /// What is to be done before the tasks; empty where `prepare_list` says where it stands.
    pub prepare: Vec<TaskRequest>,
    /// The tasks; empty where `tasks_list` says where they stand.
    pub tasks: Vec<TaskRequest>,
    /// A JSON array in S3, where there is more than an answer may hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare_list: Option<ObjectName>,
    /// A JSON array in S3, where there is more than an answer may hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks_list: Option<ObjectName>,
}

/// An object, as Step Functions' `ItemReader` names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectName {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It was done now.
    Done,
    /// The run was committed now.
    Committed,
    /// It was done before.
    Duplicate,
}

/// What `repartition-write` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskReport {
    /// `repartition`.
    pub job: String,
    /// The job's name in the configuration.
    pub name: String,
    /// Which task.
    #[serde(flatten)]
    pub task: TaskRequest,
    /// Whether it was done now.
    pub status: Status,
    /// Rows, each once, whatever the number of outputs.
    pub rows: u64,
    /// Files.
    pub outputs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Values that became null because they do not fit their columns.
    pub values_dropped: u64,
}

/// What `repartition-commit` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitReport {
    /// `repartition`.
    pub job: String,
    /// The job's name in the configuration.
    pub name: String,
    /// The run's number, from 0.
    pub run: u64,
    /// Where the plan stands.
    pub plan: Location,
    /// Whether the run was committed now.
    pub status: Status,
    /// Rows.
    pub rows: u64,
    /// Files.
    pub outputs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that were removed.
    pub removed: u64,
    /// Keys that were to be removed but hold other objects than the plan says.
    pub left: Vec<String>,
}

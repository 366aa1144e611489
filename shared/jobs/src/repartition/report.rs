use lakewright_core::{catalog::Column, location::Location};
use serde::{Deserialize, Serialize};

use super::TaskRequest;

/// The answer of `repartition-plan`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanReport {
    /// `repartition`.
    pub job: String,
    /// The job's name in the configuration.
    pub name: String,
    /// The run's number, from 0.
    pub run: u64,
    /// The location of the plan.
    pub plan: Location,
    /// The number of the source's files.
    pub files_before: u64,
    /// The number of its splits of 128 MiB, which are Spark's partitions.
    pub splits_before: u64,
    /// The number of files that will be written, if rows are not partitioned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// The bytes of the source.
    pub bytes: u64,
    /// The columns of the output, with those of the path last.
    pub columns: Vec<Column>,
    /// The entries to process before the tasks; empty if they are in `prepare_list`.
    pub prepare: Vec<TaskRequest>,
    /// The tasks; empty if they are in `tasks_list`.
    pub tasks: Vec<TaskRequest>,
    /// A JSON array in S3, if the list is too long for an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare_list: Option<ObjectName>,
    /// A JSON array in S3, if the list is too long for an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks_list: Option<ObjectName>,
}

/// An object, in the form that Step Functions' `ItemReader` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectName {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
}

/// The outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It was done by this request.
    Done,
    /// The run was committed by this request.
    Committed,
    /// It was done before.
    Duplicate,
}

/// The answer of `repartition-write`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskReport {
    /// `repartition`.
    pub job: String,
    /// The job's name in the configuration.
    pub name: String,
    /// The task.
    #[serde(flatten)]
    pub task: TaskRequest,
    /// Whether it was done by this request.
    pub status: Status,
    /// The number of rows, each counted once, whatever the number of outputs.
    pub rows: u64,
    /// The number of files.
    pub outputs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Values that became null because they do not fit their columns.
    pub values_dropped: u64,
}

/// The answer of `repartition-commit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitReport {
    /// `repartition`.
    pub job: String,
    /// The job's name in the configuration.
    pub name: String,
    /// The run's number, from 0.
    pub run: u64,
    /// The location of the plan.
    pub plan: Location,
    /// Whether the run was committed by this request.
    pub status: Status,
    /// The number of rows.
    pub rows: u64,
    /// The number of files.
    pub outputs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The number of objects that were removed.
    pub removed: u64,
    /// Keys that were not removed, because they have other objects than the plan lists.
    pub left: Vec<String>,
    /// Why some of the partitions are not registered, if the catalog was changed after the commit was allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unregistered: Option<String>,
}

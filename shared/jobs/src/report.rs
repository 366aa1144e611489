//! What a function answers with and logs: one JSON report.

use std::collections::BTreeMap;

use lakewright_core::{lateness::Lateness, location::Location, quarantine::Reason};
use serde::{Deserialize, Serialize};

/// What one invocation did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The kind of job, such as `rekey`.
    pub job: String,
    /// The job's name in the configuration.
    pub name: String,
    /// One entry for each object, in the order of the request.
    pub objects: Vec<ObjectReport>,
}

/// What became of one source object. `rows_in = rows_out + rows_quarantined`, always.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectReport {
    /// The object.
    pub source: Location,
    /// What became of it.
    pub status: Status,
    /// Records read.
    pub rows_in: u64,
    /// Records written, each once, whatever the number of output formats.
    pub rows_out: u64,
    /// Records in the quarantine.
    pub rows_quarantined: u64,
    /// Fields that the table has no column for and that `on_unknown = "drop"` left out.
    #[serde(default)]
    pub fields_dropped: u64,
    /// Values that do not fit their column and that `on_mismatch = "drop"` made null.
    #[serde(default)]
    pub values_dropped: u64,
    /// The quarantined records of each reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub quarantined_by_reason: BTreeMap<Reason, u64>,
    /// How late the written records were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lateness: Option<Lateness>,
    /// What was written.
    pub outputs: Vec<OutputReport>,
    /// Where the quarantined records are, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<String>,
}

/// What became of a source object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its rows stand, and the ledger says so.
    Committed,
    /// The ledger said so already.
    Duplicate,
    /// A newer object took the key; that one has an event of its own.
    Superseded,
    /// The object no longer exists.
    Gone,
    /// Not ours: the error prefix, our own output, or zero bytes.
    Ignored,
}

/// One object that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputReport {
    /// Its key in the target bucket.
    pub key: String,
    /// Records in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
}

impl ObjectReport {
    /// A report of an object of which nothing was read or written.
    pub fn without_rows(source: Location, status: Status) -> Self {
        Self {
            source,
            status,
            rows_in: 0,
            rows_out: 0,
            rows_quarantined: 0,
            fields_dropped: 0,
            values_dropped: 0,
            quarantined_by_reason: BTreeMap::new(),
            lateness: None,
            outputs: Vec::new(),
            quarantine: None,
        }
    }
}

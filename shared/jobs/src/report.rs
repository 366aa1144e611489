//! The JSON report that a function answers with and logs.

use std::collections::BTreeMap;

use lakewright_core::{
    lateness::Lateness, location::Location, partition::DEFAULT_PARTITION, quarantine::Reason,
};
use serde::{Deserialize, Serialize};

/// The report of one invocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The kind of job, such as `rekey`.
    pub job: String,
    /// The job's name in the configuration.
    pub name: String,
    /// One entry for each object, in the order of the request.
    pub objects: Vec<ObjectReport>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The result of one source object. `rows_in = rows_out + rows_quarantined`, always.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectReport {
    /// The object.
    pub source: Location,
    /// The outcome.
    pub status: Status,
    /// The number of records read.
    pub rows_in: u64,
    /// The number of records written, each counted once, whatever the number of outputs.
    pub rows_out: u64,
    /// The number of records quarantined.
    pub rows_quarantined: u64,
    /// The number of fields that were left out because the table has no column for them: with `on_unknown = "drop"`, and with
    /// `"add"` those without a value.
    #[serde(default)]
    pub fields_dropped: u64,
    /// The number of values that became null because they do not fit their column and `on_mismatch = "drop"`.
    #[serde(default)]
    pub values_dropped: u64,
    /// The columns that were added to the table because of fields of the object, with their types.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns_added: BTreeMap<String, String>,
    /// The number of control messages of CloudWatch Logs. They are not counted as records.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub control_messages: u64,
    /// With `route`: the number of records written to each destination, by the value that it is named by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rows_by_route: BTreeMap<String, u64>,
    /// The number of quarantined records by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub quarantined_by_reason: BTreeMap<Reason, u64>,
    /// How late the written records were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lateness: Option<Lateness>,
    /// The files with its rows, and how many rows each has.
    pub outputs: Vec<OutputReport>,
    /// The location of the quarantined records, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<String>,
    /// The id of the batch that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// The whole seconds from its landing to its commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landing_to_commit_seconds: Option<u64>,
}

/// The outcome of a source object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its rows are written, and the commit is in the ledger.
    Committed,
    /// The commit already was in the ledger.
    Duplicate,
    /// A newer object replaced it; that object has a separate event.
    Superseded,
    /// The object no longer exists.
    Gone,
    /// Not an input: it is under the error prefix, an output of the job, or empty.
    Ignored,
}

/// An object that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputReport {
    /// Its key in the target bucket.
    pub key: String,
    /// Its number of records; in the report of a source object, those of that object.
    pub rows: u64,
    /// Its size in bytes, including the rows of other objects.
    pub bytes: u64,
}

impl ObjectReport {
    /// The partition columns for which no record has a value, so that all rows are in the default partition: such a name is
    /// probably misspelt.
    pub fn without_values(&self) -> Vec<&str> {
        let in_default = |part: &&str| part.ends_with(&format!("={DEFAULT_PARTITION}"));
        let mut parts = self.outputs.iter().map(|output| output.key.split('/'));
        let Some(first) = parts.next() else {
            return Vec::new();
        };
        let always = first.filter(in_default).filter(|part| {
            let mut others = parts.clone();
            others.all(|mut others| others.any(|other| other == *part))
        });
        always
            .filter_map(|part| part.split_once('='))
            .map(|(name, _)| name)
            .collect()
    }

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
            columns_added: BTreeMap::new(),
            control_messages: 0,
            rows_by_route: BTreeMap::new(),
            quarantined_by_reason: BTreeMap::new(),
            lateness: None,
            outputs: Vec::new(),
            quarantine: None,
            batch: None,
            landing_to_commit_seconds: None,
        }
    }
}

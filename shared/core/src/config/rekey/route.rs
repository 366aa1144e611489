//! Several targets and tables for the records of one job.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Rekey;
use crate::{
    catalog::TableName,
    config::{
        Operation, Output, Policy, UnknownPolicy,
        mistake::Problems,
        output,
        size::{S3Uri, TableText},
    },
    location::Location,
};

/// The word for the quarantine in `otherwise`.
const QUARANTINE: &str = "quarantine";

/// The most destinations of a job.
const MOST: usize = 50;

/// Which target and table a record goes to, by the value of one of its fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The field whose value says where a record goes; `a.b` for a field of an object or a struct. The value is a text, a
    /// number as it is written, `true` or `false`.
    pub column: String,
    /// What becomes of records whose value is none of those in `tables`, or that have none: they go to the `quarantine`, or
    /// where those with this value go.
    #[serde(default = "quarantine")]
    pub otherwise: String,
    /// The target and the table of the records with each value.
    pub tables: BTreeMap<String, Destination>,
}

fn quarantine() -> String {
    QUARANTINE.to_owned()
}

/// The target and the table of the records with one value. What is left out is as the job says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// The prefix to write the partitions under, ending with `/`, in the bucket of the job's `target`.
    #[schemars(with = "S3Uri")]
    pub target: Location,
    /// The Glue table, as `database.table`, that gives the schema and in which new partitions are registered.
    #[schemars(with = "TableText")]
    pub table: TableName,
    /// Time parts and columns, in path order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_by: Option<Vec<String>>,
    /// What happens to columns on their way from the records into the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<Vec<Operation>>,
    /// The outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Vec<Output>>,
    /// What to do with a field that has no column in the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_unknown: Option<Policy>,
    /// What to do with a value that does not fit its column's type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_mismatch: Option<Policy>,
}

impl Route {
    /// Whether records without a route go to the quarantine.
    pub fn is_quarantine(&self) -> bool {
        self.otherwise == QUARANTINE
    }

    /// Reports what is wrong with the routes of `job`.
    pub(in crate::config) fn check(&self, job: &Rekey, problems: &mut Problems) {
        if self.column.is_empty() {
            problems.say("route.column", "route.column is empty");
        }
        if self.tables.is_empty() {
            problems.say(
                "route.tables",
                "route.tables is empty: write one for each value",
            );
        }
        if self.tables.len() > MOST {
            problems.say(
                "route.tables",
                format!(
                    "route.tables has {} values: write {MOST} at most",
                    self.tables.len()
                ),
            );
        }
        if !self.is_quarantine() && !self.tables.contains_key(&self.otherwise) {
            problems.say(
                "route.otherwise",
                format!(
                    "route.otherwise = \"{}\" is none of route.tables: write \"{QUARANTINE}\", or the value whose table takes the other records too",
                    self.otherwise
                ),
            );
        }
        if job.table.is_some() {
            problems.say(
                "table",
                "table has no meaning with route: each of route.tables has its own",
            );
        }
        for (value, destination) in &self.tables {
            inside(value, problems, |problems| destination.check(job, problems));
        }
    }
}

/// Reports the problems of the destination of a value.
pub(in crate::config) fn inside(
    value: &str,
    problems: &mut Problems,
    check: impl FnOnce(&mut Problems),
) {
    let title = format!("route `{value}`");
    problems.inside(&title, &["route", "tables", value], check);
}

impl Destination {
    fn check(&self, job: &Rekey, problems: &mut Problems) {
        problems.prefix("target", Some(&self.target));
        if self.target.bucket != job.target.bucket {
            problems.say(
                "target",
                format!(
                    "target {} is in another bucket than the job's target {}, which has the ledger: choose one in the same bucket",
                    self.target, job.target
                ),
            );
        }
        if job.ledger().contains(&self.target) {
            problems.say(
                "target",
                format!(
                    "target {} lies inside the job's ledger: choose one outside",
                    self.target
                ),
            );
        }
        let whole = self.of(job);
        if self.output.is_some() {
            output::check(&whole.output, problems);
        }
        if self.column.is_some() || self.partition_by.is_some() {
            whole.check_columns(problems);
        }
    }

    /// The job with what is the destination's own.
    pub(in crate::config) fn of(&self, job: &Rekey) -> Rekey {
        let own = self.clone();
        Rekey {
            target: own.target,
            table: Some(own.table),
            partition_by: own.partition_by.unwrap_or_else(|| job.partition_by.clone()),
            column: own.column.unwrap_or_else(|| job.column.clone()),
            output: own.output.unwrap_or_else(|| job.output.clone()),
            on_unknown: own.on_unknown.map_or(job.on_unknown, UnknownPolicy::from),
            on_mismatch: own.on_mismatch.unwrap_or(job.on_mismatch),
            route: None,
            ..job.clone()
        }
    }
}

//! The documents of the ledger.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use lakewright_core::{
    catalog::{Column, Table},
    config,
    location::Location,
    naming::{self, plan_hash, source_id},
};
use serde::{Deserialize, Serialize};

use crate::{
    kit::{ErrorKind, JobError, ledger::documents},
    report::{ObjectReport, OutputReport},
};

/// The version of the ledger's documents.
const LEDGER_VERSION: u32 = 1;

/// Objects that are planned together. Its id is a hash of this document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The version of this document's format.
    pub version: u32,
    /// The settings that determine where a row goes.
    pub settings: Settings,
    /// The objects, sorted. Those whose claim names this batch are its members.
    pub candidates: Vec<Candidate>,
}

/// An object that a batch claims.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Candidate {
    /// The object.
    pub source: Location,
    /// Its `ETag`.
    pub etag: String,
    /// The number of the claim.
    pub claim: u32,
}

/// The inputs of a plan besides the source objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The job's configuration.
    pub job: config::Rekey,
    /// The table's columns when the batch was made; `None` if the schema is inferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableColumns>,
    /// The columns of the tables of the routes, by their values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tables: BTreeMap<String, TableColumns>,
    /// The ids of the versions of the secrets that columns are hashed with, by the secrets' names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<config::SecretName, String>,
}

/// A table's columns, as in the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableColumns {
    /// Those inside the files.
    pub columns: Vec<Column>,
    /// Those in the path.
    pub partition_keys: Vec<Column>,
}

impl TableColumns {
    /// The columns of this table.
    pub(in crate::rekey) fn of(table: &Table) -> Self {
        Self {
            columns: table.storage.columns.clone(),
            partition_keys: table.partition_keys.clone(),
        }
    }
}

/// The batch that an object belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The version of this document's format.
    pub version: u32,
    /// The batch's id.
    pub batch: String,
}

/// What a batch writes, decided once before its first output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The version of this document's format.
    pub version: u32,
    /// The table's columns, if they are not those that it had when the batch was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableColumns>,
    /// The members that were read, in the order of the candidates.
    pub members: Vec<Member>,
    /// The members that have no row in an output, by their sid.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<String, LeftOut>,
    /// The outputs, in key order.
    pub outputs: Vec<PlannedOutput>,
    /// The quarantined records, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<PlannedOutput>,
}

/// A column that was added to the table because of a field without a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddedColumn {
    /// The version of this document's format.
    pub version: u32,
    /// Its name.
    pub name: String,
    /// Its type in Hive's syntax.
    #[serde(rename = "type")]
    pub hive_type: String,
    /// The object that brought it.
    pub source: Location,
    /// The object's `ETag`.
    pub etag: String,
    /// The object's batch.
    pub batch: String,
}

/// A member whose rows a plan has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The index of the candidate.
    pub candidate: u32,
    /// When the object landed, as S3 says: what `now` means in the settings' bounds.
    pub landed: Timestamp,
    /// What `now` means in `latest`, if the object was uploaded in parts: when it was first read. S3 tells when the upload
    /// began, which may be long before the last part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Timestamp>,
}

/// Why a plan leaves a member out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The reason.
    pub why: Why,
    /// The error, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The reason for which a plan leaves a member out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// It no longer existed. If it is back, it is planned alone.
    Gone,
    /// A newer object had replaced it. If it is back, it is planned alone.
    Superseded,
    /// It is empty.
    Ignored,
    /// It cannot be read, or not together with the others: it is planned alone.
    Refused,
    /// The batch was given up before it had a plan: each of its members is planned alone.
    Dissolved,
}

/// An object in a plan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlannedOutput {
    /// Its key in the target bucket.
    pub key: String,
    /// Its number of records of each member that has any: the index of the candidate, and the number.
    pub rows: Vec<(u32, u64)>,
}

/// A member that disappeared after the plan was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// The version of this document's format.
    pub version: u32,
    /// The object.
    pub source: Location,
    /// Its `ETag`.
    pub etag: String,
}

/// The outputs of a batch that an attempt knew to exist when its time ran out: the next one does not look them up again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// The version of this document's format.
    pub version: u32,
    /// The size in bytes of each output that exists, in the order in which they are written.
    pub sizes: Vec<Option<u64>>,
}

/// An attempt at an object alone, which may kill its invocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alone {
    /// The version of this document's format.
    pub version: u32,
    /// The object.
    pub source: Location,
    /// Its `ETag`.
    pub etag: String,
}

/// An object that is given up: it failed in a way that another attempt cannot change. If it is delivered again nevertheless,
/// it is tried again, and a commit takes precedence over this document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    /// The version of this document's format.
    pub version: u32,
    /// The object.
    pub source: Location,
    /// Its `ETag`.
    pub etag: String,
    /// The name of the error.
    pub error: String,
    /// Its message.
    pub message: String,
}

/// The commit of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The version of this document's format.
    pub version: u32,
    /// The reports of the members whose rows are written, by their sid; the outputs are listed once, below.
    pub objects: BTreeMap<String, ObjectReport>,
    /// The members that the plan left out, by their sid.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<String, LeftOut>,
    /// The sids of the members that disappeared after the plan. Their rows may or may not be in the outputs.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub lost: BTreeSet<String>,
    /// The outputs that exist. The rows of lost members are not counted.
    pub outputs: Vec<OutputReport>,
    /// The key of the quarantined records, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<String>,
}

documents!(LEDGER_VERSION; Batch, Claim, AddedColumn, Plan, Lost, Reached, Alone, GivenUp, Commit);

impl Candidate {
    /// The id of the object.
    pub fn sid(&self) -> String {
        source_id(&self.source.bucket, &self.source.key, &self.etag)
    }
}

impl Settings {
    /// The settings for a batch that is made now, without those that do not affect where a row goes. `tables`: those of the
    /// destinations.
    pub(in crate::rekey) fn current(
        job: &config::Rekey,
        tables: &[Table],
        secrets: BTreeMap<config::SecretName, String>,
    ) -> Self {
        let routes = job.route.iter();
        let routes = routes.flat_map(|route| route.tables.keys()).cloned();
        Self {
            job: config::Rekey {
                batch: config::Batch::default(),
                sweep: config::Sweep::default(),
                ..job.clone()
            },
            table: tables
                .iter()
                .map(TableColumns::of)
                .next()
                .filter(|_| job.route.is_none()),
            tables: routes.zip(tables.iter().map(TableColumns::of)).collect(),
            secrets,
        }
    }

    /// A hash of these settings, for the names of outputs.
    pub(in crate::rekey) fn hash(&self) -> Result<String, JobError> {
        Ok(plan_hash(&text_of(self)?))
    }
}

impl Batch {
    /// A batch of these candidates.
    pub fn new(settings: Settings, mut candidates: Vec<Candidate>) -> Self {
        candidates.sort();
        Self {
            version: Self::VERSION,
            settings,
            candidates,
        }
    }

    /// Its id.
    ///
    /// # Errors
    /// The settings cannot be written as JSON.
    pub fn id(&self) -> Result<String, JobError> {
        Ok(naming::batch_id(&text_of(self)?))
    }
}

fn text_of<T: Serialize>(value: &T) -> Result<String, JobError> {
    serde_json::to_string(value)
        .map_err(|error| JobError::new(ErrorKind::SchemaUnusable, format!("settings: {error}")))
}

#[cfg(test)]
mod tests {
    use lakewright_core::config::Config;

    use super::*;
    use crate::kit::ledger::documented::{again, compare};

    #[test]
    fn the_documents_are_as_the_architecture_shows_them() {
        let job = r#"
            [[rekey]]
            name = "anpr"
            source = "s3://landing/anpr/"
            target = "s3://lake/anpr/"
            timestamp = { column = "t" }
        "#;
        let job = Config::parse(job).unwrap().rekey.remove(0);
        compare(
            "rekey",
            &Settings::current(&job, &[], BTreeMap::new()),
            &[
                ("batch/<bid>", again::<Batch>),
                ("claim/<sid>/<n>", again::<Claim>),
                ("columns/<name>", again::<AddedColumn>),
                ("plan/<bid>", again::<Plan>),
                ("lost/<bid>/<sid>", again::<Lost>),
                ("progress/<bid>/<hash>/<n>", again::<Reached>),
                ("alone/<bid>/<n>", again::<Alone>),
                ("failed/<sid>", again::<GivenUp>),
                ("commit/<bid>", again::<Commit>),
            ],
        );
    }
}

//! The ledger: what is intended, and what has happened, as create-only objects beside the data.
//!
//! - `intent/<sid>`: the one plan of a source object. Whoever comes second adopts the one that stands.
//! - `commit/<sid>`: its rows stand, are registered, and are accounted for.
//! - `quarantine/<sid>-<planhash>.jsonl`: the records that went nowhere else.
//! - `spool/<sid>/`: rows of a large object while it is at work.

use jiff::Timestamp;
use lakewright_core::{catalog::Column, config, location::Location};
use serde::{Deserialize, Serialize};

use crate::{
    kit::{
        JobError,
        ledger::{self, documents},
    },
    ports::Store,
    report::ObjectReport,
};

/// The form of the ledger's documents.
const LEDGER_VERSION: u32 = 1;

/// The plan of one source object, written once before its first output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The form of this document.
    pub version: u32,
    /// The source object.
    pub source: Location,
    /// Its `ETag`.
    pub etag: String,
    /// What decides where a row goes; every later attempt goes by this one.
    pub settings: Settings,
    /// What is to stand, in key order.
    pub outputs: Vec<PlannedOutput>,
    /// The records that are to stand in the quarantine, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<PlannedOutput>,
    /// When the source object landed: what `now` means in the settings' bounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landed: Option<Timestamp>,
    /// There is no plan and will be none: the source object was gone or replaced before one was made. An attempt
    /// that read the object earlier, and is still at work, finds this in its way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
}

/// What a plan is made from, besides the source object itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The job's configuration.
    pub job: config::Rekey,
    /// The table's columns when the plan was made; `None` where the schema is inferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableColumns>,
}

/// A table's columns, as the catalog gave them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableColumns {
    /// Those inside the files.
    pub columns: Vec<Column>,
    /// Those in the path.
    pub partition_keys: Vec<Column>,
}

/// One object that a plan names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlannedOutput {
    /// Its key in the target bucket.
    pub key: String,
    /// The records in it.
    pub rows: u64,
}

/// What happened to one source object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The form of this document.
    pub version: u32,
    /// The source object's `ETag`.
    pub etag: String,
    /// The report that it was answered with.
    #[serde(flatten)]
    pub report: ObjectReport,
}

impl Intent {
    /// The plan of `source` under `settings`, without an output yet.
    pub fn new(source: Location, etag: String, settings: Settings) -> Self {
        Self {
            version: LEDGER_VERSION,
            source,
            etag,
            settings,
            outputs: Vec::new(),
            quarantine: None,
            landed: None,
            withdrawn: false,
        }
    }

    /// The entry that keeps a source object, which could not be read any more, from being planned.
    pub(super) fn withdrawn(source: Location, etag: String, settings: Settings) -> Self {
        Self {
            withdrawn: true,
            ..Self::new(source, etag, settings)
        }
    }
}

documents!(LEDGER_VERSION; Intent, Commit);

/// The ledger's entries for one source object.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    prefix: Location,
    commit: Location,
    sid: String,
}

impl Ledger {
    /// The entries of the source object `sid` in the job's ledger.
    pub(super) fn new(job: &config::Rekey, sid: String) -> Self {
        Self {
            prefix: job.ledger(),
            commit: job.commit(&sid),
            sid,
        }
    }

    /// Where the plan stands.
    pub(super) fn intent(&self) -> Location {
        self.prefix.join(&format!("intent/{}", self.sid))
    }

    /// Where the commit stands.
    pub(super) fn commit(&self) -> &Location {
        &self.commit
    }

    /// Where the quarantined records of the plan `plan_hash` stand.
    pub(super) fn quarantine(&self, plan_hash: &str) -> Location {
        self.prefix
            .join(&format!("quarantine/{}-{plan_hash}.jsonl", self.sid))
    }

    /// The prefix of what does not fit the temporary folder until the source object is read.
    pub(super) fn spool(&self) -> Location {
        self.prefix.join(&format!("spool/{}/", self.sid))
    }

    /// Whether the source object is committed.
    ///
    /// # Errors
    /// When the store cannot say.
    pub(super) async fn is_committed(&self, store: &dyn Store) -> Result<bool, JobError> {
        ledger::exists(store, self.commit()).await
    }

    /// The plan that stands, if one does.
    ///
    /// # Errors
    /// When the store fails, or the document cannot be read.
    pub(super) async fn read_intent(&self, store: &dyn Store) -> Result<Option<Intent>, JobError> {
        ledger::read(store, &self.intent()).await
    }

    /// Makes `intent` the plan of its source object, or answers with the one that stands already.
    ///
    /// # Errors
    /// When the store fails, or the document that stands cannot be read.
    pub(super) async fn propose(
        &self,
        store: &dyn Store,
        intent: Intent,
    ) -> Result<Intent, JobError> {
        ledger::propose(store, &self.intent(), intent).await
    }

    /// Writes the commit; one that stands already says the same.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn write_commit(
        &self,
        store: &dyn Store,
        commit: &Commit,
    ) -> Result<(), JobError> {
        ledger::create(store, self.commit(), commit).await?;
        Ok(())
    }
}

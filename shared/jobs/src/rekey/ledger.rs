//! The ledger: plans and commits, as create-only objects beside the data.
//!
//! - `intent/<sid>`: the only plan of a source object. Later attempts adopt the existing one.
//! - `commit/<sid>`: its rows are written, registered, and accounted for.
//! - `quarantine/<sid>-<planhash>.jsonl`: the records that were not written to an output.
//! - `spool/<sid>/`: rows of a large object while it is processed.

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

/// The version of the ledger's documents.
const LEDGER_VERSION: u32 = 1;

/// The plan of one source object, written once before its first output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The version of this document's format.
    pub version: u32,
    /// The source object.
    pub source: Location,
    /// Its `ETag`.
    pub etag: String,
    /// The settings that determine where a row goes; every later attempt uses them.
    pub settings: Settings,
    /// The outputs, in key order.
    pub outputs: Vec<PlannedOutput>,
    /// The quarantined records, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<PlannedOutput>,
    /// When the source object landed: what `now` means in the settings' bounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landed: Option<Timestamp>,
    /// There is no plan and there will be none: the source object was gone or replaced before one was made. An attempt
    /// that read the object earlier, and is still running, finds this instead of writing a plan.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
}

/// The inputs of a plan besides the source object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The job's configuration.
    pub job: config::Rekey,
    /// The table's columns when the plan was made; `None` if the schema is inferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableColumns>,
}

/// A table's columns, as in the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableColumns {
    /// Those inside the files.
    pub columns: Vec<Column>,
    /// Those in the path.
    pub partition_keys: Vec<Column>,
}

/// An object in a plan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlannedOutput {
    /// Its key in the target bucket.
    pub key: String,
    /// Its number of records.
    pub rows: u64,
}

/// The commit of a source object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The version of this document's format.
    pub version: u32,
    /// The source object's `ETag`.
    pub etag: String,
    /// The report for it.
    #[serde(flatten)]
    pub report: ObjectReport,
}

impl Intent {
    /// Creates the plan of `source` with `settings`, without outputs yet.
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

    /// The entry that prevents plans for a source object that can no longer be read.
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

    /// The location of the plan.
    pub(super) fn intent(&self) -> Location {
        self.prefix.join(&format!("intent/{}", self.sid))
    }

    /// The location of the commit.
    pub(super) fn commit(&self) -> &Location {
        &self.commit
    }

    /// The location of the quarantined records of the plan `plan_hash`.
    pub(super) fn quarantine(&self, plan_hash: &str) -> Location {
        self.prefix
            .join(&format!("quarantine/{}-{plan_hash}.jsonl", self.sid))
    }

    /// The prefix for spooled rows that do not fit the temporary folder.
    pub(super) fn spool(&self) -> Location {
        self.prefix.join(&format!("spool/{}/", self.sid))
    }

    /// Whether the source object is committed.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn is_committed(&self, store: &dyn Store) -> Result<bool, JobError> {
        ledger::exists(store, self.commit()).await
    }

    /// The existing plan, if any.
    ///
    /// # Errors
    /// The store fails, or the document cannot be read.
    pub(super) async fn read_intent(&self, store: &dyn Store) -> Result<Option<Intent>, JobError> {
        ledger::read(store, &self.intent()).await
    }

    /// Makes `intent` the plan of its source object, or returns the existing plan.
    ///
    /// # Errors
    /// The store fails, or the existing document cannot be read.
    pub(super) async fn propose(
        &self,
        store: &dyn Store,
        intent: Intent,
    ) -> Result<Intent, JobError> {
        ledger::propose(store, &self.intent(), intent).await
    }

    /// Writes the commit. An existing one has the same content.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn write_commit(
        &self,
        store: &dyn Store,
        commit: &Commit,
    ) -> Result<(), JobError> {
        ledger::create(store, self.commit(), commit).await?;
        Ok(())
    }
}

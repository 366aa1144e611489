//! The ledger of a job: runs, one after the other, each of create-only objects.
//!
//! - `<run>/plan`: what is read, what is to be done, and what is replaced.
//! - `<run>/prepared/<i>`, `<run>/done/<i>`: what a task found, and what it wrote.
//! - `<run>/commit`: the run counts; or it was given up before it did.
//! - `<run>/taken`: with a bookmark, every object that this and earlier runs have committed.
//! - `<run>/finished`: what the commit entails is done.
//!
//! Runs are numbered downwards, so that the newest is the first of a listing.

use lakewright_core::{
    catalog::Column,
    config,
    location::Location,
    naming::run_id,
    reading::Reading,
    repartition::{Shape, Span, Task, Unit},
};
use serde::{Deserialize, Serialize};

use super::shuffle::Staged;
pub(super) use crate::kit::ledger::{propose, read};
use crate::{
    kit::{ErrorKind, JobError, Stage, ledger::documents},
    ports::Store,
};

/// The form of the ledger's documents.
const LEDGER_VERSION: u32 = 1;

/// The name of the first run.
const FIRST_RUN: u64 = 9_999_999_999;

/// One run of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The form of this document.
    pub version: u32,
    /// The run's number, from 0.
    pub run: u64,
    /// What the names of the run's files have in them: a hash of the rest.
    pub id: String,
    /// The configuration that it was made with; every task goes by this one.
    pub settings: config::Repartition,
    /// How the objects are read.
    pub reading: Reading,
    /// What is written of them.
    pub shape: Shape,
    /// The source's partitions, or the one prefix.
    pub partitions: Vec<SourcePartition>,
    /// The objects that are read, in their order.
    pub sources: Vec<SourceObject>,
    /// The pieces that they are read in.
    pub units: Vec<Unit>,
    /// What is done before the tasks: groups of units.
    pub prepare: Vec<Span>,
    /// What is written.
    pub tasks: Vec<Task>,
    /// How many files there are to be, where rows are not partitioned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// Splits of the source, as Spark counts them.
    pub splits_before: u64,
    /// The objects that are removed once the run is committed: those of each output, in their order.
    pub replaced: Vec<Vec<Standing>>,
    /// The keys of the objects that stay: those of each output.
    pub kept: Vec<Vec<String>>,
    /// The `ETag` of each output's manifest, where one stands.
    pub manifests: Vec<Option<String>>,
    /// The last run before this one that was committed, with its bookmark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<u64>,
}

/// A partition of the source: its values, and where its objects are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePartition {
    /// The prefix.
    pub location: Location,
    /// One for each of the table's partition keys.
    pub values: Vec<String>,
}

/// An object that is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceObject {
    /// Its key.
    pub key: String,
    /// Its size.
    pub size: u64,
    /// Its `ETag`: only that object is read.
    pub etag: String,
    /// Which of the source's partitions it belongs to.
    pub partition: usize,
}

/// An object that stood under the target when the run was planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Its key.
    pub key: String,
    /// Its `ETag`.
    pub etag: String,
}

/// What a piece of the source holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Its rows.
    pub rows: u64,
    /// Of each output, the bytes of its rows as text; 0 for Parquet.
    pub bytes: Vec<u64>,
}

/// What was found before the tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// The form of this document.
    pub version: u32,
    /// Each unit's; of all units together, where rows were brought to the store.
    pub units: Vec<Counts>,
    /// The rows that were brought to the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) staged: Option<Staged>,
}

/// What a task has written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The form of this document.
    pub version: u32,
    /// The rows that it read and put all into its files; not said where it read some for a part of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<u64>,
    /// The rows that are in its files, of each output.
    pub rows: Vec<u64>,
    /// Its files.
    pub files: Vec<File>,
    /// Values that became null because they do not fit their columns.
    #[serde(default)]
    pub values_dropped: u64,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Which of the job's outputs.
    pub output: usize,
    /// Its key.
    pub key: String,
    /// Its rows.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// The entity tag that the store gave it: what stands under the key and has another is not this file.
    pub etag: String,
    /// The values of its partition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// What became of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The form of this document.
    pub version: u32,
    /// It was given up; nothing of it counts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
    /// Rows of the source.
    pub rows: u64,
    /// Files.
    pub outputs: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What the commit entails is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// The form of this document.
    pub version: u32,
    /// Objects that were removed.
    pub removed: u64,
    /// Keys that were to be removed but hold other objects than the plan says, and were left.
    pub left: Vec<String>,
}

/// The objects that runs with a bookmark have committed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The form of this document.
    pub version: u32,
    /// Their identities, sorted.
    pub objects: Vec<String>,
}

documents!(LEDGER_VERSION; Plan, Prepared, Done, Commit, Finished, Taken);

impl Plan {
    /// Where an object of the source is.
    pub(super) fn location(&self, source: &SourceObject) -> Location {
        let partition = self.partitions.get(source.partition);
        let bucket = partition.map_or("", |partition| &partition.location.bucket);
        Location::new(bucket, &source.key)
    }

    /// The plan with the id that follows from the rest of it.
    pub(super) fn identified(self) -> Result<Self, JobError> {
        let text = serde_json::to_string(&self)
            .map_err(|error| JobError::new(ErrorKind::SchemaUnusable, format!("plan: {error}")))?;
        Ok(Self {
            id: run_id(&text),
            ..self
        })
    }

    /// Columns as they are written, those of the path last.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        let written = self.shape.files.iter().chain(&self.shape.partition_by);
        written.map(|written| &written.column)
    }
}

/// Where the entries of one run stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    prefix: Location,
    /// Where rows are while they are at work.
    rows: Location,
}

impl Ledger {
    /// Of a job's run.
    pub fn new(job: &config::Repartition, run: u64) -> Self {
        let name = format!("{:010}/", FIRST_RUN.saturating_sub(run));
        Self {
            prefix: job.ledger().join(&name),
            rows: job.rows_at_work().join(&name),
        }
    }

    /// Where the plan stands.
    pub fn plan(&self) -> Location {
        self.prefix.join("plan")
    }

    /// Where the commit stands.
    pub fn commit(&self) -> Location {
        self.prefix.join("commit")
    }

    /// Where the list of what is done before the tasks stands, if it is long.
    pub(super) fn prepare_list(&self) -> Location {
        self.prefix.join("prepare.json")
    }

    /// Where the list of the tasks stands, if it is long.
    pub(super) fn tasks_list(&self) -> Location {
        self.prefix.join("tasks.json")
    }

    pub(super) fn prepared(&self, index: usize) -> Location {
        self.prefix.join(&format!("prepared/{index:010}"))
    }

    pub(super) fn done(&self, task: usize) -> Location {
        self.prefix.join(&format!("done/{task:010}"))
    }

    /// Rows that do not fit memory and the temporary folder.
    pub(super) fn spool(&self, task: usize) -> Location {
        self.rows.join(&format!("spool/{task:010}/"))
    }

    /// Rows that are brought together, until the run is finished.
    pub(super) fn staged(&self, index: usize) -> Location {
        self.rows.join(&format!("staged/{index:010}/"))
    }

    pub(super) fn taken(&self) -> Location {
        self.prefix.join("taken")
    }

    pub(super) fn finished(&self) -> Location {
        self.prefix.join("finished")
    }
}

/// The number of the job's newest run.
pub(super) async fn newest(
    store: &dyn Store,
    job: &config::Repartition,
) -> Result<Option<u64>, JobError> {
    let prefix = job.ledger();
    let page = store.list(&prefix, None).await;
    let page = page.map_err(|error| JobError::store(Stage::Ledger, error))?;
    let run = |key: &str| {
        let name = key.strip_prefix(&prefix.key)?.split('/').next()?;
        FIRST_RUN.checked_sub(name.parse().ok()?)
    };
    Ok(page.objects.iter().find_map(|object| run(&object.key)))
}

/// The plan that stands there.
pub(super) async fn plan(
    store: &dyn Store,
    location: &Location,
) -> Result<(Ledger, Plan), JobError> {
    let missing = || JobError::plan_missing(location.clone());
    if !location.key.ends_with("/plan") {
        return Err(missing());
    }
    let plan = read::<Plan>(store, location).await?;
    let plan = plan.ok_or_else(missing)?;
    let ledger = Ledger::new(&plan.settings, plan.run);
    if ledger.plan() != *location {
        return Err(missing());
    }
    Ok((ledger, plan))
}

//! The documents of a run.

use std::{collections::BTreeMap, sync::Arc};

use lakewright_core::{
    catalog::Column,
    config,
    json::InferredPlace,
    location::Location,
    naming::run_id,
    reading::Reading,
    repartition::{Shape, Span, Task, Unit},
};
use lakewright_ports::Store;
use serde::{Deserialize, Serialize};

use crate::{
    kit::{ErrorKind, JobError, ledger::documents},
    repartition::shuffle::Staged,
    work::source::Pinned,
};

/// The version of the ledger's documents.
const LEDGER_VERSION: u32 = 1;

/// One run of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The version of this document's format.
    pub version: u32,
    /// The run's number, from 0.
    pub run: u64,
    /// The id in the names of the run's files: a hash of the other fields.
    pub id: String,
    /// The configuration that it was made with, which every task uses.
    pub settings: config::Repartition,
    /// The ids of the versions of the secrets that columns are hashed with, by the secrets' names: every task uses these.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<config::SecretName, String>,
    /// How the objects are read.
    pub reading: Reading,
    /// The columns that are written.
    pub shape: Shape,
    /// The source's partitions, or the one prefix.
    pub partitions: Vec<SourcePartition>,
    /// The objects that are read, in order.
    pub sources: Vec<SourceObject>,
    /// The pieces that they are read in.
    pub units: Vec<Unit>,
    /// Groups of units to process before the tasks.
    pub prepare: Vec<Span>,
    /// The tasks.
    pub tasks: Vec<Task>,
    /// The number of files to write, if rows are not partitioned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// The number of the source's splits, as Spark counts them.
    pub splits_before: u64,
    /// The objects that are removed once the run is committed: those of each output, in order.
    pub replaced: Vec<Vec<ReplacedObject>>,
    /// The keys of the objects that stay: those of each output.
    pub kept: Vec<Vec<String>>,
    /// The `ETag` of each output's manifest, if there is one.
    pub manifests: Vec<Option<String>>,
    /// The last committed run before this one, with its bookmark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<u64>,
    /// Where the tasks find their objects, in an outline: it lists none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Inputs>,
}

/// The object with what each group of units reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// Its key. It has a document for each group, one after the other.
    pub key: String,
    /// Where each of them ends.
    pub ends: Vec<u64>,
}

/// A partition of the source: its values, and the location of its objects.
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
    /// The index of the source's partition that it belongs to.
    pub partition: usize,
}

impl SourceObject {
    /// The object, of which only the planned version is read.
    pub(in crate::repartition) fn pinned(
        &self,
        store: &Arc<dyn Store>,
        location: Location,
    ) -> Pinned {
        Pinned {
            store: Arc::clone(store),
            location,
            etag: self.etag.clone(),
            size: self.size,
        }
    }
}

/// An object under the target that the run replaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplacedObject {
    /// Its key.
    pub key: String,
    /// Its `ETag`.
    pub etag: String,
}

/// The counts of a piece of the source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// The number of rows.
    pub rows: u64,
    /// For each output, the bytes of its rows as text; 0 for Parquet.
    pub bytes: Vec<u64>,
}

/// The result of a preparation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// The version of this document's format.
    pub version: u32,
    /// The counts of each unit; of all units together, if rows were staged.
    pub units: Vec<Counts>,
    /// The rows that were staged in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::repartition) staged: Option<Staged>,
}

/// The counts of all preparations: each task needs them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// The version of this document's format.
    pub version: u32,
    /// The counts of each unit of the plan.
    pub units: Vec<Counts>,
}

/// What a block of preparations has staged, by the tasks that write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gathered {
    /// The version of this document's format.
    pub version: u32,
    /// The object that has a document for each task, one after the other.
    pub key: String,
    /// Where each of them ends. A document without bytes means that the task has no rows.
    pub ends: Vec<u64>,
}

/// The result of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The version of this document's format.
    pub version: u32,
    /// The number of rows that it read, all of which are in its files; `None` if it also read rows that other tasks write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<u64>,
    /// The number of rows in its files, for each output.
    pub rows: Vec<u64>,
    /// Its files.
    pub files: Vec<File>,
    /// Values that became null because they do not fit their columns.
    #[serde(default)]
    pub values_dropped: u64,
}

/// The files that an attempt at a task knew to exist when its time ran out: the next one does not write them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// The version of this document's format.
    pub version: u32,
    /// The files.
    pub files: Vec<File>,
    /// How many attempts since have come no further.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tries: u32,
}

/// What an attempt had inferred from the source's first objects when its time ran out: the next one does not read them
/// again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inferred {
    /// The version of this document's format.
    pub version: u32,
    /// The number of those objects.
    pub objects: usize,
    /// What their records contain.
    pub places: Vec<InferredPlace>,
    /// How many attempts since have come no further.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tries: u32,
}

/// How far the verification of a run came before its time ran out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// The version of this document's format.
    pub version: u32,
    /// How many of the run's files, in the order of the outputs and the tasks, were verified.
    pub files: usize,
    /// How many attempts since have come no further.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tries: u32,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A written file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// The index of the job's output.
    pub output: usize,
    /// Its key.
    pub key: String,
    /// Its number of rows.
    pub rows: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its entity tag: an object under the key with another one is not this file.
    pub etag: String,
    /// The values of its partition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// The outcome of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The version of this document's format.
    pub version: u32,
    /// Whether the run was withdrawn: then none of its files is valid.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
    /// The number of the source's rows.
    pub rows: u64,
    /// The number of files.
    pub outputs: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The steps after the commit are done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// The version of this document's format.
    pub version: u32,
    /// The number of objects that were removed.
    pub removed: u64,
    /// Keys that were not removed, because they have other objects than the plan lists.
    pub left: Vec<String>,
    /// Why some of the partitions are not registered, if the catalog was changed after the commit was allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unregistered: Option<String>,
}

/// The objects that runs with a bookmark have committed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The version of this document's format.
    pub version: u32,
    /// Their identities, sorted.
    pub objects: Vec<Id>,
}

/// The identity of an object: 32 hexadecimal digits in a document, and 16 bytes in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(u128);

impl From<Id> for String {
    fn from(id: Id) -> Self {
        format!("{:032x}", id.0)
    }
}

impl TryFrom<String> for Id {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match u128::from_str_radix(&text, 16) {
            Ok(id) => Ok(Self(id)),
            Err(_) => Err(format!("`{text}` is not 32 hexadecimal digits")),
        }
    }
}

documents!(LEDGER_VERSION; Plan, Prepared, Counted, Gathered, Done, Reached, Inferred, Verified, Commit, Finished, Taken);

impl Plan {
    /// The location of a source object.
    pub(in crate::repartition) fn location(&self, source: &SourceObject) -> Location {
        let partition = self.partitions.get(source.partition);
        let bucket = partition.map_or("", |partition| &partition.location.bucket);
        Location::new(bucket, &source.key)
    }

    /// The plan with the id derived from its other fields.
    pub(in crate::repartition) fn identified(self) -> Result<Self, JobError> {
        let text = serde_json::to_string(&self)
            .map_err(|error| JobError::new(ErrorKind::SchemaUnusable, format!("plan: {error}")))?;
        Ok(Self {
            id: run_id(&text),
            ..self
        })
    }

    /// Whether preparations stage the rows that tasks write.
    pub(in crate::repartition) fn is_staged(&self) -> bool {
        matches!(self.tasks.first(), Some(Task::Partitions(_)))
    }

    /// The columns of the output, with those of the path last.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        let written = self.shape.files.iter().chain(&self.shape.partition_by);
        written.map(|written| &written.column)
    }
}

#[cfg(test)]
mod tests {
    use lakewright_core::config::Config;

    use super::*;
    use crate::kit::ledger::documented::{again, compare};

    #[test]
    fn a_year_of_bookmarks_takes_35_bytes_of_text_and_16_of_memory_for_each_object() {
        const MINUTES: u128 = 365 * 24 * 60;
        let id = |minute: u128| Id(minute << 100 | minute);
        let taken = Taken {
            version: Taken::VERSION,
            objects: (0..MINUTES).map(id).collect(),
        };
        let text = serde_json::to_vec(&taken).unwrap();
        assert!(text.len() as u128 <= 35 * MINUTES + 100, "{}", text.len());
        let again: Taken = crate::kit::known::from_slice(&text).unwrap();
        assert_eq!(again, taken);
        assert_eq!(size_of_val(&again.objects[..]) as u128, 16 * MINUTES);
        let bad = br#"{"version":1,"objects":["no id"]}"#;
        assert!(crate::kit::known::from_slice::<Taken>(bad).is_err());
    }

    #[test]
    fn the_documents_are_as_the_architecture_shows_them() {
        let job = "[[repartition]]\nname = \"r\"\nsource = \"s3://lake/raw/\"\ntarget = \"s3://lake/new/\"\nformat = \"json\"\n[[repartition.output]]\nformat = \"parquet\"";
        let job = Config::parse(job).unwrap().repartition.remove(0);
        compare(
            "repartition",
            &job,
            &[
                ("repartition/<name>/<run>/plan", again::<Plan>),
                ("repartition/<name>/<run>/outline", again::<Plan>),
                ("repartition/<name>/inferring/<n>-<hash>", again::<Inferred>),
                ("repartition/<name>/<run>/prepared/<i>", again::<Prepared>),
                ("repartition/<name>/<run>/counted", again::<Counted>),
                (
                    "repartition/<name>/<run>/gathered/<block>",
                    again::<Gathered>,
                ),
                ("repartition/<name>/<run>/done/<i>", again::<Done>),
                (
                    "repartition/<name>/<run>/progress/<i>/<n>",
                    again::<Reached>,
                ),
                ("repartition/<name>/<run>/verified/<n>", again::<Verified>),
                ("repartition/<name>/<run>/commit", again::<Commit>),
                ("repartition/<name>/<run>/taken", again::<Taken>),
                ("repartition/<name>/<run>/finished", again::<Finished>),
            ],
        );
    }
}

//! The ledger of one partition: the plans of its generations, and their progress. All entries except the state are
//! create-only.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jiff::SignedDuration;
use lakewright_core::{
    compact::{PartitionLedger, PartitionState},
    config::{self, CompactMode, Compression},
    location::Location,
};
use lakewright_ports::{ObjectMeta, Precondition, PutOptions, Store, StoreErrorKind};
use serde::{Deserialize, Serialize};

use super::directory;
use crate::{
    kit::{
        ErrorKind, JobError,
        ledger::{self, documents},
    },
    publish::partition_state,
};

/// The version of the ledger's documents.
const LEDGER_VERSION: u32 = 1;

/// The plan of a partition's next generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The version of this document's format.
    pub version: u32,
    /// The configuration that it was made with, which every step uses.
    pub settings: config::Compact,
    /// The partition's path below the table or the target.
    pub partition: String,
    /// Its values in the catalog; empty without a catalog.
    pub values: Vec<String>,
    /// The number of the generation that it makes.
    pub generation: u32,
    /// The directory of the previous generation.
    pub from: Location,
    /// The directory of the new one; without a catalog, where the new files are until they are moved beside the old
    /// ones.
    pub to: Location,
    /// The new files.
    pub bins: Vec<Bin>,
}

/// A new file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bin {
    /// Its name.
    pub output: String,
    /// Its number of rows.
    pub rows: u64,
    /// The total size of the files that are merged into it, in bytes.
    pub bytes: u64,
    /// The files that are merged into it, in the order of their rows.
    pub inputs: Vec<Input>,
    /// The indices of the first input of each schema and calendar: these represent all inputs. Empty if all footers are
    /// read before the merge.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub firsts: Vec<usize>,
    /// For each of its columns, the compression that most of the bytes have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compressions: Vec<Compression>,
}

/// A file that is merged into a new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Its name below the old directory.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its `ETag`: only that object is read.
    pub etag: String,
    /// Its number of rows.
    pub rows: u64,
}

documents!(LEDGER_VERSION; Plan, Failed, Verified);

impl Plan {
    /// The location of a new file.
    pub fn output(&self, bin: &Bin) -> Location {
        self.to.join(&bin.output)
    }

    /// The files to merge, by name.
    pub(super) fn inputs(&self) -> BTreeMap<&str, &Input> {
        let inputs = self.bins.iter().flat_map(|bin| &bin.inputs);
        inputs.map(|input| (input.name.as_str(), input)).collect()
    }

    pub(super) fn is_in_place(&self) -> bool {
        self.settings.mode == CompactMode::InPlace
    }
}

/// Why a plan can never be carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// The version of this document's format.
    pub version: u32,
    /// The plan's generation.
    pub generation: u32,
    /// The index of the file that could not be made.
    pub task: usize,
    /// The error's name.
    pub error: String,
    /// The error.
    pub reason: String,
}

/// How far the verification of a generation's merged files came before its time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// The version of this document's format.
    pub version: u32,
    /// How many of the plan's files, in its order, exist with the planned rows.
    pub files: usize,
}

/// Records that a merge failed in a way that another attempt cannot change. The next `compact-plan` gives the plan up.
pub(super) async fn note_failure(
    store: &dyn Store,
    ledger: &PartitionLedger,
    plan: &Plan,
    task: usize,
    error: &JobError,
) -> Result<(), JobError> {
    let failed = Failed {
        version: Failed::VERSION,
        generation: plan.generation,
        task,
        error: error.name().to_owned(),
        reason: error.to_string(),
    };
    ledger::create(store, &ledger.failed(plan.generation), &failed).await?;
    Ok(())
}

/// Why the plan of this generation can never be carried out, if that was recorded.
pub(super) async fn failure(
    store: &dyn Store,
    ledger: &PartitionLedger,
    generation: u32,
) -> Result<Option<Failed>, JobError> {
    ledger::read(store, &ledger.failed(generation)).await
}

/// A marker that a step is done.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    version: u32,
    generation: u32,
}

/// Reads the plan at this location. Returns it with the ledger that contains it.
pub(super) async fn read_plan(
    store: &dyn Store,
    location: &Location,
) -> Result<(PartitionLedger, Plan), JobError> {
    let (ledger, generation) = PartitionLedger::of_plan(location).ok_or_else(|| {
        JobError::new(
            ErrorKind::BadRequest,
            format!("{location} is not the location of a plan"),
        )
    })?;
    let plan = ledger::read::<Plan>(store, location)
        .await?
        .ok_or_else(|| JobError::plan_missing(location.clone()))?;
    if plan.generation != generation {
        return Err(JobError::entry(
            location.clone(),
            format!(
                "form {} of generation {} is not form {} of generation {generation}",
                plan.version,
                plan.generation,
                Plan::VERSION
            ),
        ));
    }
    Ok((ledger, plan))
}

/// Makes `plan` the plan of its generation, or returns the existing plan.
pub(super) async fn propose(
    store: &dyn Store,
    ledger: &PartitionLedger,
    plan: Plan,
) -> Result<Plan, JobError> {
    ledger::propose(store, &ledger.plan(plan.generation), plan).await
}

/// The current state and its `ETag`.
pub(super) async fn read_state(
    store: &dyn Store,
    ledger: &PartitionLedger,
) -> Result<Option<(PartitionState, String)>, JobError> {
    partition_state::read(store, ledger).await
}

/// Replaces the state that was read, or creates it, so that it names the plan's generation. Returns false if another
/// invocation changed it meanwhile.
pub(super) async fn swap(
    store: &dyn Store,
    ledger: &PartitionLedger,
    plan: &Plan,
    existing: Option<&(PartitionState, String)>,
) -> Result<bool, JobError> {
    let state = PartitionState {
        version: PartitionState::VERSION,
        generation: plan.generation,
        directory: plan.to.clone(),
        previous: plan.from.clone(),
        abandoned: existing.map_or(0, |(state, _)| state.abandoned),
    };
    let etag = existing.map(|(_, etag)| etag.as_str());
    replace(store, ledger, &state, etag).await
}

/// Replaces the state with this `ETag`, or creates it. Returns false if another invocation changed it meanwhile.
pub(super) async fn replace(
    store: &dyn Store,
    ledger: &PartitionLedger,
    state: &PartitionState,
    existing: Option<&str>,
) -> Result<bool, JobError> {
    let location = ledger.state();
    let body = serde_json::to_vec(state)
        .map_err(|error| JobError::entry(location.clone(), error.to_string()))?;
    let options = PutOptions {
        // C4: a step that runs again finds its own state or a later one, and never undoes it.
        precondition: existing.map_or(Precondition::Absent, |etag| {
            Precondition::Matches(etag.to_owned())
        }),
        content_type: Some("application/json".to_owned()),
        attributes: None,
    };
    match store.put(&location, Bytes::from(body), options).await {
        Ok(_) => Ok(true),
        Err(error)
            if matches!(
                error.kind,
                StoreErrorKind::PreconditionFailed | StoreErrorKind::NotFound
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// Writes a marker, unless it exists.
pub(super) async fn mark(
    store: &dyn Store,
    location: &Location,
    generation: u32,
) -> Result<(), JobError> {
    let mark = Mark {
        version: LEDGER_VERSION,
        generation,
    };
    ledger::create(store, location, &mark).await?;
    Ok(())
}

/// The age of an entry by the store's clock. `None` if it does not exist.
pub(super) async fn age(
    store: &dyn Store,
    location: &Location,
) -> Result<Option<SignedDuration>, JobError> {
    match store.head(location, None).await {
        Ok(meta) => Ok(Some(age_of(&meta))),
        Err(error) if error.kind == StoreErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The age of an object by the store's clock.
pub(super) fn age_of(meta: &ObjectMeta) -> SignedDuration {
    meta.answered_at.duration_since(meta.last_modified)
}

/// All entries of a partition, from one listing.
#[derive(Debug, Default)]
pub(super) struct Entries {
    pub(super) planned: BTreeSet<u32>,
    pub(super) published: BTreeSet<u32>,
    /// With their age.
    pub(super) swept: BTreeMap<u32, SignedDuration>,
    pub(super) deleted: BTreeSet<u32>,
    /// With their age.
    pub(super) abandoned: BTreeMap<u32, SignedDuration>,
    /// Plans whose merges cannot succeed.
    pub(super) failed: BTreeSet<u32>,
    pub(super) state: bool,
}

pub(super) async fn entries(
    store: &dyn Store,
    ledger: &PartitionLedger,
) -> Result<Entries, JobError> {
    let prefix = ledger.prefix();
    let (objects, answered_at) = directory::list(store, prefix).await?;
    let mut entries = Entries::default();
    for object in objects {
        let name = object.key.get(prefix.key.len()..).unwrap_or_default();
        let Some((kind, generation)) = name.split_once('/') else {
            entries.state |= name == "state";
            continue;
        };
        let Ok(generation) = generation.parse() else {
            continue;
        };
        let age = answered_at.duration_since(object.last_modified);
        match kind {
            "plan" => entries.planned.insert(generation),
            "published" => entries.published.insert(generation),
            "deleted" => entries.deleted.insert(generation),
            "failed" => entries.failed.insert(generation),
            "swept" => entries.swept.insert(generation, age).is_none(),
            "abandoned" => entries.abandoned.insert(generation, age).is_none(),
            _ => false,
        };
    }
    Ok(entries)
}

/// The time until `age` exceeds `least`, in whole seconds; `None` if it does already. Timestamps have whole seconds, so
/// it includes one second more.
pub(super) fn wait(age: SignedDuration, least: SignedDuration) -> Option<u64> {
    let left = least.saturating_sub(age);
    (!left.is_negative()).then(|| u64::try_from(left.as_secs()).unwrap_or_default() + 1)
}

#[cfg(test)]
mod tests {
    use lakewright_core::config::Config;

    use super::*;
    use crate::kit::ledger::documented::{again, compare};

    #[test]
    fn the_documents_are_as_the_architecture_shows_them() {
        let job = "[[compact]]\ntable = \"lake.events\"";
        let job = Config::parse(job).unwrap().compact.remove(0);
        compare(
            "compact",
            &job,
            &[
                ("partition/<path>/state", again::<PartitionState>),
                ("partition/<path>/plan/<generation>", again::<Plan>),
                ("partition/<path>/failed/<generation>", again::<Failed>),
                (
                    "partition/<path>/verified/<generation>/<n>",
                    again::<Verified>,
                ),
                ("partition/<path>/published/<generation>", again::<Mark>),
            ],
        );
    }
}

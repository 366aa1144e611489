//! The ledger: batches, claims, plans and commits, as create-only objects beside the data.
//!
//! `bid` is the id of a batch: a hash of its document. `sid` is the id of a source object: a hash of its bucket, key and
//! `ETag`.
//!
//! - `batch/<bid>`: the objects that one invocation met together, and the settings.
//! - `claim/<sid>/<n>`: the batch that an object belongs to. `n` is 0, or one more than that of the batch whose plan left
//!   the object out.
//! - `plan/<bid>`: which members were read and which were left out, and the outputs with the rows of each member.
//! - `lost/<bid>/<sid>`: a member disappeared after the plan. It exists before any output without its rows.
//! - `progress/<bid>/<hash>/<n>`: which outputs stood when an attempt ran out of time, by the hash of their keys. The one
//!   with the most is the first in a listing.
//! - `alone/<bid>/<n>`, `alone/<bid>/<n>-ended`: an attempt at an object alone that was begun before, and its end by an error.
//! - `failed/<sid>`: an object is given up, because it always fails, and why.
//! - `commit/<bid>`: the rows are written, registered, and accounted for.
//! - `quarantine/<bid>-<planhash>.jsonl`: the records that were not written to an output.
//! - `spool/<bid>/`: rows of a large batch while it is processed.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use lakewright_core::{
    catalog::{Column, Table},
    config,
    location::Location,
    naming::{self, plan_hash, source_id},
};
use lakewright_ports::Store;
use serde::{Deserialize, Serialize};

use crate::{
    kit::{
        ErrorKind, JobError, Stage,
        ledger::{self, documents},
    },
    report::{ObjectReport, OutputReport},
};

/// The most concurrent requests to the ledger.
pub(super) const CONCURRENT: usize = 32;

/// What the name of an attempt ends with that has ended.
const ENDED: &str = "-ended";

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
}

/// A table's columns, as in the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableColumns {
    /// Those inside the files.
    pub columns: Vec<Column>,
    /// Those in the path.
    pub partition_keys: Vec<Column>,
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

/// A member whose rows a plan has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The index of the candidate.
    pub candidate: u32,
    /// When the object landed, as S3 says: what `now` means in the settings' bounds.
    pub landed: Timestamp,
    /// What it means in `latest`, if the object was uploaded in parts: when it was first read. S3 says when the upload
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

/// What an attempt knew of a batch's outputs when its time ran out: the next one does not look for these again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// The version of this document's format.
    pub version: u32,
    /// The size in bytes of each output that stands, in the order in which they are written.
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

/// How many attempts were begun, and how many of them have ended by an error.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    pub(super) begun: usize,
    pub(super) ended: usize,
}

/// An object that is given up: it failed in a way that no other attempt mends. If it is delivered again nevertheless, it is
/// tried again, and where it is committed, that counts.
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

documents!(LEDGER_VERSION; Batch, Claim, Plan, Lost, Reached, Alone, GivenUp, Commit);

impl Candidate {
    /// The id of the object.
    pub fn sid(&self) -> String {
        source_id(&self.source.bucket, &self.source.key, &self.etag)
    }
}

impl Settings {
    /// The settings for a batch that is made now. What no row's place depends on is left out.
    pub(super) fn current(job: &config::Rekey, table: Option<&Table>) -> Self {
        Self {
            job: config::Rekey {
                batch: config::Batch::default(),
                sweep: config::Sweep::default(),
                ..job.clone()
            },
            table: table.map(|table| TableColumns {
                columns: table.storage.columns.clone(),
                partition_keys: table.partition_keys.clone(),
            }),
        }
    }

    /// A hash of these settings, for the names of outputs.
    pub(super) fn hash(&self) -> Result<String, JobError> {
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

/// A job's ledger.
#[derive(Clone, Copy)]
pub(super) struct Ledger<'a> {
    store: &'a dyn Store,
    job: &'a config::Rekey,
}

impl<'a> Ledger<'a> {
    /// The ledger of `job`.
    pub(super) fn new(store: &'a dyn Store, job: &'a config::Rekey) -> Self {
        Self { store, job }
    }

    fn at(&self, path: &str) -> Location {
        self.job.ledger().join(path)
    }

    fn batch_at(&self, bid: &str) -> Location {
        self.at(&format!("batch/{bid}"))
    }

    fn claim_at(&self, sid: &str, number: u32) -> Location {
        self.at(&format!("claim/{sid}/{number}"))
    }

    /// The location of a batch's plan.
    pub(super) fn plan_at(&self, bid: &str) -> Location {
        self.at(&format!("plan/{bid}"))
    }

    /// The location of a batch's commit.
    pub(super) fn commit_at(&self, bid: &str) -> Location {
        self.job.commit(bid)
    }

    fn given_up_at(&self, sid: &str) -> Location {
        self.given_up_prefix().join(sid)
    }

    /// The prefix of the objects that are given up.
    pub(super) fn given_up_prefix(&self) -> Location {
        self.at("failed/")
    }

    /// The location of a batch's quarantined records.
    pub(super) fn quarantine_at(&self, bid: &str, plan_hash: &str) -> Location {
        self.at(&format!("quarantine/{bid}-{plan_hash}.jsonl"))
    }

    /// The prefix for a batch's spooled rows that do not fit the temporary folder.
    pub(super) fn spool_at(&self, bid: &str) -> Location {
        self.at(&format!("spool/{bid}/"))
    }

    /// The batch `bid`, which a claim names.
    pub(super) async fn batch(&self, bid: &str) -> Result<Batch, JobError> {
        let location = self.batch_at(bid);
        let batch = ledger::read(self.store, &location).await?;
        batch.ok_or_else(|| JobError::entry_vanished(location))
    }

    /// Writes a batch. Returns whether it is new.
    pub(super) async fn add_batch(&self, bid: &str, batch: &Batch) -> Result<bool, JobError> {
        ledger::create(self.store, &self.batch_at(bid), batch).await
    }

    /// The batch that this claim names, if it exists.
    pub(super) async fn claim(&self, sid: &str, number: u32) -> Result<Option<String>, JobError> {
        let claim = ledger::read::<Claim>(self.store, &self.claim_at(sid, number)).await?;
        Ok(claim.map(|claim| claim.batch))
    }

    /// The candidates that belong to the batch, after each of them is claimed by it or by another one.
    pub(super) async fn members(&self, bid: &str, batch: &Batch) -> Result<Vec<u32>, JobError> {
        let claims = (0..).zip(&batch.candidates).map(|(index, candidate)| {
            let claim = Claim {
                version: Claim::VERSION,
                batch: bid.to_owned(),
            };
            async move {
                let location = self.claim_at(&candidate.sid(), candidate.claim);
                let claim = ledger::propose(self.store, &location, claim).await?;
                Ok::<_, JobError>((claim.batch == bid).then_some(index))
            }
        });
        let claims = stream::iter(claims.collect::<Vec<_>>()).buffered(CONCURRENT);
        let members = claims.try_collect::<Vec<_>>().await?;
        Ok(members.into_iter().flatten().collect())
    }

    /// A batch's plan, if there is one.
    pub(super) async fn plan(&self, bid: &str) -> Result<Option<Plan>, JobError> {
        ledger::read(self.store, &self.plan_at(bid)).await
    }

    /// Makes `plan` the plan of the batch, or returns the existing plan.
    pub(super) async fn propose(&self, bid: &str, plan: Plan) -> Result<Plan, JobError> {
        ledger::propose(self.store, &self.plan_at(bid), plan).await
    }

    /// Marks a member as lost, before any output is written without its rows.
    pub(super) async fn lose(&self, bid: &str, candidate: &Candidate) -> Result<(), JobError> {
        let lost = Lost {
            version: Lost::VERSION,
            source: candidate.source.clone(),
            etag: candidate.etag.clone(),
        };
        let location = self.at(&format!("lost/{bid}/{}", candidate.sid()));
        ledger::create(self.store, &location, &lost).await?;
        Ok(())
    }

    /// The sids of the members that are marked as lost.
    pub(super) async fn lost(&self, bid: &str) -> Result<BTreeSet<String>, JobError> {
        let prefix = self.at(&format!("lost/{bid}/"));
        let (mut marked, mut after) = (BTreeSet::new(), None);
        loop {
            let page = self.store.list(&prefix, after.as_deref()).await;
            let page = page.map_err(|error| JobError::store(Stage::Ledger, error))?;
            let sids = page.objects.iter();
            marked
                .extend(sids.filter_map(|object| object.key.rsplit('/').next().map(String::from)));
            match page.objects.last() {
                Some(last) if page.truncated => after = Some(last.key.clone()),
                _ => return Ok(marked),
            }
        }
    }

    /// The outputs that are known to stand, of those whose keys have this hash.
    pub(super) async fn reached(
        &self,
        bid: &str,
        hash: &str,
    ) -> Result<Vec<Option<u64>>, JobError> {
        let prefix = self.progress(bid, hash);
        let reached = ledger::furthest::<Reached>(self.store, &prefix).await?;
        Ok(reached.map_or_else(Vec::new, |reached| reached.sizes))
    }

    /// Notes which outputs stand.
    pub(super) async fn reach(
        &self,
        bid: &str,
        hash: &str,
        reached: &Reached,
    ) -> Result<(), JobError> {
        let count = reached.sizes.iter().flatten().count();
        ledger::reach(self.store, &self.progress(bid, hash), count, reached).await
    }

    fn progress(&self, bid: &str, hash: &str) -> Location {
        self.at(&format!("progress/{bid}/{hash}/"))
    }

    /// The attempts at a batch of one object.
    pub(super) async fn attempts(&self, bid: &str) -> Result<Attempts, JobError> {
        let prefix = self.at(&format!("alone/{bid}/"));
        let page = self.store.list(&prefix, None).await;
        let page = page.map_err(|error| JobError::store(Stage::Ledger, error))?;
        let ended = page.objects.iter();
        let ended = ended.filter(|object| object.key.ends_with(ENDED)).count();
        Ok(Attempts {
            begun: page.objects.len() - ended,
            ended,
        })
    }

    /// Notes an attempt, or its end. Of two at once that take the same number, one note stands.
    pub(super) async fn note_attempt(
        &self,
        bid: &str,
        candidate: &Candidate,
        number: usize,
        is_over: bool,
    ) -> Result<(), JobError> {
        let note = Alone {
            version: Alone::VERSION,
            source: candidate.source.clone(),
            etag: candidate.etag.clone(),
        };
        let end = if is_over { ENDED } else { "" };
        let location = self.at(&format!("alone/{bid}/{number:04}{end}"));
        ledger::create(self.store, &location, &note).await?;
        Ok(())
    }

    /// Gives an object up.
    pub(super) async fn give_up(
        &self,
        candidate: &Candidate,
        error: &JobError,
    ) -> Result<(), JobError> {
        let given_up = GivenUp {
            version: GivenUp::VERSION,
            source: candidate.source.clone(),
            etag: candidate.etag.clone(),
            error: error.name().to_owned(),
            message: error.to_string(),
        };
        let location = self.given_up_at(&candidate.sid());
        ledger::create(self.store, &location, &given_up).await?;
        Ok(())
    }

    /// Why the object is given up, if it is.
    pub(super) async fn given_up(&self, sid: &str) -> Result<Option<GivenUp>, JobError> {
        ledger::read(self.store, &self.given_up_at(sid)).await
    }

    /// A batch's commit, if there is one.
    pub(super) async fn commit(&self, bid: &str) -> Result<Option<Commit>, JobError> {
        ledger::read(self.store, &self.commit_at(bid)).await
    }

    /// Writes the commit of a batch. Returns whether it is new.
    pub(super) async fn add_commit(&self, bid: &str, commit: &Commit) -> Result<bool, JobError> {
        ledger::create(self.store, &self.commit_at(bid), commit).await
    }
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
            &Settings::current(&job, None),
            &[
                ("batch/<bid>", again::<Batch>),
                ("claim/<sid>/<n>", again::<Claim>),
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

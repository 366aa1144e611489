//! The ledger: batches, claims, plans and commits, as create-only objects beside the data.
//!
//! `bid` is the id of a batch: a hash of its document. `sid` is the id of a source object: a hash of its bucket, key and
//! `ETag`.
//!
//! - `batch/<bid>`: the objects that one invocation met together, and the settings.
//! - `claim/<sid>/<n>`: the batch that an object belongs to. `n` is 0, or one more than that of the batch whose plan left
//!   the object out.
//! - `columns/<name>`: which object brought a column that was added to the table, and its type.
//! - `plan/<bid>`: which members were read and which were left out, and the outputs with the rows of each member.
//! - `lost/<bid>/<sid>`: a member disappeared after the plan. It exists before any output without its rows.
//! - `progress/<bid>/<hash>/<n>`: which outputs existed when an attempt ran out of time, by the hash of their keys. The one
//!   with the most is the first in a listing.
//! - `alone/<bid>/<n>`, `alone/<bid>/<n>-ended`: an attempt at an object alone that was begun before, and its end by an error.
//! - `failed/<sid>`: an object is given up, because it always fails, and why.
//! - `commit/<bid>`: the rows are written, registered, and accounted for.
//! - `quarantine/<bid>-<planhash>.jsonl`: the records that were not written to an output.
//! - `spool/<bid>/<n>/`: rows of a large batch while it is processed, by destination.

mod documents;

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use lakewright_core::{config, location::Location, partition::escape};
use lakewright_ports::Store;

pub use self::documents::{
    AddedColumn, Alone, Batch, Candidate, Claim, Commit, GivenUp, LeftOut, Lost, Member, Plan,
    PlannedOutput, Reached, Settings, TableColumns, Why,
};
use crate::{
    kit::{JobError, Stage, ledger},
    work::list::Pages,
};

/// The most concurrent requests to the ledger.
pub(super) const CONCURRENT: usize = 32;

/// The suffix of the record that an attempt has ended.
const ENDED: &str = "-ended";

/// How many attempts were begun, and how many of them ended with an error.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    pub(super) begun: usize,
    pub(super) ended: usize,
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

    /// The prefix for a batch's spooled rows of a destination that do not fit the temporary folder.
    pub(super) fn spool_at(&self, bid: &str, destination: usize) -> Location {
        self.at(&format!("spool/{bid}/{destination}/"))
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

    fn column_at(&self, name: &str) -> Location {
        self.at(&format!("columns/{}", escape(name)))
    }

    /// Who brought a column of this name, if it was added.
    pub(super) async fn column(&self, name: &str) -> Result<Option<AddedColumn>, JobError> {
        ledger::read(self.store, &self.column_at(name)).await
    }

    /// Says who brings a column, or returns who has brought it before.
    pub(super) async fn propose_column(
        &self,
        column: AddedColumn,
    ) -> Result<AddedColumn, JobError> {
        ledger::propose(self.store, &self.column_at(&column.name), column).await
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
        let mut pages = Pages::new(self.store, &prefix);
        let mut marked = BTreeSet::new();
        let failed = |error| JobError::store(Stage::Ledger, error);
        while let Some(page) = pages.next().await.map_err(failed)? {
            let sids = page.objects.iter();
            marked
                .extend(sids.filter_map(|object| object.key.rsplit('/').next().map(String::from)));
        }
        Ok(marked)
    }

    /// The outputs that are known to exist, of those whose keys have this hash.
    pub(super) async fn reached(
        &self,
        bid: &str,
        hash: &str,
    ) -> Result<Vec<Option<u64>>, JobError> {
        let prefix = self.progress(bid, hash);
        let reached = ledger::furthest::<Reached>(self.store, &prefix).await?;
        Ok(reached.map_or_else(Vec::new, |reached| reached.sizes))
    }

    /// Records which outputs exist.
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

    /// Records an attempt, or its end. If two attempts take the same number at once, there is one record.
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

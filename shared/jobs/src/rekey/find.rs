//! The state of a source object in a job's ledger.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use lakewright_core::config;
use lakewright_ports::{Store, StoreErrorKind};
use tokio::sync::OnceCell;

use super::ledger::{Candidate, Commit, GivenUp, Ledger, LeftOut, Why};
use crate::{
    kit::{JobError, Stage},
    report::{ObjectReport, Status},
};

/// The most batches that are remembered: a commit of a thousand objects takes about a megabyte.
const REMEMBERED: usize = 16;

/// The state of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectState {
    /// It belongs to no batch.
    Free {
        /// The number of its next claim.
        claim: u32,
        /// Why its last batch left it out, if there was one.
        left_out: Option<LeftOut>,
    },
    /// It belongs to a batch that is not committed.
    UnderWay {
        /// The batch's id.
        batch: String,
    },
    /// Its rows are written.
    Committed {
        /// The batch's id.
        batch: String,
        /// The report of its commit. The outputs are in the batch's commit.
        report: Box<ObjectReport>,
    },
    /// It disappeared after the plan of its batch: all or some of its rows may be missing.
    Lost {
        /// The batch's id.
        batch: String,
    },
    /// Its batch left it out because there was nothing to read, and there still is not.
    Nothing {
        /// The batch's id.
        batch: String,
        /// Gone, superseded or ignored.
        status: Status,
    },
}

/// The final outcome of a batch.
pub(super) enum Known {
    Committed(Box<Commit>),
    /// Its plan left these members out.
    Planned(BTreeMap<String, LeftOut>),
}

/// A page of the objects that are given up.
pub(crate) struct GivenUpPage {
    pub(crate) sids: Vec<String>,
    /// The last of them, if more follow.
    pub(crate) next: Option<String>,
}

type Remembered = Arc<OnceCell<Known>>;

/// Finds the states of the objects of one job. It remembers the batches that it has read.
pub struct Finder<'a> {
    store: &'a dyn Store,
    ledger: Ledger<'a>,
    batches: Mutex<BTreeMap<String, Remembered>>,
}

impl<'a> Finder<'a> {
    /// For the objects of `job`.
    pub fn new(store: &'a dyn Store, job: &'a config::Rekey) -> Self {
        Self {
            store,
            ledger: Ledger::new(store, job),
            batches: Mutex::default(),
        }
    }

    /// The state of the object. Looks up its claims, beginning with the candidate's.
    ///
    /// # Errors
    /// The store fails, or an entry cannot be read.
    pub async fn find(&self, object: &Candidate) -> Result<ObjectState, JobError> {
        let sid = object.sid();
        let (mut claim, mut last, mut nothing) = (object.claim, None, None);
        loop {
            let Some(batch) = self.ledger.claim(&sid, claim).await? else {
                return Ok(nothing.unwrap_or(ObjectState::Free {
                    claim,
                    left_out: last,
                }));
            };
            let Some(known) = self.known(&batch).await? else {
                return Ok(ObjectState::UnderWay { batch });
            };
            let left_out = match known.get() {
                Some(Known::Committed(commit)) => {
                    if let Some(report) = commit.objects.get(&sid) {
                        let report = Box::new(report.clone());
                        return Ok(ObjectState::Committed { batch, report });
                    }
                    if commit.lost.contains(&sid) {
                        return Ok(ObjectState::Lost { batch });
                    }
                    commit.left_out.get(&sid)
                }
                Some(Known::Planned(left_out)) => match left_out.get(&sid) {
                    None => return Ok(ObjectState::UnderWay { batch }),
                    left_out => left_out,
                },
                None => None,
            };
            let left_out = left_out.ok_or_else(|| {
                let what = format!("{} belongs to the batch and is not named", object.source);
                JobError::entry(self.ledger.commit_at(&batch), what)
            })?;
            let status = match left_out.why {
                Why::Refused | Why::Dissolved => None,
                Why::Ignored => {
                    return Ok(ObjectState::Nothing {
                        batch,
                        status: Status::Ignored,
                    });
                }
                Why::Gone | Why::Superseded => self.missing(object).await?,
            };
            // It may have returned and been claimed again, and then have disappeared once more.
            nothing = status.map(|status| ObjectState::Nothing { batch, status });
            last = Some(left_out.clone());
            claim += 1;
        }
    }

    /// Why an object in this state is given up, if it is. An object that no batch has claimed is not, which takes no
    /// request.
    ///
    /// # Errors
    /// As [`Finder::find`].
    pub async fn given_up(
        &self,
        object: &Candidate,
        state: &ObjectState,
    ) -> Result<Option<GivenUp>, JobError> {
        match state {
            ObjectState::UnderWay { .. } => {}
            ObjectState::Free { claim, .. } if *claim > 0 => {}
            _ => return Ok(None),
        }
        self.ledger.given_up(&object.sid()).await
    }

    /// The ids of objects that are given up, after the id `after`.
    ///
    /// # Errors
    /// The store fails.
    pub(crate) async fn given_up_page(&self, after: Option<&str>) -> Result<GivenUpPage, JobError> {
        let prefix = self.ledger.given_up_prefix();
        let after = after.map(|sid| prefix.join(sid).key);
        let page = self.store.list(&prefix, after.as_deref()).await;
        let page = page.map_err(|error| JobError::store(Stage::Ledger, error))?;
        let named = |key: &str| key.rsplit('/').next().map(str::to_owned);
        let sids = page.objects.iter().filter_map(|object| named(&object.key));
        let sids = sids.collect::<Vec<_>>();
        Ok(GivenUpPage {
            next: sids.last().filter(|_| page.truncated).cloned(),
            sids,
        })
    }

    /// The object of this id that is given up.
    ///
    /// # Errors
    /// As [`Finder::find`].
    pub(crate) async fn given_up_by(&self, sid: &str) -> Result<Option<GivenUp>, JobError> {
        self.ledger.given_up(sid).await
    }

    /// Why there is no such object, if there is none.
    async fn missing(&self, object: &Candidate) -> Result<Option<Status>, JobError> {
        match self.store.head(&object.source, None).await {
            Ok(meta) => Ok((meta.etag != object.etag).then_some(Status::Superseded)),
            Err(error) if error.kind == StoreErrorKind::NotFound => Ok(Some(Status::Gone)),
            Err(error) => Err(JobError::store(Stage::Read, error)),
        }
    }

    /// The outcome of a batch; `None` if it has no plan.
    async fn known(&self, bid: &str) -> Result<Option<Remembered>, JobError> {
        let slot = {
            let mut batches = self.batches();
            if batches.len() >= REMEMBERED && !batches.contains_key(bid) {
                batches.clear();
            }
            Arc::clone(batches.entry(bid.to_owned()).or_default())
        };
        let read = slot.get_or_try_init(|| async {
            // R5: the answer comes from the ledger, so it is always the same.
            if let Some(commit) = self.ledger.commit(bid).await? {
                return Ok(Known::Committed(Box::new(commit)));
            }
            match self.ledger.plan(bid).await {
                Ok(Some(plan)) => Ok(Known::Planned(plan.left_out)),
                Ok(None) => Err(None),
                Err(error) => Err(Some(error)),
            }
        });
        match read.await {
            Ok(_) => Ok(Some(slot)),
            Err(None) => Ok(None),
            Err(Some(error)) => Err(error),
        }
    }

    /// Remembers the outcome of a batch.
    pub(super) fn learn(&self, bid: &str, known: Known) {
        let slot = Arc::new(OnceCell::new_with(Some(known)));
        self.batches().insert(bid.to_owned(), slot);
    }

    fn batches(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Remembered>> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use lakewright_model::virtual_time;

    use super::Finder;
    use crate::{
        fixture::Lake,
        rekey::fixture::{
            BAD, ONE, TWO,
            Was::{Died, Gone, Landed, Ran},
            described, given,
        },
    };

    #[test]
    fn the_ledger_tells_the_state_of_an_object() {
        let two = [Landed("a", ONE), Landed("b", TWO)];
        let bad = [Landed("a", ONE), Landed("b", BAD)];
        for (was, more, expected) in [
            (two, &[][..], ["free at 0 ", "free at 0 "]),
            (two, &[Ran(&["a"])], ["committed 1", "free at 0 "]),
            (two, &[Ran(&["a", "b"])], ["committed 1", "committed 2"]),
            (
                two,
                &[Died(&["a", "b"], "/batch/")],
                ["free at 0 ", "free at 0 "],
            ),
            (
                two,
                &[Died(&["a", "b"], "/plan/")],
                ["under way", "under way"],
            ),
            (
                two,
                &[Gone("b"), Ran(&["a", "b"])],
                ["committed 1", "nothing: Gone"],
            ),
            (
                two,
                &[Died(&["a", "b"], "/plan/"), Gone("b"), Ran(&["a"])],
                ["committed 1", "lost"],
            ),
            // Alone, it was claimed and refused.
            (bad, &[Ran(&["a", "b"])], ["committed 1", "under way"]),
            (
                bad,
                &[Died(&["a", "b"], "/commit/")],
                ["committed 1", "free at 1 Refused"],
            ),
            // It is back.
            (
                two,
                &[Gone("b"), Ran(&["a", "b"]), Landed("b", TWO)],
                ["committed 1", "free at 1 Gone"],
            ),
            (
                two,
                &[Gone("b"), Ran(&["a", "b"]), Landed("b", ONE)],
                ["committed 1", "nothing: Superseded"],
            ),
        ] {
            virtual_time(async {
                let lake = Lake::new();
                let given = Box::pin(given(&lake, &[&was, more].concat())).await;
                let (store, job) = (lake.ports().store, given.job());
                let finder = Finder::new(&*store, &job);
                for (name, expected) in ["a", "b"].iter().zip(expected) {
                    let state = finder.find(&given.candidate(name)).await.unwrap();
                    assert_eq!(described(&state), expected, "{name} after {more:?}");
                }
            });
        }
    }
}

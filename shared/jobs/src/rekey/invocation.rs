//! The objects of one call, from their claims to their answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::{StreamExt, TryStreamExt, stream};
use lakewright_core::{
    catalog::{Table, TableName},
    config,
};
use lakewright_ports::Secrets;

use super::{
    Answer, Answers, Budget, Ports, alone,
    asked::Asked,
    batch::{Ended, Work},
    find::{Finder, Known, ObjectState},
    ledger::{Batch, CONCURRENT, Ledger, Settings, TableColumns},
    plan, secrets,
};
use crate::{
    kit::{ErrorKind, JobError, Stage},
    report::{ObjectReport, Status},
};

/// From this delivery on, a batch of several objects that still has no plan is dissolved: it may be the reason why its
/// invocations ended.
const DISSOLVED_AT: u32 = 3;

/// How many objects a batch has if the size of none is known.
const FEW: u64 = 16;

/// The objects of one call, and their answers so far.
pub(super) struct Invocation<'a> {
    ports: &'a Ports,
    secrets: &'a dyn Secrets,
    job: &'a config::Rekey,
    compacted: &'a BTreeSet<TableName>,
    budget: &'a Budget,
    finder: Finder<'a>,
    /// The objects without an answer, by sid.
    waiting: BTreeMap<String, Asked>,
    answers: BTreeMap<String, Answer>,
    /// The errors of objects whose batch failed, and which are looked up once more.
    failed: BTreeMap<String, Arc<JobError>>,
    others: Vec<ObjectReport>,
}

/// An unfinished batch with some of the objects.
struct Due {
    batch: Batch,
    is_new: bool,
    /// Whether some of its objects were not looked up.
    is_assumed: bool,
    bid: String,
    /// Their sids.
    sids: Vec<String>,
}

impl<'a> Invocation<'a> {
    /// For the objects that have an `ETag`.
    pub(super) fn new(
        ports: &'a Ports,
        secrets: &'a dyn Secrets,
        job: &'a config::Rekey,
        compacted: &'a BTreeSet<TableName>,
        budget: &'a Budget,
        named: &[Result<Asked, Answer>],
    ) -> Self {
        let mut waiting = BTreeMap::<_, Asked>::new();
        for object in named.iter().flatten() {
            waiting
                .entry(object.candidate.sid())
                .and_modify(|known| {
                    known.receives = known.receives.max(object.receives);
                    known.just_landed &= object.just_landed;
                })
                .or_insert_with(|| object.clone());
        }
        Self {
            ports,
            secrets,
            job,
            compacted,
            budget,
            finder: Finder::new(&*ports.store, job),
            waiting,
            answers: BTreeMap::new(),
            failed: BTreeMap::new(),
            others: Vec::new(),
        }
    }

    /// The answers, in the order of the objects.
    pub(super) fn answers(mut self, named: Vec<Result<Asked, Answer>>) -> Answers {
        let answer = |named: Result<Asked, Answer>| match named {
            Err(answer) => answer,
            Ok(object) => match self.answers.get_mut(&object.candidate.sid()) {
                Some(answer) => {
                    let now = answer.clone();
                    // An object that is named twice is counted once.
                    if let Ok(report) = answer
                        && report.status == Status::Committed
                    {
                        *report = object.without_rows(Status::Duplicate);
                    }
                    now
                }
                None => Err(Arc::new(JobError::deadline())),
            },
        };
        Answers {
            objects: named.into_iter().map(answer).collect(),
            others: self.others,
        }
    }

    /// Answers every object. In each round an object is answered, or its batch is finished, which moves it on to its next
    /// claim.
    pub(super) async fn work(&mut self) {
        let mut current = None;
        loop {
            let (met, free) = self.look().await;
            if met.is_empty() && free.is_empty() {
                return;
            }
            if current.is_none() {
                match self.current().await {
                    Ok(found) => current = Some(found),
                    Err(error) => {
                        let waiting = self.waiting.keys().cloned().collect::<Vec<_>>();
                        return self.fail(&waiting, error);
                    }
                }
            }
            let Some((settings, known)) = &current else {
                return;
            };
            let mut tables = known.clone();
            let mut due = self.read(met).await;
            for sids in self.group(free) {
                match self.gather(settings, &sids) {
                    Ok((bid, batch)) => due.push(Due {
                        batch,
                        is_new: true,
                        is_assumed: self.is_assumed(&sids),
                        bid,
                        sids,
                    }),
                    Err(error) => self.fail(&sids, error),
                }
            }
            self.put_suspects_last(&mut due);
            // The next round looks all of them up.
            for asked in self.waiting.values_mut() {
                asked.just_landed = false;
            }
            for due in due {
                match self.finish(settings, &tables, &due).await {
                    Ok(Some(ended)) => {
                        for known in &mut tables {
                            let now = ended.table.as_ref();
                            let now = now.filter(|now| now.name == known.name);
                            *known = now.unwrap_or(known).clone();
                        }
                        self.take(&due.bid, ended);
                    }
                    Ok(None) => {}
                    Err(error) if error.kind() == ErrorKind::Deadline => {
                        self.fail(&due.sids, error);
                    }
                    // Another invocation may have finished the batch meanwhile.
                    Err(error) => self.look_again(due.sids, error),
                }
            }
            let table = tables
                .iter()
                .find(|of| self.job.table.as_ref() == Some(&of.name));
            let settings = Settings {
                table: table.map(TableColumns::of),
                ..settings.clone()
            };
            current = Some((settings, tables));
        }
    }

    /// The settings for batches that are made now, and the tables of their destinations.
    async fn current(&self) -> Result<(Settings, Vec<Table>), JobError> {
        let destinations = self.job.destinations();
        let read = destinations.iter();
        let read = read.map(|job| plan::table(&*self.ports.catalog, job));
        let read = stream::iter(read.collect::<Vec<_>>()).buffered(CONCURRENT);
        let tables = read.try_collect::<Vec<_>>().await?;
        let tables = tables.into_iter().flatten().collect::<Vec<_>>();
        let secrets = secrets::current(self.secrets, &destinations).await?;
        Ok((Settings::current(self.job, &tables, secrets), tables))
    }

    /// Records the objects that always fail, so that sweeps leave them alone. If this fails, it is repeated at the next
    /// delivery.
    pub(super) async fn give_up(&self, named: &[Result<Asked, Answer>]) {
        let ledger = Ledger::new(&*self.ports.store, self.job);
        let failed = named.iter().flatten().filter_map(|asked| {
            let error = self.answers.get(&asked.candidate.sid())?.as_ref().err()?;
            error.is_of_the_object().then_some((asked, error))
        });
        let notes = failed.map(|(asked, error)| {
            let note = ledger.give_up(&asked.candidate, error);
            async move { (&asked.candidate.source, note.await) }
        });
        let mut notes = stream::iter(notes.collect::<Vec<_>>()).buffered(CONCURRENT);
        while let Some((source, noted)) = notes.next().await {
            if let Err(error) = noted {
                tracing::warn!(%source, %error, "that the object is given up was not recorded");
            }
        }
    }

    /// Reads the documents of these batches.
    async fn read(&mut self, met: BTreeMap<String, Vec<String>>) -> Vec<Due> {
        let ledger = Ledger::new(&*self.ports.store, self.job);
        let read = met.into_iter().map(|(bid, sids)| async move {
            let batch = ledger.batch(&bid).await;
            (bid, sids, batch)
        });
        let read = stream::iter(read.collect::<Vec<_>>()).buffered(CONCURRENT);
        let mut due = Vec::new();
        for (bid, sids, batch) in read.collect::<Vec<_>>().await {
            match batch {
                Ok(batch) => due.push(Due {
                    batch,
                    is_new: false,
                    is_assumed: false,
                    bid,
                    sids,
                }),
                Err(error) => self.look_again(sids, error),
            }
        }
        due
    }

    /// An object that was begun alone and is not done may have killed its invocation, and may kill this one, so the others
    /// come first. Of several such objects, a different one comes first at each delivery.
    fn put_suspects_last(&self, due: &mut [Due]) {
        let is_suspect = |due: &Due| !due.is_new && due.batch.candidates.len() == 1;
        due.sort_by_key(is_suspect);
        let suspects = due.iter().position(is_suspect).unwrap_or(due.len());
        if let Some(suspects) = due.get_mut(suspects..)
            && !suspects.is_empty()
        {
            let receives = self.waiting.values().map(|asked| asked.receives).max();
            let first = receives.unwrap_or_default() as usize % suspects.len();
            suspects.rotate_left(first);
        }
    }

    /// The objects fail with `error`, unless the ledger has their answers when they are looked up once more.
    fn look_again(&mut self, sids: Vec<String>, error: JobError) {
        let error = Arc::new(error);
        let errors = sids.into_iter().map(|sid| (sid, Arc::clone(&error)));
        self.failed.extend(errors);
    }

    /// Looks up the objects without an answer, except those that have just landed. Answers those that are done; returns the
    /// others by their unfinished batch, and those without a batch.
    async fn look(&mut self) -> (BTreeMap<String, Vec<String>>, Vec<String>) {
        let (mut met, mut free) = (BTreeMap::<_, Vec<_>>::new(), Vec::new());
        let found = {
            let find = |(sid, asked): (&String, &Asked)| {
                let (sid, candidate) = (sid.clone(), asked.candidate.clone());
                let (finder, just_landed) = (&self.finder, asked.just_landed);
                async move {
                    let unclaimed = ObjectState::Free {
                        claim: 0,
                        left_out: None,
                    };
                    let state = if just_landed {
                        Ok(unclaimed)
                    } else {
                        finder.find(&candidate).await
                    };
                    (sid, state)
                }
            };
            let find = self.waiting.iter().map(find).collect::<Vec<_>>();
            let find = stream::iter(find).buffered(CONCURRENT);
            find.collect::<Vec<_>>().await
        };
        for (sid, state) in found {
            let Some(asked) = self.waiting.get_mut(&sid) else {
                continue;
            };
            let error = self.failed.remove(&sid);
            if let Some(error) = error
                && matches!(
                    state,
                    Err(_) | Ok(ObjectState::Free { .. } | ObjectState::UnderWay { .. })
                )
            {
                self.answer(&sid, Err(error));
                continue;
            }
            let report = |status, batch| ObjectReport {
                batch: Some(batch),
                ..asked.without_rows(status)
            };
            let answer = match state {
                Ok(ObjectState::Free { claim, .. }) => {
                    asked.candidate.claim = claim;
                    free.push(sid);
                    continue;
                }
                Ok(ObjectState::UnderWay { batch }) => {
                    met.entry(batch).or_default().push(sid);
                    continue;
                }
                Ok(ObjectState::Committed { batch, .. }) => Ok(report(Status::Duplicate, batch)),
                Ok(ObjectState::Nothing { batch, status }) => Ok(report(status, batch)),
                Ok(ObjectState::Lost { batch }) => {
                    let message = format!(
                        "it disappeared after its batch {batch} was planned: some or all of its rows may be missing. \
                        See OPERATIONS.md, \"A source object that was lost\""
                    );
                    let error = JobError::new(ErrorKind::SourceLost, message);
                    Err(error.during(Stage::Read).of(asked.candidate.source.clone()))
                }
                Err(error) => Err(error),
            };
            self.answer(&sid, answer.map_err(Arc::new));
        }
        (met, free)
    }

    /// Groups objects into batches: each object that a batch left out is alone, the others are together.
    fn group(&self, free: Vec<String>) -> Vec<Vec<String>> {
        let known = |sid: &String| self.waiting.get(sid);
        let (mut fresh, alone) = free.into_iter().partition::<Vec<_>, _>(|sid| {
            known(sid).is_some_and(|asked| asked.candidate.claim == 0)
        });
        let mut groups = alone.into_iter().map(|sid| vec![sid]).collect::<Vec<_>>();
        // Keys often begin with a time, so neighbours share partitions.
        fresh.sort_by_key(|sid| known(sid).map(|asked| &asked.candidate));
        let sizes = fresh.iter().filter_map(|sid| known(sid)?.size);
        let most = &self.job.batch;
        // An object of unknown size counts as much as the largest.
        let largest = sizes.max().unwrap_or(most.size.as_u64() / FEW);
        let (mut group, mut bytes) = (Vec::new(), 0_u64);
        for sid in fresh {
            let size = known(&sid).and_then(|asked| asked.size).unwrap_or(largest);
            if !group.is_empty()
                && (group.len() >= most.objects as usize
                    || bytes.saturating_add(size) > most.size.as_u64())
            {
                groups.push(std::mem::take(&mut group));
                bytes = 0;
            }
            group.push(sid);
            bytes = bytes.saturating_add(size);
        }
        if !group.is_empty() {
            groups.push(group);
        }
        groups
    }

    /// A new batch of these objects, with its id.
    fn gather(&self, settings: &Settings, sids: &[String]) -> Result<(String, Batch), JobError> {
        let asked = sids.iter().filter_map(|sid| self.waiting.get(sid));
        let candidates = asked.map(|asked| asked.candidate.clone()).collect();
        let batch = Batch::new(settings.clone(), candidates);
        Ok((batch.id()?, batch))
    }

    fn is_assumed(&self, sids: &[String]) -> bool {
        let mut asked = sids.iter().filter_map(|sid| self.waiting.get(sid));
        asked.any(|asked| asked.just_landed)
    }

    /// Brings a batch to its commit. `None`: the batch exists already although its objects were assumed to have no claim, so
    /// they have to be looked up.
    async fn finish(
        &self,
        settings: &Settings,
        tables: &[Table],
        due: &Due,
    ) -> Result<Option<Ended>, JobError> {
        if self.ports.clock.now() >= self.budget.deadline {
            return Err(JobError::deadline());
        }
        let ledger = Ledger::new(&*self.ports.store, self.job);
        let (bid, batch) = (&due.bid, &due.batch);
        let is_new = due.is_new && ledger.add_batch(bid, batch).await?;
        // A lost answer to the PUT hides who made the batch, so its plan is what says whether it is new.
        if due.is_assumed && (!is_new || ledger.plan(bid).await?.is_some()) {
            return Ok(None);
        }
        let asked = due.sids.iter().filter_map(|sid| self.waiting.get(sid));
        let receives = asked.map(|asked| asked.receives).max();
        let receives = receives.unwrap_or_default();
        let dissolve = if batch.candidates.len() > 1 {
            !is_new && receives >= DISSOLVED_AT
        } else {
            // It may have been refused because of settings that were corrected since.
            batch.settings != *settings
        };
        let work = Work {
            ports: self.ports,
            secrets: self.secrets,
            budget: self.budget,
            ledger,
            compacted: self.compacted,
            tables,
            receives,
        };
        let attempt = if is_new {
            None
        } else {
            alone::begin(ledger, bid, batch).await?
        };
        let ended = Box::pin(work.finish(bid, batch, is_new, dissolve)).await;
        if let Some(attempt) = attempt
            && ended.is_err()
        {
            attempt.ended().await;
        }
        ended.map(Some)
    }

    /// Takes the results of a batch.
    fn take(&mut self, bid: &str, ended: Ended) {
        let Ended {
            left_out,
            commit,
            reports,
            table: _,
        } = ended;
        let known = match commit {
            Some(commit) => Known::Committed(Box::new(commit)),
            None => Known::Planned(left_out),
        };
        self.finder.learn(bid, known);
        for (sid, report) in reports {
            if self.waiting.contains_key(&sid) {
                self.answer(&sid, Ok(report));
            } else {
                self.others.push(report);
            }
        }
    }

    fn fail(&mut self, sids: &[String], error: JobError) {
        let error = Arc::new(error);
        for sid in sids {
            self.answer(sid, Err(Arc::clone(&error)));
        }
    }

    fn answer(&mut self, sid: &str, answer: Answer) {
        self.waiting.remove(sid);
        self.answers.insert(sid.to_owned(), answer);
    }
}

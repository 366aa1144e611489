//! The ledger of a job: consecutive runs, each of create-only objects.
//!
//! - `<run>/plan`: what is read, the tasks, and what is replaced.
//! - `<run>/outline`: what tasks need of the plan, without the objects of the others.
//! - `<run>/prepared/<i>`, `<run>/done/<i>`: what a task counted, and what it wrote. `<run>/counted`: what all have counted.
//! - `<run>/gathered/<block>`: where each task finds what a block of preparations has staged for it.
//! - `<run>/progress/<i>/<n>`, `<run>/preparing/<i>/<n>`, `<run>/verified/<n>`: how far a task, a preparation or the
//!   verification of the run came before its time ran out. The furthest is first in a listing.
//! - `<run>/commit`: the run is valid, or was withdrawn before its commit.
//! - `<run>/taken`: with a bookmark, every object that this and earlier runs have committed.
//! - `<run>/finished`: the steps after the commit are done.
//!
//! - `inferring/<n>-<hash>`, beside the runs: how far an attempt to infer the columns of a source without a table came.
//!
//! Runs are numbered downwards, so that the newest is first in a listing.

mod documents;

use futures::{FutureExt, StreamExt, stream};
use lakewright_core::{config, location::Location};
use lakewright_ports::Store;

pub(super) use self::documents::Id;
pub use self::documents::{
    Commit, Counted, Counts, Done, File, Finished, Gathered, Inferred, Inputs, Plan, Prepared,
    Reached, ReplacedObject, SourceObject, SourcePartition, Taken, Verified,
};
pub(super) use crate::kit::ledger::{
    countdown, counted_down, create, exists, furthest, propose, reach, read,
};
use crate::kit::{ErrorKind, JobError, Stage};

/// The most entries that are read at once.
const CONCURRENT: usize = 16;

/// The name of the first run.
const FIRST_RUN: u64 = 9_999_999_999;

/// The locations of one run's entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    prefix: Location,
    /// The prefix of rows that are being processed.
    rows: Location,
}

impl Ledger {
    /// For a run of a job.
    pub fn new(job: &config::Repartition, run: u64) -> Self {
        let name = format!("{:010}/", FIRST_RUN.saturating_sub(run));
        Self {
            prefix: job.ledger().join(&name),
            rows: job.rows_at_work().join(&name),
        }
    }

    /// The location of the plan.
    pub fn plan(&self) -> Location {
        self.prefix.join("plan")
    }

    /// The location of what tasks need of the plan.
    pub(super) fn outline(&self) -> Location {
        Self::outline_of(&self.prefix)
    }

    /// The same, of the run with this prefix, which may lack its slash.
    pub(super) fn outline_of(run: &Location) -> Location {
        let slash = if run.key.ends_with('/') { "" } else { "/" };
        run.join(&format!("{slash}outline"))
    }

    /// The location of the commit.
    pub fn commit(&self) -> Location {
        self.prefix.join("commit")
    }

    /// The location of the list of preparations, if it is long.
    pub(super) fn prepare_list(&self) -> Location {
        self.prefix.join("prepare.json")
    }

    /// The location of the list of tasks, if it is long.
    pub(super) fn tasks_list(&self) -> Location {
        self.prefix.join("tasks.json")
    }

    pub(super) fn prepared(&self, index: usize) -> Location {
        self.all_prepared().join(&format!("{index:010}"))
    }

    /// The prefix of all preparations.
    pub(super) fn all_prepared(&self) -> Location {
        self.prefix.join("prepared/")
    }

    /// The location of the combined results of a block of preparations.
    pub(super) fn gathered(&self, block: usize) -> Location {
        self.prefix.join(&format!("gathered/{block:010}"))
    }

    pub(super) fn counted(&self) -> Location {
        self.prefix.join("counted")
    }

    pub(super) fn done(&self, task: usize) -> Location {
        self.prefix.join(&format!("done/{task:010}"))
    }

    /// The prefix of the records of how far attempts at a task came.
    pub(super) fn progress(&self, task: usize) -> Location {
        self.prefix.join(&format!("progress/{task:010}/"))
    }

    /// The same for a preparation.
    pub(super) fn preparing(&self, index: usize) -> Location {
        self.prefix.join(&format!("preparing/{index:010}/"))
    }

    /// The prefix of the records of how far attempts at the verification came.
    pub(super) fn verified(&self) -> Location {
        self.prefix.join("verified/")
    }

    /// The prefix for rows that fit neither memory nor the temporary folder.
    pub(super) fn spool(&self, task: usize) -> Location {
        self.rows.join(&format!("spool/{task:010}/"))
    }

    /// The prefix for all staged rows, until the run is finished.
    pub(super) fn all_staged(&self) -> Location {
        self.rows.join("staged/")
    }

    /// The prefix for the rows that a preparation stages.
    pub(super) fn staged(&self, index: usize) -> Location {
        self.all_staged().join(&format!("{index:010}/"))
    }

    pub(super) fn taken(&self) -> Location {
        self.prefix.join("taken")
    }

    pub(super) fn finished(&self) -> Location {
        self.prefix.join("finished")
    }
}

/// The most tries that are counted.
const TRIES: usize = 8;

/// How far an attempt came, as a count for [`reach`]: with equal files, more tries count as further.
pub(super) fn place(files: usize, tries: u32) -> usize {
    let tries = usize::try_from(tries).unwrap_or(TRIES);
    files * TRIES + tries.min(TRIES - 1)
}

/// The number of files, or of other things, in such a count.
pub(super) fn objects(place: usize) -> usize {
    place / TRIES
}

/// The prefix of the records of how far attempts to infer a job's columns came.
pub(super) fn inferring(job: &config::Repartition) -> Location {
    job.ledger().join("inferring/")
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

/// Reads the plan at this location.
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
    Ok((of_plan(location, &plan)?, plan))
}

/// The ledger of the plan at this location.
pub(super) fn of_plan(location: &Location, plan: &Plan) -> Result<Ledger, JobError> {
    let ledger = Ledger::new(&plan.settings, plan.run);
    if ledger.plan() == *location {
        Ok(ledger)
    } else {
        Err(JobError::plan_missing(location.clone()))
    }
}

/// The results of the tasks, in order.
pub(super) async fn all_done(
    store: &dyn Store,
    ledger: &Ledger,
    plan: &Plan,
) -> Result<Vec<Done>, JobError> {
    let places = (0..plan.tasks.len()).map(|task| ledger.done(task));
    let places = places.collect::<Vec<_>>();
    let reads = places.iter();
    let reads = reads
        .map(|place| read(store, place).boxed())
        .collect::<Vec<_>>();
    let mut reads = stream::iter(reads).buffered(CONCURRENT);
    let mut all = Vec::with_capacity(plan.tasks.len());
    let (mut missing, mut first, mut task) = (0, None, 0);
    while let Some(done) = reads.next().await {
        if let Some(done) = done? {
            all.push(done);
        } else {
            missing += 1;
            first.get_or_insert(task);
        }
        task += 1;
    }
    let Some(first) = first else {
        return Ok(all);
    };
    let tasks = plan.tasks.len();
    let message = if missing == 1 {
        format!("task {first} of {tasks} is not done: run it, then commit again")
    } else {
        format!(
            "{missing} of {tasks} tasks are not done, the first is {first}: run them, then commit again"
        )
    };
    Err(JobError::new(ErrorKind::TasksMissing, message))
}

//! Where objects went, for a person who asks.

use futures::{StreamExt, stream};
use lakewright_core::{config, location::Location};
use lakewright_ports::Store;
use serde::{Deserialize, Serialize};

use super::{
    CONCURRENT, Candidate, Finder, GivenUp, LeftOut, ObjectState, SourceObject, asked::candidate,
    ledger::Ledger,
};
use crate::{
    kit::JobError,
    report::{ObjectReport, OutputReport, Status},
};

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectStatus {
    /// The object.
    pub source: Location,
    /// The `ETag` that was asked about, or that of the current object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// How far it is.
    pub state: State,
    /// The batch that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// Why its last batch left it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<LeftOut>,
    /// Why it is given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<GivenUp>,
    /// The report of its commit, with the files that have its rows and how many, and its quarantine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Box<ObjectReport>>,
}

/// How far an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// No job reads it.
    Unread,
    /// There is no such object, so its `ETag` is not known. An older one can be asked about with its `ETag`.
    Missing,
    /// No batch has claimed it, or the last one left it out to be planned alone.
    Waiting,
    /// Its batch is not committed.
    UnderWay,
    /// It always fails. It is tried again where it is delivered again.
    GivenUp,
    /// Its rows are written.
    Committed,
    /// It disappeared after its batch was planned: rows of it may be missing.
    Lost,
    /// It did not exist any more when it was read.
    Gone,
    /// A newer object had replaced it when it was read.
    Superseded,
    /// It is empty.
    Ignored,
}

impl ObjectStatus {
    /// An object of which nothing but its state is known.
    pub fn new(source: Location, state: State) -> Self {
        Self {
            source,
            etag: None,
            state,
            batch: None,
            left_out: None,
            given_up: None,
            report: None,
        }
    }

    fn because(self, given_up: Option<GivenUp>) -> Self {
        Self { given_up, ..self }
    }
}

/// Where each of these objects of a job is, in their order.
///
/// # Errors
/// The store fails, or an entry of the ledger cannot be read.
pub async fn status(
    store: &dyn Store,
    job: &config::Rekey,
    objects: &[SourceObject],
) -> Vec<Result<ObjectStatus, JobError>> {
    let finder = Finder::new(store, job);
    let ask = |object| status_of(store, job, &finder, object);
    let asked = objects.iter().map(ask).collect::<Vec<_>>();
    stream::iter(asked).buffered(CONCURRENT).collect().await
}

async fn status_of(
    store: &dyn Store,
    job: &config::Rekey,
    finder: &Finder<'_>,
    object: &SourceObject,
) -> Result<ObjectStatus, JobError> {
    let source = object.location.clone();
    let Some((candidate, _)) = candidate(store, object).await? else {
        return Ok(ObjectStatus::new(source, State::Missing));
    };
    let of = |state, batch| ObjectStatus {
        etag: Some(candidate.etag.clone()),
        batch,
        ..ObjectStatus::new(source, state)
    };
    let state = finder.find(&candidate).await?;
    let given_up = finder.given_up(&candidate, &state).await?;
    let unfinished = |state| {
        if given_up.is_some() {
            State::GivenUp
        } else {
            state
        }
    };
    Ok(match state {
        ObjectState::Free { left_out, .. } => ObjectStatus {
            left_out,
            ..of(unfinished(State::Waiting), None)
        }
        .because(given_up),
        ObjectState::UnderWay { batch } => {
            of(unfinished(State::UnderWay), Some(batch)).because(given_up)
        }
        ObjectState::Lost { batch } => of(State::Lost, Some(batch)),
        ObjectState::Nothing { batch, status } => {
            let state = match status {
                Status::Superseded => State::Superseded,
                Status::Ignored => State::Ignored,
                Status::Gone | Status::Committed | Status::Duplicate => State::Gone,
            };
            of(state, Some(batch))
        }
        ObjectState::Committed { batch, mut report } => {
            let ledger = Ledger::new(store, job);
            report.outputs = outputs(&ledger, &batch, &candidate).await?;
            ObjectStatus {
                report: Some(report),
                ..of(State::Committed, Some(batch))
            }
        }
    })
}

/// The files of a committed batch that have rows of the object, and how many.
async fn outputs(
    ledger: &Ledger<'_>,
    bid: &str,
    object: &Candidate,
) -> Result<Vec<OutputReport>, JobError> {
    let batch = ledger.batch(bid).await?;
    let plan = ledger.plan(bid).await?;
    let commit = ledger.commit(bid).await?;
    let is_it = |candidate: &&Candidate| {
        (&candidate.source, &candidate.etag) == (&object.source, &object.etag)
    };
    let index = (0_u32..).zip(&batch.candidates).find(|(_, one)| is_it(one));
    let (Some((index, _)), Some(plan), Some(commit)) = (index, plan, commit) else {
        return Ok(Vec::new());
    };
    let written = commit.outputs.into_iter().filter_map(|output| {
        let planned = plan.outputs.iter().find(|one| one.key == output.key)?;
        let (_, rows) = planned.rows.iter().find(|(member, _)| *member == index)?;
        Some(OutputReport {
            rows: *rows,
            ..output
        })
    });
    Ok(written.collect())
}

//! Opens the members of a batch, a few ahead, and distinguishes failures of one member from failures of a service.

use std::{collections::VecDeque, panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt;
use jiff::Timestamp;
use lakewright_core::{json::NewColumns, shown::words};
use lakewright_ports::{Secrets, StoreErrorKind};

use super::{
    Budget, Ports, Settings,
    destination::Destination,
    ledger::{Batch, Candidate, Ledger, LeftOut, Why},
};
use crate::{
    kit::{ErrorKind, JobError, Stage, task::Task},
    report::Status,
    work::source::{Opened, RANGE, Source},
};

/// What to read, and how.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) ports: &'a Ports,
    pub(super) secrets: &'a dyn Secrets,
    pub(super) budget: &'a Budget,
    pub(super) ledger: Ledger<'a>,
    pub(super) bid: &'a str,
    pub(super) batch: &'a Batch,
    /// The batch's settings, with the columns that its members are read with.
    pub(super) settings: &'a Settings,
    /// Where the batch's records go.
    pub(super) destinations: &'a [Destination],
    /// Which fields without a column may become columns of the table, where the job adds any.
    pub(super) adding: Option<&'a NewColumns>,
    /// How often a message of its objects was received.
    pub(super) receives: u32,
}

impl<'a> Request<'a> {
    pub(super) fn settings(&self) -> &'a Settings {
        self.settings
    }

    pub(super) fn candidate(&self, index: u32) -> Result<&'a Candidate, JobError> {
        let candidate = self.batch.candidates.get(index as usize);
        candidate.ok_or_else(|| {
            JobError::entry(
                self.ledger.plan_at(self.bid),
                format!("the batch has no candidate {index}"),
            )
        })
    }
}

/// A member to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The index of the candidate.
    pub(super) candidate: u32,
    /// When the object landed, from the existing plan.
    pub(super) landed: Option<Timestamp>,
    /// When it was first read, from the existing plan, if it was uploaded in parts.
    pub(super) seen: Option<Timestamp>,
}

/// The most members that are opened ahead. The first bytes of each are in memory.
const MAX_AHEAD: u64 = 16;

/// Opens members in order.
pub(super) struct Members<'a> {
    request: Request<'a>,
    waiting: std::slice::Iter<'a, Wanted>,
    ahead: VecDeque<(Wanted, Task<Result<Opened, JobError>>)>,
    room: usize,
}

impl<'a> Members<'a> {
    pub(super) fn new(request: Request<'a>, members: &'a [Wanted]) -> Self {
        let room = (request.budget.memory / 8 / RANGE).clamp(1, MAX_AHEAD);
        Self {
            request,
            waiting: members.iter(),
            ahead: VecDeque::new(),
            room: usize::try_from(room).unwrap_or(1),
        }
    }

    /// The next member, or why there is nothing to read; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<(Wanted, Opened)>, JobError> {
        while self.ahead.len() < self.room
            && let Some(&wanted) = self.waiting.next()
        {
            let candidate = self.request.candidate(wanted.candidate)?.clone();
            let store = Arc::clone(&self.request.ports.store);
            let open = async move { Source::open(store, &candidate.source, &candidate.etag).await };
            self.ahead.push_back((wanted, Task::spawn(open)));
        }
        let Some((wanted, open)) = self.ahead.pop_front() else {
            return Ok(None);
        };
        Ok(Some((wanted, open.join(Stage::Read).await??)))
    }
}

/// Why a member has no rows in a plan.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) why: Why,
    /// The error, if it is refused.
    pub(super) error: Option<JobError>,
    /// Whether the reader panicked, and must not be used any more.
    pub(super) panicked: bool,
}

impl Left {
    /// There is nothing to read.
    pub(super) fn of(status: Status) -> Self {
        Self {
            why: match status {
                Status::Superseded => Why::Superseded,
                Status::Ignored => Why::Ignored,
                _ => Why::Gone,
            },
            error: None,
            panicked: false,
        }
    }

    /// It cannot be read.
    pub(super) fn refused(error: JobError) -> Self {
        Self {
            why: Why::Refused,
            error: Some(error),
            panicked: false,
        }
    }

    /// As an entry of a plan.
    pub(super) fn entry(&self) -> LeftOut {
        LeftOut {
            why: self.why,
            detail: self.error.as_ref().map(JobError::to_string),
        }
    }
}

/// Reads from one member. Returns why it is left out, if the failure is its own.
///
/// # Errors
/// A service fails, or the deadline is over.
pub(super) async fn attempt(
    work: impl Future<Output = Result<(), JobError>>,
) -> Result<Option<Left>, JobError> {
    let error = match AssertUnwindSafe(work).catch_unwind().await {
        Ok(Ok(())) => return Ok(None),
        Ok(Err(error)) => error,
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            let message = format!("it panicked: {}", words(&text.unwrap_or("no message")));
            return Ok(Some(Left {
                panicked: true,
                ..Left::refused(JobError::task(Stage::Read, message))
            }));
        }
    };
    // It disappeared while it was read.
    if error.stage() == Some(Stage::Read) {
        match error.store_kind() {
            Some(StoreErrorKind::NotFound) => return Ok(Some(Left::of(Status::Gone))),
            Some(StoreErrorKind::PreconditionFailed) => {
                return Ok(Some(Left::of(Status::Superseded)));
            }
            _ => {}
        }
    }
    match error.kind() {
        ErrorKind::StoreFailed
        | ErrorKind::AccessDenied
        | ErrorKind::Deadline
        | ErrorKind::ScratchFailed
        | ErrorKind::LedgerUnreadable
        | ErrorKind::TaskFailed => Err(error),
        _ => Ok(Some(Left::refused(error))),
    }
}

//! The common parts of all jobs: their error, the documents of their ledgers, and what an invocation provides.

mod again;
mod error;
mod error_kind;
mod invocation;
pub(crate) mod known;
pub(crate) mod ledger;
pub(crate) mod parts;
pub(crate) mod send;
pub(crate) mod task;
mod unfinished;

pub(crate) use self::unfinished::Unfinished;
pub use self::{
    again::again_after,
    error::{Failure, JobError, Stage},
    error_kind::ErrorKind,
    invocation::{Budget, MemoryBudget, Ports},
};

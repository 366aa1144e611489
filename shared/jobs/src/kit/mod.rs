//! What every job is built from: its error, the documents of its ledger, and what an invocation gives it.

mod error;
mod error_kind;
mod invocation;
pub(crate) mod ledger;
pub(crate) mod send;
pub(crate) mod task;

pub use self::{
    error::{Failure, JobError, Stage},
    error_kind::ErrorKind,
    invocation::{Budget, MemoryBudget, Ports},
};

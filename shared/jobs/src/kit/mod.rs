//! What every job is built from: its error, the documents of its ledger, and what an invocation gives it.

mod error;
mod invocation;
pub(crate) mod ledger;
pub(crate) mod send;
pub(crate) mod task;

pub use self::{
    error::{ErrorKind, Failure, JobError, Stage},
    invocation::{Budget, MemoryBudget, Ports},
};

//! The jobs and their commit protocols, as async code over ports.
//!
//! Nothing here knows AWS: [`ports`] names what a job needs from the outside, `lakewright-aws` gives it for
//! real, and the project's tests give it from an in-memory model with faults.

pub mod compact;
pub mod kit;
mod partition_state;
pub mod ports;
pub mod rekey;
pub mod repartition;
pub mod report;
pub mod retry;
pub mod split;
pub mod sweep;
mod work;

pub use kit::{ErrorKind, Failure, JobError};

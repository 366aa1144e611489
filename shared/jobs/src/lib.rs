//! The jobs and their commit protocols, as async code over ports.
//!
//! This crate does not depend on AWS: [`lakewright_ports`] defines what a job needs from outside, `lakewright-aws`
//! implements it with AWS services, and `lakewright-model` with in-memory models that inject faults, for tests.

pub mod compact;
#[cfg(test)]
mod fixture;
pub mod kit;
mod publish;
pub mod rekey;
pub mod repartition;
pub mod report;
pub mod retry;
pub mod split;
pub mod sweep;
mod work;

pub use kit::{ErrorKind, Failure, JobError, again_after};

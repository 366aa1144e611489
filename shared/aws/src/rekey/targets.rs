//! Checks each job's targets once in the life of an execution environment.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use lakewright_core::{config::Rekey, location::Location};
use lakewright_jobs::{JobError, rekey::check_target};
use lakewright_ports::Store;

/// The targets that may have files added.
#[derive(Debug, Default)]
pub(super) struct Targets(Mutex<BTreeSet<Location>>);

impl Targets {
    /// Checks a job's targets, unless they were found to be fit before.
    ///
    /// # Errors
    /// One belongs to another table format, or a listing fails.
    pub(super) async fn check(&self, store: &dyn Store, job: &Rekey) -> Result<(), JobError> {
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if job.targets().all(|target| known().contains(target)) {
            return Ok(());
        }
        check_target(store, job).await?;
        known().extend(job.targets().cloned());
        Ok(())
    }
}

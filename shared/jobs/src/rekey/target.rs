//! Whether the job's targets may have files added.

use lakewright_core::config::Rekey;
use lakewright_ports::Store;

use crate::{
    kit::{ErrorKind, JobError},
    work::foreign::not_foreign,
};

/// Checks that no log of another table format lies beside a target or, where the role may list there, above it: files
/// that were added there would be in no table, or be taken for the format's own.
///
/// # Errors
/// One does, or a listing fails.
pub async fn check_target(store: &dyn Store, job: &Rekey) -> Result<(), JobError> {
    for target in job.targets() {
        not_foreign(store, target, ErrorKind::SchemaUnusable).await?;
    }
    Ok(())
}

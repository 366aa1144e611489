//! The errors of repartition.

use lakewright_core::location::Location;
use thiserror::Error;

use crate::kit::{ErrorKind, JobError};

/// How a stored file differs from what was written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Difference {
    /// The file does not exist.
    #[error("was written and does not exist")]
    Missing,
    /// The file has another size, in bytes.
    #[error("has {found} bytes, but {written} were written")]
    Size {
        /// The stored value.
        found: u64,
        /// The written value.
        written: u64,
    },
    /// The file has another `ETag`: somebody has replaced it.
    #[error("has the ETag {found}, but what was written has {written}")]
    Etag {
        /// The stored value.
        found: String,
        /// The written value.
        written: String,
    },
    /// The file was deleted or replaced while it was verified.
    #[error("was deleted or replaced while it was verified")]
    Changed,
    /// The file's footer cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// The file has other columns.
    #[error("has the columns {found:?}, but {written:?} should have been written")]
    Columns {
        /// The columns in the footer.
        found: Vec<String>,
        /// The columns in the plan.
        written: Vec<String>,
    },
    /// The file has another number of rows.
    #[error("has {found} rows by its footer, but {written} were written")]
    Rows {
        /// The number in the footer.
        found: u64,
        /// The number in the task's result.
        written: u64,
    },
    /// The output lacks rows, or has some of them twice.
    #[error("has files of {found} rows, but {read} were read")]
    Sum {
        /// The number of rows in its files.
        found: u64,
        /// The number of rows in the source.
        read: u64,
    },
}

/// An object of the source was deleted or replaced after the run was planned.
pub(super) fn changed(location: Location) -> JobError {
    let message = "it was deleted or replaced after it was planned: plan the job again";
    JobError::new(ErrorKind::SourceChanged, message).of(location)
}

/// The run was withdrawn because its sources changed.
pub(super) fn withdrawn(plan: Location) -> JobError {
    let message = "the run was given up, because an object of its source was deleted or replaced: plan the job again";
    JobError::new(ErrorKind::Withdrawn, message).of(plan)
}

/// Converts a failure to read an object of the plan.
pub(super) fn unread(location: &Location, error: JobError) -> JobError {
    if error.is_of_a_changed_object() {
        changed(location.clone())
    } else {
        error
    }
}

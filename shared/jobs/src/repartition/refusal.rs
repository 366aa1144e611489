//! Why a step of a run failed, in the words of repartition.

use lakewright_core::location::Location;
use thiserror::Error;

use crate::{
    kit::{ErrorKind, JobError},
    ports::StoreErrorKind,
};

/// How what stands differs from what was written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Difference {
    /// A file that does not stand.
    #[error("was written and does not stand")]
    Missing,
    /// A file of another size, in bytes.
    #[error("has {found} bytes, and {written} were written")]
    Size {
        /// What stands.
        found: u64,
        /// What was written.
        written: u64,
    },
    /// An object of another `ETag`: somebody has put it in the file's place.
    #[error("has the ETag {found}, and what was written has {written}")]
    Etag {
        /// What stands.
        found: String,
        /// What was written.
        written: String,
    },
    /// A file that was taken away or replaced while it was looked at.
    #[error("was taken away or replaced just now")]
    Changed,
    /// A file whose footer cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// A file of other columns.
    #[error("has the columns {found:?}, and {written:?} were to be written")]
    Columns {
        /// What stands, by its footer.
        found: Vec<String>,
        /// What the plan says.
        written: Vec<String>,
    },
    /// A file of another number of rows.
    #[error("has {found} rows by its footer, and {written} were written")]
    Rows {
        /// What stands, by its footer.
        found: u64,
        /// What the task says.
        written: u64,
    },
    /// An output that has not all rows, or has some of them twice.
    #[error("has files of {found} rows, and {read} were read")]
    Sum {
        /// In its files.
        found: u64,
        /// Of the source.
        read: u64,
    },
}

/// An object of the source was deleted or replaced after the run was planned.
pub(super) fn changed(location: Location) -> JobError {
    let message = "it was deleted or replaced after it was planned: plan the job again";
    JobError::new(ErrorKind::SourceChanged, message).of(location)
}

/// The run was given up, because its sources changed.
pub(super) fn withdrawn(plan: Location) -> JobError {
    let message = "the run was given up, because an object of its source was deleted or replaced: plan the job again";
    JobError::new(ErrorKind::Withdrawn, message).of(plan)
}

/// What a failure to read an object of the plan says about it.
pub(super) fn unread(location: &Location, error: JobError) -> JobError {
    match error.store_kind() {
        Some(
            StoreErrorKind::NotFound
            | StoreErrorKind::PreconditionFailed
            | StoreErrorKind::InvalidRange,
        ) => changed(location.clone()),
        _ => error,
    }
}

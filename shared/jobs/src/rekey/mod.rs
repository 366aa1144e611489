//! rekey: every row of a landed object stands exactly once in the partition of its own time.

use std::{path::PathBuf, sync::Arc};

use jiff::Timestamp;
use lakewright_core::{config, location::Location};

use crate::{
    ports::{Catalog, Clock, Store},
    report::ObjectReport,
};

/// What rekey needs from the outside.
#[derive(Clone)]
pub struct Ports {
    /// Objects.
    pub store: Arc<dyn Store>,
    /// Tables and partitions.
    pub catalog: Arc<dyn Catalog>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// What one invocation may use.
#[derive(Debug, Clone)]
pub struct Budget {
    /// Bytes of memory for this object's processing.
    pub memory: u64,
    /// Bytes below [`Self::scratch`].
    pub disk: u64,
    /// A folder for temporary files, such as `/tmp`.
    pub scratch: PathBuf,
    /// Nothing new is begun after this instant: what is not done by then fails, to be retried.
    pub deadline: Timestamp,
}

/// A source object as a trigger names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceObject {
    /// Where it is.
    pub location: Location,
    /// The `ETag` that the trigger names, with or without quotes; the object's own where it names none.
    pub etag: Option<String>,
}

/// Processes one source object to its commit.
///
/// # Errors
/// See [`RekeyError`]. After any error the same call may be made again: it goes on from what stands.
pub async fn rekey(
    _ports: &Ports,
    _job: &config::Rekey,
    _source: &SourceObject,
    _budget: &Budget,
) -> Result<ObjectReport, RekeyError> {
    Err(RekeyError)
}

/// Why an object was not committed.
#[derive(Debug, thiserror::Error)]
#[error("not built yet")]
pub struct RekeyError;

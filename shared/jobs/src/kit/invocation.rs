//! What an invocation provides to a job: the services, and its limits.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use jiff::Timestamp;
use lakewright_core::config::Encryption;
use lakewright_ports::{Catalog, Clock, Store, written_as};

/// The services of a job on tables.
#[derive(Clone)]
pub struct Ports {
    /// Objects.
    pub store: Arc<dyn Store>,
    /// Tables and partitions.
    pub catalog: Arc<dyn Catalog>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Ports {
    /// The same services, with a job's tags and encryption for its objects.
    pub(crate) fn writing(
        &self,
        tags: &BTreeMap<String, String>,
        encryption: Option<&Encryption>,
    ) -> Self {
        Self {
            store: written_as(&self.store, tags, encryption),
            ..self.clone()
        }
    }
}

/// The limits of a piece of work that spools rows.
#[derive(Debug, Clone)]
pub struct Budget {
    /// The memory in bytes.
    pub memory: u64,
    /// A folder for temporary files, such as `/tmp`.
    pub scratch: PathBuf,
    /// The most bytes of temporary files. Rows beyond that are kept in the ledger while the object is processed.
    pub scratch_bytes: u64,
    /// Nothing new starts after this instant: unfinished work fails, to be retried.
    pub deadline: Timestamp,
}

/// The limits of a piece of work that spools no rows, and so needs no temporary files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryBudget {
    /// The memory in bytes.
    pub memory: u64,
    /// Nothing new starts after this instant: unfinished work fails, to be retried.
    pub deadline: Timestamp,
}

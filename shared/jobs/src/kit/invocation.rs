//! What an invocation gives a job: the services, and how much of the machine it may use.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use jiff::Timestamp;
use lakewright_core::config::Encryption;

use crate::ports::{Catalog, Clock, Store, written_as};

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
    /// The same, for a job whose objects have these tags and this encryption.
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

/// What one piece of work may use that keeps rows.
#[derive(Debug, Clone)]
pub struct Budget {
    /// Bytes of memory.
    pub memory: u64,
    /// A folder for temporary files, such as `/tmp`.
    pub scratch: PathBuf,
    /// Bytes of temporary files. Beyond them, rows are kept in the ledger while the object is at work.
    pub scratch_bytes: u64,
    /// Nothing new is begun after this instant: what is not done by then fails, to be retried.
    pub deadline: Timestamp,
}

/// What one piece of work may use that keeps no rows, and so needs no temporary files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryBudget {
    /// Bytes of memory.
    pub memory: u64,
    /// Nothing new is begun after this instant: what is not done by then fails, to be retried.
    pub deadline: Timestamp,
}

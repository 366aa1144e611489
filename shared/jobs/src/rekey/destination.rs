//! Where records go.

use lakewright_core::config;

use super::ledger::{Settings, TableColumns};

/// A target with the table and the outputs that a job's records are written to.
#[derive(Debug, Clone)]
pub(super) struct Destination {
    /// The job's configuration, with what is the destination's own. Its ledger is not the job's.
    pub(super) job: config::Rekey,
    /// The table's columns when the batch was made; `None` if the schema is inferred.
    pub(super) table: Option<TableColumns>,
}

impl Settings {
    /// The destinations. A batch has the same ones in the same order each time.
    pub(super) fn destinations(&self) -> Vec<Destination> {
        vec![Destination {
            job: self.job.clone(),
            table: self.table.clone(),
        }]
    }
}

//! Where records go.

use lakewright_core::config;

use super::ledger::{Settings, TableColumns};

/// A target with the table and the outputs that records are written to: that of the job or, with `route`, of a value.
#[derive(Debug, Clone)]
pub(super) struct Destination {
    /// The value whose records go here, if the job has routes.
    pub(super) route: Option<String>,
    /// The job's configuration, with what is the destination's own. Its ledger is not the job's.
    pub(super) job: config::Rekey,
    /// The table's columns when the batch was made; `None` if the schema is inferred.
    pub(super) table: Option<TableColumns>,
}

impl Settings {
    /// The destinations. A batch has the same ones in the same order each time.
    pub(super) fn destinations(&self) -> Vec<Destination> {
        let routes = self.job.route.iter();
        let mut routes = routes.flat_map(|route| route.tables.keys()).cloned();
        let destinations = self.job.destinations().into_iter();
        destinations
            .map(|job| {
                let route = routes.next();
                let table = match &route {
                    Some(route) => self.tables.get(route),
                    None => self.table.as_ref(),
                };
                Destination {
                    table: table.cloned(),
                    route,
                    job,
                }
            })
            .collect()
    }
}

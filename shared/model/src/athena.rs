use std::collections::BTreeMap;

use lakewright_core::config::ResultColumn;
use lakewright_ports::QueryExecution;

/// Athena's finished queries.
#[derive(Debug, Default)]
pub struct ModelAthena {
    queries: BTreeMap<String, (QueryExecution, Vec<ResultColumn>)>,
}

impl ModelAthena {
    /// Adds a query.
    pub fn put(&mut self, id: &str, execution: QueryExecution, columns: Vec<ResultColumn>) {
        self.queries.insert(id.to_owned(), (execution, columns));
    }

    /// A query and the columns of its result.
    pub(super) fn get(&self, id: &str) -> Option<&(QueryExecution, Vec<ResultColumn>)> {
        self.queries.get(id)
    }
}

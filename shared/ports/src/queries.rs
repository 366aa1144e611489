use async_trait::async_trait;
use lakewright_core::{config::ResultColumn, location::Location};
use thiserror::Error;

use super::ServiceErrorKind;

/// Athena's queries and the metadata of their results.
#[async_trait]
pub trait Queries: Send + Sync {
    /// A query's execution. `None` only if there is no query with this id.
    ///
    /// # Errors
    /// The call failed.
    async fn execution(&self, id: &str) -> Result<Option<QueryExecution>, QueriesError>;

    /// The columns of a finished query's result, in order.
    ///
    /// # Errors
    /// The call failed.
    async fn columns(&self, id: &str) -> Result<Vec<ResultColumn>, QueriesError>;
}

/// A query's execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryExecution {
    /// Its state.
    pub state: QueryState,
    /// Athena's reason for the state.
    pub reason: Option<String>,
    /// Whether it is an UNLOAD.
    pub unload: bool,
    /// The location of its result. It must not be derived from the id.
    pub output: Option<Location>,
    /// Whether its result is in Athena's managed storage.
    /// <https://docs.aws.amazon.com/athena/latest/ug/managed-results.html>
    pub managed: bool,
    /// For an UNLOAD, the location of the manifest of the objects that it wrote.
    pub manifest: Option<Location>,
}

/// The state of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryState {
    /// Queued or running.
    Unfinished,
    /// Its result is written.
    Succeeded,
    /// It failed.
    Failed,
    /// It was cancelled.
    Cancelled,
}

/// A call to Athena that failed.
#[derive(Debug, Clone, Error)]
#[error("Athena {operation} {query}: {message}")]
pub struct QueriesError {
    /// The service's operation, such as `GetQueryExecution`.
    pub operation: &'static str,
    /// The query's id.
    pub query: String,
    /// The kind of failure.
    pub kind: ServiceErrorKind,
    /// The message of the service or the network.
    pub message: String,
}

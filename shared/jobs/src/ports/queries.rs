use async_trait::async_trait;
use lakewright_core::{config::ResultColumn, location::Location};
use thiserror::Error;

use super::ServiceErrorKind;

/// Athena's queries, as far as their results are concerned.
#[async_trait]
pub trait Queries: Send + Sync {
    /// A query's execution; `None` where there is none of this id (and only then).
    ///
    /// # Errors
    /// When the call failed.
    async fn execution(&self, id: &str) -> Result<Option<QueryExecution>, QueriesError>;

    /// The columns of a finished query's result, in order.
    ///
    /// # Errors
    /// When the call failed.
    async fn columns(&self, id: &str) -> Result<Vec<ResultColumn>, QueriesError>;
}

/// A query's execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryExecution {
    /// How far it is.
    pub state: QueryState,
    /// Why it is in this state, in Athena's words.
    pub reason: Option<String>,
    /// Whether it is an UNLOAD.
    pub unload: bool,
    /// Where its result is. Never to be derived from the id.
    pub output: Option<Location>,
    /// Whether its result is in Athena's own storage.
    /// <https://docs.aws.amazon.com/athena/latest/ug/managed-results.html>
    pub managed: bool,
    /// Where the list of the objects that it wrote is, for an UNLOAD.
    pub manifest: Option<Location>,
}

/// How far a query is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryState {
    /// Queued or running.
    Unfinished,
    /// Its result stands.
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
    /// What kind of failure it is.
    pub kind: ServiceErrorKind,
    /// What the service or the network said.
    pub message: String,
}

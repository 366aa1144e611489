//! The Queries port on Athena.

use async_trait::async_trait;
use aws_sdk_athena::{
    Client,
    types::{ManagedQueryResultsConfiguration, QueryExecutionState, ResultSetMetadata},
};
use aws_smithy_runtime_api::{client::result::SdkError, http::Response};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use lakewright_core::{config::ResultColumn, location::Location};
use lakewright_ports::{Queries, QueriesError, QueryExecution, QueryState, ServiceErrorKind};

use super::failure::Failure;

/// The queries of one account and region.
#[derive(Debug, Clone)]
pub struct AthenaQueries {
    client: Client,
}

impl AthenaQueries {
    /// Wraps a client whose retries are off.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

/// The call that an error message names.
#[derive(Clone, Copy)]
struct Call<'a> {
    operation: &'static str,
    query: &'a str,
}

impl Call<'_> {
    fn error(self, kind: ServiceErrorKind, message: impl Into<String>) -> QueriesError {
        QueriesError {
            operation: self.operation,
            query: self.query.to_owned(),
            kind,
            message: message.into(),
        }
    }

    fn failed<E>(self, error: &SdkError<E, Response>) -> QueriesError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let failure = Failure::of(error);
        let action = format!("athena:{}", self.operation);
        self.error(failure.kind(), failure.message_with(&action))
    }
}

#[async_trait]
impl Queries for AthenaQueries {
    async fn execution(&self, id: &str) -> Result<Option<QueryExecution>, QueriesError> {
        let call = Call {
            operation: "GetQueryExecution",
            query: id,
        };
        let sent = self
            .client
            .get_query_execution()
            .query_execution_id(id)
            .send()
            .await;
        let output = match sent {
            Ok(output) => output,
            // The request has no other field that could be invalid.
            Err(error) if error.code() == Some("InvalidRequestException") => return Ok(None),
            Err(error) => return Err(call.failed(&error)),
        };
        let Some(execution) = output.query_execution else {
            return Ok(None);
        };
        let status = execution.status();
        let state = match status.and_then(|status| status.state()) {
            Some(QueryExecutionState::Succeeded) => QueryState::Succeeded,
            Some(QueryExecutionState::Failed) => QueryState::Failed,
            Some(QueryExecutionState::Cancelled) => QueryState::Cancelled,
            _ => QueryState::Unfinished,
        };
        let location = |text: Option<&str>| {
            let text = text.filter(|text| !text.is_empty());
            let parsed = text.map(str::parse::<Location>).transpose();
            parsed.map_err(|error| call.error(ServiceErrorKind::Other, error.to_string()))
        };
        let configuration = execution.result_configuration();
        let statistics = execution.statistics();
        let managed = execution.managed_query_results_configuration();
        Ok(Some(QueryExecution {
            state,
            reason: status
                .and_then(|status| status.state_change_reason())
                .map(str::to_owned),
            unload: is_unload(execution.substatement_type(), execution.query()),
            output: location(configuration.and_then(|result| result.output_location()))?,
            managed: managed.is_some_and(ManagedQueryResultsConfiguration::enabled),
            manifest: location(
                statistics.and_then(|statistics| statistics.data_manifest_location()),
            )?,
        }))
    }

    async fn columns(&self, id: &str) -> Result<Vec<ResultColumn>, QueriesError> {
        let call = Call {
            operation: "GetQueryResults",
            query: id,
        };
        let output = self
            .client
            .get_query_results()
            .query_execution_id(id)
            .max_results(1)
            .send()
            .await
            .map_err(|error| call.failed(&error))?;
        let metadata = output
            .result_set()
            .and_then(|set| set.result_set_metadata());
        let columns = metadata.map(ResultSetMetadata::column_info);
        let columns = columns
            .unwrap_or_default()
            .iter()
            .map(|column| ResultColumn {
                name: column.name().to_owned(),
                athena_type: column.r#type().to_owned(),
            });
        Ok(columns.collect())
    }
}

/// Uses the statement type from Athena or, if it is missing, the statement itself.
fn is_unload(substatement: Option<&str>, query: Option<&str>) -> bool {
    let begins = |text: &str| {
        let word = text.trim_start().get(..6).unwrap_or_default();
        word.eq_ignore_ascii_case("unload")
    };
    substatement.or(query).is_some_and(begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unloads() {
        for (substatement, query, unload) in [
            (Some("UNLOAD"), None, true),
            (Some("SELECT"), Some("unload"), false),
            (None, Some("\n Unload (SELECT 1)"), true),
            (None, Some("SELECT 1"), false),
            (None, Some("é"), false),
            (None, None, false),
        ] {
            assert_eq!(is_unload(substatement, query), unload, "{query:?}");
        }
    }
}

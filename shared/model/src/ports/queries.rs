use async_trait::async_trait;
use lakewright_core::config::ResultColumn;
use lakewright_ports::{Queries, QueriesError, QueryExecution, ServiceErrorKind};

use crate::{
    client::{About, Client, Failure, Request},
    cloud::State,
    fault::Fault,
};

impl Failure for QueriesError {
    fn of(fault: Fault, operation: &'static str, about: &About) -> Self {
        let query = match about {
            About::Query(id) => id.clone(),
            _ => String::new(),
        };
        Self {
            operation,
            query,
            kind: ServiceErrorKind::Retryable,
            message: fault.to_string(),
        }
    }

    fn describe(&self) -> String {
        self.message.clone()
    }
}

impl Client {
    async fn ask_athena<T: Send + 'static>(
        &self,
        operation: &'static str,
        id: &str,
        effect: impl FnOnce(&mut State) -> Result<T, QueriesError> + Send + 'static,
    ) -> Result<T, QueriesError> {
        let request = Request {
            operation,
            about: About::Query(id.to_owned()),
            conditional: None,
            voids: None,
            has_body: false,
        };
        self.exchange(request, move |state, _| effect(state)).await
    }
}

#[async_trait]
impl Queries for Client {
    async fn execution(&self, id: &str) -> Result<Option<QueryExecution>, QueriesError> {
        let at = id.to_owned();
        self.ask_athena("GetQueryExecution", id, move |state| {
            let query = state.athena.get(&at);
            Ok(query.map(|(execution, _)| execution.clone()))
        })
        .await
    }

    async fn columns(&self, id: &str) -> Result<Vec<ResultColumn>, QueriesError> {
        let at = id.to_owned();
        self.ask_athena("GetQueryResults", id, move |state| {
            let query = state.athena.get(&at);
            query
                .map(|(_, columns)| columns.clone())
                .ok_or(QueriesError {
                    operation: "GetQueryResults",
                    query: at,
                    kind: ServiceErrorKind::Other,
                    message: "InvalidRequestException".to_owned(),
                })
        })
        .await
    }
}

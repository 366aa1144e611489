use async_trait::async_trait;
use futures::future::BoxFuture;
use lakewright_core::{
    config::{ResultColumn, SecretName},
    operations::Secret,
};
use lakewright_ports::{
    Callback, CallbackError, CallbackErrorKind, Queries, QueriesError, QueryExecution, Queue,
    QueueError, Secrets, SecretsError, SendFailure, ServiceErrorKind,
};

use super::backoff::{Backoff, Failing, Verdict};

/// A [`Queue`], [`Queries`], [`Secrets`] or [`Callback`] that retries failed calls within one invocation's deadline, and rejected
/// messages of a batch. A message is sent twice if it was accepted but the answer was lost.
pub struct RetryingService<S> {
    inner: S,
    backoff: Backoff,
}

impl<S> RetryingService<S> {
    /// Wraps `inner` for one invocation.
    pub fn new(inner: S, backoff: Backoff) -> Self {
        Self { inner, backoff }
    }
}

fn too_late() -> String {
    "the invocation's deadline is too near".to_owned()
}

impl Failing for ServiceErrorKind {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Retryable => Verdict::Passing,
            Self::AccessDenied | Self::Deadline | Self::Other => Verdict::Final,
        }
    }
}

impl Failing for QueueError {
    fn verdict(&self) -> Verdict {
        self.kind.verdict()
    }
}

impl Failing for SendFailure {
    fn verdict(&self) -> Verdict {
        if self.sender_fault {
            Verdict::Final
        } else {
            Verdict::Passing
        }
    }
}

impl Failing for QueriesError {
    fn verdict(&self) -> Verdict {
        self.kind.verdict()
    }
}

impl Failing for SecretsError {
    fn verdict(&self) -> Verdict {
        self.kind.verdict()
    }
}

impl Failing for CallbackError {
    fn verdict(&self) -> Verdict {
        match self.kind {
            CallbackErrorKind::Retryable => Verdict::Passing,
            _ => Verdict::Final,
        }
    }
}

#[async_trait]
impl<S: Queue> Queue for RetryingService<S> {
    async fn send(
        &self,
        queue_url: &str,
        bodies: &[String],
    ) -> Result<Vec<SendFailure>, QueueError> {
        self.backoff
            .batch(
                bodies.iter().cloned().enumerate().collect(),
                |waiting| {
                    Box::pin(async move {
                        let (indices, bodies): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
                        let mut failures = self.inner.send(queue_url, &bodies).await?;
                        for failure in &mut failures {
                            failure.index = indices.get(failure.index).copied().unwrap_or_default();
                        }
                        Ok(failures)
                    })
                },
                |failure, (index, _)| failure.index == *index,
                || QueueError {
                    operation: "SendMessageBatch",
                    queue_url: queue_url.to_owned(),
                    kind: ServiceErrorKind::Deadline,
                    message: too_late(),
                },
            )
            .await
    }
}

#[async_trait]
impl<S: Queries> Queries for RetryingService<S> {
    async fn execution(&self, id: &str) -> Result<Option<QueryExecution>, QueriesError> {
        let too_late = || queries_too_late("GetQueryExecution", id);
        self.backoff
            .call(|| self.inner.execution(id), QueriesError::verdict, too_late)
            .await
    }

    async fn columns(&self, id: &str) -> Result<Vec<ResultColumn>, QueriesError> {
        let too_late = || queries_too_late("GetQueryResults", id);
        self.backoff
            .call(|| self.inner.columns(id), QueriesError::verdict, too_late)
            .await
    }
}

fn queries_too_late(operation: &'static str, query: &str) -> QueriesError {
    QueriesError {
        operation,
        query: query.to_owned(),
        kind: ServiceErrorKind::Deadline,
        message: too_late(),
    }
}

#[async_trait]
impl<S: Secrets> Secrets for RetryingService<S> {
    async fn secret(
        &self,
        name: &SecretName,
        version: Option<&str>,
    ) -> Result<(String, Secret), SecretsError> {
        let too_late = || SecretsError::new(name, ServiceErrorKind::Deadline, too_late());
        let call = || self.inner.secret(name, version);
        self.backoff
            .call(call, SecretsError::verdict, too_late)
            .await
    }
}

#[async_trait]
impl<S: Callback> Callback for RetryingService<S> {
    async fn succeed(&self, token: &str, output: &str) -> Result<(), CallbackError> {
        self.tell("SendTaskSuccess", || self.inner.succeed(token, output))
            .await
    }

    async fn fail(&self, token: &str, error: &str, cause: &str) -> Result<(), CallbackError> {
        self.tell("SendTaskFailure", || self.inner.fail(token, error, cause))
            .await
    }

    async fn heartbeat(&self, token: &str) -> Result<(), CallbackError> {
        self.tell("SendTaskHeartbeat", || self.inner.heartbeat(token))
            .await
    }
}

impl<S: Callback> RetryingService<S> {
    async fn tell<'a>(
        &self,
        operation: &'static str,
        call: impl Fn() -> BoxFuture<'a, Result<(), CallbackError>> + Send,
    ) -> Result<(), CallbackError> {
        let too_late = || CallbackError {
            kind: CallbackErrorKind::Deadline,
            operation,
            message: too_late(),
        };
        self.backoff
            .call(call, CallbackError::verdict, too_late)
            .await
    }
}

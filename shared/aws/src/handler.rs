//! The parts that all functions share: starting, running an invocation, and reporting its result.

use std::{collections::BTreeSet, ffi::OsString, future::Future, io, sync::Arc, time::Duration};

use jiff::Timestamp;
use lakewright_core::{config::Config, shown};
use lakewright_jobs::{
    Failure,
    retry::{Backoff, RetryPolicy, Retrying, RetryingCatalog, RetryingService},
};
use lakewright_ports::Clock;
use lambda_runtime::{Context, Diagnostic, Error, LambdaEvent, service_fn};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use thiserror::Error;
use tracing::{error, info, warn};

use crate::{
    adapters::{clock::SystemClock, failure::chain, glue::GlueCatalog, s3::S3Store},
    clients::Clients,
    config::{LoadError, load},
    invocation::{Deadlines, run_one},
    metrics::{self, Metrics},
    no_start,
    settings::{Resources, Settings},
    telemetry,
};

/// The time limit for loading the configuration, within the ten seconds that Lambda allows for the init phase.
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>
const START_TIME: Duration = Duration::from_secs(8);

/// Starts a function with the environment's `variables`, and answers its invocations with `handle` until the execution
/// environment shuts down.
///
/// # Errors
/// A variable or the configuration is invalid, or the Lambda runtime cannot be reached.
pub async fn serve<F>(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    start: impl AsyncFnOnce(Settings) -> Result<F, LoadError>,
    handle: impl AsyncFn(&F, LambdaEvent<Value>) -> Result<Value, FunctionError>,
) -> Result<(), Error> {
    let variables: Vec<_> = variables.into_iter().collect();
    let runtime = no_start::runtime_api(&variables);
    let settings = match Settings::from_vars(variables) {
        Ok(settings) => settings,
        Err(failure) => return Err(no_start::report(runtime, "SettingsRefused", &failure).await),
    };
    telemetry::init(&settings.log);
    shown::show_values(settings.show_values);
    let function = match start(settings).await {
        Ok(function) => function,
        Err(failure) => return Err(no_start::report(runtime, failure.name(), &failure).await),
    };
    lambda_runtime::run(service_fn(|event| handle(&function, event))).await
}

/// The state that every function keeps between invocations.
pub(crate) struct Base {
    pub(crate) config: Arc<Config>,
    pub(crate) resources: Resources,
    pub(crate) clock: Arc<dyn Clock>,
    /// The namespace of its metrics.
    pub(crate) namespace: String,
    store: S3Store,
}

impl Base {
    /// Reads the configuration, within Lambda's limit for the init phase.
    pub(crate) async fn start(settings: &Settings, clients: &Clients) -> Result<Self, LoadError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = clients.store();
        let now = clock.now();
        let deadline = now.checked_add(START_TIME).unwrap_or(now);
        let backoff = Backoff::new(Arc::clone(&clock), deadline, seed(now), RetryPolicy::S3);
        let config = load(&settings.config, &Retrying::new(store.clone(), backoff)).await;
        let config = config.inspect_err(|failure| error!(error = chain(failure), "no start"))?;
        Ok(Self {
            config: Arc::new(config),
            resources: settings.resources.clone(),
            clock,
            namespace: settings.namespace.clone(),
            store,
        })
    }

    /// The invocation that `context` belongs to.
    pub(crate) fn invocation<'a>(&'a self, context: &'a Context) -> Invocation<'a> {
        let begun = self.clock.now();
        Invocation {
            base: self,
            request_id: &context.request_id,
            begun,
            deadlines: Deadlines::of(context, begun),
        }
    }

    /// The memory for the work of an invocation, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.resources.memory_for_work()
    }
}

/// One invocation of a function.
pub(crate) struct Invocation<'a> {
    base: &'a Base,
    pub(crate) request_id: &'a str,
    begun: Timestamp,
    pub(crate) deadlines: Deadlines,
}

impl Invocation<'_> {
    /// S3 with this invocation's retries.
    pub(crate) fn store(&self) -> Arc<Retrying<S3Store>> {
        let backoff = self.backoff(RetryPolicy::S3);
        Arc::new(Retrying::new(self.base.store.clone(), backoff))
    }

    /// Glue with this invocation's retries.
    pub(crate) fn catalog(&self, catalog: &GlueCatalog) -> Arc<RetryingCatalog<GlueCatalog>> {
        let backoff = self.backoff(RetryPolicy::GLUE);
        Arc::new(RetryingCatalog::new(catalog.clone(), backoff))
    }

    /// SQS, Athena or Step Functions with this invocation's retries.
    pub(crate) fn service<S>(&self, service: &S, policy: RetryPolicy) -> Arc<RetryingService<S>>
    where
        S: Clone,
    {
        Arc::new(RetryingService::new(service.clone(), self.backoff(policy)))
    }

    fn backoff(&self, policy: RetryPolicy) -> Backoff {
        Backoff::new(self.clock(), self.deadlines.calls, seed(self.begun), policy)
    }

    /// The clock of the function.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.base.clock)
    }

    /// Answers one request with `work`, and logs the answer. A panic, or running until the end of the invocation's
    /// time, becomes a named failure like any other.
    pub(crate) async fn answer(
        &self,
        payload: &Value,
        work: impl Future<Output = Result<Value, FunctionError>>,
    ) -> Result<Value, FunctionError> {
        let request_id = self.request_id;
        let answer = run_one(&*self.base.clock, self.deadlines.stop, work)
            .await
            .map_err(|failure| FunctionError::of(&failure));
        match &answer {
            Ok(report) => info!(request_id, %report, "request done"),
            Err(failure) => error!(
                request_id,
                payload = %as_logged(payload),
                error_name = failure.name(),
                error = failure.message,
                "request failed"
            ),
        }
        answer
    }

    /// Writes metrics to the log, from which CloudWatch extracts them. A failure to write them is only logged.
    pub(crate) fn measure(&self, out: &mut impl io::Write, metrics: &[Metrics<'_>]) {
        let request_id = self.request_id;
        if let Err(failure) = metrics::write(
            out,
            &self.base.namespace,
            self.base.clock.now(),
            request_id,
            metrics,
        ) {
            warn!(request_id, error = %failure, "metrics were not written");
        }
    }
}

/// The payload for the log, without the task token, because anyone who has it can complete the task, and without the values
/// in a query's text.
fn as_logged(payload: &Value) -> Value {
    let mut logged = payload.clone();
    if let Some(fields) = logged.as_object_mut() {
        fields.remove("task_token");
        if let Some(Value::String(query)) = fields.get_mut("query") {
            let logged = shown::whole(query).to_string();
            *query = logged;
        }
    }
    logged
}

/// A seed for the jitter of retries, which must differ between concurrent invocations.
pub(crate) fn seed(now: Timestamp) -> u64 {
    now.subsec_nanosecond().unsigned_abs().into()
}

/// Why an invocation failed. Step Functions' `Retry` and `Catch` match its name; docs/OPERATIONS.md explains each name.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct FunctionError {
    name: &'static str,
    message: String,
}

impl FunctionError {
    /// The payload is invalid: it will always fail.
    pub(crate) fn bad_trigger(message: impl Into<String>) -> Self {
        Self::named("BadTrigger", message)
    }

    pub(crate) fn named(name: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { name, message }
    }

    /// A job's failure, with all its causes in one line.
    pub(crate) fn of(failure: &(impl Failure + 'static)) -> Self {
        Self::named(failure.name(), chain(failure))
    }
}

impl Failure for FunctionError {
    fn name(&self) -> &'static str {
        self.name
    }
}

impl From<FunctionError> for Diagnostic {
    fn from(error: FunctionError) -> Self {
        Self {
            error_type: format!("Lakewright.{}", error.name),
            error_message: error.message,
        }
    }
}

/// Decodes a payload into a request.
pub(crate) fn decode<T: DeserializeOwned>(payload: &Value) -> Result<T, FunctionError> {
    T::deserialize(payload)
        .map_err(|error| FunctionError::bad_trigger(format!("the payload: {error}")))
}

/// Converts a job's result into the function's answer.
pub(crate) fn reported<T: Serialize>(
    result: Result<T, impl Failure + 'static>,
) -> Result<Value, FunctionError> {
    let report = result.map_err(|failure| FunctionError::of(&failure))?;
    serde_json::to_value(report)
        .map_err(|error| FunctionError::named("TaskFailed", error.to_string()))
}

/// Answers a batch from SQS with the messages that failed, each once, so that SQS delivers only these again.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>
///
/// # Errors
/// A message without an id failed: it cannot be reported alone, so the whole batch fails.
pub(crate) fn batch_answer<'a>(
    failed: impl IntoIterator<Item = (Option<&'a str>, String)>,
) -> Result<Value, FunctionError> {
    let mut ids = BTreeSet::new();
    for (id, why) in failed {
        ids.insert(id.ok_or_else(|| {
            FunctionError::bad_trigger(format!(
                "a message of the batch has no messageId, and failed: {why}"
            ))
        })?);
    }
    let failures: Vec<_> = ids
        .into_iter()
        .map(|id| json!({"itemIdentifier": id}))
        .collect();
    Ok(json!({"batchItemFailures": failures}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_answered_by_the_messages_that_failed() {
        for (failed, expected) in [
            (vec![], Ok(json!({"batchItemFailures": []}))),
            (
                vec![Some("b"), Some("a"), Some("b")],
                Ok(
                    json!({"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "b"}]}),
                ),
            ),
            (vec![Some("a"), None], Err("BadTrigger")),
        ] {
            let failed = failed.into_iter().map(|id| (id, "refused".to_owned()));
            let found = batch_answer(failed).map_err(|error| error.name());
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_task_token_is_not_logged() {
        let payload = json!({"name": "users", "task_token": "secret"});
        assert_eq!(as_logged(&payload), json!({"name": "users"}));
    }
}

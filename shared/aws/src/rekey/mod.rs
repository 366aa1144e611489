//! The function `rekey`: landed objects in, their reports out.
//!
//! From SQS it answers with the messages that failed; from anything else with the
//! [`Report`](lakewright_jobs::report::Report) of the job that the objects belong to, or with a list of
//! reports where they belong to several jobs or to none. Objects that are not a job's to read are
//! `ignored`, in a report without a name where no job has anything to do with them.

mod answer;
mod dispatch;

use std::sync::Arc;

use jiff::Timestamp;
use lakewright_core::location::Location;
use lakewright_jobs::{
    ports::Clock,
    rekey::{Ports, rekey},
};
use lambda_runtime::{Context, Diagnostic, LambdaEvent};
use serde_json::Value;
use thiserror::Error;

use self::dispatch::Dispatcher;
use crate::{
    clock::SystemClock,
    config::{LoadError, load},
    invocation::Deadlines,
    sdk::Clients,
    settings::Settings,
    trigger::TriggerError,
};

/// The function between two invocations.
pub struct Function {
    dispatcher: Dispatcher,
    ports: Ports,
}

impl Function {
    /// Reads the configuration and makes the adapters, once for all invocations.
    ///
    /// # Errors
    /// When the configuration cannot be read or is refused.
    pub async fn start(settings: Settings) -> Result<Self, LoadError> {
        let clients = Clients::connect().await;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ports = Ports {
            store: Arc::new(clients.store()),
            catalog: Arc::new(clients.catalog()),
            clock: Arc::clone(&clock),
        };
        let dispatcher = Dispatcher {
            config: load(&settings.config, &*ports.store).await?,
            resources: settings.resources,
            clock,
        };
        Ok(Self { dispatcher, ports })
    }

    /// Answers one invocation.
    ///
    /// # Errors
    /// See [`FunctionError`]: where not a single message can be blamed.
    pub async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value, FunctionError> {
        let Context {
            request_id,
            deadline,
            ..
        } = event.context;
        let now = self.ports.clock.now();
        let killed_at = i64::try_from(deadline)
            .ok()
            .and_then(|at| Timestamp::from_millisecond(at).ok())
            // Local runtimes such as `cargo lambda watch` give a fixed instant of 1970 and kill nobody.
            .filter(|at| *at > now)
            .unwrap_or(Timestamp::MAX);
        let deadlines = Deadlines::before(killed_at, now);
        let ports = self.ports.clone();
        self.dispatcher
            .answer(
                &event.payload,
                &request_id,
                deadlines,
                move |job, object, budget| {
                    let ports = ports.clone();
                    async move { rekey(&ports, &job, &object, &budget).await }
                },
            )
            .await
    }
}

/// Why an invocation has no answer. Each has a name that Step Functions' `Retry` and `Catch` can match.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum FunctionError {
    /// The payload cannot be decoded: `Lakewright.BadTrigger`. The same payload will never do.
    #[error("{0}")]
    BadTrigger(TriggerError),
    /// A message of a batch failed that has no id, so the whole batch has to: `Lakewright.BadTrigger`.
    #[error("a message of the batch has no messageId, and failed: {0}")]
    Nameless(String),
    /// Objects were not committed: `Lakewright.RekeyFailed`. The same payload may be sent again.
    #[error("{failed} of {total} objects failed; the first is {first}: {message}")]
    RekeyFailed {
        /// How many failed.
        failed: usize,
        /// How many there are.
        total: usize,
        /// The first that failed.
        first: Location,
        /// Why it did.
        message: String,
    },
}

impl From<FunctionError> for Diagnostic {
    fn from(error: FunctionError) -> Self {
        let name = match error {
            FunctionError::BadTrigger(_) | FunctionError::Nameless(_) => "Lakewright.BadTrigger",
            FunctionError::RekeyFailed { .. } => "Lakewright.RekeyFailed",
        };
        Self {
            error_type: name.to_owned(),
            error_message: error.to_string(),
        }
    }
}

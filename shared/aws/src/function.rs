//! What the functions of split share: how they start, and what one invocation of them is given.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use lakewright_core::config::Config;
use lakewright_jobs::{
    Failure,
    compact::CompactError,
    ports::Clock,
    split::{Ports, SplitError},
};
use lambda_runtime::{Context, Diagnostic};
use thiserror::Error;

use crate::{
    athena::AthenaQueries,
    clock::SystemClock,
    config::LoadError,
    invocation::Deadlines,
    s3::S3Store,
    sdk::{Clients, chain},
    settings::{Resources, Settings},
    sqs::SqsQueue,
    start,
    step_functions::StepFunctionsCallback,
};

/// What a function keeps between two invocations.
pub(crate) struct Base {
    pub(crate) config: Config,
    pub(crate) resources: Resources,
    pub(crate) queues: BTreeMap<String, String>,
    pub(crate) dead_letters: Vec<String>,
    pub(crate) clock: Arc<dyn Clock>,
    store: S3Store,
    queries: Arc<AthenaQueries>,
    queue: Arc<SqsQueue>,
    callback: Arc<StepFunctionsCallback>,
}

impl Base {
    /// Reads the configuration and makes the adapters, once for all invocations.
    pub(crate) async fn start(settings: Settings) -> Result<Self, LoadError> {
        let clients = Clients::connect().await;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = clients.store();
        Ok(Self {
            config: start::config(&settings.config, &store, &clock).await?,
            resources: settings.resources,
            queues: settings.queues,
            dead_letters: settings.dead_letters,
            store,
            queries: Arc::new(clients.queries()),
            queue: Arc::new(clients.queue()),
            callback: Arc::new(clients.callback()),
            clock,
        })
    }

    /// When an invocation stops.
    pub(crate) fn deadlines(&self, context: &Context) -> Deadlines {
        Deadlines::of(context, self.clock.now())
    }

    /// The adapters, S3 behind the retries of one invocation.
    pub(crate) fn ports(&self, deadline: Timestamp) -> Ports {
        let now = self.clock.now();
        Ports {
            store: Arc::new(start::retrying(&self.store, &self.clock, deadline, now)),
            queries: Arc::clone(&self.queries) as _,
            queue: Arc::clone(&self.queue) as _,
            callback: Arc::clone(&self.callback) as _,
            clock: Arc::clone(&self.clock),
        }
    }

    /// The memory that is left for the work.
    pub(crate) fn memory(&self) -> u64 {
        self.resources.memory_for_work()
    }
}

/// Why an invocation has no answer. Each has a name that Step Functions' `Retry` and `Catch` can match.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct FunctionError {
    /// Such as `Lakewright.KeyCollision`.
    pub name: String,
    /// What happened.
    pub message: String,
}

impl FunctionError {
    /// The payload cannot be understood: the same one will never do.
    pub(crate) fn bad_trigger(message: impl Into<String>) -> Self {
        Self {
            name: "Lakewright.BadTrigger".to_owned(),
            message: message.into(),
        }
    }
}

impl From<&SplitError> for FunctionError {
    fn from(error: &SplitError) -> Self {
        Self {
            name: format!("Lakewright.{}", error.name()),
            message: chain(error),
        }
    }
}

impl From<&CompactError> for FunctionError {
    fn from(error: &CompactError) -> Self {
        Self {
            name: format!("Lakewright.{}", error.name()),
            message: chain(error),
        }
    }
}

impl From<FunctionError> for Diagnostic {
    fn from(error: FunctionError) -> Self {
        Self {
            error_type: error.name,
            error_message: error.message,
        }
    }
}

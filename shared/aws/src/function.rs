//! What the functions of split share: how they start, and what one invocation of them is given.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use lakewright_core::config::Config;
use lakewright_jobs::{
    ports::Clock,
    retry::{RetryPolicy, Retrying},
    split::{Ports, SplitError},
};
use lambda_runtime::{Context, Diagnostic};
use thiserror::Error;
use tracing::error;

use crate::{
    athena::AthenaQueries,
    clock::SystemClock,
    config::{LoadError, load},
    invocation::Deadlines,
    s3::S3Store,
    sdk::{Clients, chain},
    settings::{Resources, Settings},
    sqs::SqsQueue,
    step_functions::StepFunctionsCallback,
};

/// Of the ten seconds that Lambda gives a function to start.
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>
const START_TIME: Duration = Duration::from_secs(8);

/// Memory for the program itself, its threads and its connections.
const OWN_MEMORY: u64 = 64 << 20;

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
        let now = clock.now();
        let deadline = now.checked_add(START_TIME).unwrap_or(now);
        let config = {
            let store = retrying(&store, &clock, deadline, now);
            load(&settings.config, &store).await
        };
        Ok(Self {
            config: config.inspect_err(|failure| error!(error = chain(failure), "no start"))?,
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
        let now = self.clock.now();
        let killed_at = i64::try_from(context.deadline)
            .ok()
            .and_then(|at| Timestamp::from_millisecond(at).ok())
            // Local runtimes such as `cargo lambda watch` give a fixed instant of 1970 and kill nobody.
            .filter(|at| *at > now)
            .unwrap_or(Timestamp::MAX);
        Deadlines::before(killed_at, now)
    }

    /// The adapters, S3 behind the retries of one invocation.
    pub(crate) fn ports(&self, deadline: Timestamp) -> Ports {
        let now = self.clock.now();
        Ports {
            store: Arc::new(retrying(&self.store, &self.clock, deadline, now)),
            queries: Arc::clone(&self.queries) as _,
            queue: Arc::clone(&self.queue) as _,
            callback: Arc::clone(&self.callback) as _,
            clock: Arc::clone(&self.clock),
        }
    }

    /// The memory that is left for the work.
    pub(crate) fn memory(&self) -> u64 {
        let all = self.resources.memory;
        all.saturating_sub(OWN_MEMORY).max(all / 2)
    }
}

fn retrying(
    store: &S3Store,
    clock: &Arc<dyn Clock>,
    deadline: Timestamp,
    now: Timestamp,
) -> Retrying<S3Store> {
    // The jitter is to differ between concurrent invocations.
    let seed = now.subsec_nanosecond().unsigned_abs().into();
    let (store, clock) = (store.clone(), Arc::clone(clock));
    Retrying::new(store, clock, deadline, seed, RetryPolicy::S3)
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

impl From<FunctionError> for Diagnostic {
    fn from(error: FunctionError) -> Self {
        Self {
            error_type: error.name,
            error_message: error.message,
        }
    }
}

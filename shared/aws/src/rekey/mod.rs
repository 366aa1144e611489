//! The function `rekey`: landed objects in, their reports out.
//!
//! From SQS it answers with the messages that failed; from anything else with the
//! [`Report`](lakewright_jobs::report::Report) of the job that the objects belong to, or with a list of
//! reports where they belong to several jobs or to none. The payload of a
//! [`SweepRequest`](lakewright_jobs::sweep::SweepRequest) is answered with the sweep's report. Objects that are not a job's to read are
//! `ignored`, in a report without a name where no job has anything to do with them.

mod answer;
mod dispatch;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

use jiff::Timestamp;
use lakewright_core::{catalog::TableName, config::Rekey, location::Location};
use lakewright_jobs::{
    Failure,
    ports::Clock,
    rekey::{Ports, rekey},
    retry::{RetryPolicy, RetryingCatalog},
    sweep::{self, SweepRequest},
};
use lambda_runtime::{Diagnostic, LambdaEvent};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;
use tracing::{error, info};

use self::dispatch::Dispatcher;
use crate::{
    clock::SystemClock,
    config::{LoadError, free_bytes},
    glue::GlueCatalog,
    invocation::Deadlines,
    s3::S3Store,
    sdk::{Clients, chain},
    settings::{QUEUES, Settings},
    sqs::SqsQueue,
    start,
    trigger::TriggerError,
};

/// The function between two invocations.
pub struct Function {
    dispatcher: Dispatcher,
    store: S3Store,
    catalog: GlueCatalog,
    queue: SqsQueue,
    queues: BTreeMap<String, String>,
    /// The tables whose partitions move from directory to directory.
    compacted: Arc<BTreeSet<TableName>>,
    clock: Arc<dyn Clock>,
}

impl Function {
    /// Reads the configuration and makes the adapters, once for all invocations.
    ///
    /// # Errors
    /// When the configuration cannot be read or is refused.
    pub async fn start(settings: Settings) -> Result<Self, LoadError> {
        let clients = Clients::connect().await;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (store, catalog) = (clients.store(), clients.catalog());
        let dispatcher = Dispatcher {
            config: start::config(&settings.config, &store, &clock).await?,
            scratch_bytes: free_bytes(&settings.resources.scratch)?,
            resources: settings.resources,
            clock: Arc::clone(&clock),
        };
        let compacted = dispatcher.config.compacted_tables().cloned().collect();
        Ok(Self {
            compacted: Arc::new(compacted),
            dispatcher,
            store,
            catalog,
            queue: clients.queue(),
            queues: settings.queues,
            clock,
        })
    }

    /// Answers one invocation.
    ///
    /// # Errors
    /// See [`FunctionError`]: where not a single message can be blamed.
    pub async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value, FunctionError> {
        let now = self.clock.now();
        let deadlines = Deadlines::of(&event.context, now);
        if event.payload.get("sweep").is_some() {
            return self.sweep(event.payload, deadlines.work, now).await;
        }
        let ports = self.ports(deadlines.work, now);
        let compacted = Arc::clone(&self.compacted);
        let rekey_one = move |job: Arc<Rekey>, object, budget| {
            let (ports, compacted) = (ports.clone(), Arc::clone(&compacted));
            async move { rekey(&ports, &job, &compacted, &object, &budget).await }
        };
        let (payload, mut out) = (&event.payload, io::stdout());
        self.dispatcher
            .answer(
                payload,
                &event.context.request_id,
                deadlines,
                &mut out,
                rekey_one,
            )
            .await
    }

    async fn sweep(
        &self,
        payload: Value,
        deadline: Timestamp,
        now: Timestamp,
    ) -> Result<Value, FunctionError> {
        let request = SweepRequest::deserialize(payload)
            .map_err(|error| FunctionError::BadSweep(error.to_string()))?;
        let mut jobs = self.dispatcher.config.rekey.iter();
        let job = jobs.find(|job| job.name == request.sweep);
        let (Some(job), Some(queue)) = (job, self.queues.get(&request.sweep)) else {
            return Err(FunctionError::BadSweep(format!(
                "there is no rekey job `{}` with a queue ({QUEUES})",
                request.sweep
            )));
        };
        let ports = sweep::Ports {
            store: Arc::new(start::retrying(&self.store, &self.clock, deadline, now)),
            queue: Arc::new(self.queue.clone()),
            clock: Arc::clone(&self.clock),
        };
        let failed = |message: String| {
            error!(job = job.name, error = message, "sweep failed");
            FunctionError::SweepFailed(message)
        };
        let report = sweep::sweep(&ports, job, &request, queue, deadline)
            .await
            .map_err(|error| failed(format!("{}: {}", error.name(), chain(&error))))?;
        info!(
            job = report.name,
            listed = report.listed,
            committed = report.committed,
            passed_over = report.passed_over,
            sent = report.sent,
            next = report.next,
            "sweep done"
        );
        serde_json::to_value(report).map_err(|error| failed(error.to_string()))
    }

    /// The adapters behind the retries of one invocation.
    fn ports(&self, deadline: Timestamp, now: Timestamp) -> Ports {
        let catalog = RetryingCatalog::new(
            self.catalog.clone(),
            Arc::clone(&self.clock),
            deadline,
            start::seed(now),
            RetryPolicy::GLUE,
        );
        Ports {
            store: Arc::new(start::retrying(&self.store, &self.clock, deadline, now)),
            catalog: Arc::new(catalog),
            clock: Arc::clone(&self.clock),
        }
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
    /// A sweep cannot be understood: `Lakewright.BadTrigger`. The same payload will never do.
    #[error("sweep: {0}")]
    BadSweep(String),
    /// A sweep ended early: `Lakewright.SweepFailed`. The same payload may be sent again.
    #[error("{0}")]
    SweepFailed(String),
    /// Objects were not committed: `Lakewright.RekeyFailed`. The same payload may be sent again.
    #[error("{failed} of {total} objects failed; the first is {first}: {name}: {message}")]
    RekeyFailed {
        /// How many failed.
        failed: usize,
        /// How many there are.
        total: usize,
        /// The first that failed.
        first: Location,
        /// The name of the kind of its failure.
        name: &'static str,
        /// Why it did.
        message: String,
    },
}

impl From<FunctionError> for Diagnostic {
    fn from(error: FunctionError) -> Self {
        let name = match error {
            FunctionError::BadTrigger(_)
            | FunctionError::Nameless(_)
            | FunctionError::BadSweep(_) => "Lakewright.BadTrigger",
            FunctionError::SweepFailed(_) => "Lakewright.SweepFailed",
            FunctionError::RekeyFailed { .. } => "Lakewright.RekeyFailed",
        };
        Self {
            error_type: name.to_owned(),
            error_message: error.to_string(),
        }
    }
}

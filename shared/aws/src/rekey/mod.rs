//! The function `rekey`: landed objects in, their reports out.
//!
//! From SQS it answers with the messages that failed; from anything else with the
//! [`Report`](lakewright_jobs::report::Report) of the job that the objects belong to, or with a list of
//! reports where they belong to several jobs or to none. The payload of a
//! [`SweepRequest`](lakewright_jobs::sweep::SweepRequest) is answered with the sweep's report. Objects that are not a job's to read are
//! `ignored`, in a report without a name where no job has anything to do with them.

mod answer;
mod dispatch;
mod metrics;
mod route;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

use lakewright_core::{
    catalog::TableName,
    config::{Config, Rekey},
};
use lakewright_jobs::{
    rekey::{Ports, rekey},
    sweep::{self, SweepRequest},
};
use lambda_runtime::LambdaEvent;
use serde_json::Value;

use self::dispatch::Dispatcher;
use crate::{
    adapters::{glue::GlueCatalog, sqs::SqsQueue},
    clients::Clients,
    config::{LoadError, free_bytes},
    handler::{Base, FunctionError, Invocation, decode, reported},
    settings::{QUEUES, Settings},
};

/// The function between two invocations.
pub struct Function {
    base: Base,
    dispatcher: Dispatcher,
    catalog: GlueCatalog,
    queue: SqsQueue,
    queues: BTreeMap<String, String>,
    /// The tables whose partitions move from directory to directory.
    compacted: Arc<BTreeSet<TableName>>,
}

impl Function {
    /// Reads the configuration and makes the adapters, once for all invocations.
    ///
    /// # Errors
    /// When the configuration cannot be read or is refused, or there is no folder for temporary files.
    pub async fn start(settings: Settings) -> Result<Self, LoadError> {
        let clients = Clients::connect().await;
        let scratch_bytes = free_bytes(&settings.resources.scratch)?;
        let base = Base::start(
            &settings.config,
            settings.resources,
            settings.namespace,
            &clients,
        )
        .await?;
        Ok(Self {
            dispatcher: Dispatcher {
                config: Arc::clone(&base.config),
                resources: base.resources.clone(),
                scratch_bytes,
                clock: Arc::clone(&base.clock),
                namespace: base.namespace.clone(),
            },
            compacted: Arc::new(base.config.compacted_tables().cloned().collect()),
            base,
            catalog: clients.catalog(),
            queue: clients.queue(),
            queues: settings.queues,
        })
    }

    /// Answers one invocation.
    ///
    /// # Errors
    /// Where not a single message can be blamed.
    pub async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value, FunctionError> {
        let invocation = self.base.invocation(&event.context);
        if event.payload.get("sweep").is_some() {
            return self.sweep(&invocation, &event.payload).await;
        }
        let ports = Ports {
            store: invocation.store(),
            catalog: invocation.catalog(&self.catalog),
            clock: invocation.clock(),
        };
        let compacted = Arc::clone(&self.compacted);
        let rekey_one = move |job: Arc<Rekey>, object, budget| {
            let (ports, compacted) = (ports.clone(), Arc::clone(&compacted));
            async move { rekey(&ports, &job, &compacted, &object, &budget).await }
        };
        self.dispatcher
            .answer(
                &event.payload,
                invocation.request_id,
                invocation.deadlines,
                &mut io::stdout(),
                rekey_one,
            )
            .await
    }

    async fn sweep(
        &self,
        invocation: &Invocation<'_>,
        payload: &Value,
    ) -> Result<Value, FunctionError> {
        let ports = sweep::Ports {
            store: invocation.store(),
            queue: Arc::new(self.queue.clone()),
            clock: invocation.clock(),
        };
        let deadline = invocation.deadlines.work;
        let work = async {
            let request: SweepRequest = decode(payload)?;
            let (job, queue) = swept(&self.base.config, &self.queues, &request)?;
            reported(sweep::sweep(&ports, job, &request, queue, deadline).await)
        };
        invocation.answer(payload, work).await
    }
}

/// The job that a sweep is of, and its queue.
fn swept<'a>(
    config: &'a Config,
    queues: &'a BTreeMap<String, String>,
    request: &SweepRequest,
) -> Result<(&'a Rekey, &'a str), FunctionError> {
    let job = config.rekey.iter().find(|job| job.name == request.sweep);
    match (job, queues.get(&request.sweep)) {
        (Some(job), Some(queue)) => Ok((job, queue)),
        _ => Err(FunctionError::bad_trigger(format!(
            "sweep: there is no rekey job `{}` with a queue ({QUEUES})",
            request.sweep
        ))),
    }
}

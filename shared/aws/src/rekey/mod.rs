//! The function `rekey`: processes landed objects and reports on each.
//!
//! The answer to an SQS batch is the messages that failed. The answer to anything else is the
//! [`Report`](lakewright_jobs::report::Report) of the job that the objects belong to, or a list of reports if they
//! belong to several jobs or to none. The answer to a [`SweepRequest`](lakewright_jobs::sweep::SweepRequest) is the
//! sweep's report, that to a [`RedriveRequest`](lakewright_jobs::sweep::RedriveRequest) lists what is given up, and that to `{"status": ["s3://…"]}` is where each of these objects is. Objects that no job reads are `ignored`; if they are under no job's prefix, their report has no
//! name.

mod answer;
mod dispatch;
mod metrics;
mod route;
mod status;
mod targets;

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
    rekey::{Answers, Delivered, Ports, rekey},
    retry::RetryPolicy,
    sweep::{self, RedriveRequest, SweepRequest},
};
use lambda_runtime::LambdaEvent;
use serde_json::Value;

use self::{dispatch::Dispatcher, targets::Targets};
use crate::{
    adapters::{glue::GlueCatalog, secrets::AwsSecrets, sqs::SqsQueue},
    clients::Clients,
    config::{LoadError, free_bytes},
    handler::{Base, FunctionError, Invocation, decode, reported},
    settings::{QUEUES, Settings},
};

/// The function. It lives as long as its execution environment.
pub struct Function {
    base: Base,
    dispatcher: Dispatcher,
    catalog: GlueCatalog,
    secrets: AwsSecrets,
    queue: SqsQueue,
    queues: BTreeMap<String, String>,
    /// The compacted tables, whose partitions move between directories.
    compacted: Arc<BTreeSet<TableName>>,
    targets: Arc<Targets>,
}

impl Function {
    /// Reads the configuration and creates the adapters, once for all invocations.
    ///
    /// # Errors
    /// The configuration cannot be read or is invalid, or the folder for temporary files does not exist.
    pub async fn start(settings: Settings) -> Result<Self, LoadError> {
        let clients = Clients::connect().await;
        let scratch_bytes = free_bytes(&settings.resources.scratch)?;
        let base = Base::start(&settings, &clients).await?;
        Ok(Self {
            dispatcher: Dispatcher {
                config: Arc::clone(&base.config),
                resources: base.resources.clone(),
                scratch_bytes,
                clock: Arc::clone(&base.clock),
                received: Arc::new(clients.queue()),
                namespace: base.namespace.clone(),
            },
            compacted: Arc::new(base.config.compacted_tables().cloned().collect()),
            base,
            targets: Arc::default(),
            catalog: clients.catalog(),
            secrets: clients.secrets(),
            queue: clients.queue(),
            queues: settings.queues,
        })
    }

    /// Answers one invocation.
    ///
    /// # Errors
    /// The failure is not that of a single message.
    pub async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value, FunctionError> {
        let invocation = self.base.invocation(&event.context);
        if event.payload.get("sweep").is_some() {
            return self.sweep(&invocation, &event.payload).await;
        }
        if event.payload.get("redrive").is_some() {
            return self.redrive(&invocation, &event.payload).await;
        }
        if event.payload.get("status").is_some() {
            let (config, store) = (&self.base.config, invocation.store());
            let work = status::answer(config, &*store, &event.payload);
            return invocation.answer(&event.payload, work).await;
        }
        let ports = Ports {
            store: invocation.store(),
            catalog: invocation.catalog(&self.catalog),
            clock: invocation.clock(),
        };
        let secrets = invocation.service(&self.secrets, RetryPolicy::SECRETS);
        let (compacted, targets) = (Arc::clone(&self.compacted), Arc::clone(&self.targets));
        let rekey = move |job: Arc<Rekey>, objects: Vec<Delivered>, budget| {
            let (ports, compacted) = (ports.clone(), Arc::clone(&compacted));
            let (targets, secrets) = (Arc::clone(&targets), Arc::clone(&secrets));
            async move {
                match targets.check(&*ports.store, &job).await {
                    Ok(()) => rekey(&ports, &*secrets, &job, &compacted, &objects, &budget).await,
                    Err(error) => Answers::refused(&objects, error),
                }
            }
        };
        self.dispatcher
            .answer(
                &event.payload,
                invocation.request_id,
                invocation.deadlines,
                &mut io::stdout(),
                rekey,
            )
            .await
    }

    async fn redrive(
        &self,
        invocation: &Invocation<'_>,
        payload: &Value,
    ) -> Result<Value, FunctionError> {
        let ports = self.sweeping(invocation);
        let deadline = invocation.deadlines.work;
        let work = async {
            let request: RedriveRequest = decode(payload)?;
            let (job, queue) = swept(&self.base.config, &self.queues, &request.redrive)?;
            reported(sweep::redrive(&ports, job, &request, queue, deadline).await)
        };
        invocation.answer(payload, work).await
    }

    fn sweeping(&self, invocation: &Invocation<'_>) -> sweep::Ports {
        sweep::Ports {
            store: invocation.store(),
            queue: invocation.service(&self.queue, RetryPolicy::SQS),
            clock: invocation.clock(),
        }
    }

    async fn sweep(
        &self,
        invocation: &Invocation<'_>,
        payload: &Value,
    ) -> Result<Value, FunctionError> {
        let ports = self.sweeping(invocation);
        let deadline = invocation.deadlines.work;
        let work = async {
            let request: SweepRequest = decode(payload)?;
            let (job, queue) = swept(&self.base.config, &self.queues, &request.sweep)?;
            reported(sweep::sweep(&ports, job, &request, queue, deadline).await)
        };
        let answer = invocation.answer(payload, work).await;
        let found = answer.as_ref().ok();
        let found = found.and_then(|report| metrics::found(payload, report));
        invocation.measure(&mut io::stdout(), found.as_slice());
        answer
    }
}

/// The job of this name, and the queue of its sweeps.
fn swept<'a>(
    config: &'a Config,
    queues: &'a BTreeMap<String, String>,
    name: &str,
) -> Result<(&'a Rekey, &'a str), FunctionError> {
    let job = config.rekey.iter().find(|job| job.name == name);
    match (job, queues.get(name)) {
        (Some(job), Some(queue)) => Ok((job, queue)),
        _ => Err(FunctionError::bad_trigger(format!(
            "there is no rekey job `{name}` with a queue ({QUEUES})"
        ))),
    }
}

//! The functions `split-plan` and `split-rows`.

mod metrics;
mod plan;
mod rows;

use std::collections::BTreeMap;

use lakewright_jobs::{retry::RetryPolicy, split::Ports};

pub use self::{plan::PlanFunction, rows::RowsFunction};
use crate::{
    adapters::{athena::AthenaQueries, sqs::SqsQueue, step_functions::StepFunctionsCallback},
    clients::Clients,
    config::LoadError,
    handler::{Base, Invocation},
    settings::Settings,
};

/// The state that both functions keep between invocations.
struct Shared {
    base: Base,
    queues: BTreeMap<String, String>,
    dead_letters: Vec<String>,
    queries: AthenaQueries,
    queue: SqsQueue,
    callback: StepFunctionsCallback,
}

impl Shared {
    async fn start(settings: Settings) -> Result<Self, LoadError> {
        let clients = Clients::connect().await;
        Ok(Self {
            base: Base::start(&settings, &clients).await?,
            queues: settings.queues,
            dead_letters: settings.dead_letters,
            queries: clients.queries(),
            queue: clients.queue(),
            callback: clients.callback(),
        })
    }

    fn ports(&self, invocation: &Invocation<'_>) -> Ports {
        Ports {
            store: invocation.store(),
            queries: invocation.service(&self.queries, RetryPolicy::ATHENA),
            queue: invocation.service(&self.queue, RetryPolicy::SQS),
            callback: invocation.service(&self.callback, RetryPolicy::STEP_FUNCTIONS),
            clock: invocation.clock(),
        }
    }
}

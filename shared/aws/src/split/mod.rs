//! The functions `split-plan` and `split-rows`.

mod metrics;
mod plan;
mod rows;

use std::{collections::BTreeMap, sync::Arc};

use lakewright_jobs::split::Ports;

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
    queries: Arc<AthenaQueries>,
    queue: Arc<SqsQueue>,
    callback: Arc<StepFunctionsCallback>,
}

impl Shared {
    async fn start(settings: Settings) -> Result<Self, LoadError> {
        let clients = Clients::connect().await;
        Ok(Self {
            base: Base::start(&settings, &clients).await?,
            queues: settings.queues,
            dead_letters: settings.dead_letters,
            queries: Arc::new(clients.queries()),
            queue: Arc::new(clients.queue()),
            callback: Arc::new(clients.callback()),
        })
    }

    fn ports(&self, invocation: &Invocation<'_>) -> Ports {
        Ports {
            store: invocation.store(),
            queries: Arc::clone(&self.queries) as _,
            queue: Arc::clone(&self.queue) as _,
            callback: Arc::clone(&self.callback) as _,
            clock: invocation.clock(),
        }
    }
}

//! The functions `repartition-plan`, `repartition-write` and `repartition-commit`.
//!
//! | function | payload | answer |
//! |---|---|---|
//! | `repartition-plan` | a [`PlanRequest`]: `{"name"}` | [`PlanReport`](repartition::PlanReport) |
//! | `repartition-write` | a [`TaskRequest`]: `{"plan", "task"}` or `{"plan", "prepare"}` | [`TaskReport`](repartition::TaskReport) |
//! | `repartition-commit` | a [`CommitRequest`]: `{"plan"}` | [`CommitReport`](repartition::CommitReport) |
//!
//! `repartition-write` takes a Distributed Map's batch of such payloads too (`{"Items": […]}`), and answers with a list.
//! A failure is a function error with a name that Step Functions' `Retry` and `Catch` can match.

use std::sync::Arc;

use lakewright_core::config::Config;
use lakewright_jobs::{
    Failure,
    ports::Clock,
    repartition::{self, Budget, CommitRequest, PlanRequest, Ports, RepartitionError, TaskRequest},
    retry::{RetryPolicy, RetryingCatalog},
};
use lambda_runtime::LambdaEvent;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tracing::{error, info};

pub use crate::function::FunctionError;
use crate::{
    clock::SystemClock,
    config::{LoadError, free_bytes},
    glue::GlueCatalog,
    invocation::{self, Deadlines},
    s3::S3Store,
    sdk::{Clients, chain},
    settings::{Resources, Settings},
    start,
};

/// One of the three functions between two invocations.
pub struct Function {
    config: Arc<Config>,
    store: S3Store,
    catalog: GlueCatalog,
    clock: Arc<dyn Clock>,
    resources: Resources,
    scratch_bytes: u64,
}

impl Function {
    /// Reads the configuration and makes the adapters, once for all invocations.
    ///
    /// # Errors
    /// When the configuration cannot be read or is refused.
    pub async fn start(settings: Settings) -> Result<Self, LoadError> {
        let clients = Clients::connect().await;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = clients.store();
        Ok(Self {
            config: Arc::new(start::config(&settings.config, &store, &clock).await?),
            scratch_bytes: free_bytes(&settings.resources.scratch)?,
            resources: settings.resources,
            catalog: clients.catalog(),
            store,
            clock,
        })
    }

    /// Answers one invocation of `repartition-plan`.
    ///
    /// # Errors
    /// Whatever it is: the same payload may be sent again.
    pub async fn plan(&self, event: LambdaEvent<Value>) -> Result<Value, FunctionError> {
        let config = Arc::clone(&self.config);
        self.answer(event, move |request: PlanRequest, ports, budget| {
            let config = Arc::clone(&config);
            async move {
                let job = config.repartition_named(&request.name).ok_or_else(|| {
                    let name = &request.name;
                    Failed::Unknown(format!("there is no repartition job named `{name}`"))
                })?;
                Ok(repartition::plan(&ports, job, &budget).await?)
            }
        })
        .await
    }

    /// Answers one invocation of `repartition-write`.
    ///
    /// # Errors
    /// Whatever it is: the same payload may be sent again.
    pub async fn write(&self, event: LambdaEvent<Value>) -> Result<Value, FunctionError> {
        let Some(items) = items(&event.payload) else {
            return self.write_one(event).await;
        };
        let mut reports = Vec::with_capacity(items.len());
        for item in items {
            let event = LambdaEvent::new(item, event.context.clone());
            reports.push(self.write_one(event).await?);
        }
        Ok(reports.into())
    }

    async fn write_one(&self, event: LambdaEvent<Value>) -> Result<Value, FunctionError> {
        self.answer(event, |request: TaskRequest, ports, budget| async move {
            Ok(repartition::write(&ports, &request, &budget).await?)
        })
        .await
    }

    /// Answers one invocation of `repartition-commit`.
    ///
    /// # Errors
    /// Whatever it is: the same payload may be sent again.
    pub async fn commit(&self, event: LambdaEvent<Value>) -> Result<Value, FunctionError> {
        self.answer(event, |request: CommitRequest, ports, _| async move {
            Ok(repartition::commit(&ports, &request).await?)
        })
        .await
    }

    async fn answer<R, T, F, W>(
        &self,
        event: LambdaEvent<Value>,
        work: F,
    ) -> Result<Value, FunctionError>
    where
        R: DeserializeOwned + Send + 'static,
        T: Serialize + Send + 'static,
        F: Fn(R, Ports, Budget) -> W + Clone + Send + 'static,
        W: Future<Output = Result<T, Failed>> + Send,
    {
        let request_id = &event.context.request_id;
        let request = decode::<R>(&event.payload)?;
        let deadlines = Deadlines::of(&event.context, self.clock.now());
        let (ports, budget) = (self.ports(&deadlines), self.budget(&deadlines));
        let one = move |request| work(request, ports.clone(), budget.clone());
        let clock = Arc::clone(&self.clock);
        let done = invocation::run(clock, deadlines.stop, 1, vec![request], one).await;
        let outcome = done.into_iter().next().map(|done| done.outcome);
        let answer = match outcome {
            Some(Ok(report)) => serde_json::to_value(report).map_err(|error| FunctionError {
                name: "Lakewright.TaskFailed".to_owned(),
                message: error.to_string(),
            }),
            Some(Err(failure)) => Err(FunctionError {
                name: format!("Lakewright.{}", failure.name()),
                message: chain(&failure),
            }),
            None => Err(FunctionError::bad_trigger("nothing was asked for")),
        };
        match &answer {
            Ok(report) => info!(request_id, %report, "repartition request done"),
            Err(failure) => error!(
                request_id,
                payload = %event.payload,
                kind = failure.name,
                error = failure.message,
                "repartition request failed"
            ),
        }
        answer
    }

    /// The adapters behind the retries of one invocation.
    fn ports(&self, deadlines: &Deadlines) -> Ports {
        let now = self.clock.now();
        let catalog = RetryingCatalog::new(
            self.catalog.clone(),
            Arc::clone(&self.clock),
            deadlines.work,
            start::seed(now),
            RetryPolicy::GLUE,
        );
        let store = start::retrying(&self.store, &self.clock, deadlines.work, now);
        Ports {
            store: Arc::new(store),
            catalog: Arc::new(catalog),
            clock: Arc::clone(&self.clock),
        }
    }

    fn budget(&self, deadlines: &Deadlines) -> Budget {
        Budget {
            memory: self.resources.memory_for_work(),
            scratch: self.resources.scratch.clone(),
            scratch_bytes: self.scratch_bytes,
            deadline: deadlines.work,
        }
    }
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{0}")]
    Unknown(String),
    #[error(transparent)]
    Job(#[from] RepartitionError),
}

impl Failure for Failed {
    fn name(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "BadTrigger",
            Self::Job(error) => error.name(),
        }
    }
}

/// The items of a Distributed Map's batch.
/// <https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itembatcher.html>
fn items(payload: &Value) -> Option<Vec<Value>> {
    payload.get("Items")?.as_array().cloned()
}

fn decode<R: DeserializeOwned>(payload: &Value) -> Result<R, FunctionError> {
    R::deserialize(payload)
        .map_err(|error| FunctionError::bad_trigger(format!("the payload: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<R: DeserializeOwned>(text: &str) -> Result<R, FunctionError> {
        decode(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn golden_payloads() {
        let plan: PlanRequest =
            read(include_str!("../../../../events/repartition-plan.json")).unwrap();
        assert_eq!(plan.name, "ev");
        let task: TaskRequest =
            read(include_str!("../../../../events/repartition-write.json")).unwrap();
        assert_eq!((task.task, task.prepare), (Some(0), None));
        let prepare: TaskRequest =
            read(include_str!("../../../../events/repartition-prepare.json")).unwrap();
        assert_eq!((prepare.task, prepare.prepare), (None, Some(0)));
        let commit: CommitRequest =
            read(include_str!("../../../../events/repartition-commit.json")).unwrap();
        assert_eq!(commit.plan, task.plan);
        let batch = serde_json::json!({ "Items": [task, prepare] });
        assert_eq!(items(&batch).map(|items| items.len()), Some(2));
        assert_eq!(items(&serde_json::json!({ "name": "ev" })), None);
    }

    #[test]
    fn what_is_no_request_is_refused_by_name() {
        let refusals = [
            read::<PlanRequest>("{}").err(),
            read::<PlanRequest>(r#"{"name": "a", "query": 1}"#).err(),
            read::<TaskRequest>(r#"{"plan": "nowhere", "task": 0}"#).err(),
            read::<CommitRequest>("[]").err(),
        ];
        for refusal in refusals {
            assert_eq!(
                refusal.map(|error| error.name).as_deref(),
                Some("Lakewright.BadTrigger")
            );
        }
    }
}

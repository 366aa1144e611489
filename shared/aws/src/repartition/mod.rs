//! The functions `repartition-plan`, `repartition-write` and `repartition-commit`.
//!
//! | function | payload | answer |
//! |---|---|---|
//! | `repartition-plan` | a [`PlanRequest`]: `{"name"}` | [`PlanReport`](repartition::PlanReport) |
//! | `repartition-write` | a [`TaskRequest`]: `{"plan", "task"}` or `{"plan", "prepare"}` | [`TaskReport`](repartition::TaskReport) |
//! | `repartition-commit` | a [`CommitRequest`]: `{"plan"}` | [`CommitReport`](repartition::CommitReport) |
//!
//! `repartition-write` also takes a Distributed Map's batch of such payloads (`{"Items": […]}`), and answers with a
//! list. A failure is a function error whose name Step Functions' `Retry` and `Catch` can match.

use std::sync::Arc;

use lakewright_jobs::{
    repartition::{self, Budget, CommitRequest, PlanRequest, Ports, TaskRequest},
    retry::{RetryPolicy, RetryingService},
};
use lambda_runtime::{Context, LambdaEvent};
use serde_json::Value;

use crate::{
    adapters::{glue::GlueCatalog, secrets::AwsSecrets},
    clients::Clients,
    config::{LoadError, free_bytes},
    handler::{Base, FunctionError, decode, reported},
    settings::Settings,
};

/// One of the three functions. It lives as long as its execution environment.
pub struct Function {
    base: Base,
    catalog: GlueCatalog,
    secrets: AwsSecrets,
    scratch_bytes: u64,
}

impl Function {
    /// Reads the configuration and creates the adapters, once for all invocations.
    ///
    /// # Errors
    /// The configuration cannot be read or is invalid, or the folder for temporary files does not exist.
    pub async fn start(settings: Settings) -> Result<Self, LoadError> {
        let clients = Clients::connect().await;
        Ok(Self {
            scratch_bytes: free_bytes(&settings.resources.scratch)?,
            base: Base::start(&settings, &clients).await?,
            catalog: clients.catalog(),
            secrets: clients.secrets(),
        })
    }

    /// Answers one invocation of `repartition-plan`.
    ///
    /// # Errors
    /// Any failure: the same payload may be sent again.
    pub async fn plan(&self, event: LambdaEvent<Value>) -> Result<Value, FunctionError> {
        let LambdaEvent { payload, context } = &event;
        self.answer(context, payload, async |ports, secrets, budget| {
            let PlanRequest { name } = decode(payload)?;
            let job = self.base.config.repartition_named(&name).ok_or_else(|| {
                FunctionError::bad_trigger(format!("there is no repartition job named `{name}`"))
            })?;
            reported(Box::pin(repartition::plan(&ports, &*secrets, job, &budget)).await)
        })
        .await
    }

    /// Answers one invocation of `repartition-write`.
    ///
    /// # Errors
    /// As [`Function::plan`].
    pub async fn write(&self, event: LambdaEvent<Value>) -> Result<Value, FunctionError> {
        let LambdaEvent { payload, context } = &event;
        let Some(items) = items(payload) else {
            return self.write_one(context, payload).await;
        };
        let mut reports = Vec::with_capacity(items.len());
        for item in items {
            reports.push(self.write_one(context, item).await?);
        }
        Ok(reports.into())
    }

    async fn write_one(&self, context: &Context, payload: &Value) -> Result<Value, FunctionError> {
        self.answer(context, payload, async |ports, secrets, budget| {
            let request: TaskRequest = decode(payload)?;
            reported(Box::pin(repartition::write(&ports, &*secrets, &request, &budget)).await)
        })
        .await
    }

    /// Answers one invocation of `repartition-commit`.
    ///
    /// # Errors
    /// As [`Function::plan`].
    pub async fn commit(&self, event: LambdaEvent<Value>) -> Result<Value, FunctionError> {
        let LambdaEvent { payload, context } = &event;
        self.answer(context, payload, async |ports, _, budget| {
            let request: CommitRequest = decode(payload)?;
            reported(repartition::commit(&ports, &request, budget.deadline).await)
        })
        .await
    }

    /// Answers one request with `work`, which gets the adapters and the budget.
    async fn answer(
        &self,
        context: &Context,
        payload: &Value,
        work: impl AsyncFnOnce(
            Ports,
            Arc<RetryingService<AwsSecrets>>,
            Budget,
        ) -> Result<Value, FunctionError>,
    ) -> Result<Value, FunctionError> {
        let invocation = self.base.invocation(context);
        let ports = Ports {
            store: invocation.store(),
            catalog: invocation.catalog(&self.catalog),
            clock: invocation.clock(),
        };
        let secrets = invocation.service(&self.secrets, RetryPolicy::SECRETS);
        let budget = Budget {
            memory: self.base.memory(),
            scratch: self.base.resources.scratch.clone(),
            scratch_bytes: self.scratch_bytes,
            deadline: invocation.deadlines.work,
        };
        invocation
            .answer(payload, work(ports, secrets, budget))
            .await
    }
}

/// The items of a Distributed Map's batch.
/// <https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itembatcher.html>
fn items(payload: &Value) -> Option<&Vec<Value>> {
    payload.get("Items")?.as_array()
}

#[cfg(test)]
mod tests {
    use lakewright_jobs::Failure;
    use serde::de::DeserializeOwned;

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
        assert_eq!(items(&batch).map(Vec::len), Some(2));
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
            assert_eq!(refusal.map(|error| error.name()), Some("BadTrigger"));
        }
    }
}

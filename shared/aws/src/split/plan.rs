//! The function `split-plan`: plans a job and enqueues its chunks, and tells how far one is, or cancels it.
//!
//! | payload | answer |
//! |---|---|
//! | a [`PlanRequest`]: `{"name", "query_execution_id"}` or `{"name", "result"}`, `"task_token"`?, `"confirm"`? | [`PlanReport`](split::PlanReport) |
//! | `{"name"?, "status": "<job id>", "run"?}` | [`Progress`](split::Progress) |
//! | `{"name", "cancel": "<job id>", "run"?}` | [`Cancellation`](split::Cancellation) |

use lakewright_core::config;
use lakewright_jobs::{
    ports::Store,
    split::{self, Budget, PlanRequest, Ports, SplitError},
};
use lambda_runtime::LambdaEvent;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use tracing::{error, info, warn};

use crate::{
    config::LoadError,
    function::{Base, FunctionError},
    settings::{QUEUES, Settings},
};

/// The function between two invocations.
pub struct PlanFunction {
    base: Base,
}

/// A question about a job.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusRequest {
    /// Whichever job knows the id, where none is named.
    #[serde(default)]
    name: Option<String>,
    status: String,
    #[serde(default)]
    run: Option<String>,
}

/// A job to cancel.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CancelRequest {
    name: String,
    cancel: String,
    #[serde(default)]
    run: Option<String>,
}

/// What a payload asks for.
#[derive(Debug)]
enum Request {
    Plan(PlanRequest),
    Status(StatusRequest),
    Cancel(CancelRequest),
}

impl Request {
    fn decode(payload: &Value) -> Result<Self, FunctionError> {
        if payload.get("status").is_some() {
            decode(payload).map(Self::Status)
        } else if payload.get("cancel").is_some() {
            decode(payload).map(Self::Cancel)
        } else {
            decode(payload).map(Self::Plan)
        }
    }
}

fn decode<T: DeserializeOwned>(payload: &Value) -> Result<T, FunctionError> {
    T::deserialize(payload)
        .map_err(|error| FunctionError::bad_trigger(format!("the payload: {error}")))
}

impl PlanFunction {
    /// Reads the configuration and makes the adapters, once for all invocations.
    ///
    /// # Errors
    /// When the configuration cannot be read or is refused.
    pub async fn start(settings: Settings) -> Result<Self, LoadError> {
        let base = Base::start(settings).await?;
        Ok(Self { base })
    }

    /// Answers one invocation. A state machine that waits for the plan, by the payload's `task_token`, is told of a
    /// failure.
    ///
    /// # Errors
    /// Whatever it is: the same payload may be sent again.
    pub async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value, FunctionError> {
        let request_id = &event.context.request_id;
        let budget = Budget {
            memory: self.base.memory(),
            deadline: self.base.deadlines(&event.context).work,
        };
        let ports = self.base.ports(budget.deadline);
        let job = event.payload.get("name").and_then(Value::as_str);
        match self.answer(&ports, &event.payload, &budget).await {
            Ok(answer) => {
                info!(request_id, job, report = %answer, "split request done");
                Ok(answer)
            }
            Err(failure) => {
                let (kind, message) = (&failure.name, &failure.message);
                error!(
                    request_id,
                    job,
                    kind,
                    error = message,
                    "split request failed"
                );
                let token = event.payload.get("task_token").and_then(Value::as_str);
                if let Some(token) = token
                    && let Err(untold) = ports.callback.fail(token, kind, message).await
                {
                    // The failure is the invocation's answer too.
                    warn!(request_id, job, error = %untold, "the state machine was not told");
                }
                Err(failure)
            }
        }
    }

    async fn answer(
        &self,
        ports: &Ports,
        payload: &Value,
        budget: &Budget,
    ) -> Result<Value, FunctionError> {
        match Request::decode(payload)? {
            Request::Plan(request) => {
                let job = self.named(&request.name)?;
                let queue = self.base.queues.get(&job.name).ok_or_else(|| {
                    FunctionError::bad_trigger(format!(
                        "the split job `{}` has no queue ({QUEUES})",
                        job.name
                    ))
                })?;
                reported(split::plan(ports, job, &request, queue, budget).await)
            }
            Request::Status(request) => self.status(&*ports.store, &request).await,
            Request::Cancel(CancelRequest { name, cancel, run }) => {
                let job = self.named(&name)?;
                reported(split::cancel(ports, job, &cancel, run.as_deref()).await)
            }
        }
    }

    async fn status(
        &self,
        store: &dyn Store,
        request: &StatusRequest,
    ) -> Result<Value, FunctionError> {
        let (id, run) = (&request.status, request.run.as_deref());
        if let Some(name) = &request.name {
            return reported(split::status(store, self.named(name)?, id, run).await);
        }
        for job in &self.base.config.split {
            match split::status(store, job, id, run).await {
                Err(SplitError::PlanMissing(_)) => {}
                result => return reported(result),
            }
        }
        Err(FunctionError::bad_trigger(format!(
            "no split job knows the id `{id}`"
        )))
    }

    fn named(&self, name: &str) -> Result<&config::Split, FunctionError> {
        self.base.config.split_named(name).ok_or_else(|| {
            FunctionError::bad_trigger(format!("there is no split job named `{name}`"))
        })
    }
}

fn reported<T: Serialize>(result: Result<T, SplitError>) -> Result<Value, FunctionError> {
    let report = result.map_err(|error| FunctionError::from(&error))?;
    serde_json::to_value(report).map_err(|error| FunctionError {
        name: "Lakewright.TaskFailed".to_owned(),
        message: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_payloads() {
        for (text, expected) in [
            (include_str!("../../../../events/split-plan.json"), "plan"),
            (
                include_str!("../../../../events/split-plan-result.json"),
                "plan",
            ),
            (
                include_str!("../../../../events/split-plan-status.json"),
                "status",
            ),
            (
                include_str!("../../../../events/split-plan-cancel.json"),
                "cancel",
            ),
        ] {
            let payload = serde_json::from_str(text).unwrap();
            let (found, name) = match Request::decode(&payload).unwrap() {
                Request::Plan(request) => ("plan", Some(request.name)),
                Request::Status(request) => ("status", request.name),
                Request::Cancel(request) => ("cancel", Some(request.name)),
            };
            assert_eq!(
                (found, name.as_deref()),
                (expected, Some("user_info")),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_request_is_refused_by_name() {
        for text in [
            "[]",
            "{}",
            r#"{"name": "a", "query": "b"}"#,
            r#"{"name": "a", "status": 1}"#,
            r#"{"name": "a", "result": "not a URI"}"#,
        ] {
            let payload = serde_json::from_str(text).unwrap();
            let error = Request::decode(&payload).unwrap_err();
            assert_eq!(error.name, "Lakewright.BadTrigger", "{text}");
        }
    }
}

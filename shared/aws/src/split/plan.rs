//! The function `split-plan`: plans a job and enqueues its chunks, reports its progress, or cancels it.
//!
//! | payload | answer |
//! |---|---|
//! | a [`PlanRequest`]: `{"name", "query_execution_id"}` or `{"name", "result"}`, `"task_token"`?, `"confirm"`? | [`PlanReport`](split::PlanReport) |
//! | `{"name"?, "status": "<job id>", "run"?}` | [`Progress`](split::Progress) |
//! | `{"name", "cancel": "<job id>", "run"?}` | [`Cancellation`](split::Cancellation) |

use std::collections::BTreeMap;

use lakewright_core::config::{self, Config};
use lakewright_jobs::{
    ErrorKind, Failure,
    split::{self, Budget, PlanRequest, Ports},
};
use lakewright_ports::{Callback, Store};
use lambda_runtime::LambdaEvent;
use serde::Deserialize;
use serde_json::Value;
use tracing::warn;

use super::Shared;
use crate::{
    config::LoadError,
    handler::{FunctionError, decode, reported},
    settings::{QUEUES, Settings},
};

/// The function. It lives as long as its execution environment.
pub struct PlanFunction {
    shared: Shared,
}

/// A status request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusRequest {
    /// The job's name. If it is missing, all jobs are searched for the id.
    #[serde(default)]
    name: Option<String>,
    status: String,
    #[serde(default)]
    run: Option<String>,
}

/// A request to cancel a job.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CancelRequest {
    name: String,
    cancel: String,
    #[serde(default)]
    run: Option<String>,
}

/// The request in a payload.
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

impl PlanFunction {
    /// Reads the configuration and creates the adapters, once for all invocations.
    ///
    /// # Errors
    /// The configuration cannot be read or is invalid.
    pub async fn start(settings: Settings) -> Result<Self, LoadError> {
        let shared = Shared::start(settings).await?;
        Ok(Self { shared })
    }

    /// Answers one invocation. If the payload has a `task_token`, a failure is also sent to the state machine that
    /// waits.
    ///
    /// # Errors
    /// Any failure: the same payload may be sent again.
    pub async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value, FunctionError> {
        let base = &self.shared.base;
        let invocation = base.invocation(&event.context);
        let budget = Budget {
            memory: base.memory(),
            deadline: invocation.deadlines.work,
        };
        let ports = self.shared.ports(&invocation);
        let (config, queues) = (&base.config, &self.shared.queues);
        let work = answer(&ports, config, queues, &event.payload, &budget);
        let answer = invocation.answer(&event.payload, work).await;
        if let Err(failure) = &answer {
            tell(&self.shared.callback, &event.payload, failure).await;
        }
        answer
    }
}

/// Sends the failure to the state machine that waits, if any, once: the deadline for retries may have passed. If that
/// fails, the invocation's own answer still has the failure.
async fn tell(callback: &dyn Callback, payload: &Value, failure: &FunctionError) {
    let Some(token) = payload.get("task_token").and_then(Value::as_str) else {
        return;
    };
    let name = format!("Lakewright.{}", failure.name());
    if let Err(untold) = callback.fail(token, &name, &failure.to_string()).await {
        let job = payload.get("name").and_then(Value::as_str);
        warn!(job, error = %untold, "the state machine was not notified");
    }
}

async fn answer(
    ports: &Ports,
    config: &Config,
    queues: &BTreeMap<String, String>,
    payload: &Value,
    budget: &Budget,
) -> Result<Value, FunctionError> {
    match Request::decode(payload)? {
        Request::Plan(request) => {
            let job = named(config, &request.name)?;
            let queue = queues.get(&job.name).ok_or_else(|| {
                FunctionError::bad_trigger(format!(
                    "the split job `{}` has no queue ({QUEUES})",
                    job.name
                ))
            })?;
            reported(split::plan(ports, job, &request, queue, budget).await)
        }
        Request::Status(request) => status(&*ports.store, config, queues, &request).await,
        Request::Cancel(CancelRequest { name, cancel, run }) => {
            let job = named(config, &name)?;
            reported(split::cancel(ports, job, &cancel, run.as_deref()).await)
        }
    }
}

async fn status(
    store: &dyn Store,
    config: &Config,
    queues: &BTreeMap<String, String>,
    request: &StatusRequest,
) -> Result<Value, FunctionError> {
    let (id, run) = (&request.status, request.run.as_deref());
    if let Some(name) = &request.name {
        return reported(split::status(store, named(config, name)?, id, run).await);
    }
    // A job without a queue here is another function's, whose ledger this one may not read.
    for job in config
        .split
        .iter()
        .filter(|job| queues.contains_key(&job.name))
    {
        match split::status(store, job, id, run).await {
            Err(error) if error.kind() == ErrorKind::PlanMissing => {}
            result => return reported(result),
        }
    }
    Err(FunctionError::bad_trigger(format!(
        "no split job of this function knows the id `{id}`"
    )))
}

fn named<'a>(config: &'a Config, name: &str) -> Result<&'a config::Split, FunctionError> {
    config
        .split_named(name)
        .ok_or_else(|| FunctionError::bad_trigger(format!("there is no split job named `{name}`")))
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
            assert_eq!(error.name(), "BadTrigger", "{text}");
        }
    }
}

//! The function `split-rows`: writes the rows of chunks. Each message names one chunk.
//!
//! The answer to an SQS batch is the messages that failed. Messages of a dead-letter queue (`LAKEWRIGHT_DEAD_LETTERS`
//! lists these queues) are not retried: their chunk is marked as failed, which ends the run that waits for it. The
//! answer to any other payload is its [`ChunkReport`].

use std::io;

use lakewright_core::config::Config;
use lakewright_jobs::{
    Failure,
    split::{self, Budget, ChunkReport, Task},
};
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};
use tracing::{error, info};

use super::{Shared, metrics};
use crate::{
    again::deliver_again,
    config::LoadError,
    handler::{FunctionError, batch_answer},
    invocation::{self, Done},
    settings::Settings,
};

/// The memory for each chunk if several are processed at once: a chunk may have 32 MiB of rows, and a last row of 32
/// MiB.
const MEMORY_PER_CHUNK: u64 = 192 << 20;

/// The function. It lives as long as its execution environment.
pub struct RowsFunction {
    shared: Shared,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Message {
    id: Option<String>,
    task: Result<Task, String>,
    /// How often it was received.
    receives: u32,
    /// Whether it comes from a dead-letter queue.
    dead: bool,
}

/// A chunk to process.
#[derive(Debug, Clone)]
struct Piece {
    id: Option<String>,
    task: Task,
    receives: u32,
    dead: bool,
}

impl RowsFunction {
    /// Reads the configuration and creates the adapters, once for all invocations.
    ///
    /// # Errors
    /// The configuration cannot be read or is invalid.
    pub async fn start(settings: Settings) -> Result<Self, LoadError> {
        let shared = Shared::start(settings).await?;
        Ok(Self { shared })
    }

    /// Answers one invocation.
    ///
    /// # Errors
    /// The failure is not that of a single message.
    pub async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value, FunctionError> {
        let Shared {
            base, dead_letters, ..
        } = &self.shared;
        let invocation = base.invocation(&event.context);
        let request_id = invocation.request_id;
        let (messages, is_sqs) = decode(&event.payload, &base.config, dead_letters);
        let (pieces, mut failed) = taken(messages, request_id);
        let at_once = (base.memory() / MEMORY_PER_CHUNK).clamp(1, pieces.len().max(1) as u64);
        let budget = Budget {
            memory: base.memory() / at_once,
            deadline: invocation.deadlines.work,
        };
        let ports = self.shared.ports(&invocation);
        let work = move |piece: Piece| {
            let ports = ports.clone();
            async move {
                if piece.dead {
                    split::abandon(&ports, &piece.task).await
                } else {
                    split::rows(&ports, &piece.task, piece.receives, &budget).await
                }
            }
        };
        let done = invocation::run(
            invocation.clock(),
            invocation.deadlines.stop,
            usize::try_from(at_once).unwrap_or(1),
            pieces.clone(),
            work,
        )
        .await;
        let mut reports = Vec::new();
        for (piece, Done { outcome, duration }) in pieces.into_iter().zip(done) {
            let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
            let (plan, chunk) = (piece.task.plan.to_string(), piece.task.chunk);
            match outcome {
                Ok(report) => {
                    let line = json!(report);
                    info!(request_id, message_id = piece.id, plan, chunk, duration_ms, report = %line, "chunk done");
                    reports.push((report, duration));
                }
                Err(failure) => {
                    let failure = FunctionError::of(&failure);
                    error!(
                        request_id,
                        message_id = piece.id,
                        plan,
                        chunk,
                        duration_ms,
                        error_name = failure.name(),
                        error = %failure,
                        "chunk failed"
                    );
                    failed.push((piece.id, failure));
                }
            }
        }
        invocation.measure(&mut io::stdout(), &metrics::of(&reports));
        if is_sqs {
            let named = failed
                .iter()
                .map(|(id, failure)| (id.as_deref(), failure.name()));
            let time = (&*invocation.clock(), invocation.deadlines.stop);
            deliver_again(&self.shared.queue, time, request_id, &event.payload, named).await;
            batch_answer(
                failed
                    .iter()
                    .map(|(id, failure)| (id.as_deref(), failure.to_string())),
            )
        } else {
            direct_answer(reports, failed)
        }
    }
}

/// The chunks to process, and the messages that name none.
fn taken(
    messages: Vec<Message>,
    request_id: &str,
) -> (Vec<Piece>, Vec<(Option<String>, FunctionError)>) {
    let (mut pieces, mut rejected) = (Vec::new(), Vec::new());
    for message in messages {
        let id = message.id;
        match message.task {
            Ok(task) => pieces.push(Piece {
                id,
                task,
                receives: message.receives,
                dead: message.dead,
            }),
            Err(why) => {
                error!(request_id, message_id = id, error = why, "message rejected");
                // A dead letter that names no chunk is dropped: it ends no run, and would be delivered again and again.
                if !message.dead {
                    rejected.push((id, FunctionError::bad_trigger(why)));
                }
            }
        }
    }
    (pieces, rejected)
}

/// The messages of a payload, and whether it is an SQS batch.
fn decode(payload: &Value, config: &Config, dead_letters: &[String]) -> (Vec<Message>, bool) {
    let text =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let is_sqs = |record: &Value| text(record, "eventSource").as_deref() == Some("aws:sqs");
    match payload.get("Records").and_then(Value::as_array) {
        Some(records) if records.iter().any(is_sqs) => {
            let message = |record: &Value| {
                let receives = record.pointer("/attributes/ApproximateReceiveCount");
                let receives = receives
                    .and_then(Value::as_str)
                    .and_then(|n| n.parse::<u32>().ok());
                let queue = text(record, "eventSourceARN").unwrap_or_default();
                let body = text(record, "body").unwrap_or_default();
                Message {
                    id: text(record, "messageId"),
                    task: serde_json::from_str(&body)
                        .map_err(|error| format!("the message's body: {error}"))
                        .and_then(|task| ours(task, config)),
                    receives: receives.unwrap_or(1),
                    dead: dead_letters.contains(&queue),
                }
            };
            (records.iter().map(message).collect(), true)
        }
        _ => {
            let task = serde_json::from_value(payload.clone());
            let message = Message {
                id: None,
                task: task
                    .map_err(|error| format!("the payload: {error}"))
                    .and_then(|task| ours(task, config)),
                receives: 1,
                dead: false,
            };
            (vec![message], false)
        }
    }
}

/// Only plans in the ledgers of configured jobs are accepted.
fn ours(task: Task, config: &Config) -> Result<Task, String> {
    if config
        .split
        .iter()
        .any(|job| job.ledger().contains(&task.plan))
    {
        Ok(task)
    } else {
        Err(format!("{} is in no split job's ledger", task.plan))
    }
}

fn direct_answer(
    reports: Vec<(ChunkReport, std::time::Duration)>,
    failed: Vec<(Option<String>, FunctionError)>,
) -> Result<Value, FunctionError> {
    if let Some((_, error)) = failed.into_iter().next() {
        return Err(error);
    }
    let report = reports.into_iter().next().map(|(report, _)| report);
    Ok(json!(report))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let text = "[[split]]\nname = \"user_info\"\ntarget = \"s3://lakewright-objects/user_info/\"\nallow_any_source = true";
        Config::parse(text).unwrap()
    }

    const DEAD: &str = "arn:aws:sqs:us-east-1:000000000000:split-rows-dead";

    #[test]
    fn golden_payloads() {
        let payload =
            serde_json::from_str(include_str!("../../../../events/split-rows-sqs.json")).unwrap();
        let (messages, is_sqs) = decode(&payload, &config(), &[DEAD.to_owned()]);
        assert!(is_sqs);
        let found: Vec<_> = messages
            .iter()
            .map(|m| {
                (
                    m.id.as_deref(),
                    m.task.as_ref().map(|t| t.chunk).ok(),
                    m.receives,
                    m.dead,
                )
            })
            .collect();
        let expected = [
            (Some("m-1"), Some(0), 1, false),
            (Some("m-2"), Some(1), 3, false),
            (Some("m-3"), None, 1, false),
            (Some("m-4"), Some(2), 5, true),
        ];
        assert_eq!(found, expected);
        let payload =
            serde_json::from_str(include_str!("../../../../events/split-rows.json")).unwrap();
        let (messages, is_sqs) = decode(&payload, &config(), &[]);
        assert!(!is_sqs);
        assert_eq!(messages[0].task.as_ref().unwrap().chunk, 0);
    }

    #[test]
    fn only_plans_of_configured_jobs_are_followed() {
        let task = |plan: &str| Task {
            plan: plan.parse().unwrap(),
            chunk: 0,
            run: "r".to_owned(),
            resumed: false,
        };
        let config = config();
        assert!(
            ours(
                task("s3://lakewright-objects/user_info/_lakewright/split/q/plan"),
                &config
            )
            .is_ok()
        );
        assert!(
            ours(
                task("s3://elsewhere/user_info/_lakewright/split/q/plan"),
                &config
            )
            .is_err()
        );
    }
}

//! The function `split-rows`: writes the rows of chunks, each message one chunk.
//!
//! From SQS it answers with the messages that failed. Messages of a dead-letter queue (one of those that
//! `LAKEWRIGHT_DEAD_LETTERS` names) are not tried again: their chunk is noted as failed, which ends the run that waits for
//! it. A message by hand is answered with its [`ChunkReport`].

use std::{future::Future, io::Write, sync::Arc};

use lakewright_core::config::Config;
use lakewright_jobs::split::{self, Budget, ChunkReport, SplitError, Task};
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};
use tracing::{error, info};

use super::metrics;
use crate::{
    config::LoadError,
    function::{Base, FunctionError},
    invocation::{self, Deadlines, Done, WorkError},
    sdk::chain,
    settings::Settings,
};

/// Memory that one chunk is given where there are many: it may have 32 MiB of rows, and a last row of 32 MiB.
const MEMORY_PER_CHUNK: u64 = 192 << 20;

/// The function between two invocations.
pub struct RowsFunction {
    base: Base,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Message {
    id: Option<String>,
    task: Result<Task, String>,
    /// It was received before.
    resumed: bool,
    /// It comes from a dead-letter queue.
    dead: bool,
}

/// A chunk to handle.
#[derive(Debug, Clone)]
struct Piece {
    id: Option<String>,
    task: Task,
    resumed: bool,
    dead: bool,
}

impl RowsFunction {
    /// Reads the configuration and makes the adapters, once for all invocations.
    ///
    /// # Errors
    /// When the configuration cannot be read or is refused.
    pub async fn start(settings: Settings) -> Result<Self, LoadError> {
        let base = Base::start(settings).await?;
        Ok(Self { base })
    }

    /// Answers one invocation.
    ///
    /// # Errors
    /// Where not a single message can be blamed.
    pub async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value, FunctionError> {
        let deadlines = self.base.deadlines(&event.context);
        let ports = self.base.ports(deadlines.work);
        let work = move |piece: Piece, budget: Budget| {
            let ports = ports.clone();
            async move {
                if piece.dead {
                    split::abandon(&ports, &piece.task).await
                } else {
                    split::rows(&ports, &piece.task, piece.resumed, &budget).await
                }
            }
        };
        let request_id = &event.context.request_id;
        let mut out = std::io::stdout();
        answer(
            &self.base,
            &event.payload,
            request_id,
            deadlines,
            &mut out,
            work,
        )
        .await
    }
}

/// The messages of a payload, and whether it is a batch of SQS.
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
                    resumed: receives.is_some_and(|receives| receives > 1),
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
                resumed: false,
                dead: false,
            };
            (vec![message], false)
        }
    }
}

/// Only plans in the ledgers of configured jobs are followed.
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

async fn answer<F, W>(
    base: &Base,
    payload: &Value,
    request_id: &str,
    deadlines: Deadlines,
    out: &mut impl Write,
    work: F,
) -> Result<Value, FunctionError>
where
    F: Fn(Piece, Budget) -> W + Clone + Send + 'static,
    W: Future<Output = Result<ChunkReport, SplitError>> + Send,
{
    let (messages, is_sqs) = decode(payload, &base.config, &base.dead_letters);
    let (mut pieces, mut failed) = (Vec::new(), Vec::new());
    for message in messages {
        let id = message.id;
        match message.task {
            Ok(task) => pieces.push(Piece {
                id,
                task,
                resumed: message.resumed,
                dead: message.dead,
            }),
            Err(why) => {
                error!(request_id, message_id = id, error = why, "message rejected");
                // A dead letter that names no chunk ends no run, and would come back for ever.
                if !message.dead {
                    failed.push((id, FunctionError::bad_trigger(why)));
                }
            }
        }
    }
    let at_once = (base.memory() / MEMORY_PER_CHUNK).clamp(1, pieces.len().max(1) as u64);
    let budget = Budget {
        memory: base.memory() / at_once,
        deadline: deadlines.work,
    };
    let at_once = usize::try_from(at_once).unwrap_or(1);
    let clock = Arc::clone(&base.clock);
    let run = move |piece: Piece| work(piece, budget);
    let done = invocation::run(clock, deadlines.stop, at_once, pieces.clone(), run).await;
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
                let message = chain(&failure);
                error!(
                    request_id,
                    message_id = piece.id,
                    plan,
                    chunk,
                    duration_ms,
                    error = message,
                    "chunk failed"
                );
                failed.push((piece.id, function_error(&failure)));
            }
        }
    }
    if let Err(failure) = metrics::write(out, base.clock.now(), request_id, &reports, failed.len())
    {
        error!(request_id, error = %failure, "metrics were not written");
    }
    if is_sqs {
        batch_answer(failed)
    } else {
        direct_answer(reports, failed)
    }
}

fn function_error(failure: &WorkError<SplitError>) -> FunctionError {
    match failure {
        WorkError::Failed(error) => error.into(),
        WorkError::Panicked(_) => FunctionError {
            name: "Lakewright.TaskFailed".to_owned(),
            message: failure.to_string(),
        },
        WorkError::OutOfTime => FunctionError {
            name: "Lakewright.Deadline".to_owned(),
            message: failure.to_string(),
        },
    }
}

/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>
fn batch_answer(failed: Vec<(Option<String>, FunctionError)>) -> Result<Value, FunctionError> {
    let mut failures = Vec::new();
    for (id, error) in failed {
        // A message that hides its id cannot fail alone.
        let id = id.ok_or(error)?;
        failures.push(json!({"itemIdentifier": id}));
    }
    Ok(json!({"batchItemFailures": failures}))
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
                    m.resumed,
                    m.dead,
                )
            })
            .collect();
        let expected = [
            (Some("m-1"), Some(0), false, false),
            (Some("m-2"), Some(1), true, false),
            (Some("m-3"), None, false, false),
            (Some("m-4"), Some(2), true, true),
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

    #[test]
    fn a_message_without_an_id_fails_the_batch() {
        let error = || FunctionError::bad_trigger("x");
        assert_eq!(
            batch_answer(vec![(Some("m".to_owned()), error())]).unwrap(),
            json!({"batchItemFailures": [{"itemIdentifier": "m"}]})
        );
        assert_eq!(batch_answer(vec![(None, error())]), Err(error()));
        assert_eq!(
            batch_answer(Vec::new()).unwrap(),
            json!({"batchItemFailures": []})
        );
    }
}

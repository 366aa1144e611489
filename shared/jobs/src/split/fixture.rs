//! A job that splits the result `q.csv`, of five rows in three chunks, into objects named by their first column.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use lakewright_core::config::{Config, Split};
use lakewright_model::{Client, Plan as Life};
use serde_json::Value;

use super::{
    Budget, PlanRequest, Ports, Task, cancel,
    ledger::Ledger,
    plan,
    rows::{abandon, rows},
};
use crate::{
    fixture::{self, Lake, TOKEN, View, told},
    kit::JobError,
};

const QUEUE: &str = "https://sqs/rows";
const ROWS: &str = "\"id\"\n\"a\"\n\"b\"\n\"c\"\n\"d\"\n\"e\"\n";

/// What happened before a step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Was {
    /// The job was planned, by a run that a state machine waits for.
    Planned,
    /// A chunk was written.
    Wrote(u32),
    /// An attempt at a chunk died right after it had written the object of this row.
    Died(u32, &'static str),
    /// A chunk's message came to the dead-letter queue.
    Abandoned(u32),
    /// The run was cancelled.
    Cancelled,
    /// An object was written by somebody else, at the key of a row.
    Taken(&'static str),
    /// The result was replaced.
    Replaced,
    /// It holds something else.
    Holds(&'static [u8]),
    /// The result was removed.
    Gone,
}

/// The steps of the job.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Plan {
        confirm: bool,
    },
    /// A chunk, for a message that was received so often.
    Rows(u32, u32),
    Abandon(u32),
    Cancel,
}

fn job() -> Split {
    let text = r#"
        [[split]]
        name = "j"
        target = "s3://lake/rows/"
        key = "{id}"
        chunk_rows = 2
        max_puts = 100
        allow_any_source = true
    "#;
    Config::parse(text).unwrap().split.remove(0)
}

fn ports_of(lake: &Lake, client: &Client) -> Ports {
    Ports {
        store: Arc::new(client.clone()),
        queries: Arc::new(client.clone()),
        queue: Arc::new(client.clone()),
        callback: Arc::new(client.clone()),
        clock: Arc::new(lake.cloud.clock),
    }
}

fn task(chunk: u32) -> Task {
    Task {
        plan: Ledger::new(&job(), "q").plan(),
        chunk,
        run: "r".to_owned(),
        resumed: false,
    }
}

async fn run(lake: &Lake, ports: &Ports, step: Step) -> Result<String, JobError> {
    let budget = Budget {
        memory: 64 << 20,
        deadline: lake.deadline(),
    };
    match step {
        Step::Plan { confirm } => {
            let request = PlanRequest {
                name: "j".to_owned(),
                result: Some(Lake::at("q.csv")),
                job: Some("q".to_owned()),
                run: Some("r".to_owned()),
                task_token: Some(TOKEN.to_owned()),
                confirm,
                ..PlanRequest::default()
            };
            let report = plan(ports, &job(), &request, QUEUE, &budget).await?;
            let (enqueued, chunks) = (report.enqueued, report.chunks);
            Ok(format!("{:?}, {enqueued} of {chunks} sent", report.state))
        }
        Step::Rows(chunk, receives) => {
            let report = rows(ports, &task(chunk), receives, &budget).await?;
            let (written, stood) = (report.written, report.stood);
            let failure = report
                .failure
                .map_or("none".to_owned(), |failure| failure.error);
            Ok(format!(
                "{:?}: {written} written, {stood} stood, failure {failure}, {:?}",
                report.status, report.state
            ))
        }
        Step::Abandon(chunk) => {
            let report = abandon(ports, &task(chunk)).await?;
            Ok(format!("{:?}, {:?}", report.status, report.state))
        }
        Step::Cancel => {
            let cancellation = cancel(ports, &job(), "q", Some("r")).await?;
            let (done, chunks) = (cancellation.chunks_done, cancellation.chunks);
            Ok(format!("{done} of {chunks} done"))
        }
    }
}

async fn given(lake: &Lake, was: &[Was]) {
    lake.cloud.with(|state| {
        state.sqs.create(QUEUE, Duration::from_mins(1), None);
        state.step_functions.wait(TOKEN);
    });
    lake.place("q.csv", ROWS);
    for was in was {
        let ports = ports_of(lake, &lake.client(Life::default()));
        let ran = match *was {
            Was::Planned => run(lake, &ports, Step::Plan { confirm: false }).await,
            Was::Wrote(chunk) => run(lake, &ports, Step::Rows(chunk, 1)).await,
            Was::Abandoned(chunk) => run(lake, &ports, Step::Abandon(chunk)).await,
            Was::Cancelled => run(lake, &ports, Step::Cancel).await,
            Was::Died(chunk, row) => {
                let work = async |of_client: crate::kit::Ports| {
                    let ports = Ports {
                        store: of_client.store,
                        ..ports.clone()
                    };
                    run(lake, &ports, Step::Rows(chunk, 1)).await
                };
                lake.die_after(row, work).await;
                continue;
            }
            Was::Taken(row) => {
                lake.place(&format!("rows/{row}"), "of somebody else");
                continue;
            }
            Was::Replaced => {
                lake.place("q.csv", ROWS.replace('e', "f"));
                continue;
            }
            Was::Holds(content) => {
                lake.place("q.csv", content);
                continue;
            }
            Was::Gone => {
                lake.remove("q.csv");
                continue;
            }
        };
        ran.unwrap();
    }
}

/// How long the job took is left out.
#[expect(clippy::unnecessary_wraps, reason = "of the form of a view")]
fn kept(key: &str, bytes: &Bytes) -> Option<Bytes> {
    if !key.ends_with("/_SUCCESS") {
        return Some(bytes.clone());
    }
    let mut summary: Value = serde_json::from_slice(bytes).unwrap();
    let fields = summary.as_object_mut().unwrap();
    fields.retain(|name, _| name != "seconds" && name != "objects_per_minute");
    Some(summary.to_string().into())
}

/// Checks what steps answer and change: each after what was there before.
pub(super) fn check(examples: &[(&[Was], Step, &str, &[&str])]) {
    let view = View {
        kept,
        names: |_, ()| vec![("rows/_lakewright/split/q/".to_owned(), "ledger/".to_owned())],
    };
    fixture::check(examples.iter().map(|(was, step, answer, changes)| {
        let told = told(
            &view,
            async |lake| given(lake, was).await,
            async |lake, client, ()| run(lake, &ports_of(lake, client), *step).await,
        );
        (format!("{step:?} after {was:?}"), told, *answer, *changes)
    }));
}

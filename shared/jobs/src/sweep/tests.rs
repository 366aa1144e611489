//! What a sweep and a redrive find and send, depending on what invocations of rekey left.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use jiff::Timestamp;
use lakewright_model::Client;
use lakewright_ports::Clock;
use serde_json::Value;

use super::{Ports, RedriveRequest, SweepRequest, redrive, sweep};
use crate::{
    fixture::{self, Lake, View, everything, told},
    kit::JobError,
    rekey::fixture::{
        BAD, ONE, TWO,
        Was::{self, Died, Gone, Landed, Ran},
        given, job,
    },
};

const QUEUE: &str = "https://sqs/objects";

/// Either of the two.
#[derive(Debug, Clone)]
enum Request {
    Sweep(SweepRequest),
    Redrive(RedriveRequest),
}

/// A sweep of what landed half a minute ago or earlier, with these settings.
fn swept(change: impl FnOnce(&mut SweepRequest)) -> Request {
    let mut request = SweepRequest {
        sweep: "in".to_owned(),
        prefix: String::new(),
        after: None,
        min_age_seconds: Some(30),
        since: None,
        dry_run: false,
        scheduled: false,
    };
    change(&mut request);
    Request::Sweep(request)
}

fn redriven(change: impl FnOnce(&mut RedriveRequest)) -> Request {
    let mut request = RedriveRequest {
        redrive: "in".to_owned(),
        error: None,
        after: None,
        dry_run: false,
    };
    change(&mut request);
    Request::Redrive(request)
}

/// What the report counts, and the keys in the messages.
async fn run(lake: &Lake, client: &Client, request: &Request) -> Result<String, JobError> {
    lake.cloud
        .with(|state| state.sqs.create(QUEUE, Duration::from_mins(1), None));
    let ports = Ports {
        store: Arc::new(client.clone()),
        queue: Arc::new(client.clone()),
        clock: Arc::new(lake.cloud.clock),
    };
    let (job, deadline) = (job(false), lake.deadline());
    let said = match request {
        Request::Sweep(request) => {
            let report = sweep(&ports, &job, request, QUEUE, deadline).await?;
            let (listed, committed) = (report.listed, report.committed);
            let (given_up, passed_over) = (report.given_up, report.passed_over);
            let sent = report.sent;
            format!(
                "{listed}: {committed} committed, {given_up} given up, {passed_over} passed over, {sent} sent"
            )
        }
        Request::Redrive(request) => {
            let report = redrive(&ports, &job, request, QUEUE, deadline).await?;
            format!("{} sent", report.sent)
        }
    };
    let messages = lake.cloud.with(|state| {
        let mut rng = Rng::with_seed(1);
        let now = lake.cloud.clock.now();
        let (messages, ..) = state.sqs.receive(QUEUE, 10, now, 0.0, &mut rng);
        messages
    });
    let keys = messages.iter().flat_map(|message| {
        let body: Value = serde_json::from_str(&message.body).unwrap();
        let objects = body["objects"].as_array().unwrap().clone();
        objects.into_iter().map(|object| {
            let key = object["Key"].as_str().unwrap();
            key.replace("in/", " ")
        })
    });
    let keys = keys.collect::<String>();
    Ok(format!("{said}{keys}"))
}

/// Checks what requests answer; the objects of the lake stay as they are.
fn check(examples: &[(&[Was], Request, &str)]) {
    let view = View {
        kept: everything,
        names: |_, _| Vec::new(),
    };
    fixture::check(examples.iter().map(|(was, request, answer)| {
        let told = told(
            &view,
            async |lake| Box::pin(given(lake, was)).await,
            async |lake, client, _| run(lake, client, request).await,
        );
        (format!("{request:?} after {was:?}"), told, *answer, &[][..])
    }));
}

#[test]
fn a_sweep_sends_what_is_not_committed() {
    let all = || swept(|_| {});
    let landed = [Landed("a", ONE), Landed("b", TWO)];
    check(&[
        (
            &[],
            all(),
            "0: 0 committed, 0 given up, 0 passed over, 0 sent",
        ),
        (
            &landed,
            all(),
            "2: 0 committed, 0 given up, 0 passed over, 2 sent a b",
        ),
        (
            &[landed[0], landed[1], Ran(&["a"])],
            all(),
            "2: 1 committed, 0 given up, 0 passed over, 1 sent b",
        ),
        // A plan without a commit is no answer.
        (
            &[landed[0], Died(&["a"], "/plan/")],
            all(),
            "1: 0 committed, 0 given up, 0 passed over, 1 sent a",
        ),
        // What replaced an object is another one.
        (
            &[landed[0], Ran(&["a"]), Landed("a", TWO)],
            all(),
            "1: 0 committed, 0 given up, 0 passed over, 1 sent a",
        ),
        (
            &[Landed("a", BAD), Ran(&["a"])],
            all(),
            "1: 0 committed, 1 given up, 0 passed over, 0 sent",
        ),
        (
            &[Landed("a", b"")],
            all(),
            "1: 0 committed, 0 given up, 1 passed over, 0 sent",
        ),
        (
            &landed,
            swept(|request| request.min_age_seconds = Some(90)),
            "2: 0 committed, 0 given up, 1 passed over, 1 sent a",
        ),
        (
            &landed,
            swept(|request| request.since = Some(Timestamp::MAX)),
            "2: 0 committed, 0 given up, 2 passed over, 0 sent",
        ),
        (
            &landed,
            swept(|request| "b".clone_into(&mut request.prefix)),
            "1: 0 committed, 0 given up, 0 passed over, 1 sent b",
        ),
        (
            &landed,
            swept(|request| request.after = Some("in/a".to_owned())),
            "1: 0 committed, 0 given up, 0 passed over, 1 sent b",
        ),
        (
            &landed,
            swept(|request| request.dry_run = true),
            "2: 0 committed, 0 given up, 0 passed over, 2 sent",
        ),
    ]);
}

#[test]
fn a_redrive_sends_what_is_given_up() {
    let all = || redriven(|_| {});
    let bad = [Landed("a", BAD), Ran(&["a"])];
    check(&[
        (&[Landed("a", ONE)], all(), "0 sent"),
        (&bad, all(), "1 sent a"),
        (&[bad[0], bad[1], Gone("a")], all(), "1 sent a"),
        (
            &bad,
            redriven(|request| request.error = Some("Unreadable".to_owned())),
            "1 sent a",
        ),
        (
            &bad,
            redriven(|request| request.error = Some("Killed".to_owned())),
            "0 sent",
        ),
        (&bad, redriven(|request| request.dry_run = true), "1 sent"),
    ]);
}

//! What split answers to requests: refusals by name, the cost guard, collisions, resuming, cancelling and the status.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "split_requests/refused.rs"]
mod refused;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use lakewright_core::{
    config::{Config, ResultColumn, Split},
    location::Location,
};
use lakewright_jobs::{
    JobError,
    retry::{Backoff, RetryPolicy, Retrying},
    split::{self, Budget, ChunkStatus, PlanReport, PlanRequest, Ports, State, Task},
};
use lakewright_model::{Client, Cloud, Death, FaultRates, Plan, Settings, virtual_time};
use lakewright_ports::{Clock, QueryExecution, QueryState};
use lakewright_tests::{
    not_text::{gzip, objects},
    semantics::stated,
};

const QUEUE: &str = "https://sqs/split-rows";
const CSV: &str = "\"id\",\"n\"\n\"a\",\"1\"\n\"b\",\"2\"\n\"a\",\"3\"\n\"c\",\"4\"\n\"a\",\"3\"\n";

struct Stage {
    cloud: Arc<Cloud>,
    job: Split,
}

fn location(text: &str) -> Location {
    text.parse().unwrap()
}

fn succeeded() -> QueryExecution {
    QueryExecution {
        state: QueryState::Succeeded,
        reason: None,
        unload: false,
        output: Some(location("s3://results/q.csv")),
        managed: false,
        manifest: None,
    }
}

impl Stage {
    fn new(more: &str) -> Self {
        let cloud = Cloud::new(1, Settings::default(), FaultRates::default());
        cloud.with(|state| {
            state.sqs.create(QUEUE, Duration::from_mins(1), None);
            let column = |name: &str, athena_type: &str| ResultColumn {
                name: name.to_owned(),
                athena_type: athena_type.to_owned(),
            };
            let columns = vec![column("id", "varchar"), column("n", "bigint")];
            state.athena.put("q", succeeded(), columns);
        });
        cloud.place(
            &location("s3://results/q.csv"),
            Bytes::from_static(CSV.as_bytes()),
        );
        let read = if more.contains("sources") {
            ""
        } else {
            "allow_any_source = true\n"
        };
        let text = format!("[[split]]\nname = \"j\"\ntarget = \"s3://objects/j/\"\n{read}{more}");
        let job = Config::parse(&text).unwrap().split.remove(0);
        Self { cloud, job }
    }

    fn ports(&self, plan: Plan) -> (Ports, Budget, Client) {
        let client = Client::new(Arc::clone(&self.cloud), 1, plan);
        let clock = Arc::new(self.cloud.clock);
        let budget = Budget {
            memory: 64 << 20,
            deadline: clock.now() + jiff::SignedDuration::from_secs(600),
        };
        let ports = Ports {
            store: Arc::new(client.clone()),
            queries: Arc::new(client.clone()),
            queue: Arc::new(client.clone()),
            callback: Arc::new(client.clone()),
            clock,
        };
        (ports, budget, client)
    }

    async fn plan(&self, request: &PlanRequest) -> Result<PlanReport, JobError> {
        let (ports, budget, _) = self.ports(Plan::default());
        split::plan(&ports, &self.job, request, QUEUE, &budget).await
    }

    async fn rows(&self, task: &Task) -> split::ChunkReport {
        let (ports, budget, _) = self.ports(Plan::default());
        split::rows(&ports, task, 1, &budget).await.unwrap()
    }

    async fn state(&self) -> split::Progress {
        let (ports, ..) = self.ports(Plan::default());
        split::status(&*ports.store, &self.job, "q", None)
            .await
            .unwrap()
    }

    /// The messages in the queue, by chunk.
    fn tasks(&self) -> Vec<Task> {
        let now = self.cloud.clock.now();
        let mut rng = fastrand::Rng::with_seed(1);
        let received = self.cloud.with(|state| {
            let (received, ..) = state.sqs.receive(QUEUE, 100, now, 0.0, &mut rng);
            for message in &received {
                state.sqs.delete(QUEUE, message.id);
            }
            received
        });
        let parse = |body: &str| serde_json::from_str::<Task>(body).unwrap();
        let mut tasks: Vec<_> = received
            .iter()
            .map(|message| parse(&message.body))
            .collect();
        tasks.sort_by_key(|task| task.chunk);
        tasks
    }

    fn object(&self, key: &str) -> Option<String> {
        let at = Location::new("objects", format!("j/{key}"));
        self.cloud.with(|state| {
            let object = state.s3.object(&at)?;
            Some(String::from_utf8(object.bytes.to_vec()).unwrap())
        })
    }

    fn objects(&self) -> usize {
        let below = Location::new("objects", "j/");
        self.cloud.with(|state| state.s3.below(&below).count())
    }
}

#[test]
fn every_attempt_at_a_chunk_gets_further_than_the_one_before() {
    const ROWS: usize = 3_000;
    virtual_time(async {
        let stage = Stage::new("key = \"{row}\"\nin_flight = 8\n");
        let text = (0..ROWS).fold("\"id\",\"n\"\n".to_owned(), |text, row| {
            format!("{text}\"a\",\"{row}\"\n")
        });
        stage
            .cloud
            .place(&location("s3://results/q.csv"), Bytes::from(text));
        stage.plan(&by_query()).await.unwrap();
        let tasks = stage.tasks();
        assert_eq!(tasks.len(), 1);
        let mut written = 0;
        for attempt in 1.. {
            let client = Client::new(Arc::clone(&stage.cloud), 1, Plan::default());
            let clock = Arc::new(stage.cloud.clock);
            let work = clock.now() + jiff::SignedDuration::from_secs(5);
            let calls = work + jiff::SignedDuration::from_secs(1);
            let store = Retrying::new(
                client.clone(),
                Backoff::new(clock.clone(), calls, 1, RetryPolicy::S3),
            );
            let ports = Ports {
                store: Arc::new(store),
                queries: Arc::new(client.clone()),
                queue: Arc::new(client.clone()),
                callback: Arc::new(client.clone()),
                clock,
            };
            let budget = Budget {
                memory: 64 << 20,
                deadline: work,
            };
            let answer = split::rows(&ports, &tasks[0], attempt, &budget).await;
            let before = std::mem::replace(&mut written, stage.objects());
            if let Ok(report) = answer {
                assert_eq!(report.status, ChunkStatus::Done);
                break;
            }
            assert!(
                written > before + 100,
                "attempt {attempt}: {before} objects before, {written} after"
            );
        }
        assert!(stage.object("2999").is_some());
    });
}

fn by_query() -> PlanRequest {
    PlanRequest {
        name: "j".to_owned(),
        query_execution_id: Some("q".to_owned()),
        ..PlanRequest::default()
    }
}

fn by_result(uri: &str) -> PlanRequest {
    PlanRequest {
        name: "j".to_owned(),
        result: Some(location(uri)),
        ..PlanRequest::default()
    }
}

#[test]
fn a_collision_names_both_rows_and_their_key() {
    virtual_time(async {
        let stage = Stage::new("key = \"{id}\"");
        let error = stage.plan(&by_query()).await.unwrap_err().to_string();
        assert!(error.contains("rows 0 and 2 have the key j/a"), "{error}");
    });
}

#[test]
fn the_policy_decides_which_row_is_written() {
    for (policy, n, collisions, duplicates) in [("keep_first", 1, 2, 0), ("keep_last", 3, 1, 1)] {
        virtual_time(async {
            let more = format!("key = \"{{id}}\"\non_collision = \"{policy}\"\nchunk_rows = 2");
            let stage = Stage::new(&more);
            let report = stage.plan(&by_query()).await.unwrap();
            assert_eq!((report.rows, report.objects, report.chunks), (5, 3, 3));
            assert_eq!(report.collisions, collisions);
            // The last first: the order makes no difference.
            for task in stage.tasks().iter().rev() {
                stage.rows(task).await;
            }
            assert_eq!(
                stage.object("a").unwrap(),
                format!("{{\"id\":\"a\",\"n\":{n}}}")
            );
            let summary = stage.state().await.summary.unwrap();
            assert_eq!(
                (summary.collisions, summary.duplicates),
                (collisions, duplicates)
            );
            assert_eq!(summary.objects, 3);
        });
    }
}

#[test]
fn a_job_above_the_limit_waits_for_a_word() {
    virtual_time(async {
        let stage = Stage::new("max_puts = 5\nusd_per_million_puts = 10000");
        let error = stage.plan(&by_query()).await.unwrap_err();
        assert!(
            error.to_string().contains("9 PUT requests, for 0.09 USD"),
            "{error}"
        );
        let confirmed = PlanRequest {
            confirm: true,
            ..by_query()
        };
        let report = stage.plan(&confirmed).await.unwrap();
        assert_eq!((report.puts, report.usd.as_str()), (9, "0.09"));
        // There is a plan, so no further confirmation is needed.
        stage.plan(&by_query()).await.unwrap();
    });
}

#[test]
fn resuming_writes_only_what_is_missing() {
    virtual_time(async {
        let stage = Stage::new("chunk_rows = 3\nin_flight = 1");
        stage.plan(&by_query()).await.unwrap();
        let tasks = stage.tasks();
        assert_eq!(tasks.len(), 2);
        // The first chunk's invocation dies after its second row: plan, done, cancel, source, then the rows.
        let plan = Plan {
            death: Some(Death::After(6)),
            ..Plan::default()
        };
        let (ports, budget, client) = stage.ports(plan);
        tokio::select! {
            () = client.died() => {}
            answer = split::rows(&ports, &tasks[0], 1, &budget) => panic!("{answer:?}"),
        }
        assert!(stage.object("q/1").is_some() && stage.object("q/2").is_none());

        let again = stage.plan(&by_query()).await.unwrap();
        assert_eq!(again.enqueued, 2);
        let before = stage.cloud.with(|state| state.history.entries().len());
        for task in stage.tasks() {
            assert!(task.resumed);
            let report = stage.rows(&task).await;
            let expected = if task.chunk == 0 { (1, 2) } else { (2, 0) };
            assert_eq!((report.written, report.stood), expected);
        }
        let puts = stage.cloud.with(|state| {
            let entries = state.history.entries().iter().skip(before);
            let rows = entries.filter(|entry| {
                entry.operation == "PutObject" && !entry.target.contains("_lakewright")
            });
            rows.map(|entry| entry.target.clone()).collect::<Vec<_>>()
        });
        let expected = [2, 3, 4].map(|row| format!("s3://objects/j/q/{row}"));
        assert_eq!(puts, expected);
        assert_eq!(stage.state().await.state, State::Succeeded);
        let finished = stage.plan(&by_query()).await.unwrap();
        assert_eq!((finished.enqueued, finished.state), (0, State::Succeeded));
    });
}

#[test]
fn a_cancelled_job_ends_cleanly_and_can_be_gone_on_with() {
    virtual_time(async {
        let stage = Stage::new("chunk_rows = 2");
        stage.cloud.with(|state| state.step_functions.wait("token"));
        let request = PlanRequest {
            task_token: Some("token".to_owned()),
            ..by_query()
        };
        stage.plan(&request).await.unwrap();
        let tasks = stage.tasks();
        stage.rows(&tasks[0]).await;
        let (ports, ..) = stage.ports(Plan::default());
        let cancelled = split::cancel(&ports, &stage.job, "q", None).await.unwrap();
        assert_eq!((cancelled.chunks, cancelled.chunks_done), (3, 1));
        for task in &tasks[1..] {
            let report = stage.rows(task).await;
            assert_eq!((report.status, report.written), (ChunkStatus::Cancelled, 0));
        }
        let progress = stage.state().await;
        assert_eq!(progress.state, State::Cancelled);
        assert_eq!((progress.rows_done, progress.failures.len()), (2, 2));
        let answer = stage
            .cloud
            .with(|state| state.step_functions.answer("token").cloned());
        let answer = format!("{answer:?}");
        assert!(answer.contains("Lakewright.Cancelled"), "{answer}");
        assert!(answer.contains(r#"\"chunks_done\":1"#), "{answer}");

        stage.cloud.clock.sleep(Duration::from_secs(5)).await;
        let report = stage.plan(&by_query()).await.unwrap();
        assert_eq!((report.enqueued, report.state), (2, State::Running));
        assert_eq!(stage.state().await.state, State::Running);
        for task in stage.tasks() {
            stage.rows(&task).await;
        }
        assert_eq!(stage.state().await.state, State::Succeeded);
    });
}

#[test]
fn a_source_that_was_replaced_fails_the_job_by_name() {
    virtual_time(async {
        let stage = Stage::new("");
        stage.plan(&by_query()).await.unwrap();
        let other = Bytes::from(CSV.replace('a', "z"));
        stage.cloud.place(&location("s3://results/q.csv"), other);
        let report = stage.rows(&stage.tasks()[0]).await;
        assert_eq!(report.status, ChunkStatus::Failed);
        let progress = stage.state().await;
        assert_eq!(progress.state, State::Failed);
        assert_eq!(progress.error.as_deref(), Some("SourceChanged"));
    });
}

#[test]
fn a_result_by_its_uri_has_the_types_of_the_configuration() {
    for (more, expected) in [
        ("", r#"{"id":"b","n":"2"}"#),
        (
            "columns = [{ name = \"n\", type = \"bigint\" }]",
            r#"{"id":"b","n":2}"#,
        ),
    ] {
        virtual_time(async {
            let stage = Stage::new(more);
            let report = stage.plan(&by_result("s3://results/q.csv")).await.unwrap();
            for task in stage.tasks() {
                stage.rows(&task).await;
            }
            let row = stage.object(&format!("{}/1", report.id)).unwrap();
            assert_eq!(row, expected);
        });
    }
}

#[test]
fn what_unload_wrote_may_be_compressed_twice() {
    let rows = b"{\"id\":\"a\"}\n{\"id\":\"b\"}\n";
    for bytes in [rows.to_vec(), gzip(rows), gzip(&gzip(rows))] {
        virtual_time(async {
            let stage = Stage::new("key = \"{id}\"\nunload = { format = \"json\" }");
            let manifest = Bytes::from_static(b"s3://results/q.csv\n");
            let place = |uri: &str, bytes: Bytes| stage.cloud.place(&location(uri), bytes);
            place("s3://results/m-manifest.csv", manifest);
            place("s3://results/q.csv", bytes.into());
            let request = by_result("s3://results/m-manifest.csv");
            let report = stage.plan(&request).await.unwrap();
            for task in stage.tasks() {
                stage.rows(&task).await;
            }
            assert_eq!((report.rows, report.objects), (2, 2));
            assert!(stage.object("a").is_some() && stage.object("b").is_some());
        });
    }
}

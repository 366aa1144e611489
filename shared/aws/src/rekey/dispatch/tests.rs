use std::{sync::Mutex, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use lakewright_core::location::Location;
use lakewright_jobs::ErrorKind;
use lakewright_ports::{Hidden, QueueError};
use serde_json::json;
use tokio::sync::Notify;

use super::*;

const CONFIG: &str = r#"
    [[rekey]]
    name = "flights"
    source = "s3://landing/flights/"
    error_prefix = "s3://landing/flights/errors/"
    timestamp = { column = "t" }
    target = "s3://lake/flights/"

    [[rekey]]
    name = "weather"
    source = "s3://landing/weather/"
    timestamp = { column = "t" }
    target = "s3://lake/weather/"
"#;

const MIB: u64 = 1 << 20;

const NO_DEADLINE: Deadlines = Deadlines {
    work: Timestamp::MAX,
    calls: Timestamp::MAX,
    stop: Timestamp::MAX,
};

/// A clock that does not advance. Waiting ends once the test says so.
#[derive(Default)]
struct TestClock(Notify);

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    async fn sleep(&self, _: Duration) {
        self.0.notified().await;
    }
}

/// Notes what is delivered again soon.
#[derive(Default)]
struct Hiding(Mutex<Vec<(String, Vec<String>)>>);

#[async_trait]
impl Received for Hiding {
    async fn hide(&self, queue_arn: &str, messages: &[Hidden]) -> Result<usize, QueueError> {
        let receipts = messages.iter().map(|message| message.receipt.clone());
        let call = (queue_arn.to_owned(), receipts.collect());
        self.0.lock().unwrap().push(call);
        Ok(0)
    }
}

/// Commits every object, except those whose keys ask for a failure.
async fn stub(_: Arc<Rekey>, objects: Vec<Delivered>, _: Budget) -> Answers {
    let answer = |delivered: Delivered| {
        let location = delivered.object.location;
        match location.key.as_str() {
            key if key.contains("refuse") => Err(Arc::new(JobError::new(
                ErrorKind::RecordRefused,
                format!("refused, received {}", delivered.receives),
            ))),
            key if key.contains("throttled") => {
                Err(Arc::new(JobError::new(ErrorKind::StoreFailed, "slow down")))
            }
            key if key.contains("panic") => panic!("on {key}"),
            _ => Ok(committed(location)),
        }
    };
    Answers {
        objects: objects.into_iter().map(answer).collect(),
        others: Vec::new(),
    }
}

fn committed(location: Location) -> ObjectReport {
    ObjectReport::without_rows(location, Status::Committed)
}

fn dispatcher() -> Dispatcher {
    Dispatcher {
        config: Arc::new(Config::parse(CONFIG).unwrap()),
        resources: Resources {
            memory: 512 * MIB,
            scratch: "/tmp".into(),
        },
        scratch_bytes: 512 * MIB,
        clock: Arc::new(TestClock::default()),
        received: Arc::new(Hiding::default()),
        namespace: "Lakewright".to_owned(),
    }
}

async fn answer(payload: Value) -> Result<Value, FunctionError> {
    let out = &mut io::sink();
    dispatcher()
        .answer(&payload, "r-1", NO_DEADLINE, out, stub)
        .await
}

fn by_hand(keys: &[&str]) -> Value {
    let objects: Vec<_> = keys
        .iter()
        .map(|key| format!("s3://landing/{key}"))
        .collect();
    json!({"objects": objects})
}

fn sqs(messages: &[(Value, Value)]) -> Value {
    let records: Vec<_> = messages
        .iter()
        .map(|(id, body)| {
            json!({"messageId": id, "body": body.to_string(), "eventSource": "aws:sqs"})
        })
        .collect();
    json!({"Records": records})
}

fn sources(report: &Value) -> Vec<&str> {
    let objects = report["objects"].as_array().unwrap();
    objects
        .iter()
        .map(|object| object["source"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_batch_is_answered_by_its_failed_messages() {
    let payload = sqs(&[
        (json!("good"), by_hand(&["flights/1"])),
        (json!("bad"), json!({"hello": "world"})),
        (
            json!("refused"),
            by_hand(&["flights/2", "flights/refuse", "weather/refuse"]),
        ),
        (json!("panicked"), by_hand(&["weather/panic"])),
        (
            json!("ignored"),
            by_hand(&["flights/errors/1", "elsewhere/1"]),
        ),
        (json!("test"), json!({"Event": "s3:TestEvent"})),
    ]);
    let failures = ["bad", "panicked", "refused"].map(|id| json!({"itemIdentifier": id}));
    assert_eq!(
        answer(payload).await,
        Ok(json!({"batchItemFailures": failures}))
    );
    let good = sqs(&[(json!("good"), by_hand(&["flights/1"]))]);
    assert_eq!(answer(good).await, Ok(json!({"batchItemFailures": []})));
}

#[tokio::test]
async fn a_nameless_message_that_fails_fails_the_batch() {
    let nameless = |body| {
        sqs(&[
            (json!("good"), by_hand(&["flights/1"])),
            (json!(null), body),
        ])
    };
    assert!(answer(nameless(by_hand(&["flights/2"]))).await.is_ok());
    for body in [by_hand(&["flights/refuse"]), json!({"hello": "world"})] {
        let error = answer(nameless(body)).await.unwrap_err();
        assert!(error.to_string().contains("no messageId"), "{error}");
    }
}

#[tokio::test]
async fn a_direct_call_is_answered_by_its_report() {
    let report = answer(by_hand(&["flights/2", "flights/1"])).await.unwrap();
    assert_eq!(
        (&report["job"], &report["name"]),
        (&json!("rekey"), &json!("flights"))
    );
    assert_eq!(
        sources(&report),
        ["s3://landing/flights/2", "s3://landing/flights/1"]
    );
    assert_eq!(report["objects"][0]["status"], "committed");

    let reports = answer(by_hand(&[
        "weather/1",
        "flights/1",
        "weather/2",
        "elsewhere",
    ]))
    .await
    .unwrap();
    let [weather, flights, neither] = &**reports.as_array().unwrap() else {
        panic!("{reports}")
    };
    assert_eq!(weather["name"], "weather");
    assert_eq!(
        sources(weather),
        ["s3://landing/weather/1", "s3://landing/weather/2"]
    );
    assert_eq!(flights["name"], "flights");
    assert_eq!(
        (&neither["name"], &neither["objects"][0]["status"]),
        (&json!(""), &json!("ignored"))
    );

    assert_eq!(
        answer(json!({"Event": "s3:TestEvent"})).await,
        Ok(json!([]))
    );
}

#[tokio::test]
async fn a_direct_call_that_fails_is_an_error_with_a_name() {
    for (payload, name, says) in [
        (json!({"hello": "world"}), "Lakewright.BadTrigger", "hello"),
        (
            by_hand(&["flights/1", "flights/refuse"]),
            "Lakewright.RekeyFailed",
            "flights/refuse: RecordRefused: refused, received 1",
        ),
        (
            by_hand(&["weather/panic"]),
            "Lakewright.RekeyFailed",
            "it panicked: on weather/panic",
        ),
    ] {
        let error = lambda_runtime::Diagnostic::from(answer(payload).await.unwrap_err());
        assert_eq!(error.error_type, name);
        assert!(
            error.error_message.contains(says),
            "{error:?} should say {says}"
        );
    }
}

#[tokio::test]
async fn each_job_has_its_metrics() {
    let payload = by_hand(&["weather/1", "flights/1", "flights/refuse", "elsewhere"]);
    let mut out = Vec::new();
    let answer = dispatcher()
        .answer(&payload, "r-1", NO_DEADLINE, &mut out, stub)
        .await;
    assert!(answer.is_err());
    let found: Vec<(Value, Value, Value)> = String::from_utf8(out)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| {
            (
                line["Job"].clone(),
                line["ObjectsCommitted"].clone(),
                line["ObjectsFailed"].clone(),
            )
        })
        .collect();
    let expected = [
        (json!("flights"), json!(1), json!(1)),
        (json!("weather"), json!(1), json!(0)),
    ];
    assert_eq!(found, expected);
}

#[test]
fn routes() {
    let config = Config::parse(CONFIG).unwrap();
    for (location, job, is_work) in [
        ("s3://landing/flights/2026/x", "flights", true),
        ("s3://landing/flights/errors/2026/x", "flights", false),
        ("s3://landing/weather/errors/x", "weather", true),
        ("s3://lake/flights/year=2026/x.parquet", "flights", false),
        ("s3://lake/weather/_lakewright/commit/x", "weather", false),
        ("s3://landing/other/x", "", false),
        ("s3://elsewhere/flights/x", "", false),
    ] {
        let found = route(&config, &location.parse().unwrap());
        assert_eq!(matches!(found, Route::Job(_)), is_work, "{location}");
        assert_eq!(found.name(), job, "{location}");
    }
}

#[test]
fn ledgers_are_never_read_as_a_source() {
    let nested = CONFIG.replace("s3://landing/flights/", "s3://lake/");
    let nested = nested.replace("s3://lake/flights/", "s3://elsewhere/flights/");
    let config = nested.replace(
        "target = \"s3://lake/weather/\"",
        "target = \"s3://out/weather/\"",
    );
    let mut config = Config::parse(&config).unwrap();
    // The configuration check refuses this. Even without it, no loop may start.
    config.rekey[1].target = Location::new("lake", "weather/");
    let ledger = Location::new("lake", "weather/_lakewright/commit/x");
    assert_eq!(
        config.rekey_of(&ledger).map(|job| job.name.as_str()),
        Some("flights")
    );
    assert_eq!(
        route(&config, &ledger),
        Route::Ignored {
            job: "weather".to_owned()
        }
    );
}

#[tokio::test]
async fn the_objects_of_a_job_are_handed_over_together() {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&calls);
    let work = move |job: Arc<Rekey>, objects: Vec<Delivered>, budget: Budget| {
        let received = objects
            .iter()
            .map(|delivered| {
                let key = delivered.object.location.key.clone();
                (key, delivered.receives, delivered.just_landed)
            })
            .collect::<Vec<_>>();
        let call = (job.name.clone(), received, budget.memory / MIB);
        seen.lock().unwrap().push(call);
        stub(job, objects, budget)
    };
    let mut payload = sqs(&[
        (json!("a"), by_hand(&["flights/1", "weather/1"])),
        (json!("b"), by_hand(&["flights/2"])),
        (json!("c"), by_hand(&["flights/3"])),
    ]);
    payload["Records"][1]["attributes"] = json!({"ApproximateReceiveCount": "3"});
    let dispatcher = dispatcher();
    let found = dispatcher
        .answer(&payload, "r-1", NO_DEADLINE, &mut io::sink(), work.clone())
        .await;
    assert_eq!(found, Ok(json!({"batchItemFailures": []})));
    // A message of one object that is delivered for the first time: the object has just landed.
    let of = |key: &str, receives, just_landed| (key.to_owned(), receives, just_landed);
    let flights = vec![
        of("flights/1", 1, false),
        of("flights/2", 3, false),
        of("flights/3", 1, true),
    ];
    let expected = [
        ("flights".to_owned(), flights, 448),
        ("weather".to_owned(), vec![of("weather/1", 1, false)], 448),
    ];
    assert_eq!(*calls.lock().unwrap(), expected);

    calls.lock().unwrap().clear();
    let by_hand = by_hand(&["flights/1"]);
    let found = dispatcher
        .answer(&by_hand, "r-1", NO_DEADLINE, &mut io::sink(), work)
        .await;
    assert!(found.is_ok());
    let expected = [("flights".to_owned(), vec![of("flights/1", 1, false)], 448)];
    assert_eq!(*calls.lock().unwrap(), expected);
}

#[tokio::test]
async fn what_is_not_done_in_time_fails_and_the_rest_is_kept() {
    let clock = Arc::new(TestClock::default());
    let told = Arc::clone(&clock);
    let work = move |job: Arc<Rekey>, objects: Vec<Delivered>, budget| {
        let told = Arc::clone(&told);
        async move {
            if job.name == "weather" {
                told.0.notify_one();
                std::future::pending::<()>().await;
            }
            stub(job, objects, budget).await
        }
    };
    let mut dispatcher = dispatcher();
    dispatcher.clock = clock;
    let payload = sqs(&[
        (json!("quick"), by_hand(&["flights/1"])),
        (json!("slow"), by_hand(&["weather/1"])),
        (json!("both"), by_hand(&["flights/2", "weather/2"])),
    ]);
    let found = dispatcher
        .answer(&payload, "r-1", NO_DEADLINE, &mut io::sink(), work)
        .await;
    let failures = ["both", "slow"].map(|id| json!({"itemIdentifier": id}));
    assert_eq!(found, Ok(json!({"batchItemFailures": failures})));
}

#[tokio::test]
async fn objects_that_were_committed_with_others_are_counted() {
    let work = |job: Arc<Rekey>, objects: Vec<Delivered>, budget| async move {
        Answers {
            others: vec![committed("s3://landing/flights/before".parse().unwrap())],
            ..stub(job, objects, budget).await
        }
    };
    let mut out = Vec::new();
    let payload = by_hand(&["flights/1"]);
    let found = dispatcher()
        .answer(&payload, "r-1", NO_DEADLINE, &mut out, work)
        .await;
    assert_eq!(sources(&found.unwrap()), ["s3://landing/flights/1"]);
    let line: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(line["ObjectsCommitted"], 2);
}

#[tokio::test]
async fn what_passes_is_delivered_again_soon() {
    let hiding = Arc::new(Hiding::default());
    let mut dispatcher = dispatcher();
    dispatcher.received = Arc::clone(&hiding) as Arc<dyn Received>;
    let mut payload = sqs(&[
        (json!("good"), by_hand(&["flights/1"])),
        (json!("later"), by_hand(&["flights/throttled", "flights/2"])),
        (
            json!("never"),
            by_hand(&["flights/throttled-too", "weather/refuse"]),
        ),
    ]);
    for record in payload["Records"].as_array_mut().unwrap() {
        record["receiptHandle"] = json!(format!("of {}", record["messageId"]));
        record["eventSourceARN"] = json!("arn:aws:sqs:us-east-1:000000000000:queue");
    }
    let found = dispatcher
        .answer(&payload, "r-1", NO_DEADLINE, &mut io::sink(), stub)
        .await;
    let failures = ["later", "never"].map(|id| json!({"itemIdentifier": id}));
    assert_eq!(found, Ok(json!({"batchItemFailures": failures})));
    let queue = "arn:aws:sqs:us-east-1:000000000000:queue".to_owned();
    let expected = [(queue, vec!["of \"later\"".to_owned()])];
    assert_eq!(*hiding.0.lock().unwrap(), expected);
}

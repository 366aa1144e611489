//! Where objects are, as a person who asks is told.

use std::time::Duration;

use lakewright_jobs::{
    rekey::{ObjectStatus, State, status},
    sweep::{self, RedriveRequest, SweepRequest},
};

use super::{
    batches::{cloud, together},
    *,
};

fn named(key: &str, etag: Option<&str>) -> SourceObject {
    SourceObject {
        location: Location::new("landing", format!("t/{key}")),
        etag: etag.map(str::to_owned),
        size: None,
    }
}

async fn ask(cloud: &Arc<Cloud>, job: &Rekey, objects: &[SourceObject]) -> Vec<ObjectStatus> {
    let client = Client::new(Arc::clone(cloud), 1, Faults::default());
    let found = status(&client, job, objects).await;
    found.into_iter().map(Result::unwrap).collect()
}

const ROWS: &[u8] =
    br#"{"t":"2026-05-01","n":1}{"t":"2026-05-02","n":2}{"t":"2026-05-02","n":3}{"n":4}"#;

#[test]
fn an_object_is_where_the_ledger_says() {
    let job = job(
        "",
        "[[rekey.output]]\nformat = \"json\"\ncompression = \"none\"",
    );
    virtual_time(async {
        let cloud = cloud();
        let before = cloud.place(&Location::new("landing", "t/a"), Bytes::from_static(ROWS));
        let of = |found: &[ObjectStatus]| found.iter().map(|one| one.state).collect::<Vec<_>>();
        let found = ask(&cloud, &job, &[named("a", None), named("no", None)]).await;
        assert_eq!(of(&found), [State::Waiting, State::Missing]);
        assert_eq!(found[0].etag.as_ref(), Some(&before));

        let cut = &gzip(ROWS)[..10];
        let one: &[u8] = br#"{"t":"2026-05-02","n":5}"#;
        let objects = [("a", ROWS), ("b", one), ("cut", cut), ("empty", b"")];
        let answers = together(&cloud, &job, &objects, 1).await;
        let asked = ["a", "b", "cut"].map(|key| named(key, None));
        let found = ask(&cloud, &job, &asked).await;
        assert_eq!(
            of(&found),
            [State::Committed, State::Committed, State::GivenUp]
        );
        // What the report of the invocation said, too.
        for (found, answer) in found.iter().zip(&answers).take(2) {
            let (answer, report) = (answer.as_ref().unwrap(), found.report.as_ref().unwrap());
            assert_eq!(found.batch, answer.batch);
            assert_eq!(report.outputs, answer.outputs);
            assert_eq!(report.rows_out, answer.rows_out);
            assert_eq!(report.quarantine, answer.quarantine);
        }
        let rows = |found: &ObjectStatus| {
            let report = found.report.as_ref().unwrap();
            report
                .outputs
                .iter()
                .map(|output| output.rows)
                .collect::<Vec<_>>()
        };
        assert_eq!((rows(&found[0]), rows(&found[1])), (vec![1, 2], vec![1]));
        assert!(found[0].report.as_ref().unwrap().quarantine.is_some());
        // It was refused beside the others, and alone.
        assert_eq!(found[2].left_out, None, "of its first batch");
        assert_ne!(found[2].batch, found[0].batch);
        let given_up = found[2].given_up.as_ref().unwrap();
        let error = answers[2].as_ref().unwrap_err();
        assert_eq!(given_up.error, "Unreadable");
        assert_eq!(given_up.message, error.to_string());

        // A version that is no longer there is known by its ETag.
        cloud.remove(&Location::new("landing", "t/a"));
        let again = ask(&cloud, &job, &[named("a", Some(&before)), named("a", None)]).await;
        assert_eq!(of(&again), [State::Committed, State::Missing]);
        assert_eq!(again[0].report, found[0].report);
    });
}

#[test]
fn an_object_that_always_fails_is_given_up_until_it_is_redriven() {
    stated(
        "An object that fails in a way that no other attempt mends, because of its bytes or of the job's limits, is given up in the ledger with its error; a sweep does not send it again, and a redrive does.",
    );
    let with_limit = |limit: &str| job("", &format!("[rekey.limits]\nrecord_size = \"{limit}\"\n"));
    let (strict, mended) = (with_limit("1KiB"), with_limit("1MiB"));
    virtual_time(async {
        let cloud = cloud();
        let url = "backfill";
        cloud.with(|state| state.sqs.create(url, Duration::from_mins(1), None));
        let long = format!(r#"{{"t":"2026-05-01","s":"{}"}}"#, "x".repeat(2_000));
        let objects = [("long", long.as_bytes()), ("a", ROWS)];
        let answers = together(&cloud, &strict, &objects, 1).await;
        assert_eq!(answers[0].as_ref().unwrap_err().name(), "RecordTooLong");

        let client = Client::new(Arc::clone(&cloud), 1, Faults::default());
        let ports = sweep::Ports {
            store: Arc::new(client.clone()),
            queue: Arc::new(client),
            clock: Arc::new(cloud.clock),
        };
        let swept = SweepRequest {
            sweep: "t".to_owned(),
            prefix: String::new(),
            after: None,
            min_age_seconds: Some(0),
            since: None,
            dry_run: false,
            scheduled: true,
        };
        let swept = sweep::sweep(&ports, &strict, &swept, url, Timestamp::MAX).await;
        let swept = swept.unwrap();
        assert_eq!(
            (swept.committed, swept.given_up, swept.sent),
            (1, 1, 0),
            "{swept:?}"
        );

        let redriven = async |error: Option<&str>, dry_run| {
            let request = RedriveRequest {
                redrive: "t".to_owned(),
                error: error.map(str::to_owned),
                after: None,
                dry_run,
            };
            sweep::redrive(&ports, &mended, &request, url, Timestamp::MAX)
                .await
                .unwrap()
        };
        let sent = || cloud.with(|state| state.sqs.len(url));
        let found = redriven(None, true).await;
        assert_eq!((found.sent, found.messages, sent()), (1, 1, 0));
        assert_eq!(found.given_up[0].source, Location::new("landing", "t/long"));
        assert_eq!(found.given_up[0].error, "RecordTooLong");
        assert_eq!(redriven(Some("Unreadable"), false).await.sent, 0);
        assert_eq!(redriven(Some("RecordTooLong"), false).await.sent, 1);
        assert_eq!(sent(), 1);

        // Delivered again with a higher limit, it is committed, and no longer given up.
        let answers = together(&cloud, &mended, &objects[..1], 1).await;
        assert_eq!(answers[0].as_ref().unwrap().rows_out, 1);
        assert_eq!(redriven(None, true).await.sent, 0);
        let found = ask(&cloud, &mended, &[named("long", None)]).await;
        assert_eq!(found[0].state, State::Committed);
    });
}

//! Where objects are, as a person who asks is told.

use lakewright_jobs::rekey::{ObjectStatus, State, status};

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
            [State::Committed, State::Committed, State::UnderWay]
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

        // A version that is no longer there is known by its ETag.
        cloud.remove(&Location::new("landing", "t/a"));
        let again = ask(&cloud, &job, &[named("a", Some(&before)), named("a", None)]).await;
        assert_eq!(of(&again), [State::Committed, State::Missing]);
        assert_eq!(again[0].report, found[0].report);
    });
}

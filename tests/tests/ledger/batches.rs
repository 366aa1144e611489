//! Objects that are planned together.

use std::{
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use futures::FutureExt as _;
use lakewright_jobs::{ErrorKind, rekey::GivenUp};
use lakewright_ports::{GetOptions, ObjectBody, Store, StoreError, StoreErrorKind, StoreLayer};

use super::*;

/// Lands objects and processes them in one invocation.
pub(super) async fn together(
    cloud: &Arc<Cloud>,
    job: &Rekey,
    objects: &[(&str, &[u8])],
    receives: u32,
) -> Vec<Result<ObjectReport, Arc<JobError>>> {
    through(&ports(cloud), cloud, job, objects, receives).await
}

pub(super) fn ports(cloud: &Arc<Cloud>) -> Ports {
    let client = Client::new(Arc::clone(cloud), 1, Faults::default());
    Ports {
        store: Arc::new(client.clone()),
        catalog: Arc::new(client),
        clock: Arc::new(cloud.clock),
    }
}

/// Lands objects and processes them in one invocation, through these ports.
pub(super) async fn through(
    ports: &Ports,
    cloud: &Arc<Cloud>,
    job: &Rekey,
    objects: &[(&str, &[u8])],
    receives: u32,
) -> Vec<Result<ObjectReport, Arc<JobError>>> {
    let budget = Budget {
        memory: 64 << 20,
        scratch: std::env::temp_dir(),
        scratch_bytes: u64::MAX,
        deadline: Timestamp::MAX,
    };
    let land = |(key, bytes): &(&str, &[u8])| {
        let location = Location::new("landing", format!("t/{key}"));
        let etag = cloud.place(&location, Bytes::copy_from_slice(bytes));
        Delivered {
            object: SourceObject {
                location,
                etag: Some(etag),
                size: Some(bytes.len() as u64),
            },
            receives,
            just_landed: receives == 1,
        }
    };
    let objects = objects.iter().map(land).collect::<Vec<_>>();
    let secrets = Client::new(Arc::clone(cloud), 1, Faults::default());
    rekey(ports, &secrets, job, &BTreeSet::new(), &objects, &budget)
        .await
        .objects
}

pub(super) fn cloud() -> Arc<Cloud> {
    Cloud::new(1, Settings::default(), FaultRates::default())
}

/// The keys of the data below the target.
fn files(cloud: &Cloud) -> Vec<String> {
    let target = Location::new("lake", "t/");
    cloud.with(|state| {
        let keys = state.s3.below(&target);
        let keys = keys.map(|(location, _)| location.key.clone());
        keys.filter(|key| !key.contains("/_lakewright/")).collect()
    })
}

fn rows(cloud: &Cloud, key: &str) -> Vec<Value> {
    let bytes = cloud.with(|state| {
        let location = Location::new("lake", key);
        state.s3.object(&location).unwrap().bytes.clone()
    });
    let lines = bytes.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

const PLAIN_JSON: &str = "[[rekey.output]]\nformat = \"json\"\ncompression = \"none\"";

#[test]
fn what_arrives_together_shares_its_files() {
    stated(
        "Objects that arrive together share the files of a partition; with `batch`, one says how long the queue waits for more of them, and how many and how much of them at most.",
    );
    let job = job("", PLAIN_JSON);
    virtual_time(async {
        let cloud = cloud();
        let two = br#"{"t":"2026-05-02","n":3}{"t":"2026-05-01","n":4}"#;
        let answers = together(
            &cloud,
            &job,
            &[("b", two), ("a", br#"{"t":"2026-05-01","n":1}"#)],
            1,
        )
        .await;
        let [b, a] = <[_; 2]>::try_from(answers).unwrap().map(Result::unwrap);
        assert_eq!((a.rows_out, b.rows_out), (1, 2));
        assert_eq!((a.batch.is_some(), &a.batch), (true, &b.batch));
        let [first, second] = <[_; 2]>::try_from(files(&cloud)).unwrap();
        let numbers = |key: &str| {
            let rows = rows(&cloud, key);
            rows.iter().map(|row| row["n"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(numbers(&first), [json!(1), json!(4)]);
        assert_eq!(numbers(&second), [json!(3)]);
        let of = |report: &ObjectReport| {
            let outputs = report.outputs.iter();
            outputs
                .map(|output| (output.key.clone(), output.rows))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(&a), [(first.clone(), 1)]);
        assert_eq!(of(&b), [(first, 1), (second, 1)]);
    });
}

#[test]
fn a_bad_object_fails_alone() {
    stated(
        "An object that cannot be read, or whose columns cannot share files with those of the others, is left out of its batch and planned alone, in the same invocation; the others are committed without it.",
    );
    let good: &[u8] = br#"{"t":"2026-05-01","n":1}"#;
    let bad = &gzip(good)[..10];
    virtual_time(async {
        for (what, odd, name) in [
            ("cut short", bad, Err("Unreadable")),
            ("empty", b"", Ok(Status::Ignored)),
            (
                "other columns",
                br#"{"t":"2026-05-01","N":1}"#,
                Ok(Status::Committed),
            ),
        ] {
            let cloud = cloud();
            let job = job("", PLAIN_JSON);
            let answers = together(&cloud, &job, &[("a", good), ("b", odd), ("c", good)], 1).await;
            let [a, b, c] = <[_; 3]>::try_from(answers).unwrap();
            let (a, c) = (a.unwrap(), c.unwrap());
            assert_eq!((a.status, c.status), (Status::Committed, Status::Committed));
            assert_eq!(a.batch, c.batch, "{what}");
            match (b, name) {
                (Ok(report), Ok(status)) => {
                    assert_eq!(report.status, status, "{what}");
                    assert_ne!(report.batch, a.batch, "{what}");
                }
                (Err(error), Err(name)) => assert_eq!(error.name(), name, "{what}"),
                (found, _) => panic!("{what}: {found:?}"),
            }
            assert_eq!(rows(&cloud, &a.outputs[0].key).len(), 2, "{what}");
        }
    });
}

/// A clock that panics once, when it is asked for the time for the `at`th time: the reader of an object asks it too.
struct PanicClock {
    clock: Arc<dyn Clock>,
    asked: AtomicU32,
    at: u32,
}

#[async_trait]
impl Clock for PanicClock {
    fn now(&self) -> Timestamp {
        assert!(self.asked.fetch_add(1, Ordering::Relaxed) != self.at, "now");
        self.clock.now()
    }

    async fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration).await;
    }
}

#[test]
fn an_object_whose_reader_panics_is_planned_alone() {
    let job = job("", PLAIN_JSON);
    let objects: [(&str, &[u8]); 3] =
        ["a", "b", "c"].map(|key| (key, &br#"{"t":"2026-05-01","n":1}"#[..]));
    virtual_time(async {
        let mut planned_alone = BTreeSet::new();
        for at in 0..60 {
            let cloud = cloud();
            let mut ports = ports(&cloud);
            ports.clock = Arc::new(PanicClock {
                clock: ports.clock,
                asked: AtomicU32::new(0),
                at,
            });
            let run = through(&ports, &cloud, &job, &objects, 1);
            // Outside of a reader, a panic fails the invocation.
            if let Ok(answers) = AssertUnwindSafe(run).catch_unwind().await {
                let reports = answers.into_iter().map(Result::unwrap).collect::<Vec<_>>();
                assert!(
                    reports
                        .iter()
                        .all(|report| report.status == Status::Committed)
                );
                let alone = |report: &ObjectReport| {
                    let same = reports.iter().filter(|other| other.batch == report.batch);
                    same.count() == 1
                };
                let alone = reports.iter().map(alone).collect::<Vec<_>>();
                if let Some(index) = alone.iter().position(|alone| *alone) {
                    assert_eq!(alone.iter().filter(|alone| **alone).count(), 1, "{at}");
                    planned_alone.insert(index);
                }
            }
            let again = together(&cloud, &job, &objects, 2).await;
            let committed = again.into_iter().map(|answer| answer.unwrap().status);
            let committed = committed.collect::<Vec<_>>();
            assert!(
                committed
                    .iter()
                    .all(|status| matches!(status, Status::Committed | Status::Duplicate)),
                "{at}: {committed:?}"
            );
            let files = files(&cloud);
            let rows: usize = files.iter().map(|key| rows(&cloud, key).len()).sum();
            assert_eq!(rows, 3, "{at}");
        }
        assert_eq!(planned_alone, BTreeSet::from([0, 1, 2]));
    });
}

#[test]
fn a_claim_whose_batch_is_gone_fails_by_name() {
    let job = job("", PLAIN_JSON);
    let object: [(&str, &[u8]); 1] = [("a", br#"{"t":"2026-05-02","n":3}"#)];
    for kinds in [&["batch", "commit"][..], &["batch", "plan", "commit"]] {
        virtual_time(async {
            let cloud = cloud();
            together(&cloud, &job, &object, 1).await.remove(0).unwrap();
            let ledger = Location::new("lake", "t/_lakewright/");
            let entries = cloud.with(|state| {
                let below = state.s3.below(&ledger);
                below.map(|(entry, _)| entry.clone()).collect::<Vec<_>>()
            });
            let is_one = |entry: &&Location| {
                kinds
                    .iter()
                    .any(|kind| entry.key.contains(&format!("/{kind}/")))
            };
            for entry in entries.iter().filter(is_one) {
                cloud.remove(entry);
            }
            let error = together(&cloud, &job, &object, 2)
                .await
                .remove(0)
                .unwrap_err();
            assert_eq!(error.name(), "LedgerUnreadable", "{error}");
        });
    }
}

#[test]
fn objects_that_have_just_landed_are_claimed_without_a_lookup() {
    let job = job("", PLAIN_JSON);
    let landed: [(&str, &[u8]); 5] =
        ["a", "b", "c", "d", "e"].map(|key| (key, &br#"{"t":"2026-05-01"}"#[..]));
    let calls = |receives| {
        virtual_time(async {
            let cloud = cloud();
            let client = Client::new(Arc::clone(&cloud), 1, Faults::default());
            let ports = Ports {
                store: Arc::new(client.clone()),
                ..ports(&cloud)
            };
            for answer in through(&ports, &cloud, &job, &landed, receives).await {
                assert_eq!(answer.unwrap().status, Status::Committed);
            }
            client.calls()
        })
    };
    // The lookup of the plan of their batch is in place of the five of their claims.
    assert_eq!(calls(1), calls(2) - 4);
}

#[test]
fn a_batch_is_bounded() {
    let landed: [(&str, &[u8]); 5] =
        ["a", "b", "c", "d", "e"].map(|key| (key, &br#"{"t":"2026-05-01"}"#[..]));
    virtual_time(async {
        for (batch, expected) in [
            ("objects = 2", 3),
            ("objects = 5", 1),
            ("size = \"40B\"", 3),
            ("size = \"1B\"", 5),
        ] {
            let cloud = cloud();
            let job = job("", &format!("batch = {{ {batch} }}"));
            let answers = together(&cloud, &job, &landed, 1).await;
            let batches = answers.into_iter().map(|answer| answer.unwrap().batch);
            assert_eq!(batches.collect::<BTreeSet<_>>().len(), expected, "{batch}");
            assert_eq!(files(&cloud).len(), expected, "{batch}");
        }
    });
}

#[test]
fn files_are_cut_by_the_plan() {
    let many = |n: u8| {
        (0..9).fold(String::new(), |mut text, hour| {
            let time = (hour * 7 + n) % 24;
            writeln!(
                text,
                r#"{{"t":"2026-05-01T{time:02}:00:00Z","n":"{n}{hour}"}}"#
            )
            .unwrap();
            text
        })
    };
    let (a, b) = (many(1), many(2));
    let landed = [("a", a.as_bytes()), ("b", b.as_bytes())];
    virtual_time(async {
        for sorted in [false, true] {
            let cloud = cloud();
            let more = format!("sort_by_time = {sorted}\n{PLAIN_JSON}\nmax_file_size = \"150B\"");
            let answers = together(&cloud, &job("", &more), &landed, 1).await;
            let files = files(&cloud);
            assert!(files.len() > 3, "{files:?}");
            let all = files.iter().flat_map(|key| rows(&cloud, key));
            let all = all.collect::<Vec<_>>();
            assert_eq!(all.len(), 18);
            let times = all.iter().map(|row| row["t"].as_str().unwrap());
            assert_eq!(times.is_sorted(), sorted);
            // The reports say which rows of which object each file holds.
            for (object, answer) in ["1", "2"].iter().zip(answers) {
                let report = answer.unwrap();
                assert_eq!(report.outputs.iter().map(|o| o.rows).sum::<u64>(), 9);
                for output in report.outputs {
                    let rows = rows(&cloud, &output.key);
                    let of_object = rows.iter().filter(|row| {
                        let n = row["n"].as_str().unwrap();
                        n.starts_with(object)
                    });
                    assert_eq!(of_object.count() as u64, output.rows, "{}", output.key);
                }
            }
        }
    });
}

/// A store from which the source is never read to its end, or not at all.
struct Stuck {
    store: Arc<dyn Store>,
    fails: bool,
}

#[async_trait]
impl StoreLayer for Stuck {
    fn inner(&self) -> &dyn Store {
        &*self.store
    }

    async fn get(&self, object: &Location, options: GetOptions) -> Result<ObjectBody, StoreError> {
        match object.bucket.as_str() {
            "landing" if self.fails => Err(StoreError {
                operation: "GetObject",
                location: object.clone(),
                kind: StoreErrorKind::SlowDown,
                message: "slow down".to_owned(),
            }),
            "landing" => std::future::pending().await,
            _ => self.store.get(object, options).await,
        }
    }
}

#[test]
fn an_object_that_kills_three_invocations_is_given_up() {
    stated(
        "An object that kills three invocations which work on it alone is given up like that; one whose invocations end with an error that passes is not.",
    );
    let job = job("", "");
    let object: [(&str, &[u8]); 1] = [("a", br#"{"t":"2026-05-01"}"#)];
    virtual_time(async {
        let cloud = cloud();
        let plain = ports(&cloud);
        let through_stuck = |fails| Ports {
            store: Arc::new(Stuck {
                store: Arc::clone(&plain.store),
                fails,
            }),
            ..plain.clone()
        };
        let (stuck, failing) = (through_stuck(false), through_stuck(true));
        let given_up = || {
            let failed = Location::new("lake", "t/_lakewright/failed/");
            cloud.with(|state| {
                let mut found = state.s3.below(&failed);
                let found = found.next().map(|(_, object)| object.bytes.clone());
                found.map(|bytes| serde_json::from_slice::<GivenUp>(&bytes).unwrap())
            })
        };
        let killed = async |receives| {
            let work = through(&stuck, &cloud, &job, &object, receives);
            let ended = tokio::time::timeout(Duration::from_secs(1), work).await;
            assert!(ended.is_err(), "{receives}");
        };
        // Attempts that end with an error are none that were killed.
        killed(1).await;
        for receives in 2..5 {
            let [answer] =
                <[_; 1]>::try_from(through(&failing, &cloud, &job, &object, receives).await)
                    .unwrap();
            assert_eq!(answer.unwrap_err().kind(), ErrorKind::StoreFailed);
        }
        for receives in 5..7 {
            killed(receives).await;
            assert_eq!(given_up(), None, "{receives}");
        }
        killed(7).await;
        let found = given_up().unwrap();
        assert_eq!(found.error, "Killed");
        assert!(found.message.contains("2 invocations"), "{}", found.message);
        // With more memory it is done, and the note counts no more.
        let [answer] = <[_; 1]>::try_from(together(&cloud, &job, &object, 1).await).unwrap();
        assert_eq!(answer.unwrap().rows_out, 1);
    });
}

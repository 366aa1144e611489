//! What [`Retrying`], [`RetryingCatalog`] and [`RetryingService`] make of each fault, over the model.

#[path = "retry/lost_answers.rs"]
mod lost_answers;
#[path = "retry/rates.rs"]
mod rates;
#[path = "retry/waits.rs"]
mod waits;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use lakewright_core::{
    catalog::{StorageDescriptor, Table, TableName},
    config::Encryption,
    location::Location,
};
use lakewright_jobs::retry::{Backoff, RetryPolicy, Retrying, RetryingCatalog, RetryingService};
use lakewright_model::{
    Change, Client, Cloud, Fault, FaultRates, ModelGlue, ModelS3, Observer, Plan, Settings,
    virtual_time,
};
use lakewright_ports::{
    Catalog, CatalogErrorKind, Clock, Deletion, Partition, Precondition, PutOptions, Queue,
    ServiceErrorKind, Store, StoreErrorKind, Written, written_as,
};
use lakewright_tests::semantics::stated;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// A client of `cloud` whose first calls meet these faults, and which makes them again.
fn retrying(
    cloud: &Arc<Cloud>,
    script: impl IntoIterator<Item = Option<Fault>>,
    patience: SignedDuration,
) -> (Retrying<Client>, Client) {
    let plan = Plan {
        script: script.into_iter().collect(),
        ..Plan::default()
    };
    let client = Client::new(Arc::clone(cloud), 1, plan);
    let deadline = cloud.clock.now() + patience;
    let store = Retrying::new(
        client.clone(),
        Backoff::new(Arc::new(cloud.clock), deadline, 7, RetryPolicy::S3),
    );
    (store, client)
}

fn calm() -> Arc<Cloud> {
    Cloud::new(1, Settings::default(), FaultRates::default())
}

fn at(key: &str) -> Location {
    Location::new("bucket", key)
}

fn body(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

async fn create(store: &dyn Store, text: &str) -> Result<Written, StoreErrorKind> {
    put(store, text, Precondition::Absent).await
}

async fn put(
    store: &dyn Store,
    text: &str,
    precondition: Precondition,
) -> Result<Written, StoreErrorKind> {
    let options = PutOptions {
        precondition,
        ..PutOptions::default()
    };
    let result = store.put(&at("k"), body(text), options).await;
    result.map_err(|error| error.kind)
}

/// Every write that took effect.
#[derive(Default)]
struct Writes(Arc<Mutex<Vec<Bytes>>>);

impl Observer for Writes {
    fn step(&mut self, _now: Timestamp, changes: &[Change], _s3: &ModelS3, _glue: &ModelGlue) {
        for change in changes {
            if let Change::Written { object, .. } = change {
                let mut writes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                writes.push(object.bytes.clone());
            }
        }
    }
}

#[test]
fn passing_faults_are_outlasted_and_the_write_takes_effect_once() {
    for fault in [
        Fault::SlowDown,
        Fault::InternalBefore,
        Fault::InternalAfter,
        Fault::ResetBefore,
        Fault::ResetAfter,
        Fault::LandsLate,
    ] {
        for times in [1, 3, 9] {
            virtual_time(async {
                let cloud = calm();
                let writes = Writes::default();
                let seen = Arc::clone(&writes.0);
                cloud.watch(Box::new(writes));
                let (store, client) = retrying(
                    &cloud,
                    vec![Some(fault); times],
                    SignedDuration::from_hours(1),
                );
                let written = create(&store, "ours").await;
                let (calls, etag) = (client.calls(), written.unwrap().etag);
                let existing = store.head(&at("k"), None).await.unwrap();
                assert_eq!(existing.etag, etag, "{fault} x {times}");
                assert!(calls > times as u64, "{fault} x {times}: {calls} calls");
                cloud.clock.sleep(Duration::from_secs(100)).await;
                assert_eq!(seen.lock().unwrap().len(), 1, "{fault} x {times}");
            });
        }
    }
}

#[test]
fn lasting_faults_surface_once_the_attempts_are_used_up() {
    for (fault, kind) in [
        (Fault::SlowDown, StoreErrorKind::SlowDown),
        (Fault::InternalBefore, StoreErrorKind::Internal),
        (Fault::ResetBefore, StoreErrorKind::Network),
    ] {
        virtual_time(async {
            let (store, client) = retrying(
                &calm(),
                vec![Some(fault); 20],
                SignedDuration::from_hours(1),
            );
            assert_eq!(create(&store, "x").await, Err(kind));
            assert_eq!(client.calls(), RetryPolicy::S3.attempts as u64);
        });
    }
}

#[test]
fn what_a_job_writes_is_encrypted_as_the_job_says() {
    stated(
        "Every object that a job writes, its ledger's among them, has the job's `encryption`, and its `tags` unless it is a copy, which keeps those of its source.",
    );
    virtual_time(async {
        let settings = Settings {
            encrypted_only: true,
            smallest_part: 1,
            ..Settings::default()
        };
        let cloud = Cloud::new(1, settings, FaultRates::default());
        let (plain, _) = retrying(&cloud, [], MINUTE);
        let plain: Arc<dyn Store> = Arc::new(plain);
        let encryption = Encryption {
            algorithm: "aws:kms".to_owned(),
            key: None,
        };
        let encrypted = written_as(&plain, &BTreeMap::new(), Some(&encryption));
        for (store, expected) in [
            (&plain, Err(StoreErrorKind::AccessDenied)),
            (&encrypted, Ok(())),
        ] {
            let put = create(&**store, "content").await.map(drop);
            assert_eq!(put, expected);
            let copy = store
                .copy(&at("k"), None, &at("copy"), Precondition::Absent, None)
                .await;
            assert_eq!(copy.map(drop).map_err(|error| error.kind), expected);
            let upload = store.create_multipart(&at("large"), None, None).await;
            assert_eq!(upload.map(drop).map_err(|error| error.kind), expected);
        }
    });
}

#[test]
fn conflicts_are_tried_again_but_for_completions() {
    virtual_time(async {
        let rates = FaultRates {
            conflict: 1.0,
            ..FaultRates::default()
        };
        let settings = Settings {
            smallest_part: 1,
            ..Settings::default()
        };
        let cloud = Cloud::new(3, settings, rates);
        let stores: Vec<_> = (0..4).map(|_| retrying(&cloud, [], MINUTE).0).collect();
        let puts = stores.iter().map(|store| create(store, "x"));
        let answers = futures::future::join_all(puts).await;
        let won = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(won, 1, "{answers:?}");
        assert!(
            cloud.with(|state| state.injected.0.contains_key(&Fault::Conflict)),
            "no conflict came about"
        );

        let completions = stores.iter().map(|store| async {
            let at = at("upload");
            let upload = store.create_multipart(&at, None, None).await.unwrap();
            let part = store.upload_part(&at, &upload, 1, body("x")).await.unwrap();
            // Both begin at once.
            let result = store
                .complete_multipart(&at, &upload, &[part], Precondition::Absent)
                .await;
            result.map_err(|error| error.kind)
        });
        let answers = futures::future::join_all(completions).await;
        assert!(
            answers.contains(&Err(StoreErrorKind::Conflict)),
            "{answers:?}"
        );
    });
}

#[test]
fn nothing_is_begun_after_the_deadline() {
    for patience in [0, 1, 10, 100, 1_000, 5_000] {
        virtual_time(async {
            let cloud = calm();
            let patience = SignedDuration::from_millis(patience);
            let deadline = cloud.clock.now() + patience;
            let (store, client) = retrying(&cloud, vec![Some(Fault::InternalBefore); 9], patience);
            assert_eq!(create(&store, "x").await, Err(StoreErrorKind::Deadline));
            assert!(cloud.clock.now() <= deadline, "{patience:#}");
            let left = deadline.duration_since(cloud.clock.now());
            cloud.clock.sleep(Duration::try_from(left).unwrap()).await;
            let calls = client.calls();
            assert_eq!(create(&store, "x").await, Err(StoreErrorKind::Deadline));
            assert_eq!(client.calls(), calls, "{patience:#}");
        });
    }
}

#[test]
fn a_call_that_hangs_is_given_up_at_the_deadline() {
    virtual_time(async {
        let cloud = calm();
        cloud.with(|state| state.rates.slow = 1.0);
        let start = cloud.clock.now();
        let (store, _) = retrying(&cloud, [], SignedDuration::from_millis(400));
        assert_eq!(create(&store, "x").await, Err(StoreErrorKind::Deadline));
        let passed = cloud.clock.now().duration_since(start);
        assert_eq!(passed, SignedDuration::from_millis(400));
    });
}

#[test]
fn failed_keys_of_a_batch_delete_are_deleted_again() {
    virtual_time(async {
        let cloud = calm();
        let (store, _) = retrying(&cloud, [], MINUTE);
        let keys = (0..20).map(|index| format!("d/{index}").into());
        let keys: Vec<Deletion> = keys.collect();
        for object in &keys {
            store
                .put(&at(&object.key), body("x"), PutOptions::default())
                .await
                .unwrap();
        }
        cloud.with(|state| state.rates.delete_key = 0.5);
        assert_eq!(store.delete("bucket", &keys).await.unwrap(), []);
        assert!(
            store
                .list(&at("d/"), None)
                .await
                .unwrap()
                .objects
                .is_empty()
        );
        cloud.with(|state| state.rates.delete_key = 1.0);
        let failures = store.delete("bucket", &keys).await.unwrap();
        assert_eq!(failures.len(), 20);
    });
}

#[test]
fn an_object_is_only_deleted_if_it_is_the_one_that_is_named() {
    virtual_time(async {
        let cloud = calm();
        let (store, _) = retrying(&cloud, [], MINUTE);
        let written = store.put(&at("d"), body("x"), PutOptions::default()).await;
        let named = |etag: &str| Deletion {
            key: "d".to_owned(),
            etag: Some(etag.to_owned()),
        };
        let failures = store.delete("bucket", &[named("\"other\"")]).await.unwrap();
        assert!(failures[0].is_of_another_object(), "{failures:?}");
        assert!(store.head(&at("d"), None).await.is_ok());
        // The second time there is nothing to delete.
        let etag = written.unwrap().etag;
        for _ in 0..2 {
            assert_eq!(store.delete("bucket", &[named(&etag)]).await.unwrap(), []);
        }
        assert!(store.head(&at("d"), None).await.is_err());
    });
}

#[test]
fn throttled_partitions_are_created_again_and_others_are_reported() {
    virtual_time(async {
        let cloud = calm();
        let name: TableName = "lake.t".parse().unwrap();
        let column = |name: &str| lakewright_core::catalog::Column {
            name: name.to_owned(),
            hive_type: "string".to_owned(),
        };
        let table = Table {
            name: name.clone(),
            storage: StorageDescriptor::default(),
            partition_keys: vec![column("p")],
            parameters: BTreeMap::new(),
            version_id: None,
        };
        cloud.with(|state| {
            state.glue.put_table(table);
            state.rates.partial_batch = 0.8;
        });
        let script = [Some(Fault::SlowDown), Some(Fault::ResetAfter)];
        let plan = Plan {
            script: script.into_iter().collect(),
            ..Plan::default()
        };
        let client = Client::new(Arc::clone(&cloud), 1, plan);
        let deadline = cloud.clock.now() + SignedDuration::from_hours(1);
        let clock = Arc::new(cloud.clock);
        let catalog =
            RetryingCatalog::new(client, Backoff::new(clock, deadline, 7, RetryPolicy::GLUE));
        let partition = |value: &str| Partition {
            values: vec![value.to_owned()],
            storage: StorageDescriptor {
                location: format!("s3://bucket/p={value}/"),
                ..StorageDescriptor::default()
            },
        };
        let mut wanted: Vec<Partition> = (0..99).map(|n| partition(&n.to_string())).collect();
        wanted.push(partition(&"x".repeat(2_000)));
        let failures = catalog.create_partitions(&name, &wanted).await.unwrap();
        let existing = cloud.with(|state| state.glue.registered(&name).count());
        assert_eq!(existing, 99);
        // The reset came after the effect, so some objects already existed at the retry.
        let invalid: Vec<_> = failures
            .iter()
            .filter(|failure| failure.kind != CatalogErrorKind::AlreadyExists)
            .map(|failure| failure.kind)
            .collect();
        assert_eq!(invalid, [CatalogErrorKind::Invalid]);
        cloud.with(|state| state.rates.partial_batch = 0.0);
        let values = wanted.iter().map(|partition| partition.values.clone());
        let values: Vec<_> = values.collect();
        assert_eq!(catalog.partitions(&name, &values).await.unwrap().len(), 99);
        // Each page of a listing is tried again by itself.
        for hundred in 1..=12 {
            let more = (0..100).map(|n| partition(&(hundred * 100 + n).to_string()));
            let more = more.collect::<Vec<_>>();
            assert_eq!(catalog.create_partitions(&name, &more).await.unwrap(), []);
        }
        let script = [None, Some(Fault::SlowDown), None];
        let plan = Plan {
            script: script.into_iter().collect(),
            ..Plan::default()
        };
        let client = Client::new(Arc::clone(&cloud), 2, plan);
        let clock = Arc::new(cloud.clock);
        let catalog = RetryingCatalog::new(
            client.clone(),
            Backoff::new(clock, deadline, 7, RetryPolicy::GLUE),
        );
        let found = catalog.matching_partitions(&name, None).await.unwrap();
        assert_eq!(found.len(), 1_299);
        assert_eq!(client.calls(), 3);
    });
}

#[test]
fn a_queue_gets_rejected_messages_again_until_the_attempts_or_the_time_are_used_up() {
    const URL: &str = "https://sqs/q";
    let throttled = || vec![Some(Fault::SlowDown); 20];
    // The share of messages that are rejected, the faults of the first calls, the time; the failures that remain, or
    // the error, and how many messages arrive at least once.
    for (rejected, script, time, expected, arrived) in [
        (0.5, Vec::new(), MINUTE, Ok(0), 10),
        (0.0, vec![Some(Fault::ResetAfter)], MINUTE, Ok(0), 10),
        (1.0, Vec::new(), MINUTE * 10, Ok(10), 0),
        (
            1.0,
            Vec::new(),
            SignedDuration::from_secs(1),
            Err(ServiceErrorKind::Deadline),
            0,
        ),
        (
            0.0,
            throttled(),
            MINUTE * 10,
            Err(ServiceErrorKind::Retryable),
            0,
        ),
    ] {
        virtual_time(async {
            let cloud = calm();
            cloud.with(|state| {
                state.sqs.create(URL, Duration::from_mins(1), None);
                state.rates.send_failure = rejected;
            });
            let plan = Plan {
                script: script.into_iter().collect(),
                ..Plan::default()
            };
            let client = Client::new(Arc::clone(&cloud), 1, plan);
            let deadline = cloud.clock.now() + time;
            let clock = Arc::new(cloud.clock);
            let queue =
                RetryingService::new(client, Backoff::new(clock, deadline, 7, RetryPolicy::SQS));
            let bodies: Vec<String> = (0..10).map(|n| n.to_string()).collect();
            let sent = queue.send(URL, &bodies).await;
            let sent = sent.map_err(|error| error.kind);
            assert_eq!(sent.as_ref().map(Vec::len).map_err(|kind| *kind), expected);
            let mut remaining: Vec<_> = sent.unwrap_or_default().iter().map(|f| f.index).collect();
            remaining.sort_unstable();
            assert!(remaining.iter().copied().eq(0..remaining.len()));
            let mut rng = fastrand::Rng::with_seed(1);
            let now = cloud.clock.now();
            let (received, ..) =
                cloud.with(|state| state.sqs.receive(URL, 100, now, 0.0, &mut rng));
            let distinct: std::collections::BTreeSet<_> =
                received.into_iter().map(|message| message.body).collect();
            assert_eq!(distinct.len(), arrived);
        });
    }
}

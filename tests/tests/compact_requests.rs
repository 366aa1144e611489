//! What compact answers, writes and refuses, over the models.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "compact_requests/abandoned.rs"]
mod abandoned;
#[path = "compact_requests/in_place.rs"]
mod in_place;
#[path = "compact_requests/published.rs"]
mod published;
#[path = "compact_requests/refused.rs"]
mod refused;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray},
    util::display::array_value_to_string,
};
use bytes::Bytes;
use jiff::SignedDuration;
use lakewright_core::{
    catalog::{Column, StorageDescriptor, Table},
    config::{Compact, Config},
    location::Location,
};
use lakewright_jobs::{
    JobError,
    compact::{
        self, Budget, Item, Merge, MergeStatus, PlanReport, PlanRequest, Ports, StatusReport, Step,
        StepReport, StepRequest, StepStatus,
    },
    retry::{Backoff, RetryPolicy, Retrying, RetryingCatalog},
};
use lakewright_model::{Client, Cloud, Death, FaultRates, ModelS3, Plan, Settings, virtual_time};
use lakewright_ports::{
    Catalog, Clock, ListPage, Partition, Store, StoreError, StoreErrorKind, StoreLayer,
};
use lakewright_tests::semantics::stated;
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};

/// The table's partitions lie at `s3://lake/t/day=<day>/`.
const TABLE: &str = r#"
    [[compact]]
    table = "lake.t"
    min_files = 3
    quiet_for = "0s"
    longest_invocation = "5m"
    grace_period = "1h"
"#;

fn job(text: &str, more: &str) -> Compact {
    Config::parse(&format!("{text}\n{more}"))
        .unwrap()
        .compact
        .remove(0)
}

/// A file whose rows are these ids.
fn file(ids: &[&str]) -> Bytes {
    let ids: ArrayRef = Arc::new(StringArray::from(ids.to_vec()));
    parquet(&RecordBatch::try_from_iter([("id", ids)]).unwrap())
}

fn parquet(batch: &RecordBatch) -> Bytes {
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap().into()
}

/// The ids in a file, in their order.
fn ids(bytes: Bytes) -> Vec<String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    let batches = reader.build().unwrap().map(Result::unwrap);
    batches
        .flat_map(|batch| {
            let column = batch.column_by_name("id").unwrap();
            let ids = (0..batch.num_rows()).map(|row| array_value_to_string(column, row).unwrap());
            ids.collect::<Vec<_>>()
        })
        .collect()
}

/// What readers of directories find, each file with its ids.
fn visible(s3: &ModelS3) -> BTreeMap<String, Vec<String>> {
    let root = Location::new("lake", "");
    s3.below(&root)
        .filter(|(location, _)| !location.key.contains("/_"))
        .map(|(location, object)| (location.key.clone(), ids(object.bytes.clone())))
        .collect()
}

struct World {
    cloud: Arc<Cloud>,
    job: Compact,
}

impl World {
    fn new(job: Compact) -> Self {
        let settings = Settings {
            page: 3,
            ..Settings::default()
        };
        let cloud = Cloud::new(1, settings, FaultRates::default());
        let world = Self { cloud, job };
        world.put_table(&[]);
        world
    }

    fn put_table(&self, parameters: &[(&str, &str)]) {
        let column = |name: &str| Column {
            name: name.to_owned(),
            hive_type: "string".to_owned(),
        };
        let parameters = parameters.iter();
        let table = Table {
            name: "lake.t".parse().unwrap(),
            storage: StorageDescriptor {
                location: "s3://lake/t/".to_owned(),
                columns: vec![column("id")],
                ..StorageDescriptor::default()
            },
            partition_keys: vec![column("day")],
            parameters: parameters
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            version_id: None,
        };
        self.cloud.with(|state| state.glue.put_table(table));
    }

    /// Files of one id each in a partition, which is registered.
    async fn partition(&self, day: &str, files: &[&str]) {
        for id in files {
            self.place(&format!("t/day={day}/{id}.parquet"), file(&[id]));
        }
        let partition = Partition {
            values: vec![day.to_owned()],
            storage: StorageDescriptor {
                location: format!("s3://lake/t/day={day}"),
                ..StorageDescriptor::default()
            },
        };
        let table = "lake.t".parse().unwrap();
        let client = self.client(Plan::default());
        let failures = client.create_partitions(&table, &[partition]).await;
        assert!(failures.unwrap().is_empty());
    }

    fn place(&self, key: &str, bytes: Bytes) {
        self.cloud.place(&Location::new("lake", key), bytes);
    }

    fn client(&self, plan: Plan) -> Client {
        Client::new(Arc::clone(&self.cloud), 1, plan)
    }

    async fn wait(&self, minutes: u64) {
        let clock = self.cloud.clock;
        clock.sleep(Duration::from_mins(minutes)).await;
    }

    fn ports(&self, client: &Client) -> (Ports, Budget) {
        self.ports_until(client, SignedDuration::from_mins(2), SignedDuration::ZERO)
    }

    /// Ports of an invocation that begins no work after `work`, and no call after another `last_calls`.
    fn ports_until(
        &self,
        client: &Client,
        work: SignedDuration,
        last_calls: SignedDuration,
    ) -> (Ports, Budget) {
        let clock = Arc::new(self.cloud.clock);
        let work = clock.now() + work;
        let deadline = work + last_calls;
        let backoff = |policy| Backoff::new(clock.clone(), deadline, 1, policy);
        let store = Retrying::new(client.clone(), backoff(RetryPolicy::S3));
        let catalog = RetryingCatalog::new(client.clone(), backoff(RetryPolicy::GLUE));
        let ports = Ports {
            store: Arc::new(store),
            catalog: Arc::new(catalog),
            clock: clock.clone(),
        };
        let budget = Budget {
            memory: 64 << 20,
            deadline: work,
        };
        (ports, budget)
    }

    async fn ask(&self, request: PlanRequest) -> Result<PlanReport, JobError> {
        let (ports, budget) = self.ports(&self.client(Plan::default()));
        compact::plan(&ports, &self.job, &request, &budget).await
    }

    async fn plan(&self) -> PlanReport {
        self.ask(PlanRequest::default()).await.unwrap()
    }

    async fn merge(&self, item: &Item) -> Vec<MergeStatus> {
        let (ports, budget) = self.ports(&self.client(Plan::default()));
        let mut found = Vec::new();
        for task in &item.merges {
            found.push(compact::merge(&ports, task, &budget).await.unwrap().status);
        }
        found
    }

    async fn step(&self, item: &Item, step: Step) -> Result<StepReport, JobError> {
        let (ports, budget) = self.ports(&self.client(Plan::default()));
        let request = StepRequest {
            plan: item.plan.clone(),
            partition: item.partition.clone(),
            step,
        };
        compact::step(&ports, &request, budget.deadline).await
    }

    async fn status(&self) -> StatusReport {
        let (ports, budget) = self.ports(&self.client(Plan::default()));
        compact::status(&ports, &self.job, &PlanRequest::default(), budget.deadline)
            .await
            .unwrap()
    }

    /// The visible objects of the bucket, each file with its ids.
    fn files(&self) -> BTreeMap<String, Vec<String>> {
        self.cloud.with(|state| visible(&state.s3))
    }

    /// All objects of the bucket.
    fn keys(&self) -> Vec<String> {
        let root = Location::new("lake", "");
        self.cloud.with(|state| {
            let below = state.s3.below(&root);
            below.map(|(location, _)| location.key.clone()).collect()
        })
    }

    /// Where the catalog sends readers of a day.
    fn location(&self, day: &str) -> String {
        let table = "lake.t".parse().unwrap();
        self.cloud.with(|state| {
            let mut partitions = state.glue.registered(&table);
            let found = partitions.find(|partition| partition.values == [day]);
            found.unwrap().storage.location.clone()
        })
    }
}

const GENERATION: &str = "t.generations/day=1/g00000001/";

#[test]
fn a_partition_goes_from_many_files_to_one() {
    stated(
        "A merged file has the rows of its files, in the order of their names where `sort_by` says no other, and every file that is not merged is carried over under its own name, byte for byte.",
    );
    stated(
        "Old files are deleted when `grace_period` has passed since the sweep that followed the new files' publication, and only when each of their rows is verified to be in the new directory.",
    );
    virtual_time(async {
        let world = World::new(job(TABLE, "small_below = 1\ntarget_size = \"1MB\""));
        world.partition("1", &["c", "a", "b"]).await;
        world.partition("2", &["x", "y"]).await;
        world.wait(6).await;
        world.place("t/day=1/late.parquet", file(&["late"]));
        world.place("t/day=1/_hidden", Bytes::from_static(b"no data"));

        let report = world.plan().await;
        assert_eq!(report.partitions_seen, 2);
        assert_eq!(report.partitions_planned, 1);
        assert_eq!((report.files_before, report.files_after), (4, 2));
        assert_eq!(report.left, [("too_few_files".to_owned(), 1)].into());
        let [item] = &report.tasks[..] else {
            panic!("{report:?}");
        };
        assert_eq!(item.partition, "day=1/");
        assert_eq!(world.merge(item).await, [MergeStatus::Merged]);
        assert_eq!(world.merge(item).await, [MergeStatus::Duplicate]);
        let again = world.plan().await;
        assert_eq!(again.tasks, report.tasks, "an unfinished plan is taken up");

        let published = world.step(item, Step::Publish).await.unwrap();
        assert_eq!((published.status, published.files), (StepStatus::Done, 1));
        assert_eq!(published.next.as_ref().unwrap().step, Step::Sweep);
        assert_eq!(published.wait_seconds, 301);
        assert_eq!(world.location("1"), format!("s3://lake/{GENERATION}"));
        assert_eq!(world.location("2"), "s3://lake/t/day=2");
        assert_eq!(world.merge(item).await, [MergeStatus::Superseded]);
        assert_eq!(world.status().await.counts["published"], 1);

        let early = world.step(item, Step::Sweep).await.unwrap();
        assert_eq!(early.status, StepStatus::Waiting);
        assert!((295..=301).contains(&early.wait_seconds), "{early:?}");
        // A writer that read the state before it was swapped.
        world.place("t/day=1/slow.parquet", file(&["slow"]));
        world.wait(6).await;
        let swept = world.step(item, Step::Sweep).await.unwrap();
        assert_eq!((swept.status, swept.files), (StepStatus::Done, 1));
        assert_eq!(swept.next, None);

        let early = world.step(item, Step::Delete).await.unwrap();
        assert_eq!(early.status, StepStatus::Waiting);
        assert!(world.plan().await.tasks.is_empty(), "it is too early");
        world.wait(61).await;
        let due = world.plan().await;
        assert_eq!(due.tasks[0].step, Step::Delete);
        let deleted = world.step(&due.tasks[0], Step::Delete).await.unwrap();
        assert_eq!((deleted.status, deleted.files), (StepStatus::Done, 5));
        let expected = [
            ("compacted-00000001-00000.parquet", vec!["a", "b", "c"]),
            ("late.parquet", vec!["late"]),
            ("slow.parquet", vec!["slow"]),
        ];
        let mut files = world.files();
        files.retain(|key, _| !key.starts_with("t/day=2/"));
        let expected = expected.map(|(name, ids)| {
            let ids = ids.into_iter().map(str::to_owned).collect();
            (format!("{GENERATION}{name}"), ids)
        });
        assert_eq!(files, expected.into());
        let hidden = "t/day=1/_hidden".to_owned();
        assert!(world.keys().contains(&hidden), "it is nobody's to delete");
        assert_eq!(world.status().await.counts["deleted"], 1);
    });
}

#[test]
fn every_partition_is_reported_once_however_little_time_a_request_has() {
    virtual_time(async {
        let world = World::new(job(TABLE, "files = 1"));
        for day in 10..90 {
            world.partition(&day.to_string(), &["a", "b"]).await;
        }
        let mut request = PlanRequest::default();
        let (mut requests, mut seen) = (0, 0);
        loop {
            requests += 1;
            let (work, last_calls) = (
                SignedDuration::from_millis(300),
                SignedDuration::from_secs(1),
            );
            let client = world.client(Plan::default());
            let (ports, budget) = world.ports_until(&client, work, last_calls);
            let report = compact::status(&ports, &world.job, &request, budget.deadline)
                .await
                .unwrap();
            seen += report.counts["never"];
            assert!(report.next.is_none() || report.next > request.after);
            request.after = report.next;
            if request.after.is_none() {
                break;
            }
        }
        assert_eq!(seen, 80);
        assert!(requests > 1);
    });
}

#[test]
fn every_partition_is_seen_once_however_little_time_a_request_has() {
    virtual_time(async {
        let world = World::new(job(TABLE, "files = 1"));
        let days = (10..40).map(|day| day.to_string()).collect::<Vec<_>>();
        for day in &days {
            // Those that are left take as long as those that are planned.
            let files: &[&str] = if day.ends_with('9') {
                &["a", "b", "c"]
            } else {
                &["a"]
            };
            world.partition(day, files).await;
        }
        world.wait(6).await;
        for dry_run in [true, false] {
            let mut request = PlanRequest {
                dry_run,
                ..PlanRequest::default()
            };
            let (mut planned, mut merges, mut seen, mut requests) = (Vec::new(), 0, 0, 0);
            loop {
                let (ports, budget) = world.ports_until(
                    &world.client(Plan::default()),
                    SignedDuration::from_millis(400),
                    SignedDuration::from_secs(1),
                );
                let report = compact::plan(&ports, &world.job, &request, &budget)
                    .await
                    .unwrap();
                let left = report.left.values().sum::<u64>();
                assert_eq!(
                    report.partitions_seen,
                    report.partitions_planned
                        + report.partitions_resumed
                        + report.partitions_refused
                        + left,
                );
                assert_eq!(
                    report.partitions_seen + report.partitions_unseen + seen,
                    days.len() as u64
                );
                assert_eq!(report.next.is_some(), report.partitions_unseen > 0);
                seen += report.partitions_seen;
                merges += report.merges_planned;
                requests += 1;
                planned.extend(report.tasks.into_iter().map(|item| item.partition));
                request.after = report.next;
                if request.after.is_none() {
                    break;
                }
            }
            assert!(requests > 1, "the time is enough for everything");
            assert_eq!(planned, ["day=19/", "day=29/", "day=39/"]);
            assert_eq!(merges, if dry_run { 0 } else { 3 });
        }
    });
}

#[test]
fn a_dry_run_writes_nothing() {
    stated(
        "A dry run says which files would become how many, and what that costs, and writes nothing.",
    );
    virtual_time(async {
        let world = World::new(job(TABLE, "files = 1"));
        world.partition("1", &["a", "b", "c"]).await;
        world.wait(6).await;
        let before = world.keys();
        let request = PlanRequest {
            dry_run: true,
            ..PlanRequest::default()
        };
        let report = world.ask(request).await.unwrap();
        assert_eq!(world.keys(), before);
        assert_eq!((report.files_before, report.files_after), (3, 1));
        assert_eq!(report.requests.delete, 3);
        assert_eq!(report.usd, "0.01");
        assert_eq!(report.plan, None);
        assert_eq!(report.tasks.len(), 1);
    });
}

#[test]
fn an_expression_selects_partitions() {
    virtual_time(async {
        let world = World::new(job(TABLE, ""));
        world.partition("1", &["a", "b", "c"]).await;
        world.partition("2", &["d", "e", "f"]).await;
        world.wait(6).await;
        let request = PlanRequest {
            partitions: Some("day = '2'".to_owned()),
            ..PlanRequest::default()
        };
        let report = world.ask(request).await.unwrap();
        assert_eq!(report.partitions_seen, 1);
        assert_eq!(report.tasks[0].partition, "day=2/");
        // The list that a state machine reads is the same.
        let list = report.plan.unwrap();
        let listed = world.cloud.with(|state| {
            let object = state.s3.object(&list).unwrap();
            serde_json::from_slice::<Vec<Item>>(&object.bytes).unwrap()
        });
        assert_eq!(listed, report.tasks);
        let merges = report.merges.unwrap();
        let listed = world.cloud.with(|state| {
            let object = state.s3.object(&merges).unwrap();
            serde_json::from_slice::<Vec<Merge>>(&object.bytes).unwrap()
        });
        let [merge] = &listed[..] else {
            panic!("one merge: {listed:?}");
        };
        assert_eq!((merge.partition.as_str(), merge.task), ("day=2/", 0));
        assert_eq!((report.items, report.merges_planned), (1, 1));
        assert_eq!(report.wait_seconds, 301, "longest_invocation, and one more");
    });
}

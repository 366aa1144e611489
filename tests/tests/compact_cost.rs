//! What a dry run says that a compaction takes is what it takes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use bytes::Bytes;
use jiff::SignedDuration;
use lakewright_core::{
    catalog::{Column, StorageDescriptor, Table},
    compact::Requests,
    config::{Compact, Config},
    location::Location,
};
use lakewright_jobs::compact::{self, Budget, PlanRequest, Ports, Step, StepRequest};
use lakewright_model::{Client, Cloud, FaultRates, Plan, Settings, virtual_time};
use lakewright_ports::{Catalog, Clock, Partition};
use lakewright_tests::{counting::Counting, semantics::stated};
use parquet::{arrow::ArrowWriter, basic::Compression, file::properties::WriterProperties};

const JOB: &str = r#"
    [[compact]]
    table = "lake.t"
    quiet_for = "0s"
    longest_invocation = "5m"
    grace_period = "1h"
    files = 2
"#;

/// A file of this many random numbers, eight bytes each.
fn file(rows: usize, seed: u64) -> Bytes {
    let mut random = fastrand::Rng::with_seed(seed);
    let numbers = (0..rows).map(|_| random.i64(..)).collect::<Vec<_>>();
    let numbers: ArrayRef = Arc::new(Int64Array::from(numbers));
    let batch = RecordBatch::try_from_iter([("id", numbers)]).unwrap();
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_compression(Compression::UNCOMPRESSED)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap().into()
}

fn column(name: &str, hive_type: &str) -> Column {
    Column {
        name: name.to_owned(),
        hive_type: hive_type.to_owned(),
    }
}

/// A partition of small files, which rekey wrote, and of some larger ones.
async fn partition(cloud: &Arc<Cloud>) {
    let storage = |location: &str| StorageDescriptor {
        location: location.to_owned(),
        columns: vec![column("id", "bigint")],
        ..StorageDescriptor::default()
    };
    let table = Table {
        name: "lake.t".parse().unwrap(),
        storage: storage("s3://lake/t/"),
        partition_keys: vec![column("day", "string")],
        parameters: Vec::new().into_iter().collect(),
        version_id: None,
    };
    cloud.with(|state| state.glue.put_table(table));
    for number in 0..60_u64 {
        let rows = if number < 57 { 1_000 } else { 1_500_000 };
        let key = format!("t/day=1/{number:032x}-{number:08x}-00000.parquet");
        cloud.place(&Location::new("lake", key), file(rows, number));
        let commit = format!("t/_lakewright/commit/{number:032x}");
        cloud.place(&Location::new("lake", commit), Bytes::from_static(b"{}"));
    }
    let partition = Partition {
        values: vec!["1".to_owned()],
        storage: storage("s3://lake/t/day=1/"),
    };
    let client = Client::new(Arc::clone(cloud), 1, Plan::default());
    let table = "lake.t".parse().unwrap();
    let failures = client.create_partitions(&table, &[partition]).await;
    assert!(failures.unwrap().is_empty());
}

/// Plans, merges, publishes, sweeps and deletes; answers with the requests, and with what a dry run said of them.
async fn compacted(job: &Compact) -> (Requests, Requests) {
    let cloud = Cloud::new(1, Settings::default(), FaultRates::default());
    partition(&cloud).await;
    let clock = cloud.clock;
    clock.sleep(Duration::from_mins(6)).await;
    let client = Client::new(Arc::clone(&cloud), 1, Plan::default());
    let store = Arc::new(Counting::new(client.clone()));
    let ports = Ports {
        store: Arc::clone(&store) as _,
        catalog: Arc::new(client),
        clock: Arc::new(clock),
    };
    let budget = Budget {
        memory: 256 << 20,
        deadline: clock.now() + SignedDuration::from_hours(10),
    };
    let dry = PlanRequest {
        dry_run: true,
        ..PlanRequest::default()
    };
    let said = compact::plan(&ports, job, &dry, &budget).await.unwrap();
    store.taken();
    let request = PlanRequest::default();
    let report = compact::plan(&ports, job, &request, &budget).await.unwrap();
    assert_eq!(report.tasks.len(), 1, "{report:?}");
    let item = &report.tasks[0];
    for task in &item.merges {
        compact::merge(&ports, task, &budget).await.unwrap();
    }
    for step in [Step::Publish, Step::Sweep, Step::Delete] {
        let request = StepRequest {
            plan: item.plan.clone(),
            partition: item.partition.clone(),
            step,
        };
        let done = compact::step(&ports, &request, budget.deadline)
            .await
            .unwrap();
        assert_eq!(done.wait_seconds > 0, step == Step::Publish, "{done:?}");
        clock.sleep(Duration::from_mins(70)).await;
    }
    (store.taken(), said.requests)
}

#[test]
fn what_a_dry_run_says_of_requests_is_true() {
    stated(
        "A dry run says which files would become how many, and what that costs, and writes nothing.",
    );
    virtual_time(async {
        let job = Config::parse(JOB).unwrap().compact.remove(0);
        let (counted, said) = compacted(&job).await;
        let is_about = |a: u64, b: u64| a.abs_diff(b) * 10 <= a.max(b);
        assert!(is_about(counted.get, said.get), "{counted:?} {said:?}");
        assert!(is_about(counted.put, said.put), "{counted:?} {said:?}");
        assert!(is_about(counted.list, said.list), "{counted:?} {said:?}");
        assert_eq!(counted.delete, said.delete);
    });
}

//! What is wide or old, and the memory and the calls that it takes.
//!
//! This is a binary of its own because it measures the peak memory of the whole process. That is read on Linux only;
//! elsewhere only the calls are counted.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "bounds/avro.rs"]
mod avro;
#[path = "bounds/orc.rs"]
mod orc;
#[path = "bounds/wide.rs"]
mod wide;

use std::{
    fmt::Write as _,
    fs,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use bytes::Bytes;
use jiff::SignedDuration;
use lakewright_core::{
    config::{Config, Repartition, Size},
    location::Location,
};
use lakewright_jobs::{
    compact,
    repartition::{self, TaskRequest},
    split::{self, ChunkStatus},
};
use lakewright_model::{
    Client, Cloud, FaultRates, NoSecrets, Plan, Settings, SimClock, virtual_time,
};
use lakewright_ports::{Catalog, Clock, Store};
use parquet::arrow::ArrowWriter;

use self::wide::{Wide, count};

/// One test at a time: they share the process whose memory is measured.
static ALONE: Mutex<()> = Mutex::new(());

/// The memory of this process that `VmHWM` or `VmRSS` says, in MiB.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line
        .unwrap()
        .trim_start_matches(':')
        .trim()
        .trim_end_matches(" kB");
    kibibytes.parse::<u64>().unwrap() >> 10
}

/// Runs work in virtual time, and says how many MiB it took at its peak.
fn peak<T>(work: impl Future<Output = T>) -> (T, u64) {
    if !cfg!(target_os = "linux") {
        return (virtual_time(work), 0);
    }
    // The peak begins anew. <https://docs.kernel.org/filesystems/proc.html>
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = memory("VmRSS");
    let result = virtual_time(work);
    (result, memory("VmHWM").saturating_sub(before))
}

fn alone() -> impl Drop {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ports(wide: &Arc<Wide>) -> compact::Ports {
    compact::Ports {
        store: Arc::clone(wide) as Arc<dyn Store>,
        catalog: Arc::clone(wide) as Arc<dyn Catalog>,
        clock: Arc::new(SimClock::start()),
    }
}

fn budget(memory: u64, clock: &dyn Clock) -> repartition::Budget {
    repartition::Budget {
        memory,
        scratch: std::env::temp_dir(),
        scratch_bytes: u64::MAX,
        deadline: clock.now() + SignedDuration::from_hours(10),
    }
}

fn rows(from: i64, rows: i64) -> Bytes {
    let column: ArrayRef = Arc::new((from..from + rows).collect::<Int64Array>());
    let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap().into()
}

#[test]
fn a_hundred_thousand_partitions_of_a_compacted_table() {
    const PARTITIONS: u64 = 100_000;
    let _alone = alone();
    let job = "[[compact]]\ntable = \"lake.t\"";
    let job = Config::parse(job).unwrap().compact.remove(0);
    let wide = Wide::new("nothing/", 0, Bytes::new(), PARTITIONS);
    for is_status in [false, true] {
        let before = count(&wide.lists);
        let ((), mib) = peak(async {
            let ports = ports(&wide);
            let deadline = ports.clock.now() + SignedDuration::from_hours(10);
            let mut request = compact::PlanRequest::default();
            let mut seen = 0;
            loop {
                request.after = if is_status {
                    let report = compact::status(&ports, &job, &request, deadline).await;
                    let report = report.unwrap();
                    seen += report.counts["never"];
                    report.next
                } else {
                    let memory = 256 << 20;
                    let budget = compact::Budget { memory, deadline };
                    let report = compact::plan(&ports, &job, &request, &budget).await;
                    let report = report.unwrap();
                    seen += report.left["too_few_files"];
                    report.next
                };
                if request.after.is_none() {
                    break;
                }
            }
            assert_eq!(seen, PARTITIONS);
        });
        // The ledger of each, of a plan its files too, and what marks another table format.
        let each = if is_status { 1 } else { 2 };
        let lists = count(&wide.lists) - before;
        assert!(
            (each * PARTITIONS..each * PARTITIONS + 20).contains(&lists),
            "{lists}"
        );
        assert!(mib < 96, "{mib} MiB");
    }
}

/// Repartition of a table of so many objects, into one file.
fn one_file() -> Repartition {
    let text = "[[repartition]]\nname = \"job\"\nsource = \"lake.t\"\ntarget = \"s3://lake/out/\"\nfiles = 1\n[[repartition.output]]\nformat = \"parquet\"";
    Config::parse(text).unwrap().repartition.remove(0)
}

#[test]
fn a_million_objects_of_a_table() {
    const OBJECTS: u64 = 1_000_000;
    let _alone = alone();
    let wide = Wide::new("t/", OBJECTS, rows(0, 1), 0);
    let (report, mib) = peak(async {
        let ports = ports(&wide);
        let budget = budget(1 << 30, &*ports.clock);
        repartition::plan(&ports, &NoSecrets, &one_file(), &budget)
            .await
            .unwrap()
    });
    assert_eq!(report.files_before, OBJECTS);
    let lists = count(&wide.lists);
    assert!(
        (OBJECTS / 1_000..OBJECTS / 1_000 + 20).contains(&lists),
        "{lists}"
    );
    // Small objects are not looked at.
    assert_eq!(count(&wide.gets), 0);
    let each = count(&wide.written) / OBJECTS;
    assert!(each < 160, "{each} bytes of the plan for each");
    assert!(mib < 1_024, "{mib} MiB");
}

#[test]
fn fifty_thousand_footers_of_one_file() {
    const OBJECTS: u64 = 50_000;
    const MEMORY: u64 = 96 << 20;
    let _alone = alone();
    let wide = Wide::new("t/", OBJECTS, rows(0, 10), 0);
    let (report, mib) = peak(async {
        let ports = ports(&wide);
        let budget = budget(MEMORY, &*ports.clock);
        let plan = repartition::plan(&ports, &NoSecrets, &one_file(), &budget)
            .await
            .unwrap();
        let [task] = &plan.tasks[..] else {
            panic!("{:?}", plan.tasks);
        };
        repartition::write(&ports, &NoSecrets, task, &budget)
            .await
            .unwrap()
    });
    assert_eq!((report.rows, report.outputs), (10 * OBJECTS, 1));
    let gets = count(&wide.gets);
    assert!(gets <= 3 * OBJECTS, "{gets} GETs");
    assert!(mib << 20 < 2 * MEMORY, "{mib} MiB");
}

#[test]
fn a_plan_reads_the_last_64_kib_of_a_parquet_object() {
    const OBJECTS: u64 = 1_000;
    let _alone = alone();
    let wide = Wide::new("t/", OBJECTS, rows(0, 1_000_000), 0);
    let size = wide.body.len();
    assert!(size > 4 << 20, "{size} bytes");
    let job = Repartition {
        task_size: Size::mib(16),
        ..one_file()
    };
    let (report, mib) = peak(async {
        let ports = ports(&wide);
        let budget = budget(256 << 20, &*ports.clock);
        repartition::plan(&ports, &NoSecrets, &job, &budget)
            .await
            .unwrap()
    });
    assert_eq!(report.files_before, OBJECTS);
    let (gets, read) = (count(&wide.gets), count(&wide.read));
    assert_eq!((gets, read), (OBJECTS, OBJECTS * (64 << 10)));
    assert!(mib < 64, "{mib} MiB");
}

/// A hundred rows of so many places.
fn places(places: i64) -> Bytes {
    let numbers: ArrayRef = Arc::new((0..100_i64).collect::<Int64Array>());
    let places: ArrayRef = Arc::new((0..100_i64).map(|n| n % places).collect::<Int64Array>());
    let batch = RecordBatch::try_from_iter([("n", numbers), ("place", places)]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap().into()
}

/// Repartition by place.
fn by_place(more: &str, task_size: Size) -> Repartition {
    let text = format!(
        "[[repartition]]\nname = \"job\"\nsource = \"s3://lake/t/\"\nformat = \"parquet\"\ntarget = \"s3://lake/out/\"\npartition_by = [\"place\"]\n{more}\n[[repartition.output]]\nformat = \"parquet\""
    );
    Repartition {
        task_size,
        ..Config::parse(&text).unwrap().repartition.remove(0)
    }
}

#[test]
fn one_of_a_thousand_tasks_of_two_hundred_thousand_objects() {
    const OBJECTS: u64 = 200_000;
    const TASKS: u64 = 1_000;
    let _alone = alone();
    let body = places(2);
    let size = body.len() as u64;
    let job = by_place("", Size::kib(OBJECTS / TASKS * size / 1_024));
    let wide = Wide::new("t/", OBJECTS, body, 0);
    let plan = virtual_time(async {
        let ports = ports(&wide);
        let budget = budget(1 << 30, &*ports.clock);
        let plan = repartition::plan(&ports, &NoSecrets, &job, &budget).await;
        plan.unwrap().plan
    });
    let before = count(&wide.read);
    let (report, mib) = peak(async {
        let ports = ports(&wide);
        let budget = budget(64 << 20, &*ports.clock);
        let request = TaskRequest {
            plan,
            task: Some(500),
            prepare: None,
        };
        repartition::write(&ports, &NoSecrets, &request, &budget)
            .await
            .unwrap()
    });
    let objects = report.rows / 100;
    assert!((150..250).contains(&objects), "{objects} objects");
    // Of its own objects the footers and the rows, and of the plan what is the task's: not the 30 MB of all objects.
    let read = count(&wide.read) - before;
    assert!(read < 3 * objects * size + (200 << 10), "{read} bytes");
    assert!(mib < 40, "{mib} MiB");
}

#[test]
fn a_thousand_preparations_for_a_thousand_tasks() {
    const TASKS: usize = 1_000;
    const PLACES: i64 = 20;
    let _alone = alone();
    let body = places(PLACES);
    assert!(body.len() > 1_000, "{} bytes", body.len());
    // Each object is a task of its own.
    let job = by_place("merge = true", Size::kib(1));
    let wide = Wide::new("t/", TASKS as u64, body, 0);
    let ((rows, outputs), mib) = peak(async {
        let ports = ports(&wide);
        let budget = budget(256 << 20, &*ports.clock);
        let plan = repartition::plan(&ports, &NoSecrets, &job, &budget)
            .await
            .unwrap()
            .plan;
        let request = |task, prepare| TaskRequest {
            plan: plan.clone(),
            task,
            prepare,
        };
        for prepare in 0..TASKS {
            let request = request(None, Some(prepare));
            repartition::write(&ports, &NoSecrets, &request, &budget)
                .await
                .unwrap();
        }
        let (mut rows, mut outputs) = (0, 0);
        for task in 0..TASKS {
            let request = request(Some(task), None);
            let report = repartition::write(&ports, &NoSecrets, &request, &budget)
                .await
                .unwrap();
            rows += report.rows;
            outputs += report.outputs;
        }
        (rows, outputs)
    });
    assert_eq!((rows, outputs), (100 * TASKS as u64, PLACES.unsigned_abs()));
    let (tasks, blocks) = (TASKS as u64, TASKS.div_ceil(64) as u64);
    // Each preparation looks for its own entry, and of each block the last one reads those of the block.
    assert_eq!(count(&wide.prepared), 2 * tasks);
    // A task reads where its rows are in each block, and, if it has any, which ones.
    let gathered = count(&wide.gathered);
    assert!(
        gathered <= (tasks + PLACES.unsigned_abs() + 1) * blocks,
        "{gathered}"
    );
    assert!(mib < 128, "{mib} MiB");
}

#[test]
fn five_million_duplicate_keys_of_split() {
    const ROWS: u64 = 5_000_000;
    let _alone = alone();
    let text = "[[split]]\nname = \"j\"\ntarget = \"s3://objects/j/\"\nallow_any_source = true\nkey = \"{n}.json\"\non_collision = \"keep_first\"";
    let job = Config::parse(text).unwrap().split.remove(0);
    let mut csv = "\"n\"\n".to_owned();
    for row in 0..ROWS {
        writeln!(csv, "\"{}\"", row % 10).unwrap();
    }
    let (cloud, tasks) = virtual_time(async {
        let cloud = Cloud::new(1, Settings::default(), FaultRates::default());
        cloud.with(|state| state.sqs.create("queue", Duration::from_hours(1), None));
        let result: Location = "s3://results/q.csv".parse().unwrap();
        cloud.place(&result, csv.into());
        let ports = split_ports(&cloud);
        let request = split::PlanRequest {
            name: "j".to_owned(),
            result: Some(result),
            ..split::PlanRequest::default()
        };
        let budget = split_budget(1 << 30, &cloud);
        let report = split::plan(&ports, &job, &request, "queue", &budget).await;
        assert_eq!(
            (report.as_ref().unwrap().rows, report.unwrap().objects),
            (ROWS, 10)
        );
        let mut rng = fastrand::Rng::with_seed(1);
        let now = cloud.clock.now();
        let (tasks, ..) = cloud.with(|state| state.sqs.receive("queue", 1_000, now, 0.0, &mut rng));
        // Each message reads it.
        let plan = cloud.with(|state| {
            let at = "s3://objects/j/_lakewright/split/".parse().unwrap();
            let sizes = state.s3.below(&at).map(|(_, object)| object.bytes.len());
            sizes.max().unwrap()
        });
        assert!((plan as u64) < 3 * ROWS, "{plan} bytes");
        (cloud, tasks)
    });
    let ((), mib) = peak(async {
        // Of the others each takes as much.
        for task in [tasks.first(), tasks.last()].into_iter().flatten() {
            let task = serde_json::from_str(&task.body).unwrap();
            let budget = split_budget(64 << 20, &cloud);
            let report = split::rows(&split_ports(&cloud), &task, 1, &budget).await;
            assert_eq!(report.unwrap().status, ChunkStatus::Done);
        }
    });
    assert!(mib < 96, "{mib} MiB");
}

fn split_ports(cloud: &Arc<Cloud>) -> split::Ports {
    let client = Client::new(Arc::clone(cloud), 1, Plan::default());
    split::Ports {
        store: Arc::new(client.clone()),
        queries: Arc::new(client.clone()),
        queue: Arc::new(client.clone()),
        callback: Arc::new(client),
        clock: Arc::new(cloud.clock),
    }
}

fn split_budget(memory: u64, cloud: &Cloud) -> split::Budget {
    split::Budget {
        memory,
        deadline: cloud.clock.now() + SignedDuration::from_hours(10),
    }
}

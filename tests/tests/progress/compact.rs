//! The plan and the steps of compact.

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use bytes::Bytes;
use lakewright_core::config::{Compact, Config};
use lakewright_jobs::compact::{
    self, Budget, Item, PlanRequest, Ports, Step, StepRequest, StepStatus,
};
use lakewright_ports::{Catalog as _, Partition};
use parquet::arrow::ArrowWriter;

use super::*;

pub(super) fn job(more: &str) -> Compact {
    let text = format!(
        "[[compact]]\nmin_files = 2\nsmall_below = 100\nquiet_for = \"0s\"\nlongest_invocation = \"5m\"\ngrace_period = \"1h\"\n{more}"
    );
    Config::parse(&text).unwrap().compact.remove(0)
}

/// A file of random numbers.
fn file(seed: usize, rows: usize) -> Bytes {
    let mut rng = fastrand::Rng::with_seed(seed as u64);
    let numbers = (0..rows).map(|_| rng.i64(..)).collect::<Int64Array>();
    let column: ArrayRef = Arc::new(numbers);
    let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap().into()
}

fn ports(invocation: &Invocation) -> (Ports, Budget) {
    let (ports, _) = invocation.ports();
    let budget = Budget {
        memory: 64 << 20,
        deadline: invocation.work(),
    };
    (ports, budget)
}

/// A table with so many partitions of so many files of so many rows.
pub(super) async fn table(cloud: &Arc<Cloud>, partitions: usize, files: usize, rows: usize) {
    super::table(
        cloud,
        "lake.t",
        "s3://lake/t/",
        &[("n", "bigint")],
        &["day"],
    );
    let mut registered = Vec::new();
    for day in 0..partitions {
        let location = format!("s3://lake/t/day={day:04}/");
        for n in 0..files {
            let at = at(&location).join(&format!("{n:05}.parquet"));
            cloud.place(&at, file(n, rows));
        }
        registered.push(Partition {
            values: vec![format!("{day:04}")],
            storage: StorageDescriptor {
                location,
                ..StorageDescriptor::default()
            },
        });
    }
    let client = Client::new(Arc::clone(cloud), 0, Plan::default());
    for batch in registered.chunks(100) {
        let table = "lake.t".parse().unwrap();
        client.create_partitions(&table, batch).await.unwrap();
    }
    cloud.clock.sleep(Duration::from_mins(10)).await;
}

pub(super) const TABLE: &str = "table = \"lake.t\"\nfiles = 1";

struct Planned {
    cloud: Arc<Cloud>,
    after: Option<String>,
    seen: u64,
    is_status: bool,
}

const PARTITIONS: usize = 150;

impl Planned {
    async fn new(cloud: Arc<Cloud>, is_status: bool) -> Self {
        table(&cloud, PARTITIONS, 3, 1).await;
        Self {
            cloud,
            after: None,
            seen: 0,
            is_status,
        }
    }
}

impl Work for Planned {
    fn cloud(&self) -> &Arc<Cloud> {
        &self.cloud
    }

    async fn attempt(&mut self, invocation: &Invocation) -> Result<bool, Arc<JobError>> {
        let (ports, budget) = ports(invocation);
        let request = PlanRequest {
            after: self.after.clone(),
            ..PlanRequest::default()
        };
        let job = job(TABLE);
        if self.is_status {
            let report = compact::status(&ports, &job, &request, budget.deadline).await?;
            self.seen += report.counts["never"];
            self.after = report.next;
        } else {
            let report = compact::plan(&ports, &job, &request, &budget).await?;
            self.seen += report.partitions_planned;
            self.after = report.next;
        }
        if self.after.is_some() {
            return Ok(false);
        }
        assert_eq!(self.seen, PARTITIONS as u64);
        Ok(true)
    }
}

/// A step of a partition with many merges.
struct Stepped {
    cloud: Arc<Cloud>,
    request: StepRequest,
}

impl Stepped {
    async fn new(cloud: Arc<Cloud>, more: &str, step: Step) -> Self {
        let size = 2 * file(0, 1).len() + 100;
        let job = job(&format!("{more}\ntarget_size = \"{size}B\""));
        // 60 merges of two files each, and 200 files that are carried.
        table(&cloud, 1, 120, 1).await;
        let within = async || ports(&ample(&cloud));
        let (ports, budget) = within().await;
        let plan = compact::plan(&ports, &job, &PlanRequest::default(), &budget)
            .await
            .unwrap();
        let [item] = <[Item; 1]>::try_from(plan.tasks).unwrap();
        assert_eq!(item.merges.len(), 60);
        for task in &item.merges {
            compact::merge(&ports, task, &budget).await.unwrap();
        }
        for file in 0..200 {
            let late = at(&format!("s3://lake/t/day=0000/late-{file:05}.parquet"));
            cloud.place(&late, super::compact::file(file, 1));
        }
        let request = |step| StepRequest {
            plan: item.plan.clone(),
            partition: item.partition.clone(),
            step,
        };
        let before = match step {
            Step::Sweep => &[Step::Publish][..],
            Step::Delete => &[Step::Publish, Step::Sweep],
            Step::Abandon => &[Step::Abandon],
            Step::Publish => &[],
        };
        for step in before {
            let (ports, budget) = within().await;
            compact::step(&ports, &request(*step), budget.deadline)
                .await
                .unwrap();
            cloud.clock.sleep(Duration::from_hours(2)).await;
        }
        if step == Step::Sweep {
            for file in 0..200 {
                let late = at(&format!("s3://lake/t/day=0000/later-{file:05}.parquet"));
                cloud.place(&late, super::compact::file(file, 1));
            }
        }
        Self {
            request: request(step),
            cloud,
        }
    }
}

impl Work for Stepped {
    fn cloud(&self) -> &Arc<Cloud> {
        &self.cloud
    }

    async fn attempt(&mut self, invocation: &Invocation) -> Result<bool, Arc<JobError>> {
        let (ports, budget) = ports(invocation);
        let report = compact::step(&ports, &self.request, budget.deadline).await?;
        assert_eq!(report.status, StepStatus::Done);
        Ok(true)
    }
}

pub(super) async fn done() {
    super::done("compact-plan", &[300, 1_000], |cloud| {
        Planned::new(cloud, false)
    })
    .await;
    super::done("status", &[300, 1_000], |cloud| Planned::new(cloud, true)).await;
    for step in [Step::Publish, Step::Sweep, Step::Delete, Step::Abandon] {
        let make = async |cloud| Stepped::new(cloud, "table = \"lake.t\"", step).await;
        super::done(&format!("{step:?}"), &[400, 600], make).await;
    }
    let in_place = "target = \"s3://lake/t/\"\nmode = \"in_place\"";
    let make = async |cloud| Stepped::new(cloud, in_place, Step::Publish).await;
    super::done("in place", &[400, 600], make).await;
}

//! The plan, the tasks and the commit of repartition.

use bytes::Bytes;
use lakewright_core::config::{Config, Repartition};
use lakewright_jobs::repartition::{self, CommitRequest, PlanReport, TaskRequest};
use lakewright_model::NoSecrets;

use super::*;

fn job(more: &str) -> Repartition {
    let text = format!(
        "[[repartition]]\nname = \"job\"\nsource = \"s3://lake/in/\"\nformat = \"json\"\ntarget = \"s3://lake/out/\"\ntask_size = \"1MiB\"\n{more}\n[[repartition.output]]\nformat = \"json\""
    );
    Config::parse(&text).unwrap().repartition.remove(0)
}

/// A run from its plan on.
struct Run {
    cloud: Arc<Cloud>,
    plan: PlanReport,
    /// The tasks that are not done.
    left: Vec<TaskRequest>,
}

/// The objects that the run replaces.
const REPLACED: usize = 2_500;

impl Run {
    /// Of as many objects, with so many partitions in all.
    async fn new(cloud: Arc<Cloud>, more: &str, objects: usize, places: usize) -> Self {
        for object in 0..objects {
            let rows = (0..places).filter(|place| place % objects == object);
            let rows = rows.map(|place| format!("{{\"n\":{place},\"place\":\"{place:04}\"}}\n"));
            let mut text = rows.collect::<String>();
            if objects > 1 {
                // Each object is a task of its own.
                text.extend(std::iter::repeat_n('\n', 1 << 20));
            }
            cloud.place(&at(&format!("s3://lake/in/{object:03}")), text.into());
        }
        for object in 0..REPLACED {
            let old = at(&format!("s3://lake/out/old/{object:05}"));
            cloud.place(&old, Bytes::from_static(b"{}"));
        }
        let (ports, budget) = ample(&cloud).ports();
        let plan = repartition::plan(&ports, &NoSecrets, &job(more), &budget)
            .await
            .unwrap();
        let left = plan
            .prepare
            .iter()
            .chain(&plan.tasks)
            .cloned()
            .rev()
            .collect();
        Self { cloud, plan, left }
    }
}

impl Work for Run {
    fn cloud(&self) -> &Arc<Cloud> {
        &self.cloud
    }

    async fn attempt(&mut self, invocation: &Invocation) -> Result<bool, Arc<JobError>> {
        let (ports, budget) = invocation.ports();
        while let Some(task) = self.left.last() {
            repartition::write(&ports, &NoSecrets, task, &budget).await?;
            self.left.pop();
        }
        let request = CommitRequest {
            plan: self.plan.plan.clone(),
        };
        let report = repartition::commit(&ports, &request, budget.deadline).await?;
        assert_eq!(report.removed, REPLACED as u64);
        Ok(true)
    }
}

/// A plan whose columns are inferred, from objects after which others land.
struct Inferred {
    cloud: Arc<Cloud>,
    objects: usize,
}

impl Inferred {
    fn new(cloud: Arc<Cloud>) -> Self {
        let mut made = Self { cloud, objects: 0 };
        for _ in 0..400 {
            made.land();
        }
        made
    }

    /// An object of which one field is in no other.
    fn land(&mut self) {
        let object = at(&format!("s3://lake/in/{:05}", self.objects));
        let text = format!("{{\"n\":1.5,\"of_{}\":[{{\"x\":1}}]}}\n", self.objects);
        self.cloud.place(&object, text.into());
        self.objects += 1;
    }
}

impl Work for Inferred {
    fn cloud(&self) -> &Arc<Cloud> {
        &self.cloud
    }

    async fn attempt(&mut self, invocation: &Invocation) -> Result<bool, Arc<JobError>> {
        let (ports, budget) = invocation.ports();
        let plan = repartition::plan(&ports, &NoSecrets, &job(""), &budget).await?;
        let names = plan.columns.iter().map(|column| column.name.as_str());
        let of = (0..self.objects).map(|object| format!("of_{object}"));
        let expected = std::iter::once("n".to_owned()).chain(of);
        assert!(names.eq(expected), "{:?}", plan.columns);
        Ok(true)
    }

    async fn meanwhile(&mut self) {
        self.land();
    }
}

pub(super) async fn done() {
    let make = async |cloud| Inferred::new(cloud);
    super::done("repartition-plan without a table", &[600, 1_500], make).await;
    for (settings, objects, times) in [
        ("partition_by = [\"place\"]", 1, [700, 1_500]),
        ("files = 400", 1, [700, 1_500]),
        ("files = 400", 8, [700, 1_500]),
        ("partition_by = [\"place\"]\nmerge = true", 8, [900, 1_500]),
    ] {
        let name = format!("repartition, {settings}, {objects} objects");
        let make = async |cloud| Run::new(cloud, settings, objects, 400).await;
        super::done(&name, &times, make).await;
    }
}

#[test]
fn what_is_prepared_is_put_together_once() {
    virtual_time(async {
        let cloud = Cloud::new(1, Settings::default(), FaultRates::default());
        let mut run = Run::new(Arc::clone(&cloud), "files = 400", 8, 400).await;
        let (preparations, tasks) = (run.plan.prepare.len(), run.plan.tasks.len());
        assert_eq!((preparations, tasks), (8, 8));
        let (ended, _) = attempted(&mut run, Duration::from_mins(15), 1).await;
        assert_eq!(ended, Ok(true));
        let reads = cloud.with(|state| {
            let entries = state.history.entries().iter();
            let reads = entries.filter(|entry| {
                entry.operation == "GetObject"
                    && entry.target.contains("/prepared/")
                    && entry.outcome == "ok"
            });
            reads.count()
        });
        // Eight for all tasks and the commit, and not eight for each.
        assert_eq!(reads, preparations);
    });
}

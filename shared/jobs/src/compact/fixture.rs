//! The partition `day=1/` of `lake.t` with the files `a`, `b` and `c`, of one row each, and a plan that merges `a` and `b` and
//! carries `c`.

use std::{fmt, sync::Arc};

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use bytes::Bytes;
use jiff::SignedDuration;
use lakewright_core::{
    compact::{PartitionLedger, PartitionState},
    config::{Compact, CompactMode, Config},
    location::Location,
};
use parquet::arrow::ArrowWriter;

use super::{
    Budget, MergeTask, PlanRequest, StepRequest,
    ledger::{self, Bin, Input, Plan},
    merge, plan,
    report::{Step, StepReport},
    steps,
};
use crate::{
    fixture::{self, Lake, View, everything, told},
    kit::{JobError, Ports},
};

/// The directories before and after, and the partition's ledger.
const FROM: &str = "t/day=1/";
const TO: &str = "t.generations/day=1/g00000001/";
const LEDGER: &str = "t/_lakewright/partition/day=1/";
const OUTPUT: &str = "compacted-00000001-00000.parquet";

/// What was there or happened before a step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Was {
    /// The merged file was written, with so many rows.
    Merged(usize),
    /// A file was written into the old directory, or over one that is there.
    Written(&'static str),
    /// A file was deleted from the old directory.
    Gone(&'static str),
    /// A file of the same name and content as in the old directory was written into the new one.
    Carried(&'static str),
    /// A step was run.
    Ran(Step),
    /// So many minutes passed. The longest invocation has 5, the grace period 60.
    Waited(i64),
    /// Somebody pointed the catalog's partition there.
    Pointed(&'static str),
    /// Writers follow the plan, and its publisher died.
    Swapped,
    /// The partition has moved on to the generation after the plan's.
    MovedOn,
    /// The partition was planned.
    Planned,
    /// A merge of the plan failed in a way that no other attempt can mend.
    Failed,
}

/// The job that the plan was made for.
fn job() -> Compact {
    let text = r#"
        [[compact]]
        table = "lake.t"
        min_files = 2
        quiet_for = "0s"
        longest_invocation = "5m"
        grace_period = "1h"
    "#;
    Config::parse(text).unwrap().compact.remove(0)
}

/// A Parquet file with so many rows.
fn file(rows: usize) -> Bytes {
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["x"; rows]));
    let batch = RecordBatch::try_from_iter([("id", ids)]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap().into()
}

/// The table and its files.
async fn files(lake: &Lake) {
    lake.put_table(&["id"]);
    lake.put_partition("1", FROM).await;
    for name in ["a", "b", "c"] {
        lake.place(&format!("{FROM}{name}"), file(1));
    }
}

/// Writes the plan.
async fn propose(lake: &Lake, settings: Compact) {
    let inputs = ["a", "b"].map(|name| {
        let at = Lake::at(&format!("{FROM}{name}"));
        let (size, etag) = lake.cloud.with(|state| {
            let object = state.s3.object(&at).unwrap();
            (object.bytes.len() as u64, object.etag.clone())
        });
        Input {
            name: name.to_owned(),
            size,
            etag,
            rows: 1,
        }
    });
    let plan = Plan {
        version: Plan::VERSION,
        settings,
        partition: "day=1/".to_owned(),
        values: vec!["1".to_owned()],
        generation: 1,
        from: Lake::at(FROM),
        to: Lake::at(TO),
        bins: vec![Bin {
            output: OUTPUT.to_owned(),
            rows: 2,
            bytes: inputs.iter().map(|input| input.size).sum(),
            inputs: inputs.to_vec(),
            firsts: Vec::new(),
            compressions: Vec::new(),
        }],
    };
    let store = lake.ports().store;
    ledger::propose(&*store, &ledger(), plan).await.unwrap();
}

fn ledger() -> PartitionLedger {
    PartitionLedger::new(&Lake::at("t/_lakewright/"), "day=1/")
}

/// What happened, one after the other.
async fn happened(lake: &Lake, was: &[Was]) {
    let (store, ledger) = (lake.ports().store, ledger());
    for was in was {
        match *was {
            Was::Merged(rows) => {
                lake.place(&format!("{TO}{OUTPUT}"), file(rows));
            }
            Was::Written(name) => {
                lake.place(&format!("{FROM}{name}"), file(3));
            }
            Was::Gone(name) => lake.remove(&format!("{FROM}{name}")),
            Was::Carried(name) => {
                let content = lake.content(&format!("{FROM}{name}")).unwrap();
                lake.place(&format!("{TO}{name}"), content);
            }
            Was::Ran(step) => {
                run(lake, step).await.unwrap();
            }
            Was::Waited(minutes) => lake.wait(SignedDuration::from_mins(minutes)).await,
            Was::Pointed(at) => lake.put_partition("1", at).await,
            Was::Swapped => {
                let (_, plan) = ledger::read_plan(&*store, &location()).await.unwrap();
                let existing = ledger::read_state(&*store, &ledger).await.unwrap();
                let swapped = ledger::swap(&*store, &ledger, &plan, existing.as_ref()).await;
                assert!(swapped.unwrap());
            }
            Was::MovedOn => {
                let state = PartitionState {
                    version: PartitionState::VERSION,
                    generation: 2,
                    directory: Lake::at("t.generations/day=1/g00000002/"),
                    previous: Lake::at(TO),
                    abandoned: 0,
                };
                let body = serde_json::to_vec(&state).unwrap();
                lake.place(&ledger.state().key, body);
            }
            Was::Planned => {
                run_plan(lake, &lake.ports(), false).await.unwrap();
            }
            Was::Failed => {
                let (_, plan) = ledger::read_plan(&*store, &location()).await.unwrap();
                let error = JobError::unreadable(location(), "it always fails");
                let noted = ledger::note_failure(&*store, &ledger, &plan, 0, &error).await;
                noted.unwrap();
            }
        }
    }
}

fn request(step: Step) -> StepRequest {
    StepRequest {
        plan: location(),
        partition: "day=1/".to_owned(),
        step,
    }
}

fn location() -> Location {
    Lake::at(&format!("{LEDGER}plan/00000001"))
}

async fn run(lake: &Lake, step: Step) -> Result<StepReport, JobError> {
    let deadline = lake.deadline();
    steps::step(&lake.ports(), &request(step), deadline).await
}

/// How a step ended: its status, its number of files, and what comes next, after how many seconds.
struct Ended(StepReport);

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = &self.0;
        write!(f, "{:?} {}", report.status, report.files)?;
        match &report.next {
            Some(next) => write!(f, ", {:?} after {} s", next.step, report.wait_seconds),
            None => Ok(()),
        }
    }
}

/// What was there or happened, the answer, and the changes.
type Example<'a> = (&'a [Was], &'a str, &'a [&'a str]);

/// Checks what a step answers and changes: after `was`, `answer` and the `changes`, each of which is `+` for a new object, `-`
/// for one that is gone and `~` for another content, in the directories `from`, `to`, and `ledger`.
pub(super) fn check(step: Step, examples: &[Example<'_>]) {
    check_planned(examples, &async |lake, ports, _| {
        stepped(lake, ports, step).await
    });
}

/// The same, of a plan without a catalog.
pub(super) fn check_in_place(step: Step, examples: &[Example<'_>]) {
    let given = async |lake: &Lake, was: &[Was]| {
        files(lake).await;
        let settings = Compact {
            mode: CompactMode::InPlace,
            ..job()
        };
        propose(lake, settings).await;
        happened(lake, was).await;
    };
    check_all(examples, &given, &async |lake, ports| {
        stepped(lake, ports, step).await
    });
}

async fn stepped(lake: &Lake, ports: &Ports, step: Step) -> Result<String, JobError> {
    let report = steps::step(ports, &request(step), lake.deadline()).await?;
    Ok(Ended(report).to_string())
}

/// The same, of something else that is done for the plan.
pub(super) fn check_planned(
    examples: &[Example<'_>],
    work: &impl AsyncFn(&Lake, &Ports, &Plan) -> Result<String, JobError>,
) {
    let given = async |lake: &Lake, was: &[Was]| {
        files(lake).await;
        propose(lake, job()).await;
        happened(lake, was).await;
    };
    check_all(examples, &given, &async |lake, ports| {
        let (_, plan) = ledger::read_plan(&*lake.ports().store, &location()).await?;
        work(lake, ports, &plan).await
    });
}

/// The same, of a merge.
pub(super) fn check_merge(task: usize, examples: &[Example<'_>]) {
    check_planned(examples, &async |lake, ports, _| {
        let task = MergeTask {
            plan: location(),
            task,
        };
        let report = merge(ports, &task, &budget(lake)).await?;
        Ok(format!("{:?} {}", report.status, report.rows))
    });
}

/// The same, of planning a partition without a plan.
pub(super) fn check_plan(dry_run: bool, examples: &[Example<'_>]) {
    let given = async |lake: &Lake, was: &[Was]| {
        files(lake).await;
        happened(lake, was).await;
    };
    check_all(examples, &given, &async |lake, ports| {
        run_plan(lake, ports, dry_run).await
    });
}

/// What a plan says: the files before and after, the steps that are next, and why partitions are left or refused.
async fn run_plan(lake: &Lake, ports: &Ports, dry_run: bool) -> Result<String, JobError> {
    let request = PlanRequest {
        dry_run,
        ..PlanRequest::default()
    };
    let report = plan(ports, &job(), &request, &budget(lake)).await?;
    let (before, after) = (report.files_before, report.files_after);
    let next = report.tasks.iter().map(|item| {
        let merges = item.merges.len();
        format!("{:?} after {merges}", item.step)
    });
    let left = report.left.into_keys();
    let refused = (report.partitions_refused > 0).then(|| "refused".to_owned());
    let all = next.chain(left).chain(refused).collect::<Vec<_>>();
    Ok(format!("{before} to {after}: {}", all.join(", ")))
}

fn budget(lake: &Lake) -> Budget {
    Budget {
        memory: 256 << 20,
        deadline: lake.deadline(),
    }
}

fn check_all(
    examples: &[Example<'_>],
    given: &impl AsyncFn(&Lake, &[Was]),
    work: &impl AsyncFn(&Lake, &Ports) -> Result<String, JobError>,
) {
    let view = View {
        kept: everything,
        names: |lake, ()| names(lake),
    };
    fixture::check(examples.iter().map(|(was, answer, changes)| {
        let told = told(
            &view,
            async |lake| given(lake, was).await,
            async |lake, client, ()| work(lake, &lake.ports_of(client)).await,
        );
        (format!("after {was:?}"), told, *answer, *changes)
    }));
}

/// The directories, and the lists of what a plan has to do, which are named by a hash.
fn names(lake: &Lake) -> Vec<(String, String)> {
    let mut names = [
        (TO, "to/"),
        (FROM, "from/"),
        (LEDGER, "ledger/"),
        (OUTPUT, "merged"),
        ("t/_lakewright/compact/", ""),
    ]
    .map(|(text, name)| (text.to_owned(), name.to_owned()))
    .to_vec();
    let lists = lake.seen(everything).into_keys().filter_map(|key| {
        let list = key.strip_prefix("t/_lakewright/compact/")?;
        Some((list.split_once('.')?.0.to_owned(), "list".to_owned()))
    });
    names.extend(lists);
    names
}

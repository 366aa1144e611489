//! The partition `day=1/` of `lake.t` with a plan that merges `a` and `b`, of one row each, and carries `c`.

use std::{fmt, sync::Arc};

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use bytes::Bytes;
use jiff::SignedDuration;
use lakewright_core::{
    compact::{PartitionLedger, PartitionState},
    config::{Compact, Config},
    location::Location,
};
use parquet::arrow::ArrowWriter;

use super::{
    StepRequest,
    ledger::{self, Bin, Input, Plan},
    report::{Step, StepReport},
    steps,
};
use crate::fixture::{self, Lake, View, everything, told};

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
}

/// The job that the plan was made for.
pub(super) fn job() -> Compact {
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
pub(super) fn file(rows: usize) -> Bytes {
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["x"; rows]));
    let batch = RecordBatch::try_from_iter([("id", ids)]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap().into()
}

/// The ledger and its plan, which are written, and what was there besides.
pub(super) async fn planned(lake: &Lake, was: &[Was]) -> (PartitionLedger, Plan) {
    lake.put_table(&["id"]);
    lake.put_partition("1", FROM).await;
    let inputs = ["a", "b"].map(|name| {
        let bytes = file(1);
        Input {
            name: name.to_owned(),
            size: bytes.len() as u64,
            etag: lake.place(&format!("{FROM}{name}"), bytes),
            rows: 1,
        }
    });
    lake.place(&format!("{FROM}c"), file(1));
    let plan = Plan {
        version: Plan::VERSION,
        settings: job(),
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
    let ledger = PartitionLedger::new(&Lake::at("t/_lakewright/"), "day=1/");
    let store = lake.ports().store;
    let plan = ledger::propose(&*store, &ledger, plan).await.unwrap();
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
                let standing = ledger::read_state(&*store, &ledger).await.unwrap();
                let swapped = ledger::swap(&*store, &ledger, &plan, standing.as_ref()).await;
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
        }
    }
    (ledger, plan)
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

async fn run(lake: &Lake, step: Step) -> Result<StepReport, crate::JobError> {
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

/// Checks what a step answers and changes: after `was`, `answer` and the `changes`, each of which is `+` for a new object, `-`
/// for one that is gone and `~` for another content, in the directories `from`, `to`, and `ledger`.
pub(super) fn check(step: Step, examples: &[(&[Was], &str, &[&str])]) {
    let view = View {
        kept: everything,
        names: |_, ()| {
            let names = [
                (TO, "to/"),
                (FROM, "from/"),
                (LEDGER, "ledger/"),
                (OUTPUT, "merged"),
            ];
            names
                .map(|(text, name)| (text.to_owned(), name.to_owned()))
                .to_vec()
        },
    };
    fixture::check(examples.iter().map(|(was, answer, changes)| {
        let told = told(
            &view,
            async |lake| {
                planned(lake, was).await;
            },
            async |lake, client, ()| {
                let ports = lake.ports_of(client);
                let ended = steps::step(&ports, &request(step), lake.deadline()).await;
                ended.map(Ended)
            },
        );
        (format!("{step:?} after {was:?}"), told, *answer, *changes)
    }));
}

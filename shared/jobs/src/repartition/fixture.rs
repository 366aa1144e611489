//! A job that rewrites two objects, `in/0` and `in/1`, of three rows each unless their columns are inferred.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use lakewright_core::config::{Config, Repartition, Size};
use lakewright_model::NoSecrets;
use parquet::arrow::ArrowWriter;

use super::{
    Budget, CommitRequest, PlanReport, TaskRequest, commit,
    ledger::{self, Ledger, Plan},
    plan, write,
};
use crate::{
    fixture::{self, Lake, View, everything, told},
    kit::{JobError, Ports},
};

/// How the rows are written. Each object of the source is a task of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Into two files, whose rows are counted before.
    Files,
    /// By their first column, a file of each task.
    Units,
    /// By their first column, one file of all tasks: the rows are staged before.
    Together,
    /// Of records without a table, as one file.
    Inferred,
    /// Of Parquet files, as one.
    United,
}

/// A step of a run.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Plan,
    /// The same; it answers the columns.
    Columns,
    Prepare(usize),
    Task(usize),
    Commit,
}

/// What happened before a step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Was {
    /// A step of the first run was done.
    Ran(Step),
    /// An attempt at one died right after it had written an object whose key contains this.
    Died(Step, &'static str),
    /// All steps before the commit were done.
    Written,
    /// An object was removed.
    Gone(&'static str),
    /// An object was written, or replaced.
    Placed(&'static str, &'static str),
    /// A file that the run wrote was removed.
    OutputGone,
    /// It was replaced by one of the same size.
    OutputReplaced,
    /// A Parquet file was written there, with so many rows, of numbers or of texts.
    File(&'static str, usize, bool),
}

pub(super) fn job(form: Form) -> Repartition {
    let settings = match form {
        Form::Files => "files = 2",
        Form::Units => "partition_by = [\"k\"]",
        Form::Together => "partition_by = [\"k\"]\nfiles = 1",
        Form::Inferred | Form::United => "files = 1",
    };
    let (format, output) = match form {
        Form::Files | Form::Units | Form::Together => ("csv", "json"),
        Form::Inferred => ("json", "json"),
        Form::United => ("parquet", "parquet"),
    };
    let text = format!(
        "[[repartition]]\nname = \"r\"\nsource = \"s3://lake/in/\"\nformat = \"{format}\"\ntarget = \"s3://lake/out/\"\n\
        output = [{{ format = \"{output}\", compression = \"none\" }}]\n{settings}"
    );
    let mut job = Config::parse(&text).unwrap().repartition.remove(0);
    job.task_size = Size(20);
    job
}

/// A Parquet file with so many rows, of numbers or of texts.
fn file(rows: usize, of_numbers: bool) -> Bytes {
    let values: ArrayRef = if of_numbers {
        Arc::new(Int64Array::from(vec![1; rows]))
    } else {
        Arc::new(StringArray::from(vec!["x"; rows]))
    };
    let batch = RecordBatch::try_from_iter([("v", values)]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap().into()
}

fn ledger_of(form: Form) -> Ledger {
    Ledger::new(&job(form), 0)
}

pub(super) fn budget(lake: &Lake) -> Budget {
    Budget {
        memory: 64 << 20,
        scratch: std::env::temp_dir(),
        scratch_bytes: 1 << 30,
        deadline: lake.deadline(),
    }
}

async fn run(lake: &Lake, ports: &Ports, form: Form, step: Step) -> Result<String, JobError> {
    let budget = budget(lake);
    let plan_at = ledger_of(form).plan();
    let task = |task, prepare| TaskRequest {
        plan: plan_at.clone(),
        task,
        prepare,
    };
    let task = match step {
        Step::Plan => {
            let report = plan(ports, &NoSecrets, &job(form), &budget).await?;
            let (prepare, tasks) = (report.prepare.len(), report.tasks.len());
            return Ok(format!("run {}: {prepare} and {tasks} tasks", report.run));
        }
        Step::Columns => {
            let report = plan(ports, &NoSecrets, &job(form), &budget).await?;
            return Ok(columns(&report));
        }
        Step::Commit => {
            let request = CommitRequest {
                plan: plan_at.clone(),
            };
            let report = commit(ports, &request, budget.deadline).await?;
            let (rows, outputs, removed) = (report.rows, report.outputs, report.removed);
            return Ok(format!(
                "{:?}: {rows} rows in {outputs}, {removed} removed",
                report.status
            ));
        }
        Step::Prepare(index) => task(None, Some(index)),
        Step::Task(index) => task(Some(index), None),
    };
    let report = write(ports, &NoSecrets, &task, &budget).await?;
    let (rows, outputs) = (report.rows, report.outputs);
    Ok(format!("{:?}: {rows} rows in {outputs}", report.status))
}

/// The columns of a plan, with their types.
pub(super) fn columns(report: &PlanReport) -> String {
    let columns = report.columns.iter();
    let columns = columns.map(|column| format!("{} {}", column.name, column.hive_type));
    columns.collect::<Vec<_>>().join(", ")
}

pub(super) async fn plan_of(lake: &Lake, form: Form) -> Option<Plan> {
    let ports = lake.ports();
    let plan = ledger::read(&*ports.store, &ledger_of(form).plan()).await;
    plan.unwrap()
}

pub(super) async fn given(lake: &Lake, form: Form, was: &[Was]) -> Form {
    for object in 0..2 {
        let content = match form {
            Form::Files | Form::Units | Form::Together => {
                let text = format!("k,v\na,{object}-0\nb,{object}-1\na,{object}-2\n");
                text.into()
            }
            Form::Inferred => format!("{{\"k\":\"a\",\"n\":{object}}}\n").into(),
            Form::United => file(3, true),
        };
        lake.place(&format!("in/{object}"), content);
    }
    lake.place("out/old.json", "{}");
    for was in was {
        let ports = lake.ports();
        match *was {
            Was::Ran(step) => {
                run(lake, &ports, form, step).await.unwrap();
            }
            Was::Died(step, at) => {
                lake.die_after(at, async |ports| run(lake, &ports, form, step).await)
                    .await;
            }
            Was::Written => {
                let plan = plan_of(lake, form).await.unwrap();
                let prepare = (0..plan.prepare.len()).map(Step::Prepare);
                for step in prepare.chain((0..plan.tasks.len()).map(Step::Task)) {
                    run(lake, &ports, form, step).await.unwrap();
                }
            }
            Was::Gone(key) => lake.remove(key),
            Was::Placed(key, text) => {
                lake.place(key, text);
            }
            Was::File(key, rows, of_numbers) => {
                lake.place(key, file(rows, of_numbers));
            }
            Was::OutputGone => lake.remove(&output(lake)),
            Was::OutputReplaced => {
                let key = output(lake);
                let size = lake.content(&key).unwrap().len();
                lake.place(&key, " ".repeat(size));
            }
        }
    }
    form
}

/// The first file that the run wrote.
fn output(lake: &Lake) -> String {
    let seen = lake.seen(everything);
    let mut files = seen.into_keys();
    let is_output = |key: &String| key.starts_with("out/") && key.contains("part-");
    files.find(is_output).unwrap()
}

/// The ids of the runs, the hashes of what their documents hold, and where these are.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "of the form of a view")]
pub(super) fn names(lake: &Lake, form: &Form) -> Vec<(String, String)> {
    let mut names = Vec::new();
    for number in 0..2 {
        let ledger = Ledger::new(&job(*form), number);
        let plan = ledger.plan().key;
        if let Some(content) = lake.content(&plan) {
            let plan: Plan = serde_json::from_slice(&content).unwrap();
            names.push((format!("-{}", plan.id), String::new()));
        }
        for place in [
            plan.trim_end_matches("plan"),
            ledger.all_staged().key.trim_end_matches("staged/"),
        ] {
            names.push((place.to_owned(), format!("{number}/")));
        }
    }
    for key in lake.seen(everything).into_keys() {
        if let Some((_, hash)) = key.rsplit_once('-')
            && hash.len() == 32
        {
            names.push((hash.to_owned(), "hash".to_owned()));
        }
        if let Some(stem) = key.strip_suffix(".arrow")
            && let Some((_, hash)) = stem.rsplit_once('/')
        {
            names.push((hash.to_owned(), "rows".to_owned()));
        }
    }
    names
}

/// The form of a run, what was there, a step, what it answers, and what it changes.
type Example<'a> = (Form, &'a [Was], Step, &'a str, &'a [&'a str]);

/// Checks what steps answer and change.
pub(super) fn check(examples: &[Example<'_>]) {
    let view = View {
        kept: everything,
        names,
    };
    fixture::check(examples.iter().map(|(form, was, step, answer, changes)| {
        let told = told(
            &view,
            async |lake| given(lake, *form, was).await,
            async |lake, client, form| run(lake, &lake.ports_of(client), *form, *step).await,
        );
        (
            format!("{form:?}, {step:?} after {was:?}"),
            told,
            *answer,
            *changes,
        )
    }));
}

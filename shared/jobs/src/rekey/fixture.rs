//! A job that writes the objects at `in/` to the table `lake.t`, and what its invocations left.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jiff::SignedDuration;
use lakewright_core::{
    compact::PartitionState,
    config::{Config, Rekey},
};
use lakewright_model::virtual_time;
use serde_json::Value;

use super::{
    Answers, Budget, Delivered, ObjectState, SourceObject,
    ledger::{Batch, Candidate},
    rekey,
};
use crate::{
    fixture::{self, Lake, View, everything, told},
    kit::{JobError, Ports},
    report::ObjectReport,
};

/// What landed or happened before.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Was {
    /// An object landed, or replaced the one of its name.
    Landed(&'static str, &'static [u8]),
    /// An object was removed.
    Gone(&'static str),
    /// An invocation wrote these to their commit.
    Ran(&'static [&'static str]),
    /// An invocation for these died right after it had written an object at this key.
    Died(&'static [&'static str], &'static str),
    /// The job's settings were changed.
    Mended,
    /// The partition of the first day lies elsewhere.
    Elsewhere,
    /// A compaction moved it to another directory, and pointed the catalog there.
    Moved,
}

/// Objects with one record, with two on different days, and with none that can be read.
pub(crate) const ONE: &[u8] = br#"{"id":"1","t":"2026-04-01T00:00:00Z"}"#;
pub(crate) const TWO: &[u8] =
    br#"{"id":"2","t":"2026-04-01T00:00:00Z"} {"id":"3","t":"2026-04-02T00:00:00Z"}"#;
pub(crate) const BAD: &[u8] = b"\x1f\x8b\x08not gzip";
/// Two records, of which one has no time.
pub(crate) const HALF: &[u8] = br#"{"id":"4","t":"never"} {"id":"5","t":"2026-04-01T00:00:00Z"}"#;

/// The job; `mended`: with another setting, which changes where no row goes.
pub(crate) fn job(mended: bool) -> Rekey {
    let text = format!(
        r#"
        [[rekey]]
        name = "in"
        source = "s3://lake/in/"
        target = "s3://lake/t/"
        timestamp = {{ column = "t" }}
        partition_by = ["day"]
        table = "lake.t"
        output = [{{ format = "parquet", compression = "none" }}]
        on_unknown = "{}"
        "#,
        if mended { "drop" } else { "quarantine" }
    );
    Config::parse(&text).unwrap().rekey.remove(0)
}

/// The objects as their triggers named them: with the `ETag` of their first content.
#[derive(Default)]
pub(crate) struct Given {
    etags: BTreeMap<&'static str, (String, u64)>,
    mended: bool,
}

impl Given {
    pub(crate) fn candidate(&self, name: &str) -> Candidate {
        let (etag, _) = &self.etags[name];
        Candidate {
            source: Lake::at(&format!("in/{name}")),
            etag: etag.clone(),
            claim: 0,
        }
    }

    fn delivered(&self, names: &[&str], receives: u32) -> Vec<Delivered> {
        let delivered = names.iter().map(|name| {
            let candidate = self.candidate(name);
            Delivered {
                object: SourceObject {
                    location: candidate.source,
                    etag: Some(candidate.etag),
                    size: Some(self.etags[name].1),
                },
                receives,
                just_landed: receives == 1,
            }
        });
        delivered.collect()
    }

    pub(crate) fn job(&self) -> Rekey {
        job(self.mended)
    }
}

/// What happened, one after the other.
pub(crate) async fn given(lake: &Lake, was: &[Was]) -> Given {
    lake.put_table(&["id", "t"]);
    let mut given = Given::default();
    for was in was {
        match *was {
            Was::Landed(name, content) => {
                let etag = lake.place(&format!("in/{name}"), content);
                let size = content.len() as u64;
                given.etags.entry(name).or_insert((etag, size));
            }
            Was::Gone(name) => lake.remove(&format!("in/{name}")),
            Was::Ran(names) => {
                Box::pin(run(lake, &lake.ports(), &given, names, 1)).await;
            }
            Was::Died(names, at) => {
                let work = async |ports| Box::pin(run(lake, &ports, &given, names, 1)).await;
                Box::pin(lake.die_after(at, work)).await;
            }
            Was::Mended => given.mended = true,
            Was::Elsewhere => lake.put_partition("01", "elsewhere/").await,
            Was::Moved => {
                let state = PartitionState {
                    generation: 1,
                    directory: Lake::at("t.generations/1/"),
                    ..PartitionState::registered(Lake::at("t/day=01/"))
                };
                let body = serde_json::to_vec(&state).unwrap();
                lake.place("t/_lakewright/partition/day=01/state", body);
                lake.put_partition("01", "t.generations/1/").await;
            }
        }
        // What an object that was there before has landed a while ago.
        lake.wait(SignedDuration::from_mins(1)).await;
    }
    given
}

async fn run(lake: &Lake, ports: &Ports, given: &Given, names: &[&str], receives: u32) -> Answers {
    let budget = Budget {
        memory: 64 << 20,
        scratch: std::env::temp_dir(),
        scratch_bytes: 0,
        deadline: lake.deadline(),
    };
    let objects = given.delivered(names, receives);
    let job = given.job();
    let compacted = BTreeSet::from_iter(job.table.clone());
    let secrets = lake.client(lakewright_model::Plan::default());
    rekey(ports, &secrets, &job, &compacted, &objects, &budget).await
}

/// Each answer with its number of rows, or its error.
fn answered(answers: &Answers) -> String {
    let of_report = |report: &ObjectReport| format!("{:?} {}", report.status, report.rows_out);
    let objects = answers.objects.iter().map(|answer| match answer {
        Ok(report) => of_report(report),
        Err(error) => error.name().to_owned(),
    });
    let others = answers.others.iter();
    let others = others.map(|report| format!("also {}", of_report(report)));
    objects.chain(others).collect::<Vec<_>>().join(", ")
}

/// What no attempt but the one that commits decides: the time of the commit, and notes of attempts, are left out.
fn kept(key: &str, bytes: &Bytes) -> Option<Bytes> {
    // Of two objects that were claimed one after the other, the second may have been in a batch without members.
    if key.contains("/alone/") || key.contains("/_lakewright/batch/") {
        return None;
    }
    if !key.contains("/_lakewright/commit/") {
        return Some(bytes.clone());
    }
    let mut commit: Value = serde_json::from_slice(bytes).unwrap();
    let reports = commit["objects"].as_object_mut().unwrap();
    for report in reports.values_mut() {
        report
            .as_object_mut()
            .unwrap()
            .remove("landing_to_commit_seconds");
    }
    Some(commit.to_string().into())
}

/// The ids of objects and of batches, and what they mean: `a`, and `a+b`.
fn names(lake: &Lake, given: &Given) -> Vec<(String, String)> {
    let names = given.etags.keys();
    let names = names.map(|name| (given.candidate(name).sid(), (*name).to_owned()));
    let mut found = names.collect::<Vec<_>>();
    found.push(("t/_lakewright/".to_owned(), String::new()));
    for (key, content) in lake.seen(everything) {
        if let Some(bid) = key.strip_prefix("t/_lakewright/batch/") {
            let batch: Batch = serde_json::from_slice(&content).unwrap();
            let members = batch.candidates.iter().map(|candidate| {
                let name = candidate.source.key.trim_start_matches("in/");
                format!("{name}{}", "'".repeat(candidate.claim as usize))
            });
            let members = members.collect::<Vec<_>>().join("+");
            let hash = batch.settings.hash().unwrap();
            found.push((format!("{bid}-{hash}"), members.clone()));
            found.push((bid.to_owned(), members));
        }
    }
    found
}

/// What was there, the objects of an invocation, how often their messages were received, what it answers, and what it changes.
type Example<'a> = (&'a [Was], &'a [&'a str], u32, &'a str, &'a [&'a str]);

/// Checks what invocations answer and change.
pub(super) fn check(examples: &[Example<'_>]) {
    let view = View { kept, names };
    let told = examples
        .iter()
        .map(|(was, objects, receives, answer, changes)| {
            let told = told(
                &view,
                async |lake| Box::pin(given(lake, was)).await,
                async |lake, client, given| {
                    let ports = lake.ports_of(client);
                    let answers = Box::pin(run(lake, &ports, given, objects, *receives)).await;
                    Ok::<_, JobError>(answered(&answers))
                },
            );
            (
                format!("{objects:?} after {was:?}"),
                told,
                *answer,
                *changes,
            )
        });
    fixture::check(told);
}

/// What an invocation answers, and what the ledger then says of attempts at objects alone and of those that are given up.
pub(super) fn attempts(was: &[Was], objects: &[&str]) -> (String, Vec<String>) {
    virtual_time(async {
        let lake = Lake::new();
        let given = Box::pin(given(&lake, was)).await;
        let answers = Box::pin(run(&lake, &lake.ports(), &given, objects, 1)).await;
        let names = names(&lake, &given);
        let keys = lake.seen(everything).into_keys();
        let keys = keys.map(|key| {
            let shown = |key: String, (text, name): &(String, String)| key.replace(text, name);
            names.iter().fold(key, shown)
        });
        let keys = keys.filter(|key| key.starts_with("alone/") || key.starts_with("failed/"));
        (answered(&answers), keys.collect())
    })
}

/// The state of an object, in words.
pub(super) fn described(state: &ObjectState) -> String {
    match state {
        ObjectState::Free { claim, left_out } => {
            let why = left_out.as_ref().map(|left| format!("{:?}", left.why));
            format!("free at {claim} {}", why.unwrap_or_default())
        }
        ObjectState::UnderWay { .. } => "under way".to_owned(),
        ObjectState::Committed { report, .. } => format!("committed {}", report.rows_out),
        ObjectState::Lost { .. } => "lost".to_owned(),
        ObjectState::Nothing { status, .. } => format!("nothing: {status:?}"),
    }
}

//! Plans the partitions of a table that need it, and resumes what earlier runs left unfinished.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use lakewright_core::{
    compact::{PartitionLedger, Requests, Sizes, merge_list, run_list},
    config::{self, CompactMode},
};
use serde::Serialize;
use twox_hash::XxHash3_128;

use super::{
    Budget, MergeTask, PlanRequest, Ports,
    generation::Planned,
    ledger::{self, Plan},
    look::Verdict,
    publish,
    report::{Item, Merge, PlanReport, Refusal, Step},
    scope::{Scope, Subject},
};
use crate::kit::{ErrorKind, JobError, Stage, Unfinished, ledger::create};

/// The most partitions that are examined at once.
const CONCURRENT: usize = 8;

/// The most refused partitions in an answer.
const NAMED: usize = 50;

/// The most bytes of tasks in an answer; the state of a state machine has at most 256 KiB.
/// <https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html>
const INLINE: usize = 100 << 10;

/// Plans the partitions that the request selects, in the order of their paths. If the time runs out, the report says after
/// which partition the next request begins.
///
/// # Errors
/// See [`JobError`]; an error of a single partition is in the report, unless every partition is denied. The same request
/// may be sent again.
pub async fn plan(
    ports: &Ports,
    job: &config::Compact,
    request: &PlanRequest,
    budget: &Budget,
) -> Result<PlanReport, JobError> {
    let begun = ports.clock.now();
    let ports = &ports.writing(&job.tags, job.encryption.as_ref());
    let mut scope = Scope::find(ports, job, request.partitions.as_deref()).await?;
    if let Some(after) = &request.after {
        scope.leave_after(after);
    }
    let mut report = PlanReport {
        job: "compact".to_owned(),
        table: job.subject(),
        dry_run: request.dry_run,
        plan: None,
        tasks: Vec::new(),
        items: 0,
        merges: None,
        merges_planned: 0,
        wait_seconds: 0,
        partitions_seen: 0,
        partitions_unseen: 0,
        next: None,
        partitions_planned: 0,
        partitions_resumed: 0,
        files_before: 0,
        bytes_before: 0,
        files_after: 0,
        bytes_after: 0,
        requests: Requests::default(),
        usd: String::new(),
        partitions_refused: 0,
        refused: Vec::new(),
        left: BTreeMap::new(),
    };
    let looks = scope.partitions.iter().map(|partition| {
        let scope = &scope;
        async move {
            if ports.clock.now() >= budget.deadline {
                return (partition, Err(JobError::deadline()));
            }
            let seen = look(ports, scope, partition, request.dry_run).await;
            (partition, seen)
        }
    });
    let mut looks = stream::iter(looks).buffered(CONCURRENT);
    let mut denied = None;
    while let Some((partition, seen)) = looks.next().await {
        match seen {
            // The next request begins with it.
            _ if report.partitions_unseen > 0 => {
                report.partitions_unseen += 1;
                continue;
            }
            // The plans made so far are valid; the next request plans the rest.
            Err(error) if error.kind() == ErrorKind::Deadline => {
                report.partitions_unseen += 1;
                continue;
            }
            Ok(seen) => report.add(&scope, partition, seen),
            Err(error) if is_of_a_partition(&error) => {
                report.refuse(partition, error.to_string());
                if error.kind() == ErrorKind::AccessDenied {
                    denied.get_or_insert((0, error)).0 += 1;
                }
            }
            Err(error) => return Err(error),
        }
        report.partitions_seen += 1;
        report.next = Some(partition.path.clone());
    }
    drop(looks);
    if report.partitions_seen == 0
        && let Some(first) = scope.partitions.first()
        && report.partitions_unseen > 0
    {
        return Err(none_seen(ports, begun, report.partitions_unseen, first));
    }
    match denied {
        // Every partition was denied, so the role lacks a permission.
        Some((partitions, error)) if partitions == report.partitions_seen => return Err(error),
        _ => {}
    }
    if report.partitions_unseen == 0 {
        report.next = None;
    }
    if report.partitions_planned > 0 {
        report.requests.list += scope.listings;
        // The lists of tasks and of merges.
        report.requests.put += 2;
    }
    report.usd = report.requests.usd(job);
    if !request.dry_run {
        list(ports, &scope, &mut report).await?;
    }
    Ok(report)
}

/// The error for a request that had no time for a single partition.
fn none_seen(ports: &Ports, begun: Timestamp, all: u64, first: &Subject) -> JobError {
    let unfinished = Unfinished {
        begun,
        done: 0,
        all,
        of: "partitions",
        tries: 1,
        instead: "merge the first files of the partition by hand",
    };
    let error = unfinished.too_short(&*ports.clock, Stage::Read);
    match &first.location {
        Ok(location) => error.of(location.clone()),
        Err(_) => error,
    }
}

/// Decides what to do with a partition. Writes the new plan, except in a dry run.
async fn look(
    ports: &Ports,
    scope: &Scope,
    partition: &Subject,
    dry_run: bool,
) -> Result<Verdict, JobError> {
    match scope.look(ports, partition).await? {
        Verdict::Plan(planned) if !planned.is_written && !dry_run => {
            let ledger = scope.ledger_of(partition);
            let plan = ledger::propose(&*ports.store, &ledger, *planned.plan).await?;
            Ok(Verdict::Plan(Planned {
                plan: Box::new(plan),
                is_written: true,
                ..planned
            }))
        }
        verdict => Ok(verdict),
    }
}

impl PlanReport {
    fn add(&mut self, scope: &Scope, partition: &Subject, verdict: Verdict) {
        let ledger = scope.ledger_of(partition);
        match verdict {
            Verdict::Left(left) => self.leave(left.name()),
            Verdict::Unfinished(what) => self.leave(what),
            Verdict::GoOn(generation, step) => {
                self.partitions_resumed += 1;
                self.tasks.push(Item {
                    plan: ledger.plan(generation),
                    partition: partition.path.clone(),
                    step,
                    merges: Vec::new(),
                });
            }
            Verdict::GiveUp(generation, reason) => {
                let plan = ledger.plan(generation);
                self.refuse(
                    partition,
                    format!(
                        "{plan} is given up, because a merge of it failed and always will: {reason}"
                    ),
                );
                self.tasks.push(Item {
                    plan,
                    partition: partition.path.clone(),
                    step: Step::Abandon,
                    merges: Vec::new(),
                });
            }
            Verdict::Plan(Planned {
                plan,
                carried,
                carried_bytes,
                ..
            }) => {
                self.partitions_planned += 1;
                let merged = plan.bins.iter();
                let sizes = Sizes {
                    merged: merged
                        .map(|bin| (bin.inputs.len() as u64, bin.bytes))
                        .collect(),
                    carried,
                };
                let bytes = sizes.merged.iter().map(|(_, bytes)| bytes).sum::<u64>();
                let inputs = sizes.merged.iter().map(|(files, _)| files).sum::<u64>();
                self.files_before += inputs + carried;
                self.files_after += plan.bins.len() as u64 + carried;
                self.bytes_before += bytes + carried_bytes;
                self.bytes_after += bytes + carried_bytes;
                self.requests += Requests::of(&sizes);
                self.tasks.push(item(&ledger, &plan));
            }
        }
    }

    fn refuse(&mut self, partition: &Subject, reason: String) {
        self.partitions_refused += 1;
        if self.refused.len() < NAMED {
            self.refused.push(Refusal {
                partition: partition.path.clone(),
                reason,
            });
        }
    }

    fn leave(&mut self, why: &str) {
        *self.left.entry(why.to_owned()).or_default() += 1;
    }
}

fn item(ledger: &PartitionLedger, plan: &Plan) -> Item {
    let location = ledger.plan(plan.generation);
    let merges = (0..plan.bins.len()).map(|task| MergeTask {
        plan: location.clone(),
        task,
    });
    Item {
        merges: merges.collect(),
        partition: plan.partition.clone(),
        step: Step::Publish,
        plan: location,
    }
}

/// Writes the lists of all tasks and of all merges, and leaves a long list of tasks out of the answer.
async fn list(ports: &Ports, scope: &Scope, report: &mut PlanReport) -> Result<(), JobError> {
    let text = written(&report.tasks)?;
    let hash = format!("{:032x}", XxHash3_128::oneshot(text.as_bytes()));
    let location = run_list(&scope.ledger, &hash);
    // An existing object with this hash has the same content.
    create(&*ports.store, &location, &report.tasks).await?;
    let merges = report.tasks.iter().flat_map(|item| {
        item.merges.iter().map(|merge| Merge {
            plan: merge.plan.clone(),
            partition: item.partition.clone(),
            task: merge.task,
        })
    });
    let merges = merges.collect::<Vec<_>>();
    if !merges.is_empty() {
        let location = merge_list(&scope.ledger, &hash);
        create(&*ports.store, &location, &merges).await?;
        report.merges = Some(location);
    }
    report.items = report.tasks.len() as u64;
    report.merges_planned = merges.len() as u64;
    let is_swept = |item: &Item| matches!(item.step, Step::Publish | Step::Sweep);
    if scope.settings.mode == CompactMode::Catalog && report.tasks.iter().any(is_swept) {
        report.wait_seconds = publish::seconds_until_sweep(&scope.settings);
    }
    if text.len() > INLINE {
        report.tasks.clear();
    }
    report.plan = Some(location);
    Ok(())
}

fn written(list: &impl Serialize) -> Result<String, JobError> {
    serde_json::to_string(list).map_err(|error| {
        JobError::new(
            ErrorKind::TaskFailed,
            format!("the list of tasks cannot be written: {error}"),
        )
    })
}

/// Whether the failure concerns one partition, so that the others can continue.
fn is_of_a_partition(error: &JobError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::AccessDenied
            | ErrorKind::PartitionElsewhere
            | ErrorKind::PartitionMissing
            | ErrorKind::Unreadable
            | ErrorKind::Unmergeable
            | ErrorKind::Unsuited
            | ErrorKind::InputChanged
            | ErrorKind::LedgerUnreadable
            | ErrorKind::PlanMissing
    )
}

#[cfg(test)]
mod tests {
    use super::Step;
    use crate::compact::fixture::{
        Was::{Failed, Gone, Merged, Planned, Pointed, Ran, Waited, Written},
        check_plan,
    };

    #[test]
    fn a_generation_is_planned_when_the_one_before_is_over() {
        let merged = [Waited(6), Planned, Merged(3)];
        let after = |more: &[_]| [&merged[..], more].concat();
        let few = "0 to 0: too_few_files";
        let list: &[&str] = &["+list.json"];
        let planned: &[&str] = &["+ledger/plan/00000001", "+list.json", "+list.merges.json"];
        check_plan(
            false,
            &[
                // C1: younger files may be written again under their names.
                (&[], few, list),
                (&[Waited(6)], "3 to 1: Publish after 1", planned),
                (
                    &[Waited(6), Written("d")],
                    "4 to 2: Publish after 1",
                    planned,
                ),
                (&[Waited(6), Gone("a"), Gone("b")], few, list),
                (&[Waited(6), Planned], "3 to 1: Publish after 1", &[]),
                (
                    &[Waited(6), Planned, Failed],
                    "0 to 0: Abandon after 0, refused",
                    list,
                ),
                (&after(&[Ran(Step::Publish)]), "0 to 0: Sweep after 0", list),
                (
                    &after(&[Ran(Step::Publish), Waited(6), Ran(Step::Sweep)]),
                    few,
                    list,
                ),
                (
                    &after(&[Ran(Step::Publish), Waited(6), Ran(Step::Sweep), Waited(61)]),
                    "0 to 0: Delete after 0",
                    list,
                ),
                (
                    &after(&[Ran(Step::Abandon), Waited(6)]),
                    "0 to 0: Abandon after 0",
                    list,
                ),
                (&[Waited(6), Pointed("elsewhere/")], few, list),
                (
                    &after(&[
                        Ran(Step::Publish),
                        Waited(6),
                        Ran(Step::Sweep),
                        Pointed("x/"),
                    ]),
                    "0 to 0: refused",
                    list,
                ),
            ],
        );
        check_plan(true, &[(&[Waited(6)], "3 to 1: Publish after 1", &[])]);
    }
}

//! The outputs of a batch: their names and rows.

use std::collections::{BTreeMap, BTreeSet};

use lakewright_core::{catalog::Table, config, location::Location, naming::output_name};
use lakewright_ports::Catalog;
use twox_hash::XxHash3_128;

use super::{
    cut::Share,
    destination::Destination,
    ledger::{Member, Plan, PlannedOutput},
    member::Request,
    route::{ReadMember, Routed},
};
use crate::{
    kit::{ErrorKind, JobError},
    report::OutputReport,
};

/// The job's table, if it names one, as the catalog has it now.
pub(super) async fn table(
    catalog: &dyn Catalog,
    job: &config::Rekey,
) -> Result<Option<Table>, JobError> {
    let Some(name) = &job.table else {
        return Ok(None);
    };
    let Some(table) = catalog.table(name).await? else {
        return Err(JobError::new(
            ErrorKind::TableMissing,
            format!("table {name} does not exist: create it, or remove `table` from the job"),
        ));
    };
    if let Some(output) = job.output.first() {
        let taken = table.takes(output);
        taken.map_err(|error| {
            JobError::new(ErrorKind::SchemaUnusable, format!("table {name}: {error}"))
        })?;
    }
    let keys = table.partition_keys.iter().map(|key| &key.name);
    if !keys
        .map(|key| key.to_lowercase())
        .eq(job.partition_by.iter().map(|part| part.to_lowercase()))
    {
        return Err(JobError::new(
            ErrorKind::PartitionKeysDiffer,
            format!(
                "table {} is partitioned by {:?}, the job by {:?}: they must be the same, in the same order",
                name,
                table
                    .partition_keys
                    .iter()
                    .map(|key| &key.name)
                    .collect::<Vec<_>>(),
                job.partition_by
            ),
        ));
    }
    Ok(Some(table))
}

/// The plan for what was routed.
pub(super) async fn plan(request: Request<'_>, routed: &Routed) -> Result<Plan, JobError> {
    let hash = request.settings().hash()?;
    let mut outputs = Vec::new();
    for (Destination { job, .. }, separated) in
        request.destinations.iter().zip(&routed.destinations)
    {
        for (partition, place) in separated.partitions.iter().enumerate() {
            let files = separated.files(partition).await?;
            for (output, parts) in job.output.iter().zip(files) {
                for (part, rows) in (0..).zip(parts) {
                    let name =
                        output_name(&place.path, request.bid, &hash, part, output.extension());
                    outputs.push(PlannedOutput {
                        key: job.directory(output).join(&name).key,
                        rows,
                    });
                }
            }
        }
    }
    outputs.sort();
    let refused = quarantined(&routed.members);
    Ok(Plan {
        version: Plan::VERSION,
        table: None,
        members: members(&routed.members),
        left_out: BTreeMap::new(),
        outputs,
        quarantine: (!refused.is_empty()).then(|| PlannedOutput {
            key: request.ledger.quarantine_at(request.bid, &hash).key,
            rows: refused,
        }),
    })
}

/// The members as entries of a plan.
pub(super) fn members(read: &[ReadMember]) -> Vec<Member> {
    let member = |read: &ReadMember| Member {
        candidate: read.candidate,
        landed: read.landed,
        seen: read.seen,
    };
    read.iter().map(member).collect()
}

fn quarantined(members: &[ReadMember]) -> Vec<Share> {
    let rows = members.iter();
    rows.map(|member| (member.candidate, member.rows_quarantined()))
        .filter(|(_, rows)| *rows > 0)
        .collect()
}

/// The outputs that an invocation writes for a plan, after it has read the members.
pub(super) struct Outputs<'a> {
    pub(super) destinations: &'a [Destination],
    /// Ordered by destination, then by partition, then by form, then by part.
    pub(super) list: Vec<Output>,
    /// Whether there are quarantined records.
    pub(super) has_quarantine: bool,
}

/// A planned object.
pub(super) struct Output {
    /// Its key in the plan.
    pub(super) planned: String,
    /// Its location: in the target, or in the directory that the partition's state names.
    pub(super) location: Location,
    /// The index of its destination.
    pub(super) destination: usize,
    /// The index of the destination's output that it is written for.
    pub(super) form: usize,
    /// The index of the destination's routed partition.
    pub(super) partition: usize,
    /// The number of records: those that follow the ones in the previous part.
    pub(super) rows: u64,
}

impl Output {
    /// Its destination and its partition.
    pub(super) fn place(&self) -> (usize, usize) {
        (self.destination, self.partition)
    }

    /// Its name within its directory.
    pub(super) fn name(&self) -> &str {
        let key = &self.location.key;
        key.rsplit_once('/').map_or(key, |(_, name)| name)
    }
}

impl<'a> Outputs<'a> {
    /// The outputs of `plan` that have rows of the members that were read.
    ///
    /// Lost members leave gaps and move no other row: the plan says how many rows of each member a file has, and the
    /// remaining rows are in the same order.
    ///
    /// # Errors
    /// [`ErrorKind::PlanDiffers`]: the members' rows were routed differently than the plan says.
    pub(super) fn new(
        request: Request<'a>,
        plan: &Plan,
        routed: &Routed,
    ) -> Result<Self, JobError> {
        let hash = request.settings().hash()?;
        let present = routed.members.iter().map(|member| member.candidate);
        let present = present.collect::<BTreeSet<_>>();
        let of_present = |rows: &[Share]| {
            let rows = rows.iter().copied();
            rows.filter(|(member, _)| present.contains(member))
                .collect::<Vec<_>>()
        };
        let planned = plan.outputs.iter();
        let mut planned = planned
            .map(|output| (output.key.as_str(), &output.rows))
            .collect::<BTreeMap<_, _>>();
        let mut list = Vec::new();
        let mut take = |key: &str| planned.remove(key).map(|rows| of_present(rows));
        for (destination, of) in request.destinations.iter().enumerate() {
            let Some(separated) = routed.destinations.get(destination) else {
                continue;
            };
            for (partition, place) in separated.partitions.iter().enumerate() {
                let mine = separated.shares.get(partition);
                let mine = mine.map_or_else(BTreeMap::new, |mine| mine.iter().copied().collect());
                for (form, output) in of.job.output.iter().enumerate() {
                    let mut theirs = BTreeMap::<u32, u64>::new();
                    for part in 0.. {
                        let name =
                            output_name(&place.path, request.bid, &hash, part, output.extension());
                        let location = of.job.directory(output).join(&name);
                        let Some(rows) = take(&location.key) else {
                            break;
                        };
                        for (member, rows) in &rows {
                            *theirs.entry(*member).or_default() += rows;
                        }
                        let rows = rows.iter().map(|(_, rows)| rows).sum();
                        if rows > 0 {
                            list.push(Output {
                                planned: location.key.clone(),
                                location,
                                destination,
                                form,
                                partition,
                                rows,
                            });
                        }
                    }
                    if mine != theirs {
                        return Err(differs(request, &place.path));
                    }
                }
            }
        }
        if let Some((key, _)) = planned
            .iter()
            .find(|(_, rows)| !of_present(rows).is_empty())
        {
            return Err(differs(request, key));
        }
        let refused = plan.quarantine.as_ref();
        let refused = refused.map_or_else(Vec::new, |planned| of_present(&planned.rows));
        if refused != quarantined(&routed.members) {
            return Err(differs(request, "the quarantine"));
        }
        Ok(Self {
            destinations: request.destinations,
            list,
            has_quarantine: !refused.is_empty(),
        })
    }

    /// The destination of an output.
    pub(super) fn destination(&self, output: &Output) -> Option<&'a Destination> {
        self.destinations.get(output.destination)
    }

    /// A hash of the outputs' locations.
    pub(super) fn directions(&self) -> String {
        let mut hasher = XxHash3_128::new();
        for output in &self.list {
            hasher.write(output.location.key.as_bytes());
            hasher.write(b"\n");
        }
        format!("{:032x}", hasher.finish_128())
    }

    /// The outputs with these sizes, in key order, and those of each member with its own rows. Members that were lost
    /// do not count.
    pub(super) fn reports(
        &self,
        plan: &Plan,
        sizes: &[u64],
        lost: &BTreeSet<u32>,
    ) -> (Vec<OutputReport>, BTreeMap<u32, Vec<OutputReport>>) {
        let planned = plan.outputs.iter();
        let planned = planned
            .map(|output| (output.key.as_str(), &output.rows))
            .collect::<BTreeMap<_, _>>();
        let mut of_members = BTreeMap::<_, Vec<_>>::new();
        let mut all = Vec::with_capacity(self.list.len());
        for (output, &bytes) in self.list.iter().zip(sizes) {
            let report = |rows| OutputReport {
                key: output.location.key.clone(),
                rows,
                bytes,
            };
            let shares = planned.get(output.planned.as_str());
            let shares = shares.into_iter().flat_map(|shares| shares.iter());
            let mut sum = 0;
            for &(member, rows) in shares.filter(|(member, _)| !lost.contains(member)) {
                sum += rows;
                of_members.entry(member).or_default().push(report(rows));
            }
            all.push(report(sum));
        }
        all.sort_by(|a, b| a.key.cmp(&b.key));
        for reports in of_members.values_mut() {
            reports.sort_by(|a, b| a.key.cmp(&b.key));
        }
        (all, of_members)
    }
}

fn differs(request: Request<'_>, what: &str) -> JobError {
    JobError::new(
        ErrorKind::PlanDiffers,
        format!(
            "the plan at {} was made by code that routes rows differently (to {what}): see OPERATIONS.md, \"Superseding a plan\"",
            request.ledger.plan_at(request.bid),
        ),
    )
}

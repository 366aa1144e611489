//! Brings a batch to its commit, also one that another invocation began.

use std::collections::{BTreeMap, BTreeSet};

use lakewright_core::catalog::{Table, TableName};
use lakewright_ports::Secrets;

use super::{
    Budget, Ports,
    columns::{self, Growth},
    destination::Destination,
    follow::Follow,
    ledger::{AddedColumn, Batch, Commit, Ledger, LeftOut, Plan, TableColumns, Why},
    member::{Request, Wanted},
    plan::{self, Outputs},
    route::{ReadMember, Routed},
    timed, write,
};
use crate::{
    kit::{ErrorKind, JobError},
    publish::register::{self, Others},
    report::{ObjectReport, Status},
};

/// How often the partitions' states are read again if the catalog has a partition at another location.
const REGISTRATIONS: usize = 3;

/// How often the members of a batch are read, each time without those that failed, before the batch is dissolved.
const PASSES: usize = 4;

/// What is needed to work on a batch.
#[derive(Clone, Copy)]
pub(super) struct Work<'a> {
    pub(super) ports: &'a Ports,
    pub(super) secrets: &'a dyn Secrets,
    pub(super) budget: &'a Budget,
    pub(super) ledger: Ledger<'a>,
    pub(super) compacted: &'a BTreeSet<TableName>,
    /// The tables of the job as it is now.
    pub(super) tables: &'a [Table],
    /// How often a message of its objects was received, including this time.
    pub(super) receives: u32,
}

/// The result of finishing a batch.
#[derive(Default)]
pub(super) struct Ended {
    /// The members that its plan left out.
    pub(super) left_out: BTreeMap<String, LeftOut>,
    /// Its commit; `None` if its plan has no members.
    pub(super) commit: Option<Commit>,
    /// The objects that were committed now, by their sid.
    pub(super) reports: BTreeMap<String, ObjectReport>,
    /// The job's table, if it has other columns by now.
    pub(super) table: Option<Table>,
}

impl Work<'_> {
    /// Brings the batch to its commit. If it has no plan and `dissolve` is set, its plan leaves every member out.
    ///
    /// # Errors
    /// See [`JobError`]. After any error the same call may be made again.
    pub(super) async fn finish(
        &self,
        bid: &str,
        batch: &Batch,
        is_new: bool,
        dissolve: bool,
    ) -> Result<Ended, JobError> {
        let destinations = batch.settings.destinations();
        let request = Request {
            ports: self.ports,
            secrets: self.secrets,
            budget: self.budget,
            ledger: self.ledger,
            bid,
            batch,
            settings: &batch.settings,
            destinations: &destinations,
            adding: None,
            receives: self.receives,
        };
        let mut growth = Growth::begin(self.tables, batch);
        let existing = if is_new {
            None
        } else {
            self.ledger.plan(bid).await?
        };
        let (plan, routed, resumed) = if let Some(plan) = existing {
            (plan, None, true)
        } else {
            let members = self.ledger.members(bid, batch).await?;
            if members.is_empty() {
                return Ok(Ended::default());
            }
            let (mine, routed) = if dissolve {
                (without_members(batch, &members, BTreeMap::new()), None)
            } else {
                propose(request, &mut growth, &members).await?
            };
            let (members, table) = (mine.members.clone(), mine.table.clone());
            let plan = self.ledger.propose(bid, mine).await?;
            // The same members with the same landing times and columns are always routed alike.
            let is_mine = plan.members == members && plan.table == table;
            match routed {
                Some(routed) if is_mine => (plan, Some(routed), false),
                other => {
                    discard(other).await;
                    (plan, None, true)
                }
            }
        };
        let Growth { added, table, .. } = growth;
        if plan.members.is_empty() {
            discard(routed).await;
            return Ok(Ended {
                left_out: plan.left_out,
                table,
                ..Ended::default()
            });
        }
        let (settings, adding) = columns::planned(batch, &plan);
        let destinations = settings.destinations();
        let request = Request {
            settings: &settings,
            destinations: &destinations,
            adding: adding.as_ref(),
            ..request
        };
        let (routed, lost) = match routed {
            Some(routed) => (routed, BTreeSet::new()),
            None => reread(request, &plan).await?,
        };
        let written = self.write(request, plan, routed, &lost, &added, resumed);
        Ok(Ended {
            table,
            ..written.await?
        })
    }

    /// Writes the outputs of a plan and commits them. `lost`: the members of the plan that were not read.
    async fn write(
        &self,
        request: Request<'_>,
        plan: Plan,
        mut routed: Routed,
        lost: &BTreeSet<u32>,
        added: &[AddedColumn],
        resumed: bool,
    ) -> Result<Ended, JobError> {
        let store = &*self.ports.store;
        let mut outputs = Outputs::new(request, &plan, &routed)?;
        let mut follow = Follow::begin(store, self.compacted, &mut outputs, &routed).await?;
        let stored = match write::outputs(request, &outputs, &routed, resumed).await {
            Ok(stored) => stored,
            Err(error) => {
                routed.quarantine.discard().await;
                return Err(error);
            }
        };
        routed.discard_rows().await;
        let mut all_new = stored.all_new;
        all_new &= self
            .register(&plan, &mut outputs, &routed, &mut follow)
            .await?;
        let quarantine = outputs.has_quarantine.then_some(&plan.quarantine);
        let quarantine = quarantine.into_iter().flatten().next();
        let quarantine = quarantine.map(|planned| planned.key.clone());
        let by_route = by_route(request.destinations, &routed);
        let Routed {
            members,
            quarantine: refused,
            ..
        } = routed;
        if quarantine.is_some() {
            all_new &= refused.finish().await?;
        }
        // Another invocation may have written an output without the rows of a member that it had lost. If this one wrote all
        // outputs, they have every row of the members that were read here.
        let lost = if all_new && lost.is_empty() {
            BTreeSet::new()
        } else {
            self.ledger.lost(request.bid).await?
        };
        let candidates = (0..).zip(&request.batch.candidates);
        let sids = candidates
            .map(|(index, candidate)| (index, candidate.sid()))
            .collect::<BTreeMap<u32, _>>();
        let is_lost = |candidate: &u32| sids.get(candidate).is_none_or(|sid| lost.contains(sid));
        let lost_members = sids
            .keys()
            .copied()
            .filter(|index| is_lost(index))
            .collect();
        let (all, mut of_members) = outputs.reports(&plan, &stored.sizes, &lost_members);
        let mut reports = BTreeMap::new();
        for member in &members {
            if let Some(sid) = sids.get(&member.candidate)
                && !lost.contains(sid)
            {
                let rows_by_route = by_route.get(&member.candidate).cloned();
                let report = ObjectReport {
                    rows_by_route: rows_by_route.unwrap_or_default(),
                    ..self.report(request, member, quarantine.as_ref(), added)
                };
                reports.insert(sid.clone(), report);
            }
        }
        let commit = Commit {
            version: Commit::VERSION,
            objects: reports.clone(),
            left_out: plan.left_out.clone(),
            lost,
            outputs: all,
            quarantine,
        };
        // R3: last, after the outputs, their registration and the marks of lost members.
        if !self.ledger.add_commit(request.bid, &commit).await? {
            let location = self.ledger.commit_at(request.bid);
            let existing = self.ledger.commit(request.bid).await?;
            return Ok(Ended {
                left_out: plan.left_out,
                commit: Some(existing.ok_or_else(|| JobError::entry_vanished(location))?),
                ..Ended::default()
            });
        }
        for (index, sid) in &sids {
            if let (Some(report), Some(of_member)) =
                (reports.get_mut(sid), of_members.remove(index))
            {
                report.outputs = of_member;
            }
        }
        Ok(Ended {
            left_out: plan.left_out,
            commit: Some(commit),
            reports,
            table: None,
        })
    }

    /// Registers the partitions, and puts the outputs into the partitions' current directories. Returns whether each output
    /// was new there.
    async fn register(
        &self,
        plan: &Plan,
        outputs: &mut Outputs<'_>,
        routed: &Routed,
        follow: &mut Follow,
    ) -> Result<bool, JobError> {
        let mut tables = Vec::new();
        for (index, Destination { job, .. }) in outputs.destinations.iter().enumerate() {
            let Some(name) = &job.table else { continue };
            // A batch of another deployment uses the tables that it names. New partitions have the columns of the plan.
            let known = self.tables.iter().find(|table| {
                let columns = plan.table.as_ref();
                table.name == *name && columns.is_none_or(|of| *of == TableColumns::of(table))
            });
            let table = match known {
                Some(table) => Some(table.clone()),
                None => plan::table(&*self.ports.catalog, job).await?,
            };
            if let (Some(table), Some(output)) = (table, job.output.first()) {
                tables.push((index, table, output));
            }
        }
        let mut all_new = true;
        for attempt in 1.. {
            all_new &= follow.settle(&*self.ports.store, outputs).await?;
            let mut registered = Ok(());
            for (index, table, output) in &tables {
                let partitions = follow.written(outputs, routed, *index);
                let others = Others::Checked(output);
                registered =
                    register::register(&*self.ports.catalog, table, &partitions, others).await;
                if registered.is_err() {
                    break;
                }
            }
            let moved = |error: &JobError| error.kind() == ErrorKind::PartitionElsewhere;
            // The partition has moved since its state was read.
            if !registered.as_ref().is_err_and(moved)
                || !follow.is_needed()
                || attempt >= REGISTRATIONS
            {
                registered?;
                break;
            }
        }
        Ok(all_new)
    }

    fn report(
        &self,
        request: Request<'_>,
        member: &ReadMember,
        quarantine: Option<&String>,
        added: &[AddedColumn],
    ) -> ObjectReport {
        let candidate = request.batch.candidates.get(member.candidate as usize);
        let source = candidate.map_or_else(
            || request.ledger.plan_at(request.bid),
            |candidate| candidate.source.clone(),
        );
        let added = added.iter().filter(|added| {
            candidate.is_some_and(|by| (&by.source, &by.etag) == (&added.source, &added.etag))
        });
        let added = added.map(|added| (added.name.clone(), added.hive_type.clone()));
        let quarantined = member.rows_quarantined();
        let age = self.ports.clock.now().duration_since(member.landed);
        ObjectReport {
            rows_in: member.rows_in,
            rows_out: member.rows_in - quarantined,
            rows_quarantined: quarantined,
            fields_dropped: member.fields_dropped,
            values_dropped: member.values_dropped,
            control_messages: member.control_messages,
            columns_added: added.collect(),
            quarantined_by_reason: member.quarantined.clone(),
            lateness: member.lateness.clone(),
            quarantine: quarantine.filter(|_| quarantined > 0).cloned(),
            batch: Some(request.bid.to_owned()),
            landing_to_commit_seconds: Some(u64::try_from(age.as_secs()).unwrap_or(0)),
            ..ObjectReport::without_rows(source, Status::Committed)
        }
    }
}

/// How many rows of each member, by the index of its candidate, go to each route.
fn by_route(destinations: &[Destination], routed: &Routed) -> BTreeMap<u32, BTreeMap<String, u64>> {
    let mut rows = BTreeMap::<_, BTreeMap<_, _>>::new();
    for (destination, separated) in destinations.iter().zip(&routed.destinations) {
        let Some(route) = &destination.route else {
            continue;
        };
        for (member, count) in separated.shares.iter().flatten() {
            let of_member = rows.entry(*member).or_default();
            *of_member.entry(route.clone()).or_default() += count;
        }
    }
    rows
}

/// Reads the members and proposes a plan. Those that cannot be read, or not with the others, are left out.
async fn propose(
    request: Request<'_>,
    growth: &mut Growth<'_>,
    members: &[u32],
) -> Result<(Plan, Option<Routed>), JobError> {
    let batch = request.batch;
    let wanted = members.iter().map(|&candidate| Wanted {
        candidate,
        landed: None,
        seen: None,
    });
    let mut wanted = wanted.collect::<Vec<_>>();
    let mut left_out = BTreeMap::new();
    let mut passes = 0;
    while passes < PASSES && !wanted.is_empty() {
        let with_columns = growth.request(request);
        let pass = timed::members(with_columns, &wanted).await?;
        for (member, left) in pass.left {
            wanted.retain(|other| *other != member);
            let entry = left.entry();
            match left.error {
                // Its message fails by name, and nothing is planned.
                Some(error) if batch.candidates.len() == 1 => return Err(error),
                _ => {}
            }
            if let Some(candidate) = batch.candidates.get(member.candidate as usize) {
                left_out.insert(candidate.sid(), entry);
            }
        }
        match pass.routed {
            Some(mut routed) if routed.new.is_any() => {
                routed.discard().await;
                Box::pin(growth.add(request, &routed.new)).await?;
            }
            Some(routed) => {
                let plan = Plan {
                    table: growth.of_plan(),
                    left_out,
                    ..plan::plan(with_columns, &routed).await?
                };
                return Ok((plan, Some(routed)));
            }
            None => passes += 1,
        }
    }
    let rest = wanted.iter().map(|member| member.candidate);
    let rest = rest.collect::<Vec<_>>();
    Ok((without_members(batch, &rest, left_out), None))
}

/// A plan without members: it leaves these out too.
fn without_members(
    batch: &Batch,
    members: &[u32],
    mut left_out: BTreeMap<String, LeftOut>,
) -> Plan {
    let dissolved = LeftOut {
        why: Why::Dissolved,
        detail: None,
    };
    for member in members {
        if let Some(candidate) = batch.candidates.get(*member as usize) {
            left_out.insert(candidate.sid(), dissolved.clone());
        }
    }
    Plan {
        version: Plan::VERSION,
        table: None,
        members: Vec::new(),
        left_out,
        outputs: Vec::new(),
        quarantine: None,
    }
}

/// Reads the members of a plan again. Those that have disappeared since are marked as lost, before any output is written
/// without their rows.
async fn reread(request: Request<'_>, plan: &Plan) -> Result<(Routed, BTreeSet<u32>), JobError> {
    let mut lost = BTreeSet::new();
    loop {
        let wanted = plan.members.iter().map(|member| Wanted {
            candidate: member.candidate,
            landed: Some(member.landed),
            seen: member.seen,
        });
        let wanted = wanted
            .filter(|member| !lost.contains(&member.candidate))
            .collect::<Vec<_>>();
        let pass = timed::members(request, &wanted).await?;
        for (member, left) in pass.left {
            if let Some(error) = left.error {
                return Err(error);
            }
            request
                .ledger
                .lose(request.bid, request.candidate(member.candidate)?)
                .await?;
            lost.insert(member.candidate);
        }
        if let Some(routed) = pass.routed {
            return Ok((routed, lost));
        }
    }
}

async fn discard(routed: Option<Routed>) {
    if let Some(mut routed) = routed {
        routed.discard().await;
    }
}

//! Runs the tasks of a run.

mod spooled;
mod stopped;

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use futures::TryStreamExt;
use jiff::Timestamp;
use lakewright_core::{
    config::SecretName,
    operations::Secret,
    repartition::{Cuts, Part, Span, Task, Unit},
};
use lakewright_ports::{Secrets, Store};

use super::{
    Budget, Ports, TaskRequest,
    context::Context,
    files::Files,
    gather,
    ledger::{self, Commit, Counts, Done, Ledger, Plan, Prepared, Reached},
    outline,
    refusal::withdrawn,
    replay::{self, Replay, WrittenRows},
    report::{Status, TaskReport},
    rows::Rows,
    shuffle, unite,
};
use crate::{
    kit::{ErrorKind, JobError},
    work::{metered::Metered, secrets, spool::Spool},
};

/// What a task for some files reads.
struct Needed {
    /// The units that any of the outputs needs.
    units: Range<usize>,
    /// The size of each output before them.
    before: Counts,
}

/// Runs one task of a plan, or one preparation. `secrets` has the secrets that columns are hashed with.
///
/// # Errors
/// See [`JobError`]. The same request may be sent again: files that were written exist, and are not written again.
pub async fn write(
    ports: &Ports,
    secrets: &dyn Secrets,
    request: &TaskRequest,
    budget: &Budget,
) -> Result<TaskReport, JobError> {
    let (ledger, plan) = outline::of_task(&*ports.store, request).await?;
    let ports = &ports.writing(&plan.settings.tags, plan.settings.encryption.as_ref());
    let metered = Metered::new(&ports.store);
    let ports = &Ports {
        store: Arc::clone(&metered) as Arc<dyn Store>,
        ..ports.clone()
    };
    let store = &*ports.store;
    let commit: Option<Commit> = ledger::read(store, &ledger.commit()).await?;
    if commit.is_some_and(|commit| commit.withdrawn) {
        return Err(withdrawn(request.plan.clone()));
    }
    let secrets = secrets::of(secrets, &plan.secrets).await?;
    let work = Work {
        ports,
        budget,
        secrets: &secrets,
        ledger: &ledger,
        plan: &plan,
        begun: ports.clock.now(),
        all: bytes_of(&plan, request),
        metered: &metered,
    };
    let report = |status, rows, outputs: usize, bytes, values_dropped| TaskReport {
        job: "repartition".to_owned(),
        name: plan.settings.name.clone(),
        task: request.clone(),
        status,
        rows,
        outputs: outputs as u64,
        bytes,
        values_dropped,
    };
    match (request.task, request.prepare) {
        (Some(task), None) => {
            let at = ledger.done(task);
            let existing: Option<Done> = ledger::read(store, &at).await?;
            let (status, done) = match existing {
                Some(done) => (Status::Duplicate, done),
                None => match work.task(task).await {
                    Ok(done) => (Status::Done, ledger::propose(store, &at, done).await?),
                    // A twin has done it.
                    Err(error) if error.kind() == ErrorKind::RunOver => {
                        let done = ledger::read(store, &at).await?;
                        (Status::Duplicate, done.ok_or(error)?)
                    }
                    Err(error) => return Err(error),
                },
            };
            let rows = done.rows.iter().copied().max().unwrap_or_default();
            let bytes = done.files.iter().map(|file| file.bytes).sum();
            Ok(report(
                status,
                rows,
                done.files.len(),
                bytes,
                done.values_dropped,
            ))
        }
        (None, Some(index)) => {
            let at = ledger.prepared(index);
            let existing: Option<Prepared> = ledger::read(store, &at).await?;
            let (status, prepared) = if let Some(prepared) = existing {
                (Status::Duplicate, prepared)
            } else {
                let prepared = work.prepare(index).await;
                let at_work = ledger.preparing(index);
                let prepared = match prepared {
                    Err(error) => return Err(work.stopped(&at_work, None, error).await),
                    Ok(prepared) => prepared,
                };
                (Status::Done, ledger::propose(store, &at, prepared).await?)
            };
            gather::after(ports, &ledger, &plan, index).await?;
            let rows = prepared.units.iter().map(|unit| unit.rows).sum();
            Ok(report(status, rows, 0, 0, 0))
        }
        _ => Err(JobError::new(
            ErrorKind::BadRequest,
            format!(
                "the plan has no such task: {}",
                "name a task or an entry of prepare, and not both".to_owned()
            ),
        )),
    }
}

struct Work<'a> {
    ports: &'a Ports,
    budget: &'a Budget,
    secrets: &'a BTreeMap<SecretName, Secret>,
    ledger: &'a Ledger,
    plan: &'a Plan,
    begun: Timestamp,
    /// The bytes of the source that it reads; 0 if that is not known.
    all: u64,
    metered: &'a Metered,
}

/// The bytes of the source that a task reads; 0 if it depends on what others have counted.
fn bytes_of(plan: &Plan, request: &TaskRequest) -> u64 {
    let task = request.task.and_then(|task| plan.tasks.get(task));
    let group = request.prepare.and_then(|index| plan.prepare.get(index));
    let units = match (task, group) {
        (Some(Task::Units(span)), _) | (None, Some(span)) => span.indices(),
        (Some(Task::Files(_)), _) if plan.prepare.is_empty() => 0..plan.units.len(),
        _ => 0..0,
    };
    let size = |unit: &Unit| match unit.part {
        Part::Bytes(start, end) => end - start,
        _ => plan
            .sources
            .get(unit.source as usize)
            .map_or(0, |source| source.size),
    };
    plan.units.get(units).into_iter().flatten().map(size).sum()
}

impl<'a> Work<'a> {
    fn units(&self, span: Range<usize>) -> Result<&'a [Unit], JobError> {
        let units = self.plan.units.get(span.clone());
        units.ok_or_else(|| {
            JobError::new(
                ErrorKind::BadRequest,
                format!("the plan has no such task: units {span:?}"),
            )
        })
    }

    fn context(&self) -> Context<'a> {
        Context {
            ports: self.ports,
            budget: self.budget,
            secrets: self.secrets,
            plan: self.plan,
        }
    }

    /// Counts the rows and the text of each unit of a group.
    async fn prepare(&self, index: usize) -> Result<Prepared, JobError> {
        let group = self.plan.prepare.get(index);
        let group = group.ok_or_else(|| {
            JobError::new(
                ErrorKind::BadRequest,
                format!("the plan has no such task: prepare {index}"),
            )
        })?;
        if self.plan.is_staged() {
            return self.stage(index, *group).await;
        }
        let mut files = Files::new(self.ports, self.plan, self.budget, Vec::new())?;
        let mut units = Vec::new();
        for unit in self.units(group.indices())? {
            let mut counts = Counts::none(self.plan.settings.output.len());
            let unit = std::slice::from_ref(unit);
            let mut rows = Rows::new(self.context(), unit)?;
            while let Some(batch) = rows.next().await? {
                let batch = files.columns(&batch)?;
                let lines = files.encode(&batch)?;
                counts.add(batch.num_rows(), &lines);
                files.recycle(lines);
            }
            units.push(counts);
        }
        Ok(Prepared {
            version: Prepared::VERSION,
            units,
            staged: None,
        })
    }

    /// Stages the rows of a group in the store, for the tasks that write their partitions.
    async fn stage(&self, index: usize, group: Span) -> Result<Prepared, JobError> {
        let files = Files::new(self.ports, self.plan, self.budget, Vec::new())?;
        let mut spooled = self.spool(&files, self.ledger.spool(index), group).await?;
        let tasks = self.plan.tasks.len();
        let (prefix, partitions) = (self.ledger.staged(index), spooled.router.partitions());
        let staged = shuffle::stage(&spooled.spool, &prefix, partitions, tasks).await?;
        spooled.spool.discard().await;
        let mut counts = Counts::none(self.plan.settings.output.len());
        counts.rows = spooled.written.rows;
        Ok(Prepared {
            version: Prepared::VERSION,
            units: vec![counts],
            staged: Some(staged),
        })
    }

    /// The partitions whose hash is the task's number, from the staged rows.
    async fn gathered(
        &self,
        files: &mut Files<'_>,
        task: usize,
    ) -> Result<Option<WrittenRows>, JobError> {
        let gathered = gather::of_task(self.ports, self.ledger, self.plan, task).await?;
        let prefix = self.ledger.spool(task);
        let mut spool = Spool::new(self.plan.shape.files_schema()?, None, self.room(prefix));
        let (partitions, runs) = gathered.into_parts();
        // Each of many runs would keep a block in memory if a partition were read from all of them.
        let mut staged = spool.staged(runs);
        while let Some(rows) = staged.try_next().await? {
            if self.ports.clock.now() >= self.budget.deadline {
                return Err(JobError::deadline());
            }
            for (batch, numbers) in rows {
                spool.push(&batch, &numbers)?;
                if spool.is_over() {
                    spool.spill().await?;
                }
            }
        }
        let number = self.plan.settings.files.map_or(1, |files| files.of(1));
        for (partition, (path, values)) in partitions.iter().enumerate() {
            let replay = Replay::Spooled(&spool, partition);
            let place = (path.as_str(), values.as_slice());
            replay::replay(self.context(), files, replay, place, 0, number).await?;
        }
        spool.discard().await;
        Ok(None)
    }

    /// Writes the files of a task.
    async fn task(&self, index: usize) -> Result<Done, JobError> {
        let task = self.plan.tasks.get(index);
        let task = task.ok_or_else(|| {
            JobError::new(
                ErrorKind::BadRequest,
                format!("the plan has no such task: task {index}"),
            )
        })?;
        let store = &*self.ports.store;
        let progress = self.ledger.progress(index);
        let reached = ledger::furthest::<Reached>(store, &progress).await?;
        let known = reached.map_or_else(Vec::new, |reached| reached.files);
        let mut files = Files::new(self.ports, self.plan, self.budget, known)?;
        let written = match *task {
            Task::Files(span) => self.files(&mut files, span).await,
            Task::Units(span) => self.partitions(&mut files, index, span).await,
            Task::Partitions(_) => self.gathered(&mut files, index).await,
        };
        let written = match written {
            Ok(written) => written,
            Err(error) => {
                let (files, is_further) = files.settle().await;
                let further = is_further.then_some(files);
                return Err(self.stopped(&progress, further, error).await);
            }
        };
        let files = files.all().await?;
        let mut rows = vec![0; self.plan.settings.output.len()];
        for file in &files {
            if let Some(sum) = rows.get_mut(file.output) {
                *sum += file.rows;
            }
        }
        Ok(Done {
            version: Done::VERSION,
            read: written.map(|written| written.rows),
            rows,
            files,
            values_dropped: written.map_or(0, |written| written.values_dropped),
        })
    }

    /// Writes some of the files of all rows.
    async fn files(
        &self,
        files: &mut Files<'_>,
        span: Span,
    ) -> Result<Option<WrittenRows>, JobError> {
        let nowhere = ("", &[][..]);
        let number = self.plan.files.unwrap_or(1);
        if self.plan.prepare.is_empty() {
            if number <= 1
                && let Some(written) = unite::unite(self.context(), files).await?
            {
                return Ok(Some(written));
            }
            let replay = Replay::Units(&self.plan.units);
            let written = replay::replay(self.context(), files, replay, nowhere, 0, number).await?;
            if written.rows == 0 {
                let mut series = files.series("", &[], None, &(0..1));
                files.write_empty(&mut series).await?;
            }
            return Ok(Some(written));
        }
        let counts = gather::counts(self.ports, self.ledger, self.plan).await?;
        let mut total = Counts::none(self.plan.settings.output.len());
        for unit in &counts {
            total.add_counts(unit);
        }
        let cuts = total.cuts(self.plan, number);
        let mut series = files.series("", &[], Some(&cuts), &span.numbers());
        if total.rows == 0 && span.start == 0 {
            files.write_empty(&mut series).await?;
            return Ok(None);
        }
        let mut before = Counts::none(self.plan.settings.output.len());
        let mut needed: Option<Needed> = None;
        for (index, unit) in counts.iter().enumerate() {
            let overlaps = |(output, cuts): (usize, &Cuts)| {
                let start = before.of(self.plan, output);
                let end = start + unit.of(self.plan, output);
                let wanted = cuts.span(&span.numbers());
                start < wanted.end && end > wanted.start
            };
            if cuts.iter().enumerate().any(overlaps) {
                let needed = needed.get_or_insert_with(|| Needed {
                    units: index..index,
                    before: before.clone(),
                });
                needed.units.end = index + 1;
            }
            before.add_counts(unit);
        }
        let Some(Needed { units, before }) = needed else {
            return Ok(None);
        };
        for series in &mut series {
            series.begin_at(before.of(self.plan, series.output()));
        }
        let store = &*self.ports.store;
        let plan = &outline::with_units(store, self.ledger, self.plan, units).await?;
        let context = Context {
            plan,
            ..self.context()
        };
        let mut reader = Replay::Units(&plan.units).read(context)?;
        replay::copy(&mut reader, files, &mut series).await?;
        Ok(None)
    }

    /// Writes the rows of some units to their partitions.
    async fn partitions(
        &self,
        files: &mut Files<'_>,
        task: usize,
        span: Span,
    ) -> Result<Option<WrittenRows>, JobError> {
        let mut spooled = self.spool(files, self.ledger.spool(task), span).await?;
        let (first, number) = match self.plan.settings.files {
            Some(files) => (0, files.of(1)),
            None => (task as u64, 1),
        };
        for (partition, routed) in spooled.router.partitions().iter().enumerate() {
            let place = (routed.path.as_str(), routed.values.as_slice());
            let replay = Replay::Spooled(&spooled.spool, partition);
            replay::replay(self.context(), files, replay, place, first, number).await?;
        }
        spooled.spool.discard().await;
        Ok(Some(spooled.written))
    }
}

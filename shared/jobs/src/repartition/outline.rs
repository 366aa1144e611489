//! The part of a plan that tasks need: its settings and, for each task, the objects that it reads, stored so that they can
//! be read alone.
//!
//! A plan lists every object of the source and every one that is replaced. If each of a thousand tasks read all of it, each
//! would need the memory for it.

use std::ops::Range;

use lakewright_core::{
    location::Location,
    repartition::{Span, Task, Unit},
};
use lakewright_ports::Store;
use serde::{Deserialize, Serialize};

use super::{
    Ports, TaskRequest,
    ledger::{self, Inputs, Ledger, Plan, SourceObject, SourcePartition},
};
use crate::kit::{
    JobError,
    parts::{Parts, Written, part},
};

/// The objects that a group of units reads. Sources and partitions are numbered by their places in this document.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Part {
    partitions: Vec<SourcePartition>,
    sources: Vec<SourceObject>,
    units: Vec<Unit>,
}

impl Part {
    fn push(&mut self, unit: &Unit, source: &SourceObject, partition: &SourcePartition) {
        if self.partitions.last() != Some(partition) {
            self.partitions.push(partition.clone());
        }
        let source = SourceObject {
            partition: self.partitions.len() - 1,
            ..source.clone()
        };
        if self.sources.last() != Some(&source) {
            self.sources.push(source);
        }
        self.units.push(Unit {
            source: u32::try_from(self.sources.len() - 1).unwrap_or(u32::MAX),
            ..unit.clone()
        });
    }

    /// Adds some of the units of a part, or of a plan.
    fn extend(
        &mut self,
        units: &[Unit],
        sources: &[SourceObject],
        partitions: &[SourcePartition],
    ) -> Option<()> {
        for unit in units {
            let source = sources.get(unit.source as usize)?;
            self.push(unit, source, partitions.get(source.partition)?);
        }
        Some(())
    }
}

/// The groups of units that a preparation or a task reads.
fn groups(plan: &Plan) -> Vec<Span> {
    let of_task = |task: &Task| match task {
        Task::Units(span) => Some(*span),
        Task::Files(_) | Task::Partitions(_) => None,
    };
    if plan.prepare.is_empty() {
        plan.tasks.iter().filter_map(of_task).collect()
    } else {
        plan.prepare.clone()
    }
}

/// Writes what the tasks need of a plan, if there are several.
pub(super) async fn put(ports: &Ports, ledger: &Ledger, plan: &Plan) -> Result<(), JobError> {
    let (store, at, groups) = (&*ports.store, ledger.outline(), groups(plan));
    if groups.len() <= 1 || ledger::exists(store, &at).await? {
        return Ok(());
    }
    let mut documents = Parts::default();
    for group in groups {
        let mut part = Part::default();
        let units = plan.units.get(group.indices());
        units
            .and_then(|units| part.extend(units, &plan.sources, &plan.partitions))
            .ok_or_else(|| damaged(ledger))?;
        documents
            .push(Some(&part))
            .map_err(|error| JobError::entry(at.clone(), error))?;
    }
    let Written { key, ends } = documents.write(store, &at).await?;
    let outline = Plan {
        inputs: Some(Inputs { key, ends }),
        settings: plan.settings.clone(),
        secrets: plan.secrets.clone(),
        reading: plan.reading.clone(),
        shape: plan.shape.clone(),
        id: plan.id.clone(),
        partitions: Vec::new(),
        sources: Vec::new(),
        units: Vec::new(),
        prepare: plan.prepare.clone(),
        tasks: plan.tasks.clone(),
        replaced: Vec::new(),
        kept: Vec::new(),
        manifests: Vec::new(),
        ..*plan
    };
    ledger::propose(store, &at, outline).await?;
    Ok(())
}

fn damaged(ledger: &Ledger) -> JobError {
    JobError::entry(ledger.plan(), "a group of units is not in the plan")
}

/// The plan of a task, with the objects that it reads. A task that writes given files has none yet: they are found later.
pub(super) async fn of_task(
    store: &dyn Store,
    request: &TaskRequest,
) -> Result<(Ledger, Plan), JobError> {
    let at = &request.plan;
    let outline = match at.key.strip_suffix("/plan") {
        Some(run) => {
            ledger::read(store, &Ledger::outline_of(&Location::new(&at.bucket, run))).await?
        }
        None => None,
    };
    // Plans with a single task have no outline, and neither have plans of earlier versions.
    let Some(plan) = outline else {
        return ledger::plan(store, at).await;
    };
    let ledger = ledger::of_plan(at, &plan)?;
    let prepare = request.prepare.and_then(|index| plan.prepare.get(index));
    let task = request.task.and_then(|index| plan.tasks.get(index));
    let group = match (prepare, task) {
        (Some(span), _) | (None, Some(Task::Units(span))) => *span,
        _ => return Ok((ledger, plan)),
    };
    let mut plan = with_units(store, &ledger, &plan, group.indices()).await?;
    let own = Span {
        start: 0,
        end: group.end - group.start,
    };
    if let Some(span) = request
        .prepare
        .and_then(|index| plan.prepare.get_mut(index))
    {
        *span = own;
    } else if let Some(task) = request.task.and_then(|index| plan.tasks.get_mut(index)) {
        *task = Task::Units(own);
    }
    Ok((ledger, plan))
}

/// The plan with these units and what they read, and no others.
pub(super) async fn with_units(
    store: &dyn Store,
    ledger: &Ledger,
    plan: &Plan,
    units: Range<usize>,
) -> Result<Plan, JobError> {
    let mut all = Part::default();
    if let Some(inputs) = &plan.inputs {
        let object = Location::new(&ledger.plan().bucket, &inputs.key);
        let groups = groups(plan);
        let groups = groups.iter().map(|group| group.indices());
        for (index, group) in groups.enumerate() {
            let wanted = group.start.max(units.start)..group.end.min(units.end);
            if wanted.is_empty() {
                continue;
            }
            let part: Option<Part> = part(store, &object, &inputs.ends, index).await?;
            let part = part.unwrap_or_default();
            let wanted = wanted.start - group.start..wanted.end - group.start;
            let wanted = part.units.get(wanted);
            wanted
                .and_then(|wanted| all.extend(wanted, &part.sources, &part.partitions))
                .ok_or_else(|| damaged(ledger))?;
        }
    } else {
        let wanted = plan.units.get(units.clone());
        wanted
            .and_then(|wanted| all.extend(wanted, &plan.sources, &plan.partitions))
            .ok_or_else(|| damaged(ledger))?;
    }
    if all.units.len() != units.len() {
        return Err(damaged(ledger));
    }
    Ok(Plan {
        partitions: all.partitions,
        sources: all.sources,
        units: all.units,
        ..plan.clone()
    })
}

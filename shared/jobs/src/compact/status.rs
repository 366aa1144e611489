//! Reports the state of a table's partitions.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use lakewright_core::{config, location::Location};

use super::{
    PlanRequest, Ports, ledger,
    report::{PartitionStatus, StatusReport},
    scope::{Scope, Subject},
};
use crate::kit::{ErrorKind, JobError};

/// The most partitions that are examined at once.
const CONCURRENT: usize = 16;

/// The state of each of the selected partitions, in the order of their paths. Where the time runs out, or the answer is
/// long, the report says after which partition the next request begins. Writes nothing.
///
/// # Errors
/// See [`JobError`].
pub async fn status(
    ports: &Ports,
    job: &config::Compact,
    request: &PlanRequest,
    deadline: Timestamp,
) -> Result<StatusReport, JobError> {
    let mut scope = Scope::find(ports, job, request.partitions.as_deref()).await?;
    if let Some(after) = &request.after {
        scope.leave_after(after);
    }
    let looks = scope.partitions.iter().map(|partition| {
        let scope = &scope;
        async move {
            if ports.clock.now() >= deadline {
                return Err(JobError::deadline());
            }
            look(ports, scope, partition).await
        }
    });
    let mut looks = stream::iter(looks).buffered(CONCURRENT);
    let mut report = StatusReport {
        job: "compact".to_owned(),
        table: job.subject(),
        counts: BTreeMap::new(),
        partitions: Vec::new(),
        next: None,
    };
    let (mut seen, mut last) = (0, None);
    while let Some(looked) = looks.next().await {
        let partition = match looked {
            Err(error) if error.kind() == ErrorKind::Deadline && last.is_some() => break,
            looked => looked?,
        };
        seen += 1;
        last = Some(partition.partition.clone());
        *report
            .counts
            .entry(partition.condition.clone())
            .or_default() += 1;
        if partition.condition != "never" {
            report.partitions.push(partition);
        }
        if report.partitions.len() >= NAMED {
            break;
        }
    }
    if seen < scope.partitions.len() {
        report.next = last;
    }
    Ok(report)
}

/// The most partitions in an answer, which may have 6 MB.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const NAMED: usize = 5_000;

async fn look(
    ports: &Ports,
    scope: &Scope,
    partition: &Subject,
) -> Result<PartitionStatus, JobError> {
    let store = &*ports.store;
    let ledger = scope.ledger_of(partition);
    let entries = ledger::entries(store, &ledger).await?;
    let state = if entries.state {
        ledger::read_state(store, &ledger).await?
    } else {
        None
    };
    let location = match &partition.location {
        Ok(location) => location.clone(),
        Err(text) => Location::new(text, ""),
    };
    let planned = entries.planned.last().copied().unwrap_or_default();
    // Without a catalog, the completed plans are counted.
    let done = entries.swept.keys().last().copied().unwrap_or_default();
    let (generation, last) = state
        .as_ref()
        .map_or((done, done), |(state, _)| (state.generation, state.last()));
    let condition = if planned > last {
        "planned"
    } else if generation == 0 {
        "never"
    } else if entries.deleted.contains(&generation) {
        "deleted"
    } else if entries.swept.contains_key(&generation) {
        "swept"
    } else if entries.published.contains(&generation) {
        "published"
    } else {
        "swapped"
    };
    let unfinished = matches!(condition, "planned" | "published" | "swapped");
    Ok(PartitionStatus {
        partition: partition.path.clone(),
        generation,
        directory: state.map_or_else(|| location.clone(), |(state, _)| state.directory),
        location,
        condition: condition.to_owned(),
        plan: unfinished.then(|| ledger.plan(planned)),
    })
}

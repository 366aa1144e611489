//! Reports the state of a table's partitions.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use lakewright_core::{config, location::Location};

use super::{
    Ports, ledger,
    report::{PartitionStatus, StatusReport},
    scope::{Scope, Subject},
};
use crate::kit::JobError;

/// The most partitions that are examined at once.
const CONCURRENT: usize = 16;

/// The state of each of the selected partitions. Writes nothing.
///
/// # Errors
/// See [`JobError`].
pub async fn status(
    ports: &Ports,
    job: &config::Compact,
    partitions: Option<&str>,
) -> Result<StatusReport, JobError> {
    let scope = Scope::find(ports, job, partitions).await?;
    let looks = scope
        .partitions
        .iter()
        .map(|partition| look(ports, &scope, partition));
    let found = stream::iter(looks)
        .buffered(CONCURRENT)
        .try_collect::<Vec<_>>()
        .await?;
    let mut counts = BTreeMap::new();
    for partition in &found {
        *counts.entry(partition.condition.clone()).or_default() += 1;
    }
    Ok(StatusReport {
        job: "compact".to_owned(),
        table: job.subject(),
        counts,
        partitions: found
            .into_iter()
            .filter(|partition| partition.condition != "never")
            .take(NAMED)
            .collect(),
    })
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

//! The bookmark: which objects earlier runs have committed.

use std::collections::BTreeSet;

use lakewright_core::{config::Repartition, naming::source_id};

use super::{
    Ports,
    ledger::{self, Ledger, Plan, Taken},
    source::Found,
};
use crate::kit::JobError;

/// Keeps only the objects that no run up to `previous` has committed.
pub(super) async fn leave_new(
    ports: &Ports,
    job: &Repartition,
    previous: Option<u64>,
    found: &mut Found,
) -> Result<(), JobError> {
    let taken = taken(ports, job, previous).await?;
    let mut sources = std::mem::take(&mut found.sources);
    sources.retain(|source| {
        let location = found.location(source);
        !taken.contains(&source_id(&location.bucket, &location.key, &source.etag))
    });
    found.sources = sources;
    Ok(())
}

async fn taken(
    ports: &Ports,
    job: &Repartition,
    previous: Option<u64>,
) -> Result<BTreeSet<String>, JobError> {
    let Some(previous) = previous else {
        return Ok(BTreeSet::new());
    };
    let at = Ledger::new(job, previous).taken();
    let taken: Option<Taken> = ledger::read(&*ports.store, &at).await?;
    Ok(taken.unwrap_or_default().objects.into_iter().collect())
}

/// Writes, before a run is committed, which objects it and the previous runs have read.
pub(super) async fn note(ports: &Ports, ledger: &Ledger, plan: &Plan) -> Result<(), JobError> {
    let mut objects = taken(ports, &plan.settings, plan.previous).await?;
    objects.extend(plan.sources.iter().map(|source| {
        let location = plan.location(source);
        source_id(&location.bucket, &location.key, &source.etag)
    }));
    let taken = Taken {
        version: Taken::VERSION,
        objects: objects.into_iter().collect(),
    };
    ledger::propose(&*ports.store, &ledger.taken(), taken).await?;
    Ok(())
}

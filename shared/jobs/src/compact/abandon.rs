//! Abandons a plan that can never be completed.

use std::collections::BTreeMap;

use lakewright_core::compact::{PartitionLedger, PartitionState};
use lakewright_ports::{Deletion, MAX_DELETE_BATCH, Store};

use super::{
    Ports,
    delete::delete_batch,
    directory,
    ledger::{self, Plan},
    outcome::Outcome,
    report::Step,
};
use crate::kit::{ErrorKind, JobError};

/// How often the state is read again after losing a swap. The competitors are a publisher and a twin of this step.
const TRIES: usize = 4;

/// Gives up the plan's generation, unless the partition has moved on to it, and deletes what was made for it.
///
/// The state is replaced by one with the same directory and the number of the abandoned generation. A publisher that
/// read the old state can no longer swap it, because the `ETag` has changed, and one that reads the new state finds the
/// number. Invocations that still work on the plan, and may put files into its directory, have ended
/// `longest_invocation` later; only then is that directory cleared. The number is never used again.
pub(super) async fn abandon(
    ports: &Ports,
    ledger: &PartitionLedger,
    plan: &Plan,
) -> Result<Outcome, JobError> {
    let store = &*ports.store;
    let generation = plan.generation;
    // A publisher leaves this marker before the partition can move on. The state alone does not tell whether the plan was
    // published, because a later plan that was given up has a higher number.
    if ledger::age(store, &ledger.published(generation))
        .await?
        .is_some()
    {
        return Ok(Outcome::superseded());
    }
    if ledger::age(store, &ledger.deleted(generation))
        .await?
        .is_some()
    {
        return Ok(Outcome::done(0, None));
    }
    if !give_up(store, ledger, plan).await? {
        return Ok(Outcome::superseded());
    }
    let mark = ledger.abandoned(generation);
    ledger::mark(store, &mark, generation).await?;
    let age = ledger::age(store, &mark).await?.unwrap_or_default();
    if let Some(seconds) = ledger::wait(age, plan.settings.longest_invocation) {
        return Ok(Outcome::waiting(Step::Abandon, seconds));
    }
    let keys = made(store, plan).await?;
    for batch in keys.chunks(MAX_DELETE_BATCH) {
        delete_batch(store, &plan.to, batch).await?;
    }
    ledger::mark(store, &ledger.deleted(generation), generation).await?;
    Ok(Outcome::done(keys.len() as u64, None))
}

/// Replaces the state. Returns false if it names the plan's generation or a later one.
async fn give_up(
    store: &dyn Store,
    ledger: &PartitionLedger,
    plan: &Plan,
) -> Result<bool, JobError> {
    for _ in 0..TRIES {
        let existing = ledger::read_state(store, ledger).await?;
        let (state, etag) = match existing {
            Some((state, _)) if state.generation == plan.generation => return Ok(false),
            Some((state, _)) if state.abandoned >= plan.generation => return Ok(true),
            Some((state, _)) if state.generation > plan.generation => return Ok(false),
            Some((state, etag)) => (state, Some(etag)),
            None => (PartitionState::registered(plan.from.clone()), None),
        };
        let state = PartitionState {
            abandoned: plan.generation,
            ..state
        };
        if ledger::replace(store, ledger, &state, etag.as_deref()).await? {
            return Ok(true);
        }
    }
    Err(JobError::new(
        ErrorKind::TaskFailed,
        format!("the state {} keeps being changed by others", ledger.state()),
    ))
}

/// The files in the plan's directory, after checking that all of their rows exist in the previous
/// directory.
async fn made(store: &dyn Store, plan: &Plan) -> Result<Vec<Deletion>, JobError> {
    let (here, _) = directory::files(store, &plan.from).await?;
    let here = here
        .into_iter()
        .map(|file| (file.name.clone(), file))
        .collect::<BTreeMap<_, _>>();
    let (made, _) = directory::files(store, &plan.to).await?;
    let mut keys = Vec::with_capacity(made.len());
    for file in made {
        let location = plan.to.join(&file.name);
        let existing = |name: &str| here.get(name);
        let merged = plan.bins.iter().find(|bin| bin.output == file.name);
        let exists = merged.map_or_else(
            || existing(&file.name).is_some_and(|existing| existing.size == file.size),
            |bin| {
                let mut inputs = bin.inputs.iter();
                inputs.all(|input| {
                    existing(&input.name).is_some_and(|existing| existing.etag == input.etag)
                })
            },
        );
        if !exists {
            let message = "it was made for a plan that is given up, and what it was made of no longer exists. \
            Nothing was deleted; move it to the partition's directory by hand";
            return Err(JobError::new(ErrorKind::OnlyCopy, message).of(location));
        }
        keys.push(Deletion {
            key: location.key,
            etag: Some(file.etag),
        });
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::Step;
    use crate::compact::fixture::{
        Was::{Carried, Gone, Merged, MovedOn, Ran, Swapped, Waited, Written},
        check,
    };

    #[test]
    fn a_plan_is_given_up_as_long_as_the_state_does_not_name_it() {
        let given_up: &[&str] = &["+ledger/abandoned/00000001", "+ledger/state"];
        let waiting = "Waiting 0, Abandon after 301 s";
        let due = [Ran(Step::Abandon), Waited(6)];
        let after = |made: &[_], more: &[_]| [made, &due, more].concat();
        check(
            Step::Abandon,
            &[
                (&[], waiting, given_up),
                (&[Merged(2)], waiting, given_up),
                (&[Merged(2), Swapped], "Superseded 0", &[]),
                (&[Merged(2), Ran(Step::Publish)], "Superseded 0", &[]),
                (&[MovedOn], "Superseded 0", &[]),
                (&after(&[], &[]), "Done 0", &["+ledger/deleted/00000001"]),
                (
                    &after(&[Merged(2), Carried("c")], &[]),
                    "Done 2",
                    &["+ledger/deleted/00000001", "-to/c", "-to/merged"],
                ),
                (&after(&[Merged(2)], &[Gone("a")]), "OnlyCopy", &[]),
                (&after(&[Merged(2)], &[Written("a")]), "OnlyCopy", &[]),
                (&after(&[Carried("c")], &[Gone("c")]), "OnlyCopy", &[]),
                (
                    &after(&[Merged(2)], &[Ran(Step::Abandon), Gone("a")]),
                    "Done 0",
                    &[],
                ),
            ],
        );
    }
}

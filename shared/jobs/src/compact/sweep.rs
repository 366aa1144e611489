//! Carries over what slow writers left in the old directory, when no more files can appear there.

use lakewright_core::compact::PartitionLedger;

use super::{
    Ports,
    carry::carry,
    ledger::{self, Plan},
    outcome::Outcome,
    publish::confirm,
    report::Step,
};
use crate::kit::JobError;

/// Sweeps the directory that the plan's generation left.
///
/// `published` was written after the last possible change to the catalog, and after the swap. When it is older than the
/// longest invocation, no invocation is running that read the old state or the old catalog entry.
pub(super) async fn sweep(
    ports: &Ports,
    ledger: &PartitionLedger,
    plan: &Plan,
) -> Result<Outcome, JobError> {
    let store = &*ports.store;
    let generation = plan.generation;
    let existing = ledger::read_state(store, ledger).await?;
    if existing.is_some_and(|(state, _)| state.generation > generation) {
        return Ok(Outcome::superseded());
    }
    let mark = ledger.swept(generation);
    if ledger::age(store, &mark).await?.is_some() {
        return Ok(Outcome::done(0, None));
    }
    let Some(age) = ledger::age(store, &ledger.published(generation)).await? else {
        return Ok(Outcome::waiting(Step::Publish, 0));
    };
    if let Some(seconds) = ledger::wait(age, plan.settings.longest_invocation) {
        return Ok(Outcome::waiting(Step::Sweep, seconds));
    }
    // C3: files of writers that died before they read the state again.
    let files = carry(store, plan).await?;
    confirm(ports, plan, &plan.to).await?;
    ledger::mark(store, &mark, generation).await?;
    Ok(Outcome::done(files, None))
}

#[cfg(test)]
mod tests {
    use super::Step;
    use crate::compact::fixture::{
        Was::{Carried, Merged, MovedOn, Pointed, Ran, Swapped, Waited, Written},
        check,
    };

    #[test]
    fn what_slow_writers_left_is_carried() {
        let published = [Merged(2), Ran(Step::Publish)];
        let after = |more: &[_]| [&published[..], more].concat();
        check(
            Step::Sweep,
            &[
                (&[Merged(2)], "Waiting 0, Publish after 0 s", &[]),
                (&[Merged(2), Swapped], "Waiting 0, Publish after 0 s", &[]),
                (&after(&[Waited(4)]), "Waiting 0, Sweep after 61 s", &[]),
                (&after(&[Waited(6)]), "Done 0", &["+ledger/swept/00000001"]),
                (
                    &after(&[Written("d"), Waited(6)]),
                    "Done 1",
                    &["+ledger/swept/00000001", "+to/d"],
                ),
                (
                    &after(&[Written("d"), Carried("d"), Waited(6)]),
                    "Done 0",
                    &["+ledger/swept/00000001"],
                ),
                (&after(&[Written("b"), Waited(6)]), "InputChanged", &[]),
                (
                    &after(&[Written("d"), Pointed("elsewhere/"), Waited(6)]),
                    "PartitionElsewhere",
                    &["+to/d"],
                ),
                (
                    &after(&[Waited(6), Ran(Step::Sweep), Written("d")]),
                    "Done 0",
                    &[],
                ),
                (
                    &after(&[Written("d"), Waited(6), MovedOn]),
                    "Superseded 0",
                    &[],
                ),
            ],
        );
    }
}

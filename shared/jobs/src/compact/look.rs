//! Decides what to do with a partition: the next step of an earlier run, or a new generation.

use jiff::SignedDuration;
use lakewright_core::{
    compact::{Left, PartitionLedger, PartitionState},
    config::CompactMode,
};
use lakewright_ports::Store;

use super::{
    Ports,
    generation::{Generation, Next, Planned},
    ledger::{self, Entries},
    report::Step,
    scope::{Scope, Subject},
};
use crate::kit::{ErrorKind, JobError};

/// What to do with a partition.
pub(super) enum Verdict {
    /// Nothing.
    Left(Left),
    /// An earlier run has not finished it.
    Unfinished(&'static str),
    /// Continue with this step of this generation's plan.
    GoOn(u32, Step),
    /// Give up this generation's plan, because its merges cannot succeed.
    GiveUp(u32, String),
    /// Execute this plan, which exists or is new.
    Plan(Planned),
}

impl From<Next> for Verdict {
    fn from(next: Next) -> Self {
        match next {
            Next::Planned(planned) => Self::Plan(planned),
            Next::Nothing(left) => Self::Left(left),
        }
    }
}

impl Scope {
    /// Decides what to do with a partition. Steps of earlier runs come first. A new generation is planned only when the
    /// previous one is swept: until then a publisher may still be running that sends readers to the previous one.
    ///
    /// # Errors
    /// The partition cannot be compacted, or the store fails.
    pub(super) async fn look(
        &self,
        ports: &Ports,
        partition: &Subject,
    ) -> Result<Verdict, JobError> {
        let store = &*ports.store;
        let ledger = self.ledger_of(partition);
        let entries = ledger::entries(store, &ledger).await?;
        if self.settings.mode == CompactMode::InPlace {
            return self
                .look_in_place(store, &ledger, partition, &entries)
                .await;
        }
        let existing = if entries.state {
            ledger::read_state(store, &ledger).await?
        } else {
            None
        };
        let generation = existing.as_ref().map_or(0, |(state, _)| state.generation);
        // C3: one generation at a time.
        if generation > 0 && !entries.swept.contains_key(&generation) {
            let step = if entries.published.contains(&generation) {
                Step::Sweep
            } else {
                Step::Publish
            };
            return Ok(Verdict::GoOn(generation, step));
        }
        let location = partition.location.as_ref().map_err(|text| {
            JobError::new(
                ErrorKind::Unsuited,
                format!("its location in the catalog is `{text}`"),
            )
        })?;
        match &existing {
            Some((state, _)) if state.directory != *location => {
                return Err(JobError::new(
                    ErrorKind::PartitionElsewhere,
                    format!(
                        "partition {} lies at {} in the catalog, but should be at {}: only Lakewright may move the partitions of a compacted table",
                        partition.path, location, state.directory
                    ),
                ));
            }
            None if self.generations()?.contains(location) => {
                return Err(JobError::new(
                    ErrorKind::Unsuited,
                    format!(
                        "it lies at {location}, which a compaction made, but {} is gone",
                        ledger.state()
                    ),
                ));
            }
            _ => {}
        }
        let state = existing.as_ref().map(|(state, _)| state);
        if let Some(step) = self.leftover(&entries, state) {
            return Ok(step);
        }
        let number = state.map_or(0, PartitionState::last) + 1;
        if entries.failed.contains(&number) {
            let failed = ledger::failure(store, &ledger, number).await?;
            let reason = failed.map_or_else(String::new, |failed| failed.reason);
            return Ok(Verdict::GiveUp(number, reason));
        }
        let next = Generation {
            scope: self,
            store,
            ledger: &ledger,
            partition,
            from: location,
            number,
        };
        Ok(next
            .plan(entries.planned.contains(&next.number))
            .await?
            .into())
    }

    /// The next step of the first generation whose files are not deleted.
    fn leftover(&self, entries: &Entries, state: Option<&PartitionState>) -> Option<Verdict> {
        let state = state?;
        let past = (1..=state.last()).find(|past| !entries.deleted.contains(past))?;
        let is_over = |age: &SignedDuration, least| ledger::wait(*age, least).is_none();
        // C4: a publisher leaves this marker before the partition moves on, so this plan was given up. The state names only
        // the last such plan, and the invocation that gave this one up may have died before it left the marker `abandoned`.
        if !entries.published.contains(&past) {
            // No `abandoned` marker: its age is unknown.
            let is_due = entries
                .abandoned
                .get(&past)
                .is_none_or(|age| is_over(age, self.settings.longest_invocation));
            return is_due.then_some(Verdict::GoOn(past, Step::Abandon));
        }
        let age = entries.swept.get(&past)?;
        let is_due = is_over(age, self.settings.grace_period);
        is_due.then_some(Verdict::GoOn(past, Step::Delete))
    }

    async fn look_in_place(
        &self,
        store: &dyn Store,
        ledger: &PartitionLedger,
        partition: &Subject,
        entries: &Entries,
    ) -> Result<Verdict, JobError> {
        let last = entries.planned.last().copied().unwrap_or_default();
        let generation = match entries.swept.get(&last) {
            None if last > 0 => last,
            // A twin may still write its file again, which must not have been merged by then.
            Some(age) if ledger::wait(*age, self.settings.longest_invocation).is_some() => {
                return Ok(Verdict::Unfinished("settling"));
            }
            _ => last + 1,
        };
        let location = partition.location.as_ref().map_err(|text| {
            JobError::new(ErrorKind::Unsuited, format!("its location is `{text}`"))
        })?;
        let next = Generation {
            scope: self,
            store,
            ledger,
            partition,
            from: location,
            number: generation,
        };
        Ok(next
            .plan(entries.planned.contains(&generation))
            .await?
            .into())
    }
}

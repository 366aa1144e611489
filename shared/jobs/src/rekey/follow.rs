//! Follows the partitions of a compacted table between directories.
//!
//! The compaction of a partition carries the files of its old directory once before and once after it swaps the
//! partition's state. An output that was written there before the swap is carried. An output that was written there
//! later is detected by reading the state again, and then written into the new directory too. Either way it is where
//! readers will look before the commit is written.

use std::collections::{BTreeMap, BTreeSet};

use futures::{TryStreamExt, stream::FuturesUnordered};
use lakewright_core::{
    catalog::TableName,
    compact::{PartitionLedger, PartitionState},
    partition::Partition,
};
use lakewright_ports::{Precondition, Store, StoreErrorKind};

use super::{
    destination::Destination,
    plan::{Output, Outputs},
    route::Routed,
    write::vanished,
};
use crate::{
    kit::{JobError, Stage},
    publish::{partition_state, register::Written},
};

/// The most concurrent requests.
const CONCURRENT: usize = 16;

/// A destination and one of its partitions, by their indexes.
type Place = (usize, usize);

/// The partitions of a batch's outputs, with their states as last read, of the tables that are compacted.
pub(super) struct Follow {
    partitions: BTreeMap<Place, Followed>,
}

struct Followed {
    ledger: PartitionLedger,
    /// `None` for a partition that was never compacted.
    state: Option<PartitionState>,
}

impl Follow {
    /// Reads the states, and directs the outputs to the directories that they name.
    ///
    /// # Errors
    /// The store fails, or a state cannot be read.
    pub(super) async fn begin(
        store: &dyn Store,
        compacted: &BTreeSet<TableName>,
        outputs: &mut Outputs<'_>,
        routed: &Routed,
    ) -> Result<Self, JobError> {
        let mut partitions = BTreeMap::new();
        for output in outputs.list.iter().filter(|output| output.form == 0) {
            let Some(Destination { job, .. }) = outputs.destination(output) else {
                continue;
            };
            let is_compacted = job.table.as_ref().is_some_and(|of| compacted.contains(of));
            if let Some(partition) = partition(routed, output)
                && is_compacted
            {
                let followed = Followed {
                    ledger: PartitionLedger::new(&job.ledger(), &partition.path),
                    state: None,
                };
                partitions.insert(output.place(), followed);
            }
        }
        let mut follow = Self { partitions };
        let all = follow.partitions.keys().copied().collect();
        for (place, state) in follow.moved(store, all).await? {
            for output in outputs_of(outputs, place) {
                output.location = state.directory.join(output.name());
            }
            follow.set(place, state);
        }
        Ok(follow)
    }

    /// Whether there is anything to follow.
    pub(super) fn is_needed(&self) -> bool {
        !self.partitions.is_empty()
    }

    /// The partitions of a destination that have rows, and their locations: if there are several outputs, the first is the
    /// table's.
    pub(super) fn written(
        &self,
        outputs: &Outputs<'_>,
        routed: &Routed,
        destination: usize,
    ) -> Vec<Written> {
        let of_table = outputs.list.iter();
        let of_table =
            of_table.filter(|output| output.destination == destination && output.form == 0);
        let mut written = of_table
            .filter_map(|output| {
                let Destination { job, .. } = outputs.destination(output)?;
                let partition = partition(routed, output)?;
                let state = self.state(output.place());
                Some(Written {
                    values: partition.values.clone(),
                    directory: match state {
                        Some(state) => state.directory.clone(),
                        None => job.directory(job.output.first()?).join(&partition.path),
                    },
                    before: state.map(|state| state.previous.clone()),
                })
            })
            .collect::<Vec<_>>();
        written.sort();
        written.dedup();
        written
    }

    /// The state of a partition as last read; `None` if it was never compacted.
    fn state(&self, place: Place) -> Option<&PartitionState> {
        self.partitions.get(&place)?.state.as_ref()
    }

    /// Copies the outputs, which exist, into the directories that their partitions have moved to since, and repeats this
    /// until no partition has moved meanwhile. Returns whether each copy was new.
    ///
    /// # Errors
    /// The store fails, or a state cannot be read.
    pub(super) async fn settle(
        &mut self,
        store: &dyn Store,
        outputs: &mut Outputs<'_>,
    ) -> Result<bool, JobError> {
        let mut all_new = true;
        let mut unsure = self.partitions.keys().copied().collect::<Vec<_>>();
        while !unsure.is_empty() {
            let moved = self.moved(store, unsure).await?;
            for (place, state) in &moved {
                for output in outputs_of(outputs, *place) {
                    all_new &= put_too(store, output, state).await?;
                }
            }
            unsure = moved.iter().map(|(place, _)| *place).collect();
            for (place, state) in moved {
                self.set(place, state);
            }
        }
        Ok(all_new)
    }

    fn set(&mut self, place: Place, state: PartitionState) {
        if let Some(followed) = self.partitions.get_mut(&place) {
            followed.state = Some(state);
        }
    }

    /// The partitions whose state has changed, and their new state.
    async fn moved(
        &self,
        store: &dyn Store,
        places: Vec<Place>,
    ) -> Result<Vec<(Place, PartitionState)>, JobError> {
        let (mut moved, mut reads) = (Vec::new(), FuturesUnordered::new());
        for place in places {
            let Some(followed) = self.partitions.get(&place) else {
                continue;
            };
            if reads.len() >= CONCURRENT {
                moved.extend(reads.try_next().await?.flatten());
            }
            reads.push(async move {
                let found = partition_state::read(store, &followed.ledger).await?;
                let state = found.map(|(state, _)| state);
                let news = state.filter(|state| followed.state.as_ref() != Some(state));
                Ok::<_, JobError>(news.map(|state| (place, state)))
            });
        }
        while let Some(news) = reads.try_next().await? {
            moved.extend(news);
        }
        Ok(moved)
    }
}

/// The outputs of the table in a partition.
fn outputs_of<'a>(
    outputs: &'a mut Outputs<'_>,
    place: Place,
) -> impl Iterator<Item = &'a mut Output> {
    let list = outputs.list.iter_mut();
    list.filter(move |output| output.form == 0 && output.place() == place)
}

/// The partition of an output.
fn partition<'a>(routed: &'a Routed, output: &Output) -> Option<&'a Partition> {
    let separated = routed.destinations.get(output.destination)?;
    separated.partitions.get(output.partition)
}

/// Copies an output into the partition's new directory. A file of this name there was carried and has the same rows, because
/// the name identifies them. Returns whether there was none.
async fn put_too(
    store: &dyn Store,
    output: &mut Output,
    state: &PartitionState,
) -> Result<bool, JobError> {
    let target = state.directory.join(output.name());
    let put = store
        .copy(&output.location, None, &target, Precondition::Absent, None)
        .await;
    let is_new = match put {
        Ok(_) => true,
        Err(error) if error.kind == StoreErrorKind::PreconditionFailed => false,
        Err(error) if error.kind == StoreErrorKind::NotFound => {
            return Err(vanished(&output.location));
        }
        Err(error) => return Err(JobError::store(Stage::Write, error)),
    };
    output.location = target;
    Ok(is_new)
}

#[cfg(test)]
mod tests {
    use crate::rekey::fixture::{
        ONE, TWO,
        Was::{Died, Elsewhere, Landed, Moved, Ran},
        check,
    };

    #[test]
    fn outputs_are_where_readers_of_a_compacted_table_look() {
        check(&[
            (
                &[Landed("a", ONE), Moved],
                &["a"],
                1,
                "Committed 1",
                &[
                    "+claim/a/0",
                    "+commit/a",
                    "+plan/a",
                    "+t.generations/1/a-00000.parquet",
                ],
            ),
            // Only one of the two partitions has moved.
            (
                &[Landed("b", TWO), Moved],
                &["b"],
                1,
                "Committed 2",
                &[
                    "+claim/b/0",
                    "+commit/b",
                    "+partition 02",
                    "+plan/b",
                    "+t.generations/1/b-00000.parquet",
                    "+t/day=02/b-00000.parquet",
                ],
            ),
            (
                &[Landed("a", ONE), Ran(&["a"]), Moved, Landed("b", TWO)],
                &["b"],
                1,
                "Committed 2",
                &[
                    "+claim/b/0",
                    "+commit/b",
                    "+partition 02",
                    "+plan/b",
                    "+t.generations/1/b-00000.parquet",
                    "+t/day=02/b-00000.parquet",
                ],
            ),
            // It moves after an output was written, and before the commit.
            (
                &[Landed("a", ONE), Died(&["a"], "/day=01/"), Moved],
                &["a"],
                1,
                "Committed 1",
                &["+commit/a", "+t.generations/1/a-00000.parquet"],
            ),
            // Readers are not yet sent there.
            (
                &[Landed("a", ONE), Moved, Elsewhere],
                &["a"],
                1,
                "PartitionElsewhere",
                &["+claim/a/0", "+plan/a", "+t.generations/1/a-00000.parquet"],
            ),
        ]);
    }
}

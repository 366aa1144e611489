//! Groups the rows of a partition that several tasks have read.
//!
//! A preparation stages the rows of a group of units in the store, in the order of the tasks that will write them. A
//! task writes the partitions whose paths hash to its number. So a task reads one contiguous range of each group's
//! rows.

use std::collections::BTreeMap;

use lakewright_core::{location::Location, repartition::Routed};
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

use crate::{
    kit::JobError,
    work::spool::{Spool, StoredRun},
};

/// Rows that were staged in the store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Staged {
    /// Their partitions, in the order of the tasks that write them.
    partitions: Vec<StagedPartition>,
    /// The locations of the rows.
    runs: Vec<StoredRun>,
}

/// A partition of staged rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StagedPartition {
    path: String,
    values: Vec<String>,
}

/// The task, of this many, that writes a partition.
fn task_of(path: &str, tasks: usize) -> usize {
    let number = XxHash3_128::oneshot(path.as_bytes()) % (tasks.max(1) as u128);
    usize::try_from(number).unwrap_or_default()
}

/// Brings everything that is spooled to the store.
pub(super) async fn stage(
    spool: &Spool,
    prefix: &Location,
    partitions: &[Routed],
    tasks: usize,
) -> Result<Staged, JobError> {
    let mut order = (0..partitions.len()).collect::<Vec<_>>();
    order.sort_by_key(|&index| {
        let path = partitions
            .get(index)
            .map_or("", |partition| &partition.path);
        (task_of(path, tasks), path)
    });
    let staged = order.iter().filter_map(|&index| partitions.get(index));
    Ok(Staged {
        partitions: staged
            .map(|partition| StagedPartition {
                path: partition.path.clone(),
                values: partition.values.clone(),
            })
            .collect(),
        runs: spool.stage(prefix, &order).await?,
    })
}

impl Staged {
    /// The parts that each of this many tasks writes; one without rows is left out.
    pub(super) fn by_task(&self, tasks: usize) -> Vec<(usize, Self)> {
        let mut parts = Vec::new();
        let mut first = 0;
        // The partitions of a task are side by side.
        let of = |partition: &StagedPartition| task_of(&partition.path, tasks);
        for partitions in self.partitions.chunk_by(|a, b| of(a) == of(b)) {
            let end = first + u32::try_from(partitions.len()).unwrap_or(u32::MAX);
            let runs = self.runs.iter();
            let runs = runs.filter_map(|run| run.part(first..end)).collect();
            if let Some(task) = partitions.first().map(of) {
                let partitions = partitions.to_vec();
                parts.push((task, Self { partitions, runs }));
            }
            first = end;
        }
        parts
    }
}

/// What several groups have staged: the partitions by path, and the groups in their order.
#[derive(Default)]
pub(super) struct Gathered {
    partitions: BTreeMap<String, Vec<String>>,
    groups: Vec<Staged>,
}

impl Gathered {
    /// Takes what the next group has staged.
    pub(super) fn take(&mut self, staged: Staged) {
        for partition in &staged.partitions {
            if !self.partitions.contains_key(&partition.path) {
                let (path, values) = (partition.path.clone(), partition.values.clone());
                self.partitions.insert(path, values);
            }
        }
        self.groups.push(staged);
    }

    /// The same as one group, with the partitions numbered in the order of their paths.
    pub(super) fn together(self) -> Staged {
        let numbers: BTreeMap<_, _> = (0_u32..)
            .zip(self.partitions.keys())
            .map(|(number, path)| (path.clone(), number))
            .collect();
        let mut runs = Vec::new();
        for group in self.groups {
            for mut run in group.runs {
                for span in &mut run.spans {
                    let partition = group.partitions.get(span.partition as usize);
                    let number = partition.and_then(|partition| numbers.get(&partition.path));
                    span.partition = number.copied().unwrap_or(u32::MAX);
                }
                runs.push(run);
            }
        }
        let partitions = self.partitions.into_iter();
        Staged {
            partitions: partitions
                .map(|(path, values)| StagedPartition { path, values })
                .collect(),
            runs,
        }
    }

    /// The paths and the values of the partitions, in the order of their numbers, and the rows.
    pub(super) fn into_parts(self) -> (Vec<(String, Vec<String>)>, Vec<StoredRun>) {
        let Staged { partitions, runs } = self.together();
        let partitions = partitions.into_iter();
        let partitions = partitions.map(|one| (one.path, one.values));
        (partitions.collect(), runs)
    }
}

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

/// The input of a task: the partitions by path, and what each group has staged of them.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) partitions: BTreeMap<String, Vec<String>>,
    groups: Vec<Staged>,
}

impl Gathered {
    /// Takes the part of a group's staged rows that task `task` writes.
    pub(super) fn take(&mut self, staged: Staged, task: usize, tasks: usize) {
        let mut mine = Vec::new();
        for partition in &staged.partitions {
            let wanted = task_of(&partition.path, tasks) == task;
            mine.push(wanted);
            if wanted {
                let known = self.partitions.entry(partition.path.clone());
                known.or_insert_with(|| partition.values.clone());
            }
        }
        let mut runs = staged.runs;
        for run in &mut runs {
            run.spans
                .retain(|span| mine.get(span.partition as usize) == Some(&true));
        }
        runs.retain(|run| !run.spans.is_empty());
        if !runs.is_empty() {
            let partitions = staged.partitions;
            self.groups.push(Staged { partitions, runs });
        }
    }

    /// Makes the rows readable through `spool`, with the partitions numbered in the order of their paths.
    pub(super) fn into_spool(self, spool: &mut Spool) -> Vec<(String, Vec<String>)> {
        let numbers: BTreeMap<_, _> = (0_u32..)
            .zip(self.partitions.keys())
            .map(|(number, path)| (path.clone(), number))
            .collect();
        for group in self.groups {
            for mut run in group.runs {
                for span in &mut run.spans {
                    let partition = group.partitions.get(span.partition as usize);
                    let number = partition.and_then(|partition| numbers.get(&partition.path));
                    span.partition = number.copied().unwrap_or(u32::MAX);
                }
                spool.add_stored(run);
            }
        }
        self.partitions.into_iter().collect()
    }
}

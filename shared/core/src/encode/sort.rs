//! Sorts the rows of a partition by time in bounded memory, by merging sorted runs.

use std::{cmp::Reverse, collections::BinaryHeap};

use arrow::{
    array::{AsArray, RecordBatch},
    compute::interleave_record_batch,
    datatypes::Int64Type,
    error::ArrowError,
};

/// The number of rows in a returned batch.
const BATCH: usize = 8192;

/// Merges runs of batches, each sorted by one column, into batches sorted by it. Rows with equal times stay in the
/// order of the runs, and within a run in their own order.
///
/// It does no I/O: it [returns](Merged::Wants) the run whose next batch it needs. It holds one batch of each run, and
/// the batches from which the current output takes rows.
#[derive(Debug)]
pub struct MergeByTime {
    time: usize,
    runs: Vec<Run>,
    /// The runs whose next batch is needed.
    wanted: Vec<usize>,
    /// The time of the next row of each run that has one.
    next: BinaryHeap<Reverse<(i64, usize)>>,
    /// The current output: the batches that it takes rows from, and which rows.
    batches: Vec<RecordBatch>,
    rows: Vec<(usize, usize)>,
}

#[derive(Debug, Default)]
struct Run {
    batch: Option<RecordBatch>,
    row: usize,
    /// The index of the batch among those that the current output takes rows from.
    slot: Option<usize>,
}

/// The next step of a merge.
#[derive(Debug, PartialEq)]
pub enum Merged {
    /// The next batch of this run must be [given](MergeByTime::give) first.
    Wants(usize),
    /// The next rows.
    Batch(RecordBatch),
    /// There are no more rows.
    End,
}

impl MergeByTime {
    /// Merges this many runs by the column `time`, of type `Int64` and without nulls.
    pub fn new(runs: usize, time: usize) -> Self {
        Self {
            time,
            runs: (0..runs).map(|_| Run::default()).collect(),
            wanted: (0..runs).rev().collect(),
            next: BinaryHeap::new(),
            batches: Vec::new(),
            rows: Vec::with_capacity(BATCH),
        }
    }

    /// Takes the next batch of a requested run; `None` if it has no more.
    ///
    /// # Errors
    /// The batch does not have this column of times.
    pub fn give(&mut self, run: usize, batch: Option<RecordBatch>) -> Result<(), ArrowError> {
        if batch.as_ref().is_some_and(|batch| batch.num_rows() == 0) {
            return Ok(());
        }
        self.wanted.retain(|&wanted| wanted != run);
        let Some(slot) = self.runs.get_mut(run) else {
            return Ok(());
        };
        *slot = Run {
            batch,
            ..Run::default()
        };
        self.line_up(run)
    }

    /// Returns the next rows, or the run that it needs.
    ///
    /// # Errors
    /// The batches do not have the same columns.
    pub fn merge(&mut self) -> Result<Merged, ArrowError> {
        while self.rows.len() < BATCH {
            if let Some(&run) = self.wanted.last() {
                return Ok(Merged::Wants(run));
            }
            let Some(Reverse((_, index))) = self.next.pop() else {
                break;
            };
            if let Some(run) = self.runs.get_mut(index)
                && let Some(batch) = &run.batch
            {
                let batches = &mut self.batches;
                let slot = *run.slot.get_or_insert_with(|| {
                    batches.push(batch.clone());
                    batches.len() - 1
                });
                self.rows.push((slot, run.row));
                run.row += 1;
            }
            self.line_up(index)?;
        }
        if self.rows.is_empty() {
            return Ok(Merged::End);
        }
        let batches = self.batches.iter().collect::<Vec<_>>();
        let merged = interleave_record_batch(&batches, &self.rows)?;
        self.batches.clear();
        self.rows.clear();
        for run in &mut self.runs {
            run.slot = None;
        }
        Ok(Merged::Batch(merged))
    }

    /// Queues the next row of a run, or requests its next batch.
    fn line_up(&mut self, index: usize) -> Result<(), ArrowError> {
        let Some(run) = self.runs.get_mut(index) else {
            return Ok(());
        };
        let Some(batch) = &run.batch else {
            return Ok(());
        };
        if run.row >= batch.num_rows() {
            run.batch = None;
            self.wanted.push(index);
            return Ok(());
        }
        let times = batch
            .columns()
            .get(self.time)
            .and_then(|column| column.as_primitive_opt::<Int64Type>())
            .ok_or_else(|| {
                ArrowError::SchemaError(format!("column {} is not a column of times", self.time))
            })?;
        self.next.push(Reverse((times.value(run.row), index)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::Arc};

    use arrow::{
        array::{Array, Int64Array},
        datatypes::{DataType, Field, Schema},
    };
    use proptest::prelude::*;

    use super::*;
    use crate::semantics::stated;

    fn batch(rows: &[(i64, i64)]) -> RecordBatch {
        let schema = Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("time", DataType::Int64, false),
        ]);
        let column = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as Arc<dyn Array>;
        let columns = vec![
            column(rows.iter().map(|row| row.1).collect()),
            column(rows.iter().map(|row| row.0).collect()),
        ];
        RecordBatch::try_new(Arc::new(schema), columns).unwrap()
    }

    fn rows(batch: &RecordBatch) -> Vec<(i64, i64)> {
        let column = |index| {
            batch
                .column(index)
                .as_primitive::<Int64Type>()
                .values()
                .to_vec()
        };
        column(1).into_iter().zip(column(0)).collect()
    }

    fn merge(runs: impl IntoIterator<Item = VecDeque<RecordBatch>>) -> Vec<RecordBatch> {
        let mut runs = runs.into_iter().collect::<Vec<_>>();
        let mut merge = MergeByTime::new(runs.len(), 1);
        let mut merged = Vec::new();
        loop {
            match merge.merge().unwrap() {
                Merged::Wants(run) => merge.give(run, runs[run].pop_front()).unwrap(),
                Merged::Batch(batch) => merged.push(batch),
                Merged::End => return merged,
            }
        }
    }

    proptest! {
        #[test]
        fn merging_is_a_stable_sort(
            runs in prop::collection::vec(prop::collection::vec(0_i64..20, 0..30), 0..6), cut in 1_usize..10,
        ) {
            stated(
                "With `sort_by_time` the rows of a partition are in the order of their times, to the microsecond, and rows of one time in the order in which they came.",
            );
            let mut id = 0;
            let runs = runs.iter().map(|run| {
                let mut rows = run.iter().map(|&time| { id += 1; (time, id) }).collect::<Vec<_>>();
                rows.sort_by_key(|row| row.0);
                rows
            }).collect::<Vec<_>>();
            let mut expected = runs.concat();
            expected.sort_by_key(|row| row.0);
            let inputs = runs.iter().map(|run| run.chunks(cut).map(batch).collect());
            prop_assert_eq!(merge(inputs).iter().flat_map(rows).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn batches_are_bounded() {
        let run = (0..3_i64).map(|part| {
            let rows = (0..6_000)
                .map(|row| (part * 6_000 + row, row))
                .collect::<Vec<_>>();
            batch(&rows)
        });
        let merged = merge([run.collect()]);
        let sizes = merged.iter().map(RecordBatch::num_rows).collect::<Vec<_>>();
        assert_eq!(sizes, [BATCH, BATCH, 18_000 - 2 * BATCH]);
    }

    #[test]
    fn a_batch_without_times_is_an_error() {
        let mut merge = MergeByTime::new(1, 2);
        assert_eq!(merge.merge().unwrap(), Merged::Wants(0));
        assert!(merge.give(0, Some(batch(&[(1, 1)]))).is_err());
    }
}

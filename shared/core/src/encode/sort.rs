//! Sorting the rows of a partition by time in bounded memory: runs that are sorted each are merged.

use std::{cmp::Reverse, collections::BinaryHeap};

use arrow::{
    array::{AsArray, RecordBatch},
    compute::interleave_record_batch,
    datatypes::Int64Type,
    error::ArrowError,
};

/// Rows in a batch that is given out.
const BATCH: usize = 8192;

/// Merges runs of batches, each sorted by one column, into batches sorted by it. Rows of one time stay in the order
/// of the runs, and within a run in their own.
///
/// At any moment it holds one batch of each run, and those that the batch being made takes rows from.
#[derive(Debug)]
pub struct MergeByTime<I> {
    time: usize,
    runs: Vec<Run<I>>,
    /// The time of the next row of each run that has one.
    next: BinaryHeap<Reverse<(i64, usize)>>,
    started: bool,
}

#[derive(Debug)]
struct Run<I> {
    rest: I,
    batch: Option<RecordBatch>,
    row: usize,
    /// Where the batch is among those that the batch being made takes rows from.
    slot: Option<usize>,
}

impl<I, E> MergeByTime<I>
where
    I: Iterator<Item = Result<RecordBatch, E>>,
    E: From<ArrowError>,
{
    /// Merges `runs` by the column `time`, of type `Int64` and without nulls.
    pub fn new(runs: impl IntoIterator<Item = I>, time: usize) -> Self {
        let runs = runs.into_iter().map(|rest| Run {
            rest,
            batch: None,
            row: 0,
            slot: None,
        });
        Self {
            time,
            runs: runs.collect(),
            next: BinaryHeap::new(),
            started: false,
        }
    }

    /// Lines the next row of a run up.
    fn line_up(&mut self, index: usize) -> Result<(), E> {
        let Some(run) = self.runs.get_mut(index) else {
            return Ok(());
        };
        while run
            .batch
            .as_ref()
            .is_none_or(|batch| run.row >= batch.num_rows())
        {
            run.batch = run.rest.next().transpose()?;
            (run.row, run.slot) = (0, None);
            if run.batch.is_none() {
                return Ok(());
            }
        }
        let times = run
            .batch
            .as_ref()
            .and_then(|batch| batch.columns().get(self.time))
            .and_then(|column| column.as_primitive_opt::<Int64Type>())
            .ok_or_else(|| {
                ArrowError::SchemaError(format!("column {} is no column of times", self.time))
            })?;
        self.next.push(Reverse((times.value(run.row), index)));
        Ok(())
    }

    fn merge(&mut self) -> Result<Option<RecordBatch>, E> {
        if !self.started {
            self.started = true;
            for index in 0..self.runs.len() {
                self.line_up(index)?;
            }
        }
        for run in &mut self.runs {
            run.slot = None;
        }
        let mut batches: Vec<RecordBatch> = Vec::new();
        let mut rows = Vec::with_capacity(BATCH);
        while rows.len() < BATCH
            && let Some(Reverse((_, index))) = self.next.pop()
        {
            if let Some(run) = self.runs.get_mut(index)
                && let Some(batch) = &run.batch
            {
                let slot = *run.slot.get_or_insert_with(|| {
                    batches.push(batch.clone());
                    batches.len() - 1
                });
                rows.push((slot, run.row));
                run.row += 1;
            }
            self.line_up(index)?;
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let batches = batches.iter().collect::<Vec<_>>();
        Ok(Some(interleave_record_batch(&batches, &rows)?))
    }
}

impl<I, E> Iterator for MergeByTime<I>
where
    I: Iterator<Item = Result<RecordBatch, E>>,
    E: From<ArrowError>,
{
    type Item = Result<RecordBatch, E>;

    fn next(&mut self) -> Option<Self::Item> {
        let merged = self.merge();
        if merged.is_err() {
            self.runs.clear();
            self.next.clear();
        }
        merged.transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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

    proptest! {
        #[test]
        fn merging_is_a_stable_sort(
            runs in prop::collection::vec(prop::collection::vec(0_i64..20, 0..30), 0..6), cut in 1_usize..10,
        ) {
            stated(
                "With `sort_by_time` the rows of a partition are in the order of their times, and rows of one time in the order in which they came.",
            );
            let mut id = 0;
            let runs = runs.iter().map(|run| {
                let mut rows = run.iter().map(|&time| { id += 1; (time, id) }).collect::<Vec<_>>();
                rows.sort_by_key(|row| row.0);
                rows
            }).collect::<Vec<_>>();
            let mut expected = runs.concat();
            expected.sort_by_key(|row| row.0);
            let inputs = runs.iter().map(|run| {
                run.chunks(cut).map(|rows| Ok::<_, ArrowError>(batch(rows))).collect::<Vec<_>>().into_iter()
            });
            let merged = MergeByTime::new(inputs, 1).collect::<Result<Vec<_>, _>>().unwrap();
            prop_assert_eq!(merged.iter().flat_map(rows).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn batches_are_bounded_and_errors_come_out_once() {
        let run = (0..3_i64).map(|part| {
            let rows = (0..6_000)
                .map(|row| (part * 6_000 + row, row))
                .collect::<Vec<_>>();
            Ok::<_, ArrowError>(batch(&rows))
        });
        let merged = MergeByTime::new([run], 1)
            .collect::<Result<Vec<_>, _>>()
            .unwrap();
        let sizes = merged.iter().map(RecordBatch::num_rows).collect::<Vec<_>>();
        assert_eq!(sizes, [BATCH, BATCH, 18_000 - 2 * BATCH]);

        let broken = [Ok(batch(&[(1, 1)])), Err(ArrowError::DivideByZero)];
        let mut merge = MergeByTime::new([broken.into_iter()], 1);
        assert!(matches!(merge.next(), Some(Err(ArrowError::DivideByZero))));
        assert!(merge.next().is_none());
    }
}

//! Divides the files into batches, and selects their rows.

use std::{ops::Range, sync::Arc};

use arrow::array::RecordBatch;
use bytes::Bytes;
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{
            ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
        },
    },
    errors::ParquetError,
    file::metadata::ParquetMetaDataBuilder,
};

use crate::{Input, MergeError, guard::guarded};

/// Rows that are decoded at a time.
pub(super) const BATCH_ROWS: usize = 8192;

/// Row groups of files that are read together.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) inputs: Vec<(usize, Input)>,
    /// The indices of its rows.
    pub(super) rows: Range<u32>,
}

impl Batch {
    /// An error of its rows.
    pub(super) fn corrupt(&self, what: String) -> MergeError {
        let names = [self.inputs.first(), self.inputs.last()];
        let names: Vec<_> = names
            .into_iter()
            .flatten()
            .map(|(_, input)| input.name.as_str())
            .collect();
        MergeError::Corrupt {
            input: names.join(" to "),
            column: "of any name".to_owned(),
            what,
        }
    }
}

/// Divides the row groups of the files, in order, into batches that fit into memory.
pub(super) fn batches(inputs: &[Input], memory: usize) -> Result<Vec<Batch>, MergeError> {
    let mut batches: Vec<Batch> = Vec::new();
    let (mut next, mut size) = (0_u32, usize::MAX);
    for (number, input) in inputs.iter().enumerate() {
        for group in input.metadata.row_groups() {
            let too_much = |what: String| MergeError::Sort { what, memory };
            let stored = usize::try_from(group.compressed_size()).unwrap_or(usize::MAX);
            if stored > memory / 4 {
                return Err(too_much(format!("the row groups of {}", input.name)));
            }
            let rows = u32::try_from(group.num_rows()).ok();
            let end = rows.and_then(|rows| next.checked_add(rows));
            let end = end.ok_or_else(|| too_much("that many rows".to_owned()))?;
            size = size.saturating_add(stored);
            if size > memory / 8 {
                size = stored;
                batches.push(Batch {
                    inputs: Vec::new(),
                    rows: next..next,
                });
            }
            let Some(batch) = batches.last_mut() else {
                continue;
            };
            batch.rows.end = end;
            next = end;
            match batch.inputs.last_mut() {
                Some((last, part)) if *last == number => {
                    let so_far = std::mem::replace(&mut part.metadata, Arc::clone(&input.metadata));
                    let so_far = Arc::unwrap_or_clone(so_far).into_builder();
                    part.metadata = Arc::new(so_far.add_row_group(group.clone()).build());
                }
                _ => {
                    let file = input.metadata.file_metadata().clone();
                    let part = ParquetMetaDataBuilder::new(file).add_row_group(group.clone());
                    batch.inputs.push((
                        number,
                        Input {
                            metadata: Arc::new(part.build()),
                            ..input.clone()
                        },
                    ));
                }
            }
        }
    }
    Ok(batches)
}

/// The sorted numbers that are within a range.
pub(super) fn within<'a>(numbers: &'a [u32], range: &Range<u32>) -> &'a [u32] {
    let start = numbers.partition_point(|number| *number < range.start);
    let end = numbers.partition_point(|number| *number < range.end);
    numbers.get(start..end).unwrap_or_default()
}

/// The rows with these indices, which are sorted and count from `first`.
pub(super) fn selection(numbers: &[u32], first: u32) -> RowSelection {
    let mut selectors: Vec<RowSelector> = Vec::new();
    let mut next = first;
    for number in numbers {
        match selectors.last_mut() {
            Some(last) if *number == next => last.row_count += 1,
            _ => {
                if *number > next {
                    selectors.push(RowSelector::skip((*number - next) as usize));
                }
                selectors.push(RowSelector::select(1));
            }
        }
        next = *number + 1;
    }
    RowSelection::from(selectors)
}

/// Decodes rows of a file that was merged in memory.
pub(super) fn decode(
    file: Bytes,
    leaves: Option<&[usize]>,
    selection: Option<RowSelection>,
    limit: usize,
) -> Result<Vec<RecordBatch>, String> {
    guarded(|| {
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let mut builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)?;
        if let Some(leaves) = leaves {
            let mask = ProjectionMask::leaves(builder.parquet_schema(), leaves.iter().copied());
            builder = builder.with_projection(mask);
        }
        if let Some(selection) = selection {
            builder = builder.with_row_selection(selection);
        }
        if limit < usize::MAX {
            builder = builder.with_limit(limit);
        }
        let reader = builder.with_batch_size(BATCH_ROWS).build()?;
        reader
            .map(|batch| batch.map_err(|error| ParquetError::ArrowError(error.to_string())))
            .collect()
    })
}

//! Rows of many partitions, kept separate until the whole object is read: in memory up to a limit, then in a temporary
//! file, and then in S3.
//!
//! It is an external sort by partition, and optionally by time. Rows that do not fit into memory become a run: blocks
//! of rows in partition order. A partition is read back from all runs and from memory. Partitions are read in the order
//! of their numbers, so that each run is read once from its start to its end.
//!
//! Each run keeps its last block while it is read. So there are at most [`MOST_RUNS`], whose blocks take half of the memory:
//! when there would be more, at least half of them are merged into one.

mod reader;
mod run;
mod staging;

use std::{path::PathBuf, sync::Arc};

use arrow::{
    array::{AsArray, RecordBatch, UInt32Array},
    compute::{concat_batches, interleave_record_batch, take_record_batch},
    datatypes::{Int64Type, SchemaRef},
    error::ArrowError,
};
use futures::{Stream, StreamExt, stream};
use lakewright_core::{encode::MergeByTime, location::Location};
use lakewright_ports::Store;
use serde::{Deserialize, Serialize};

pub(crate) use self::{reader::PartitionReader, run::StoredRun};
use self::{
    reader::{Cursor, Place},
    run::{MAX_WINDOW, Run, RunWriter},
    staging::Staging,
};
use crate::kit::{ErrorKind, JobError};

/// A row that belongs to no partition.
pub(crate) const NO_PARTITION: u32 = u32::MAX;

/// The approximate bytes of a block's rows, and its most rows.
const BLOCK: u64 = 512 << 10;
const LEAST_BLOCK: u64 = 16 << 10;
const BLOCK_ROWS: u64 = 8192;

/// The most runs. The first few take half of the memory for blocks. With 8 MiB of memory, all have more than
/// [`LEAST_BLOCK`].
const MOST_RUNS: usize = 128;
const FIRST_RUNS: usize = 16;

/// The approximate bytes of a run that is staged: it is in the temporary folder before it is moved to the store.
pub(crate) const STAGED: u64 = 64 << 20;

/// How many pieces of staged runs are read at once.
const STAGED_AT_ONCE: usize = 4;

/// The limits of a spool, and its locations.
pub(crate) struct Room {
    /// The approximate bytes of memory before rows go to the temporary file.
    pub(crate) memory: u64,
    /// A folder for the temporary file.
    pub(crate) folder: PathBuf,
    /// The most bytes of the temporary file, before runs go to the store.
    pub(crate) scratch: u64,
    /// The store for objects with runs.
    pub(crate) store: Arc<dyn Store>,
    /// The prefix of their keys.
    pub(crate) prefix: Location,
}

/// The rows of every partition, in their original order or sorted by time.
pub(crate) struct Spool {
    schema: SchemaRef,
    /// The column that the rows of a partition are sorted by.
    time: Option<usize>,
    room: Room,
    held: u64,
    chunks: Vec<Chunk>,
    runs: Vec<Run>,
}

/// Rows in memory, ordered by partition.
struct Chunk {
    batch: RecordBatch,
    spans: Vec<Span>,
}

/// Consecutive rows of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Span {
    pub(crate) partition: u32,
    /// The block of the run; 0 in memory.
    block: u32,
    start: u32,
    pub(crate) rows: u32,
}

/// The spans of one partition.
fn spans_of(spans: &[Span], partition: u32) -> &[Span] {
    let start = spans.partition_point(|span| span.partition < partition);
    let end = spans.partition_point(|span| span.partition <= partition);
    spans.get(start..end).unwrap_or_default()
}

impl Spool {
    /// Creates an empty spool of batches of `schema`. `time`: the column, of type `Int64`, by which the rows of a
    /// partition are sorted.
    pub(crate) fn new(schema: SchemaRef, time: Option<usize>, room: Room) -> Self {
        Self {
            schema,
            time,
            room,
            held: 0,
            chunks: Vec::new(),
            runs: Vec::new(),
        }
    }

    /// Adds the rows of `batch`; `partition_of` has each row's partition or [`NO_PARTITION`].
    pub(crate) fn push(
        &mut self,
        batch: &RecordBatch,
        partition_of: &[u32],
    ) -> Result<(), JobError> {
        let Some(&last) = partition_of.iter().filter(|&&id| id != NO_PARTITION).max() else {
            return Ok(());
        };
        let partitions = last as usize + 1;
        let (mut order, starts) = group(partition_of, partitions);
        let times = self.times(batch)?;
        let mut spans = Vec::new();
        for (partition, window) in (0..).zip(starts.windows(2)) {
            let [start, end] = *window else { continue };
            if start == end {
                continue;
            }
            if let (Some(times), Some(order)) = (times, order.get_mut(start..end)) {
                order.sort_by_key(|&row| times.get(row as usize));
            }
            spans.push(Span {
                partition,
                block: 0,
                start: index(start),
                rows: index(end - start),
            });
        }
        let batch = take_record_batch(batch, &UInt32Array::from(order))?;
        self.held += (batch.get_array_memory_size() + spans.capacity() * size_of::<Span>()) as u64;
        self.chunks.push(Chunk { batch, spans });
        Ok(())
    }

    /// The approximate bytes of the rows in memory.
    pub(crate) fn held(&self) -> u64 {
        self.held
    }

    /// Whether the rows in memory exceed the limit: call [`Spool::spill`] then.
    pub(crate) fn is_over(&self) -> bool {
        self.held > self.room.memory
    }

    /// Makes everything in memory a run, in the temporary file or, if that is full, in the store.
    pub(crate) async fn spill(&mut self) -> Result<(), JobError> {
        let scratch = self.scratch();
        // To compress costs more CPU than to write, so it waits until the temporary folder is half full.
        let compress = scratch + self.held > self.room.scratch / 2;
        let writer = RunWriter::new(&self.schema, &self.room.folder, compress)?;
        let run = self.write_run(writer)?;
        self.chunks.clear();
        self.held = 0;
        let run = if scratch + run.bytes() > self.room.scratch {
            run.into_object(Arc::clone(&self.room.store), &self.room.prefix)
                .await?
        } else {
            run
        };
        self.runs.push(run);
        if self.runs.len() >= MOST_RUNS {
            Box::pin(self.merge()).await?;
        }
        Ok(())
    }

    /// The bytes in the temporary folder.
    fn scratch(&self) -> u64 {
        self.runs.iter().map(Run::scratch).sum()
    }

    /// The approximate bytes of the blocks of the run with this index.
    fn block(&self, run: usize) -> u64 {
        let share = self.room.memory / 4;
        let share = if run < FIRST_RUNS {
            share / FIRST_RUNS as u64
        } else {
            share / (MOST_RUNS - FIRST_RUNS) as u64
        };
        share.clamp(LEAST_BLOCK, BLOCK)
    }

    /// Merges the newest runs into one: at least half of them, and all that were merged equally often. So a row is written
    /// again only once each time the number of runs has grown by that factor.
    async fn merge(&mut self) -> Result<(), JobError> {
        let (mut count, mut level) = (0, 0);
        let groups = self.runs.chunk_by(|a, b| a.level == b.level);
        for group in groups.rev() {
            if count >= MOST_RUNS / 2 {
                break;
            }
            count += group.len();
            level = group.first().map_or(level, |run| run.level);
        }
        let scratch = self.scratch();
        let runs = self.runs.split_off(self.runs.len().saturating_sub(count));
        let last = runs.iter().filter_map(|run| run.spans().last());
        let last = last.map(|span| span.partition).max();
        let mut staging = Staging::new(self, &self.room.prefix);
        staging.most = STAGED.min(self.room.memory);
        staging.block_most = self.block(self.runs.len());
        // The merged runs take room until the merge ends.
        staging.scratch = self.room.scratch.saturating_sub(scratch);
        for partition in 0..=last.unwrap_or_default() {
            let mut rows = self.reader(&runs, &[], partition);
            while let Some(batch) = rows.next().await? {
                staging.add(partition, batch).await?;
            }
        }
        let mut pieces = staging.end().await?.into_iter();
        for run in runs {
            run.discard().await;
        }
        if let Some(mut merged) = pieces.next() {
            pieces.for_each(|piece| merged.append(piece));
            merged.level = level + 1;
            self.runs.push(merged);
        }
        Ok(())
    }

    fn write_run(&self, mut writer: RunWriter) -> Result<Run, JobError> {
        let batches = self.chunks.iter().map(|chunk| &chunk.batch);
        let batches = batches.collect::<Vec<_>>();
        let times = batches
            .iter()
            .map(|batch| self.times(batch))
            .collect::<Result<Option<Vec<_>>, _>>()?;
        let rows: u64 = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        let block = self.block(self.runs.len());
        let block_rows = (block * rows / self.held.max(1)).clamp(1, BLOCK_ROWS);
        let block_rows = usize::try_from(block_rows).unwrap_or(1);
        let mut block = Vec::with_capacity(block_rows);
        let mut spans = self
            .chunks
            .iter()
            .map(|chunk| chunk.spans.iter().peekable())
            .collect::<Vec<_>>();
        let mut of_partition = Vec::new();
        while let Some(partition) = spans
            .iter_mut()
            .filter_map(|spans| spans.peek().map(|span| span.partition))
            .min()
        {
            of_partition.clear();
            for (chunk, spans) in spans.iter_mut().enumerate() {
                if let Some(span) = spans.next_if(|span| span.partition == partition) {
                    let rows = span.start..span.start + span.rows;
                    of_partition.extend(rows.map(|row| (chunk, row as usize)));
                }
            }
            if let Some(times) = &times {
                of_partition.sort_by_key(|&(chunk, row)| times.get(chunk)?.get(row));
            }
            let mut rest = &of_partition[..];
            while !rest.is_empty() {
                let room = block_rows - block.len();
                let (now, later) = rest.split_at(room.min(rest.len()));
                rest = later;
                writer.add_span(partition, index(block.len()), index(now.len()));
                block.extend_from_slice(now);
                if block.len() == block_rows {
                    writer.write_block(&gather(&batches, &block)?)?;
                    block.clear();
                }
            }
        }
        if !block.is_empty() {
            writer.write_block(&gather(&batches, &block)?)?;
        }
        Ok(writer.finish())
    }

    /// The times of a batch's rows, if they are sorted.
    fn times<'a>(&self, batch: &'a RecordBatch) -> Result<Option<&'a [i64]>, JobError> {
        let Some(time) = self.time else {
            return Ok(None);
        };
        let column = batch.columns().get(time);
        let times = column.and_then(|column| column.as_primitive_opt::<Int64Type>());
        match times {
            Some(times) => Ok(Some(times.values())),
            None => Err(JobError::new(
                ErrorKind::SchemaUnusable,
                format!("column {time} is not a time"),
            )),
        }
    }

    /// Stages the rows of these partitions in the store, in this order, for another invocation to read. The partitions
    /// are renumbered from 0. `prefix`: of the objects' keys; no other objects may have it.
    pub(crate) async fn stage(
        &self,
        prefix: &Location,
        order: &[usize],
    ) -> Result<Vec<StoredRun>, JobError> {
        let mut staging = Staging::new(self, prefix);
        for (number, &partition) in (0..).zip(order) {
            let mut rows = self.read(partition);
            while let Some(batch) = rows.next().await? {
                staging.add(number, batch).await?;
            }
        }
        let runs = staging.end().await?;
        Ok(runs.iter().filter_map(Run::describe).collect())
    }

    /// The rows of runs that were staged, block by block, each with the partitions of its rows: each run is read once.
    pub(crate) fn staged(
        &self,
        runs: Vec<StoredRun>,
    ) -> impl Stream<Item = Result<Vec<(RecordBatch, Vec<u32>)>, JobError>> + Send + 'static {
        let store = Arc::clone(&self.room.store);
        let bucket = self.room.prefix.bucket.clone();
        let window = (self.room.memory / 4 / STAGED_AT_ONCE as u64).min(MAX_WINDOW);
        let pieces = runs.into_iter().flat_map(move |run| run.pieces(window));
        let reads = pieces.map(move |piece| piece.rows(Arc::clone(&store), bucket.clone()));
        stream::iter(reads).buffered(STAGED_AT_ONCE)
    }

    /// Reads the rows of one partition.
    pub(crate) fn read(&self, partition: usize) -> PartitionReader<'_> {
        self.reader(&self.runs, &self.chunks, index(partition))
    }

    fn reader<'a>(
        &self,
        runs: &'a [Run],
        chunks: &'a [Chunk],
        partition: u32,
    ) -> PartitionReader<'a> {
        let chunks = chunks
            .iter()
            .map(|chunk| Place::Memory(&chunk.batch, &chunk.spans));
        let cursors = runs
            .iter()
            .map(Place::Run)
            .chain(chunks)
            .map(|place| Cursor {
                spans: match place {
                    Place::Run(run) => spans_of(run.spans(), partition),
                    Place::Memory(_, spans) => spans_of(spans, partition),
                },
                place,
            })
            .filter(|cursor| !cursor.spans.is_empty())
            .collect::<Vec<_>>();
        let objects = runs.iter().filter(|run| run.is_object()).count() as u64;
        PartitionReader {
            merge: self.time.map(|time| MergeByTime::new(cursors.len(), time)),
            cursors,
            next: 0,
            window: self.room.memory / 2 / objects.max(1),
        }
    }

    /// Deletes the runs in the store. If one cannot be deleted, the bucket's lifecycle rule removes it.
    pub(crate) async fn discard(&mut self) {
        self.chunks.clear();
        for run in self.runs.drain(..) {
            run.discard().await;
        }
    }
}

/// A position or a count in a batch; Arrow's offsets limit it to 2^31.
fn index(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// The rows of `batches` at these positions, each the index of a batch and of a row in it.
fn gather(batches: &[&RecordBatch], rows: &[(usize, usize)]) -> Result<RecordBatch, ArrowError> {
    /// To copy fewer consecutive rows than this at once is slower than to copy each alone.
    const CONSECUTIVE: usize = 8;
    let ranges = rows.chunk_by(|(batch, row), next| (*batch, row + 1) == *next);
    let slices = ranges.filter_map(|rows| {
        let &(batch, row) = rows.first()?;
        Some(batches.get(batch)?.slice(row, rows.len()))
    });
    let most = rows.len() / CONSECUTIVE;
    let slices = slices.take(most + 1).collect::<Vec<_>>();
    match slices.first() {
        Some(first) if slices.len() <= most => concat_batches(first.schema_ref(), &slices),
        _ => interleave_record_batch(batches, rows),
    }
}

/// The rows' indices ordered by partition, stable, and where each partition starts (with the end appended).
fn group(partition_of: &[u32], partitions: usize) -> (Vec<u32>, Vec<usize>) {
    let mut starts = vec![0; partitions + 1];
    for &id in partition_of {
        if let Some(count) = starts.get_mut((id as usize).saturating_add(1)) {
            *count += 1;
        }
    }
    for index in 1..starts.len() {
        starts[index] += starts[index - 1];
    }
    let mut next = starts.clone();
    let mut order = vec![0; starts[partitions]];
    for (row, &id) in (0u32..).zip(partition_of) {
        if id != NO_PARTITION {
            let slot = &mut next[id as usize];
            order[*slot] = row;
            *slot += 1;
        }
    }
    (order, starts)
}

#[cfg(test)]
mod tests;

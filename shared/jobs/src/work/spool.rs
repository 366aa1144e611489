//! Rows of many partitions, kept separate until the whole object is read: in memory up to a limit, then in a temporary
//! file, and then in S3.
//!
//! It is an external sort by partition, and optionally by time. Rows that do not fit into memory become a run: blocks
//! of rows in partition order. A partition is read back from all runs and from memory. Partitions are read in the order
//! of their numbers, so that each run is read once from its start to its end.

mod run;

use std::{fs::File, path::PathBuf, sync::Arc};

use arrow::{
    array::{AsArray, RecordBatch, UInt32Array},
    compute::{concat_batches, interleave_record_batch, take_record_batch},
    datatypes::{Int64Type, SchemaRef},
};
use lakewright_core::{
    encode::{MergeByTime, Merged},
    location::Location,
};
use serde::{Deserialize, Serialize};

pub(crate) use self::run::StoredRun;
use self::run::{Run, RunWriter};
use crate::{
    kit::{ErrorKind, JobError},
    ports::Store,
};

/// A row that belongs to no partition.
pub(crate) const NO_PARTITION: u32 = u32::MAX;

/// The approximate bytes of a block's rows, and its most rows. Each run keeps its last block while it is read, so the blocks of
/// later runs are smaller where there are many.
const BLOCK: u64 = 512 << 10;
const LEAST_BLOCK: u64 = 16 << 10;
const BLOCK_ROWS: u64 = 8192;

/// The approximate bytes of a run that is staged: it is in the temporary folder before it is moved to the store.
pub(crate) const STAGED: u64 = 64 << 20;

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
    scratch: Option<Arc<File>>,
    scratch_used: u64,
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
            scratch: None,
            scratch_used: 0,
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

    /// Whether the rows in memory exceed the limit: call [`Spool::spill`] then.
    pub(crate) fn is_over(&self) -> bool {
        self.held > self.room.memory
    }

    /// Makes everything in memory a run, in the temporary file or, if that is full, in the store.
    pub(crate) async fn spill(&mut self) -> Result<(), JobError> {
        let scratch = if let Some(file) = &self.scratch {
            Arc::clone(file)
        } else {
            let file = Arc::new(tempfile::tempfile_in(&self.room.folder)?);
            Arc::clone(self.scratch.insert(file))
        };
        // To compress costs more CPU than to write, so it waits until the temporary file is half full.
        let compress = self.scratch_used + self.held > self.room.scratch / 2;
        let writer = RunWriter::new(&self.schema, scratch, self.scratch_used, compress)?;
        let run = self.write_run(writer)?;
        self.chunks.clear();
        self.held = 0;
        let run = if self.scratch_used + run.bytes() > self.room.scratch {
            run.into_object(Arc::clone(&self.room.store), &self.room.prefix)
                .await?
        } else {
            self.scratch_used += run.bytes();
            run
        };
        self.runs.push(run);
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
        let share = self.room.memory / 2 / (self.runs.len() as u64 + 1);
        let block = share.clamp(LEAST_BLOCK, BLOCK);
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
                    writer.write_block(&interleave_record_batch(&batches, &block)?)?;
                    block.clear();
                }
            }
        }
        if !block.is_empty() {
            writer.write_block(&interleave_record_batch(&batches, &block)?)?;
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
        let mut staging = Staging {
            spool: self,
            prefix,
            writer: None,
            block: Vec::new(),
            block_rows: 0,
            block_bytes: 0,
            runs: Vec::new(),
        };
        for (number, &partition) in (0..).zip(order) {
            let mut rows = self.read(partition);
            while let Some(batch) = rows.next().await? {
                staging.add(number, batch).await?;
            }
        }
        staging.end().await?;
        Ok(staging.runs)
    }

    /// Adds a run that was staged. Its spans are of this spool's partitions, in the order of their numbers.
    pub(crate) fn add_stored(&mut self, run: StoredRun) {
        let store = Arc::clone(&self.room.store);
        self.runs
            .push(Run::stored(store, &self.room.prefix.bucket, run));
    }

    /// Reads the rows of one partition.
    pub(crate) fn read(&self, partition: usize) -> PartitionReader<'_> {
        let partition = index(partition);
        let runs = self.runs.iter().map(Place::Run);
        let chunks = self
            .chunks
            .iter()
            .map(|chunk| Place::Memory(&chunk.batch, &chunk.spans));
        let cursors = runs
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
        let objects = self.runs.iter().filter(|run| run.is_object()).count() as u64;
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

/// Writes rows to the store, block by block.
struct Staging<'a> {
    spool: &'a Spool,
    prefix: &'a Location,
    writer: Option<RunWriter>,
    block: Vec<RecordBatch>,
    block_rows: usize,
    block_bytes: usize,
    runs: Vec<StoredRun>,
}

impl Staging<'_> {
    async fn add(&mut self, partition: u32, batch: RecordBatch) -> Result<(), JobError> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            closed => {
                let file = Arc::new(tempfile::tempfile_in(&self.spool.room.folder)?);
                closed.insert(RunWriter::new(&self.spool.schema, file, 0, true)?)
            }
        };
        writer.add_span(partition, index(self.block_rows), index(batch.num_rows()));
        self.block_rows += batch.num_rows();
        // A slice counts for its share of the sliced batch.
        self.block_bytes += bytes_of(&batch);
        self.block.push(batch);
        if self.block_bytes as u64 >= BLOCK || self.block_rows as u64 >= BLOCK_ROWS {
            self.cut()?;
        }
        let staged = self.writer.as_ref().map_or(0, RunWriter::bytes);
        if staged >= STAGED {
            self.end().await?;
        }
        Ok(())
    }

    fn cut(&mut self) -> Result<(), JobError> {
        if let Some(writer) = &mut self.writer
            && self.block_rows > 0
        {
            writer.write_block(&concat_batches(&self.spool.schema, &self.block)?)?;
        }
        self.block.clear();
        (self.block_rows, self.block_bytes) = (0, 0);
        Ok(())
    }

    async fn end(&mut self) -> Result<(), JobError> {
        self.cut()?;
        if let Some(writer) = self.writer.take() {
            let store = Arc::clone(&self.spool.room.store);
            let run = writer.finish().into_object(store, self.prefix).await?;
            self.runs.extend(run.describe());
        }
        Ok(())
    }
}

/// The approximate bytes of a batch's rows.
fn bytes_of(batch: &RecordBatch) -> usize {
    let columns = batch.columns().iter();
    columns
        .map(|column| column.to_data().get_slice_memory_size().unwrap_or_default())
        .sum()
}

/// Reads the rows of one partition.
pub(crate) struct PartitionReader<'a> {
    cursors: Vec<Cursor<'a>>,
    merge: Option<MergeByTime>,
    /// The current cursor, if nothing is merged.
    next: usize,
    /// The number of bytes to read ahead in an object.
    window: u64,
}

struct Cursor<'a> {
    place: Place<'a>,
    spans: &'a [Span],
}

enum Place<'a> {
    Run(&'a Run),
    Memory(&'a RecordBatch, &'a [Span]),
}

impl Cursor<'_> {
    async fn next(&mut self, window: u64) -> Result<Option<RecordBatch>, JobError> {
        let Some((span, rest)) = self.spans.split_first() else {
            return Ok(None);
        };
        self.spans = rest;
        let (start, rows) = (span.start as usize, span.rows as usize);
        Ok(Some(match self.place {
            Place::Memory(batch, _) => batch.slice(start, rows),
            Place::Run(run) => {
                let block = run.block(span.block as usize, window).await?;
                if start + rows > block.num_rows() {
                    return Err(JobError::from(std::io::Error::from(
                        std::io::ErrorKind::InvalidData,
                    )));
                }
                block.slice(start, rows)
            }
        }))
    }
}

impl PartitionReader<'_> {
    /// The next rows.
    pub(crate) async fn next(&mut self) -> Result<Option<RecordBatch>, JobError> {
        let window = self.window;
        let Some(merge) = &mut self.merge else {
            while let Some(cursor) = self.cursors.get_mut(self.next) {
                if let Some(batch) = cursor.next(window).await? {
                    return Ok(Some(batch));
                }
                self.next += 1;
            }
            return Ok(None);
        };
        loop {
            match merge.merge()? {
                Merged::Batch(batch) => return Ok(Some(batch)),
                Merged::End => return Ok(None),
                Merged::Wants(run) => {
                    let batch = match self.cursors.get_mut(run) {
                        Some(cursor) => cursor.next(window).await?,
                        None => None,
                    };
                    merge.give(run, batch)?;
                }
            }
        }
    }
}

/// A position or a count in a batch; Arrow's offsets limit it to 2^31.
fn index(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
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

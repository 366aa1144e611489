//! Runs: blocks of rows in partition order, each a separate Arrow IPC stream, concatenated.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt, sync::Arc};

use arrow::{
    array::RecordBatch,
    buffer::Buffer,
    datatypes::SchemaRef,
    ipc::{
        CompressionType,
        reader::StreamDecoder,
        writer::{IpcWriteOptions, StreamWriter},
    },
};
use bytes::Bytes;
use lakewright_core::location::Location;
use lakewright_ports::{GetOptions, Store};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use twox_hash::xxhash3_128;

use super::{NO_PARTITION, Span};
use crate::{
    kit::{JobError, Stage},
    work::upload::{PART, Upload},
};

/// The most bytes that are read ahead in an object.
pub(super) const MAX_WINDOW: u64 = 4 << 20;

/// A readable run.
pub(super) struct Run {
    /// Where its blocks are, in order.
    places: Vec<Place>,
    blocks: Vec<Block>,
    spans: Vec<Span>,
    /// How often its rows were merged.
    pub(super) level: u32,
    last: Mutex<Last>,
}

struct Block {
    place: usize,
    range: Range<u64>,
}

enum Place {
    Scratch(File),
    Object(Arc<dyn Store>, Location),
}

/// The last block: partitions are read in order, so it is often needed again.
#[derive(Default)]
struct Last {
    block: Option<(usize, RecordBatch)>,
    window: Window,
}

/// Bytes of an object, and their range.
#[derive(Default)]
struct Window {
    place: usize,
    start: u64,
    bytes: Bytes,
}

/// The location of a run in the store, and its contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredRun {
    key: String,
    /// Where the first block starts.
    #[serde(default, skip_serializing_if = "is_zero")]
    start: u64,
    /// The end of each block.
    ends: Vec<u64>,
    /// The rows of partitions, in the order of their numbers.
    pub(crate) spans: Vec<Span>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(start: &u64) -> bool {
    *start == 0
}

impl StoredRun {
    /// The blocks of the rows of some partitions, which are numbered from 0 in it; `None` if it has no such row.
    pub(crate) fn part(&self, partitions: Range<u32>) -> Option<Self> {
        let before = |end: u32| self.spans.partition_point(|span| span.partition < end);
        let spans = self
            .spans
            .get(before(partitions.start)..before(partitions.end))?;
        let mut part = self.with_blocks_of(spans)?;
        for span in &mut part.spans {
            span.partition -= partitions.start;
        }
        Some(part)
    }

    /// The same run in pieces of about `bytes` bytes, each of whole blocks.
    pub(super) fn pieces(&self, bytes: u64) -> Vec<Self> {
        let start_of = |block: u32| match (block as usize).checked_sub(1) {
            Some(before) => self.ends.get(before).copied().unwrap_or(self.start),
            None => self.start,
        };
        let piece_of = |span: &Span| (start_of(span.block) - self.start) / bytes.max(1);
        let pieces = self.spans.chunk_by(|a, b| piece_of(a) == piece_of(b));
        pieces
            .filter_map(|spans| self.with_blocks_of(spans))
            .collect()
    }

    /// The blocks of some of its spans.
    fn with_blocks_of(&self, spans: &[Span]) -> Option<Self> {
        let (first, last) = (spans.first()?.block, spans.last()?.block);
        let ends = self.ends.get(first as usize..=last as usize)?;
        let start = match (first as usize).checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => self.start,
        };
        let renumbered = spans.iter().map(|span| Span {
            block: span.block - first,
            ..*span
        });
        Some(Self {
            key: self.key.clone(),
            start,
            ends: ends.to_vec(),
            spans: renumbered.collect(),
        })
    }

    /// Its rows, block by block, each with the partitions of its rows.
    pub(super) async fn rows(
        self,
        store: Arc<dyn Store>,
        bucket: String,
    ) -> Result<Vec<(RecordBatch, Vec<u32>)>, JobError> {
        let end = self.ends.last().copied().unwrap_or(self.start);
        let options = GetOptions {
            range: Some(self.start..end),
            ..GetOptions::default()
        };
        let object = Location::new(&bucket, &self.key);
        let body = store.get(&object, options).await;
        let body = body.map_err(|error| JobError::store(Stage::Spool, error))?;
        let window = Window {
            place: 0,
            start: self.start,
            bytes: body.bytes,
        };
        let mut rows = Vec::with_capacity(self.ends.len());
        let starts = std::iter::once(self.start).chain(self.ends.iter().copied());
        for (start, &end) in starts.zip(&self.ends) {
            let bytes = window.within(0, &(start..end)).ok_or_else(damaged)?;
            let batch = decoded(bytes)?;
            let of = vec![NO_PARTITION; batch.num_rows()];
            rows.push((batch, of));
        }
        for span in &self.spans {
            let (start, count) = (span.start as usize, span.rows as usize);
            let of = rows.get_mut(span.block as usize);
            let of = of.and_then(|(_, of)| of.get_mut(start..start + count));
            of.ok_or_else(damaged)?.fill(span.partition);
        }
        Ok(rows)
    }
}

impl Run {
    /// Adds the blocks of another one, whose partitions are the last of this one or later.
    pub(super) fn append(&mut self, other: Self) {
        let (place, block) = (self.places.len(), super::index(self.blocks.len()));
        self.places.extend(other.places);
        self.blocks
            .extend(other.blocks.into_iter().map(|block| Block {
                place: block.place + place,
                ..block
            }));
        self.spans.extend(other.spans.into_iter().map(|span| Span {
            block: span.block + block,
            ..span
        }));
    }

    /// The description of a run that is one object, for others to read it.
    pub(super) fn describe(&self) -> Option<StoredRun> {
        let [Place::Object(_, location)] = &self.places[..] else {
            return None;
        };
        Some(StoredRun {
            key: location.key.clone(),
            start: 0,
            ends: self.blocks.iter().map(|block| block.range.end).collect(),
            spans: self.spans.clone(),
        })
    }

    /// Its size in bytes.
    pub(super) fn bytes(&self) -> u64 {
        let blocks = self.blocks.iter();
        blocks
            .map(|block| block.range.end - block.range.start)
            .sum()
    }

    /// Its size in the temporary folder.
    pub(super) fn scratch(&self) -> u64 {
        let is_scratch = |place: &Place| matches!(place, Place::Scratch(_));
        let blocks = self.blocks.iter();
        let blocks = blocks.filter(|block| self.places.get(block.place).is_some_and(is_scratch));
        blocks
            .map(|block| block.range.end - block.range.start)
            .sum()
    }

    /// Its rows, by partition.
    pub(super) fn spans(&self) -> &[Span] {
        &self.spans
    }

    pub(super) fn is_object(&self) -> bool {
        let is_object = |place: &Place| matches!(place, Place::Object(..));
        self.places.iter().any(is_object)
    }

    /// The rows of a block. From an object, up to `window` bytes are read at once.
    pub(super) async fn block(&self, index: usize, window: u64) -> Result<RecordBatch, JobError> {
        let mut last = self.last.lock().await;
        if let Some((known, batch)) = &last.block
            && *known == index
        {
            return Ok(batch.clone());
        }
        let block = self.blocks.get(index).ok_or_else(damaged)?;
        let range = &block.range;
        let bytes = match self.places.get(block.place).ok_or_else(damaged)? {
            Place::Scratch(file) => Bytes::from(read(file, range)?),
            Place::Object(store, location) => {
                if let Some(bytes) = last.window.within(block.place, range) {
                    bytes
                } else {
                    let ahead = range.start + window.min(MAX_WINDOW);
                    let options = GetOptions {
                        range: Some(range.start..ahead.max(range.end)),
                        ..GetOptions::default()
                    };
                    let read = store.get(location, options).await;
                    let body = read.map_err(|error| JobError::store(Stage::Spool, error))?;
                    last.window = Window {
                        place: block.place,
                        start: range.start,
                        bytes: body.bytes,
                    };
                    let bytes = last.window.within(block.place, range);
                    bytes.ok_or_else(damaged)?
                }
            }
        };
        let batch = decoded(bytes)?;
        last.block = Some((index, batch.clone()));
        Ok(batch)
    }

    /// The bytes of memory that its last block takes.
    #[cfg(test)]
    pub(super) async fn held(&self) -> usize {
        let last = self.last.lock().await;
        let block = last.block.as_ref();
        block.map_or(0, |(_, batch)| batch.get_array_memory_size()) + last.window.bytes.len()
    }

    /// Moves the run from the temporary file to the store, under a name derived from its bytes: spooling the same rows
    /// again makes the same object.
    pub(super) async fn into_object(
        self,
        store: Arc<dyn Store>,
        prefix: &Location,
    ) -> Result<Self, JobError> {
        let [Place::Scratch(file)] = &self.places[..] else {
            return Ok(self);
        };
        let whole = 0..self.bytes();
        let mut hasher = xxhash3_128::Hasher::new();
        for part in parts(&whole) {
            hasher.write(&read(file, &part)?);
        }
        let location = prefix.join(&format!("{:032x}.arrow", hasher.finish_128()));
        let put = |error| JobError::store(Stage::Spool, error);
        let mut upload = Upload::new(
            Arc::clone(&store),
            location.clone(),
            "application/vnd.apache.arrow.stream",
        );
        for part in parts(&whole) {
            let bytes = read(file, &part)?;
            if part.end == whole.end {
                upload.finish(bytes).await.map_err(put)?;
                break;
            }
            upload.part(bytes).await.map_err(put)?;
        }
        Ok(Self {
            places: vec![Place::Object(store, location)],
            ..self
        })
    }

    /// Deletes the run, also from the store.
    pub(super) async fn discard(self) {
        for place in &self.places {
            let Place::Object(store, location) = place else {
                continue;
            };
            let keys = [location.key.clone().into()];
            let failed = match store.delete(&location.bucket, &keys).await {
                Ok(failures) => failures.into_iter().next().map(|failure| failure.message),
                Err(error) => Some(error.to_string()),
            };
            if let Some(error) = failed {
                tracing::warn!(%location, error, "spooled rows are left to the lifecycle rule");
            }
        }
    }
}

/// The parts in which a range is uploaded.
fn parts(range: &Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let end = range.end;
    let starts = range.clone().step_by(PART);
    starts.map(move |start| start..end.min(start + PART as u64))
}

/// The bytes of a file in a range.
fn read(file: &File, range: &Range<u64>) -> Result<Vec<u8>, JobError> {
    let mut bytes = vec![0; length(range)];
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(bytes)
}

fn length(range: &Range<u64>) -> usize {
    usize::try_from(range.end - range.start).unwrap_or(usize::MAX)
}

impl Window {
    fn within(&self, place: usize, range: &Range<u64>) -> Option<Bytes> {
        let from = usize::try_from(range.start.checked_sub(self.start)?).ok()?;
        let to = from + length(range);
        let is_here = place == self.place && to <= self.bytes.len();
        is_here.then(|| self.bytes.slice(from..to))
    }
}

/// The rows of a block, which borrow its bytes.
fn decoded(bytes: Bytes) -> Result<RecordBatch, JobError> {
    let decoded = StreamDecoder::new().decode(&mut Buffer::from(bytes))?;
    decoded.ok_or_else(damaged)
}

/// The run does not have the content that it was written with.
fn damaged() -> JobError {
    JobError::from(io::Error::from(io::ErrorKind::InvalidData))
}

/// Writes a run to a temporary file.
pub(super) struct RunWriter {
    schema: SchemaRef,
    options: IpcWriteOptions,
    file: File,
    ends: Vec<u64>,
    spans: Vec<Span>,
    buffer: Vec<u8>,
}

impl RunWriter {
    /// Starts a run in a temporary file, which is deleted with its last handle.
    pub(super) fn new(
        schema: &SchemaRef,
        folder: &std::path::Path,
        compress: bool,
    ) -> Result<Self, JobError> {
        let options = IpcWriteOptions::default();
        let compression = compress.then_some(CompressionType::LZ4_FRAME);
        Ok(Self {
            schema: Arc::clone(schema),
            options: options.try_with_compression(compression)?,
            file: tempfile::tempfile_in(folder)?,
            ends: Vec::new(),
            spans: Vec::new(),
            buffer: Vec::new(),
        })
    }

    /// Declares which rows of the next block belong to a partition.
    pub(super) fn add_span(&mut self, partition: u32, start: u32, rows: u32) {
        self.spans.push(Span {
            partition,
            block: super::index(self.ends.len()),
            start,
            rows,
        });
    }

    /// Writes the next block.
    pub(super) fn write_block(&mut self, batch: &RecordBatch) -> Result<(), JobError> {
        self.buffer.clear();
        let mut writer = StreamWriter::try_new_with_options(
            &mut self.buffer,
            &self.schema,
            self.options.clone(),
        )?;
        writer.write(batch)?;
        writer.finish()?;
        drop(writer);
        let start = self.bytes();
        self.file.write_all_at(&self.buffer, start)?;
        self.ends.push(start + self.buffer.len() as u64);
        Ok(())
    }

    /// Its size so far.
    pub(super) fn bytes(&self) -> u64 {
        self.ends.last().copied().unwrap_or_default()
    }

    /// Returns the run for reading.
    pub(super) fn finish(self) -> Run {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let ranges = starts.zip(&self.ends).map(|(start, &end)| start..end);
        Run {
            blocks: ranges.map(|range| Block { place: 0, range }).collect(),
            places: vec![Place::Scratch(self.file)],
            spans: self.spans,
            level: 0,
            last: Mutex::default(),
        }
    }
}

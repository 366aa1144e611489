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
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use twox_hash::xxhash3_128;

use super::Span;
use crate::{
    kit::{JobError, Stage},
    ports::{GetOptions, Store},
    work::upload::{PART, Upload},
};

/// The most bytes that are read ahead in an object.
const MAX_WINDOW: u64 = 4 << 20;

/// A readable run.
pub(super) struct Run {
    place: Place,
    blocks: Vec<Range<u64>>,
    spans: Vec<Span>,
    last: Mutex<Last>,
}

enum Place {
    /// From this offset on.
    Scratch(Arc<File>, u64),
    Object(Arc<dyn Store>, Location),
}

/// The last block: partitions are read in order, so it is often needed again.
#[derive(Default)]
struct Last {
    block: Option<(usize, RecordBatch)>,
    /// Bytes of an object, and their offset.
    window: (u64, Bytes),
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
        let (first, last) = (spans.first()?.block, spans.last()?.block);
        let ends = self.ends.get(first as usize..=last as usize)?;
        let before = (first as usize).checked_sub(1);
        let renumbered = spans.iter().map(|span| Span {
            partition: span.partition - partitions.start,
            block: span.block - first,
            ..*span
        });
        Some(Self {
            key: self.key.clone(),
            start: before
                .map_or(Some(&self.start), |before| self.ends.get(before))
                .copied()?,
            ends: ends.to_vec(),
            spans: renumbered.collect(),
        })
    }
}

impl Run {
    /// A run in the store.
    pub(super) fn stored(store: Arc<dyn Store>, bucket: &str, stored: StoredRun) -> Self {
        let starts = std::iter::once(stored.start).chain(stored.ends.iter().copied());
        Self {
            place: Place::Object(store, Location::new(bucket, stored.key)),
            blocks: starts
                .zip(&stored.ends)
                .map(|(start, &end)| start..end)
                .collect(),
            spans: stored.spans,
            last: Mutex::default(),
        }
    }

    /// The description from which the run can be opened again; `None` for one in the temporary file.
    pub(super) fn describe(&self) -> Option<StoredRun> {
        let Place::Object(_, location) = &self.place else {
            return None;
        };
        Some(StoredRun {
            key: location.key.clone(),
            start: self.blocks.first().map_or(0, |block| block.start),
            ends: self.blocks.iter().map(|block| block.end).collect(),
            spans: self.spans.clone(),
        })
    }

    /// Its size in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.blocks.last().map_or(0, |block| block.end)
    }

    /// Its rows, by partition.
    pub(super) fn spans(&self) -> &[Span] {
        &self.spans
    }

    pub(super) fn is_object(&self) -> bool {
        matches!(self.place, Place::Object(..))
    }

    /// The rows of a block. From an object, up to `window` bytes are read at once.
    pub(super) async fn block(&self, index: usize, window: u64) -> Result<RecordBatch, JobError> {
        let mut last = self.last.lock().await;
        if let Some((known, batch)) = &last.block
            && *known == index
        {
            return Ok(batch.clone());
        }
        let range = self.blocks.get(index).cloned().ok_or_else(damaged)?;
        let bytes = match &self.place {
            Place::Scratch(file, base) => {
                Bytes::from(read(file, &(base + range.start..base + range.end))?)
            }
            Place::Object(store, location) => {
                if let Some(bytes) = within(&last.window, &range) {
                    bytes
                } else {
                    let ahead = range.start + window.min(MAX_WINDOW);
                    let options = GetOptions {
                        range: Some(range.start..ahead.max(range.end)),
                        ..GetOptions::default()
                    };
                    let read = store.get(location, options).await;
                    let body = read.map_err(|error| JobError::store(Stage::Spool, error))?;
                    last.window = (range.start, body.bytes);
                    within(&last.window, &range).ok_or_else(damaged)?
                }
            }
        };
        // The batch borrows the bytes.
        let decoded = StreamDecoder::new().decode(&mut Buffer::from(bytes))?;
        let batch = decoded.ok_or_else(damaged)?;
        last.block = Some((index, batch.clone()));
        Ok(batch)
    }

    /// Moves the run from the temporary file to the store, under a name derived from its bytes: spooling the same rows
    /// again makes the same object.
    pub(super) async fn into_object(
        self,
        store: Arc<dyn Store>,
        prefix: &Location,
    ) -> Result<Self, JobError> {
        let Place::Scratch(file, base) = &self.place else {
            return Ok(self);
        };
        let whole = *base..base + self.bytes();
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
            place: Place::Object(store, location),
            ..self
        })
    }

    /// Deletes the run from the store.
    pub(super) async fn discard(self) {
        let Place::Object(store, location) = &self.place else {
            return;
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

fn within((start, bytes): &(u64, Bytes), range: &Range<u64>) -> Option<Bytes> {
    let from = usize::try_from(range.start.checked_sub(*start)?).ok()?;
    let to = from + length(range);
    (to <= bytes.len()).then(|| bytes.slice(from..to))
}

/// The run does not have the content that it was written with.
fn damaged() -> JobError {
    JobError::from(io::Error::from(io::ErrorKind::InvalidData))
}

/// Writes a run to the temporary file.
pub(super) struct RunWriter {
    schema: SchemaRef,
    options: IpcWriteOptions,
    file: Arc<File>,
    base: u64,
    blocks: Vec<Range<u64>>,
    spans: Vec<Span>,
    buffer: Vec<u8>,
}

impl RunWriter {
    /// Starts a run at the offset `base` of the file.
    pub(super) fn new(
        schema: &SchemaRef,
        file: Arc<File>,
        base: u64,
        compress: bool,
    ) -> Result<Self, JobError> {
        let options = IpcWriteOptions::default();
        let compression = compress.then_some(CompressionType::LZ4_FRAME);
        Ok(Self {
            schema: Arc::clone(schema),
            options: options.try_with_compression(compression)?,
            file,
            base,
            blocks: Vec::new(),
            spans: Vec::new(),
            buffer: Vec::new(),
        })
    }

    /// Declares which rows of the next block belong to a partition.
    pub(super) fn add_span(&mut self, partition: u32, start: u32, rows: u32) {
        self.spans.push(Span {
            partition,
            block: super::index(self.blocks.len()),
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
        let start = self.blocks.last().map_or(0, |block| block.end);
        self.file.write_all_at(&self.buffer, self.base + start)?;
        self.blocks.push(start..start + self.buffer.len() as u64);
        Ok(())
    }

    /// Its size so far.
    pub(super) fn bytes(&self) -> u64 {
        self.blocks.last().map_or(0, |block| block.end)
    }

    /// Returns the run for reading.
    pub(super) fn finish(self) -> Run {
        Run {
            place: Place::Scratch(self.file, self.base),
            blocks: self.blocks,
            spans: self.spans,
            last: Mutex::default(),
        }
    }
}

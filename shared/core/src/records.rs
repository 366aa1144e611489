//! The trait that every text format implements: bytes go in, from front to back and in chunks of any size, and records
//! come out, which fill columns. [`Reading::records`](crate::reading::Reading::records) is where the formats are
//! registered.
//!
//! One loop works for all of them:
//!
//! ```text
//! loop {
//!     match next_chunk() {                 // bytes of the object, decompressed
//!         Some(chunk) => records.push(chunk),
//!         None => records.finish(),
//!     }
//!     while let Some(filled) = records.next_into(&mut columns)? { ... }
//!     if it was finished { break }
//! }
//! ```
//!
//! Parquet and ORC do not implement it: their footer is at the end of the object, so they are read by ranges, through
//! [`ParquetFile`](crate::parquet_in::ParquetFile) and [`OrcFile`](crate::orc::OrcFile). Nor does
//! Avro, whose records are decoded into batches with types of their own: [`AvroFile`](crate::avro::AvroFile) takes the same chunks.

use std::fmt::Debug;

use thiserror::Error;

use crate::{
    chunk::Chunk,
    content::{Head, NotText},
    csv::Broken,
    json::{Appended, Columns, InferError, Inference, RecordError},
};

/// Finds records in bytes that are pushed in chunks of any size. The records do not depend on the chunks.
///
/// Buffers the bytes that are not framed yet: at most the longest record and one chunk.
pub trait Records: Debug + Send {
    /// Takes the next bytes of the stream. Before the next push, call [`next_into`](Self::next_into) or
    /// [`infer`](Self::infer) until it returns `None`.
    ///
    /// It may take over the chunk's buffer instead of copying it: the content of the chunk is unspecified afterwards.
    fn push(&mut self, chunk: &mut Chunk);

    /// Marks the end of the stream: the remaining bytes are the last record, or a truncated one.
    fn finish(&mut self);

    /// Appends the next record to `columns`, which must be the same at each call. `None` if it needs more bytes or,
    /// after [`finish`](Self::finish), if there are no more. After [`RecordError::Full`], the same record is the next
    /// one again.
    ///
    /// # Errors
    /// [`FrameError`], and then the same at each call.
    fn next_into(&mut self, columns: &mut Columns) -> Result<Option<Filled<'_>>, FrameError>;

    /// Finds the columns of the records so far, if no table defines them. `Some`: the columns are strings with these
    /// names, whatever follows; a field with an empty name has no column. `None`: every record was added to
    /// `inference`, unless it is broken.
    ///
    /// # Errors
    /// As [`next_into`](Self::next_into), and records without common columns.
    fn infer(&mut self, inference: &mut Inference) -> Result<Option<Vec<String>>, ColumnsError>;

    /// How many control messages, which are not records, were skipped so far.
    fn controls(&self) -> u64 {
        0
    }
}

/// A record, and the result of appending it.
#[derive(Debug)]
pub struct Filled<'a> {
    /// Its start, in bytes of the decompressed stream.
    pub offset: u64,
    /// Its bytes, without the line ending, or the bytes of the broken stretch in place of a record.
    pub bytes: &'a [u8],
    /// What was appended, or why nothing was.
    pub result: Result<Appended<'a>, Box<RecordError>>,
}

/// Why no more records can be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FrameError {
    /// A record, or a broken stretch, is longer than the limit.
    #[error("the record at byte {offset} is longer than {limit} bytes")]
    RecordTooLong {
        /// Its start, in bytes of the decompressed stream.
        offset: u64,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The object is not text.
    #[error(transparent)]
    NotText(#[from] NotText),
    /// The CSV header, which names the columns, is broken.
    #[error("the header at byte {offset}: {broken}")]
    Header {
        /// Its start, in bytes of the decompressed stream.
        offset: u64,
        /// The error.
        broken: Broken,
    },
    /// The regular expression for lines is invalid.
    #[error("regex.pattern: {0}")]
    Pattern(String),
    /// Two columns have the same name except for case.
    #[error(
        "the columns `{first}` and `{second}` differ only in upper and lower case, or not at all"
    )]
    NameCollision {
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
}

impl FrameError {
    /// The same error for an object that was read from the offset `begin` on.
    #[must_use]
    pub fn after(mut self, begin: u64) -> Self {
        if let Self::RecordTooLong { offset, .. } | Self::Header { offset, .. } = &mut self {
            *offset += begin;
        }
        self
    }
}

/// Why the columns of records cannot be found.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ColumnsError {
    /// The records cannot be read.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// They have no common columns.
    #[error(transparent)]
    Infer(#[from] InferError),
}

/// A reader of a whole object, which looks at its first bytes before it returns a record.
#[derive(Debug)]
pub(crate) struct OfText {
    records: Box<dyn Records>,
    head: Head,
    fault: Option<NotText>,
}

impl OfText {
    pub(crate) fn new(records: Box<dyn Records>) -> Self {
        Self {
            records,
            head: Head::default(),
            fault: None,
        }
    }

    /// Whether the first bytes have been examined.
    fn is_looked_at(&self) -> Result<bool, NotText> {
        self.fault.map_or(Ok(self.head.is_done()), Err)
    }
}

impl Records for OfText {
    fn controls(&self) -> u64 {
        self.records.controls()
    }

    fn push(&mut self, chunk: &mut Chunk) {
        self.fault = self.fault.or(self.head.push(Some(chunk.bytes())).err());
        self.records.push(chunk);
    }

    fn finish(&mut self) {
        self.fault = self.fault.or(self.head.push(None).err());
        self.records.finish();
    }

    fn next_into(&mut self, columns: &mut Columns) -> Result<Option<Filled<'_>>, FrameError> {
        if self.is_looked_at()? {
            self.records.next_into(columns)
        } else {
            Ok(None)
        }
    }

    fn infer(&mut self, inference: &mut Inference) -> Result<Option<Vec<String>>, ColumnsError> {
        if self.is_looked_at().map_err(FrameError::from)? {
            self.records.infer(inference)
        } else {
            Ok(None)
        }
    }
}

/// The bytes of a stream that are not framed yet.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// The bytes that were pushed and are still needed.
    pub(crate) bytes: Vec<u8>,
    /// The start of the unframed part in `bytes`.
    pub(crate) at: usize,
    /// The offset of `bytes` in the stream. It wraps below zero if there is free space before the stream's first byte.
    start: u64,
    /// Whether the stream has ended.
    pub(crate) ended: bool,
}

impl Window {
    /// Takes the next bytes and, if possible, their buffer. `needed` bytes before `at` are kept.
    pub(crate) fn push(&mut self, needed: usize, chunk: &mut Chunk) {
        let from = self.at.saturating_sub(needed);
        let start = self.offset(from);
        if let Some(at) = chunk.exchange(&mut self.bytes, from) {
            self.at = at + self.at - from;
            self.start = start.wrapping_sub(at as u64);
        } else {
            self.extend(needed, chunk.bytes());
        }
    }

    /// Copies the next bytes. `needed` bytes before `at` are kept. Returns how many bytes were dropped from the front.
    pub(crate) fn extend(&mut self, needed: usize, bytes: &[u8]) -> usize {
        let mut dropped = self.at.saturating_sub(needed);
        if dropped > self.bytes.len() / 2 {
            self.at -= dropped;
            self.bytes.drain(..dropped);
            self.start = self.start.wrapping_add(dropped as u64);
        } else {
            dropped = 0;
        }
        self.bytes.extend_from_slice(bytes);
        dropped
    }

    /// The offset in the stream of a position in `bytes`.
    pub(crate) fn offset(&self, place: usize) -> u64 {
        self.start.wrapping_add(place as u64)
    }

    /// The position in `bytes` of an offset in the stream.
    pub(crate) fn place(&self, offset: u64) -> usize {
        usize::try_from(offset.wrapping_sub(self.start)).unwrap_or(usize::MAX)
    }

    /// Makes room for `room` bytes before `at`, which are not part of the stream.
    pub(crate) fn make_room(&mut self, room: usize) {
        let missing = room.saturating_sub(self.at);
        self.bytes.splice(..0, std::iter::repeat_n(0, missing));
        self.at += missing;
        self.start = self.start.wrapping_sub(missing as u64);
    }

    /// The bytes between two positions; empty if they are out of range.
    pub(crate) fn between(&self, start: usize, end: usize) -> &[u8] {
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// Skips a byte order mark at the start of the stream. Returns false if there are not enough bytes to tell.
    pub(crate) fn pass_byte_order_mark(&mut self) -> bool {
        const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
        let rest = self.rest();
        if rest.starts_with(BYTE_ORDER_MARK) {
            self.at += BYTE_ORDER_MARK.len();
        } else if !self.ended && BYTE_ORDER_MARK.starts_with(rest) {
            return false;
        }
        true
    }

    /// The error for the record at `at`, which is longer than `limit` bytes.
    pub(crate) fn too_long(&self, limit: usize) -> FrameError {
        FrameError::RecordTooLong {
            offset: self.offset(self.at),
            limit,
        }
    }

    /// The bytes that are not framed yet.
    pub(crate) fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }
}

//! What every format of text is: bytes go in, from front to back and in chunks of any size, and records come out, which
//! fill columns. [`Reading::records`](crate::reading::Reading::records) is where the formats are registered.
//!
//! One loop serves them all:
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
//! Parquet is not one of them. Its footer is at the end of the object, and a row group may be larger than the memory, so it is
//! read by ranges, row group by row group, through [`ParquetFile`](crate::parquet_in::ParquetFile).

use std::fmt::Debug;

use thiserror::Error;

use crate::{
    csv::Broken,
    json::{Appended, Columns, InferError, Inference, RecordError},
};

/// Finds records in bytes that are pushed in chunks of any size. The records do not depend on the chunks.
///
/// It holds the bytes that are not framed yet: at most the longest record and one chunk.
pub trait Records: Debug + Send {
    /// Takes the next bytes of the stream. Call [`next_into`](Self::next_into) or [`infer`](Self::infer) until it gives `None`
    /// before the next push.
    fn push(&mut self, bytes: &[u8]);

    /// Says that the stream has ended: what is left is the last record, or is truncated.
    fn finish(&mut self);

    /// The next record, appended to `columns`, which are the same at each call. `None`: there is none before more bytes come,
    /// or, after [`finish`](Self::finish), none any more. A record for which the columns are [`RecordError::Full`] is the next
    /// one again.
    ///
    /// # Errors
    /// [`FrameError`], and from then on at each call.
    fn next_into(&mut self, columns: &mut Columns) -> Result<Option<Filled<'_>>, FrameError>;

    /// Looks at the records so far for the columns that they have, when no table gives them. `Some`: the columns are strings
    /// with these names, whatever follows; an empty name is that of no column. `None`: every record counts, and was added to
    /// `inference`, unless it is broken.
    ///
    /// # Errors
    /// As [`next_into`](Self::next_into), and records that have no common columns.
    fn infer(&mut self, inference: &mut Inference) -> Result<Option<Vec<String>>, ColumnsError>;
}

/// A record that has been appended to columns, or not.
#[derive(Debug)]
pub struct Filled<'a> {
    /// Where it starts, in bytes of the decompressed stream.
    pub offset: u64,
    /// Its bytes, without the end of the line; or those of the broken stretch that stands where a record should.
    pub bytes: &'a [u8],
    /// What was appended, or why nothing was.
    pub result: Result<Appended<'a>, RecordError>,
}

/// Why no more records can be found.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FrameError {
    /// A record, or a broken stretch, is longer than the limit.
    #[error("the record at byte {offset} is longer than {limit} bytes")]
    RecordTooLong {
        /// Where it starts, in bytes of the decompressed stream.
        offset: u64,
        /// The longest that is taken, in bytes.
        limit: usize,
    },
    /// The first record of CSV, which is to name the columns, is broken.
    #[error("the header at byte {offset}: {broken}")]
    Header {
        /// Where it starts, in bytes of the decompressed stream.
        offset: u64,
        /// What is wrong with it.
        broken: Broken,
    },
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

/// Why records have no columns.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ColumnsError {
    /// The records cannot be found.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// They have no common columns.
    #[error(transparent)]
    Infer(#[from] InferError),
}

/// The bytes of a stream that are not framed yet.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// What was pushed and is still held.
    pub(crate) bytes: Vec<u8>,
    /// Where in `bytes` the part begins that is not framed yet.
    pub(crate) at: usize,
    /// Where in the stream `bytes` begins.
    start: u64,
    /// Whether the stream has ended.
    pub(crate) ended: bool,
}

impl Window {
    /// Takes the next bytes. Returns how many bytes were dropped from the front of those that are held.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> usize {
        let mut dropped = 0;
        if self.at > self.bytes.len() / 2 {
            dropped = std::mem::take(&mut self.at);
            self.bytes.drain(..dropped);
            self.start += dropped as u64;
        }
        self.bytes.extend_from_slice(bytes);
        dropped
    }

    /// Where in the stream a place in `bytes` is.
    pub(crate) fn offset(&self, place: usize) -> u64 {
        self.start + place as u64
    }

    /// The bytes between two places; none where they lie outside.
    pub(crate) fn between(&self, start: usize, end: usize) -> &[u8] {
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// Passes a byte order mark at the very start. False: not enough bytes have come to tell whether there is one.
    pub(crate) fn pass_byte_order_mark(&mut self) -> bool {
        const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
        if self.bytes.starts_with(BYTE_ORDER_MARK) {
            self.at = BYTE_ORDER_MARK.len();
        } else if !self.ended && BYTE_ORDER_MARK.starts_with(&self.bytes) {
            return false;
        }
        true
    }

    /// The record at `at` is longer than `limit` bytes.
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

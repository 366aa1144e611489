//! Decompresses an object while it is being read.

use bytes::{Buf, Bytes};
use lakewright_core::{
    chunk::Chunk,
    compression::{DecompressError, Layers, Status},
};

use super::source::SourceReader;
use crate::kit::JobError;

/// Why there are no more decompressed bytes.
pub(crate) enum PlainError {
    /// The object was not read.
    Read(JobError),
    /// It cannot be decompressed.
    Corrupt(DecompressError),
}

/// The decompressed bytes of an object, in order.
pub(crate) struct PlainReader {
    reader: SourceReader,
    decompressor: Layers,
    chunk: Bytes,
    has_output: bool,
}

impl PlainReader {
    /// Refuses an object with more than `max_ratio` decompressed bytes for each of its bytes.
    pub(crate) fn new(reader: SourceReader, max_ratio: u32) -> Self {
        Self {
            reader,
            decompressor: Layers::new(max_ratio),
            chunk: Bytes::new(),
            has_output: false,
        }
    }

    /// Whether the next bytes come from the store, and not from those that were read before.
    pub(crate) fn needs_input(&self) -> bool {
        !self.has_output
    }

    /// Decompresses the next bytes, a bounded number of them, for [`plain`](Self::plain). Returns false if these are the
    /// last: do not call it again then.
    pub(crate) async fn advance(&mut self) -> Result<bool, PlainError> {
        self.decompressor.output().clear();
        loop {
            if !self.has_output {
                let chunk = self.reader.next().await.map_err(PlainError::Read)?;
                let Some(chunk) = chunk else {
                    let finished = self.decompressor.finish();
                    return finished.map(|()| false).map_err(PlainError::Corrupt);
                };
                self.chunk = chunk;
            }
            let mut input = &self.chunk[..];
            let status = self.decompressor.push(&mut input);
            let status = status.map_err(PlainError::Corrupt)?;
            let used = self.chunk.len() - input.len();
            self.chunk.advance(used);
            self.has_output = status == Status::HasOutput;
            // Without output, let the caller check the deadline.
            if self.has_output || self.plain().bytes().is_empty() {
                return Ok(true);
            }
        }
    }

    /// What the last [`advance`](Self::advance) has decompressed.
    pub(crate) fn plain(&mut self) -> &mut Chunk {
        self.decompressor.output()
    }
}

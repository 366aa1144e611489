//! The chunks in which streams and footers are compressed. <https://orc.apache.org/specification/ORCv1/#compression>

use crate::compression::{BlockCodec, BlockError, decompress_block};

/// The bytes of a chunk's header: its length, and in the lowest bit whether it is not compressed.
const HEADER: usize = 3;

/// The most bytes of a chunk that is not compressed.
const PLAIN: usize = 1 << 22;

/// How a file is compressed.
#[derive(Debug)]
pub(super) struct Chunks {
    /// Without one, there are no chunks.
    pub(super) codec: Option<BlockCodec>,
    /// The most bytes that come out of a chunk.
    pub(super) largest: usize,
}

/// Why chunks cannot be decompressed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ChunksError {
    /// More bytes come out of them than there is room for.
    TooLong,
    /// The bytes are invalid.
    Corrupt(String),
}

impl Chunks {
    /// What comes out of the chunks, if it is not more than `room`.
    pub(super) fn plain(&self, chunks: &[u8], room: usize) -> Result<Vec<u8>, ChunksError> {
        let Some(codec) = self.codec else {
            return if chunks.len() > room {
                Err(ChunksError::TooLong)
            } else {
                Ok(chunks.to_vec())
            };
        };
        let ends = || ChunksError::Corrupt("it ends inside a chunk".to_owned());
        let (mut rest, mut plain) = (chunks, Vec::new());
        while !rest.is_empty() {
            let (header, after) = rest.split_first_chunk::<HEADER>().ok_or_else(ends)?;
            let [low, middle, high] = header.map(usize::from);
            let header = low | middle << 8 | high << 16;
            let (chunk, after) = after.split_at_checked(header >> 1).ok_or_else(ends)?;
            rest = after;
            let left = room - plain.len();
            if header & 1 == 1 {
                if chunk.len() > left {
                    return Err(ChunksError::TooLong);
                }
                plain.extend_from_slice(chunk);
                continue;
            }
            let found = decompress_block(codec, chunk, self.largest.min(left));
            plain.extend(found.map_err(|error| match error {
                BlockError::TooLong if left < self.largest => ChunksError::TooLong,
                BlockError::TooLong => ChunksError::Corrupt(format!(
                    "more than {} bytes come out of a chunk",
                    self.largest
                )),
                BlockError::Corrupt(what) => ChunksError::Corrupt(what),
            })?);
        }
        Ok(plain)
    }
}

/// Appends bytes as chunks that are not compressed.
pub(super) fn append(file: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.chunks(PLAIN) {
        let header = u32::try_from(chunk.len() << 1 | 1).unwrap_or(u32::MAX);
        let [low, middle, high, _] = header.to_le_bytes();
        file.extend([low, middle, high]);
        file.extend_from_slice(chunk);
    }
}

//! Blocks that are compressed one by one, as in Avro's object container files and in ORC files.

use lz4_flex::block::DecompressError;

use super::{Codec, engine::Engine};

/// The compression of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockCodec {
    /// DEFLATE (RFC 1951) alone.
    Deflate,
    /// Raw Snappy, followed by the CRC-32 of what it holds, big-endian.
    Snappy,
    /// Raw Snappy alone.
    RawSnappy,
    /// A block of LZ4 without a frame.
    RawLz4,
    /// A Zstandard frame.
    Zstd,
    /// A bzip2 stream.
    Bzip2,
}

/// Why a block cannot be decompressed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BlockError {
    /// More bytes come out of it than are allowed.
    TooLong,
    /// The bytes or a checksum are invalid.
    Corrupt(String),
}

/// The least room for what comes out of a block.
const LEAST: usize = 64 << 10;

/// Decompresses a block, which ends where its bytes do. At most `limit` bytes may come out of it.
pub(crate) fn decompress(
    codec: BlockCodec,
    block: &[u8],
    limit: usize,
) -> Result<Vec<u8>, BlockError> {
    let stream = |codec| Engine::new(codec).map_err(BlockError::Corrupt);
    let engine = match codec {
        BlockCodec::Snappy => return snappy(block, limit),
        BlockCodec::RawSnappy => return raw_snappy(block, limit),
        BlockCodec::RawLz4 => return raw_lz4(block, limit),
        BlockCodec::Deflate => Some(Engine::deflate()),
        BlockCodec::Zstd => stream(Codec::Zstd)?,
        BlockCodec::Bzip2 => stream(Codec::Bzip2)?,
    };
    let Some(mut engine) = engine else {
        return Err(corrupt("no decoder"));
    };
    let (mut rest, mut plain, mut length) = (block, Vec::new(), 0);
    loop {
        if length > limit {
            return Err(BlockError::TooLong);
        }
        if length == plain.len() {
            // One byte more than allowed, which shows that there are too many.
            let room = (2 * length).max(LEAST).min(limit.saturating_add(1));
            plain.resize(room, 0);
        }
        let room = plain.get_mut(length..).unwrap_or_default();
        let step = engine.step(rest, room).map_err(BlockError::Corrupt)?;
        rest = rest.get(step.consumed..).unwrap_or_default();
        length += step.produced;
        if step.ended {
            // Python's writers leave three bytes of zlib's checksum after it, and no reader looks at them.
            if !rest.is_empty() && codec != BlockCodec::Deflate {
                return Err(corrupt("the compressed stream ends before the block does"));
            }
            if length > limit {
                return Err(BlockError::TooLong);
            }
            plain.truncate(length);
            return Ok(plain);
        }
        if step.consumed == 0 && step.produced == 0 {
            return Err(corrupt("the block ends inside the compressed stream"));
        }
    }
}

fn snappy(block: &[u8], limit: usize) -> Result<Vec<u8>, BlockError> {
    let Some((block, checksum)) = block.split_last_chunk::<4>() else {
        return Err(corrupt("it is shorter than its checksum"));
    };
    let plain = raw_snappy(block, limit)?;
    let mut crc = flate2::Crc::new();
    crc.update(&plain);
    if crc.sum() == u32::from_be_bytes(*checksum) {
        Ok(plain)
    } else {
        Err(corrupt("its checksum does not fit"))
    }
}

fn raw_snappy(block: &[u8], limit: usize) -> Result<Vec<u8>, BlockError> {
    let failed = |error: snap::Error| BlockError::Corrupt(error.to_string());
    if snap::raw::decompress_len(block).map_err(failed)? > limit {
        return Err(BlockError::TooLong);
    }
    snap::raw::Decoder::new()
        .decompress_vec(block)
        .map_err(failed)
}

fn raw_lz4(block: &[u8], limit: usize) -> Result<Vec<u8>, BlockError> {
    let mut plain = vec![0; limit];
    let length = lz4_flex::block::decompress_into(block, &mut plain);
    let length = length.map_err(|error| match error {
        DecompressError::OutputTooSmall { .. } => BlockError::TooLong,
        other => BlockError::Corrupt(other.to_string()),
    })?;
    plain.truncate(length);
    Ok(plain)
}

fn corrupt(what: &str) -> BlockError {
    BlockError::Corrupt(what.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::semantics::stated;

    fn compress(codec: BlockCodec, plain: &[u8]) -> Vec<u8> {
        match codec {
            BlockCodec::Deflate => {
                let mut encoder =
                    flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            BlockCodec::Snappy => {
                let mut block = snap::raw::Encoder::new().compress_vec(plain).unwrap();
                let mut crc = flate2::Crc::new();
                crc.update(plain);
                block.extend(crc.sum().to_be_bytes());
                block
            }
            BlockCodec::RawSnappy => snap::raw::Encoder::new().compress_vec(plain).unwrap(),
            BlockCodec::RawLz4 => lz4_flex::block::compress(plain),
            BlockCodec::Zstd => zstd::encode_all(plain, 0).unwrap(),
            BlockCodec::Bzip2 => {
                let mut encoder =
                    bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    const ALL: [BlockCodec; 4] = [
        BlockCodec::Deflate,
        BlockCodec::Snappy,
        BlockCodec::Zstd,
        BlockCodec::Bzip2,
    ];

    #[test]
    fn blocks_that_are_not_whole() {
        stated(
            "A block whose compressed stream does not end where the block does, or is damaged, refuses the object by the block's offset; what is in a block after the end of deflate is left out of account, because Python's writers leave a part of a checksum there.",
        );
        let plain = b"some text, some text, some more text".repeat(9);
        for codec in ALL {
            let block = compress(codec, &plain);
            for cut in 0..block.len() {
                let found = decompress(codec, &block[..cut], 1 << 20);
                assert!(
                    matches!(found, Err(BlockError::Corrupt(_))),
                    "{codec:?} {cut}"
                );
            }
            let longer = [&block[..], b"x"].concat();
            let found = decompress(codec, &longer, 1 << 20);
            assert_eq!(found.is_ok(), codec == BlockCodec::Deflate, "{codec:?}");
        }
        let mut block = compress(BlockCodec::Snappy, &plain);
        *block.last_mut().unwrap() ^= 1;
        let found = decompress(BlockCodec::Snappy, &block, 1 << 20);
        assert_eq!(found, Err(corrupt("its checksum does not fit")));
    }

    proptest! {
        #[test]
        fn blocks_come_back(plain in prop::collection::vec(0_u8..4, 0..200_000), less in 1_usize..9) {
            for codec in ALL.into_iter().chain([BlockCodec::RawSnappy, BlockCodec::RawLz4]) {
                let block = compress(codec, &plain);
                let found = decompress(codec, &block, plain.len());
                prop_assert_eq!(found.as_ref(), Ok(&plain));
                if plain.len() >= less {
                    let found = decompress(codec, &block, plain.len() - less);
                    prop_assert_eq!(found, Err(BlockError::TooLong));
                }
            }
        }
    }
}

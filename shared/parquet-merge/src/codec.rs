//! Compression of pages.

use std::{
    fmt,
    io::{self, Read},
};

use flate2::{Compression as Level, bufread::MultiGzDecoder, write::GzEncoder};

use super::{fault::PageFault, thrift::varint};
use crate::compression::{Codec, Compression, ZSTD_LEVEL};

/// Compresses and decompresses pages. Reuses the state that the libraries would otherwise allocate for each page.
pub(super) struct Codecs {
    largest: usize,
    snappy_out: snap::raw::Encoder,
    snappy_in: snap::raw::Decoder,
    /// The output buffer for Snappy.
    buffer: Vec<u8>,
    zstd_out: Option<zstd::bulk::Compressor<'static>>,
    zstd_in: Option<zstd::bulk::Decompressor<'static>>,
}

impl fmt::Debug for Codecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Codecs").finish_non_exhaustive()
    }
}

impl Codecs {
    /// `largest`: the largest page that is decompressed, in bytes.
    pub(super) fn new(largest: usize) -> Self {
        Self {
            largest,
            snappy_out: snap::raw::Encoder::new(),
            snappy_in: snap::raw::Decoder::new(),
            buffer: Vec::new(),
            zstd_out: None,
            zstd_in: None,
        }
    }

    /// Refuses a page that is too large to be decompressed.
    pub(super) fn check(&self, size: usize) -> Result<(), PageFault> {
        if size > self.largest {
            return Err(PageFault::TooLarge(size));
        }
        Ok(())
    }

    /// Decompresses `bytes` to the start of `buffer`, which only grows. The result must have exactly `size` bytes.
    pub(super) fn decompress<'b>(
        &mut self,
        codec: Codec,
        bytes: &[u8],
        size: usize,
        buffer: &'b mut Vec<u8>,
    ) -> Result<&'b [u8], String> {
        if buffer.len() < size {
            buffer.resize(size, 0);
        }
        let room = buffer.get_mut(..size).unwrap_or_default();
        let written = match codec {
            Codec::Written(Compression::None) => {
                let count = bytes.len().min(size);
                if let (Some(to), Some(from)) = (room.get_mut(..count), bytes.get(..count)) {
                    to.copy_from_slice(from);
                }
                bytes.len()
            }
            Codec::Written(Compression::Snappy) => {
                let stated = snap::raw::decompress_len(bytes).map_err(|error| error.to_string())?;
                if stated == size {
                    self.snappy_in
                        .decompress(bytes, room)
                        .map_err(|error| error.to_string())?;
                }
                stated
            }
            Codec::Written(Compression::Zstd) => {
                let decoder = match &mut self.zstd_in {
                    Some(decoder) => decoder,
                    none => none.insert(
                        zstd::bulk::Decompressor::new().map_err(|error| error.to_string())?,
                    ),
                };
                decoder
                    .decompress_to_buffer(bytes, room)
                    .map_err(|error| error.to_string())?
            }
            Codec::Written(Compression::Gzip) => {
                inflate(bytes, room).map_err(|error| error.to_string())?
            }
            Codec::Lz4 => old_lz4(bytes, room)?,
            Codec::Lz4Raw => lz4(bytes, room)?,
        };
        if written == size {
            Ok(room)
        } else {
            Err(format!(
                "a page decompresses to {written} bytes, but its header says {size}"
            ))
        }
    }

    /// Compresses `bytes` with Snappy and appends the elements: the stream without its leading length. Elements of
    /// several streams can be concatenated, because each refers only to output of its own stream
    /// (<https://github.com/google/snappy/blob/main/format_description.txt>).
    pub(super) fn snappy_elements(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        if bytes.is_empty() {
            return Ok(());
        }
        let most = snap::raw::max_compress_len(bytes.len());
        if self.buffer.len() < most {
            self.buffer.resize(most, 0);
        }
        let written = self
            .snappy_out
            .compress(bytes, &mut self.buffer)
            .map_err(|error| error.to_string())?;
        let stream = self.buffer.get(..written).unwrap_or_default();
        out.extend_from_slice(elements(stream).unwrap_or_default());
        Ok(())
    }

    /// Appends the compressed `bytes`.
    pub(super) fn compress(
        &mut self,
        compression: Compression,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let start = out.len();
        match compression {
            Compression::None => out.extend_from_slice(bytes),
            Compression::Snappy => {
                snappy_length(bytes.len(), out);
                self.snappy_elements(bytes, out)?;
            }
            Compression::Zstd => {
                let encoder = match &mut self.zstd_out {
                    Some(encoder) => encoder,
                    none => none.insert(
                        zstd::bulk::Compressor::new(ZSTD_LEVEL)
                            .map_err(|error| error.to_string())?,
                    ),
                };
                out.resize(start + zstd::zstd_safe::compress_bound(bytes.len()), 0);
                let room = out.get_mut(start..).unwrap_or_default();
                let written = encoder
                    .compress_to_buffer(bytes, room)
                    .map_err(|error| error.to_string())?;
                out.truncate(start + written);
            }
            Compression::Gzip => {
                use std::io::Write;
                let mut encoder = GzEncoder::new(&mut *out, Level::default());
                encoder
                    .write_all(bytes)
                    .and_then(|()| encoder.finish().map(drop))
                    .map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }
}

/// Decompresses a block of LZ4.
fn lz4(bytes: &[u8], room: &mut [u8]) -> Result<usize, String> {
    lz4_flex::block::decompress_into(bytes, room).map_err(|error| error.to_string())
}

/// Decompresses what Parquet calls LZ4: Hadoop's framing, or else, as older writers made it, a frame or a block
/// (<https://github.com/apache/parquet-format/blob/master/Compression.md#lz4>). Only the right one of these decompresses to
/// the page's size.
fn old_lz4(bytes: &[u8], room: &mut [u8]) -> Result<usize, String> {
    let size = room.len();
    if hadoop_lz4(bytes, room) == Some(size) {
        return Ok(size);
    }
    let mut frame = lz4_flex::frame::FrameDecoder::new(bytes);
    if frame.read_exact(room).is_ok() && matches!(frame.read(&mut [0]), Ok(0)) {
        return Ok(size);
    }
    lz4(bytes, room)
}

/// Decompresses blocks, each after its size and its compressed size in 32 bits, big-endian. `None` if the bytes have another
/// format.
fn hadoop_lz4(mut bytes: &[u8], room: &mut [u8]) -> Option<usize> {
    let mut written = 0;
    while !bytes.is_empty() {
        let (size, rest) = bytes.split_first_chunk::<4>()?;
        let (stored, rest) = rest.split_first_chunk::<4>()?;
        let [size, stored] = [size, stored].map(|size| u32::from_be_bytes(*size) as usize);
        let (block, rest) = rest.split_at_checked(stored)?;
        let to = room.get_mut(written..)?.get_mut(..size)?;
        if lz4(block, to).ok()? != size {
            return None;
        }
        written += size;
        bytes = rest;
    }
    Some(written)
}

/// Reads into `room` and returns the number of bytes: one more than `room` takes if there is more.
fn inflate(bytes: &[u8], room: &mut [u8]) -> io::Result<usize> {
    let mut decoder = MultiGzDecoder::new(bytes);
    let mut written = 0;
    while let Some(rest) = room.get_mut(written..).filter(|rest| !rest.is_empty()) {
        match decoder.read(rest)? {
            0 => return Ok(written),
            count => written += count,
        }
    }
    Ok(written + decoder.read(&mut [0])?)
}

/// Appends the length that starts a Snappy stream.
pub(super) fn snappy_length(length: usize, out: &mut Vec<u8>) {
    varint(length as u64, out);
}

/// A Snappy stream without its leading length.
pub(super) fn elements(stream: &[u8]) -> Option<&[u8]> {
    let end = stream.iter().take(5).position(|byte| *byte < 0x80)?;
    stream.get(end + 1..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_is_decompressed() {
        let bytes: Vec<u8> = (0..200_000_u32)
            .flat_map(|n| (n / 7).to_le_bytes())
            .collect();
        let mut codecs = Codecs::new(1 << 20);
        for compression in [
            Compression::None,
            Compression::Snappy,
            Compression::Zstd,
            Compression::Gzip,
        ] {
            for bytes in [&bytes[..], b"", b"x"] {
                let mut compressed = Vec::new();
                codecs
                    .compress(compression, bytes, &mut compressed)
                    .unwrap();
                let mut buffer = Vec::new();
                let size = bytes.len();
                assert_eq!(
                    codecs.decompress(Codec::Written(compression), &compressed, size, &mut buffer),
                    Ok(bytes)
                );
                for wrong in [size + 1, size.saturating_sub(1)] {
                    if wrong != size {
                        codecs
                            .decompress(
                                Codec::Written(compression),
                                &compressed,
                                wrong,
                                &mut buffer,
                            )
                            .unwrap_err();
                    }
                }
            }
        }
    }

    #[test]
    fn every_form_of_lz4_is_decompressed() {
        let bytes: Vec<u8> = (0..50_000_u32)
            .flat_map(|n| (n / 7).to_le_bytes())
            .collect();
        let hadoop = |parts: &[&[u8]]| {
            let mut framed = Vec::new();
            for part in parts {
                let block = lz4_flex::block::compress(part);
                for size in [part.len(), block.len()] {
                    framed.extend(u32::try_from(size).unwrap().to_be_bytes());
                }
                framed.extend(block);
            }
            framed
        };
        let mut frame = lz4_flex::frame::FrameEncoder::new(Vec::new());
        io::Write::write_all(&mut frame, &bytes).unwrap();
        let (first, second) = bytes.split_at(70_000);
        let raw = lz4_flex::block::compress(&bytes);
        for (codec, stored) in [
            (Codec::Lz4Raw, raw.clone()),
            (Codec::Lz4, raw),
            (Codec::Lz4, frame.finish().unwrap()),
            (Codec::Lz4, hadoop(&[&bytes])),
            (Codec::Lz4, hadoop(&[first, second])),
        ] {
            let (mut codecs, mut buffer) = (Codecs::new(1 << 20), Vec::new());
            let size = bytes.len();
            let found = codecs.decompress(codec, &stored, size, &mut buffer);
            assert_eq!(found, Ok(&bytes[..]));
            let cut = &stored[..stored.len() / 2];
            codecs
                .decompress(codec, cut, size, &mut buffer)
                .unwrap_err();
            for wrong in [size - 1, size + 1] {
                codecs
                    .decompress(codec, &stored, wrong, &mut buffer)
                    .unwrap_err();
            }
        }
    }

    #[test]
    fn elements_of_several_streams_are_one_stream() {
        let mut codecs = Codecs::new(1 << 20);
        let parts = [&b"abcabcabcabcabcabc"[..], b"", b"abcabcabc", b"abc"];
        let whole = parts.concat();
        let mut stream = Vec::new();
        snappy_length(whole.len(), &mut stream);
        for part in parts {
            codecs.snappy_elements(part, &mut stream).unwrap();
        }
        let mut buffer = Vec::new();
        let size = whole.len();
        let found = codecs.decompress(
            Codec::Written(Compression::Snappy),
            &stream,
            size,
            &mut buffer,
        );
        assert_eq!(found, Ok(&whole[..]));
    }
}

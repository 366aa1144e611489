//! Compression of pages.

use std::{fmt, io::Read};

use flate2::{Compression as Level, bufread::MultiGzDecoder, write::GzEncoder};
use parquet::basic::{Compression as ParquetCompression, GzipLevel, ZstdLevel};

use crate::config::Compression;

/// zstd's own default.
const ZSTD_LEVEL: i32 = 3;

/// Compresses and decompresses pages; it keeps what the libraries would build anew for each.
pub(super) struct Codecs {
    snappy_out: snap::raw::Encoder,
    snappy_in: snap::raw::Decoder,
    zstd_out: Option<zstd::bulk::Compressor<'static>>,
    zstd_in: Option<zstd::bulk::Decompressor<'static>>,
}

impl fmt::Debug for Codecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Codecs").finish_non_exhaustive()
    }
}

/// How a column chunk of the Parquet crate's name is compressed, where it is understood.
pub(super) fn known(compression: ParquetCompression) -> Option<Compression> {
    Some(match compression {
        ParquetCompression::UNCOMPRESSED => Compression::None,
        ParquetCompression::SNAPPY => Compression::Snappy,
        ParquetCompression::GZIP(_) => Compression::Gzip,
        ParquetCompression::ZSTD(_) => Compression::Zstd,
        _ => return None,
    })
}

/// The Parquet crate's name of a compression.
pub(super) fn named(compression: Compression) -> ParquetCompression {
    match compression {
        Compression::None => ParquetCompression::UNCOMPRESSED,
        Compression::Snappy => ParquetCompression::SNAPPY,
        Compression::Zstd => ParquetCompression::ZSTD(ZstdLevel::default()),
        Compression::Gzip => ParquetCompression::GZIP(GzipLevel::default()),
    }
}

impl Codecs {
    pub(super) fn new() -> Self {
        Self {
            snappy_out: snap::raw::Encoder::new(),
            snappy_in: snap::raw::Decoder::new(),
            zstd_out: None,
            zstd_in: None,
        }
    }

    /// Appends what `bytes` decompress to, which must be `size` bytes.
    pub(super) fn decompress(
        &mut self,
        compression: Compression,
        bytes: &[u8],
        size: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let start = out.len();
        match compression {
            Compression::None => out.extend_from_slice(bytes),
            Compression::Snappy => {
                let stated = snap::raw::decompress_len(bytes).map_err(|error| error.to_string())?;
                if stated != size {
                    return Err(format!("a page of {stated} bytes is said to have {size}"));
                }
                out.resize(start + size, 0);
                let room = out.get_mut(start..).unwrap_or_default();
                self.snappy_in
                    .decompress(bytes, room)
                    .map_err(|error| error.to_string())?;
            }
            Compression::Zstd => {
                let decoder = match &mut self.zstd_in {
                    Some(decoder) => decoder,
                    none => none.insert(
                        zstd::bulk::Decompressor::new().map_err(|error| error.to_string())?,
                    ),
                };
                out.resize(start + size, 0);
                let room = out.get_mut(start..).unwrap_or_default();
                let written = decoder
                    .decompress_to_buffer(bytes, room)
                    .map_err(|error| error.to_string())?;
                out.truncate(start + written);
            }
            Compression::Gzip => {
                let limit = (size as u64).saturating_add(1);
                MultiGzDecoder::new(bytes)
                    .take(limit)
                    .read_to_end(out)
                    .map_err(|error| error.to_string())?;
            }
        }
        if out.len() - start == size {
            Ok(())
        } else {
            Err(format!(
                "a page decompresses to {} bytes and is said to have {size}",
                out.len() - start
            ))
        }
    }

    /// Appends what `bytes` compress to.
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
                out.resize(start + snap::raw::max_compress_len(bytes.len()), 0);
                let room = out.get_mut(start..).unwrap_or_default();
                let written = self
                    .snappy_out
                    .compress(bytes, room)
                    .map_err(|error| error.to_string())?;
                out.truncate(start + written);
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

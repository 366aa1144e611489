//! Compression of text files.

use std::io::{self, Write};

use flate2::{GzBuilder, write::GzEncoder};

use crate::config::Compression;

/// Compresses a file's bytes. The result depends only on the bytes: the gzip header contains no time and no name.
pub(super) enum Compressor {
    None(Vec<u8>),
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::Encoder<'static, Vec<u8>>),
}

impl Compressor {
    pub(super) fn new(compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            // Only Parquet supports Snappy; the configuration is checked for this.
            Compression::None | Compression::Snappy => Self::None(Vec::new()),
            Compression::Gzip => {
                Self::Gzip(GzBuilder::new().write(Vec::new(), flate2::Compression::default()))
            }
            Compression::Zstd => Self::Zstd(zstd::Encoder::new(
                Vec::new(),
                zstd::DEFAULT_COMPRESSION_LEVEL,
            )?),
        })
    }

    pub(super) fn ready(&mut self) -> &mut Vec<u8> {
        match self {
            Self::None(out) => out,
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        }
    }

    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::None(out) => Ok(out),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl Write for Compressor {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(out) => out.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        // Flushing an encoder would end its block early and make the file larger.
        Ok(())
    }
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None(_) => "Compressor::None",
            Self::Gzip(_) => "Compressor::Gzip",
            Self::Zstd(_) => "Compressor::Zstd",
        })
    }
}

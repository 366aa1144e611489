//! Compression codecs of pages.

use parquet::basic::{Compression as ParquetCompression, GzipLevel, ZstdLevel};

/// zstd's own default level.
pub(crate) const ZSTD_LEVEL: i32 = 3;

/// How the pages of a merged file are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Uncompressed.
    None,
    /// Snappy.
    Snappy,
    /// Zstandard.
    Zstd,
    /// Gzip.
    Gzip,
}

/// How the pages of a file are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    /// One that merged files may have.
    Written(Compression),
    /// Blocks of LZ4 in Hadoop's framing, or what older writers made under this name: a frame or a block of LZ4.
    Lz4,
    /// A block of LZ4.
    Lz4Raw,
}

impl Codec {
    /// Uncompressed.
    pub(crate) const NONE: Self = Self::Written(Compression::None);

    /// Converts from the Parquet crate's type. `None`: the codec is not read.
    pub(crate) fn of(compression: ParquetCompression) -> Option<Self> {
        Some(match compression {
            ParquetCompression::UNCOMPRESSED => Self::NONE,
            ParquetCompression::SNAPPY => Self::Written(Compression::Snappy),
            ParquetCompression::GZIP(_) => Self::Written(Compression::Gzip),
            ParquetCompression::ZSTD(_) => Self::Written(Compression::Zstd),
            ParquetCompression::LZ4 => Self::Lz4,
            ParquetCompression::LZ4_RAW => Self::Lz4Raw,
            _ => return None,
        })
    }

    /// The compression that a column with this codec keeps. It is never LZ4, because readers disagree about the format that
    /// Parquet calls LZ4.
    pub(crate) fn kept(self) -> Compression {
        match self {
            Self::Written(compression) => compression,
            Self::Lz4 | Self::Lz4Raw => Compression::Snappy,
        }
    }
}

impl Compression {
    /// Converts to the Parquet crate's type.
    pub(crate) fn named(self) -> ParquetCompression {
        match self {
            Self::None => ParquetCompression::UNCOMPRESSED,
            Self::Snappy => ParquetCompression::SNAPPY,
            Self::Zstd => {
                ParquetCompression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL).unwrap_or_default())
            }
            Self::Gzip => ParquetCompression::GZIP(GzipLevel::default()),
        }
    }
}

//! Compression codecs of pages.

use parquet::basic::{Compression as ParquetCompression, GzipLevel, ZstdLevel};

/// zstd's own default level.
pub(crate) const ZSTD_LEVEL: i32 = 3;

/// How the pages of a column chunk are compressed.
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

impl Compression {
    /// Converts from the Parquet crate's type. `None`: the merge does not support the codec.
    pub(crate) fn of(compression: ParquetCompression) -> Option<Self> {
        Some(match compression {
            ParquetCompression::UNCOMPRESSED => Self::None,
            ParquetCompression::SNAPPY => Self::Snappy,
            ParquetCompression::GZIP(_) => Self::Gzip,
            ParquetCompression::ZSTD(_) => Self::Zstd,
            _ => return None,
        })
    }

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

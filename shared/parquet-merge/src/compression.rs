//! The compressions that pages are read and written with.

use parquet::basic::{Compression as ParquetCompression, GzipLevel, ZstdLevel};

/// zstd's own default level.
pub(crate) const ZSTD_LEVEL: i32 = 3;

/// How the pages of a column chunk are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// Snappy.
    Snappy,
    /// Zstandard.
    Zstd,
    /// Gzip.
    Gzip,
}

impl Compression {
    /// The compression that the Parquet crate names so. `None`: the merge cannot read it.
    pub(crate) fn of(compression: ParquetCompression) -> Option<Self> {
        Some(match compression {
            ParquetCompression::UNCOMPRESSED => Self::None,
            ParquetCompression::SNAPPY => Self::Snappy,
            ParquetCompression::GZIP(_) => Self::Gzip,
            ParquetCompression::ZSTD(_) => Self::Zstd,
            _ => return None,
        })
    }

    /// The Parquet crate's name of it.
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

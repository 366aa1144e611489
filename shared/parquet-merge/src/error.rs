//! Why a merge fails.

use parquet::errors::ParquetError;
use thiserror::Error;

use super::FooterError;

/// Why files cannot be merged. The bytes that were written so far are not a valid file.
#[derive(Debug, Error)]
pub enum MergeError {
    /// A file's bytes contradict the format.
    #[error("{input}: column {column}: {what}")]
    Corrupt {
        /// The file's name.
        input: String,
        /// The column's path.
        column: String,
        /// What is wrong.
        what: String,
    },
    /// The file is valid but cannot be merged.
    #[error("{input}: column {column}: cannot be merged: {what}")]
    Unsupported {
        /// The file's name.
        input: String,
        /// The column's path.
        column: String,
        /// The unsupported feature.
        what: String,
    },
    /// A value cannot be represented exactly in the merged column's type.
    #[error("{input}: column {column}: {what}")]
    Inexact {
        /// The file's name.
        input: String,
        /// The column's path.
        column: String,
        /// The value.
        what: String,
    },
    /// A page exceeds the memory limit.
    #[error(
        "{input}: column {column}: a page of {size} bytes or values needs more memory than {memory} bytes"
    )]
    TooLarge {
        /// The file's name.
        input: String,
        /// The column's path.
        column: String,
        /// The size of the page in bytes, or the number of its values.
        size: usize,
        /// The memory limit in bytes.
        memory: usize,
    },
    /// The sort keys, or the rows of a row group, exceed the memory limit.
    #[error("sort_by: {what} need more memory than {memory} bytes")]
    Sort {
        /// What exceeds it.
        what: String,
        /// The memory limit in bytes.
        memory: usize,
    },
    /// A file's footer does not match any of the files that the schema was made from.
    #[error("{input}: {what}")]
    Schema {
        /// The file's name.
        input: String,
        /// The difference.
        what: String,
    },
    /// A file's footer cannot be read.
    #[error("{input}: {source}")]
    Footer {
        /// The file's name.
        input: String,
        /// The cause.
        source: FooterError,
    },
    /// An option is not valid for these files.
    #[error("{0}")]
    Options(String),
    /// The caller supplied bytes that the merge did not request, or too few.
    #[error("{input}: bytes {start} to {end} were not requested, or are too few")]
    Supplied {
        /// The file's name.
        input: String,
        /// The first byte.
        start: u64,
        /// The byte after the last.
        end: u64,
    },
    /// The Parquet crate refused to write what it was given.
    #[error("the merged file cannot be written: {0}")]
    Write(#[from] ParquetError),
}

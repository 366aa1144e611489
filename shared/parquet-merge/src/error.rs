//! Why a merge fails.

use parquet::errors::ParquetError;
use thiserror::Error;

use super::FooterError;

/// Why files cannot be merged. What was written so far is no file.
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
    /// A file is right, and cannot be merged.
    #[error("{input}: column {column}: cannot be merged: {what}")]
    Unsupported {
        /// The file's name.
        input: String,
        /// The column's path.
        column: String,
        /// What it has.
        what: String,
    },
    /// A value has no exact counterpart in the type that holds the others.
    #[error("{input}: column {column}: {what}")]
    Inexact {
        /// The file's name.
        input: String,
        /// The column's path.
        column: String,
        /// The value.
        what: String,
    },
    /// A page is beyond the memory.
    #[error(
        "{input}: column {column}: a page of {size} bytes or values needs more memory than {memory} bytes"
    )]
    TooLarge {
        /// The file's name.
        input: String,
        /// The column's path.
        column: String,
        /// The page's bytes, or its values.
        size: usize,
        /// The memory.
        memory: usize,
    },
    /// What the rows are sorted by, or a row group, is beyond the memory.
    #[error("sort_by: {what} need more memory than {memory} bytes")]
    Sort {
        /// What is too much.
        what: String,
        /// The memory.
        memory: usize,
    },
    /// A file's footer is not that of one of the files that the schema was made of.
    #[error("{input}: {what}")]
    Schema {
        /// The file's name.
        input: String,
        /// What does not fit.
        what: String,
    },
    /// A file's footer cannot be read.
    #[error("{input}: {source}")]
    Footer {
        /// The file's name.
        input: String,
        /// Why.
        source: FooterError,
    },
    /// An option does not fit to the files.
    #[error("{0}")]
    Options(String),
    /// The merge was given what it had not asked for, or not all of it.
    #[error("{input}: bytes {start} to {end} were not asked for, or are too few")]
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

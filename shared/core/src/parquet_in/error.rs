use arrow::error::ArrowError;
use parquet_merge::{FooterError, MAX_SCHEMA_DEPTH, NameError};
use thiserror::Error;

use crate::{
    encode::EncodeError,
    json::{RecordError, SchemaError},
    shown::words,
};

/// Why a file, or the rest of it, cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It does not end with the Parquet magic bytes.
    #[error("not a Parquet file: {0}")]
    NotParquet(String),
    /// It is encrypted, whole or in its columns.
    #[error("{}", FooterError::Encrypted)]
    Encrypted,
    /// A column is compressed in a way that is not read.
    #[error(
        "column `{column}` is compressed with {codec}, which is not read: write the file with Snappy, gzip, zstd, LZ4 or no compression"
    )]
    Codec {
        /// With its path.
        column: String,
        /// The codec's name in Parquet's terms.
        codec: &'static str,
    },
    /// The footer is larger than the limit.
    #[error("the Parquet footer has {size} bytes, more than the limit of {limit}")]
    FooterTooLarge {
        /// In bytes.
        size: u64,
        /// In bytes.
        limit: u64,
    },
    /// A row group is larger than the limit.
    #[error("row group {row_group} has {size} bytes uncompressed, more than the limit of {limit}")]
    RowGroupTooLarge {
        /// Counted from 0.
        row_group: usize,
        /// In bytes.
        size: u64,
        /// In bytes.
        limit: u64,
    },
    /// The schema is nested too deep.
    #[error("the Parquet schema is nested deeper than {} groups", MAX_SCHEMA_DEPTH)]
    TooDeep,
    /// The bytes contradict the format.
    #[error("corrupt Parquet file: {0}")]
    Corrupt(String),
    /// A column's logical type would be lost.
    #[error("column `{column}` is {what}, which tables do not have: {way_out}")]
    Meaning {
        /// With its path.
        column: String,
        /// The logical type.
        what: String,
        /// What to do about it.
        way_out: &'static str,
    },
    /// Two columns, or two fields of one struct, have the same name, ignoring case.
    #[error("columns `{first}` and `{second}` differ only in case")]
    NameCollision {
        /// One of them, with its path.
        first: String,
        /// The other.
        second: String,
    },
    /// The timestamp's name means no column, or two.
    #[error("timestamp.column: {0}")]
    Name(#[from] NameError),
    /// The timestamp's column has a type that is no time.
    #[error("timestamp.column: `{column}` is {data_type}, which is no time")]
    NotATime {
        /// With its path.
        column: String,
        /// In Hive's terms, or Arrow's.
        data_type: String,
    },
    /// The route's name means no column, or two.
    #[error("route.column: {0}")]
    Route(NameError),
    /// The route's column has a type that is not compared with routes.
    #[error(
        "route.column: `{column}` is {data_type}: records are routed by texts, integers and booleans"
    )]
    NotARoute {
        /// With its path.
        column: String,
        /// In Arrow's terms.
        data_type: String,
    },
    /// The table has a column of an unsupported type.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A row is refused and, by the policy, the whole file with it.
    #[error("row {row}: {error}")]
    RowRefused {
        /// Counted from 0.
        row: u64,
        /// The error.
        error: RecordError,
    },
    /// A conversion failed for another reason than its value.
    #[error("column `{column}`: {}", words(.message))]
    Value {
        /// With its path.
        column: String,
        /// The cause.
        message: String,
    },
    /// A record could not be written to the quarantine.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// An array could not be built.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

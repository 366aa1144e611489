//! Why an object is not read.

use thiserror::Error;

use crate::{parquet_in::ReadError, shown::words};

/// Why an object, or the rest of it, cannot be read. Offsets count bytes of the decompressed object.
#[derive(Debug, Error)]
pub enum AvroError {
    /// It does not begin with the magic bytes.
    #[error("not an Avro object container file: {0}")]
    NotAvro(String),
    /// The blocks are compressed in a way that is not read.
    #[error(
        "its blocks are compressed with `{0}`, which is not read: write it with deflate, snappy, zstandard, bzip2 or null"
    )]
    Codec(String),
    /// The schema has something that tables do not have.
    #[error("{column} is {what}")]
    Schema {
        /// The column with its path in quotes, or the schema.
        column: String,
        /// What it is.
        what: String,
    },
    /// The header or a block is larger than the limit.
    #[error("the {what} at byte {offset} has {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its start.
        offset: u64,
        /// In bytes; of a compressed block, those that come out of it are at least so many.
        size: u64,
        /// In bytes.
        limit: usize,
    },
    /// The nulls in the lists of a record take more memory than the limit.
    #[error(
        "the nulls in the lists of record {record} of the block at byte {offset} take more than {limit} bytes of memory"
    )]
    Nulls {
        /// The record, from 0 in its block.
        record: u64,
        /// The start of the block.
        offset: u64,
        /// In bytes.
        limit: usize,
    },
    /// More bytes come out of the blocks than the limit allows.
    #[error("more than {limit} bytes come out for one of the first {offset} bytes")]
    Ratio {
        /// The offset in bytes.
        offset: u64,
        /// The most decompressed bytes for each compressed byte.
        limit: u32,
    },
    /// The bytes contradict the format.
    #[error("corrupt Avro file: the {what} at byte {offset}: {}", words(.detail))]
    Corrupt {
        /// What it is.
        what: &'static str,
        /// Its start.
        offset: u64,
        /// What is wrong.
        detail: String,
    },
    /// The object ends inside its header or a block.
    #[error("truncated Avro file: it ends inside the {what} at byte {offset}")]
    Truncated {
        /// What it is.
        what: &'static str,
        /// Its start.
        offset: u64,
    },
    /// The rows do not become those of the table.
    #[error(transparent)]
    Rows(#[from] ReadError),
}

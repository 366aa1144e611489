//! Why a file is not read.

use thiserror::Error;

use crate::parquet_in::ReadError;

/// Why a file, or the rest of it, cannot be read. Stripes are counted from 0.
#[derive(Debug, Error)]
pub enum OrcError {
    /// It does not end as an ORC file does.
    #[error("not an ORC file: {0}")]
    NotOrc(String),
    /// Something in it is known, and not read.
    #[error("the ORC file {0}")]
    Unread(String),
    /// A column is of a type that tables do not have, or that is not read.
    #[error("column `{column}` is {what}")]
    Column {
        /// With its path.
        column: String,
        /// What it is.
        what: String,
    },
    /// By its place, a column is another one of the table than by its name.
    #[error(
        "its column `{column}` is at the place of `{table}` in the table, and readers differ in whether they take places or names: set the table's `orc.column.index.access` to false, by which Athena takes names too"
    )]
    Places {
        /// Of the file.
        column: String,
        /// Of the table.
        table: String,
    },
    /// The footer is larger than the limit.
    #[error("the ORC footer has {size} bytes, more than the limit of {limit}")]
    FooterTooLarge {
        /// In bytes; of a compressed footer, those that come out of it are at least so many.
        size: u64,
        /// In bytes.
        limit: u64,
    },
    /// The values of a stripe are more than the limit.
    #[error("stripe {stripe} has {size} bytes of values, more than the limit of {limit}")]
    StripeTooLarge {
        /// The stripe.
        stripe: usize,
        /// In bytes.
        size: u64,
        /// In bytes.
        limit: u64,
    },
    /// A stripe is larger than the memory that there is for it.
    #[error(
        "stripe {stripe} has more than {room} bytes decompressed, which is the memory that there is for it"
    )]
    Memory {
        /// The stripe.
        stripe: usize,
        /// In bytes.
        room: u64,
    },
    /// A row may be longer than a record may be.
    #[error("a row of stripe {stripe} may have {size} bytes, more than the limit of {limit}")]
    RowTooLong {
        /// The stripe.
        stripe: usize,
        /// In bytes.
        size: u64,
        /// In bytes.
        limit: u64,
    },
    /// The bytes contradict the format.
    #[error("corrupt ORC file: {0}")]
    Corrupt(String),
    /// The rows do not become those of the table.
    #[error(transparent)]
    Rows(#[from] ReadError),
}

impl OrcError {
    /// The same, of a stripe.
    pub(super) fn of_stripe(self, stripe: usize) -> Self {
        match self {
            Self::Corrupt(what) => Self::Corrupt(format!("stripe {stripe}: {what}")),
            other => other,
        }
    }
}

pub(super) fn corrupt(what: impl Into<String>) -> OrcError {
    OrcError::Corrupt(what.into())
}

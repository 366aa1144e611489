//! What a record may become: the options, the values that are handed out, and the reasons of refusals.

use std::{borrow::Cow, fmt};

use arrow::datatypes::DataType;
use thiserror::Error;

use super::{Broken, lex::Stop};
use crate::{config::Policy, csv, quarantine::Reason, shown::plain};

/// Reads a time as microseconds since 1970-01-01T00:00:00Z. None: it is no time.
pub type ParseTimestamp = Box<dyn Fn(&JsonScalar<'_>) -> Option<i64> + Send + Sync>;

/// How records become rows.
pub struct ColumnsOptions {
    /// What to do with a field that the schema has no column for.
    pub on_unknown: Policy,
    /// What to do with a value that does not fit its column.
    pub on_mismatch: Policy,
    /// The path of the value to hand out as [`Appended::timestamp`], which need not be in the schema.
    pub timestamp: Vec<String>,
    /// Reads the values of timestamp columns.
    pub parse_timestamp: ParseTimestamp,
    /// The name of a further binary column, the last, for the record's own bytes.
    pub raw_column: Option<String>,
    /// The deepest nesting of objects and arrays in a record, the record itself included; at most
    /// [`MAX_DEPTH`](super::MAX_DEPTH).
    pub max_depth: usize,
}

impl fmt::Debug for ColumnsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColumnsOptions")
            .field("on_unknown", &self.on_unknown)
            .field("on_mismatch", &self.on_mismatch)
            .field("timestamp", &self.timestamp)
            .field("raw_column", &self.raw_column)
            .finish_non_exhaustive()
    }
}

/// A value that may be a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JsonScalar<'a> {
    /// There is no such field.
    Missing,
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A string's text.
    String(Cow<'a, str>),
    /// A number as it stands.
    Number(&'a str),
    /// An object or an array.
    Other,
}

/// What became of a record that is now a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended<'a> {
    /// The value at the timestamp's path.
    pub timestamp: JsonScalar<'a>,
    /// Fields that were dropped because the schema has no column for them.
    pub unknown: u32,
    /// Values that became null because they do not fit their columns.
    pub mismatched: u32,
}

/// Why a schema cannot be filled.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SchemaError {
    /// No JSON value becomes such a column.
    #[error("column `{column}`: the type {data_type} cannot be filled from JSON")]
    Unsupported {
        /// The column's own name.
        column: String,
        /// Its type.
        data_type: DataType,
    },
    /// Two columns have one name but for case.
    #[error("columns `{first}` and `{second}` have the same name but for upper and lower case")]
    Collision {
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
}

/// Why a record has not become a row. The columns are as they were before it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecordError {
    /// It is not one valid JSON object.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// It is no record of CSV.
    #[error(transparent)]
    Csv(#[from] csv::Broken),
    /// A field has no column.
    #[error("the schema has no column for the field `{name}`")]
    UnknownField {
        /// The field, with the path to it.
        name: String,
    },
    /// A value does not fit its column.
    #[error("column `{column}` is {expected}, the record has {}", plain(.found))]
    Mismatch {
        /// The column, with the path to it: `a.b`, `list[]`, `map{}`.
        column: String,
        /// Its type in Hive's words.
        expected: &'static str,
        /// The value, or the start of it.
        found: String,
    },
    /// Two keys of one object mean one column.
    #[error("{}the keys `{first}` and `{second}` differ only in upper and lower case", at_path(.column))]
    KeyCollision {
        /// The object's path; empty for the record itself.
        column: String,
        /// One key.
        first: String,
        /// The other.
        second: String,
    },
    /// A column has reached the 2 GiB (or 2^31 elements) that Arrow's offsets reach: finish the batch, and
    /// append the record again.
    #[error("a column of the batch is full")]
    Full,
}

fn at_path(column: &str) -> String {
    if column.is_empty() {
        String::new()
    } else {
        format!("in `{column}`, ")
    }
}

impl RecordError {
    /// The reason to give in the quarantine. None for [`Full`](Self::Full), which is not the record's fault.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Broken(broken) => Some(broken.reason()),
            Self::Csv(broken) => Some(broken.reason()),
            Self::UnknownField { .. } => Some(Reason::UnknownField),
            Self::Mismatch { .. } => Some(Reason::Mismatch),
            Self::KeyCollision { .. } => Some(Reason::KeyCollision),
            Self::Full => None,
        }
    }
}

/// Why the object at a place of the buffer has not become a row.
#[derive(Debug)]
pub(super) enum Reject {
    Stop(Stop),
    Record(Box<RecordError>),
}

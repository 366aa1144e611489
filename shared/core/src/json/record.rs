//! The options and results of appending a record.

use std::{borrow::Cow, fmt};

use arrow::datatypes::DataType;
use thiserror::Error;

use super::{Broken, Lack, buffers::Full, lex::Stop};
use crate::{config::Policy, csv, quarantine::Reason, shown::Found};

/// Parses a time into microseconds since 1970-01-01T00:00:00Z. `None` if it is not a time.
pub type ParseTimestamp = Box<dyn Fn(&JsonScalar<'_>) -> Option<i64> + Send + Sync>;

/// How records become rows.
pub struct ColumnsOptions {
    /// What to do with a field that has no column.
    pub on_unknown: Policy,
    /// What to do with a value that does not fit its column.
    pub on_mismatch: Policy,
    /// The path of the value that is returned as [`Appended::timestamp`]. It need not be in the schema.
    pub timestamp: Vec<String>,
    /// Parses the values of timestamp columns.
    pub parse_timestamp: ParseTimestamp,
    /// The name of an additional last column, binary, for the record's raw bytes.
    pub raw_column: Option<String>,
    /// The deepest nesting of objects and arrays in a record, including the record itself; at most
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
    /// A number as written.
    Number(&'a str),
    /// An object or an array.
    Other,
}

/// The result of a record that was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended<'a> {
    /// The value at the timestamp's path.
    pub timestamp: JsonScalar<'a>,
    /// The number of fields that were dropped because they have no column.
    pub unknown: u32,
    /// The number of values that became null because they do not fit their columns.
    pub mismatched: u32,
}

/// Why a schema cannot be filled.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SchemaError {
    /// No JSON value can be converted to this column's type.
    #[error("column `{column}`: the type {data_type} cannot be filled from JSON")]
    Unsupported {
        /// The column's own name.
        column: String,
        /// Its type.
        data_type: DataType,
    },
    /// Two columns have the same name, ignoring case.
    #[error("columns `{first}` and `{second}` differ only in case")]
    Collision {
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
}

/// Why a record was not appended. The columns did not change.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecordError {
    /// It is not one valid JSON object.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// Its envelope lacks something.
    #[error("in the envelope, `{name}` {lack}")]
    Envelope {
        /// The path of what is missing.
        name: String,
        /// What is wrong.
        lack: Lack,
    },
    /// It is not a CSV record.
    #[error(transparent)]
    Csv(#[from] csv::Broken),
    /// It does not match its pattern.
    #[error("the line {0}")]
    NoMatch(&'static str),
    /// A field has no column.
    #[error("the schema has no column for the field `{name}`")]
    UnknownField {
        /// The field, with the path to it.
        name: String,
    },
    /// A field has no column, and cannot become one.
    #[error("the field `{name}` has no column and cannot become one: {why}")]
    NotAdded {
        /// The field, with the path to it.
        name: String,
        /// The reason.
        why: &'static str,
    },
    /// A value does not fit its column.
    #[error("column `{column}` is {expected}, the record has {found}")]
    Mismatch {
        /// The column, with the path to it: `a.b`, `list[]`, `map{}`.
        column: String,
        /// Its type in Hive's terms.
        expected: Cow<'static, str>,
        /// What the record has there.
        found: Found,
    },
    /// Two keys of one object name the same column.
    #[error("{}the keys `{first}` and `{second}` differ only in upper and lower case", at_path(.column))]
    KeyCollision {
        /// The object's path; empty for the record itself.
        column: String,
        /// One key.
        first: String,
        /// The other.
        second: String,
    },
    /// The timestamp's name means two values of the record.
    #[error("the keys `{first}` and `{second}` both match the timestamp's name")]
    AmbiguousTimestamp {
        /// One key.
        first: String,
        /// The other.
        second: String,
    },
    /// There is no route for its value.
    #[error("`{column}` {}", without_route(.value.as_deref()))]
    NoRoute {
        /// The route's name.
        column: String,
        /// The value as text, if it has one.
        value: Option<String>,
    },
    /// The route's name means two values of the record.
    #[error("the keys `{first}` and `{second}` both match the route's name")]
    AmbiguousRoute {
        /// One key.
        first: String,
        /// The other.
        second: String,
    },
    /// A column has reached the limit of Arrow's 32-bit offsets, 2 GiB or 2^31 elements: finish the batch, and append
    /// the record again.
    #[error("a column of the batch is full")]
    Full,
}

fn without_route(value: Option<&str>) -> String {
    match value {
        Some(value) => format!(
            "is {}, which has no route",
            Found::Value(format!("{value:?}"))
        ),
        None => "has no value that a route is named by".to_owned(),
    }
}

fn at_path(column: &str) -> String {
    if column.is_empty() {
        String::new()
    } else {
        format!("in `{column}`, ")
    }
}

impl RecordError {
    /// The reason for the quarantine. `None` for [`Full`](Self::Full), which is not an error of the record.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Broken(broken) => Some(broken.reason()),
            Self::Envelope { lack, .. } => Some(Broken::Envelope(*lack).reason()),
            Self::Csv(broken) => Some(broken.reason()),
            Self::NoMatch(_) => Some(Reason::NoMatch),
            Self::UnknownField { .. } | Self::NotAdded { .. } => Some(Reason::UnknownField),
            Self::Mismatch { .. } => Some(Reason::Mismatch),
            Self::KeyCollision { .. } => Some(Reason::KeyCollision),
            Self::AmbiguousTimestamp { .. } => Some(Reason::BadTimestamp),
            Self::NoRoute { .. } | Self::AmbiguousRoute { .. } => Some(Reason::NoRoute),
            Self::Full => None,
        }
    }
}

/// The error is a pointer, so that a position is returned in registers.
pub(super) type Filled<T = usize> = Result<T, Box<Reject>>;

/// Why the object at a position of the buffer was not appended.
#[derive(Debug)]
pub(super) enum Reject {
    Stop(Stop),
    Record(RecordError),
}

impl From<Stop> for Box<Reject> {
    fn from(stop: Stop) -> Self {
        Self::new(Reject::Stop(stop))
    }
}

impl From<RecordError> for Box<Reject> {
    fn from(error: RecordError) -> Self {
        Self::new(Reject::Record(error))
    }
}

impl From<Full> for Box<Reject> {
    fn from(Full: Full) -> Self {
        RecordError::Full.into()
    }
}

impl Reject {
    /// Prepends the outer part to the column's path.
    pub(super) fn inside(self, outer: &str) -> Self {
        match self {
            Self::Record(error) => Self::Record(error.inside(outer)),
            stop @ Self::Stop(_) => stop,
        }
    }

    /// Whether a value does not fit its column.
    pub(super) fn is_mismatch(&self) -> bool {
        matches!(self, Self::Record(RecordError::Mismatch { .. }))
    }
}

impl RecordError {
    /// Prepends the outer part to the column's path.
    pub(super) fn inside(mut self, outer: &str) -> Self {
        if let Self::Mismatch { column, .. }
        | Self::KeyCollision { column, .. }
        | Self::UnknownField { name: column }
        | Self::NotAdded { name: column, .. } = &mut self
        {
            let dot = if column.is_empty() || column.starts_with(['[', '{']) {
                ""
            } else {
                "."
            };
            column.insert_str(0, dot);
            column.insert_str(0, outer);
        }
        self
    }
}

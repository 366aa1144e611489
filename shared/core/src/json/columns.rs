//! Arrow columns filled from records' bytes.
//!
//! **Names** are matched without regard to case, as Athena does. A key twice in one object: the last one counts. Keys
//! of one object that differ only in case and mean the same column: a mismatch, which names both.
//!
//! **Values** into columns:
//!
//! | column | takes |
//! |---|---|
//! | any | `null` |
//! | boolean | `true`, `false`, and strings of these words in any case |
//! | integers | numbers that are integers and in range (`1.0` and `1e3` are), and strings of such |
//! | float, double | the nearest value to a number or to a string of a number; the strings `NaN`, `Infinity`, `-Infinity`; not what would overflow to infinity |
//! | decimal | numbers and strings of numbers that it holds exactly |
//! | date | strings `yyyy-MM-dd` |
//! | timestamp | what the caller's parser takes; milliseconds are cut, not rounded |
//! | string, binary | the text of strings (binary: its UTF-8 bytes, not base64); everything else as it stands in the JSON |
//! | struct, array | objects, arrays |
//! | map | objects; the key's text is converted as a string value would be |

use std::{borrow::Cow, fmt, sync::Arc};

use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
};
use thiserror::Error;

use super::{
    Broken,
    buffers::Text,
    fill::Filling,
    lex::{self, Kind, Stop},
    node::StructNode,
};
use crate::{config::Policy, csv, quarantine::Reason};

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
    #[error("column `{column}` is {expected}, the record has {found}")]
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

/// What became of a record, with places in the buffer.
pub(super) struct Report {
    timestamp: Option<(usize, usize)>,
    unknown: u32,
    mismatched: u32,
}

impl Report {
    pub(super) fn into_appended(self, buf: &[u8]) -> Appended<'_> {
        let timestamp = self.timestamp.map_or(JsonScalar::Missing, |(start, end)| {
            match Kind::at(buf, start) {
                Ok(Kind::Null) => JsonScalar::Null,
                Ok(Kind::True) => JsonScalar::Bool(true),
                Ok(Kind::False) => JsonScalar::Bool(false),
                Ok(Kind::String) => lex::string(buf, start).map_or(JsonScalar::Missing, |text| {
                    JsonScalar::String(text.decode(buf))
                }),
                Ok(Kind::Number) => {
                    let text = buf.get(start..end).unwrap_or_default();
                    JsonScalar::Number(str::from_utf8(text).unwrap_or_default())
                }
                Ok(Kind::Object | Kind::Array) => JsonScalar::Other,
                Err(_) => JsonScalar::Missing,
            }
        });
        Appended {
            timestamp,
            unknown: self.unknown,
            mismatched: self.mismatched,
        }
    }
}

/// Columns of a schema that records are appended to.
#[derive(Debug)]
pub struct Columns {
    pub(super) root: StructNode,
    pub(super) raw: Option<Text>,
    schema: SchemaRef,
    pub(super) options: ColumnsOptions,
    pub(super) path: Vec<String>,
}

impl Columns {
    /// Empty columns for `schema`. All columns are taken to be nullable.
    ///
    /// # Errors
    /// A type that cannot be filled, or two names that differ only in case.
    pub fn new(schema: &Schema, options: ColumnsOptions) -> Result<Self, SchemaError> {
        let path: Vec<String> = options.timestamp.iter().map(|p| p.to_lowercase()).collect();
        let root = StructNode::new(&schema.fields, &path, Some(0))?;
        let mut fields: Vec<_> = schema.fields.iter().cloned().collect();
        if let Some(name) = &options.raw_column {
            fields.push(Arc::new(Field::new(name, DataType::Binary, false)));
        }
        Ok(Self {
            root,
            raw: options.raw_column.is_some().then(Text::new),
            schema: Arc::new(Schema::new_with_metadata(fields, schema.metadata.clone())),
            options,
            path,
        })
    }

    /// Appends one record, which is exactly one JSON object. On an error the columns stay as they were.
    ///
    /// # Errors
    /// [`RecordError`]; what the policies say happens to it is the caller's to do, but for [`Policy::Drop`].
    pub fn append<'a>(&mut self, record: &'a [u8]) -> Result<Appended<'a>, RecordError> {
        let start = lex::skip_space(record, 0);
        let broken = match self.append_at(record, start) {
            Ok((end, report)) if lex::skip_space(record, end) == record.len() => {
                return Ok(report.into_appended(record));
            }
            Ok((end, _)) => {
                self.undo();
                Stop::Syntax {
                    at: lex::skip_space(record, end),
                    error: super::SyntaxError::UnexpectedByte,
                }
            }
            Err(Reject::Record(error)) => {
                match lex::skip_value(record, start, self.options.max_depth) {
                    Ok(_) => return Err(*error),
                    Err(stop) => stop,
                }
            }
            Err(Reject::Stop(stop)) => stop,
        };
        Err(RecordError::Broken(
            broken.into_broken(0, self.options.max_depth),
        ))
    }

    /// Appends the object that starts at `at`, and gives where it ends.
    pub(super) fn append_at(&mut self, buf: &[u8], at: usize) -> Result<(usize, Report), Reject> {
        let rows = self.rows();
        let filled = self.fill_at(buf, at);
        if filled.is_err() {
            self.truncate(rows);
        }
        filled
    }

    fn fill_at(&mut self, buf: &[u8], at: usize) -> Result<(usize, Report), Reject> {
        if lex::byte(buf, at)? != b'{' {
            return Err(Reject::Stop(Stop::Syntax {
                at,
                error: super::SyntaxError::UnexpectedByte,
            }));
        }
        let mut filling = Filling::new(buf, &self.options, &self.path);
        let end = filling.object(&mut self.root, at)?;
        if let Some(raw) = &mut self.raw {
            raw.push(buf.get(at..end).unwrap_or_default())?;
        }
        Ok((
            end,
            Report {
                timestamp: filling.timestamp,
                unknown: filling.unknown,
                mismatched: filling.mismatched,
            },
        ))
    }

    /// Takes the last row back, if there is one.
    pub fn undo(&mut self) {
        self.truncate(self.rows().saturating_sub(1));
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.root.truncate(rows);
        if let Some(raw) = &mut self.raw {
            raw.truncate(rows);
        }
    }

    /// How records become rows.
    pub(crate) fn options(&self) -> &ColumnsOptions {
        &self.options
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.root.len()
    }

    /// The memory that the columns hold, in bytes. This walks all columns: ask once for many rows.
    pub fn bytes(&self) -> usize {
        self.root.bytes() + self.raw.as_ref().map_or(0, Text::bytes)
    }

    /// The schema of the batches: the one given, and the column of raw bytes if one was asked for.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// The rows as a batch; the columns are empty afterwards.
    ///
    /// # Errors
    /// A column that the schema says has no nulls has some.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let rows = self.rows();
        let mut columns = self.root.take_columns()?;
        self.root.nulls.finish();
        if let Some(raw) = &mut self.raw {
            columns.push(raw.take_binary()?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema(), columns, &options)
    }
}

#[cfg(test)]
#[path = "columns_tests.rs"]
mod tests;

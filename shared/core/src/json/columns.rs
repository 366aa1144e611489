//! Fills Arrow columns from the bytes of records.
//!
//! **Names** are matched without regard to case, as in Athena. If an object has the same key twice, the last one
//! counts. Keys of one object that differ only in case and name the same column are a mismatch, which names both.
//!
//! **Values** by column type:
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
//! | string, binary | the text of strings (binary: its UTF-8 bytes, not base64); everything else as written in the JSON |
//! | struct, array | objects, arrays |
//! | map | objects; the key's text is converted as a string value would be |

mod routed;

use std::sync::Arc;

use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
};

use self::routed::Routed;
use super::{
    Appended, ColumnsOptions, JsonScalar, KeyNames, NewColumns, NewFields, RecordError,
    SchemaError,
    buffers::Text,
    fill::Filling,
    lex::{self, Kind, Stop},
    new_fields::Newcomers,
    node::StructNode,
    record::{Filled, Reject},
};

/// The result of a record, with positions in the buffer.
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

/// The columns of a schema, to which records are appended.
#[derive(Debug)]
pub struct Columns {
    pub(super) root: StructNode,
    pub(super) raw: Option<Text>,
    schema: SchemaRef,
    pub(super) options: ColumnsOptions,
    pub(super) path: Vec<String>,
    pub(super) key_names: KeyNames,
    /// The columns of several destinations, to which records are appended instead.
    routed: Option<Box<Routed>>,
    pub(super) new: Option<Newcomers>,
}

impl Columns {
    /// Creates empty columns for `schema`. All columns are treated as nullable.
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
            key_names: KeyNames::default(),
            routed: None,
            new: None,
        })
    }

    /// Fields without a column may become columns: see [`take_new`](Self::take_new). A record with one that cannot is refused,
    /// unless its value is null, or an object or array without any value.
    #[must_use]
    pub fn adding(mut self, new: NewColumns) -> Self {
        self.new = Some(Newcomers::new(new, &self.options));
        self
    }

    /// Starts with the fields without a column of the next row of texts.
    pub(crate) fn begin_new(&mut self) {
        if let Some(new) = &mut self.new {
            new.begin();
        }
    }

    /// Handles a field of text without a column. `has_value`: whether it is anything but null.
    ///
    /// # Errors
    /// Its record is refused.
    pub(crate) fn unknown_text(
        &mut self,
        name: &str,
        has_value: impl FnOnce() -> bool,
    ) -> Result<(), RecordError> {
        let name = name.to_owned();
        match &mut self.new {
            None => Err(RecordError::UnknownField { name }),
            Some(new) if has_value() => new.add_text(name),
            Some(_) => Ok(()),
        }
    }

    /// The fields of the record that was appended last that have a value and no column.
    pub fn take_new(&mut self) -> Option<NewFields> {
        self.new.as_mut().and_then(Newcomers::take)
    }

    /// Maps keys to columns by these rules instead of by name alone.
    #[must_use]
    pub fn with_key_names(mut self, key_names: KeyNames) -> Self {
        self.key_names = key_names;
        self
    }

    /// Appends one record, which is exactly one JSON object. On an error the columns stay as they were.
    ///
    /// # Errors
    /// [`RecordError`]. The caller applies the policies, except for [`Policy::Drop`].
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
            Err(reject) => match *reject {
                Reject::Record(error) => {
                    match lex::skip_value(record, start, self.options.max_depth) {
                        Ok(_) => return Err(error),
                        Err(stop) => stop,
                    }
                }
                Reject::Stop(stop) => stop,
            },
        };
        Err(RecordError::Broken(
            broken.into_broken(0, self.options.max_depth),
        ))
    }

    /// Appends the object that starts at `at`, and returns its end.
    pub(super) fn append_at(&mut self, buf: &[u8], at: usize) -> Filled<(usize, Report)> {
        if let Some(routed) = &mut self.routed {
            return routed.append_at(buf, at);
        }
        let rows = self.rows();
        let filled = self.fill_at(buf, at);
        if filled.is_err() {
            self.truncate(rows);
        }
        filled
    }

    fn fill_at(&mut self, buf: &[u8], at: usize) -> Filled<(usize, Report)> {
        if lex::byte(buf, at)? != b'{' {
            let error = super::SyntaxError::UnexpectedByte;
            return Err(Stop::Syntax { at, error }.into());
        }
        let mut filling = Filling::new(buf, &self.options, &self.path, &self.key_names);
        if let Some(new) = &mut self.new {
            new.begin();
            filling.new = Some(new);
        }
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

    /// Removes the last row, if there is one.
    pub fn undo(&mut self) {
        if let Some(columns) = self.routed.as_mut().and_then(|routed| routed.last()) {
            return columns.undo();
        }
        self.truncate(self.rows().saturating_sub(1));
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.root.truncate(rows);
        if let Some(raw) = &mut self.raw {
            raw.truncate(rows);
        }
    }

    /// The options.
    pub(crate) fn options(&self) -> &ColumnsOptions {
        &self.options
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.root.len()
    }

    /// The memory of the columns in bytes. This walks all columns: do not call it for each row.
    pub fn bytes(&self) -> usize {
        self.root.bytes() + self.raw.as_ref().map_or(0, Text::bytes)
    }

    /// The schema of the batches: the given one, plus the column of raw bytes if the options name one.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Returns the rows as a batch and resets the columns.
    ///
    /// # Errors
    /// A column that is not nullable in the schema contains nulls.
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

//! Delimited lines, as Hive's `SerDe`s for text read them.

mod fields;
mod nested;

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use arrow::datatypes::DataType;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

pub(crate) use self::nested::{LEVELS, levels};
use self::{
    fields::{lazy_simple, open_csv},
    nested::Delimited,
};
use crate::{
    chunk::Chunk,
    csv::Broken,
    json::{Appended, Columns, Inference, JsonScalar, RecordError},
    records::{ColumnsError, Filled, FrameError, Records, Window},
    shown::Found,
};

/// The special characters of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// Hive's `LazySimpleSerDe`: no quotes.
    /// <https://github.com/apache/hive/blob/master/serde/src/java/org/apache/hadoop/hive/serde2/lazy/LazyUtils.java>
    LazySimple {
        /// The byte between fields.
        delimiter: u8,
        /// The byte that makes the next character literal.
        escape: Option<u8>,
        /// The text of a null field.
        null: String,
        /// Between the elements of a list, the entries of a map and the fields of a struct.
        #[serde(default = "collections")]
        collections: u8,
        /// Between a map's key and its value.
        #[serde(default = "keys")]
        keys: u8,
        /// Whether the last column takes the whole rest of the line.
        #[serde(default)]
        rest: bool,
    },
    /// Hive's `OpenCSVSerde`: a field may have quotes, and no field is null.
    /// <https://github.com/apache/hive/blob/master/serde/src/java/org/apache/hadoop/hive/serde2/OpenCSVSerde.java>
    OpenCsv {
        /// The byte between fields.
        separator: u8,
        /// The byte around a field.
        quote: u8,
        /// In quotes, the byte before a literal quote or before itself.
        escape: u8,
    },
}

/// Hive's delimiter between elements.
pub(super) fn collections() -> u8 {
    2
}

/// Hive's delimiter between a key and its value.
pub(super) fn keys() -> u8 {
    3
}

/// The columns of a line's fields.
#[derive(Debug, Clone, Default)]
pub struct LineColumns {
    /// Their names, in order.
    pub names: Vec<String>,
    /// The types of those that are lists, maps or structs, by index.
    pub nested: HashMap<usize, DataType>,
    /// Whether each byte is the character of its number, as in ISO 8859-1, rather than UTF-8.
    pub latin_1: bool,
}

/// A field of the line that was found last.
#[derive(Debug, Clone, Copy)]
enum Field {
    Null,
    /// A range of the line.
    Plain(usize, usize),
    /// A range of the line that contains escapes.
    Escaped(usize, usize),
    /// A range of the unescaped texts.
    Cooked(usize, usize),
}

/// How a field goes into its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    Text,
    Date,
    Other,
}

/// The field of a column, if the line has one for it, and how it is taken.
type MappedColumn = (Option<usize>, Taken);

/// Finds lines in bytes that are pushed in chunks of any size. A line ends with a newline, a carriage return, or both, as
/// Hadoop's `TextInputFormat` has it.
#[derive(Debug)]
pub struct LineFramer {
    dialect: Dialect,
    header_lines: u32,
    columns: LineColumns,
    max_record: usize,
    window: Window,
    /// The field of each column, and how it is taken; once the columns are known.
    mapping: Option<Arc<[MappedColumn]>>,
    fields: Vec<Field>,
    cooked: String,
}

impl LineFramer {
    /// Creates a framer that skips `header_lines` lines and refuses lines longer than `max_record` bytes. `columns`: the
    /// columns of the fields, in order.
    pub fn new(
        dialect: Dialect,
        header_lines: u32,
        columns: LineColumns,
        max_record: usize,
    ) -> Self {
        Self {
            dialect,
            header_lines,
            columns,
            max_record,
            window: Window::default(),
            mapping: None,
            fields: Vec::new(),
            cooked: String::new(),
        }
    }

    /// The end of the next line, and the start of the one after it.
    fn find(&self) -> Result<Option<(usize, usize)>, FrameError> {
        let rest = self.window.rest();
        let limit = self.max_record.saturating_add(1);
        let visible = rest.get(..limit).unwrap_or(rest);
        let found = memchr::memchr2(b'\n', b'\r', visible);
        let Some(length) = found else {
            return match (self.window.ended, rest.len()) {
                (_, length) if length >= limit => Err(self.window.too_long(self.max_record)),
                (true, 1..) => Ok(Some((self.window.bytes.len(), self.window.bytes.len()))),
                _ => Ok(None),
            };
        };
        let end = self.window.at + length;
        let ends = match (self.window.bytes.get(end), self.window.bytes.get(end + 1)) {
            (Some(b'\r'), Some(b'\n')) => 2,
            (Some(b'\r'), None) if !self.window.ended => return Ok(None),
            _ => 1,
        };
        Ok(Some((end, end + ends)))
    }

    fn append(
        &mut self,
        start: usize,
        end: usize,
        columns: &mut Columns,
    ) -> Result<u32, RecordError> {
        let bytes = self.window.between(start, end);
        let line = if self.columns.latin_1 {
            Cow::Owned(bytes.iter().copied().map(char::from).collect::<String>())
        } else {
            let text = str::from_utf8(bytes).map_err(|error| Broken::InvalidUtf8 {
                at: error.valid_up_to(),
            })?;
            Cow::Borrowed(text)
        };
        let line = &*line;
        self.fields.clear();
        self.cooked.clear();
        let mut delimited = None;
        match &self.dialect {
            Dialect::LazySimple {
                delimiter,
                escape,
                null,
                collections,
                keys,
                rest,
            } => {
                delimited = Some(Delimited {
                    delimiters: nested::delimiters(*delimiter, *collections, *keys),
                    escape: *escape,
                    null,
                });
                lazy_simple(
                    line,
                    *delimiter,
                    *escape,
                    null,
                    rest.then_some(self.columns.names.len()),
                    &mut self.fields,
                );
            }
            Dialect::OpenCsv {
                separator,
                quote,
                escape,
            } => open_csv(
                line,
                [*separator, *quote, *escape],
                &mut self.fields,
                &mut self.cooked,
            )?,
        }
        let (names, is_lazy) = (&self.columns.names, delimited.is_some());
        let mapping = self
            .mapping
            .get_or_insert_with(|| mapped(columns, names, is_lazy));
        let mapping = Arc::clone(mapping);
        let field = |column: usize| {
            let &(field, taken) = mapping.get(column)?;
            let index = field?;
            Some((index, *self.fields.get(index)?, taken))
        };
        // Nested values are converted to JSON, all of them before any value is appended to a column.
        let mut values = HashMap::new();
        if let Some(delimited) = &delimited
            && !self.columns.nested.is_empty()
        {
            for column in 0..mapping.len() {
                let Some((index, Field::Plain(from, to) | Field::Escaped(from, to), _)) =
                    field(column)
                else {
                    continue;
                };
                if let Some(data_type) = self.columns.nested.get(&index) {
                    let text = line.get(from..to).unwrap_or_default();
                    let json =
                        delimited
                            .json(text, data_type)
                            .map_err(|found| RecordError::Mismatch {
                                column: self.columns.names.get(index).cloned().unwrap_or_default(),
                                expected: "map".into(),
                                found: Found::Kind(found),
                            })?;
                    values.insert(column, json);
                }
            }
        }
        let text = |column: usize| {
            let (_, field, taken) = field(column)?;
            if let Some(json) = values.get(&column) {
                return Some(Cow::Borrowed(json.as_str()));
            }
            let escape = delimited.as_ref().and_then(|delimited| delimited.escape);
            let text = field_text(field, line, &self.cooked, escape)?;
            // An empty field of another type than text is null, as in Hive.
            if taken != Taken::Text && text.is_empty() {
                return None;
            }
            let day = (taken == Taken::Date).then(|| day(&text)).flatten();
            Some(day.map_or(text, Cow::Owned))
        };
        columns.append_texts(text, bytes)
    }
}

/// The field of each column, and how it is taken.
fn mapped(columns: &Columns, names: &[String], is_lazy: bool) -> Arc<[MappedColumn]> {
    let names = names.iter().enumerate();
    let names: HashMap<_, _> = names
        .map(|(index, name)| (name.to_lowercase(), index))
        .collect();
    let schema = columns.schema();
    let fields = schema.fields().iter();
    fields
        .map(|field| {
            let taken = match field.data_type() {
                DataType::Utf8 | DataType::Binary => Taken::Text,
                DataType::Date32 if !is_lazy => Taken::Date,
                _ => Taken::Other,
            };
            (names.get(&field.name().to_lowercase()).copied(), taken)
        })
        .collect()
}

/// The text of a field; `None` if it is null.
fn field_text<'a>(
    field: Field,
    line: &'a str,
    cooked: &'a str,
    escape: Option<u8>,
) -> Option<Cow<'a, str>> {
    match field {
        Field::Null => None,
        Field::Plain(from, to) => line.get(from..to).map(Cow::Borrowed),
        Field::Escaped(from, to) => {
            let mut text = String::new();
            if let Some(escape) = escape {
                fields::unescape(line.get(from..to)?, char::from(escape), &mut text);
            }
            Some(Cow::Owned(text))
        }
        Field::Cooked(from, to) => cooked.get(from..to).map(Cow::Borrowed),
    }
}

/// A date from a number of days since 1970-01-01, which is the format of `OpenCSVSerde`.
/// <https://docs.aws.amazon.com/athena/latest/ug/csv-serde.html>
fn day(text: &str) -> Option<String> {
    let days: i32 = text.parse().ok()?;
    let epoch = Date::constant(1970, 1, 1);
    let day = epoch
        .checked_add(jiff::Span::new().try_days(days).ok()?)
        .ok()?;
    (day.year() >= 0).then(|| day.to_string())
}

/// A missing field is null, and a field without a column is left out.
impl Records for LineFramer {
    fn push(&mut self, chunk: &mut Chunk) {
        self.window.push(0, chunk);
    }

    fn finish(&mut self) {
        self.window.ended = true;
    }

    fn next_into(&mut self, columns: &mut Columns) -> Result<Option<Filled<'_>>, FrameError> {
        loop {
            let Some((end, next)) = self.find()? else {
                return Ok(None);
            };
            if self.header_lines > 0 {
                self.header_lines -= 1;
                self.window.at = next;
                continue;
            }
            let start = self.window.at;
            let result = self.append(start, end, columns);
            if !matches!(result, Err(RecordError::Full)) {
                self.window.at = next;
            }
            return Ok(Some(Filled {
                offset: self.window.offset(start),
                bytes: self.window.between(start, end),
                result: result.map_err(Box::new).map(|mismatched| Appended {
                    timestamp: JsonScalar::Missing,
                    unknown: 0,
                    mismatched,
                }),
            }));
        }
    }

    fn infer(&mut self, _: &mut Inference) -> Result<Option<Vec<String>>, ColumnsError> {
        Ok(Some(self.columns.names.clone()))
    }
}

#[cfg(test)]
mod tests;

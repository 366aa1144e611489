//! Delimited lines, as Hive's `SerDe`s for text read them.

mod fields;

use std::{borrow::Cow, collections::HashMap};

use arrow::datatypes::DataType;
use serde::{Deserialize, Serialize};

use self::fields::{lazy_simple, open_csv};
use crate::{
    csv::Broken,
    json::{Appended, Columns, Inference, JsonScalar, RecordError},
    records::{ColumnsError, Filled, FrameError, Records, Window},
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

/// A field of the last line.
#[derive(Debug, Clone, Copy)]
enum Field {
    Null,
    /// A range of the line.
    Plain(usize, usize),
    /// A range of the unescaped texts.
    Cooked(usize, usize),
}

/// Finds lines in bytes that are pushed in chunks of any size. A line ends with a newline, a carriage return, or both,
/// as in Hadoop's `TextInputFormat`.
#[derive(Debug)]
pub struct LineFramer {
    dialect: Dialect,
    header_lines: u32,
    columns: Vec<String>,
    max_record: usize,
    window: Window,
    /// The field of each column, and whether the column is a string; set once the columns are known.
    mapping: Option<Vec<(Option<usize>, bool)>>,
    fields: Vec<Field>,
    cooked: String,
}

impl LineFramer {
    /// Creates a framer that skips `header_lines` and refuses lines longer than `max_record` bytes. `columns`: the
    /// names of the fields, in order.
    pub fn new(dialect: Dialect, header_lines: u32, columns: &[String], max_record: usize) -> Self {
        Self {
            dialect,
            header_lines,
            columns: columns.to_vec(),
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
        let line = str::from_utf8(bytes).map_err(|error| Broken::InvalidUtf8 {
            at: error.valid_up_to(),
        })?;
        self.fields.clear();
        self.cooked.clear();
        match &self.dialect {
            Dialect::LazySimple {
                delimiter,
                escape,
                null,
            } => lazy_simple(
                line,
                *delimiter,
                *escape,
                null,
                &mut self.fields,
                &mut self.cooked,
            ),
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
        let names = &self.columns;
        let mapping = self.mapping.get_or_insert_with(|| {
            let names = names.iter().enumerate();
            let names: HashMap<_, _> = names
                .map(|(index, name)| (name.to_lowercase(), index))
                .collect();
            let schema = columns.schema();
            let fields = schema.fields().iter();
            fields
                .map(|field| {
                    let is_text = matches!(field.data_type(), DataType::Utf8 | DataType::Binary);
                    (names.get(&field.name().to_lowercase()).copied(), is_text)
                })
                .collect()
        });
        let text = |column: usize| {
            let &(field, is_text) = mapping.get(column)?;
            let text = match *self.fields.get(field?)? {
                Field::Null => return None,
                Field::Plain(from, to) => line.get(from..to)?,
                Field::Cooked(from, to) => self.cooked.get(from..to)?,
            };
            // In a column that is not a string, an empty field is null, as in Hive.
            (is_text || !text.is_empty()).then_some(Cow::Borrowed(text))
        };
        columns.append_texts(text, bytes)
    }
}

/// A missing field is null, and a field without a column is left out.
impl Records for LineFramer {
    fn push(&mut self, bytes: &[u8]) {
        self.window.push(bytes);
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
                result: result.map(|mismatched| Appended {
                    timestamp: JsonScalar::Missing,
                    unknown: 0,
                    mismatched,
                }),
            }));
        }
    }

    fn infer(&mut self, _: &mut Inference) -> Result<Option<Vec<String>>, ColumnsError> {
        Ok(Some(self.columns.clone()))
    }
}

#[cfg(test)]
mod tests;

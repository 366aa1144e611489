//! Lines of fields, as Hive's `SerDe`s for text read them.

mod fields;

use std::{borrow::Cow, collections::HashMap};

use arrow::datatypes::DataType;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::fields::{lazy_simple, open_csv};
use crate::{
    csv::Broken,
    json::{Appended, Columns, Filled, JsonScalar, RecordError},
};

/// What the characters of a line mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// Hive's `LazySimpleSerDe`: no quotes.
    /// <https://github.com/apache/hive/blob/master/serde/src/java/org/apache/hadoop/hive/serde2/lazy/LazyUtils.java>
    LazySimple {
        /// Between the fields.
        delimiter: u8,
        /// Before a character that is to mean nothing.
        escape: Option<u8>,
        /// The field that is null.
        null: String,
    },
    /// Hive's `OpenCSVSerde`: each field may stand in quotes, and none is null.
    /// <https://github.com/apache/hive/blob/master/serde/src/java/org/apache/hadoop/hive/serde2/OpenCSVSerde.java>
    OpenCsv {
        /// Between the fields.
        separator: u8,
        /// Around a field.
        quote: u8,
        /// In quotes, before a quote or itself.
        escape: u8,
    },
}

/// Why no more lines can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LineError {
    /// A line is longer than the limit.
    #[error("the line at byte {offset} is longer than {limit} bytes")]
    TooLong {
        /// Where it starts, in bytes of the decompressed stream.
        offset: u64,
        /// The longest that is taken, in bytes.
        limit: usize,
    },
}

/// A field of the line that was found last.
#[derive(Debug, Clone, Copy)]
enum Field {
    Null,
    /// In the line.
    Plain(usize, usize),
    /// Among the texts that do not stand in the line as they are.
    Cooked(usize, usize),
}

/// Finds lines in bytes that are pushed in chunks of any size. A line ends with a newline, a carriage return, or both, as
/// Hadoop's `TextInputFormat` has it.
#[derive(Debug)]
pub struct LineFramer {
    dialect: Dialect,
    header_lines: u32,
    names: HashMap<String, usize>,
    max_record: usize,
    buffer: Vec<u8>,
    at: usize,
    offset: u64,
    ended: bool,
    /// The field of each column, and whether it is a string; once the columns are known.
    mapping: Option<Vec<(Option<usize>, bool)>>,
    fields: Vec<Field>,
    cooked: String,
}

impl LineFramer {
    /// A framer that passes over `header_lines` and refuses lines longer than `max_record` bytes. `columns`: the names of
    /// the fields, in order.
    pub fn new(dialect: Dialect, header_lines: u32, columns: &[String], max_record: usize) -> Self {
        let names = columns.iter().enumerate();
        Self {
            dialect,
            header_lines,
            names: names
                .map(|(index, name)| (name.to_lowercase(), index))
                .collect(),
            max_record,
            buffer: Vec::new(),
            at: 0,
            offset: 0,
            ended: false,
            mapping: None,
            fields: Vec::new(),
            cooked: String::new(),
        }
    }

    /// Takes the next bytes of the stream. Ask for lines until there is none before the next push.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.at > self.buffer.len() / 2 {
            self.buffer.drain(..self.at);
            self.offset += self.at as u64;
            self.at = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Says that the stream has ended: what is left is the last line.
    pub fn finish(&mut self) {
        self.ended = true;
    }

    /// The next line, its fields appended to `columns`, which are the same at each call; `None` before more bytes come. A
    /// field that is missing is null, and one that has no column is left out. A line for which the columns are
    /// [`RecordError::Full`] is the next one again.
    ///
    /// # Errors
    /// A line that is too long.
    pub fn next_into(&mut self, columns: &mut Columns) -> Result<Option<Filled<'_>>, LineError> {
        loop {
            let Some((end, next)) = self.find()? else {
                return Ok(None);
            };
            if self.header_lines > 0 {
                self.header_lines -= 1;
                self.at = next;
                continue;
            }
            let start = self.at;
            let result = self.append(start, end, columns);
            if !matches!(result, Err(RecordError::Full)) {
                self.at = next;
            }
            return Ok(Some(Filled {
                offset: self.offset + start as u64,
                bytes: self.buffer.get(start..end).unwrap_or_default(),
                result: result.map(|mismatched| Appended {
                    timestamp: JsonScalar::Missing,
                    unknown: 0,
                    mismatched,
                }),
            }));
        }
    }

    /// Where the next line ends, and where the one after it begins.
    fn find(&self) -> Result<Option<(usize, usize)>, LineError> {
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        let limit = self.max_record.saturating_add(1);
        let visible = rest.get(..limit).unwrap_or(rest);
        let found = memchr::memchr2(b'\n', b'\r', visible);
        let too_long = LineError::TooLong {
            offset: self.offset + self.at as u64,
            limit: self.max_record,
        };
        let Some(length) = found else {
            return match (self.ended, rest.len()) {
                (_, length) if length >= limit => Err(too_long),
                (true, 1..) => Ok(Some((self.buffer.len(), self.buffer.len()))),
                _ => Ok(None),
            };
        };
        let end = self.at + length;
        let ends = match (self.buffer.get(end), self.buffer.get(end + 1)) {
            (Some(b'\r'), Some(b'\n')) => 2,
            (Some(b'\r'), None) if !self.ended => return Ok(None),
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
        let bytes = self.buffer.get(start..end).unwrap_or_default();
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
        let names = &self.names;
        let mapping = self.mapping.get_or_insert_with(|| {
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
            // What is no text has no value there, as in Hive.
            (is_text || !text.is_empty()).then_some(Cow::Borrowed(text))
        };
        columns.append_texts(text, bytes)
    }
}

#[cfg(test)]
mod tests;

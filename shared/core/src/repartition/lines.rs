//! Lines of fields, as Hive's `SerDe`s for text read them.

use std::{borrow::Cow, collections::HashMap};

use arrow::datatypes::DataType;
use serde::{Deserialize, Serialize};
use thiserror::Error;

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

fn lazy_simple(
    line: &str,
    delimiter: u8,
    escape: Option<u8>,
    null: &str,
    fields: &mut Vec<Field>,
    cooked: &mut String,
) {
    let bytes = line.as_bytes();
    let mut start = 0;
    loop {
        let mut at = start;
        let mut escaped = false;
        let end = loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let found = match escape {
                Some(escape) => memchr::memchr2(delimiter, escape, rest),
                None => memchr::memchr(delimiter, rest),
            };
            match found {
                None => break bytes.len(),
                Some(length) if rest.get(length) == Some(&delimiter) => break at + length,
                Some(length) => {
                    escaped = true;
                    at = (at + length + 2).min(bytes.len());
                }
            }
        };
        let text = line.get(start..end).unwrap_or_default();
        fields.push(match escape {
            _ if text == null => Field::Null,
            Some(escape) if escaped => {
                let from = cooked.len();
                unescape(text, char::from(escape), cooked);
                Field::Cooked(from, cooked.len())
            }
            _ => Field::Plain(start, end),
        });
        if end == bytes.len() {
            return;
        }
        start = end + 1;
    }
}

/// As `LazyUtils.copyAndEscapeStringDataToText` does.
fn unescape(text: &str, escape: char, cooked: &mut String) {
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != escape {
            cooked.push(character);
            continue;
        }
        cooked.push(match characters.next() {
            Some('r') => '\r',
            Some('n') => '\n',
            Some(other) => other,
            None => escape,
        });
    }
}

/// As opencsv's `CSVParser` does, which the SerDe uses.
/// <https://github.com/jdbi/jdbi2-opencsv/blob/master/src/au/com/bytecode/opencsv/CSVParser.java>
fn open_csv(
    line: &str,
    [separator, quote, escape]: [u8; 3],
    fields: &mut Vec<Field>,
    cooked: &mut String,
) -> Result<(), Broken> {
    let bytes = line.as_bytes();
    let mut at = 0;
    loop {
        let start = at;
        let rest = bytes.get(at..).unwrap_or_default();
        // Most fields have no mark but the separator behind them.
        let length = memchr::memchr3(separator, quote, escape, rest).unwrap_or(rest.len());
        if matches!(rest.get(length), Some(&mark) if mark != separator) {
            let from = cooked.len();
            at = quoted(line, start, [separator, quote, escape], from, cooked)?;
            fields.push(Field::Cooked(from, cooked.len()));
        } else {
            at += length;
            fields.push(Field::Plain(start, at));
        }
        if at >= bytes.len() {
            return Ok(());
        }
        at += 1;
    }
}

/// Cooks the field that begins at `start`; where it ends.
fn quoted(
    line: &str,
    start: usize,
    [separator, quote, escape]: [u8; 3],
    from: usize,
    cooked: &mut String,
) -> Result<usize, Broken> {
    let bytes = line.as_bytes();
    let mut in_quotes = false;
    let mut at = start;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let length = memchr::memchr3(separator, quote, escape, rest).unwrap_or(rest.len());
        cooked.push_str(line.get(at..at + length).unwrap_or_default());
        at += length;
        let (Some(&mark), next) = (bytes.get(at), bytes.get(at + 1).copied()) else {
            return if in_quotes {
                Err(Broken::Truncated)
            } else {
                Ok(at)
            };
        };
        if mark == escape {
            // Before anything else it stands for nothing.
            if let Some(next) = next.filter(|next| in_quotes && [quote, escape].contains(next)) {
                cooked.push(char::from(next));
                at += 1;
            }
        } else if mark == quote {
            if in_quotes && next == Some(quote) {
                cooked.push(char::from(quote));
                at += 1;
            } else {
                let inside = at > 2
                    && bytes.get(at - 1) != Some(&separator)
                    && next.is_some_and(|next| next != separator);
                if inside {
                    let so_far = cooked.get(from..).unwrap_or_default();
                    if !so_far.is_empty() && so_far.trim().is_empty() {
                        cooked.truncate(from);
                    } else {
                        cooked.push(char::from(quote));
                    }
                }
                in_quotes = !in_quotes;
            }
        } else if in_quotes {
            cooked.push(char::from(separator));
        } else {
            return Ok(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{Array, AsArray},
        compute::cast,
        datatypes::{Field as Column, Schema},
    };
    use proptest::prelude::*;

    use super::*;
    use crate::{
        config::Policy,
        json::{ColumnsOptions, MAX_DEPTH},
        semantics::stated,
    };

    fn lazy(escape: Option<u8>) -> Dialect {
        Dialect::LazySimple {
            delimiter: b',',
            escape,
            null: "\\N".to_owned(),
        }
    }

    fn open() -> Dialect {
        Dialect::OpenCsv {
            separator: b',',
            quote: b'"',
            escape: b'\\',
        }
    }

    /// The rows of `text`, in chunks of this size, as columns `a` (string), `n` (int) and `z` (string).
    fn rows(
        dialect: Dialect,
        header: u32,
        text: &str,
        chunk: usize,
    ) -> Result<Vec<[Option<String>; 3]>, String> {
        let names = ["a", "n", "z"].map(String::from);
        let schema = Schema::new(vec![
            Column::new("a", DataType::Utf8, true),
            Column::new("N", DataType::Int32, true),
            Column::new("z", DataType::Utf8, true),
        ]);
        let options = ColumnsOptions {
            on_unknown: Policy::Fail,
            on_mismatch: Policy::Fail,
            timestamp: Vec::new(),
            parse_timestamp: Box::new(|_| None),
            raw_column: None,
            max_depth: MAX_DEPTH,
        };
        let mut columns = Columns::new(&schema, options).unwrap();
        let mut framer = LineFramer::new(dialect, header, &names, 1_000);
        let take = |framer: &mut LineFramer, columns: &mut Columns| {
            while let Some(filled) = framer.next_into(columns).map_err(|e| e.to_string())? {
                filled.result.map_err(|error| error.to_string())?;
            }
            Ok::<_, String>(())
        };
        for bytes in text.as_bytes().chunks(chunk) {
            framer.push(bytes);
            take(&mut framer, &mut columns)?;
        }
        framer.finish();
        take(&mut framer, &mut columns)?;
        let batch = columns.finish().unwrap();
        let texts = batch
            .columns()
            .iter()
            .map(|column| cast(column, &DataType::Utf8).unwrap());
        let texts = texts.collect::<Vec<_>>();
        let value = |row: usize, column: usize| {
            let text = texts[column].as_string::<i32>();
            text.is_valid(row).then(|| text.value(row).to_owned())
        };
        Ok((0..batch.num_rows())
            .map(|row| [value(row, 0), value(row, 1), value(row, 2)])
            .collect())
    }

    fn row(a: Option<&str>, n: Option<&str>, z: Option<&str>) -> [Option<String>; 3] {
        [a, n, z].map(|text| text.map(String::from))
    }

    #[test]
    fn lazy_simple_lines() {
        stated(
            "LazySimpleSerDe's fields lie between delimiters and know no quotes; the null format is null, and so is an empty field whose column is no string; a missing field is null, and one too many is left out.",
        );
        stated(
            "An escape character of LazySimpleSerDe makes the next one data, `r` and `n` a carriage return and a newline.",
        );
        for (escape, text, expected) in [
            (None, "a,1,z\n", row(Some("a"), Some("1"), Some("z"))),
            (None, "\"a,1,z\"", row(Some("\"a"), Some("1"), Some("z\""))),
            (None, "\\N,\\N,", row(None, None, Some(""))),
            (None, ",,\r\n", row(Some(""), None, Some(""))),
            (None, "a", row(Some("a"), None, None)),
            (None, "a,2,z,more", row(Some("a"), Some("2"), Some("z"))),
            (None, "\n", row(Some(""), None, None)),
            (
                Some(b'\\'),
                "a\\,b\\\\,1,x\\ny",
                row(Some("a,b\\"), Some("1"), Some("x\ny")),
            ),
            (Some(b'\\'), "\\N,1,z\\", row(None, Some("1"), Some("z\\"))),
        ] {
            assert_eq!(
                rows(lazy(escape), 0, text, 100),
                Ok(vec![expected]),
                "{text:?}"
            );
        }
        let error = rows(lazy(None), 0, "a,x,z", 100).unwrap_err();
        assert!(error.contains('N') && error.contains('x'), "{error}");
    }

    #[test]
    fn open_csv_lines() {
        stated(
            "OpenCSVSerde's fields may stand in quotes, with quotes doubled or escaped inside, and none is null but for an empty one whose column is no string; an escape character before anything else is left out.",
        );
        for (text, expected) in [
            ("\"a,b\",\"1\",z", row(Some("a,b"), Some("1"), Some("z"))),
            (
                "\"say \"\"hi\"\"\",,\"\"",
                row(Some("say \"hi\""), None, Some("")),
            ),
            (
                "\"a\\\"b\\\\\",1,x\\y",
                row(Some("a\"b\\"), Some("1"), Some("xy")),
            ),
            ("12\" Pro,1,", row(Some("12\" Pro"), Some("1"), Some(""))),
            ("a, \"1\",z", row(Some("a"), Some("1"), Some("z"))),
        ] {
            // An inner quote opens one for opencsv too: the line is not whole.
            let found = rows(open(), 0, text, 100);
            if text.starts_with("12") {
                assert!(found.unwrap_err().contains("quotes"));
            } else {
                assert_eq!(found, Ok(vec![expected]), "{text:?}");
            }
        }
    }

    #[test]
    fn header_lines_are_passed_over() {
        stated("`skip.header.line.count` lines at the beginning of each object are no rows.");
        let found = rows(lazy(None), 2, "h,h,h\nh\na,1,z\n", 1);
        assert_eq!(found, Ok(vec![row(Some("a"), Some("1"), Some("z"))]));
    }

    #[test]
    fn what_is_too_long_or_no_text_is_refused() {
        assert!(
            rows(lazy(None), 0, &"a".repeat(1_001), 100)
                .unwrap_err()
                .contains("1000 bytes")
        );
        assert!(rows(lazy(None), 0, &format!("{}\n", "a".repeat(1_000)), 100).is_ok());
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(
            lines in prop::collection::vec("[a-c,\"\\\\\r]{0,8}", 0..8), chunk in 1_usize..9, opencsv: bool,
        ) {
            let text = lines.join("\n");
            let dialect = || if opencsv { open() } else { lazy(Some(b'\\')) };
            prop_assert_eq!(rows(dialect(), 0, &text, chunk), rows(dialect(), 0, &text, 1_000));
        }
    }
}

//! Reads the values of a row.

use std::borrow::Cow;

use memchr::memchr;
use thiserror::Error;

use super::{SourceFormat, json, types::JsonForm};
use crate::config::{ResultColumn, Types};
use crate::shown::words;

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// How its texts are written in JSON.
    pub kind: JsonForm,
}

impl Column {
    /// Columns with these names, and types by `types`.
    pub fn all(columns: &[ResultColumn], types: Types) -> Vec<Self> {
        let column = |column: &ResultColumn| Self {
            name: column.name.clone(),
            kind: match types {
                Types::Query => JsonForm::of(&column.athena_type),
                Types::String => JsonForm::Text,
            },
        };
        columns.iter().map(column).collect()
    }
}

/// The error of a row.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RowProblem {
    /// It is not UTF-8.
    #[error("it is not UTF-8 (at byte {0} of the row)")]
    NotText(usize),
    /// It has more or fewer fields than there are columns.
    #[error("{found} fields instead of {expected}")]
    FieldCount {
        /// The columns.
        expected: usize,
        /// The fields.
        found: usize,
    },
    /// Something follows the quote that closes a field.
    #[error("text after the closing quote of field {0} (from 0)")]
    TextAfterQuote(usize),
    /// It ends inside quotes.
    #[error("it ends inside the quotes of field {0} (from 0)")]
    Unclosed(usize),
    /// It is not a JSON object.
    #[error("it is not a JSON object: {}", words(.0))]
    NotAnObject(String),
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// Null.
    Null,
    /// A text, with its column's kind.
    Text(Cow<'a, str>, JsonForm),
    /// Raw JSON.
    Json(&'a str),
}

/// A value and its column's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<'a> {
    /// The column's name.
    pub name: Cow<'a, str>,
    /// The value.
    pub value: Value<'a>,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<'a> {
    /// Its values, in order.
    pub fields: Vec<Field<'a>>,
    /// The JSON document, if the row was one.
    pub document: Option<&'a str>,
}

impl Row<'_> {
    /// The text of the value of the column with this name, whatever the case. `None` if it is null or there is no such
    /// column.
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        let mut fields = self.fields.iter();
        let exact = fields.rfind(|field| field.name == name);
        let field = exact.or_else(|| {
            let name = name.to_lowercase();
            self.fields
                .iter()
                .rfind(|field| field.name.to_lowercase() == name)
        })?;
        field.value.text()
    }
}

impl Value<'_> {
    /// Its text; `None` for null.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Null => None,
            Self::Text(text, _) => Some(Cow::Borrowed(text)),
            Self::Json(value) => json::text(value),
        }
    }
}

/// Reads rows of one format.
#[derive(Debug, Clone)]
pub struct RowReader {
    format: SourceFormat,
    columns: Vec<Column>,
    types: Types,
}

impl RowReader {
    /// Creates a reader of rows with these columns. JSON rows name their fields themselves; Parquet rows arrive as JSON
    /// without null fields.
    pub fn new(format: SourceFormat, columns: Vec<Column>, types: Types) -> Self {
        Self {
            format,
            columns,
            types,
        }
    }

    /// Reads the row in `bytes`, which must be one row without its line ending.
    ///
    /// # Errors
    /// See [`RowProblem`].
    pub fn read<'a>(&'a self, bytes: &'a [u8]) -> Result<Row<'a>, RowProblem> {
        let text =
            str::from_utf8(bytes).map_err(|error| RowProblem::NotText(error.valid_up_to()))?;
        match self.format {
            SourceFormat::Csv => self.csv(text),
            SourceFormat::Text { delimiter } => self.delimited(text, char::from(delimiter)),
            SourceFormat::Json => self.json(text),
            SourceFormat::Parquet => self.parquet(text),
        }
    }

    fn csv<'a>(&'a self, text: &'a str) -> Result<Row<'a>, RowProblem> {
        let mut columns = self.columns.iter();
        let mut fields = Vec::with_capacity(self.columns.len());
        let mut found = 0;
        csv_fields(text, |value| {
            found += 1;
            if let Some(column) = columns.next() {
                fields.push(Field {
                    name: Cow::Borrowed(&column.name),
                    value: value.map_or(Value::Null, |text| Value::Text(text, column.kind)),
                });
            }
        })?;
        self.counted(fields, found)
    }

    fn delimited<'a>(&'a self, text: &'a str, delimiter: char) -> Result<Row<'a>, RowProblem> {
        let mut fields = Vec::with_capacity(self.columns.len());
        let mut columns = self.columns.iter();
        let mut found = 0;
        for text in text.split(delimiter) {
            found += 1;
            if let Some(column) = columns.next() {
                fields.push(Field {
                    name: Cow::Borrowed(&column.name),
                    value: match text {
                        r"\N" => Value::Null,
                        text => Value::Text(Cow::Borrowed(text), column.kind),
                    },
                });
            }
        }
        self.counted(fields, found)
    }

    fn counted<'a>(&self, fields: Vec<Field<'a>>, found: usize) -> Result<Row<'a>, RowProblem> {
        let expected = self.columns.len();
        if found != expected {
            return Err(RowProblem::FieldCount { expected, found });
        }
        Ok(Row {
            fields,
            document: None,
        })
    }

    fn json<'a>(&self, text: &'a str) -> Result<Row<'a>, RowProblem> {
        let fields = document(text)?.into_iter().map(|(name, value)| Field {
            name,
            value: self.json_value(value),
        });
        Ok(Row {
            fields: fields.collect(),
            document: (self.types == Types::Query).then_some(text.trim_ascii()),
        })
    }

    fn parquet<'a>(&'a self, text: &'a str) -> Result<Row<'a>, RowProblem> {
        let mut values = document(text)?.into_iter().peekable();
        let fields = self.columns.iter().map(|column| Field {
            name: Cow::Borrowed(&column.name),
            value: match values.next_if(|(name, _)| *name == column.name) {
                Some((_, value)) => self.json_value(value),
                None => Value::Null,
            },
        });
        Ok(Row {
            fields: fields.collect(),
            document: None,
        })
    }

    fn json_value<'a>(&self, value: &'a str) -> Value<'a> {
        match self.types {
            _ if value == "null" => Value::Null,
            Types::Query => Value::Json(value),
            Types::String => {
                json::text(value).map_or(Value::Null, |text| Value::Text(text, JsonForm::Text))
            }
        }
    }
}

fn document(text: &str) -> Result<Vec<(Cow<'_, str>, &str)>, RowProblem> {
    let json::Fields(fields) =
        serde_json::from_str(text).map_err(|error| RowProblem::NotAnObject(error.to_string()))?;
    Ok(fields)
}

/// The names in the header of Athena's CSV.
///
/// # Errors
/// It is not a CSV row, or not UTF-8.
pub fn header_names(bytes: &[u8]) -> Result<Vec<String>, RowProblem> {
    let text = str::from_utf8(bytes).map_err(|error| RowProblem::NotText(error.valid_up_to()))?;
    let mut names = Vec::new();
    csv_fields(text, |name| {
        names.push(name.unwrap_or_default().into_owned());
    })?;
    Ok(names)
}

/// Calls `field` with each field of a row of Athena's CSV; no field is null.
fn csv_fields<'a>(
    row: &'a str,
    mut field: impl FnMut(Option<Cow<'a, str>>),
) -> Result<(), RowProblem> {
    let mut rest = row;
    let mut index = 0;
    loop {
        let (value, after) = if let Some(inside) = rest.strip_prefix('"') {
            let (text, after) = quoted(inside).ok_or(RowProblem::Unclosed(index))?;
            (Some(text), after)
        } else {
            let end = memchr(b',', rest.as_bytes()).unwrap_or(rest.len());
            let (text, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            let value = (!text.is_empty()).then_some(Cow::Borrowed(text));
            (value, after)
        };
        field(value);
        if after.is_empty() {
            return Ok(());
        }
        rest = after
            .strip_prefix(',')
            .ok_or(RowProblem::TextAfterQuote(index))?;
        index += 1;
    }
}

/// The text up to its closing quote, and what follows that quote.
fn quoted(inside: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut end = memchr(b'"', inside.as_bytes())?;
    let mut doubled = false;
    while inside.as_bytes().get(end + 1) == Some(&b'"') {
        doubled = true;
        let from = end + 2;
        end = from + memchr(b'"', inside.as_bytes().get(from..)?)?;
    }
    let text = inside.get(..end)?;
    let text = if doubled {
        Cow::Owned(text.replace("\"\"", "\""))
    } else {
        Cow::Borrowed(text)
    };
    Some((text, inside.get(end + 1..)?))
}

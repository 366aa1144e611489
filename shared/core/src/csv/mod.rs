//! CSV: finds records in a stream of bytes and fills Arrow columns from their fields ([`Framer`]). docs/SEMANTICS.md,
//! "CSV", specifies which inputs are accepted and what they mean.

mod framer;
mod names;
mod scan;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use arrow::datatypes::{DataType, Field, Schema};
use thiserror::Error;

pub use self::framer::{Framer, Record};
pub(crate) use self::names::{Mapping, Names};
use self::scan::Span;
use crate::quarantine::Reason;

/// The columns of records with these field names, if no table defines them: strings, with lower-case names.
pub fn inferred(names: &[String]) -> Schema {
    let columns = names.iter().filter(|name| !name.is_empty());
    let fields = columns.map(|name| Field::new(name.to_lowercase(), DataType::Utf8, true));
    Schema::new(fields.collect::<Vec<_>>())
}

/// Why a part of the input is not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Broken {
    /// The quote that closes a field is followed by neither a delimiter nor the end of the record.
    #[error("text after the closing quote of a field")]
    TextAfterQuote,
    /// It has more or fewer fields than there are columns.
    #[error("{found} fields instead of {expected}")]
    FieldCount {
        /// The number of columns.
        expected: usize,
        /// The number of fields.
        found: usize,
    },
    /// It is not UTF-8.
    #[error("invalid UTF-8 (at byte {at} of the record)")]
    InvalidUtf8 {
        /// The offset in the record, in bytes.
        at: usize,
    },
    /// It has a NUL outside quotes.
    #[error("a NUL outside quotes (at byte {at} of the record)")]
    Nul {
        /// The offset in the record, in bytes.
        at: usize,
    },
    /// A line ends inside a field in quotes, although each line must be a record.
    #[error(
        "the line ends inside quotes, and OpenCSVSerde takes each line for a record: if values contain newlines, set `csv = {{}}` in the job, which reads CSV with quotes"
    )]
    OpenQuote,
    /// The input ends inside a field in quotes.
    #[error("the input ends inside a field in quotes")]
    Truncated,
}

impl Broken {
    /// The reason for the quarantine.
    pub fn reason(&self) -> Reason {
        match self {
            Self::TextAfterQuote | Self::InvalidUtf8 { .. } | Self::Nul { .. } => {
                Reason::InvalidCsv
            }
            Self::FieldCount { .. } => Reason::FieldCount,
            Self::Truncated | Self::OpenQuote => Reason::Truncated,
        }
    }
}

/// The fields of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields<'a> {
    text: &'a str,
    /// The base of the spans in the text.
    start: usize,
    spans: &'a [Span],
    quote: &'a str,
    null: Option<&'a str>,
}

impl<'a> Fields<'a> {
    /// The text of the field at `index`, without its quotes. `None` if it is null.
    pub fn get(&self, index: usize) -> Option<Cow<'a, str>> {
        let span = self.spans.get(index)?;
        let text = self
            .text
            .get(span.start - self.start..span.end - self.start)?;
        if !span.quoted && (text.is_empty() || Some(text) == self.null) {
            return None;
        }
        if !span.escaped {
            return Some(Cow::Borrowed(text));
        }
        Some(Cow::Owned(text.replace(&self.quote.repeat(2), self.quote)))
    }

    /// All fields in order, as [`get`](Self::get) returns them.
    pub fn iter(&self) -> impl Iterator<Item = Option<Cow<'a, str>>> {
        (0..self.spans.len()).map(|index| self.get(index))
    }
}

//! JSON: finds records in a stream of bytes ([`Framer`]), fills Arrow columns from their bytes ([`Columns`]), and
//! infers a schema ([`Inference`]), without building a document tree.

mod buffers;
mod columns;
mod envelope;
mod fill;
mod framer;
mod infer;
mod inferred;
mod key_names;
mod keys;
mod lex;
mod new_fields;
mod node;
mod number;
mod record;
mod resume;
mod scalar;
mod texts;

pub use columns::Columns;
pub use envelope::{Envelope, Lack, PathError, PathFault};
pub use framer::{Aggregates, Frame, Framer};
pub use infer::{InferError, Inference, MAX_COLUMNS};
pub use inferred::InferredPlace;
pub use key_names::KeyNames;
pub(crate) use new_fields::untyped;
pub use new_fields::{Conflict, NO_TYPE, NewColumns, NewFields};
pub use record::{Appended, ColumnsOptions, JsonScalar, ParseTimestamp, RecordError, SchemaError};

use thiserror::Error;

use crate::quarantine::Reason;

/// The deepest nesting of objects and arrays in a record, including the record itself.
pub const MAX_DEPTH: usize = 64;

/// A syntax error by [RFC 8259](https://www.rfc-editor.org/rfc/rfc8259).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SyntaxError {
    /// This byte cannot start a value.
    #[error("unexpected byte where a value is expected")]
    UnexpectedByte,
    /// A key's opening quote was expected here.
    #[error("expected a key in quotes")]
    ExpectedKey,
    /// A colon was expected here.
    #[error("expected `:`")]
    ExpectedColon,
    /// A comma, or the end of the object or array, was expected here.
    #[error("expected `,` or the end of the object or array")]
    ExpectedCommaOrEnd,
    /// Not a JSON number.
    #[error("invalid number")]
    InvalidNumber,
    /// Not a JSON escape sequence.
    #[error("invalid escape sequence")]
    InvalidEscape,
    /// An escaped UTF-16 surrogate without its other half, which is not a character.
    #[error("lone surrogate")]
    LoneSurrogate,
    /// A raw control character in a string.
    #[error("control character in a string")]
    ControlCharacter,
    /// A string that is not UTF-8.
    #[error("invalid UTF-8")]
    InvalidUtf8,
}

/// A value that is not an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAnObject {
    /// An array inside a top-level array.
    Array,
    /// A string.
    String,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// `null`.
    Null,
}

impl std::fmt::Display for NotAnObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Array => "an array",
            Self::String => "a string",
            Self::Number => "a number",
            Self::Boolean => "a boolean",
            Self::Null => "null",
        })
    }
}

/// Why a part of the input is not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Broken {
    /// It is not JSON.
    #[error("{error} (at byte {at} of the record)")]
    Syntax {
        /// The offset in the record, in bytes.
        at: usize,
        /// The error at this offset.
        error: SyntaxError,
    },
    /// It is nested too deep.
    #[error("nested deeper than {limit}")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// It is a JSON value that is not an object.
    #[error("{0} instead of an object")]
    NotAnObject(NotAnObject),
    /// The input ends inside it.
    #[error("the input ends inside the record")]
    Truncated,
    /// A top-level array is not closed: the input ends inside it, or something other than a comma or a bracket precedes the
    /// next object or array. The stretch is empty.
    #[error("an array of records is not closed")]
    UnclosedArray,
    /// An envelope lacks its records, or its records lack a field of it. If it is not closed, the stretch is empty.
    #[error("a part of the envelope {0}")]
    Envelope(Lack),
    /// An aggregate of the Kinesis Producer Library that is damaged or cut short.
    #[error("the Kinesis aggregate is damaged or cut short, and nothing of it is read")]
    Aggregate,
}

impl Broken {
    /// The reason for the quarantine.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Syntax { .. } => Reason::InvalidJson,
            Self::TooDeep { .. } => Reason::TooDeep,
            Self::NotAnObject(_) => Reason::NotAnObject,
            Self::Truncated | Self::UnclosedArray | Self::Envelope(Lack::Unclosed) => {
                Reason::Truncated
            }
            Self::Envelope(_) => Reason::BadEnvelope,
            Self::Aggregate => Reason::BadAggregate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ColumnsOptions, JsonScalar};
    use crate::config::Policy;

    /// Unknown fields are dropped, mismatches refused, the timestamp is at `t`; the only time is `now`, at 1,500 µs.
    pub(super) fn options() -> ColumnsOptions {
        ColumnsOptions {
            on_unknown: Policy::Drop,
            on_mismatch: Policy::Quarantine,
            timestamp: vec!["t".to_owned()],
            parse_timestamp: Box::new(|scalar| match scalar {
                JsonScalar::String(text) => (text == "now").then_some(1_500),
                JsonScalar::Number(text) => text.parse().ok(),
                _ => None,
            }),
            raw_column: None,
            max_depth: super::MAX_DEPTH,
        }
    }
}

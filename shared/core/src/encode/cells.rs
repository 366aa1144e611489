//! Converts columns of any type to text, as CSV needs it.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, StringArray},
    compute::{CastOptions, cast, cast_with_options},
    datatypes::{DataType, FieldRef},
    error::ArrowError,
    json::writer::{EncoderOptions, NullableEncoder, make_encoder},
};

pub(crate) use super::text::FOUR_DIGIT_YEARS;
use super::text::{self, JsonText, Quotes};

/// The texts of one column.
pub(crate) enum Cells<'a> {
    /// Strings as they are.
    Text(&'a StringArray),
    /// Values whose text contains neither delimiters nor quotes.
    Bare(NullableEncoder<'a>),
    /// Values as JSON.
    Nested(NullableEncoder<'a>),
}

/// The options for values inside nested ones.
pub(crate) fn options() -> EncoderOptions {
    EncoderOptions::default().with_encoder_factory(Arc::new(JsonText))
}

/// The column in a type that [`Cells`] supports: one kind of string, and dictionaries expanded to their values.
pub(crate) fn plain(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match column.data_type() {
        DataType::Dictionary(_, values) => plain(&cast(column, values)?),
        DataType::LargeUtf8 | DataType::Utf8View => cast(column, &DataType::Utf8),
        DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Duration(_)
        | DataType::Interval(_) => {
            let strict = CastOptions {
                safe: false,
                ..CastOptions::default()
            };
            cast_with_options(column, &DataType::Utf8, &strict)
        }
        _ => Ok(ArrayRef::clone(column)),
    }
}

impl<'a> Cells<'a> {
    /// The texts of a [`plain`] column.
    pub(crate) fn new(
        field: &'a FieldRef,
        column: &'a ArrayRef,
        options: &'a EncoderOptions,
    ) -> Result<Self, ArrowError> {
        if let Some(strings) = column.as_string_opt::<i32>() {
            return Ok(Self::Text(strings));
        }
        if let Some(encoder) = text::scalars(column, Quotes::Without)? {
            return Ok(Self::Bare(encoder));
        }
        let encoder = make_encoder(field, column, options)?;
        Ok(match column.data_type() {
            nested if nested.is_nested() => Self::Nested(encoder),
            _ => Self::Bare(encoder),
        })
    }

    /// Appends the text of a row. Returns false if it is null.
    pub(crate) fn push(&mut self, row: usize, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Text(strings) if strings.is_valid(row) => {
                out.extend_from_slice(strings.value(row).as_bytes());
            }
            Self::Bare(encoder) | Self::Nested(encoder) if !encoder.is_null(row) => {
                encoder.encode(row, out);
            }
            _ => return false,
        }
        true
    }
}

//! Values that do not come from records, and masked texts.

use std::{borrow::Cow, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, StringArray, StringBuilder},
    datatypes::FieldRef,
    error::ArrowError,
};

use super::OperationError;
use crate::{
    config::{Constant, KeyPart, Mask},
    json::{ParseTimestamp, RecordError},
    parquet_in::Converter,
    partition::unescape,
};

/// What replaces a character.
const MASK: char = '*';

/// An array of one value: a text, converted to the column's type.
pub(super) fn value(
    converter: &mut Converter,
    text: Option<&str>,
    column: &FieldRef,
) -> Result<ArrayRef, OperationError> {
    let text: ArrayRef = Arc::new(StringArray::from(vec![text]));
    one(converter, &text, column)
}

pub(super) fn one(
    converter: &mut Converter,
    value: &ArrayRef,
    column: &FieldRef,
) -> Result<ArrayRef, OperationError> {
    let taken = converter.convert(value, column);
    let taken = taken.map_err(|error| OperationError::Arrow(error.to_string()))?;
    match converter.take_mismatches().next() {
        Some((
            _,
            RecordError::Mismatch {
                column,
                expected,
                found,
            },
        )) => Err(OperationError::Value {
            column,
            expected,
            found,
        }),
        Some((_, error)) => Err(OperationError::Arrow(error.to_string())),
        None => Ok(taken),
    }
}

/// An array of one value: a constant, converted to the column's type.
pub(crate) fn constant(
    constant: &Constant,
    column: &FieldRef,
    parse_timestamp: ParseTimestamp,
) -> Result<ArrayRef, OperationError> {
    let mut converter = Converter::new(parse_timestamp);
    value(&mut converter, Some(&text(constant)), column)
}

pub(super) fn text(constant: &Constant) -> Cow<'_, str> {
    match constant {
        Constant::Boolean(value) => Cow::Owned(value.to_string()),
        Constant::Integer(value) => Cow::Owned(value.to_string()),
        Constant::Text(text) => Cow::Borrowed(text.as_str()),
    }
}

/// The part of a key after its prefix.
pub(super) fn part_of<'a>(key: &'a str, part: &KeyPart) -> Option<Cow<'a, str>> {
    let mut parts = key.split('/');
    match part {
        KeyPart::Place(place) => {
            let before = usize::try_from(*place).ok()?.checked_sub(1)?;
            parts.nth(before).map(Cow::Borrowed)
        }
        KeyPart::Name(name) => {
            let value = |part: &'a str| part.strip_prefix(name.as_str())?.strip_prefix('=');
            parts.find_map(value).map(unescape)
        }
    }
}

/// The length of a text in bytes; 0 for values of other types.
pub(super) fn text_length(value: &ArrayRef) -> usize {
    value
        .as_string_opt::<i32>()
        .map_or(0, |text| text.value_data().len())
}

/// The texts with all but the first and last characters masked. A text that would stay whole is masked whole.
pub(crate) fn masked(texts: &ArrayRef, mask: Mask) -> Result<ArrayRef, ArrowError> {
    let texts = texts
        .as_string_opt::<i32>()
        .ok_or_else(|| ArrowError::SchemaError("what is masked was not read as text".to_owned()))?;
    let mut masked = StringBuilder::with_capacity(texts.len(), texts.value_data().len());
    let (first, last) = (mask.first as usize, mask.last as usize);
    let mut one = String::new();
    for text in texts {
        let Some(text) = text else {
            masked.append_null();
            continue;
        };
        one.clear();
        let length = text.chars().count();
        let stays = |at: usize| at < first || at >= length.saturating_sub(last);
        let is_long = length > first.saturating_add(last);
        let kept = text.chars().enumerate();
        one.extend(kept.map(|(at, of)| if is_long && stays(at) { of } else { MASK }));
        masked.append_value(&one);
    }
    Ok(Arc::new(masked.finish()))
}

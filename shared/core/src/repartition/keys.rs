//! Values that are the same in many rows: those of the source's partition keys, and constants.

use std::{borrow::Cow, sync::Arc};

use arrow::{
    array::ArrayRef,
    datatypes::{DataType, Field, Schema},
    error::ArrowError,
};
use jiff::Timestamp;

use crate::{
    config::{Constant, Policy, TimestampRule},
    json::{Columns, ColumnsOptions, JsonScalar, ParseTimestamp},
    operations::{self, OperationError},
    partition::DEFAULT_PARTITION,
    shown::in_full,
    time::{TimestampReader, microseconds},
};

/// Parses times in partition values: times without a zone are in UTC.
fn utc() -> Result<ParseTimestamp, ArrowError> {
    let rule = TimestampRule {
        column: "timestamp".to_owned(),
        format: None,
        unit: None,
        zone: None,
        earliest: None,
        latest: None,
    };
    let reader = TimestampReader::new(&rule, Timestamp::UNIX_EPOCH)
        .map_err(|error| ArrowError::CastError(error.to_string()))?;
    Ok(Box::new(move |value| match value {
        JsonScalar::String(text) => reader.read_text(text).ok().map(microseconds),
        _ => None,
    }))
}

/// A constant of the configuration as an array of one.
pub(super) fn constant_of(
    constant: &Constant,
    field: &Arc<Field>,
) -> Result<ArrayRef, OperationError> {
    let parse = utc().map_err(OperationError::from)?;
    operations::constant(constant, field, parse)
}

/// The values of one partition of the source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyValues(pub Vec<String>);

impl KeyValues {
    /// A value as an array of one, in its column's type.
    pub(super) fn value(&self, key: usize, field: &Field) -> Result<ArrayRef, ArrowError> {
        let text = self.0.get(key).map(String::as_str);
        let is_text = *field.data_type() == DataType::Utf8;
        let text = text.filter(|text| *text != DEFAULT_PARTITION && (is_text || !text.is_empty()));
        let refused = |what: String| {
            ArrowError::CastError(format!("partition key `{}`: {what}", field.name()))
        };
        let options = ColumnsOptions {
            on_unknown: Policy::Fail,
            on_mismatch: Policy::Fail,
            timestamp: Vec::new(),
            parse_timestamp: utc()?,
            raw_column: None,
            max_depth: 1,
        };
        let schema = Schema::new(vec![field.clone().with_nullable(true)]);
        let mut columns =
            Columns::new(&schema, options).map_err(|error| refused(error.to_string()))?;
        columns
            .append_texts(|_| text.map(Cow::Borrowed), &[])
            .map_err(|error| refused(in_full(&error)))?;
        Ok(Arc::clone(columns.finish()?.column(0)))
    }
}

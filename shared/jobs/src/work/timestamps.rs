//! How the values of timestamp columns are parsed.

use jiff::Timestamp;
use lakewright_core::{
    config::{EpochUnit, TimestampRule},
    json::{JsonScalar, ParseTimestamp},
    time::{TimestampReader, microseconds},
};

use crate::kit::{ErrorKind, JobError};

/// Parses them like a record's own time, but without its pattern and its bounds.
pub(crate) fn timestamps(
    unit: Option<EpochUnit>,
    zone: Option<&str>,
) -> Result<ParseTimestamp, JobError> {
    let rule = TimestampRule {
        column: "timestamp".to_owned(),
        format: None,
        unit,
        zone: zone.map(str::to_owned),
        earliest: None,
        latest: None,
    };
    let reader = TimestampReader::new(&rule, Timestamp::UNIX_EPOCH)
        .map_err(|error| JobError::new(ErrorKind::SchemaUnusable, error.to_string()))?;
    Ok(Box::new(move |value| {
        let time = match value {
            JsonScalar::String(text) => reader.read_text(text),
            JsonScalar::Number(text) => reader.read_number(text),
            _ => return None,
        };
        time.ok().map(microseconds)
    }))
}

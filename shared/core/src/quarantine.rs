//! Quarantined records, with their source and reason.

use std::{io, str};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeStruct};

/// Why a record was quarantined. The codes are part of reports, metrics and files, and do not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The bytes are not JSON.
    InvalidJson,
    /// A value that would name its partition is too long for a path.
    BadPartition,
    /// A JSON value that is not an object.
    NotAnObject,
    /// The bytes are not CSV, or not UTF-8.
    InvalidCsv,
    /// A CSV record with more or fewer fields than there are columns.
    FieldCount,
    /// JSON that is nested too deep.
    TooDeep,
    /// The input ends inside the record.
    Truncated,
    /// The timestamp's field is missing or null.
    NoTimestamp,
    /// The timestamp's field does not contain a time.
    BadTimestamp,
    /// The time is before `earliest`.
    BeforeEarliest,
    /// The time is after `latest`.
    AfterLatest,
    /// A field without a column.
    UnknownField,
    /// A value that does not fit its column.
    Mismatch,
    /// Two keys that differ only in upper and lower case.
    KeyCollision,
    /// An envelope without records, or without a field that its records need.
    BadEnvelope,
    /// A damaged aggregate of Kinesis.
    BadAggregate,
    /// A line that does not match the pattern.
    NoMatch,
    /// A record for whose value there is no route.
    NoRoute,
}

impl Reason {
    /// The code, the same as in serde's output.
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::BadPartition => "bad_partition",
            Self::NotAnObject => "not_an_object",
            Self::InvalidCsv => "invalid_csv",
            Self::FieldCount => "field_count",
            Self::TooDeep => "too_deep",
            Self::Truncated => "truncated",
            Self::NoTimestamp => "no_timestamp",
            Self::BadTimestamp => "bad_timestamp",
            Self::BeforeEarliest => "before_earliest",
            Self::AfterLatest => "after_latest",
            Self::UnknownField => "unknown_field",
            Self::Mismatch => "mismatch",
            Self::KeyCollision => "key_collision",
            Self::BadEnvelope => "bad_envelope",
            Self::BadAggregate => "bad_aggregate",
            Self::NoMatch => "no_match",
            Self::NoRoute => "no_route",
        }
    }
}

/// One quarantined record.
///
/// As JSON it is an object with these fields and the record's `length`. The record is text in `record` or, if it is not
/// UTF-8, base64 in `record_base64`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined<'a> {
    /// The source object, as an `s3://` URI.
    pub source: &'a str,
    /// The `ETag` of that object.
    pub etag: &'a str,
    /// Its offset in the decompressed object, in bytes; for a Parquet file, its row.
    pub offset: u64,
    /// Why it was quarantined.
    pub reason: Reason,
    /// The reason as a message.
    pub detail: &'a str,
    /// Its own bytes.
    pub record: &'a [u8],
}

impl Serialize for Quarantined<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Quarantined", 7)?;
        object.serialize_field("source", self.source)?;
        object.serialize_field("etag", self.etag)?;
        object.serialize_field("offset", &self.offset)?;
        object.serialize_field("length", &self.record.len())?;
        object.serialize_field("reason", &self.reason)?;
        object.serialize_field("detail", self.detail)?;
        match str::from_utf8(self.record) {
            Ok(text) => object.serialize_field("record", text)?,
            Err(_) => {
                object.serialize_field("record_base64", &BASE64_STANDARD.encode(self.record))?;
            }
        }
        object.end()
    }
}

impl Quarantined<'_> {
    /// Writes it as one line of JSON.
    ///
    /// # Errors
    /// `out` fails.
    pub fn write_line(&self, mut out: impl io::Write) -> io::Result<()> {
        serde_json::to_writer(&mut out, self)?;
        out.write_all(b"\n")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::semantics::stated;

    fn line(reason: Reason, record: &[u8]) -> serde_json::Value {
        let mut out = Vec::new();
        let record = Quarantined {
            source: "s3://landing/anpr/2026/05/01/13/x.gz",
            etag: "\"abc\"",
            offset: 17,
            reason,
            detail: "a \"detail\"\nin words",
            record,
        };
        record.write_line(&mut out).unwrap();
        assert_eq!(out.iter().position(|&b| b == b'\n'), Some(out.len() - 1));
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn text_is_written_as_text() {
        assert_eq!(
            line(Reason::NoTimestamp, "{\"a\":\n\"é\"}".as_bytes()),
            json!({
                "source": "s3://landing/anpr/2026/05/01/13/x.gz", "etag": "\"abc\"", "offset": 17, "length": 11,
                "reason": "no_timestamp", "detail": "a \"detail\"\nin words", "record": "{\"a\":\n\"é\"}"
            })
        );
    }

    #[test]
    fn other_bytes_are_written_as_base64() {
        stated("Bytes that are not UTF-8 are in `record_base64` instead of `record`.");
        let line = line(Reason::InvalidJson, b"{\"a\":\"\xff\"}");
        assert_eq!(line.get("record"), None);
        assert_eq!(line["record_base64"], "eyJhIjoi/yJ9");
        assert_eq!(line["length"], 9);
    }

    #[test]
    fn codes_are_what_serde_writes() {
        use Reason as R;
        for reason in [
            R::InvalidJson,
            R::NotAnObject,
            R::TooDeep,
            R::Truncated,
            R::NoTimestamp,
            R::BadTimestamp,
            R::BeforeEarliest,
            R::AfterLatest,
            R::UnknownField,
            R::Mismatch,
            R::KeyCollision,
            R::BadEnvelope,
            R::BadAggregate,
            R::NoMatch,
            R::NoRoute,
        ] {
            assert_eq!(json!(reason), json!(reason.code()));
        }
    }
}

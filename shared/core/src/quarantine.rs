//! Records that are set aside: what is kept of each, and why.

use std::{io, str};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeStruct};

/// Why a record was set aside. The codes stand in reports, metrics and files, and stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The bytes are not JSON.
    InvalidJson,
    /// A value that would name its partition is too long for a path.
    BadPartition,
    /// A JSON value, but no object.
    NotAnObject,
    /// The bytes are not CSV, or not UTF-8.
    InvalidCsv,
    /// A CSV record with more or fewer fields than there are columns.
    FieldCount,
    /// JSON nested deeper than is taken.
    TooDeep,
    /// The input ends inside the record.
    Truncated,
    /// The timestamp's field is missing or null.
    NoTimestamp,
    /// The timestamp's field holds no time.
    BadTimestamp,
    /// The time is before the earliest that is taken.
    BeforeEarliest,
    /// The time is after the latest that is taken.
    AfterLatest,
    /// A field that the schema has no column for.
    UnknownField,
    /// A value that does not fit its column.
    Mismatch,
    /// Two keys that differ only in upper and lower case.
    KeyCollision,
}

impl Reason {
    /// The code, the same that serde writes.
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
        }
    }
}

/// One record that was set aside.
///
/// As JSON it is an object of these fields and the record's `length`; the record stands as text in `record`, or,
/// where it is not UTF-8, as base64 in `record_base64`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined<'a> {
    /// The object that it came in, as an `s3://` URI.
    pub source: &'a str,
    /// The `ETag` of that object.
    pub etag: &'a str,
    /// Where in the decompressed object it starts, in bytes; of a Parquet file, its row.
    pub offset: u64,
    /// Why it was set aside.
    pub reason: Reason,
    /// The same in words.
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
    /// What `out` says.
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
    fn text_stands_as_text() {
        assert_eq!(
            line(Reason::NoTimestamp, "{\"a\":\n\"é\"}".as_bytes()),
            json!({
                "source": "s3://landing/anpr/2026/05/01/13/x.gz", "etag": "\"abc\"", "offset": 17, "length": 11,
                "reason": "no_timestamp", "detail": "a \"detail\"\nin words", "record": "{\"a\":\n\"é\"}"
            })
        );
    }

    #[test]
    fn other_bytes_stand_as_base64() {
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
        ] {
            assert_eq!(json!(reason), json!(reason.code()));
        }
    }
}

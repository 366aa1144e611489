//! The text forms of values, for the schema. Sizes in bytes are serialised as exact numbers: the text form of `ByteSize` is
//! rounded, and a stored plan must keep the exact settings.

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

/// A size: a number of bytes, or a number with a unit, such as `16MiB`.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "it is there for its schema")]
pub(super) enum Size {
    Text(String),
    Bytes(u64),
}

/// A prefix or object of S3, such as `s3://bucket/prefix/`.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it is there for its schema")]
pub(super) struct S3Uri(String);

/// A table of the data catalog, as `database.table`.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it is there for its schema")]
pub(super) struct TableText(String);

/// A table of the data catalog, as `database.table`, or a prefix of S3, such as `s3://bucket/prefix/`.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it is there for its schema")]
pub(super) struct SourceText(String);

/// A number with its unit, such as `90s`, `20m`, `24h` or `1h 30m`.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it is there for its schema")]
pub(super) struct DurationText(String);

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
pub(super) fn exact<S: Serializer>(size: &ByteSize, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(size.as_u64())
}

#[expect(clippy::ref_option, reason = "serde passes a reference")]
pub(super) fn exact_option<S: Serializer>(
    size: &Option<ByteSize>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    size.map(|size| size.as_u64()).serialize(serializer)
}

//! Sizes, and the text forms of other values, for the schema.

use std::{borrow::Cow, fmt};

use bytesize::ByteSize;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize};

/// A size in bytes. It is read from a number, or from a number with a unit, such as `16MiB`, and written as the exact
/// number: the text form is rounded, and a stored plan must keep the exact settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Size(pub u64);

impl Size {
    /// A number of KiB.
    pub const fn kib(size: u64) -> Self {
        Self(size << 10)
    }

    /// A number of MiB.
    pub const fn mib(size: u64) -> Self {
        Self(size << 20)
    }

    /// A number of GiB.
    pub const fn gib(size: u64) -> Self {
        Self(size << 30)
    }

    /// In bytes.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ByteSize(self.0).fmt(f)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ByteSize::deserialize(deserializer).map(|size| Self(size.as_u64()))
    }
}

/// A size: a number of bytes, or a number with a unit, such as `16MiB`.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "it is there for its schema")]
enum SizeText {
    Text(String),
    Bytes(u64),
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Size")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        SizeText::json_schema(generator)
    }
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

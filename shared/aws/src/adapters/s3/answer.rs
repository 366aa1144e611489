use std::sync::{Arc, OnceLock};

use aws_sdk_s3::{primitives::ByteStream, types::Object};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{Intercept, context::BeforeDeserializationInterceptorContextRef},
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::{DateTime, config_bag::ConfigBag};
use bytes::Bytes;
use jiff::{Timestamp, fmt::rfc2822};
use lakewright_ports::{Listed, ObjectMeta, StoreError, StoreErrorKind, Written};
use percent_encoding::percent_decode_str;

use super::error::Call;
use crate::adapters::failure::chain;

/// The `Date` header of one response, which is the store's clock. The SDK's outputs do not include it.
#[derive(Debug, Clone, Default)]
pub(super) struct AnswerDate(Arc<OnceLock<String>>);

impl Intercept for AnswerDate {
    fn name(&self) -> &'static str {
        "AnswerDate"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date) = context.response().headers().get("date") {
            self.0.get_or_init(|| date.to_owned());
        }
        Ok(())
    }
}

impl AnswerDate {
    pub(super) fn read(&self, call: &Call<'_>) -> Result<Timestamp, StoreError> {
        let date = self.0.get().ok_or_else(|| incomplete(call, "Date"))?;
        parse_http_date(date).ok_or_else(|| {
            call.error(
                StoreErrorKind::Other,
                format!("the answer's Date is unreadable: {date}"),
            )
        })
    }
}

/// <https://www.rfc-editor.org/rfc/rfc9110#name-date-time-formats>
fn parse_http_date(text: &str) -> Option<Timestamp> {
    rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())
}

/// The parts of a `HeadObject` or `GetObject` response.
pub(super) struct MetaParts {
    pub(super) size: Option<u64>,
    pub(super) etag: Option<String>,
    pub(super) version: Option<String>,
    pub(super) last_modified: Option<DateTime>,
}

impl MetaParts {
    pub(super) fn read(self, date: &AnswerDate, call: &Call<'_>) -> Result<ObjectMeta, StoreError> {
        Ok(ObjectMeta {
            size: self.size.ok_or_else(|| incomplete(call, "size"))?,
            etag: self.etag.ok_or_else(|| incomplete(call, "ETag"))?,
            version: real_version(self.version),
            last_modified: timestamp(self.last_modified.as_ref(), call)?,
            answered_at: date.read(call)?,
        })
    }
}

/// One object of a `ListObjectsV2` response.
pub(super) fn listed(object: &Object, call: &Call<'_>) -> Result<Listed, StoreError> {
    let missing = |what| incomplete(call, what);
    Ok(Listed {
        key: listed_key(object.key().ok_or_else(|| missing("Key"))?, call)?,
        size: unsigned(object.size()).ok_or_else(|| missing("Size"))?,
        etag: object.e_tag().ok_or_else(|| missing("ETag"))?.to_owned(),
        last_modified: timestamp(object.last_modified(), call)?,
    })
}

pub(super) fn written(
    etag: Option<String>,
    version: Option<String>,
    call: &Call<'_>,
) -> Result<Written, StoreError> {
    Ok(Written {
        // The write may have succeeded nevertheless, which this error kind allows for.
        etag: etag.ok_or_else(|| {
            call.error(
                StoreErrorKind::Internal,
                "the answer is incomplete: ETag is missing",
            )
        })?,
        version: real_version(version),
    })
}

fn timestamp(time: Option<&DateTime>, call: &Call<'_>) -> Result<Timestamp, StoreError> {
    time.and_then(|time| {
        let nanoseconds = i32::try_from(time.subsec_nanos()).ok()?;
        Timestamp::new(time.secs(), nanoseconds).ok()
    })
    .ok_or_else(|| incomplete(call, "Last-Modified"))
}

pub(super) fn incomplete(call: &Call<'_>, what: &str) -> StoreError {
    call.error(
        StoreErrorKind::Other,
        format!("the answer is incomplete: {what} is missing"),
    )
}

/// The size of the whole object, from `bytes 0-9/1234`. <https://www.rfc-editor.org/rfc/rfc9110#name-content-range>
pub(super) fn whole_size(content_range: &str) -> Option<u64> {
    content_range
        .strip_prefix("bytes ")?
        .split_once('/')?
        .1
        .parse()
        .ok()
}

/// Decodes a key of a listing with `encoding-type=url`, which is form-urlencoded.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>
fn listed_key(encoded: &str, call: &Call<'_>) -> Result<String, StoreError> {
    let spaced = encoded.replace('+', " ");
    match percent_decode_str(&spaced).decode_utf8() {
        Ok(key) => Ok(key.into_owned()),
        Err(_) => Err(call.error(
            StoreErrorKind::Other,
            format!("the listing names a key that is not UTF-8: {encoded}"),
        )),
    }
}

/// S3 returns `null` for an object that was written while versioning was off.
fn real_version(version: Option<String>) -> Option<String> {
    version.filter(|version| version != "null")
}

pub(super) fn unsigned(length: Option<i64>) -> Option<u64> {
    length.and_then(|length| u64::try_from(length).ok())
}

/// Reads the whole body into one allocation.
pub(super) async fn read_body(
    mut body: ByteStream,
    length: u64,
    call: &Call<'_>,
) -> Result<Bytes, StoreError> {
    let mut bytes = Vec::new();
    usize::try_from(length)
        .ok()
        .and_then(|length| bytes.try_reserve_exact(length).ok())
        .ok_or_else(|| {
            call.error(
                StoreErrorKind::Other,
                format!("no memory for {length} bytes: read it in ranges"),
            )
        })?;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| {
            let message = format!(
                "truncated after {} of {length} bytes: {}",
                bytes.len(),
                chain(&error)
            );
            call.error(StoreErrorKind::Network, message)
        })?;
        bytes.extend_from_slice(&chunk);
    }
    if bytes.len() as u64 != length {
        let message = format!("truncated after {} of {length} bytes", bytes.len());
        return Err(call.error(StoreErrorKind::Network, message));
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use lakewright_core::location::Location;

    use super::*;

    #[test]
    fn http_dates() {
        let expected: Timestamp = "2015-10-21T07:28:00Z".parse().unwrap();
        assert_eq!(
            parse_http_date("Wed, 21 Oct 2015 07:28:00 GMT"),
            Some(expected)
        );
        assert_eq!(parse_http_date("yesterday"), None);
    }

    #[test]
    fn sizes_of_ranges() {
        for (text, size) in [
            ("bytes 0-9/1234", Some(1234)),
            ("bytes */1234", Some(1234)),
            ("bytes 0-9/*", None),
            ("items 0-9/12", None),
            ("", None),
        ] {
            assert_eq!(whole_size(text), size, "{text}");
        }
    }

    #[test]
    fn keys_of_listings() {
        let location = Location::new("b", "");
        let call = Call {
            operation: "ListObjectsV2",
            location: &location,
        };
        for (encoded, key) in [
            ("a/b.json", Some("a/b.json")),
            ("a+b%2Bc%20d", Some("a b+c d")),
            ("%01%0A%C3%A9", Some("\u{1}\né")),
            ("%FF", None),
        ] {
            assert_eq!(listed_key(encoded, &call).ok().as_deref(), key, "{encoded}");
        }
    }

    #[tokio::test]
    async fn a_short_body_is_a_network_error() {
        let location = Location::new("b", "k");
        let call = Call {
            operation: "GetObject",
            location: &location,
        };
        let whole = read_body(ByteStream::from_static(b"abc"), 3, &call)
            .await
            .unwrap();
        assert_eq!(&whole[..], b"abc");
        let error = read_body(ByteStream::from_static(b"abc"), 4, &call)
            .await
            .unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Network);
        assert!(error.message.contains("truncated after 3 of 4"), "{error}");
    }
}

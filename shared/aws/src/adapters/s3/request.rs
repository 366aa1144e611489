//! The parts of requests to S3.

use std::ops::Range;

use aws_sdk_s3::{
    operation::put_object::builders::PutObjectFluentBuilder,
    types::{ServerSideEncryption, StorageClass},
};
use lakewright_core::{config::Encryption, location::Location};
use lakewright_ports::{Attributes, Precondition, StoreError, StoreErrorKind};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::error::Call;

/// Characters that are not escaped in `x-amz-copy-source`.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html>
const COPY_SOURCE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

pub(super) fn with_attributes(
    request: PutObjectFluentBuilder,
    attributes: &Attributes,
) -> PutObjectFluentBuilder {
    let encryption = attributes.encryption.as_ref();
    request
        .set_storage_class(storage_class(attributes))
        .set_server_side_encryption(encryption.map(algorithm))
        .set_ssekms_key_id(encryption.and_then(|encryption| encryption.key.clone()))
        .set_tagging(tagging(attributes))
}

pub(super) fn storage_class(attributes: &Attributes) -> Option<StorageClass> {
    attributes.storage_class.as_deref().map(StorageClass::from)
}

pub(super) fn algorithm(encryption: &Encryption) -> ServerSideEncryption {
    ServerSideEncryption::from(encryption.algorithm.as_str())
}

/// Tags as query parameters, if there are any. <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>
pub(super) fn tagging(attributes: &Attributes) -> Option<String> {
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let tags = attributes.tags.iter();
    let pairs = tags.map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    let pairs = pairs.collect::<Vec<_>>();
    (!pairs.is_empty()).then(|| pairs.join("&"))
}

/// `If-None-Match` and `If-Match`.
pub(super) fn conditions(precondition: Precondition) -> (Option<String>, Option<String>) {
    match precondition {
        Precondition::None => (None, None),
        Precondition::Absent => (Some("*".to_owned()), None),
        Precondition::Matches(etag) => (None, Some(etag)),
    }
}

/// Refuses an empty range: S3 would ignore it and return the whole object.
pub(super) fn range_header(range: &Range<u64>, call: &Call<'_>) -> Result<String, StoreError> {
    match range.end.checked_sub(1) {
        Some(last) if range.start <= last => Ok(format!("bytes={}-{last}", range.start)),
        _ => Err(call.error(
            StoreErrorKind::InvalidRange,
            format!("the range {range:?} holds no byte"),
        )),
    }
}

pub(super) fn copy_source(source: &Location) -> String {
    format!(
        "{}/{}",
        source.bucket,
        utf8_percent_encode(&source.key, COPY_SOURCE)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let location = Location::new("b", "k");
        let call = Call {
            operation: "GetObject",
            location: &location,
        };
        assert_eq!(range_header(&(0..10), &call).unwrap(), "bytes=0-9");
        assert_eq!(range_header(&(5..6), &call).unwrap(), "bytes=5-5");
        for start in [0, 7] {
            let error = range_header(&(start..start), &call).unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::InvalidRange);
        }
    }

    #[test]
    fn copy_sources_are_encoded() {
        let source = Location::new("b", "year=2026/a b+c%2B/é.json");
        assert_eq!(
            copy_source(&source),
            "b/year%3D2026/a%20b%2Bc%252B/%C3%A9.json"
        );
    }

    #[test]
    fn tags_are_encoded() {
        let tags = [("team", "a b"), ("x=y", "&é")];
        let tags = tags.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut attributes = Attributes::default();
        assert_eq!(tagging(&attributes), None);
        attributes.tags = tags.into();
        assert_eq!(
            tagging(&attributes).as_deref(),
            Some("team=a%20b&x%3Dy=%26%C3%A9")
        );
    }
}

//! The parts of requests to S3.

use std::{collections::BTreeMap, ops::Range};

use aws_sdk_s3::{
    operation::put_object::builders::PutObjectFluentBuilder,
    types::{ServerSideEncryption, StorageClass},
};
use lakewright_core::location::Location;
use lakewright_jobs::ports::{Attributes, Precondition, StoreError, StoreErrorKind};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::error::Call;

/// What stays as it is in `x-amz-copy-source`.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html>
const COPY_SOURCE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

pub(super) fn with_attributes(
    mut request: PutObjectFluentBuilder,
    attributes: &Attributes,
) -> PutObjectFluentBuilder {
    if let Some(class) = &attributes.storage_class {
        request = request.storage_class(StorageClass::from(class.as_str()));
    }
    if let Some(encryption) = &attributes.encryption {
        let algorithm = ServerSideEncryption::from(encryption.algorithm.as_str());
        request = request
            .server_side_encryption(algorithm)
            .set_ssekms_key_id(encryption.key.clone());
    }
    if attributes.tags.is_empty() {
        return request;
    }
    request.tagging(tagging(&attributes.tags))
}

/// Tags as the parameters of a query.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>
fn tagging(tags: &BTreeMap<String, String>) -> String {
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let pairs = tags
        .iter()
        .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// `If-None-Match` and `If-Match`.
pub(super) fn conditions(precondition: Precondition) -> (Option<String>, Option<String>) {
    match precondition {
        Precondition::None => (None, None),
        Precondition::Absent => (Some("*".to_owned()), None),
        Precondition::Matches(etag) => (None, Some(etag)),
    }
}

/// S3 takes a range that holds no byte for no range at all, and would answer with the whole object.
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
        assert_eq!(tagging(&tags.into()), "team=a%20b&x%3Dy=%26%C3%A9");
    }
}

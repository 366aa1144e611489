//! The Store port on S3.

mod answer;
mod error;

use std::{collections::BTreeMap, ops::Range};

use async_trait::async_trait;
use aws_sdk_s3::{
    Client,
    operation::{
        abort_multipart_upload::AbortMultipartUploadError,
        put_object::builders::PutObjectFluentBuilder,
    },
    primitives::ByteStream,
    types::{
        ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart as SdkPart, Delete,
        EncodingType, ObjectIdentifier, ServerSideEncryption, StorageClass,
    },
};
use bytes::Bytes;
use lakewright_core::location::Location;
use lakewright_jobs::ports::{
    Attributes, CompletedPart, DeleteFailure, GetOptions, ListPage, Listed, MAX_DELETE_BATCH,
    ObjectBody, ObjectMeta, Precondition, PutOptions, Store, StoreError, StoreErrorKind, UploadId,
    Written,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use self::{
    answer::{AnswerDate, MetaParts, incomplete, listed_key, timestamp, whole_size, written},
    error::Call,
};
use crate::sdk::chain;

/// What stays as it is in `x-amz-copy-source`.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html>
const COPY_SOURCE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The buckets that one set of credentials reaches. Every call is one attempt: retrying is the caller's.
#[derive(Debug, Clone)]
pub struct S3Store {
    client: Client,
    payloads: Payloads,
}

/// How the bytes of a write are vouched for, beside the signature of the request's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payloads {
    /// Their SHA-256 is signed: over plain HTTP.
    Signed,
    /// TLS guards them on the way, and S3 compares a CRC-32 of a whole object: over HTTPS. It costs a
    /// fraction of the CPU time of SHA-256.
    Unsigned,
}

impl S3Store {
    /// Over a client whose retries are off.
    pub fn new(client: Client, payloads: Payloads) -> Self {
        Self { client, payloads }
    }
}

#[async_trait]
impl Store for S3Store {
    async fn head(
        &self,
        object: &Location,
        version: Option<&str>,
    ) -> Result<ObjectMeta, StoreError> {
        let call = Call {
            operation: "HeadObject",
            location: object,
        };
        let date = AnswerDate::default();
        let output = self
            .client
            .head_object()
            .bucket(&object.bucket)
            .key(&object.key)
            .set_version_id(version.map(str::to_owned))
            .customize()
            .interceptor(date.clone())
            .send()
            .await
            .map_err(|error| call.failed(&error))?;
        let parts = MetaParts {
            size: unsigned(output.content_length),
            etag: output.e_tag,
            version: output.version_id,
            last_modified: output.last_modified,
        };
        parts.read(&date, &call)
    }

    async fn get(&self, object: &Location, options: GetOptions) -> Result<ObjectBody, StoreError> {
        let call = Call {
            operation: "GetObject",
            location: object,
        };
        let date = AnswerDate::default();
        let ranged = options.range.is_some();
        let mut output = self
            .client
            .get_object()
            .bucket(&object.bucket)
            .key(&object.key)
            .set_version_id(options.version)
            .set_if_match(options.if_match)
            .set_range(
                options
                    .range
                    .map(|range| range_header(&range, &call))
                    .transpose()?,
            )
            .customize()
            .interceptor(date.clone())
            .send()
            .await
            .map_err(|error| call.failed(&error))?;
        let length = unsigned(output.content_length);
        let size = match output.content_range.as_deref() {
            Some(range) => whole_size(range),
            None if ranged => return Err(incomplete(&call, "Content-Range")),
            None => length,
        };
        let length = length.ok_or_else(|| incomplete(&call, "Content-Length"))?;
        let body = std::mem::take(&mut output.body);
        let parts = MetaParts {
            size,
            etag: output.e_tag,
            version: output.version_id,
            last_modified: output.last_modified,
        };
        let meta = parts.read(&date, &call)?;
        let bytes = read_body(body, length, &call).await?;
        Ok(ObjectBody { meta, bytes })
    }

    async fn put(
        &self,
        object: &Location,
        body: Bytes,
        options: PutOptions,
    ) -> Result<Written, StoreError> {
        let call = Call {
            operation: "PutObject",
            location: object,
        };
        let (if_none_match, if_match) = conditions(options.precondition);
        let request = self
            .client
            .put_object()
            .bucket(&object.bucket)
            .key(&object.key)
            .set_if_none_match(if_none_match)
            .set_if_match(if_match)
            .set_content_type(options.content_type)
            .body(ByteStream::from(body));
        let request = match &options.attributes {
            Some(attributes) => with_attributes(request, attributes),
            None => request,
        };
        let sent = match self.payloads {
            Payloads::Signed => request.send().await,
            Payloads::Unsigned => {
                let request = request.checksum_algorithm(ChecksumAlgorithm::Crc32);
                request.customize().disable_payload_signing().send().await
            }
        };
        let output = sent.map_err(|error| call.failed(&error))?;
        written(output.e_tag, output.version_id, &call)
    }

    async fn list(&self, prefix: &Location, after: Option<&str>) -> Result<ListPage, StoreError> {
        let call = Call {
            operation: "ListObjectsV2",
            location: prefix,
        };
        let date = AnswerDate::default();
        let output = self
            .client
            .list_objects_v2()
            .bucket(&prefix.bucket)
            .prefix(&prefix.key)
            .set_start_after(after.map(str::to_owned))
            // XML 1.0 cannot hold the control characters that a key may have.
            .encoding_type(EncodingType::Url)
            .customize()
            .interceptor(date.clone())
            .send()
            .await
            .map_err(|error| call.failed(&error))?;
        let objects = output
            .contents()
            .iter()
            .map(|object| {
                let key = object.key().ok_or_else(|| incomplete(&call, "Key"))?;
                Ok(Listed {
                    key: listed_key(key, &call)?,
                    size: unsigned(object.size()).ok_or_else(|| incomplete(&call, "Size"))?,
                    etag: object
                        .e_tag()
                        .ok_or_else(|| incomplete(&call, "ETag"))?
                        .to_owned(),
                    last_modified: timestamp(object.last_modified(), &call)?,
                })
            })
            .collect::<Result<_, StoreError>>()?;
        Ok(ListPage {
            objects,
            truncated: output.is_truncated().unwrap_or_default(),
            answered_at: date.read(&call)?,
        })
    }

    async fn copy(
        &self,
        source: &Location,
        if_source_matches: Option<&str>,
        target: &Location,
        precondition: Precondition,
    ) -> Result<Written, StoreError> {
        let call = Call {
            operation: "CopyObject",
            location: target,
        };
        let (if_none_match, if_match) = conditions(precondition);
        let output = self
            .client
            .copy_object()
            .copy_source(copy_source(source))
            .set_copy_source_if_match(if_source_matches.map(str::to_owned))
            .bucket(&target.bucket)
            .key(&target.key)
            .set_if_none_match(if_none_match)
            .set_if_match(if_match)
            .send()
            .await
            .map_err(|error| call.failed(&error))?;
        let etag = output.copy_object_result.and_then(|result| result.e_tag);
        written(etag, output.version_id, &call)
    }

    async fn delete(
        &self,
        bucket: &str,
        keys: &[String],
    ) -> Result<Vec<DeleteFailure>, StoreError> {
        let location = Location::new(bucket, "");
        let call = Call {
            operation: "DeleteObjects",
            location: &location,
        };
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        if keys.len() > MAX_DELETE_BATCH {
            let message = format!("{} keys are more than {MAX_DELETE_BATCH}", keys.len());
            return Err(call.error(StoreErrorKind::Other, message));
        }
        let delete = keys
            .iter()
            .map(|key| ObjectIdentifier::builder().key(key).build())
            .collect::<Result<Vec<_>, _>>()
            .and_then(|objects| {
                Delete::builder()
                    .set_objects(Some(objects))
                    .quiet(true)
                    .build()
            })
            .map_err(|error| call.error(StoreErrorKind::Other, error.to_string()))?;
        let output = self
            .client
            .delete_objects()
            .bucket(bucket)
            .delete(delete)
            .send()
            .await
            .map_err(|error| call.failed(&error))?;
        let errors = output.errors.unwrap_or_default().into_iter();
        errors
            .map(|error| {
                Ok(DeleteFailure {
                    key: error.key.ok_or_else(|| incomplete(&call, "Key"))?,
                    code: error.code.unwrap_or_default(),
                    message: error.message.unwrap_or_default(),
                })
            })
            .collect()
    }

    async fn create_multipart(
        &self,
        object: &Location,
        content_type: Option<&str>,
    ) -> Result<UploadId, StoreError> {
        let call = Call {
            operation: "CreateMultipartUpload",
            location: object,
        };
        let output = self
            .client
            .create_multipart_upload()
            .bucket(&object.bucket)
            .key(&object.key)
            .set_content_type(content_type.map(str::to_owned))
            .send()
            .await
            .map_err(|error| call.failed(&error))?;
        output
            .upload_id
            .map(UploadId)
            .ok_or_else(|| incomplete(&call, "UploadId"))
    }

    async fn upload_part(
        &self,
        object: &Location,
        upload: &UploadId,
        number: u16,
        body: Bytes,
    ) -> Result<CompletedPart, StoreError> {
        let call = Call {
            operation: "UploadPart",
            location: object,
        };
        let request = self
            .client
            .upload_part()
            .bucket(&object.bucket)
            .key(&object.key)
            .upload_id(&upload.0)
            .part_number(number.into())
            .body(ByteStream::from(body));
        let sent = match self.payloads {
            Payloads::Signed => request.send().await,
            Payloads::Unsigned => request.customize().disable_payload_signing().send().await,
        };
        let output = sent.map_err(|error| call.failed(&error))?;
        let etag = output.e_tag.ok_or_else(|| incomplete(&call, "ETag"))?;
        Ok(CompletedPart { number, etag })
    }

    async fn complete_multipart(
        &self,
        object: &Location,
        upload: &UploadId,
        parts: &[CompletedPart],
        precondition: Precondition,
    ) -> Result<Written, StoreError> {
        let call = Call {
            operation: "CompleteMultipartUpload",
            location: object,
        };
        let (if_none_match, if_match) = conditions(precondition);
        let parts = parts.iter().map(|part| {
            SdkPart::builder()
                .part_number(part.number.into())
                .e_tag(&part.etag)
                .build()
        });
        let output = self
            .client
            .complete_multipart_upload()
            .bucket(&object.bucket)
            .key(&object.key)
            .upload_id(&upload.0)
            .set_if_none_match(if_none_match)
            .set_if_match(if_match)
            .multipart_upload(
                CompletedMultipartUpload::builder()
                    .set_parts(Some(parts.collect()))
                    .build(),
            )
            .send()
            .await
            .map_err(|error| call.failed(&error))?;
        written(output.e_tag, output.version_id, &call)
    }

    async fn abort_multipart(
        &self,
        object: &Location,
        upload: &UploadId,
    ) -> Result<(), StoreError> {
        let call = Call {
            operation: "AbortMultipartUpload",
            location: object,
        };
        let sent = self
            .client
            .abort_multipart_upload()
            .bucket(&object.bucket)
            .key(&object.key)
            .upload_id(&upload.0)
            .send()
            .await;
        match sent {
            Ok(_) => Ok(()),
            Err(error)
                if matches!(
                    error.as_service_error(),
                    Some(AbortMultipartUploadError::NoSuchUpload(_))
                ) =>
            {
                Ok(())
            }
            Err(error) => Err(call.failed(&error)),
        }
    }
}

fn with_attributes(
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
fn conditions(precondition: Precondition) -> (Option<String>, Option<String>) {
    match precondition {
        Precondition::None => (None, None),
        Precondition::Absent => (Some("*".to_owned()), None),
        Precondition::Matches(etag) => (None, Some(etag)),
    }
}

/// S3 takes a range that holds no byte for no range at all, and would answer with the whole object.
fn range_header(range: &Range<u64>, call: &Call<'_>) -> Result<String, StoreError> {
    match range.end.checked_sub(1) {
        Some(last) if range.start <= last => Ok(format!("bytes={}-{last}", range.start)),
        _ => Err(call.error(
            StoreErrorKind::InvalidRange,
            format!("the range {range:?} holds no byte"),
        )),
    }
}

fn copy_source(source: &Location) -> String {
    format!(
        "{}/{}",
        source.bucket,
        utf8_percent_encode(&source.key, COPY_SOURCE)
    )
}

fn unsigned(length: Option<i64>) -> Option<u64> {
    length.and_then(|length| u64::try_from(length).ok())
}

/// The whole body in one allocation.
async fn read_body(
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

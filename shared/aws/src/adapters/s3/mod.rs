//! The Store port on S3.

mod answer;
mod error;
mod request;
#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::{
    Client,
    operation::abort_multipart_upload::AbortMultipartUploadError,
    primitives::ByteStream,
    types::{
        ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart as SdkPart, Delete,
        EncodingType, ObjectIdentifier,
    },
};
use aws_smithy_types::timeout::TimeoutConfig;
use bytes::Bytes;
use lakewright_core::{config::Encryption, location::Location, naming::fits_xml};
use lakewright_ports::{
    Attributes, CompletedPart, DeleteFailure, Deletion, GetOptions, ListPage, MAX_DELETE_BATCH,
    ObjectBody, ObjectMeta, Precondition, PutOptions, Store, StoreError, StoreErrorKind, UploadId,
    Written,
};

use self::{
    answer::{AnswerDate, MetaParts, incomplete, listed, read_body, unsigned, whole_size, written},
    error::{Call, DENIED, permission_of},
    request::{
        algorithm, conditions, copy_source, range_header, storage_class, tagging, with_attributes,
    },
};
use super::failure::with_permission;

/// S3's code for an object that has another `ETag` than the request says.
const CHANGED: &str = "PreconditionFailed";

/// S3 copies about this many bytes in a second, at the least.
const COPIED_A_SECOND: u64 = 10 << 20;

/// The limit for one attempt at a copy: S3 answers only when all of it, at most 5 GiB, is copied.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html>
const COPY_TIMEOUT: Duration = Duration::from_secs((5 << 30) / COPIED_A_SECOND);

/// The buckets that one set of credentials can access. Every call is a single attempt: the caller retries.
#[derive(Debug, Clone)]
pub struct S3Store {
    client: Client,
    payloads: Payloads,
}

/// How the integrity of a write's body is protected, in addition to the signature of the request's headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payloads {
    /// Its SHA-256 is signed: for plain HTTP.
    Signed,
    /// TLS protects it in transit, and S3 verifies a CRC-32 of each object or part: for HTTPS. This takes a fraction of
    /// the CPU time of SHA-256.
    Unsigned,
}

impl S3Store {
    /// Wraps a client whose retries are off.
    pub fn new(client: Client, payloads: Payloads) -> Self {
        Self { client, payloads }
    }

    /// The checksum that S3 verifies for a write.
    fn checksum(&self) -> Option<ChecksumAlgorithm> {
        (self.payloads == Payloads::Unsigned).then_some(ChecksumAlgorithm::Crc32)
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
                let request = request.set_checksum_algorithm(self.checksum());
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
            // XML 1.0 cannot represent control characters, which keys may contain.
            .encoding_type(EncodingType::Url)
            .customize()
            .interceptor(date.clone())
            .send()
            .await
            .map_err(|error| call.failed(&error))?;
        let objects = output
            .contents()
            .iter()
            .map(|object| listed(object, &call))
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
        encryption: Option<&Encryption>,
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
            .set_server_side_encryption(encryption.map(algorithm))
            .set_ssekms_key_id(encryption.and_then(|encryption| encryption.key.clone()))
            .customize()
            .config_override(
                aws_sdk_s3::config::Builder::new().timeout_config(
                    TimeoutConfig::builder()
                        .operation_attempt_timeout(COPY_TIMEOUT)
                        .build(),
                ),
            )
            .send()
            .await
            .map_err(|error| call.failed(&error))?;
        let etag = output.copy_object_result.and_then(|result| result.e_tag);
        written(etag, output.version_id, &call)
    }

    async fn delete(
        &self,
        bucket: &str,
        objects: &[Deletion],
    ) -> Result<Vec<DeleteFailure>, StoreError> {
        // If the call fails as a whole, the error names the first key.
        let location = Location::new(bucket, objects.first().map_or("", |first| &first.key));
        let call = Call {
            operation: "DeleteObjects",
            location: &location,
        };
        if objects.is_empty() {
            return Ok(Vec::new());
        }
        if objects.len() > MAX_DELETE_BATCH {
            let message = format!("{} keys are more than {MAX_DELETE_BATCH}", objects.len());
            return Err(call.error(StoreErrorKind::Other, message));
        }
        // A batch cannot name what XML does not have.
        let (named, alone): (Vec<_>, Vec<_>) =
            objects.iter().partition(|object| fits_xml(&object.key));
        let mut failures = Vec::new();
        for object in alone {
            let location = Location::new(bucket, &object.key);
            let call = Call {
                operation: "DeleteObject",
                location: &location,
            };
            let deleted = self
                .client
                .delete_object()
                .bucket(bucket)
                .key(&object.key)
                .set_if_match(object.etag.clone())
                .send();
            match deleted.await.map_err(|error| call.failed(&error)) {
                Ok(_) => {}
                Err(error) if error.kind == StoreErrorKind::NotFound => {}
                Err(error) if error.kind == StoreErrorKind::PreconditionFailed => {
                    failures.push(DeleteFailure {
                        key: object.key.clone(),
                        code: CHANGED.to_owned(),
                        message: error.message,
                    });
                }
                Err(error) => return Err(error),
            }
        }
        if named.is_empty() {
            return Ok(failures);
        }
        let delete = named
            .into_iter()
            .map(|object| {
                ObjectIdentifier::builder()
                    .key(&object.key)
                    .set_e_tag(object.etag.clone())
                    .build()
            })
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
        // An object that is gone needs no deletion, whatever its `ETag` was.
        let errors = errors.filter(|error| error.code.as_deref() != Some("NoSuchKey"));
        let of_batch = errors
            .map(|error| {
                Ok(DeleteFailure {
                    key: error.key.ok_or_else(|| incomplete(&call, "Key"))?,
                    message: match error.code.as_deref() {
                        Some(DENIED) => with_permission(
                            error.message.unwrap_or_default(),
                            permission_of(call.operation),
                        ),
                        _ => error.message.unwrap_or_default(),
                    },
                    code: error.code.unwrap_or_default(),
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        failures.extend(of_batch);
        Ok(failures)
    }

    async fn create_multipart(
        &self,
        object: &Location,
        content_type: Option<&str>,
        attributes: Option<&Attributes>,
    ) -> Result<UploadId, StoreError> {
        let call = Call {
            operation: "CreateMultipartUpload",
            location: object,
        };
        let encryption = attributes.and_then(|attributes| attributes.encryption.as_ref());
        let output = self
            .client
            .create_multipart_upload()
            .bucket(&object.bucket)
            .key(&object.key)
            .set_content_type(content_type.map(str::to_owned))
            .set_checksum_algorithm(self.checksum())
            .set_storage_class(attributes.and_then(storage_class))
            .set_server_side_encryption(encryption.map(algorithm))
            .set_ssekms_key_id(encryption.and_then(|encryption| encryption.key.clone()))
            .set_tagging(attributes.and_then(tagging))
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
            Payloads::Unsigned => {
                let request = request.set_checksum_algorithm(self.checksum());
                request.customize().disable_payload_signing().send().await
            }
        };
        let output = sent.map_err(|error| call.failed(&error))?;
        let etag = output.e_tag.ok_or_else(|| incomplete(&call, "ETag"))?;
        Ok(CompletedPart {
            number,
            etag,
            crc32: output.checksum_crc32,
        })
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
                .set_checksum_crc32(part.crc32.clone())
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

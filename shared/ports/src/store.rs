use std::{collections::BTreeMap, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use lakewright_core::{config::Encryption, location::Location};
use thiserror::Error;

/// The most keys in one page of a listing.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>
pub const MAX_LIST_PAGE: usize = 1000;

/// The most keys in one batch delete. <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html>
pub const MAX_DELETE_BATCH: usize = 1000;

/// An object store with S3's contract: strong consistency for reads and listings, atomic single-object
/// writes, and conditional writes.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>
///
/// A call that fails with [`StoreErrorKind::Network`] or [`StoreErrorKind::Internal`] may have taken effect.
#[async_trait]
pub trait Store: Send + Sync {
    /// The object's size, `ETag`, version and time of writing.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`] if there is no such object (or version).
    async fn head(
        &self,
        object: &Location,
        version: Option<&str>,
    ) -> Result<ObjectMeta, StoreError>;

    /// The object's bytes, or the given range of them. If the range exceeds the end, the bytes up to the end are
    /// returned.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`]; [`StoreErrorKind::PreconditionFailed`] if `if_match` is not the object's `ETag`;
    /// [`StoreErrorKind::InvalidRange`] if the range begins at or after the end.
    async fn get(&self, object: &Location, options: GetOptions) -> Result<ObjectBody, StoreError>;

    /// Writes the object in one piece.
    ///
    /// # Errors
    /// [`StoreErrorKind::PreconditionFailed`] if the precondition does not hold; [`StoreErrorKind::Conflict`] if
    /// another conditional write of this key was in progress; [`StoreErrorKind::NotFound`] for
    /// [`Precondition::Matches`] if there is no object.
    async fn put(
        &self,
        object: &Location,
        body: Bytes,
        options: PutOptions,
    ) -> Result<Written, StoreError>;

    /// One page of the keys that begin with `prefix.key`, in UTF-8 byte order, after the key `after`. Pages are not a
    /// snapshot: an object that is written between two pages may or may not be in the later one.
    ///
    /// # Errors
    /// The call failed.
    async fn list(&self, prefix: &Location, after: Option<&str>) -> Result<ListPage, StoreError>;

    /// Copies an object within the store, server-side, up to 5 GiB. The copy keeps the media type, the metadata and the
    /// tags of its source. It is encrypted by `encryption` or, without that, by the bucket's default: never like its
    /// source.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`] if the source does not exist; as [`Store::put`] for the target;
    /// [`StoreErrorKind::PreconditionFailed`] also if the source's `ETag` is not `if_source_matches`.
    async fn copy(
        &self,
        source: &Location,
        if_source_matches: Option<&str>,
        target: &Location,
        precondition: Precondition,
        encryption: Option<&Encryption>,
    ) -> Result<Written, StoreError>;

    /// Deletes at most [`MAX_DELETE_BATCH`] objects of one bucket; one that does not exist counts as deleted. Returns
    /// those that were not deleted: an object with another `ETag` than the one that is named, among others.
    ///
    /// # Errors
    /// The call failed as a whole; some of the keys may have been deleted nevertheless.
    async fn delete(
        &self,
        bucket: &str,
        objects: &[Deletion],
    ) -> Result<Vec<DeleteFailure>, StoreError>;

    /// Starts a multipart upload. Nothing is visible under the key until it is completed.
    ///
    /// # Errors
    /// The call failed.
    async fn create_multipart(
        &self,
        object: &Location,
        content_type: Option<&str>,
        attributes: Option<&Attributes>,
    ) -> Result<UploadId, StoreError>;

    /// Uploads part `number` (1 to 10,000), of at least 5 MiB unless it is the last.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`] if the upload was completed or aborted.
    async fn upload_part(
        &self,
        object: &Location,
        upload: &UploadId,
        number: u16,
        body: Bytes,
    ) -> Result<CompletedPart, StoreError>;

    /// Creates the object from its parts, in ascending order of their numbers.
    ///
    /// # Errors
    /// As [`Store::put`]. After [`StoreErrorKind::Conflict`] the upload is void: start again with
    /// [`Store::create_multipart`]. [`StoreErrorKind::NotFound`] if the upload was completed or aborted.
    async fn complete_multipart(
        &self,
        object: &Location,
        upload: &UploadId,
        parts: &[CompletedPart],
        precondition: Precondition,
    ) -> Result<Written, StoreError>;

    /// Aborts the upload and frees its parts. Succeeds if there is no such upload.
    ///
    /// # Errors
    /// The call failed.
    async fn abort_multipart(&self, object: &Location, upload: &UploadId)
    -> Result<(), StoreError>;
}

/// An object's metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// The size in bytes.
    pub size: u64,
    /// The entity tag as S3 returns it, with its quotes.
    pub etag: String,
    /// The version, in a bucket with versioning.
    pub version: Option<String>,
    /// The time when it was written, by the store's clock; if it was uploaded in parts, when the upload began.
    pub last_modified: Timestamp,
    /// The time of the response, by the store's clock.
    pub answered_at: Timestamp,
}

impl ObjectMeta {
    /// Whether the object was uploaded in parts, as its `ETag` shows. Its `last_modified` is then the time at which the
    /// upload began. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>
    pub fn is_of_parts(&self) -> bool {
        self.etag.contains('-')
    }
}

/// Which bytes to read, and of which version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GetOptions {
    /// Read this version only.
    pub version: Option<String>,
    /// Read only if the object's `ETag` is this one.
    pub if_match: Option<String>,
    /// Read these bytes only: first to one past the last.
    pub range: Option<Range<u64>>,
}

/// An object's bytes, or the requested range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectBody {
    /// The metadata of the whole object, even if only a range was read.
    pub meta: ObjectMeta,
    /// The bytes, complete.
    pub bytes: Bytes,
}

/// The condition of a write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Precondition {
    /// None: an existing object is replaced.
    #[default]
    None,
    /// Only if there is no object (`If-None-Match: *`): create-only.
    Absent,
    /// Only if the existing object has this `ETag` (`If-Match`).
    Matches(String),
}

/// Options for writing an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutOptions {
    /// The condition.
    pub precondition: Precondition,
    /// The media type; by default the store's.
    pub content_type: Option<String>,
    /// Further attributes, which the objects of a job share.
    pub attributes: Option<Arc<Attributes>>,
}

/// An object's attributes besides its bytes and its media type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The storage class; by default the store's.
    pub storage_class: Option<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// The server-side encryption; by default the bucket's.
    pub encryption: Option<Encryption>,
}

impl PutOptions {
    /// Create-only: fails with [`StoreErrorKind::PreconditionFailed`] if an object exists.
    pub fn create_only() -> Self {
        Self {
            precondition: Precondition::Absent,
            ..Self::default()
        }
    }
}

/// The result of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The new object's `ETag`, with its quotes.
    pub etag: String,
    /// Its version, in a bucket with versioning.
    pub version: Option<String>,
}

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The whole key.
    pub key: String,
    /// The size in bytes.
    pub size: u64,
    /// The entity tag, with its quotes.
    pub etag: String,
    /// The time when it was written, by the store's clock.
    pub last_modified: Timestamp,
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPage {
    /// At most [`MAX_LIST_PAGE`] objects, in key order.
    pub objects: Vec<Listed>,
    /// Whether there is more: list again after the last key.
    pub truncated: bool,
    /// The time of the response, by the store's clock.
    pub answered_at: Timestamp,
}

/// An object to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// Its key.
    pub key: String,
    /// Its `ETag`: an object with another one stays. Without it, whatever object has the key is deleted.
    pub etag: Option<String>,
}

impl From<String> for Deletion {
    fn from(key: String) -> Self {
        Self { key, etag: None }
    }
}

/// A key that a batch delete did not delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteFailure {
    /// The key.
    pub key: String,
    /// The store's error code, such as `InternalError`.
    pub code: String,
    /// The store's message.
    pub message: String,
}

impl DeleteFailure {
    /// Whether the function's role lacks a permission.
    pub fn is_denied(&self) -> bool {
        self.code == "AccessDenied"
    }

    /// Whether another object has the key by now.
    pub fn is_of_another_object(&self) -> bool {
        self.code == "PreconditionFailed"
    }
}

/// A multipart upload in progress.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadId(pub String);

/// A part that has been uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletedPart {
    /// 1 to 10,000.
    pub number: u16,
    /// The part's `ETag`, with its quotes.
    pub etag: String,
    /// The base64 of the CRC-32 of the part's bytes, if the store verified one: the object is then made only of such
    /// parts.
    pub crc32: Option<String>,
}

/// The kind of failure of a call to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// No such object, version, bucket or upload (404).
    NotFound,
    /// The condition does not hold (412).
    PreconditionFailed,
    /// Another conditional write of this key was in progress; either of them may have won (409).
    Conflict,
    /// Too many requests (503 Slow Down, 429).
    SlowDown,
    /// The store failed (500, other 5xx); the call may have taken effect.
    Internal,
    /// The connection failed or the answer was truncated; the call may have taken effect.
    Network,
    /// The range begins at or after the object's end (416).
    InvalidRange,
    /// The role lacks a permission (403).
    AccessDenied,
    /// The invocation's deadline is too near to start the call.
    Deadline,
    /// Anything else that the store refused (other 4xx).
    Other,
}

impl StoreErrorKind {
    /// Whether the same call may succeed later.
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::Conflict | Self::SlowDown | Self::Internal | Self::Network
        )
    }
}

/// A call to the store that failed.
#[derive(Debug, Clone, Error)]
#[error("S3 {operation} {location}: {message}")]
pub struct StoreError {
    /// The kind of failure.
    pub kind: StoreErrorKind,
    /// The service's operation, such as `PutObject`.
    pub operation: &'static str,
    /// Its subject: an object, a prefix, or a bucket (empty key).
    pub location: Location,
    /// The message of the service or the network.
    pub message: String,
}

use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use lakewright_core::{config::Encryption, location::Location};
use lakewright_ports::{
    Attributes, CompletedPart, DeleteFailure, Deletion, GetOptions, ListPage, ObjectBody,
    ObjectMeta, Precondition, PutOptions, Store, StoreError, StoreErrorKind, UploadId, Written,
};
use twox_hash::XxHash3_128;

use super::backoff::{Backoff, Failing, Verdict, lock};

/// The size of the reads that compare an object with what was written.
const COMPARE_CHUNK: usize = 8 << 20;

/// A store whose calls are rate-limited, retried as S3 recommends, and never started after a deadline.
///
/// - 503 (Slow Down), 500 and a failed connection: retried after exponentially growing delays with full jitter. A 503
///   also halves the request rate of all calls through this wrapper.
/// - 409 (a concurrent conditional write of the key): retried, except for [`Store::complete_multipart`]: its upload is
///   void, so the caller must start a new one.
///   <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>
/// - The deadline: no attempt and no delay starts at or after it, and an attempt in progress is cancelled, all with
///   [`StoreErrorKind::Deadline`]. A cancelled attempt may still take effect.
///
/// # Lost acknowledgements
///
/// A conditional write may take effect although its answer is lost. Its retry then meets the write's own object and
/// gets a 412 (or a 404, if it completed an upload that no longer exists). Therefore, if such an attempt is followed by
/// a refusal, the wrapper compares the existing object byte for byte: if it is the same, the write succeeded; otherwise
/// the refusal is returned. Comparing the `ETag` is not enough, because under SSE-KMS it is not a digest of the
/// content. <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html>
///
/// Consequences:
/// - Another writer's identical object counts as ours. A body that claims something must name its writer.
/// - A refusal means that the current object is not the one that we wrote. Under `If-Match` ours may have existed and
///   been replaced since: read again before concluding.
/// - The retry of an unconditional write may overwrite what another writer wrote in between.
pub struct Retrying<S> {
    inner: S,
    backoff: Backoff,
    /// The parts of the uploads in progress, for the comparison after a lost acknowledgement.
    uploads: Mutex<HashMap<UploadId, BTreeMap<u16, Part>>>,
}

/// The content of a part.
#[derive(Debug, Clone, Copy)]
struct Part {
    size: u64,
    digest: u128,
}

/// A call's last answer, and whether an earlier attempt may have taken effect.
struct Settled<T> {
    answer: Result<T, StoreError>,
    doubtful: bool,
}

impl<S: Store> Retrying<S> {
    /// Wraps `inner` for one invocation.
    pub fn new(inner: S, backoff: Backoff) -> Self {
        Self {
            inner,
            backoff,
            uploads: Mutex::default(),
        }
    }

    async fn call<'a, T>(
        &self,
        operation: &'static str,
        location: &Location,
        call: impl Fn() -> BoxFuture<'a, Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let too_late = || too_late(operation, location);
        self.backoff.call(call, StoreError::verdict, too_late).await
    }

    async fn settle<'a, T>(
        &self,
        operation: &'static str,
        location: &Location,
        verdict: fn(&StoreError) -> Verdict,
        call: impl Fn() -> BoxFuture<'a, Result<T, StoreError>> + Send,
    ) -> Settled<T> {
        let mut doubtful = false;
        let judge = |error: &StoreError| {
            doubtful |= matches!(
                error.kind,
                StoreErrorKind::Internal | StoreErrorKind::Network
            );
            verdict(error)
        };
        let too_late = || too_late(operation, location);
        let answer = self.backoff.call(call, judge, too_late).await;
        Settled { answer, doubtful }
    }

    /// Turns the refusal of a conditional write whose acknowledgement may have been lost into success, if `holds` finds
    /// that the existing object is the one that was written.
    async fn recognise(
        &self,
        object: &Location,
        settled: Settled<Written>,
        refusals: &[StoreErrorKind],
        expected: Expected<'_>,
    ) -> Result<Written, StoreError> {
        match settled.answer {
            Err(refusal) if settled.doubtful && refusals.contains(&refusal.kind) => {
                match self.existing(object, expected).await? {
                    Some(written) => Ok(written),
                    None => Err(refusal),
                }
            }
            answer => answer,
        }
    }

    /// The existing object, if it has the expected content.
    async fn existing(
        &self,
        object: &Location,
        expected: Expected<'_>,
    ) -> Result<Option<Written>, StoreError> {
        let meta = match self.head(object, None).await {
            Ok(meta) => meta,
            Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let holds = match expected {
            Expected::Body(body) => self.holds_body(object, &meta, body).await?,
            Expected::Parts(parts) => self.holds_parts(object, &meta, parts).await?,
            Expected::CopyOf(source) => self.holds_copy(object, &meta, source).await?,
        };
        Ok(holds.then_some(Written {
            etag: meta.etag,
            version: meta.version,
        }))
    }

    async fn holds_body(
        &self,
        object: &Location,
        meta: &ObjectMeta,
        body: &Bytes,
    ) -> Result<bool, StoreError> {
        if meta.size != body.len() as u64 {
            return Ok(false);
        }
        let mut start = 0;
        for chunk in body.chunks(COMPARE_CHUNK) {
            let end = start + chunk.len() as u64;
            match self.read(object, meta, start..end).await? {
                Some(bytes) if bytes == chunk => start = end,
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    async fn holds_parts(
        &self,
        object: &Location,
        meta: &ObjectMeta,
        parts: &[Part],
    ) -> Result<bool, StoreError> {
        if meta.size != parts.iter().map(|part| part.size).sum::<u64>() {
            return Ok(false);
        }
        let mut start = 0;
        for part in parts.iter().filter(|part| part.size > 0) {
            let end = start + part.size;
            match self.read(object, meta, start..end).await? {
                Some(bytes) if XxHash3_128::oneshot(&bytes) == part.digest => start = end,
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    async fn holds_copy(
        &self,
        object: &Location,
        meta: &ObjectMeta,
        source: &Location,
    ) -> Result<bool, StoreError> {
        let original = self.head(source, None).await?;
        if original.size != meta.size {
            return Ok(false);
        }
        let mut start = 0;
        while start < meta.size {
            let end = (start + COMPARE_CHUNK as u64).min(meta.size);
            let ours = self.read(source, &original, start..end).await?;
            let theirs = self.read(object, meta, start..end).await?;
            if ours.is_none() || ours != theirs {
                return Ok(false);
            }
            start = end;
        }
        Ok(true)
    }

    /// A range of an object. `None` if the object was replaced meanwhile.
    async fn read(
        &self,
        object: &Location,
        meta: &ObjectMeta,
        range: std::ops::Range<u64>,
    ) -> Result<Option<Bytes>, StoreError> {
        let options = GetOptions {
            version: None,
            if_match: Some(meta.etag.clone()),
            range: Some(range),
        };
        match self.get(object, options).await {
            Ok(body) => Ok(Some(body.bytes)),
            Err(error)
                if matches!(
                    error.kind,
                    StoreErrorKind::NotFound | StoreErrorKind::PreconditionFailed
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// The content that identifies an object as our own write.
#[derive(Clone, Copy)]
enum Expected<'a> {
    Body(&'a Bytes),
    Parts(&'a [Part]),
    CopyOf(&'a Location),
}

impl Failing for StoreError {
    fn verdict(&self) -> Verdict {
        match self.kind {
            StoreErrorKind::SlowDown => Verdict::Throttled,
            kind if kind.is_retryable() => Verdict::Passing,
            _ => Verdict::Final,
        }
    }
}

impl Failing for DeleteFailure {
    fn verdict(&self) -> Verdict {
        match self.code.as_str() {
            "SlowDown" => Verdict::Throttled,
            "InternalError" => Verdict::Passing,
            _ => Verdict::Final,
        }
    }
}

fn too_late(operation: &'static str, location: &Location) -> StoreError {
    StoreError {
        kind: StoreErrorKind::Deadline,
        operation,
        location: location.clone(),
        message: "the invocation's deadline is too near".to_owned(),
    }
}

#[async_trait]
impl<S: Store> Store for Retrying<S> {
    async fn head(
        &self,
        object: &Location,
        version: Option<&str>,
    ) -> Result<ObjectMeta, StoreError> {
        self.call("HeadObject", object, || self.inner.head(object, version))
            .await
    }

    async fn get(&self, object: &Location, options: GetOptions) -> Result<ObjectBody, StoreError> {
        self.call("GetObject", object, || {
            self.inner.get(object, options.clone())
        })
        .await
    }

    async fn put(
        &self,
        object: &Location,
        body: Bytes,
        options: PutOptions,
    ) -> Result<Written, StoreError> {
        let settled = self
            .settle("PutObject", object, StoreError::verdict, || {
                self.inner.put(object, body.clone(), options.clone())
            })
            .await;
        let refusals = [StoreErrorKind::PreconditionFailed];
        self.recognise(object, settled, &refusals, Expected::Body(&body))
            .await
    }

    async fn list(&self, prefix: &Location, after: Option<&str>) -> Result<ListPage, StoreError> {
        self.call("ListObjectsV2", prefix, || self.inner.list(prefix, after))
            .await
    }

    async fn copy(
        &self,
        source: &Location,
        if_source_matches: Option<&str>,
        target: &Location,
        precondition: Precondition,
        encryption: Option<&Encryption>,
    ) -> Result<Written, StoreError> {
        let settled = self
            .settle("CopyObject", target, StoreError::verdict, || {
                let precondition = precondition.clone();
                self.inner
                    .copy(source, if_source_matches, target, precondition, encryption)
            })
            .await;
        let refusals = [StoreErrorKind::PreconditionFailed];
        self.recognise(target, settled, &refusals, Expected::CopyOf(source))
            .await
    }

    async fn delete(
        &self,
        bucket: &str,
        objects: &[Deletion],
    ) -> Result<Vec<DeleteFailure>, StoreError> {
        let location = Location::new(bucket, "");
        self.backoff
            .batch(
                objects.to_vec(),
                |left| Box::pin(async move { self.inner.delete(bucket, &left).await }),
                |failure, object| failure.key == object.key,
                || too_late("DeleteObjects", &location),
            )
            .await
    }

    async fn create_multipart(
        &self,
        object: &Location,
        content_type: Option<&str>,
        attributes: Option<&Attributes>,
    ) -> Result<UploadId, StoreError> {
        self.call("CreateMultipartUpload", object, || {
            self.inner
                .create_multipart(object, content_type, attributes)
        })
        .await
    }

    async fn upload_part(
        &self,
        object: &Location,
        upload: &UploadId,
        number: u16,
        body: Bytes,
    ) -> Result<CompletedPart, StoreError> {
        let part = Part {
            size: body.len() as u64,
            digest: XxHash3_128::oneshot(&body),
        };
        let completed = self
            .call("UploadPart", object, || {
                self.inner.upload_part(object, upload, number, body.clone())
            })
            .await?;
        lock(&self.uploads)
            .entry(upload.clone())
            .or_default()
            .insert(number, part);
        Ok(completed)
    }

    async fn complete_multipart(
        &self,
        object: &Location,
        upload: &UploadId,
        parts: &[CompletedPart],
        precondition: Precondition,
    ) -> Result<Written, StoreError> {
        let settled = self
            .settle(
                "CompleteMultipartUpload",
                object,
                |error| match error.kind {
                    StoreErrorKind::Conflict => Verdict::Final,
                    _ => error.verdict(),
                },
                || {
                    self.inner
                        .complete_multipart(object, upload, parts, precondition.clone())
                },
            )
            .await;
        let known = lock(&self.uploads).remove(upload).unwrap_or_default();
        let held: Option<Vec<Part>> = parts
            .iter()
            .map(|part| known.get(&part.number).copied())
            .collect();
        // The parts of another invocation's upload are not known, so nothing can be compared.
        let Some(held) = held else {
            return settled.answer;
        };
        let refusals = [StoreErrorKind::PreconditionFailed, StoreErrorKind::NotFound];
        self.recognise(object, settled, &refusals, Expected::Parts(&held))
            .await
    }

    async fn abort_multipart(
        &self,
        object: &Location,
        upload: &UploadId,
    ) -> Result<(), StoreError> {
        lock(&self.uploads).remove(upload);
        self.call("AbortMultipartUpload", object, || {
            self.inner.abort_multipart(object, upload)
        })
        .await
    }
}

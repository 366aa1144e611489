//! Uploads an object while it is being produced: small ones in one piece, large ones in parts.

use std::sync::Arc;

use bytes::Bytes;
use lakewright_core::location::Location;
use lakewright_ports::{
    CompletedPart, Precondition, PutOptions, Store, StoreError, StoreErrorKind, UploadId, Written,
};

/// Larger objects are uploaded in parts of about this size. S3 allows 10,000 parts, so the largest object is 80 GB.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
pub(crate) const PART: usize = 8 << 20;

/// The result of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finished {
    /// The object was created.
    Written {
        /// Its size in bytes.
        bytes: u64,
        /// Its entity tag.
        etag: String,
    },
    /// An object already existed under the key, and was not changed.
    Existed,
}

/// An upload in progress. Nothing is visible under its key before [`Upload::finish`], which creates the object only if
/// there is none.
pub(crate) struct Upload {
    store: Arc<dyn Store>,
    location: Location,
    content_type: &'static str,
    multipart: Option<(UploadId, Vec<CompletedPart>)>,
    bytes: u64,
}

impl Upload {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        location: Location,
        content_type: &'static str,
    ) -> Self {
        Self {
            store,
            location,
            content_type,
            multipart: None,
            bytes: 0,
        }
    }

    /// The location of the object.
    pub(crate) fn location(&self) -> &Location {
        &self.location
    }

    /// Uploads the next bytes as a separate part: at least [`PART`] bytes.
    pub(crate) async fn part(&mut self, body: Vec<u8>) -> Result<(), StoreError> {
        let (upload, parts) = if let Some(multipart) = &mut self.multipart {
            multipart
        } else {
            let upload = self
                .store
                .create_multipart(&self.location, Some(self.content_type), None)
                .await?;
            self.multipart.insert((upload, Vec::new()))
        };
        let number = u16::try_from(parts.len() + 1).map_err(|_| StoreError {
            kind: StoreErrorKind::Other,
            operation: "UploadPart",
            location: self.location.clone(),
            message: "more than 65,535 parts".to_owned(),
        })?;
        self.bytes += body.len() as u64;
        let result = self
            .store
            .upload_part(&self.location, upload, number, Bytes::from(body))
            .await;
        match result {
            Ok(part) => parts.push(part),
            Err(error) => {
                self.abandon().await;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Uploads the last bytes and creates the object, unless there is one already.
    pub(crate) async fn finish(mut self, last: Vec<u8>) -> Result<Finished, StoreError> {
        if self.multipart.is_some() {
            if !last.is_empty() {
                self.part(last).await?;
            }
            return self.complete().await;
        }
        let options = PutOptions {
            content_type: Some(self.content_type.to_owned()),
            // R2, S3, P5: nothing is overwritten.
            ..PutOptions::create_only()
        };
        let bytes = last.len() as u64;
        let result = self
            .store
            .put(&self.location, Bytes::from(last), options)
            .await;
        finished(result, bytes)
    }

    async fn complete(&mut self) -> Result<Finished, StoreError> {
        let Some((upload, parts)) = &self.multipart else {
            return Ok(Finished::Existed);
        };
        let result = self
            .store
            .complete_multipart(&self.location, upload, parts, Precondition::Absent)
            .await;
        let finished = finished(result, self.bytes);
        if !matches!(finished, Ok(Finished::Written { .. })) {
            self.abandon().await;
        }
        finished
    }

    /// Frees the parts, which would cost money until the bucket's lifecycle rule removes them.
    pub(crate) async fn abandon(&mut self) {
        if let Some((upload, _)) = self.multipart.take()
            && let Err(error) = self.store.abort_multipart(&self.location, &upload).await
        {
            tracing::warn!(%error, "parts of an upload are left to the lifecycle rule");
        }
    }
}

fn finished(result: Result<Written, StoreError>, bytes: u64) -> Result<Finished, StoreError> {
    match result {
        Ok(Written { etag, .. }) => Ok(Finished::Written { bytes, etag }),
        Err(error) if error.kind == StoreErrorKind::PreconditionFailed => Ok(Finished::Existed),
        Err(error) => Err(error),
    }
}

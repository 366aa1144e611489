//! A store that wraps another one, and passes all calls on that it does not override.

use async_trait::async_trait;
use bytes::Bytes;
use lakewright_core::{config::Encryption, location::Location};
use lakewright_jobs::ports::{
    Attributes, CompletedPart, DeleteFailure, GetOptions, ListPage, ObjectBody, ObjectMeta,
    Precondition, PutOptions, Store, StoreError, UploadId, Written,
};

/// Overrides some of a store's calls, and passes the others on.
#[async_trait]
pub(super) trait Intercept: Send + Sync {
    /// The wrapped store.
    fn inner(&self) -> &dyn Store;

    async fn head(
        &self,
        object: &Location,
        version: Option<&str>,
    ) -> Result<ObjectMeta, StoreError> {
        self.inner().head(object, version).await
    }

    async fn get(&self, object: &Location, options: GetOptions) -> Result<ObjectBody, StoreError> {
        self.inner().get(object, options).await
    }

    async fn put(
        &self,
        object: &Location,
        body: Bytes,
        options: PutOptions,
    ) -> Result<Written, StoreError> {
        self.inner().put(object, body, options).await
    }

    async fn list(&self, prefix: &Location, after: Option<&str>) -> Result<ListPage, StoreError> {
        self.inner().list(prefix, after).await
    }

    async fn copy(
        &self,
        source: &Location,
        if_source_matches: Option<&str>,
        target: &Location,
        precondition: Precondition,
        encryption: Option<&Encryption>,
    ) -> Result<Written, StoreError> {
        self.inner()
            .copy(source, if_source_matches, target, precondition, encryption)
            .await
    }

    async fn delete(
        &self,
        bucket: &str,
        keys: &[String],
    ) -> Result<Vec<DeleteFailure>, StoreError> {
        self.inner().delete(bucket, keys).await
    }

    async fn create_multipart(
        &self,
        object: &Location,
        content_type: Option<&str>,
        attributes: Option<&Attributes>,
    ) -> Result<UploadId, StoreError> {
        self.inner()
            .create_multipart(object, content_type, attributes)
            .await
    }

    async fn upload_part(
        &self,
        object: &Location,
        upload: &UploadId,
        number: u16,
        body: Bytes,
    ) -> Result<CompletedPart, StoreError> {
        self.inner().upload_part(object, upload, number, body).await
    }

    async fn complete_multipart(
        &self,
        object: &Location,
        upload: &UploadId,
        parts: &[CompletedPart],
        precondition: Precondition,
    ) -> Result<Written, StoreError> {
        self.inner()
            .complete_multipart(object, upload, parts, precondition)
            .await
    }

    async fn abort_multipart(
        &self,
        object: &Location,
        upload: &UploadId,
    ) -> Result<(), StoreError> {
        self.inner().abort_multipart(object, upload).await
    }
}

/// The resulting store.
pub(super) struct Intercepted<T>(pub(super) T);

#[async_trait]
impl<T: Intercept> Store for Intercepted<T> {
    async fn head(
        &self,
        object: &Location,
        version: Option<&str>,
    ) -> Result<ObjectMeta, StoreError> {
        self.0.head(object, version).await
    }

    async fn get(&self, object: &Location, options: GetOptions) -> Result<ObjectBody, StoreError> {
        self.0.get(object, options).await
    }

    async fn put(
        &self,
        object: &Location,
        body: Bytes,
        options: PutOptions,
    ) -> Result<Written, StoreError> {
        self.0.put(object, body, options).await
    }

    async fn list(&self, prefix: &Location, after: Option<&str>) -> Result<ListPage, StoreError> {
        self.0.list(prefix, after).await
    }

    async fn copy(
        &self,
        source: &Location,
        if_source_matches: Option<&str>,
        target: &Location,
        precondition: Precondition,
        encryption: Option<&Encryption>,
    ) -> Result<Written, StoreError> {
        self.0
            .copy(source, if_source_matches, target, precondition, encryption)
            .await
    }

    async fn delete(
        &self,
        bucket: &str,
        keys: &[String],
    ) -> Result<Vec<DeleteFailure>, StoreError> {
        self.0.delete(bucket, keys).await
    }

    async fn create_multipart(
        &self,
        object: &Location,
        content_type: Option<&str>,
        attributes: Option<&Attributes>,
    ) -> Result<UploadId, StoreError> {
        self.0
            .create_multipart(object, content_type, attributes)
            .await
    }

    async fn upload_part(
        &self,
        object: &Location,
        upload: &UploadId,
        number: u16,
        body: Bytes,
    ) -> Result<CompletedPart, StoreError> {
        self.0.upload_part(object, upload, number, body).await
    }

    async fn complete_multipart(
        &self,
        object: &Location,
        upload: &UploadId,
        parts: &[CompletedPart],
        precondition: Precondition,
    ) -> Result<Written, StoreError> {
        self.0
            .complete_multipart(object, upload, parts, precondition)
            .await
    }

    async fn abort_multipart(
        &self,
        object: &Location,
        upload: &UploadId,
    ) -> Result<(), StoreError> {
        self.0.abort_multipart(object, upload).await
    }
}

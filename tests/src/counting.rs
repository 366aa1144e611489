//! Counts requests.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use lakewright_core::{compact::Requests, config::Encryption, location::Location};
use lakewright_model::Client;
use lakewright_ports::{
    Attributes, CompletedPart, DeleteFailure, Deletion, GetOptions, ListPage, ObjectBody,
    ObjectMeta, Precondition, PutOptions, Store, StoreError, StoreLayer, UploadId, Written,
};

/// A store that counts its requests.
pub struct Counting {
    inner: Client,
    counted: Mutex<Requests>,
}

impl Counting {
    /// Counts what goes to `inner` from now on.
    pub fn new(inner: Client) -> Self {
        Self {
            inner,
            counted: Mutex::default(),
        }
    }

    /// The requests since the last call. A deletion counts each of its keys, and every part of an upload is a PUT.
    pub fn taken(&self) -> Requests {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *counted)
    }

    fn count(&self, add: impl FnOnce(&mut Requests)) {
        add(&mut self.counted.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[async_trait]
impl StoreLayer for Counting {
    fn inner(&self) -> &dyn Store {
        &self.inner
    }

    async fn head(
        &self,
        object: &Location,
        version: Option<&str>,
    ) -> Result<ObjectMeta, StoreError> {
        self.count(|counted| counted.get += 1);
        self.inner.head(object, version).await
    }

    async fn get(&self, object: &Location, options: GetOptions) -> Result<ObjectBody, StoreError> {
        self.count(|counted| counted.get += 1);
        self.inner.get(object, options).await
    }

    async fn put(
        &self,
        object: &Location,
        body: Bytes,
        options: PutOptions,
    ) -> Result<Written, StoreError> {
        self.count(|counted| counted.put += 1);
        self.inner.put(object, body, options).await
    }

    async fn list(&self, prefix: &Location, after: Option<&str>) -> Result<ListPage, StoreError> {
        self.count(|counted| counted.list += 1);
        self.inner.list(prefix, after).await
    }

    async fn copy(
        &self,
        source: &Location,
        if_source_matches: Option<&str>,
        target: &Location,
        precondition: Precondition,
        encryption: Option<&Encryption>,
    ) -> Result<Written, StoreError> {
        self.count(|counted| counted.put += 1);
        self.inner
            .copy(source, if_source_matches, target, precondition, encryption)
            .await
    }

    async fn delete(
        &self,
        bucket: &str,
        objects: &[Deletion],
    ) -> Result<Vec<DeleteFailure>, StoreError> {
        self.count(|counted| counted.delete += objects.len() as u64);
        self.inner.delete(bucket, objects).await
    }

    async fn create_multipart(
        &self,
        object: &Location,
        content_type: Option<&str>,
        attributes: Option<&Attributes>,
    ) -> Result<UploadId, StoreError> {
        self.count(|counted| counted.put += 1);
        self.inner
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
        self.count(|counted| counted.put += 1);
        self.inner.upload_part(object, upload, number, body).await
    }

    async fn complete_multipart(
        &self,
        object: &Location,
        upload: &UploadId,
        parts: &[CompletedPart],
        precondition: Precondition,
    ) -> Result<Written, StoreError> {
        self.count(|counted| counted.put += 1);
        self.inner
            .complete_multipart(object, upload, parts, precondition)
            .await
    }
}

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use lakewright_core::{config::Encryption, location::Location};

use super::{
    Attributes, Precondition, PutOptions, Store, StoreError, StoreLayer, UploadId, Written,
};

/// Wraps the store so that every object that is written through it gets a job's tags and encryption: outputs, ledger
/// entries and spooled rows alike, because a bucket that refuses unencrypted objects refuses all of them. Attributes
/// that a writer sets itself are kept. Copies keep the tags of their sources.
pub fn written_as(
    store: &Arc<dyn Store>,
    tags: &BTreeMap<String, String>,
    encryption: Option<&Encryption>,
) -> Arc<dyn Store> {
    if tags.is_empty() && encryption.is_none() {
        return Arc::clone(store);
    }
    Arc::new(WrittenAs {
        inner: Arc::clone(store),
        attributes: Arc::new(Attributes {
            storage_class: None,
            tags: tags.clone(),
            encryption: encryption.cloned(),
        }),
    })
}

struct WrittenAs {
    inner: Arc<dyn Store>,
    attributes: Arc<Attributes>,
}

#[async_trait]
impl StoreLayer for WrittenAs {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    async fn put(
        &self,
        object: &Location,
        body: Bytes,
        mut options: PutOptions,
    ) -> Result<Written, StoreError> {
        let attributes = &self.attributes;
        options
            .attributes
            .get_or_insert_with(|| Arc::clone(attributes));
        self.inner.put(object, body, options).await
    }

    async fn copy(
        &self,
        source: &Location,
        if_source_matches: Option<&str>,
        target: &Location,
        precondition: Precondition,
        encryption: Option<&Encryption>,
    ) -> Result<Written, StoreError> {
        let encryption = encryption.or(self.attributes.encryption.as_ref());
        self.inner
            .copy(source, if_source_matches, target, precondition, encryption)
            .await
    }

    async fn create_multipart(
        &self,
        object: &Location,
        content_type: Option<&str>,
        attributes: Option<&Attributes>,
    ) -> Result<UploadId, StoreError> {
        let attributes = attributes.unwrap_or(&self.attributes);
        self.inner
            .create_multipart(object, content_type, Some(attributes))
            .await
    }
}

//! Counts what is read.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use lakewright_core::location::Location;

use crate::ports::{GetOptions, ObjectBody, Store, StoreError, StoreLayer};

/// A store that counts the bytes that are read of each object whose location it is asked to count.
pub(crate) struct Metered {
    inner: Arc<dyn Store>,
    counts: Box<dyn Fn(&Location) -> bool + Send + Sync>,
    read: Mutex<BTreeMap<Location, Read>>,
}

/// What was read of an object.
#[derive(Clone, Copy, Default)]
struct Read {
    bytes: u64,
    size: u64,
}

impl Metered {
    pub(crate) fn new(
        inner: &Arc<dyn Store>,
        counts: impl Fn(&Location) -> bool + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(inner),
            counts: Box::new(counts),
            read: Mutex::default(),
        })
    }

    /// The bytes that were read so far, and the sizes of the objects of which some were read.
    pub(crate) fn read(&self) -> (u64, u64) {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.values().fold((0, 0), |(bytes, sizes), read| {
            (bytes + read.bytes, sizes + read.size)
        })
    }
}

#[async_trait]
impl StoreLayer for Metered {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    async fn get(&self, object: &Location, options: GetOptions) -> Result<ObjectBody, StoreError> {
        let body = self.inner.get(object, options).await?;
        if (self.counts)(object) {
            let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
            let read = read.entry(object.clone()).or_default();
            read.bytes += body.bytes.len() as u64;
            read.size = body.meta.size;
        }
        Ok(body)
    }
}

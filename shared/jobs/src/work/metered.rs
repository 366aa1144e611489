//! Counts what is read.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use lakewright_core::location::Location;
use lakewright_ports::{GetOptions, ObjectBody, Store, StoreError, StoreLayer};

/// A store that counts the bytes that are read of source objects. Sources are read by their `ETag`; the ledger and spooled
/// rows are not, and do not count.
pub(crate) struct Metered {
    inner: Arc<dyn Store>,
    bytes: AtomicU64,
    size: AtomicU64,
}

impl Metered {
    pub(crate) fn new(inner: &Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(inner),
            bytes: AtomicU64::new(0),
            size: AtomicU64::new(0),
        })
    }

    /// The number of bytes that were read so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The size in bytes of the object that was read last; 0 before the first.
    pub(crate) fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl StoreLayer for Metered {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    async fn get(&self, object: &Location, options: GetOptions) -> Result<ObjectBody, StoreError> {
        let is_source = options.if_match.is_some();
        let body = self.inner.get(object, options).await?;
        if is_source {
            let bytes = body.bytes.len() as u64;
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
            self.size.store(body.meta.size, Ordering::Relaxed);
        }
        Ok(body)
    }
}

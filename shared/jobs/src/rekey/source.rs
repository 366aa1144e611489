//! Reads a source object in ranges, a few of them ahead of use.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use lakewright_core::location::Location;
use tokio::task::JoinHandle;

use super::error::{RekeyError, Stage};
use crate::{
    ports::{GetOptions, ObjectBody, ObjectMeta, Store, StoreError, StoreErrorKind},
    report::Status,
};

/// Bytes in one range.
const RANGE: u64 = 4 << 20;

/// Ranges under way or waiting to be used.
const AHEAD: usize = 2;

/// The bytes of one version of an object, in order.
pub(super) struct SourceReader {
    store: Arc<dyn Store>,
    location: Location,
    meta: ObjectMeta,
    first: Option<Bytes>,
    next: u64,
    ahead: VecDeque<AbortOnDrop>,
}

/// A task that ends with its handle, so that a dropped invocation leaves nothing running.
struct AbortOnDrop(JoinHandle<Result<ObjectBody, StoreError>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl SourceReader {
    /// Opens the object at `location` as long as its `ETag` is `etag`; or says why there is nothing to read.
    pub(super) async fn open(
        store: Arc<dyn Store>,
        location: &Location,
        etag: &str,
    ) -> Result<Result<Self, Status>, RekeyError> {
        match get(&*store, location, etag, 0).await {
            Ok(body) => {
                let mut reader = Self {
                    store,
                    location: location.clone(),
                    next: body.bytes.len() as u64,
                    meta: body.meta,
                    first: Some(body.bytes),
                    ahead: VecDeque::new(),
                };
                reader.read_ahead();
                Ok(Ok(reader))
            }
            Err(error) => match error.kind {
                StoreErrorKind::NotFound => Ok(Err(Status::Gone)),
                StoreErrorKind::PreconditionFailed => Ok(Err(Status::Superseded)),
                StoreErrorKind::InvalidRange => Ok(Err(Status::Ignored)),
                _ => Err(RekeyError::store(Stage::Read, error)),
            },
        }
    }

    /// Where the object is.
    pub(super) fn location(&self) -> &Location {
        &self.location
    }

    /// What is known of the object.
    pub(super) fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    /// The next bytes; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, RekeyError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        let Some(mut task) = self.ahead.pop_front() else {
            return Ok(None);
        };
        self.read_ahead();
        let body = (&mut task.0)
            .await
            .map_err(|error| RekeyError::Task {
                stage: Stage::Read,
                message: error.to_string(),
            })?
            .map_err(|error| RekeyError::store(Stage::Read, error))?;
        Ok(Some(body.bytes))
    }

    fn read_ahead(&mut self) {
        while self.next < self.meta.size && self.ahead.len() < AHEAD {
            let (store, location) = (Arc::clone(&self.store), self.location.clone());
            let (etag, offset) = (self.meta.etag.clone(), self.next);
            self.next += RANGE;
            self.ahead.push_back(AbortOnDrop(tokio::spawn(async move {
                get(&*store, &location, &etag, offset).await
            })));
        }
    }
}

async fn get(
    store: &dyn Store,
    location: &Location,
    etag: &str,
    offset: u64,
) -> Result<ObjectBody, StoreError> {
    let options = GetOptions {
        if_match: Some(etag.to_owned()),
        range: Some(offset..offset + RANGE),
        ..GetOptions::default()
    };
    store.get(location, options).await
}

//! Reads a source object in ranges, a few of them ahead of use.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use bytes::Bytes;
use lakewright_core::location::Location;

use crate::{
    kit::{JobError, Stage, task::Task},
    ports::{GetOptions, ObjectBody, ObjectMeta, Store, StoreError, StoreErrorKind},
    report::Status,
};

/// The number of bytes in one range.
const RANGE: u64 = 4 << 20;

/// The number of ranges that are being read or waiting to be used.
const AHEAD: usize = 2;

/// One version of an object.
pub(crate) struct Source {
    store: Arc<dyn Store>,
    location: Location,
    meta: ObjectMeta,
    /// Its first bytes: all of them, or [`RANGE`].
    first: Bytes,
}

impl Source {
    /// Opens the object at `location` if its `ETag` is `etag`, or returns why there is nothing to read.
    pub(crate) async fn open(
        store: Arc<dyn Store>,
        location: &Location,
        etag: &str,
    ) -> Result<Result<Self, Status>, JobError> {
        match get(&*store, location, etag, 0..RANGE).await {
            Ok(body) => Ok(Ok(Self {
                store,
                location: location.clone(),
                meta: body.meta,
                first: body.bytes,
            })),
            Err(error) => match error.kind {
                StoreErrorKind::NotFound => Ok(Err(Status::Gone)),
                StoreErrorKind::PreconditionFailed => Ok(Err(Status::Superseded)),
                StoreErrorKind::InvalidRange => Ok(Err(Status::Ignored)),
                _ => Err(JobError::store(Stage::Read, error)),
            },
        }
    }

    /// The object's location.
    pub(crate) fn location(&self) -> &Location {
        &self.location
    }

    /// The object's metadata.
    pub(crate) fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    /// Its first bytes.
    pub(crate) fn first(&self) -> &Bytes {
        &self.first
    }

    /// Its bytes from first to last.
    pub(crate) fn read(self) -> SourceReader {
        let (start, end) = (self.first.len() as u64, self.meta.size);
        let mut reader = self.read_range(start..end);
        reader.first = Some(self.first);
        reader
    }

    /// The bytes of a range of it.
    pub(crate) fn read_range(&self, range: Range<u64>) -> SourceReader {
        let (store, etag) = (Arc::clone(&self.store), self.meta.etag.clone());
        SourceReader::new(store, self.location.clone(), etag, range)
    }
}

/// Bytes of one version of an object, in order.
pub(crate) struct SourceReader {
    store: Arc<dyn Store>,
    location: Location,
    etag: String,
    first: Option<Bytes>,
    /// The range that was not requested yet.
    rest: Range<u64>,
    ahead: VecDeque<Task<Result<ObjectBody, StoreError>>>,
}

impl SourceReader {
    /// Reads a range of the object at `location` if its `ETag` is `etag`.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        location: Location,
        etag: String,
        range: Range<u64>,
    ) -> Self {
        let mut reader = Self {
            store,
            location,
            etag,
            first: None,
            rest: range,
            ahead: VecDeque::new(),
        };
        reader.read_ahead();
        reader
    }

    /// The next bytes; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, JobError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        let Some(task) = self.ahead.pop_front() else {
            return Ok(None);
        };
        self.read_ahead();
        let body = task.join(Stage::Read).await?;
        let body = body.map_err(|error| JobError::store(Stage::Read, error))?;
        Ok(Some(body.bytes))
    }

    fn read_ahead(&mut self) {
        while !self.rest.is_empty() && self.ahead.len() < AHEAD {
            let (store, location) = (Arc::clone(&self.store), self.location.clone());
            let (etag, start) = (self.etag.clone(), self.rest.start);
            let end = self.rest.end.min(start + RANGE);
            self.rest.start = end;
            self.ahead.push_back(Task::spawn(async move {
                get(&*store, &location, &etag, start..end).await
            }));
        }
    }
}

async fn get(
    store: &dyn Store,
    location: &Location,
    etag: &str,
    range: Range<u64>,
) -> Result<ObjectBody, StoreError> {
    let options = GetOptions {
        if_match: Some(etag.to_owned()),
        range: Some(range),
        ..GetOptions::default()
    };
    store.get(location, options).await
}

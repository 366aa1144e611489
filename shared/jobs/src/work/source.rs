//! Reads a source object in ranges, a few of them ahead of use.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use bytes::Bytes;
use lakewright_core::location::Location;
use lakewright_ports::{GetOptions, ObjectBody, ObjectMeta, Store, StoreError, StoreErrorKind};

use crate::{
    kit::{JobError, Stage, task::Task},
    report::Status,
};

/// The number of bytes in one range.
pub(crate) const RANGE: u64 = 4 << 20;

/// The number of ranges that are being read or waiting to be used.
const AHEAD: usize = 2;

/// The most bytes that a reader holds: those ranges, and the one that is being used.
pub(crate) const HELD: u64 = (AHEAD as u64 + 1) * RANGE;

/// One version of an object.
#[derive(Clone)]
pub(crate) struct Pinned {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) location: Location,
    pub(crate) etag: String,
    /// In bytes.
    pub(crate) size: u64,
}

impl Pinned {
    /// The bytes of a range, a few of them ahead of use.
    pub(crate) fn read(&self, range: Range<u64>) -> SourceReader {
        SourceReader::new(self.clone(), range)
    }

    /// The bytes of a short range, at once.
    pub(crate) async fn bytes(&self, range: Range<u64>) -> Result<Bytes, JobError> {
        let length = range.end - range.start;
        if length == 0 {
            return Ok(Bytes::new());
        }
        let body = get(&*self.store, &self.location, &self.etag, range)
            .await
            .map_err(|error| JobError::store(Stage::Read, error))?;
        if body.bytes.len() as u64 == length {
            Ok(body.bytes)
        } else {
            let message = format!("{} bytes came for {length}", body.bytes.len());
            Err(JobError::unreadable(self.location.clone(), message).version(&self.etag))
        }
    }
}

/// One version of an object, with its first bytes.
pub(crate) struct Source {
    object: Pinned,
    meta: ObjectMeta,
    /// Its first bytes: all of them, or [`RANGE`].
    first: Bytes,
}

/// An object that was opened.
pub(crate) enum Opened {
    Source(Box<Source>),
    /// There is nothing to read, for this reason.
    Nothing(Status),
}

impl Source {
    /// Opens the object at `location` if its `ETag` is `etag`.
    pub(crate) async fn open(
        store: Arc<dyn Store>,
        location: &Location,
        etag: &str,
    ) -> Result<Opened, JobError> {
        match get(&*store, location, etag, 0..RANGE).await {
            Ok(body) => Ok(Opened::Source(Box::new(Self {
                object: Pinned {
                    store,
                    location: location.clone(),
                    etag: body.meta.etag.clone(),
                    size: body.meta.size,
                },
                meta: body.meta,
                first: body.bytes,
            }))),
            Err(error) => match error.kind {
                StoreErrorKind::NotFound => Ok(Opened::Nothing(Status::Gone)),
                StoreErrorKind::PreconditionFailed => Ok(Opened::Nothing(Status::Superseded)),
                StoreErrorKind::InvalidRange => Ok(Opened::Nothing(Status::Ignored)),
                _ => Err(JobError::store(Stage::Read, error)),
            },
        }
    }

    /// The object.
    pub(crate) fn object(&self) -> &Pinned {
        &self.object
    }

    /// The object's location.
    pub(crate) fn location(&self) -> &Location {
        &self.object.location
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
        let (start, end) = (self.first.len() as u64, self.object.size);
        let mut reader = self.object.read(start..end);
        reader.first = Some(self.first);
        reader
    }
}

/// Bytes of one version of an object, in order.
pub(crate) struct SourceReader {
    object: Pinned,
    first: Option<Bytes>,
    /// The range that was not requested yet.
    rest: Range<u64>,
    ahead: VecDeque<Task<Result<Bytes, JobError>>>,
}

impl SourceReader {
    fn new(object: Pinned, range: Range<u64>) -> Self {
        let mut reader = Self {
            object,
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
        task.join(Stage::Read).await?.map(Some)
    }

    fn read_ahead(&mut self) {
        while !self.rest.is_empty() && self.ahead.len() < AHEAD {
            let end = self.rest.end.min(self.rest.start + RANGE);
            let range = self.rest.start..end;
            self.rest.start = end;
            let object = self.object.clone();
            self.ahead
                .push_back(Task::spawn(async move { object.bytes(range).await }));
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

//! Reads the bytes of a source in order, a few ranges ahead of use.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use bytes::{Buf, Bytes};
use lakewright_core::{
    compression::{Codec, DecompressError, Decompressor, Status},
    location::Location,
};
use tokio::task::JoinHandle;

use super::ledger::Source;
use crate::{
    kit::{ErrorKind, JobError, Stage},
    ports::{GetOptions, Store, StoreError, StoreErrorKind},
};

/// The number of bytes in one range.
const RANGE: u64 = 4 << 20;

/// The number of ranges that are being read or waiting to be used.
const AHEAD: usize = 3;

/// The most decompressed bytes for each compressed byte.
const MAX_RATIO: u32 = 1_000;

/// A range of a source's stored bytes.
pub(super) struct Stored {
    store: Arc<dyn Store>,
    source: Source,
    left: Range<u64>,
    ahead: VecDeque<AbortOnDrop>,
}

/// A task that ends with its handle, so that an invocation that ends early leaves nothing running.
struct AbortOnDrop(JoinHandle<Result<Bytes, JobError>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Stored {
    pub(super) fn new(store: &Arc<dyn Store>, source: &Source, range: Range<u64>) -> Self {
        let mut stored = Self {
            store: Arc::clone(store),
            source: source.clone(),
            left: range,
            ahead: VecDeque::new(),
        };
        stored.read_ahead();
        stored
    }

    /// The next bytes; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, JobError> {
        let Some(mut task) = self.ahead.pop_front() else {
            return Ok(None);
        };
        self.read_ahead();
        let bytes = (&mut task.0)
            .await
            .map_err(|error| JobError::task(Stage::Read, error.to_string()))??;
        Ok(Some(bytes))
    }

    fn read_ahead(&mut self) {
        while !self.left.is_empty() && self.ahead.len() < AHEAD {
            let end = self.left.end.min(self.left.start + RANGE);
            let range = self.left.start..end;
            self.left.start = end;
            let (store, source) = (Arc::clone(&self.store), self.source.clone());
            self.ahead.push_back(AbortOnDrop(tokio::spawn(async move {
                get(&*store, &source, range).await
            })));
        }
    }
}

/// A range of a source's stored bytes, if the object is still the one that was planned.
pub(super) async fn get(
    store: &dyn Store,
    source: &Source,
    range: Range<u64>,
) -> Result<Bytes, JobError> {
    let length = range.end - range.start;
    if length == 0 {
        return Ok(Bytes::new());
    }
    let options = GetOptions {
        if_match: Some(source.etag.clone()),
        range: Some(range),
        ..GetOptions::default()
    };
    let body = store
        .get(&source.location, options)
        .await
        .map_err(|error| failed(source, error))?;
    if body.bytes.len() as u64 == length {
        Ok(body.bytes)
    } else {
        Err(changed(source.location.clone()))
    }
}

fn failed(source: &Source, error: StoreError) -> JobError {
    match error.kind {
        StoreErrorKind::NotFound
        | StoreErrorKind::PreconditionFailed
        | StoreErrorKind::InvalidRange => changed(source.location.clone()),
        _ => JobError::store(Stage::Read, error),
    }
}

/// A source's bytes, decompressed.
pub(super) struct Plain {
    stored: Stored,
    /// `None` if the source is not compressed.
    decompressor: Option<Decompressor>,
    chunk: Bytes,
    /// Whether there is more output for the current input.
    has_output: bool,
    over: bool,
    source: Source,
}

impl Plain {
    /// Reads a whole source.
    pub(super) fn new(store: &Arc<dyn Store>, source: &Source) -> Self {
        Self {
            stored: Stored::new(store, source, 0..source.size),
            decompressor: source.compressed.then(|| Decompressor::new(MAX_RATIO)),
            chunk: Bytes::new(),
            has_output: false,
            over: false,
            source: source.clone(),
        }
    }

    /// The next bytes, of bounded number; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, JobError> {
        let Some(decompressor) = &mut self.decompressor else {
            return self.stored.next().await;
        };
        let mut plain = Vec::new();
        while plain.is_empty() && !self.over {
            if self.chunk.is_empty() && !self.has_output {
                match self.stored.next().await? {
                    Some(chunk) => self.chunk = chunk,
                    None => self.over = true,
                }
            }
            let result = if self.over {
                decompressor.finish(&mut plain)
            } else {
                let mut input = &self.chunk[..];
                let result = decompressor.push(&mut input, &mut plain);
                let used = self.chunk.len() - input.len();
                self.chunk.advance(used);
                result.map(|status| self.has_output = status == Status::HasOutput)
            };
            result.map_err(|error| {
                JobError::unreadable(self.source.location.clone(), error.to_string())
            })?;
        }
        Ok((!plain.is_empty()).then(|| Bytes::from(plain)))
    }
}

/// The first decompressed bytes of a source, and whether it is compressed.
pub(super) fn head(stored: &[u8]) -> Result<(Vec<u8>, bool), DecompressError> {
    let mut plain = Vec::new();
    let mut decompressor = Decompressor::new(MAX_RATIO);
    let mut input = stored;
    decompressor.push(&mut input, &mut plain)?;
    let compressed = decompressor
        .codec()
        .is_some_and(|codec| codec != Codec::None);
    Ok((plain, compressed))
}

/// An object of the result is gone, or was replaced after it was planned.
pub(super) fn changed(location: Location) -> JobError {
    let message = "it is not the object that the plan was made of: it was deleted or replaced. Run the query again";
    JobError::new(ErrorKind::SourceChanged, message)
        .during(Stage::Read)
        .of(location)
}

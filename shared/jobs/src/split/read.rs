//! Reads the bytes of a source in order, a few ranges ahead of use.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use lakewright_core::{
    compression::{Codec, DecompressError, Layers, Status},
    location::Location,
};
use lakewright_ports::Store;

use super::ledger::Source;
use crate::{
    kit::{ErrorKind, JobError, Stage},
    work::{
        plain::{PlainError, PlainReader},
        refusal::undecompressed,
        source::SourceReader,
    },
};

/// The most decompressed bytes for each compressed byte.
const MAX_RATIO: u32 = 1_000;

/// A range of a source's stored bytes.
pub(super) struct Stored {
    reader: SourceReader,
    location: Location,
}

impl Stored {
    pub(super) fn new(store: &Arc<dyn Store>, source: &Source, range: Range<u64>) -> Self {
        Self {
            reader: source.pinned(store).read(range),
            location: source.location.clone(),
        }
    }

    /// The next bytes; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, JobError> {
        let read = self.reader.next().await;
        read.map_err(|error| unread(&self.location, error))
    }
}

/// A range of a source's stored bytes, if the object is still the one that was planned.
pub(super) async fn get(
    store: &Arc<dyn Store>,
    source: &Source,
    range: Range<u64>,
) -> Result<Bytes, JobError> {
    let read = source.pinned(store).bytes(range).await;
    read.map_err(|error| unread(&source.location, error))
}

/// Converts a failure to read an object of the plan.
fn unread(location: &Location, error: JobError) -> JobError {
    if error.is_of_a_changed_object() {
        changed(location.clone())
    } else {
        error
    }
}

/// A source's bytes, decompressed.
pub(super) enum Plain {
    Stored(Stored),
    /// The reader, until it has returned the last bytes.
    Compressed(Location, Option<Box<PlainReader>>),
}

impl Plain {
    /// Reads a whole source.
    pub(super) fn new(store: &Arc<dyn Store>, source: &Source) -> Self {
        if !source.compressed {
            return Self::Stored(Stored::new(store, source, 0..source.size));
        }
        let reader = source.pinned(store).read(0..source.size);
        let reader = PlainReader::new(reader, MAX_RATIO);
        Self::Compressed(source.location.clone(), Some(Box::new(reader)))
    }

    /// The next bytes, a bounded number of them; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, JobError> {
        let (location, open) = match self {
            Self::Stored(stored) => return stored.next().await,
            Self::Compressed(location, open) => (location, open),
        };
        let mut plain = Bytes::new();
        while plain.is_empty()
            && let Some(reader) = open
        {
            let more = reader.advance().await;
            let more = more.map_err(|error| match error {
                PlainError::Read(error) => unread(location, error),
                PlainError::Corrupt(error) => undecompressed(location, &error),
            })?;
            plain = Bytes::copy_from_slice(reader.plain().bytes());
            if !more {
                *open = None;
            }
        }
        Ok((!plain.is_empty()).then_some(plain))
    }
}

/// The first decompressed bytes of a source, and whether it is compressed.
pub(super) fn head(stored: &[u8]) -> Result<(Vec<u8>, bool), DecompressError> {
    let mut decompressor = Layers::new(MAX_RATIO);
    let mut input = stored;
    let mut status = Status::HasOutput;
    while status == Status::HasOutput && decompressor.output().bytes().is_empty() {
        status = decompressor.push(&mut input)?;
    }
    let compressed = decompressor
        .codec()
        .is_some_and(|codec| codec != Codec::None);
    Ok((decompressor.output().bytes().to_vec(), compressed))
}

/// The error for an object of the result that was deleted or replaced after it was planned.
pub(super) fn changed(location: Location) -> JobError {
    let message = "it was deleted or replaced after the plan was made. Run the query again";
    JobError::new(ErrorKind::SourceChanged, message)
        .during(Stage::Read)
        .of(location)
}

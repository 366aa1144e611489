//! The footers of Parquet files: their rows, and what is needed to know whether they can be merged.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use lakewright_core::{
    location::Location,
    merge::{FOOTER_TAIL, Footer, LARGEST_FOOTER, footer_size, read_footer},
};
use parquet::file::metadata::ParquetMetaData;

use super::error::CompactError;
use crate::ports::{GetOptions, Store, StoreErrorKind};

/// How much of the end of files holds their footers: those of one table are about alike.
#[derive(Debug, Default)]
pub(super) struct Tail(AtomicU64);

impl Tail {
    /// What to read of the next file.
    fn next(&self) -> u64 {
        match self.0.load(Ordering::Relaxed) {
            0 => FOOTER_TAIL,
            known => known,
        }
    }

    /// Takes in how long a footer was.
    fn learn(&self, size: u64) {
        self.0.fetch_max(size + size / 8, Ordering::Relaxed);
    }
}

/// The footer of an object of this size. With an `ETag`, of that object only.
pub(super) async fn footer(
    store: &dyn Store,
    location: &Location,
    size: u64,
    etag: Option<&str>,
) -> Result<Arc<ParquetMetaData>, CompactError> {
    footer_of(store, location, size, etag, &Tail::default()).await
}

/// The same, of one of many files.
pub(super) async fn footer_of(
    store: &dyn Store,
    location: &Location,
    size: u64,
    etag: Option<&str>,
    known: &Tail,
) -> Result<Arc<ParquetMetaData>, CompactError> {
    let wrong = |message: String| CompactError::Unreadable {
        location: location.clone(),
        message,
    };
    let mut start = size.saturating_sub(known.next());
    loop {
        let tail = match size {
            0 => Bytes::new(),
            _ => read(store, location, start..size, etag).await?,
        };
        match read_footer(&tail, size, LARGEST_FOOTER).map_err(|error| wrong(error.to_string()))? {
            Footer::Read(metadata) => {
                known.learn(footer_size(&tail));
                return Ok(Arc::from(metadata));
            }
            Footer::Needs(range) if range.start < start => start = range.start,
            Footer::Needs(_) => return Err(wrong("its end was cut short".to_owned())),
        }
    }
}

/// The rows that a footer counts.
pub(super) fn rows(metadata: &ParquetMetaData) -> u64 {
    u64::try_from(metadata.file_metadata().num_rows()).unwrap_or_default()
}

/// A range of an object. With an `ETag`, of that object only.
pub(super) async fn read(
    store: &dyn Store,
    location: &Location,
    range: Range<u64>,
    etag: Option<&str>,
) -> Result<Bytes, CompactError> {
    let options = GetOptions {
        version: None,
        if_match: etag.map(str::to_owned),
        range: Some(range),
    };
    match store.get(location, options).await {
        Ok(body) => Ok(body.bytes),
        Err(error)
            if matches!(
                error.kind,
                StoreErrorKind::NotFound | StoreErrorKind::PreconditionFailed
            ) =>
        {
            Err(CompactError::InputChanged {
                location: location.clone(),
            })
        }
        Err(error) => Err(error.into()),
    }
}

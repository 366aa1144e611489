//! Reads the footers of Parquet files: their row counts, and what determines whether they can be merged.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use lakewright_core::location::Location;
use lakewright_ports::{GetOptions, Store, StoreError, StoreErrorKind};
use parquet::file::metadata::ParquetMetaData;
use parquet_merge::LARGEST_FOOTER;

use super::carry::input_changed;
pub(super) use crate::work::footer::{Tail, rows};
use crate::{
    kit::{ErrorKind, JobError},
    work::footer::{FooterFailure, ParquetObject},
};

/// The footer of an object of this size and, if it is given, this `ETag`.
pub(super) async fn footer(
    store: &dyn Store,
    location: &Location,
    size: u64,
    etag: Option<&str>,
) -> Result<Arc<ParquetMetaData>, JobError> {
    footer_of(store, location, size, etag, &Tail::default()).await
}

/// The same, for one of many files.
pub(super) async fn footer_of(
    store: &dyn Store,
    location: &Location,
    size: u64,
    etag: Option<&str>,
    tail: &Tail,
) -> Result<Arc<ParquetMetaData>, JobError> {
    let object = ParquetObject {
        store,
        location,
        size,
        etag,
        tail,
        limit: LARGEST_FOOTER,
    };
    match object.footer().await {
        Ok(metadata) => Ok(Arc::new(metadata)),
        Err(FooterFailure::Store(error)) => Err(not_read(location, error)),
        Err(FooterFailure::Unreadable(message)) => {
            Err(JobError::new(ErrorKind::Unreadable, message).of(location.clone()))
        }
    }
}

/// Reads a range of the object with this `ETag`.
pub(super) async fn read(
    store: &dyn Store,
    location: &Location,
    range: Range<u64>,
    etag: &str,
) -> Result<Bytes, JobError> {
    let options = GetOptions {
        if_match: Some(etag.to_owned()),
        range: Some(range),
        ..GetOptions::default()
    };
    let body = store.get(location, options).await;
    Ok(body.map_err(|error| not_read(location, error))?.bytes)
}

fn not_read(location: &Location, error: StoreError) -> JobError {
    match error.kind {
        StoreErrorKind::NotFound | StoreErrorKind::PreconditionFailed => {
            input_changed(location.clone())
        }
        _ => error.into(),
    }
}

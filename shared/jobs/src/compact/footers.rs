//! The footers of Parquet files: their rows, and what is needed to know whether they can be merged.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use lakewright_core::{
    location::Location,
    split::{ParquetError, ParquetFooter, Step},
};
use parquet::file::metadata::ParquetMetaData;

use super::error::CompactError;
use crate::ports::{GetOptions, Store, StoreErrorKind};

/// How much of a file's end is read at once: mostly the whole footer.
const TAIL: u64 = 64 << 10;

/// The footer of an object of this size. With an `ETag`, of that object only.
pub(super) async fn footer(
    store: &dyn Store,
    location: &Location,
    size: u64,
    etag: Option<&str>,
) -> Result<Arc<ParquetMetaData>, CompactError> {
    let wrong = |error: ParquetError| CompactError::Unreadable {
        location: location.clone(),
        message: error.to_string(),
    };
    let mut footer = ParquetFooter::new(size).map_err(wrong)?;
    let tail = size.saturating_sub(TAIL)..size;
    let bytes = read(store, location, tail.clone(), etag).await?;
    footer.push(vec![tail], vec![bytes]).map_err(wrong)?;
    loop {
        match footer.step().map_err(wrong)? {
            Step::Needs(ranges) => {
                let mut bytes = Vec::with_capacity(ranges.len());
                for range in &ranges {
                    bytes.push(read(store, location, range.clone(), etag).await?);
                }
                footer.push(ranges, bytes).map_err(wrong)?;
            }
            Step::Found(metadata) => return Ok(metadata),
            Step::Over => {
                return Err(CompactError::Unreadable {
                    location: location.clone(),
                    message: "its footer has no end".to_owned(),
                });
            }
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

//! Reads UNLOAD's Parquet: ranges of rows, fetched as the decoder requests them.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use futures::{TryStreamExt, stream::FuturesOrdered};
use lakewright_core::split::{ParquetFooter, ParquetReadError, ParquetRows, Step};
use lakewright_ports::Store;

use super::{ledger::Source, read};
use crate::kit::JobError;

/// Rows of a Parquet object.
pub(super) struct Parquet {
    store: Arc<dyn Store>,
    source: Source,
    rows: ParquetRows,
}

fn unreadable(source: &Source) -> impl Fn(ParquetReadError) -> JobError + use<> {
    let location = source.location.clone();
    move |error| JobError::unreadable(location.clone(), error.to_string())
}

async fn fetch(
    store: &Arc<dyn Store>,
    source: &Source,
    ranges: &[Range<u64>],
) -> Result<Vec<Bytes>, JobError> {
    let mut reads = FuturesOrdered::new();
    for range in ranges {
        reads.push_back(read::get(store, source, range.clone()));
    }
    reads.try_collect().await
}

impl Parquet {
    /// Opens the rows `rows` of the object, or all of them. At most `memory` bytes are read at a time. Also returns the
    /// number of the object's rows.
    pub(super) async fn open(
        store: &Arc<dyn Store>,
        source: &Source,
        rows: Option<Range<u64>>,
        memory: u64,
    ) -> Result<(Self, u64), JobError> {
        let wrong = unreadable(source);
        let mut footer = ParquetFooter::new(source.size);
        let metadata = loop {
            match footer.step().map_err(&wrong)? {
                Step::Needs(ranges) => {
                    let bytes = fetch(store, source, &ranges).await?;
                    footer.push(bytes);
                }
                Step::Found(metadata) => break metadata,
                Step::Over => {
                    return Err(JobError::unreadable(
                        source.location.clone(),
                        "its footer has no end".to_owned(),
                    ));
                }
            }
        };
        let all = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or_default();
        let rows = rows.unwrap_or(0..all);
        let rows = ParquetRows::new(&metadata, &rows, memory).map_err(&wrong)?;
        let parquet = Self {
            store: Arc::clone(store),
            source: source.clone(),
            rows,
        };
        Ok((parquet, all))
    }

    /// The columns' names.
    pub(super) fn names(&self) -> &[String] {
        self.rows.names()
    }

    /// The next rows, as lines of JSON; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, JobError> {
        let wrong = unreadable(&self.source);
        loop {
            match self.rows.step().map_err(&wrong)? {
                Step::Needs(ranges) => {
                    let bytes = fetch(&self.store, &self.source, &ranges).await?;
                    self.rows.push(ranges, bytes).map_err(&wrong)?;
                }
                Step::Found(lines) => return Ok(Some(lines.into())),
                Step::Over => return Ok(None),
            }
        }
    }
}

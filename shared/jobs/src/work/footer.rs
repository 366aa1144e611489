//! The footers of Parquet files that stand in the store.

use std::ops::Range;

use bytes::Bytes;
use lakewright_core::{
    location::Location,
    merge::{Footer, read_footer},
};
use parquet::file::metadata::ParquetMetaData;

use crate::ports::{GetOptions, Store, StoreError};

/// How much of a file's end is read at first: mostly the whole footer.
const TAIL: u64 = 64 << 10;

/// The largest footer.
const MAX_FOOTER: u64 = 64 << 20;

/// Why a footer was not read.
pub(crate) enum FooterError {
    /// The store failed.
    Store(StoreError),
    /// The file has none, or none that is taken.
    Unreadable(String),
}

/// A Parquet file in the store.
pub(crate) struct ParquetObject<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) location: &'a Location,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// With an `ETag`, only the object of that one is read.
    pub(crate) etag: Option<&'a str>,
}

impl ParquetObject<'_> {
    /// The footer, or where it is, if it is longer than [`TAIL`].
    pub(crate) async fn look(&self) -> Result<Footer, FooterError> {
        self.footer_in(self.size.saturating_sub(TAIL)..self.size)
            .await
    }

    /// The footer that stands there.
    pub(crate) async fn footer_at(
        &self,
        place: Range<u64>,
    ) -> Result<ParquetMetaData, FooterError> {
        match self.footer_in(place).await? {
            Footer::Read(metadata) => Ok(*metadata),
            Footer::Needs(_) => Err(FooterError::Unreadable("its end was cut short".to_owned())),
        }
    }

    /// The footer, however long it is.
    pub(crate) async fn footer(&self) -> Result<ParquetMetaData, FooterError> {
        match self.look().await? {
            Footer::Read(metadata) => Ok(*metadata),
            Footer::Needs(place) => self.footer_at(place).await,
        }
    }

    async fn footer_in(&self, end: Range<u64>) -> Result<Footer, FooterError> {
        let mut tail = Bytes::new();
        if self.size > 0 {
            let options = GetOptions {
                if_match: self.etag.map(str::to_owned),
                range: Some(end),
                ..GetOptions::default()
            };
            let body = self.store.get(self.location, options).await;
            tail = body.map_err(FooterError::Store)?.bytes;
        }
        read_footer(&tail, self.size, MAX_FOOTER)
            .map_err(|error| FooterError::Unreadable(error.to_string()))
    }
}

/// The rows that a footer counts.
pub(crate) fn rows(metadata: &ParquetMetaData) -> u64 {
    u64::try_from(metadata.file_metadata().num_rows()).unwrap_or_default()
}

//! Reads the footers of Parquet files in the store.

use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use lakewright_core::{
    content::{HEAD, instead_of_parquet},
    location::Location,
};
use lakewright_ports::{GetOptions, Store, StoreError};
use parquet::file::metadata::ParquetMetaData;
use parquet_merge::{FOOTER_TAIL, Footer, footer_size, read_footer};

/// How many bytes from the end of a file contain its footer: footers of one table have similar sizes.
#[derive(Debug, Default)]
pub(crate) struct Tail(AtomicU64);

impl Tail {
    /// How many bytes to read from the next file.
    fn next(&self) -> u64 {
        match self.0.load(Ordering::Relaxed) {
            0 => FOOTER_TAIL,
            known => known,
        }
    }

    /// Records the size of a footer.
    fn learn(&self, size: u64) {
        self.0.fetch_max(size + size / 8, Ordering::Relaxed);
    }
}

/// Why a footer was not read.
pub(crate) enum FooterFailure {
    /// The store failed.
    Store(StoreError),
    /// The file has no footer, or one that is refused.
    Unreadable(String),
}

/// A Parquet file in the store.
pub(crate) struct ParquetObject<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) location: &'a Location,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// If set, only the object with this `ETag` is read.
    pub(crate) etag: Option<&'a str>,
    /// The sizes of the footers that were read before.
    pub(crate) tail: &'a Tail,
    /// The largest footer that is accepted.
    pub(crate) limit: u64,
}

impl ParquetObject<'_> {
    /// The footer, or its position, if it is longer than those of the files before.
    pub(crate) async fn look(&self) -> Result<Footer, FooterFailure> {
        let end = self.size.saturating_sub(self.tail.next())..self.size;
        Ok(self.footer_in(end).await?.0)
    }

    /// The footer at this position.
    pub(crate) async fn footer_at(
        &self,
        place: Range<u64>,
    ) -> Result<ParquetMetaData, FooterFailure> {
        complete(self.footer_in(place).await?.0)
    }

    /// The footer, whatever its length.
    pub(crate) async fn footer(&self) -> Result<ParquetMetaData, FooterFailure> {
        match self.look().await? {
            Footer::Read(metadata) => Ok(*metadata),
            Footer::Needs(place) => self.footer_at(place).await,
        }
    }

    /// The footer and the whole file, read at once.
    pub(crate) async fn whole(&self) -> Result<(ParquetMetaData, Bytes), FooterFailure> {
        let (footer, bytes) = self.footer_in(0..self.size).await?;
        Ok((complete(footer)?, bytes))
    }

    /// Says what the file is instead, if its first bytes tell.
    async fn not_parquet(&self) -> Result<String, FooterFailure> {
        let not = parquet_merge::FooterError::NotParquet;
        let head = self.bytes(0..self.size.min(HEAD as u64)).await?;
        Ok(match instead_of_parquet(&head) {
            Some(what) => format!("{not}: {what}"),
            None => not.to_string(),
        })
    }

    async fn bytes(&self, range: Range<u64>) -> Result<Bytes, FooterFailure> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let options = GetOptions {
            if_match: self.etag.map(str::to_owned),
            range: Some(range),
            ..GetOptions::default()
        };
        let body = self.store.get(self.location, options).await;
        Ok(body.map_err(FooterFailure::Store)?.bytes)
    }

    /// The footer within the last bytes of the file, and those bytes.
    async fn footer_in(&self, end: Range<u64>) -> Result<(Footer, Bytes), FooterFailure> {
        let tail = self.bytes(end).await?;
        let footer = match read_footer(&tail, self.size, self.limit) {
            Err(parquet_merge::FooterError::NotParquet) => {
                return Err(FooterFailure::Unreadable(self.not_parquet().await?));
            }
            footer => footer.map_err(|error| FooterFailure::Unreadable(error.to_string()))?,
        };
        if matches!(footer, Footer::Read(_)) {
            self.tail.learn(footer_size(&tail));
        }
        Ok((footer, tail))
    }
}

fn complete(footer: Footer) -> Result<ParquetMetaData, FooterFailure> {
    match footer {
        Footer::Read(metadata) => Ok(*metadata),
        Footer::Needs(_) => Err(FooterFailure::Unreadable(
            "its end was cut short".to_owned(),
        )),
    }
}

/// The number of rows in a footer.
pub(crate) fn rows(metadata: &ParquetMetaData) -> u64 {
    u64::try_from(metadata.file_metadata().num_rows()).unwrap_or_default()
}

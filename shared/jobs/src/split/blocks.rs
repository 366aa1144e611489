//! Reads a chunk's rows, in blocks of whole rows.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use lakewright_core::{
    config::{ResultColumn, Types},
    split::{Chunk, Column, Framing, RowReader, SourceFormat},
};
use lakewright_ports::Store;

use super::{
    ledger::{Plan, Source},
    parquet::Parquet,
    read::{Plain, Stored, changed},
};
use crate::kit::{ErrorKind, JobError};

/// The rows of a chunk.
pub(super) struct Blocks {
    rows: Rows,
    /// How they are separated.
    pub(super) framing: Framing,
    /// Reads them.
    pub(super) reader: RowReader,
}

enum Rows {
    /// All rows, until they are taken.
    Text(Option<Bytes>),
    Parquet(Box<Parquet>),
}

impl Blocks {
    /// Opens a chunk of the plan. At most `memory` bytes are read at a time.
    pub(super) async fn open(
        store: &Arc<dyn Store>,
        plan: &Plan,
        chunk: &Chunk,
        memory: u64,
    ) -> Result<Self, JobError> {
        let source = usize::try_from(chunk.source)
            .ok()
            .and_then(|index| plan.sources.get(index))
            .ok_or_else(|| JobError::new(ErrorKind::BadRequest, "the plan lacks a source"))?;
        let types = plan.settings.types;
        let Some(framing) = source.format.framing() else {
            let first = chunk.first_row - source.first_row;
            let rows = Some(first..first + chunk.rows);
            let (parquet, _) = Parquet::open(store, source, rows, memory).await?;
            let reader = parquet_reader(&parquet, types);
            return Ok(Self {
                rows: Rows::Parquet(Box::new(parquet)),
                framing: Framing::JsonLines,
                reader,
            });
        };
        let columns = Column::all(&plan.columns, types);
        Ok(Self {
            rows: Rows::Text(Some(text(store, source, chunk).await?)),
            framing,
            reader: RowReader::new(source.format, columns, types),
        })
    }

    /// The next rows; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, JobError> {
        match &mut self.rows {
            Rows::Text(text) => Ok(text.take()),
            Rows::Parquet(parquet) => parquet.next().await,
        }
    }
}

/// A reader for Parquet's rows, which arrive as lines of JSON.
pub(super) fn parquet_reader(parquet: &Parquet, types: Types) -> RowReader {
    let named = |name: &String| ResultColumn {
        name: name.clone(),
        athena_type: String::new(),
    };
    let columns = parquet.names().iter().map(named).collect::<Vec<_>>();
    RowReader::new(SourceFormat::Parquet, Column::all(&columns, types), types)
}

/// The bytes of a chunk of text, decompressed.
async fn text(store: &Arc<dyn Store>, source: &Source, chunk: &Chunk) -> Result<Bytes, JobError> {
    let length = usize::try_from(chunk.length).unwrap_or(usize::MAX);
    let mut text = BytesMut::with_capacity(length);
    if source.compressed {
        // From the beginning, because compressed data cannot be read from the middle.
        let mut plain = Plain::new(store, source);
        let mut before = chunk.offset;
        while text.len() < length
            && let Some(bytes) = plain.next().await?
        {
            let skipped = usize::try_from(before).map_or(bytes.len(), |n| n.min(bytes.len()));
            before -= skipped as u64;
            let rest = bytes.slice(skipped..);
            let taken = rest.len().min(length - text.len());
            text.extend_from_slice(&rest.slice(..taken));
        }
    } else {
        let range = chunk.offset..chunk.offset + chunk.length;
        let mut stored = Stored::new(store, source, range);
        while let Some(bytes) = stored.next().await? {
            text.extend_from_slice(&bytes);
        }
    }
    if text.len() == length {
        Ok(text.freeze())
    } else {
        Err(changed(source.location.clone()))
    }
}

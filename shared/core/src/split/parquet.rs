//! Reads row ranges of a Parquet file as JSON lines, with only the necessary reads.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use parquet::{
    DecodeResult,
    arrow::{
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
        push_decoder::{ParquetPushDecoder, ParquetPushDecoderBuilder},
    },
    file::metadata::ParquetMetaData,
};
use parquet_merge::{
    FOOTER_TAIL, Footer, FooterError, LARGEST_FOOTER, check_page_bytes, read_footer, unread_codec,
};
use thiserror::Error;

use crate::{
    config::{Compression, Output, OutputFormat},
    encode::{EncodeError, Encoder, Layout},
    parquet_out::RowGroupLimit,
};

/// The number of rows in a batch.
const BATCH_ROWS: usize = 512;

/// Why a Parquet file cannot be read.
#[derive(Debug, Error)]
pub enum ParquetReadError {
    /// The bytes contradict the format.
    #[error("corrupt Parquet file: {0}")]
    Corrupt(#[from] parquet::errors::ParquetError),
    /// Its footer is refused.
    #[error(transparent)]
    Footer(#[from] FooterError),
    /// A column is compressed in a way that is not read.
    #[error(
        "column `{column}` is compressed with {codec}, which is not read: UNLOAD with Snappy, gzip, zstd or no compression"
    )]
    Codec {
        /// With its path.
        column: String,
        /// The codec's name in Parquet's terms.
        codec: &'static str,
    },
    /// Its parts contradict each other.
    #[error("corrupt Parquet file: {0}")]
    Contradicts(String),
    /// A value cannot be written as JSON.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// It needs more memory than is available.
    #[error("{what} has {size} bytes, more than the {limit} that there is memory for")]
    TooLarge {
        /// The part of the file.
        what: &'static str,
        /// In bytes.
        size: u64,
        /// In bytes.
        limit: u64,
    },
}

/// The next step of a reader.
#[derive(Debug)]
pub enum Step<T> {
    /// Read these ranges of the file.
    Needs(Vec<Range<u64>>),
    /// The result.
    Found(T),
    /// The end.
    Over,
}

/// Reads a file's footer.
pub struct ParquetFooter {
    size: u64,
    /// The end of the file, once it was read.
    tail: Option<Bytes>,
}

impl ParquetFooter {
    /// Creates a reader for a file of `size` bytes.
    pub fn new(size: u64) -> Self {
        Self { size, tail: None }
    }

    /// Continues with the bytes that were pushed.
    ///
    /// # Errors
    /// The footer is refused.
    pub fn step(&mut self) -> Result<Step<Arc<ParquetMetaData>>, ParquetReadError> {
        let Some(tail) = &self.tail else {
            let start = self.size.saturating_sub(FOOTER_TAIL);
            return Ok(Step::Needs(std::iter::once(start..self.size).collect()));
        };
        let metadata = match read_footer(tail, self.size, LARGEST_FOOTER)? {
            Footer::Needs(range) => return Ok(Step::Needs(vec![range])),
            Footer::Read(metadata) => metadata,
        };
        match unread_codec(&metadata) {
            Some((column, codec)) => Err(ParquetReadError::Codec { column, codec }),
            None => Ok(Step::Found(Arc::from(metadata))),
        }
    }

    /// Takes the bytes of the range that was requested.
    pub fn push(&mut self, bytes: Vec<Bytes>) {
        self.tail = bytes.into_iter().next();
    }
}

/// Reads some rows of a file.
pub struct ParquetRows {
    decoder: ParquetPushDecoder,
    metadata: Arc<ParquetMetaData>,
    /// The rows that are still to come.
    left: u64,
    layout: Layout,
    names: Vec<String>,
    memory: u64,
}

impl ParquetRows {
    /// Creates a reader of the rows `rows`, counted from the file's first, that reads at most `memory` bytes at a time.
    ///
    /// # Errors
    /// The schema is not supported.
    pub fn new(
        metadata: &Arc<ParquetMetaData>,
        rows: &Range<u64>,
        memory: u64,
    ) -> Result<Self, ParquetReadError> {
        let arrow =
            ArrowReaderMetadata::try_new(Arc::clone(metadata), ArrowReaderOptions::default())?;
        let layout = Layout::plain(Arc::clone(arrow.schema()));
        let names = layout
            .schema
            .fields()
            .iter()
            .map(|field| field.name().clone());
        let names = names.collect();
        let (row_groups, skipped) = row_groups(metadata, rows);
        let size = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let decoder = ParquetPushDecoderBuilder::new_with_metadata(arrow)
            .with_batch_size(BATCH_ROWS)
            .with_row_groups(row_groups)
            .with_offset(size(rows.start - skipped))
            .with_limit(size(rows.end - rows.start))
            .build()?;
        Ok(Self {
            decoder,
            metadata: Arc::clone(metadata),
            left: rows.end - rows.start,
            layout,
            names,
            memory,
        })
    }

    /// The columns' names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Continues with the bytes that were pushed: returns the next rows, one JSON document per line, without null
    /// fields.
    ///
    /// # Errors
    /// The file is corrupt, its row groups are too large, or JSON cannot represent a value.
    pub fn step(&mut self) -> Result<Step<Vec<u8>>, ParquetReadError> {
        Ok(match self.decoder.try_decode()? {
            DecodeResult::NeedsData(ranges) => {
                check("a row group", &ranges, self.memory)?;
                Step::Needs(ranges)
            }
            DecodeResult::Data(batch) => {
                self.left = self.left.saturating_sub(batch.num_rows() as u64);
                let form = Output {
                    compression: Some(Compression::None),
                    ..Output::new(OutputFormat::Json)
                };
                let mut encoder = Encoder::new(&form, &self.layout, RowGroupLimit::default())?;
                encoder.write(&batch)?;
                Step::Found(encoder.finish()?)
            }
            DecodeResult::Finished if self.left > 0 => {
                return Err(ParquetReadError::Contradicts(format!(
                    "it has {} rows fewer than its footer says",
                    self.left
                )));
            }
            DecodeResult::Finished => Step::Over,
        })
    }

    /// Takes the bytes of the requested ranges, each of whole pages.
    ///
    /// # Errors
    /// They do not fit together, or a page differs from its checksum.
    pub fn push(
        &mut self,
        ranges: Vec<Range<u64>>,
        bytes: Vec<Bytes>,
    ) -> Result<(), ParquetReadError> {
        let largest = usize::try_from(self.memory).unwrap_or(usize::MAX);
        for (range, bytes) in ranges.iter().zip(&bytes) {
            check_page_bytes(bytes.clone(), largest).map_err(|what| {
                let column = column_at(&self.metadata, range.start);
                ParquetReadError::Contradicts(format!(
                    "{column}, from byte {}: {what}",
                    range.start
                ))
            })?;
        }
        Ok(self.decoder.push_ranges(ranges, bytes)?)
    }
}

/// The row group and the column whose pages are at an offset of the file.
fn column_at(metadata: &ParquetMetaData, place: u64) -> String {
    let groups = metadata.row_groups().iter().enumerate();
    let mut chunks =
        groups.flat_map(|(number, group)| group.columns().iter().map(move |chunk| (number, chunk)));
    let found = chunks.find(|(_, chunk)| {
        let first = chunk
            .dictionary_page_offset()
            .unwrap_or(chunk.data_page_offset());
        let start = u64::try_from(first).unwrap_or_default();
        let length = u64::try_from(chunk.compressed_size()).unwrap_or_default();
        (start..start.saturating_add(length)).contains(&place)
    });
    found.map_or_else(String::new, |(number, chunk)| {
        format!(
            "row group {number}, column `{}`",
            chunk.column_path().string()
        )
    })
}

/// The row groups with some of the rows, and how many rows precede the first of them.
fn row_groups(metadata: &ParquetMetaData, rows: &Range<u64>) -> (Vec<usize>, u64) {
    let (mut groups, mut before, mut skipped) = (Vec::new(), 0, 0);
    for (index, group) in metadata.row_groups().iter().enumerate() {
        let after = before + u64::try_from(group.num_rows()).unwrap_or_default();
        if after > before && after > rows.start && before < rows.end {
            groups.push(index);
        } else if after <= rows.start {
            skipped = after;
        }
        before = after;
    }
    (groups, skipped)
}

fn check(what: &'static str, ranges: &[Range<u64>], limit: u64) -> Result<(), ParquetReadError> {
    let size = ranges
        .iter()
        .map(|range| range.end.saturating_sub(range.start))
        .sum();
    if size > limit {
        return Err(ParquetReadError::TooLarge { what, size, limit });
    }
    Ok(())
}

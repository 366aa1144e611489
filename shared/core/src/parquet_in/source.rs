//! A file's bytes and their decoder.

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use arrow::{array::RecordBatch, datatypes::SchemaRef, error::ArrowError};
use bytes::{Buf, Bytes};
use parquet::{
    arrow::arrow_reader::{
        ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
        ParquetRecordBatchReaderBuilder,
    },
    basic::Type as PhysicalType,
    errors::ParquetError,
    file::{
        metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData},
        reader::{ChunkReader, Length},
    },
};
use parquet_merge::{
    FooterFault, check_counts, check_footer, check_pages, panic_reason, unread_codec, usual,
};

use super::{BATCH_BYTES, BATCH_ROWS, ReadError, schema, whole::Whole};
use crate::{
    config::Limits,
    content::{HEAD, instead_of_parquet},
};

/// The size of the footer's length field and the magic bytes at the end of a file.
const TAIL: u64 = 8;

/// A file whose footer has been read.
#[derive(Debug)]
pub(super) struct Source<R> {
    file: Shared<R>,
    metadata: ArrowReaderMetadata,
    row_group_limit: u64,
}

impl<R: ChunkReader + 'static> Source<R> {
    pub(super) fn open(file: R, limits: &Limits) -> Result<Self, ReadError> {
        let footer = read_footer(&file, limits)?;
        check_footer(&footer).map_err(|fault| match fault {
            FooterFault::Malformed => ReadError::Corrupt("its footer is malformed".to_owned()),
            FooterFault::TooDeep => ReadError::TooDeep,
            FooterFault::Encrypted => ReadError::Encrypted,
        })?;
        let metadata = guarded(|| {
            let metadata = ParquetMetaDataReader::decode_metadata(&footer)?;
            let metadata = Arc::new(usual(metadata));
            let options = || ArrowReaderOptions::new().with_skip_arrow_metadata(true);
            let plain = ArrowReaderMetadata::try_new(Arc::clone(&metadata), options())?;
            let mut leaves = metadata
                .file_metadata()
                .schema_descr()
                .columns()
                .iter()
                .map(|column| (column.physical_type(), schema::is_enum(column)));
            let schema = Arc::new(schema::to_read(plain.schema(), &mut leaves));
            ArrowReaderMetadata::try_new(metadata, options().with_schema(schema))
        })?;
        if let Some((column, codec)) = unread_codec(metadata.metadata()) {
            return Err(ReadError::Codec { column, codec });
        }
        check_counts(metadata.metadata())
            .map_err(|what| ReadError::Corrupt(format!("its footer contradicts itself: {what}")))?;
        Ok(Self {
            file: Shared(Arc::new(file)),
            metadata,
            row_group_limit: limits.parquet_row_group.as_u64(),
        })
    }

    /// The columns with the types in which they are read.
    pub(super) fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    /// The columns whose meaning tables do not have.
    pub(super) fn meanings(&self) -> Vec<schema::Meaning> {
        let file = self.metadata.metadata().file_metadata();
        schema::meanings(file.schema())
    }

    pub(super) fn row_groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// The range of each row group, from its first page to its last.
    pub(super) fn row_group_ranges(&self) -> Vec<Range<u64>> {
        let groups = self.metadata.metadata().row_groups().iter();
        let bounds = groups.map(|group| {
            let columns = group.columns().iter().map(|column| {
                let start = first_page(column);
                (start, start.saturating_add(count(column.compressed_size())))
            });
            let (starts, ends): (Vec<_>, Vec<_>) = columns.unzip();
            let end = ends.into_iter().max().unwrap_or(0).min(self.file.len());
            starts.into_iter().min().unwrap_or(0).min(end)..end
        });
        bounds.collect()
    }

    /// The number of rows and the bytes of each row group.
    pub(super) fn row_group_sizes(&self) -> Vec<(u64, u64)> {
        let groups = self.metadata.metadata().row_groups().iter();
        let rows = groups.map(|group| count(group.num_rows()));
        let ranges = self.row_group_ranges();
        let sizes = ranges.into_iter().map(|range| range.end - range.start);
        rows.zip(sizes).collect()
    }

    /// Verifies the checksums of a column chunk's pages, if they have any.
    fn check_pages(&self, row_group: usize, column: &ColumnChunkMetaData) -> Result<(), ReadError> {
        let largest = usize::try_from(self.row_group_limit).unwrap_or(usize::MAX);
        let checked = guarded(|| {
            check_pages(column, self.file.len(), largest, |range| {
                let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
                self.file.get_bytes(range.start, length)
            })
        })?;
        match checked {
            None => Ok(()),
            Some(what) => {
                let column = column.column_path().string();
                let what = format!("row group {row_group}, column `{column}`, {what}");
                Err(ReadError::Corrupt(what))
            }
        }
    }

    /// The rows of a row group, and the average decoded size of a row.
    pub(super) fn read_row_group(
        &self,
        row_group: usize,
    ) -> Result<(ParquetRecordBatchReader, u64), ReadError> {
        let file: &ParquetMetaData = self.metadata.metadata();
        let group = file.row_groups().get(row_group);
        let group = group.ok_or_else(|| ReadError::Corrupt("a row group is missing".to_owned()))?;
        let size = decoded_size(group, self.file.len())?;
        let limit = self.row_group_limit;
        if size > limit {
            return Err(ReadError::RowGroupTooLarge {
                row_group,
                size,
                limit,
            });
        }
        for column in group.columns() {
            self.check_pages(row_group, column)?;
        }
        let rows = u64::try_from(group.num_rows()).unwrap_or(0).max(1);
        let of_a_row = size / rows;
        let batch_rows = BATCH_BYTES / usize::try_from(of_a_row).unwrap_or(usize::MAX).max(1);
        let batch_rows = batch_rows.clamp(1, BATCH_ROWS);
        let reader = guarded(|| {
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
                self.file.clone(),
                self.metadata.clone(),
            );
            builder
                .with_row_groups(vec![row_group])
                .with_batch_size(batch_rows)
                .build()
        })?;
        Ok((reader, of_a_row))
    }
}

/// The next batch of a reader.
pub(super) fn next_batch(
    reader: &mut ParquetRecordBatchReader,
) -> Result<Option<RecordBatch>, ReadError> {
    guarded(|| reader.next().transpose())
}

/// Runs a part of the decoder and catches panics. It checks most of its input but not all, so input that makes it panic
/// is corrupt.
fn guarded<T, E: Into<DecodeError>>(decode: impl FnOnce() -> Result<T, E>) -> Result<T, ReadError> {
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(Ok(decoded)) => Ok(decoded),
        Ok(Err(error)) => {
            let DecodeError(message) = error.into();
            Err(ReadError::Corrupt(message))
        }
        Err(panic) => Err(ReadError::Corrupt(panic_reason(&*panic))),
    }
}

struct DecodeError(String);

impl From<ParquetError> for DecodeError {
    fn from(error: ParquetError) -> Self {
        Self(error.to_string())
    }
}

impl From<ArrowError> for DecodeError {
    fn from(error: ArrowError) -> Self {
        Self(error.to_string())
    }
}

/// The error for a file that is not Parquet: what it is instead, if its first bytes are available and tell.
fn not_parquet(file: &impl ChunkReader, otherwise: &str) -> ReadError {
    let length = usize::try_from(file.len()).unwrap_or(HEAD).min(HEAD);
    let head = file.get_bytes(0, length).unwrap_or_default();
    ReadError::NotParquet(instead_of_parquet(&head).unwrap_or_else(|| otherwise.to_owned()))
}

fn read_footer(file: &impl ChunkReader, limits: &Limits) -> Result<Bytes, ReadError> {
    let length = file.len();
    let Some(tail) = length.checked_sub(TAIL) else {
        return Err(not_parquet(file, "it is shorter than a footer"));
    };
    let bytes = |start: u64, length: u64| {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        guarded(|| file.get_bytes(start, length))
    };
    let mut end = bytes(tail, TAIL)?;
    if end.len() < 8 {
        return Err(not_parquet(file, "it is shorter than a footer"));
    }
    let size = u64::from(end.get_u32_le());
    match end.as_ref() {
        b"PAR1" => {}
        b"PARE" => return Err(ReadError::Encrypted),
        _ => return Err(not_parquet(file, "it does not end with PAR1")),
    }
    let limit = limits.parquet_footer.as_u64();
    if size > limit {
        return Err(ReadError::FooterTooLarge { size, limit });
    }
    let Some(start) = tail.checked_sub(size) else {
        return Err(ReadError::Corrupt(
            "its footer is longer than the file".to_owned(),
        ));
    };
    bytes(start, size)
}

/// The decoded size of a row group, as estimated from the footer: the bytes in the file, or those of the values,
/// whichever is more.
fn decoded_size(group: &RowGroupMetaData, file: u64) -> Result<u64, ReadError> {
    let corrupt = |what: &str| ReadError::Corrupt(format!("a column chunk {what}"));
    let mut total = 0_u64;
    for column in group.columns() {
        let stored = count(column.compressed_size());
        if column.data_page_offset() < 0 || column.dictionary_page_offset().is_some_and(|at| at < 0)
        {
            return Err(corrupt("starts before the file"));
        }
        let start = first_page(column);
        if start.checked_add(stored).is_none_or(|end| end > file) {
            return Err(corrupt("ends after the file"));
        }
        let values = count(column.num_values()).saturating_mul(width(column));
        total = total.saturating_add(values.max(count(column.uncompressed_size())));
    }
    Ok(total)
}

/// The offset of a column chunk.
fn first_page(column: &ColumnChunkMetaData) -> u64 {
    let data = column.data_page_offset();
    let first = column
        .dictionary_page_offset()
        .map_or(data, |at| at.min(data));
    u64::try_from(first).unwrap_or(0)
}

/// The size of a decoded value, including its levels.
fn width(column: &ColumnChunkMetaData) -> u64 {
    let value = match column.column_type() {
        PhysicalType::BOOLEAN => 1,
        PhysicalType::INT32 | PhysicalType::FLOAT => 4,
        PhysicalType::INT64 | PhysicalType::DOUBLE => 8,
        PhysicalType::INT96 => 12,
        // A view.
        PhysicalType::BYTE_ARRAY => 16,
        PhysicalType::FIXED_LEN_BYTE_ARRAY => {
            u64::try_from(column.column_descr().type_length()).unwrap_or(0)
        }
    };
    let levels = column.column_descr().max_def_level() + column.column_descr().max_rep_level();
    if levels > 1 { value + 4 } else { value }
}

/// A size or a count in a footer; a negative one counts as 0.
fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// A file that several readers share, one after the other.
#[derive(Debug)]
struct Shared<R>(Arc<R>);

impl<R> Clone for Shared<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R: Length> Length for Shared<R> {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl<R: ChunkReader> ChunkReader for Shared<R> {
    type T = Whole<R::T>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        self.0.get_read(start).map(Whole)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.0.get_bytes(start, length)
    }
}

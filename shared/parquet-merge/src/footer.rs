//! Footers of the files that are merged.

use std::ops::Range;

use bytes::Bytes;
use parquet::file::metadata::{
    ColumnChunkMetaData, LevelHistogram, ParquetMetaData, ParquetMetaDataReader,
};
use thiserror::Error;

use super::guard::guarded;
use crate::footer_check::{self, FooterFault};

/// The size of the footer's length field and the magic bytes.
const TAIL: usize = 8;

/// How much of a file's end is read first: usually this contains the whole footer.
pub const FOOTER_TAIL: u64 = 64 << 10;

/// The largest footer that is accepted, in bytes.
pub const LARGEST_FOOTER: u64 = 64 << 20;

/// The result of reading the end of a file.
#[derive(Debug)]
pub enum Footer {
    /// The footer is longer: this range, up to the end of the file, is needed.
    Needs(Range<u64>),
    /// The footer.
    Read(Box<ParquetMetaData>),
}

/// Why a footer cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FooterError {
    /// The file does not end with the Parquet magic bytes.
    #[error("not a Parquet file")]
    NotParquet,
    /// It is encrypted, whole or in its columns.
    #[error(
        "the Parquet file is encrypted, and such files are not read: write it without encryption"
    )]
    Encrypted,
    /// It is larger than the limit.
    #[error("the Parquet footer has {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// In bytes.
        size: u64,
        /// In bytes.
        limit: u64,
    },
    /// Its bytes contradict the format.
    #[error("the Parquet footer is corrupt: {0}")]
    Corrupt(String),
}

/// The size of the footer in bytes, including its length field and the magic bytes, as the end of the file states it.
pub fn footer_size(tail: &[u8]) -> u64 {
    let end = tail.split_last_chunk::<TAIL>();
    let length = end.and_then(|(_, end)| end.first_chunk::<4>());
    length.map_or(0, |length| u64::from(u32::from_le_bytes(*length))) + TAIL as u64
}

/// Reads the footer from the last bytes of a file of `size` bytes: 64 KiB hold most footers.
///
/// # Errors
/// The bytes are not a footer, or the footer is refused.
pub fn read_footer(tail: &Bytes, size: u64, limit: u64) -> Result<Footer, FooterError> {
    let whole = tail.len() as u64 >= size;
    let Some((rest, end)) = tail.split_last_chunk::<TAIL>() else {
        return if whole || size < TAIL as u64 {
            Err(FooterError::NotParquet)
        } else {
            Ok(Footer::Needs(size - TAIL as u64..size))
        };
    };
    match end.split_last_chunk::<4>() {
        Some((_, b"PAR1")) => {}
        Some((_, b"PARE")) => return Err(FooterError::Encrypted),
        _ => return Err(FooterError::NotParquet),
    }
    let length = footer_size(tail) - TAIL as u64;
    if length > limit {
        return Err(FooterError::TooLarge {
            size: length,
            limit,
        });
    }
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let Some(start) = rest.len().checked_sub(length) else {
        let needed = (length + TAIL) as u64;
        return match size.checked_sub(needed) {
            Some(start) if !whole => Ok(Footer::Needs(start..size)),
            _ => Err(FooterError::Corrupt(
                "it is longer than the file".to_owned(),
            )),
        };
    };
    let bytes = rest.get(start..).unwrap_or_default();
    footer_check::check_footer(bytes).map_err(|fault| match fault {
        FooterFault::Malformed => FooterError::Corrupt("it is malformed".to_owned()),
        FooterFault::TooDeep => FooterError::Corrupt("its schema is nested too deep".to_owned()),
        FooterFault::Encrypted => FooterError::Encrypted,
    })?;
    let metadata =
        guarded(|| ParquetMetaDataReader::decode_metadata(bytes)).map_err(FooterError::Corrupt)?;
    check_counts(&metadata).map_err(FooterError::Corrupt)?;
    Ok(Footer::Read(Box::new(usual(metadata))))
}

/// Checks that a footer's counts equal those of its row groups.
///
/// # Errors
/// The difference, as a message.
pub fn check_counts(metadata: &ParquetMetaData) -> Result<(), String> {
    let file = metadata.file_metadata();
    let leaves = file.schema_descr().num_columns();
    let mut rows = 0_i64;
    for (number, group) in metadata.row_groups().iter().enumerate() {
        if group.num_rows() < 0 {
            return Err(format!("row group {number} has {} rows", group.num_rows()));
        }
        if group.columns().len() != leaves {
            return Err(format!(
                "row group {number} has {} column chunks, and the schema {leaves} columns",
                group.columns().len()
            ));
        }
        for chunk in group.columns() {
            let repeated = chunk.column_descr().max_rep_level() > 0;
            let few = chunk.num_values() < group.num_rows();
            if few || (!repeated && chunk.num_values() != group.num_rows()) {
                return Err(format!(
                    "row group {number} has {} rows, and its column {} {} values",
                    group.num_rows(),
                    chunk.column_path().string(),
                    chunk.num_values()
                ));
            }
            check_histograms(number, chunk)?;
        }
        rows = rows.saturating_add(group.num_rows());
    }
    if file.num_rows() == rows {
        Ok(())
    } else {
        Err(format!(
            "it says {} rows, but its row groups have {rows}",
            file.num_rows()
        ))
    }
}

/// Checks that the footer counts the levels of a chunk that its schema has: with others its pages would be decoded into
/// other values.
fn check_histograms(row_group: usize, chunk: &ColumnChunkMetaData) -> Result<(), String> {
    let descr = chunk.column_descr();
    for (what, histogram, deepest) in [
        (
            "repetition",
            chunk.repetition_level_histogram(),
            descr.max_rep_level(),
        ),
        (
            "definition",
            chunk.definition_level_histogram(),
            descr.max_def_level(),
        ),
    ] {
        let counted = histogram.map_or(0, LevelHistogram::len);
        if counted > 0 && usize::try_from(deepest).ok() != Some(counted - 1) {
            return Err(format!(
                "in row group {row_group}, column {} counts {counted} {what} levels, and its schema has {}",
                chunk.column_path().string(),
                deepest.saturating_add(1)
            ));
        }
    }
    Ok(())
}

/// Corrects an oddity of some writers in a footer: a dictionary offset that is 0, or not before the data, means that there
/// is no dictionary, as in Arrow C++
/// (<https://github.com/apache/arrow/blob/main/cpp/src/parquet/file_reader.cc>, `ComputeColumnChunkRange`).
pub fn usual(metadata: ParquetMetaData) -> ParquetMetaData {
    let is_odd = |chunk: &ColumnChunkMetaData| {
        chunk
            .dictionary_page_offset()
            .is_some_and(|offset| offset <= 0 || offset >= chunk.data_page_offset())
    };
    let mut groups = metadata.row_groups().iter();
    if !groups.any(|group| group.columns().iter().any(is_odd)) {
        return metadata;
    }
    let mut builder = metadata.clone().into_builder();
    let mut changed = Vec::new();
    for group in builder.take_row_groups() {
        let columns = group.columns().iter().map(|chunk| {
            if is_odd(chunk) {
                let builder = chunk.clone().into_builder();
                return builder.set_dictionary_page_offset(None).build();
            }
            Ok(chunk.clone())
        });
        let group = columns
            .collect::<Result<Vec<_>, _>>()
            .and_then(|columns| group.into_builder().set_column_metadata(columns).build());
        match group {
            Ok(group) => changed.push(group),
            // It is left unchanged, and refused when it is read.
            Err(_) => return metadata,
        }
    }
    builder.set_row_groups(changed).build()
}

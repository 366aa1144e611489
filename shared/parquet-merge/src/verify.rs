//! Verifies a merged file before it is published.

use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use thiserror::Error;

use super::Unified;

/// Why a merged file is not valid.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// The number of rows is not that of the files.
    #[error("the merged file has {found} rows instead of {expected}")]
    Rows {
        /// Rows of the files.
        expected: u64,
        /// Rows of the merged file.
        found: u64,
    },
    /// The schema is not the unified one.
    #[error("the merged file has another schema")]
    Schema,
    /// A column chunk is at a wrong offset or lacks required metadata.
    #[error("row group {row_group}: column {column}: {what}")]
    Chunk {
        /// Counted from 0.
        row_group: usize,
        /// Its path.
        column: String,
        /// What is wrong.
        what: &'static str,
    },
}

/// Compares the footer of a merged file of `size` bytes, read back from the store, with the expected one.
///
/// # Errors
/// The first difference.
pub fn verify(
    footer: &ParquetMetaData,
    size: u64,
    rows: u64,
    unified: &Unified,
) -> Result<(), VerifyError> {
    let file = footer.file_metadata();
    if file.schema() != unified.schema().root_schema() {
        return Err(VerifyError::Schema);
    }
    let count = |count: i64| u64::try_from(count).unwrap_or(0);
    let of_groups = footer.row_groups().iter().map(RowGroupMetaData::num_rows);
    let found = of_groups.map(count).sum();
    if found != rows || count(file.num_rows()) != rows {
        return Err(VerifyError::Rows {
            expected: rows,
            found,
        });
    }
    for (row_group, group) in footer.row_groups().iter().enumerate() {
        for chunk in group.columns() {
            let wrong = |what| VerifyError::Chunk {
                row_group,
                column: chunk.column_path().string(),
                what,
            };
            let nested = chunk.column_descr().max_rep_level() > 0;
            let few = chunk.num_values() < group.num_rows();
            if few || (!nested && chunk.num_values() != group.num_rows()) {
                return Err(wrong("it does not have a value for each row"));
            }
            if super::reads::chunk_range(chunk, size).is_none() {
                return Err(wrong("it lies outside the file"));
            }
            if chunk.statistics().is_none() || chunk.offset_index_offset().is_none() {
                return Err(wrong("it has no statistics or no offset index"));
            }
        }
    }
    Ok(())
}

//! Writer properties for portable Parquet files: the same rows make the same bytes.

use parquet::{
    arrow::arrow_writer::ArrowWriterOptions,
    file::properties::{
        EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion,
    },
    schema::types::ColumnPath,
};

use crate::Compression;

/// The limits of a page, in encoded bytes and in rows.
const PAGE_BYTES: usize = 1024 * 1024;
const PAGE_ROWS: usize = 20_000;

/// When a row group ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowGroupLimit {
    /// The estimated encoded size at which it ends, in bytes. It is checked between record batches.
    pub bytes: usize,
    /// The number of rows at which it ends. This bounds the memory if rows encode to very few bytes.
    pub rows: usize,
}

impl Default for RowGroupLimit {
    /// 128 MiB, as Hive and Spark write, and the row limit of the Parquet crate.
    fn default() -> Self {
        Self {
            bytes: 128 * 1024 * 1024,
            rows: 1024 * 1024,
        }
    }
}

/// Writer properties for files that Athena, Spark, Trino, `DuckDB`, Polars and pyarrow can read: data pages of version
/// 1 and encodings of Parquet 1.0, dictionaries, statistics by page, and the page index. A limit of zero counts as one.
/// `created_by`: the writer's name in the footer. `bloom_filters`: the leaf columns that get one.
pub fn writer_properties(
    created_by: &str,
    compression: Compression,
    row_group: RowGroupLimit,
    bloom_filters: &[ColumnPath],
) -> WriterProperties {
    let properties = WriterProperties::builder()
        .set_created_by(created_by.to_owned())
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(compression.named())
        .set_dictionary_enabled(true)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_offset_index_disabled(false)
        .set_data_page_size_limit(PAGE_BYTES)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_max_row_group_bytes(Some(row_group.bytes.max(1)))
        .set_max_row_group_row_count(Some(row_group.rows.max(1)))
        // Name the fields inside lists and maps as the specification requires.
        .set_coerce_types(true);
    let with_bloom_filter = |properties: WriterPropertiesBuilder, column: &ColumnPath| {
        properties.set_column_bloom_filter_enabled(column.clone(), true)
    };
    bloom_filters
        .iter()
        .fold(properties, with_bloom_filter)
        .build()
}

/// Options of an Arrow writer with [`writer_properties`]. The Arrow schema is not embedded, because it would repeat the
/// Parquet schema in one implementation's terms.
pub fn writer_options(
    created_by: &str,
    compression: Compression,
    row_group: RowGroupLimit,
    bloom_filters: &[ColumnPath],
) -> ArrowWriterOptions {
    ArrowWriterOptions::new()
        .with_properties(writer_properties(
            created_by,
            compression,
            row_group,
            bloom_filters,
        ))
        .with_skip_arrow_metadata(true)
}

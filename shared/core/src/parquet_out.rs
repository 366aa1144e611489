//! How Parquet files are written: portable between readers, and the same bytes for the same rows.

use parquet::{
    arrow::arrow_writer::ArrowWriterOptions,
    basic::{Compression as Codec, GzipLevel, ZstdLevel},
    file::properties::{
        EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion,
    },
    schema::types::ColumnPath,
};

use crate::config::Compression;

/// The writer's name in the footer. It has no version, so that a new release writes the same bytes.
pub(crate) const CREATED_BY: &str = "lakewright";
/// What a page may hold before it is ended, in encoded bytes and in rows.
const PAGE_BYTES: usize = 1024 * 1024;
const PAGE_ROWS: usize = 20_000;

/// When a row group is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowGroupLimit {
    /// The estimated encoded size that ends it, in bytes. It is looked at between record batches.
    pub bytes: usize,
    /// The number of rows that ends it, which bounds its memory where rows encode to next to nothing.
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

/// Writer properties for files that Athena, Spark, Trino, `DuckDB`, Polars and pyarrow read alike: data pages of version 1
/// and encodings of Parquet 1.0, dictionaries, statistics by page, and the page index. A limit of zero counts as one.
/// `bloom_filters`: the leaf columns that get one.
pub fn writer_properties(
    compression: Compression,
    row_group: RowGroupLimit,
    bloom_filters: &[ColumnPath],
) -> WriterProperties {
    let properties = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(codec(compression))
        .set_dictionary_enabled(true)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_offset_index_disabled(false)
        .set_data_page_size_limit(PAGE_BYTES)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_max_row_group_bytes(Some(row_group.bytes.max(1)))
        .set_max_row_group_row_count(Some(row_group.rows.max(1)))
        // The names inside lists and maps that the specification demands.
        .set_coerce_types(true);
    let with_bloom_filter = |properties: WriterPropertiesBuilder, column: &ColumnPath| {
        properties.set_column_bloom_filter_enabled(column.clone(), true)
    };
    bloom_filters
        .iter()
        .fold(properties, with_bloom_filter)
        .build()
}

/// Options of an Arrow writer with [`writer_properties`]. The Arrow schema is not embedded: it would say again, in one
/// implementation's words, what the Parquet schema says.
pub fn writer_options(
    compression: Compression,
    row_group: RowGroupLimit,
    bloom_filters: &[ColumnPath],
) -> ArrowWriterOptions {
    ArrowWriterOptions::new()
        .with_properties(writer_properties(compression, row_group, bloom_filters))
        .with_skip_arrow_metadata(true)
}

fn codec(compression: Compression) -> Codec {
    match compression {
        Compression::None => Codec::UNCOMPRESSED,
        Compression::Snappy => Codec::SNAPPY,
        // The default level is 1; 3 is zstd's own.
        Compression::Zstd => Codec::ZSTD(ZstdLevel::try_new(3).unwrap_or_default()),
        Compression::Gzip => Codec::GZIP(GzipLevel::default()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{
            ArrayRef, Int64Array, ListArray, RecordBatch, StringArray, TimestampMicrosecondArray,
        },
        datatypes::{Field, Int64Type, Schema},
    };
    use bytes::Bytes;
    use parquet::{
        arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
        basic::Encoding,
        file::metadata::{
            PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
        },
    };

    use super::*;
    use crate::{hive_type, semantics::stated};

    fn batch() -> RecordBatch {
        let rows = 50_000;
        let columns: Vec<(&str, ArrayRef)> = vec![
            (
                "plate",
                Arc::new(
                    (0..rows)
                        .map(|row| (row % 7 != 0).then(|| format!("p{}", row % 1000)))
                        .collect::<StringArray>(),
                ),
            ),
            ("speed", Arc::new(Int64Array::from_iter_values(0..rows))),
            (
                "at",
                Arc::new(TimestampMicrosecondArray::from_iter_values(
                    (0..rows).map(|row| row * 1_000),
                )),
            ),
            (
                "lanes",
                Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(
                    (0..rows).map(|row| Some(vec![Some(row), None])),
                )),
            ),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn write(compression: Compression, row_group: RowGroupLimit) -> Bytes {
        let batch = batch();
        let mut writer = ArrowWriter::try_new_with_options(
            Vec::new(),
            batch.schema(),
            writer_options(compression, row_group, &[]),
        )
        .unwrap();
        for start in (0..batch.num_rows()).step_by(5_000) {
            writer.write(&batch.slice(start, 5_000)).unwrap();
        }
        writer.into_inner().unwrap().into()
    }

    fn footer(file: &Bytes) -> ParquetMetaData {
        ParquetMetaDataReader::new()
            .with_page_index_policy(PageIndexPolicy::Required)
            .parse_and_finish(file)
            .unwrap()
    }

    #[test]
    fn the_same_rows_make_the_same_bytes() {
        stated("The same rows in the same batches make a Parquet file of the same bytes.");
        for compression in [
            Compression::None,
            Compression::Snappy,
            Compression::Zstd,
            Compression::Gzip,
        ] {
            let limit = RowGroupLimit::default();
            assert!(
                write(compression, limit) == write(compression, limit),
                "{compression:?}"
            );
        }
    }

    #[test]
    fn footers() {
        stated(
            "Parquet files have statistics of every column chunk and a page index, and no Arrow schema of their own, so every reader takes its types from the Parquet schema.",
        );
        for (compression, codec) in [
            (Compression::None, "UNCOMPRESSED"),
            (Compression::Snappy, "SNAPPY"),
            (Compression::Zstd, "ZSTD"),
            (Compression::Gzip, "GZIP"),
        ] {
            let footer = footer(&write(compression, RowGroupLimit::default()));
            let file = footer.file_metadata();
            assert_eq!(file.created_by(), Some("lakewright"));
            assert_eq!(file.version(), 1);
            assert_eq!(file.key_value_metadata(), None);
            assert_eq!(footer.num_row_groups(), 1);
            let paths: Vec<_> = footer
                .row_group(0)
                .columns()
                .iter()
                .map(|column| column.column_path().string())
                .collect();
            assert_eq!(paths, ["plate", "speed", "at", "lanes.list.element"]);
            for (index, column) in footer.row_group(0).columns().iter().enumerate() {
                assert!(
                    column.compression().to_string().starts_with(codec),
                    "{}",
                    column.compression()
                );
                let statistics = column.statistics().unwrap();
                assert!(
                    statistics.min_bytes_opt().is_some() && statistics.null_count_opt().is_some()
                );
                assert!(column.dictionary_page_offset().is_some());
                assert!(column.encodings().all(|encoding| matches!(
                    encoding,
                    Encoding::PLAIN
                        | Encoding::RLE
                        | Encoding::PLAIN_DICTIONARY
                        | Encoding::RLE_DICTIONARY
                )));
                assert!(
                    column.column_index_offset().is_some()
                        && column.offset_index_offset().is_some()
                );
                let pages = footer.page_index_for_row_group(0);
                assert!(pages.column_index(index).is_some());
                assert!(pages.page_locations(index).unwrap().len() > 2);
            }
        }
    }

    #[test]
    fn row_groups_end_by_rows_and_by_bytes() {
        let rows = RowGroupLimit {
            rows: 20_000,
            ..RowGroupLimit::default()
        };
        let counts = |limit| -> Vec<i64> {
            footer(&write(Compression::Snappy, limit))
                .row_groups()
                .iter()
                .map(RowGroupMetaData::num_rows)
                .collect()
        };
        assert_eq!(counts(rows), [20_000, 20_000, 10_000]);
        let bytes = RowGroupLimit {
            bytes: 256 * 1024,
            ..RowGroupLimit::default()
        };
        assert!(counts(bytes).len() > 2, "{:?}", counts(bytes));
        assert_eq!(counts(bytes).iter().sum::<i64>(), 50_000);
    }

    #[test]
    fn tables_keep_their_types() {
        // No declared length or other metadata goes into the file.
        let fields: Vec<Field> = [
            ("a", "struct<x:map<string,array<decimal(5,2)>>>"),
            ("b", "timestamp"),
            ("c", "timestamp with local time zone"),
            ("d", "char(3)"),
            ("e", "tinyint"),
        ]
        .map(|(name, hive)| hive_type::parse_field(name, hive).unwrap())
        .into();
        let batch = RecordBatch::new_empty(Arc::new(Schema::new(fields)));
        let mut writer = ArrowWriter::try_new_with_options(
            Vec::new(),
            batch.schema(),
            writer_options(Compression::Zstd, RowGroupLimit::default(), &[]),
        )
        .unwrap();
        writer.write(&batch).unwrap();
        let file: Bytes = writer.into_inner().unwrap().into();
        let read = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let types: Vec<_> = read
            .schema()
            .fields()
            .iter()
            .map(|field| hive_type::render_field(field).unwrap())
            .collect();
        assert_eq!(
            types,
            [
                "struct<x:map<string,array<decimal(5,2)>>>",
                "timestamp",
                "timestamp with local time zone",
                "string",
                "tinyint"
            ]
        );
    }
}

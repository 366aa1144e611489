//! Options of Lakewright's Parquet files.

use parquet::{
    arrow::arrow_writer::ArrowWriterOptions, file::properties::WriterPropertiesBuilder,
    schema::types::ColumnPath,
};
pub use parquet_merge::RowGroupLimit;

use crate::config::Compression;

/// The writer's name in the footer. Its version is not the release's, so that a new release writes the same bytes. In files
/// of version 2, all bounds were computed from the values, so a merge may trust them.
pub const CREATED_BY: &str = "lakewright version 2.0.0";

impl From<Compression> for parquet_merge::Compression {
    fn from(compression: Compression) -> Self {
        match compression {
            Compression::None => Self::None,
            Compression::Snappy => Self::Snappy,
            Compression::Zstd => Self::Zstd,
            Compression::Gzip => Self::Gzip,
        }
    }
}

impl From<parquet_merge::Compression> for Compression {
    fn from(compression: parquet_merge::Compression) -> Self {
        match compression {
            parquet_merge::Compression::None => Self::None,
            parquet_merge::Compression::Snappy => Self::Snappy,
            parquet_merge::Compression::Zstd => Self::Zstd,
            parquet_merge::Compression::Gzip => Self::Gzip,
        }
    }
}

/// Options of an Arrow writer with [`parquet_merge::writer_properties`]. `bloom_filters`: the leaf columns that get one.
/// `distinct`: the leaf columns that get no dictionary.
pub fn writer_options(
    compression: Compression,
    row_group: RowGroupLimit,
    bloom_filters: &[ColumnPath],
    distinct: &[ColumnPath],
) -> ArrowWriterOptions {
    let properties =
        parquet_merge::writer_properties(CREATED_BY, compression.into(), row_group, bloom_filters);
    let without_dictionary = |properties: WriterPropertiesBuilder, column: &ColumnPath| {
        properties.set_column_dictionary_enabled(column.clone(), false)
    };
    let properties = distinct
        .iter()
        .fold(properties.into_builder(), without_dictionary);
    ArrowWriterOptions::new()
        .with_properties(properties.build())
        .with_skip_arrow_metadata(true)
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
            writer_options(compression, row_group, &[], &[]),
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
            assert_eq!(file.created_by(), Some(CREATED_BY));
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
        // The file contains no declared lengths or other metadata.
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
            writer_options(Compression::Zstd, RowGroupLimit::default(), &[], &[]),
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

//! Test files and their expected bounds.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array,
        FixedSizeBinaryArray, Float32Array, Float64Array, Int32Array, Int32Builder, Int64Array,
        ListArray, ListBuilder, MapBuilder, RecordBatch, StringArray, StringBuilder, StructArray,
        TimestampMicrosecondArray, UInt32Array,
    },
    buffer::NullBuffer,
    datatypes::{DataType, Field, Fields, Float64Type, Int32Type, Int64Type},
};
use parquet::{
    basic::{Compression as Codec, Encoding, GzipLevel, ZstdLevel},
    file::{
        page_index::column_index::ColumnIndexMetaData,
        properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion},
    },
};

use super::batch;

fn column(array: impl Array + 'static) -> ArrayRef {
    Arc::new(array)
}

/// Rows from `first` on with every type; `spread`: the number of distinct values of a column.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::too_many_lines,
    reason = "any values do, and there are many types"
)]
pub(super) fn every_type(first: i64, count: i64, spread: i64) -> RecordBatch {
    let rows = || first..first + count;
    let value = |row: i64| (row % 7 != 3).then_some((row * 7919) % spread);
    let text = |row: i64| value(row).map(|value| format!("text number {value}"));
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(rows().map(|row| {
        value(row).map(|value| (0..row % 4).map(move |item| (item != 1).then_some(value + item)))
    }));
    let mut nested = ListBuilder::new(ListBuilder::new(StringBuilder::new()));
    for row in rows() {
        for _ in 0..row % 3 {
            for _ in 0..row % 2 {
                nested.values().values().append_option(text(row));
            }
            nested.values().append(row % 5 != 0);
        }
        nested.append(row % 11 != 0);
    }
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    for row in rows() {
        for key in 0..row % 3 {
            map.keys().append_value(format!("k{key}"));
            map.values()
                .append_option(value(row).map(|value| value as i32));
        }
        map.append(row % 6 != 1).unwrap();
    }
    let structs = StructArray::new(
        Fields::from(vec![
            Field::new("x", DataType::Int32, true),
            Field::new("y", DataType::Utf8, true),
        ]),
        vec![
            column(
                rows()
                    .map(|row| value(row).map(|value| value as i32))
                    .collect::<Int32Array>(),
            ),
            column(rows().map(text).collect::<StringArray>()),
        ],
        Some(rows().map(|row| row % 5 != 2).collect::<NullBuffer>()),
    );
    batch(vec![
        (
            "boolean",
            column(
                rows()
                    .map(|row| value(row).map(|value| value % 2 == 0))
                    .collect::<BooleanArray>(),
            ),
        ),
        (
            "int",
            column(
                rows()
                    .map(|row| value(row).map(|value| value as i32 - 50))
                    .collect::<Int32Array>(),
            ),
        ),
        (
            "unsigned",
            column(
                rows()
                    .map(|row| value(row).map(|value| u32::MAX - value as u32))
                    .collect::<UInt32Array>(),
            ),
        ),
        (
            "long",
            column(
                rows()
                    .map(|row| value(row).map(|value| value - 1_000))
                    .collect::<Int64Array>(),
            ),
        ),
        ("whole", column(rows().collect::<Int64Array>())),
        (
            "float",
            column(
                rows()
                    .map(|row| value(row).map(|value| value as f32 / -3.0))
                    .collect::<Float32Array>(),
            ),
        ),
        (
            "double",
            column(
                rows()
                    .map(|row| {
                        value(row).map(|value| {
                            if value == 1 {
                                f64::NAN
                            } else {
                                value as f64 / 3.0
                            }
                        })
                    })
                    .collect::<Float64Array>(),
            ),
        ),
        ("text", column(rows().map(text).collect::<StringArray>())),
        (
            "binary",
            column(
                rows()
                    .map(|row| text(row).map(String::into_bytes))
                    .collect::<BinaryArray>(),
            ),
        ),
        (
            "fixed",
            column(
                FixedSizeBinaryArray::try_from_sparse_iter_with_size(
                    rows().map(|row| value(row).map(i64::to_be_bytes)),
                    8,
                )
                .unwrap(),
            ),
        ),
        (
            "decimal",
            column(
                rows()
                    .map(|row| value(row).map(|value| i128::from(value - 20)))
                    .collect::<Decimal128Array>()
                    .with_precision_and_scale(30, 2)
                    .unwrap(),
            ),
        ),
        (
            "date",
            column(
                rows()
                    .map(|row| value(row).map(|value| value as i32))
                    .collect::<Date32Array>(),
            ),
        ),
        (
            "time",
            column(
                rows()
                    .map(|row| value(row).map(|value| value * 1_000_003))
                    .collect::<TimestampMicrosecondArray>(),
            ),
        ),
        ("nothing", column(Int32Array::new_null(count as usize))),
        ("struct", column(structs)),
        ("list", column(lists)),
        ("lists", column(nested.finish())),
        ("map", column(map.finish())),
    ])
}

/// Ways to write files.
pub(super) fn writers() -> Vec<(&'static str, WriterProperties)> {
    let builder = || WriterProperties::builder().set_statistics_enabled(EnabledStatistics::Page);
    let small_pages = |builder: WriterPropertiesBuilder| {
        builder
            .set_data_page_row_count_limit(37)
            .set_write_batch_size(16)
    };
    let zstd = Codec::ZSTD(ZstdLevel::default());
    let gzip = Codec::GZIP(GzipLevel::default());
    let v2 = WriterVersion::PARQUET_2_0;
    vec![
        ("as it is", builder().build()),
        ("snappy", builder().set_compression(Codec::SNAPPY).build()),
        (
            "no dictionary",
            builder()
                .set_compression(Codec::SNAPPY)
                .set_dictionary_enabled(false)
                .build(),
        ),
        (
            "version 2",
            builder()
                .set_compression(Codec::SNAPPY)
                .set_writer_version(v2)
                .build(),
        ),
        (
            "version 2, no dictionary",
            builder()
                .set_compression(zstd)
                .set_writer_version(v2)
                .set_dictionary_enabled(false)
                .build(),
        ),
        (
            "small pages",
            small_pages(builder().set_compression(Codec::SNAPPY)).build(),
        ),
        (
            "small pages, no dictionary",
            small_pages(builder().set_compression(Codec::LZ4_RAW))
                .set_dictionary_enabled(false)
                .build(),
        ),
        (
            "small pages, version 2",
            small_pages(builder().set_compression(zstd).set_writer_version(v2)).build(),
        ),
        (
            "small row groups",
            builder()
                .set_compression(gzip)
                .set_max_row_group_row_count(Some(50))
                .build(),
        ),
        (
            "chunk statistics",
            small_pages(builder().set_compression(Codec::LZ4))
                .set_statistics_enabled(EnabledStatistics::Chunk)
                .build(),
        ),
        (
            "no statistics",
            small_pages(builder())
                .set_statistics_enabled(EnabledStatistics::None)
                .build(),
        ),
        (
            "small dictionary",
            small_pages(builder())
                .set_dictionary_page_size_limit(300)
                .build(),
        ),
        (
            "byte stream split",
            builder()
                .set_dictionary_enabled(false)
                .set_column_encoding("double".into(), Encoding::BYTE_STREAM_SPLIT)
                .set_column_encoding("whole".into(), Encoding::DELTA_BINARY_PACKED)
                .set_column_encoding("text".into(), Encoding::DELTA_BYTE_ARRAY)
                .set_column_encoding("binary".into(), Encoding::DELTA_LENGTH_BYTE_ARRAY)
                .build(),
        ),
    ]
}

/// Asserts that a page's values are within the bounds of its index.
#[track_caller]
pub(super) fn assert_bounds(index: &ColumnIndexMetaData, page: usize, values: &ArrayRef) {
    match index {
        ColumnIndexMetaData::INT32(index) if values.data_type() == &DataType::Int32 => {
            let values = values.as_primitive::<Int32Type>();
            for value in values.iter().flatten() {
                assert!(*index.min_value(page).unwrap() <= value);
                assert!(*index.max_value(page).unwrap() >= value);
            }
        }
        ColumnIndexMetaData::INT64(index) if values.data_type() == &DataType::Int64 => {
            let values = values.as_primitive::<Int64Type>();
            for value in values.iter().flatten() {
                assert!(*index.min_value(page).unwrap() <= value);
                assert!(*index.max_value(page).unwrap() >= value);
            }
        }
        ColumnIndexMetaData::DOUBLE(index) => {
            let values = values.as_primitive::<Float64Type>();
            for value in values.iter().flatten().filter(|value| !value.is_nan()) {
                assert!(*index.min_value(page).unwrap() <= value);
                assert!(*index.max_value(page).unwrap() >= value);
            }
        }
        ColumnIndexMetaData::BYTE_ARRAY(index) if values.data_type() == &DataType::Utf8 => {
            for value in values.as_string::<i32>().iter().flatten() {
                assert!(index.min_value(page).unwrap() <= value.as_bytes());
                assert!(index.max_value(page).unwrap() >= value.as_bytes());
            }
        }
        _ => {}
    }
}

//! Files of different schemas.

mod missing;

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, Decimal128Array, Float32Array, Float64Array, Int8Array, Int16Array,
        Int32Array, Int64Array, LargeStringArray, ListArray, NullArray, StringArray, StructArray,
        TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, UInt8Array,
        UInt32Array, UInt64Array,
    },
    buffer::{NullBuffer, OffsetBuffer},
    datatypes::{DataType, Field, Fields, TimeUnit},
};
use parquet::{
    basic::LogicalType,
    data_type::{Int96, Int96Type},
    file::writer::SerializedFileWriter,
    schema::parser::parse_message_type,
};

use super::*;
use crate::semantics::stated;

fn column(array: impl Array + 'static) -> ArrayRef {
    Arc::new(array)
}

fn file(columns: Vec<(&str, ArrayRef)>) -> Bytes {
    written(&batch(columns), WriterProperties::default())
}

/// The rows as JSON, which leaves out nulls: a struct with a null field looks the same as a struct without it.
fn json(batch: &RecordBatch) -> Vec<String> {
    let mut writer = arrow::json::LineDelimitedWriter::new(Vec::new());
    writer.write(batch).unwrap();
    writer.finish().unwrap();
    let text = String::from_utf8(writer.into_inner()).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn options() -> MergeOptions {
    MergeOptions::default()
}

fn decimals(values: &[i128], precision: u8, scale: i8) -> ArrayRef {
    let values = Decimal128Array::from(values.to_vec());
    column(values.with_precision_and_scale(precision, scale).unwrap())
}

fn utc(array: TimestampMicrosecondArray) -> ArrayRef {
    column(array.with_timezone("UTC"))
}

/// Columns of two files, and the unified type.
fn pairs() -> Vec<(ArrayRef, ArrayRef, DataType)> {
    let ints = || column(Int32Array::from(vec![Some(1), None, Some(i32::MIN)]));
    let millis = TimestampMillisecondArray::from(vec![-1, 1_700_000_000_123]);
    let micros = TimestampMicrosecondArray::from(vec![-1, 1_700_000_000_123_456]);
    let nanos = TimestampNanosecondArray::from(vec![-1, 1_700_000_000_123_456_789]);
    let time = |unit| DataType::Timestamp(unit, None);
    vec![
        (
            ints(),
            column(Int64Array::from(vec![i64::MAX])),
            DataType::Int64,
        ),
        (ints(), column(Int8Array::from(vec![-1])), DataType::Int32),
        (
            column(Int8Array::from(vec![-1])),
            column(Int16Array::from(vec![-300])),
            DataType::Int16,
        ),
        (
            column(UInt8Array::from(vec![255])),
            column(UInt32Array::from(vec![u32::MAX])),
            DataType::UInt32,
        ),
        (
            column(UInt32Array::from(vec![u32::MAX])),
            column(UInt64Array::from(vec![u64::MAX])),
            DataType::UInt64,
        ),
        (
            column(Float32Array::from(vec![0.1, f32::NAN])),
            column(Float64Array::from(vec![0.1])),
            DataType::Float64,
        ),
        (
            decimals(&[-1, 99_999], 5, 2),
            decimals(&[123_456_789], 9, 2),
            DataType::Decimal128(9, 2),
        ),
        (
            decimals(&[-1, 99_999], 5, 2),
            decimals(&[12_345_678_901], 15, 2),
            DataType::Decimal128(15, 2),
        ),
        (
            decimals(&[-1, 99_999], 5, 2),
            decimals(&[10_i128.pow(35)], 38, 2),
            DataType::Decimal128(38, 2),
        ),
        (
            decimals(&[-123_456_789_012, 7], 15, 2),
            decimals(&[-123_456_789_012_345_678], 19, 2),
            DataType::Decimal128(19, 2),
        ),
        (
            decimals(&[-1, 5], 20, 2),
            decimals(&[10_i128.pow(35)], 38, 2),
            DataType::Decimal128(38, 2),
        ),
        (
            column(millis.clone()),
            column(micros.clone()),
            time(TimeUnit::Microsecond),
        ),
        (
            column(millis),
            column(nanos.clone()),
            time(TimeUnit::Nanosecond),
        ),
        (
            column(micros.clone()),
            column(nanos),
            time(TimeUnit::Nanosecond),
        ),
        (
            column(StringArray::from(vec!["a"])),
            column(LargeStringArray::from(vec!["b"])),
            DataType::Utf8,
        ),
        (
            column(NullArray::new(3)),
            column(StringArray::from(vec!["b"])),
            DataType::Utf8,
        ),
    ]
}

#[test]
fn types_that_fit_together() {
    stated(
        "Of one column, signed integers become the widest of them, and so do unsigned ones, `FLOAT` becomes `DOUBLE`, and decimals of one scale take the greatest precision.",
    );
    stated(
        "Of one column, timestamps take the finest of their units, and INT96 with timestamps becomes microseconds, or nanoseconds where the others are; what has no exact counterpart there refuses the merge by its file and column.",
    );
    for (a, b, merged) in pairs() {
        for files in [[&a, &b], [&b, &a]] {
            let merged_file = merge(
                &files.map(|values| file(vec![("c", values.clone())])),
                options(),
            );
            let merged_file = merged_file.unwrap_or_else(|error| panic!("{merged}: {error}"));
            let cast = files.map(|values| arrow::compute::cast(values, &merged).unwrap());
            let expected = arrow::compute::concat(&[&cast[0], &cast[1]]).unwrap();
            let found = rows(&merged_file.file);
            assert_eq!(found.schema().field(0).data_type(), &merged);
            assert!(
                found.column(0).to_data() == expected.to_data(),
                "{merged}: {found:?}"
            );
            assert_indexed(&merged_file.file);
        }
    }
}

#[test]
fn types_that_do_not() {
    stated(
        "Types that do not fit together, whether timestamps are adjusted to UTC, another scale, and another nesting are refused by both files and the column, before anything is written.",
    );
    let ints = || column(Int32Array::from(vec![1]));
    let text = || column(StringArray::from(vec!["a"]));
    let micros = TimestampMicrosecondArray::from(vec![1]);
    let list =
        ListArray::from_iter_primitive::<arrow::datatypes::Int32Type, _, _>([Some([Some(1)])]);
    for (a, b) in [
        (ints(), text()),
        (ints(), column(UInt32Array::from(vec![1]))),
        (ints(), column(Float64Array::from(vec![1.0]))),
        (ints(), column(micros.clone())),
        (column(micros.clone()), utc(micros)),
        (decimals(&[1], 5, 2), decimals(&[1], 5, 3)),
        (
            text(),
            column(arrow::array::BinaryArray::from(vec![&b"a"[..]])),
        ),
        (ints(), column(list)),
    ] {
        let good = file(vec![("d", ints())]);
        let refused = merge(
            &[
                good,
                file(vec![("c", a)]),
                file(vec![("d", ints()), ("C", b)]),
            ],
            options(),
        );
        let Err(Failure::Schema(refusal)) = refused else {
            panic!("it is merged: {refused:?}");
        };
        assert_eq!(
            (
                refusal.first.as_str(),
                refusal.second.as_str(),
                refusal.column.as_str()
            ),
            ("file 1", "file 2", "c"),
            "{refusal}"
        );
    }
}

#[test]
fn names_that_differ_in_case() {
    stated(
        "Two columns of one file, or two fields of one struct, whose names differ only in case refuse the merge.",
    );
    let ints = || column(Int32Array::from(vec![1]));
    let refused = merge(&[file(vec![("a", ints()), ("A", ints())])], options());
    assert!(
        matches!(&refused, Err(Failure::Schema(refusal)) if refusal.reason == SchemaReason::SameName),
        "{refused:?}"
    );
}

#[test]
fn lists_of_other_writers() {
    stated("Lists and maps are matched by how they are built, whatever the names inside them.");
    let list = |name: &str, nullable, valid: Option<NullBuffer>| {
        let values = column(Int32Array::from(vec![1, 2, 3]));
        let field = Arc::new(Field::new(name, DataType::Int32, nullable));
        column(ListArray::new(
            field,
            OffsetBuffer::new(vec![0, 2, 2, 3].into()),
            values,
            valid,
        ))
    };
    let nulls = || Some(NullBuffer::from(vec![true, false, true]));
    let files = [
        list("element", true, nulls()),
        list("item", false, None),
        list("array_element", true, None),
    ]
    .map(|values| file(vec![("l", values)]));
    let merged = merge(&files, options()).unwrap();
    let expected: Vec<String> = files.iter().flat_map(|file| json(&rows(file))).collect();
    assert_eq!(json(&rows(&merged.file)), expected);
    assert_eq!(
        merged.unified.schema().column(0).path().string(),
        "l.list.element"
    );
}

#[test]
fn what_may_be_null() {
    stated(
        "A column that may be null in one file, or is missing there, may be null in the merged file.",
    );
    let required = |values: ArrayRef| {
        let schema = Schema::new(vec![Field::new("c", values.data_type().clone(), false)]);
        RecordBatch::try_new(Arc::new(schema), vec![values]).unwrap()
    };
    let many = || (0..7_000).map(|value| value % 40).collect::<Int32Array>();
    let text = |value: i32| format!("text {value}");
    for (name, properties) in files::writers() {
        let of = |batch: &RecordBatch| written(batch, properties.clone());
        for values in [
            column(many()),
            column(
                (0..7_000)
                    .map(|value| Some(text(value)))
                    .collect::<StringArray>(),
            ),
        ] {
            let optional = batch(vec![("c", values.clone())]);
            let files = [
                of(&required(values.clone())),
                of(&optional),
                of(&required(values)),
            ];
            let merged = merge(&files, options()).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_same(&rows(&merged.file), &{
                let all = rows(&files[1]);
                arrow::compute::concat_batches(&all.schema(), [&all, &all, &all]).unwrap()
            });
            assert_eq!(merged.unified.schema().column(0).max_def_level(), 1);
            let merged = merge(&[files[0].clone(), files[2].clone()], options()).unwrap();
            assert_eq!(merged.unified.schema().column(0).max_def_level(), 0);
            assert_indexed(&merged.file);
        }
    }
}

/// A file with an INT96 column: days and nanoseconds.
fn int96(days_and_nanos: &[(u32, u64)]) -> Bytes {
    let schema = parse_message_type("message schema { required int96 c; }").unwrap();
    let mut writer =
        SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut chunk = group.next_column().unwrap().unwrap();
    let values: Vec<Int96> = days_and_nanos
        .iter()
        .map(|(day, nanos)| {
            let mut value = Int96::new();
            let half = |bits: u64| u32::try_from(bits & 0xffff_ffff).unwrap();
            value.set_data(half(*nanos), half(*nanos >> 32), *day);
            value
        })
        .collect();
    chunk
        .typed::<Int96Type>()
        .write_batch(&values, None, None)
        .unwrap();
    chunk.close().unwrap();
    group.close().unwrap();
    writer.into_inner().unwrap().into()
}

#[test]
fn int96_and_timestamps() {
    stated("INT96 stays INT96 where no file has another type for its column.");
    let day = 2_440_588;
    let times = int96(&[
        (day, 1_000),
        (day - 1, 86_399_999_999_000),
        (day + 20_000, 0),
    ]);
    let merged = merge(&[times.clone(), times.clone()], options()).unwrap();
    assert_eq!(
        rows(&merged.file),
        all_rows(&[times.clone(), times.clone()])
    );
    assert_eq!(
        merged.unified.schema().column(0).physical_type(),
        parquet::basic::Type::INT96
    );

    for (other, unit, of_a_second) in [
        (
            column(TimestampMillisecondArray::from(vec![5])),
            TimeUnit::Microsecond,
            1_000_000,
        ),
        (
            column(TimestampMicrosecondArray::from(vec![5_000])),
            TimeUnit::Microsecond,
            1_000_000,
        ),
        (
            column(TimestampNanosecondArray::from(vec![5_000_000])),
            TimeUnit::Nanosecond,
            1_000_000_000,
        ),
    ] {
        let merged = merge(&[file(vec![("c", other)]), times.clone()], options()).unwrap();
        let found = rows(&merged.file);
        assert_eq!(
            found.schema().field(0).data_type(),
            &DataType::Timestamp(unit, None)
        );
        let found = arrow::compute::cast(found.column(0), &DataType::Int64).unwrap();
        let micro = of_a_second / 1_000_000;
        let expected = [5_000 * micro, micro, -micro, 20_000 * 86_400 * of_a_second];
        assert_eq!(
            found.to_data(),
            Int64Array::from(expected.to_vec()).to_data()
        );
        assert!(matches!(
            merged.unified.schema().column(0).logical_type_ref(),
            Some(LogicalType::Timestamp(_))
        ));
    }
    stated("Files with a column that stays INT96, or is an INTERVAL, cannot be sorted.");
    let options = MergeOptions {
        sort_by: vec!["c".to_owned()],
        ..options()
    };
    let refused = merge(std::slice::from_ref(&times), options.clone());
    assert!(
        matches!(&refused, Err(Failure::Merge(MergeError::Options(_)))),
        "{refused:?}"
    );
    let interval =
        arrow::array::IntervalDayTimeArray::from(vec![arrow::datatypes::IntervalDayTime::new(
            1, 2,
        )]);
    let refused = merge(
        &[file(vec![
            ("c", column(Int32Array::from(vec![1]))),
            ("interval", column(interval)),
        ])],
        options,
    );
    assert!(
        matches!(&refused, Err(Failure::Merge(MergeError::Options(_)))),
        "{refused:?}"
    );
    let fine = int96(&[(day, 1)]);
    let refused = merge(
        &[
            file(vec![(
                "c",
                column(TimestampMicrosecondArray::from(vec![5])),
            )]),
            fine,
        ],
        self::options(),
    );
    assert!(
        matches!(&refused, Err(Failure::Merge(MergeError::Inexact { input, column, .. })) if input == "file 1" && column == "c"),
        "{refused:?}"
    );
}

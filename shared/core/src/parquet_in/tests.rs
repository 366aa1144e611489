mod conversions;
mod corrupt;
mod meaning;
mod times;

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float64Array,
        Int32Array, Int64Array, ListArray, MapArray, StringArray, StructArray,
        TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
        UInt64Array,
    },
    buffer::{NullBuffer, OffsetBuffer},
    datatypes::{Field, Fields, Int32Type},
};
use bytes::Bytes;
use parquet::{
    arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions},
    file::properties::{WriterProperties, WriterVersion},
};
use parquet_merge::MAX_SCHEMA_DEPTH;

use jiff::Timestamp;

use super::*;
use crate::{
    config::{Size, TimestampRule},
    encode::cells::{self, Cells},
    hive_type,
    json::JsonScalar,
    quarantine::Reason,
    semantics::stated,
    shown::in_full,
    time::{TimestampReader, microseconds},
};

fn column(array: impl Array + 'static) -> ArrayRef {
    Arc::new(array)
}

fn strings(values: &[Option<&str>]) -> ArrayRef {
    column(StringArray::from(values.to_vec()))
}

fn batch(columns: &[(&str, ArrayRef)]) -> RecordBatch {
    let fields = columns
        .iter()
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let columns = columns.iter().map(|(_, column)| Arc::clone(column));
    RecordBatch::try_new(schema, columns.collect()).unwrap()
}

/// The batch as a file of row groups of `rows` rows.
fn file(batch: &RecordBatch, rows: usize) -> Bytes {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(rows))
        .set_writer_version(WriterVersion::PARQUET_2_0);
    let options = ArrowWriterOptions::new().with_properties(properties.build());
    let mut writer =
        ArrowWriter::try_new_with_options(Vec::new(), batch.schema(), options).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap().into()
}

fn table(columns: &[(&str, &str)]) -> Schema {
    let fields = columns
        .iter()
        .map(|(name, hive)| hive_type::parse_field(name, hive).unwrap());
    Schema::new(fields.collect::<Vec<_>>())
}

fn rule(column: &str, zone: &str) -> TimestampRule {
    TimestampRule {
        column: column.to_owned(),
        format: None,
        unit: None,
        zone: Some(zone.to_owned()),
        earliest: None,
        latest: Some("2100-01-01".to_owned()),
    }
}

fn options(timestamp: &str, policy: Policy) -> ReadOptions {
    let reader =
        || TimestampReader::new(&rule(timestamp, "Europe/Berlin"), Timestamp::UNIX_EPOCH).unwrap();
    let values = reader();
    ReadOptions {
        on_unknown: policy,
        on_mismatch: policy,
        timestamp: timestamp.to_owned(),
        timestamps: reader(),
        parse_timestamp: Box::new(move |value| {
            let time = match value {
                JsonScalar::String(text) => values.read_text(text),
                JsonScalar::Number(text) => values.read_number(text),
                _ => return None,
            };
            time.ok().map(microseconds)
        }),
    }
}

fn read(file: &Bytes, table: &Schema, options: ReadOptions) -> Result<Vec<Rows>, ReadError> {
    ParquetFile::open(file.clone(), &Limits::default())?
        .read(table, options)?
        .collect()
}

/// The texts of a column; `None` for null.
fn texts(column: &ArrayRef) -> Vec<Option<String>> {
    let plain = cells::plain(column).unwrap();
    let field = Field::new("", plain.data_type().clone(), true).into();
    let options = cells::options();
    let mut cells = Cells::new(&field, &plain, &options).unwrap();
    let text = |row| {
        let mut text = Vec::new();
        let valid = cells.push(row, &mut text);
        valid.then(|| String::from_utf8(text).unwrap())
    };
    (0..column.len()).map(text).collect()
}

/// A batch of every type that tables have.
fn every_type() -> RecordBatch {
    let decimals = Decimal128Array::from(vec![Some(12_345), None, Some(-10_i128.pow(37))]);
    let inner = Fields::from(vec![
        Field::new("x", DataType::Int32, true),
        Field::new("y", DataType::Utf8, true),
    ]);
    let structs = StructArray::new(
        inner,
        vec![
            column(Int32Array::from(vec![Some(1), None, None])),
            strings(&[None, None, Some("é")]),
        ],
        Some(NullBuffer::from(vec![true, false, true])),
    );
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
    ]);
    let (field, offsets, values, nulls) = lists.into_parts();
    let element = Arc::new(field.as_ref().clone().with_name("element"));
    batch(&[
        (
            "a",
            column(BooleanArray::from(vec![Some(true), None, Some(false)])),
        ),
        (
            "b",
            column(Int32Array::from(vec![Some(i32::MIN), None, Some(i32::MAX)])),
        ),
        (
            "c",
            column(Int64Array::from(vec![Some(i64::MIN), None, Some(i64::MAX)])),
        ),
        (
            "d",
            column(Float64Array::from(vec![
                Some(0.1),
                None,
                Some(f64::NEG_INFINITY),
            ])),
        ),
        (
            "e",
            column(decimals.with_precision_and_scale(38, 2).unwrap()),
        ),
        (
            "f",
            column(Date32Array::from(vec![Some(-1), None, Some(19_844)])),
        ),
        (
            "g",
            column(TimestampMicrosecondArray::from(vec![
                Some(-1),
                None,
                Some(1_714_568_400_123_456),
            ])),
        ),
        ("h", strings(&[Some(""), None, Some("é\0")])),
        ("i", column(structs)),
        ("j", column(ListArray::new(element, offsets, values, nulls))),
        (
            "k",
            maps(
                strings(&[Some("k"), Some("l")]),
                strings(&[None, Some("v")]),
                &[1, 1, 2],
            ),
        ),
    ])
}

fn maps(keys: ArrayRef, values: ArrayRef, ends: &[i32]) -> ArrayRef {
    let fields = Fields::from(vec![
        Field::new("key", keys.data_type().clone(), false),
        Field::new("value", values.data_type().clone(), true),
    ]);
    let offsets = std::iter::once(0)
        .chain(ends.iter().copied())
        .collect::<Vec<_>>();
    column(MapArray::new(
        Arc::new(Field::new(
            "key_value",
            DataType::Struct(fields.clone()),
            false,
        )),
        OffsetBuffer::new(offsets.into()),
        StructArray::new(fields, vec![keys, values], None),
        None,
        false,
    ))
}

#[test]
fn what_we_write_we_read() {
    stated(
        "Parquet files that are written here read back as the same rows, of every type that tables have, by row groups.",
    );
    let rows = every_type();
    for row_group in [1, 2, 100] {
        let read = read(
            &file(&rows, row_group),
            &rows.schema(),
            options("g", Policy::Fail),
        )
        .unwrap();
        let schema = rows.schema();
        let batches = read.iter().map(|rows| &rows.batch);
        let whole = arrow::compute::concat_batches(&schema, batches).unwrap();
        assert_eq!(whole, rows, "row groups of {row_group}");
        let firsts = read.iter().map(|rows| rows.first).collect::<Vec<_>>();
        let expected = (0..3).step_by(row_group).collect::<Vec<_>>();
        assert_eq!(firsts, expected);
    }
    let found = ParquetFile::open(file(&rows, 9), &Limits::default())
        .unwrap()
        .schema();
    assert_eq!(found.unwrap(), *rows.schema());
}

#[test]
fn columns_are_matched_by_name() {
    stated(
        "Columns and fields of structs are matched by name whatever its case; what the file lacks is null.",
    );
    let inner = StructArray::from(vec![(
        Arc::new(Field::new("X", DataType::Int32, true)),
        column(Int32Array::from(vec![5])),
    )]);
    let rows = batch(&[
        ("Plate", strings(&[Some("p")])),
        ("DETAIL", column(inner)),
        ("t", column(Int64Array::from(vec![0]))),
    ]);
    let table = table(&[
        ("none", "array<int>"),
        ("detail", "struct<y:string,x:int>"),
        ("plate", "string"),
    ]);
    let read = read(&file(&rows, 9), &table, options("T", Policy::Drop)).unwrap();
    let batch = &read[0].batch;
    assert_eq!(*batch.schema(), table);
    assert_eq!(texts(batch.column(0)), [None]);
    assert_eq!(texts(batch.column(1)), [Some("{\"x\":5}".to_owned())]);
    assert_eq!(texts(batch.column(2)), [Some("p".to_owned())]);
    // The table does not have the time's column.
    assert_eq!((read[0].dropped, read[0].mismatched), (1, 0));
    assert_eq!(read[0].times, [Ok(Timestamp::UNIX_EPOCH)]);
}

#[test]
fn names_that_differ_only_in_case_are_refused() {
    stated(
        "Two columns, or two fields of one struct, whose names differ only in case refuse the file by both names.",
    );
    let one = || strings(&[Some("x")]);
    let fields = Fields::from(vec![
        Field::new("x", DataType::Utf8, true),
        Field::new("X", DataType::Utf8, true),
    ]);
    let inner = column(StructArray::new(fields, vec![one(), one()], None));
    for (rows, names) in [
        (
            batch(&[("a", one()), ("b", one()), ("A", one())]),
            ("a", "A"),
        ),
        (batch(&[("s", inner)]), ("s.x", "s.X")),
    ] {
        match ParquetFile::open(file(&rows, 9), &Limits::default()) {
            Err(ReadError::NameCollision { first, second }) => {
                assert_eq!((first.as_str(), second.as_str()), names);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn columns_that_the_table_lacks() {
    stated(
        "A column or a field of a struct that the table lacks is dropped, or refuses every row, or refuses the file, as `on_unknown` says.",
    );
    let inner = StructArray::from(vec![(
        Arc::new(Field::new("extra", DataType::Int32, true)),
        column(Int32Array::from(vec![5, 6])),
    )]);
    let rows = batch(&[
        ("t", column(Int64Array::from(vec![0, 1]))),
        ("s", column(inner)),
    ]);
    let table = table(&[("t", "bigint"), ("s", "struct<x:int>")]);
    let of_policy = |policy| read(&file(&rows, 9), &table, options("t", policy));

    let dropped = of_policy(Policy::Drop).unwrap();
    assert_eq!(dropped[0].dropped, 2);
    assert!(dropped[0].times.iter().all(Result::is_ok));

    let refused = of_policy(Policy::Quarantine).unwrap();
    let expected = Err(Refused {
        reason: Reason::UnknownField,
        detail: "the schema has no column for the field `s.extra`".to_owned(),
    });
    assert_eq!(refused[0].times, [expected.clone(), expected]);
    assert_eq!(refused[0].record(1).unwrap(), br#"{"t":1,"s":{"extra":6}}"#);

    let error = of_policy(Policy::Fail).unwrap_err().to_string();
    assert!(error.contains("`s.extra`"), "{error}");
}

#[test]
fn values_that_do_not_fit() {
    stated(
        "A value that does not fit its column becomes null, or refuses its row by its number, or refuses the file, as `on_mismatch` says, and the quarantine holds the row as it is in the file, as JSON.",
    );
    let rows = batch(&[
        ("t", column(Int64Array::from(vec![0, 1, 2]))),
        ("n", column(Int64Array::from(vec![127, 128, -129]))),
    ]);
    let table = table(&[("n", "tinyint")]);
    let of_policy = |policy| {
        let options = ReadOptions {
            on_unknown: Policy::Drop,
            ..options("t", policy)
        };
        read(&file(&rows, 2), &table, options)
    };

    let nulled = of_policy(Policy::Drop).unwrap();
    assert_eq!(
        texts(nulled[0].batch.column(0)),
        [Some("127".to_owned()), None]
    );
    assert_eq!(
        nulled
            .iter()
            .map(|rows| rows.mismatched)
            .collect::<Vec<_>>(),
        [1, 1]
    );
    assert!(
        nulled
            .iter()
            .flat_map(|rows| &rows.times)
            .all(Result::is_ok)
    );

    let refused = of_policy(Policy::Quarantine).unwrap();
    assert!(refused[0].times[0].is_ok());
    assert_eq!(
        refused[1].times,
        [Err(Refused {
            reason: Reason::Mismatch,
            detail: "column `n` is tinyint, the record has -129".to_owned(),
        })]
    );
    assert_eq!((refused[1].first, refused[1].dropped), (2, 0));
    assert_eq!(refused[1].record(0).unwrap(), br#"{"t":2,"n":-129}"#);

    let error = in_full(&of_policy(Policy::Fail).unwrap_err());
    assert!(
        error.starts_with("row 1: ") && error.contains("128"),
        "{error}"
    );
}

#[test]
fn batches_are_bounded() {
    stated(
        "Rows come in batches of at most 8,192 rows and about 8 MiB, even if a long value of a dictionary is in every row.",
    );
    let long = "x".repeat(1 << 20);
    let inner = |values: ArrayRef| {
        column(StructArray::from(vec![(
            Arc::new(Field::new("s", values.data_type().clone(), true)),
            values,
        )]))
    };
    let many = strings(&vec![Some(long.as_str()); 100]);
    for (rows, most) in [
        (
            batch(&[("n", column(Int64Array::from_iter_values(0..20_000)))]),
            BATCH_ROWS,
        ),
        (batch(&[("s", Arc::clone(&many))]), 8),
        (batch(&[("o", inner(many))]), 8),
    ] {
        let reader = ParquetFile::open(file(&rows, 100_000), &Limits::default()).unwrap();
        let table = reader.schema().unwrap();
        let mut total = 0;
        let name = match rows.schema().field(0).name().as_str() {
            "o" => "o.s".to_owned(),
            name => name.to_owned(),
        };
        for rows in reader.read(&table, options(&name, Policy::Drop)).unwrap() {
            let rows = rows.unwrap();
            assert_eq!(rows.first, total);
            total += rows.batch.num_rows() as u64;
            assert!(
                (1..=most).contains(&rows.batch.num_rows()),
                "{}",
                rows.batch.num_rows()
            );
        }
        assert_eq!(total, rows.num_rows() as u64);
    }
}

#[test]
fn limits() {
    stated(
        "A footer or a row group beyond its limit, a schema nested deeper than 129 groups, and an encrypted file are refused, each by its own error.",
    );
    let rows = every_type();
    let whole = file(&rows, 2);
    let limited = |limits: &Limits| {
        ParquetFile::open(whole.clone(), limits).and_then(|file| {
            let table = file.schema().unwrap();
            file.read(&table, options("g", Policy::Drop))?
                .collect::<Result<Vec<_>, _>>()
        })
    };
    let footer = Limits {
        parquet_footer: Size(100),
        ..Limits::default()
    };
    assert!(matches!(
        limited(&footer),
        Err(ReadError::FooterTooLarge { limit: 100, .. })
    ));
    let row_group = Limits {
        parquet_row_group: Size(100),
        ..Limits::default()
    };
    assert!(matches!(
        limited(&row_group),
        Err(ReadError::RowGroupTooLarge {
            row_group: 0,
            limit: 100,
            ..
        })
    ));
    assert_eq!(limited(&Limits::default()).unwrap().len(), 2);

    let mut deep = DataType::Int32;
    for _ in 0..MAX_SCHEMA_DEPTH {
        deep = DataType::Struct(Fields::from(vec![Field::new("x", deep, true)]));
    }
    let rows = RecordBatch::new_empty(Arc::new(Schema::new(vec![Field::new("d", deep, true)])));
    assert!(matches!(
        ParquetFile::open(file(&rows, 9), &Limits::default()),
        Err(ReadError::TooDeep)
    ));

    let mut encrypted = whole.to_vec();
    let magic = encrypted.len() - 4;
    encrypted[magic..].copy_from_slice(b"PARE");
    assert!(matches!(
        ParquetFile::open(Bytes::from(encrypted), &Limits::default()),
        Err(ReadError::Encrypted)
    ));
    stated(
        "A file whose columns are encrypted and whose footer is not is refused as encrypted, and one with brotli or LZO by column and codec, by every job; LZ4 is read.",
    );
    let files: [(&[u8], &str); 2] = [
        (
            include_bytes!("../../../../tests/data/plain-footer.parquet"),
            "is encrypted",
        ),
        (
            include_bytes!("../../../../tests/data/brotli.parquet"),
            "column `id` is compressed with brotli",
        ),
    ];
    for (bytes, says) in files {
        let error = ParquetFile::open(Bytes::from_static(bytes), &Limits::default()).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    let lz4 = Bytes::from_static(include_bytes!("../../../../tests/data/lz4.parquet"));
    let rows = read(
        &lz4,
        &table(&[("name", "string")]),
        options("id", Policy::Drop),
    )
    .unwrap();
    let expected = ["a", "b", "c"].map(|name| Some(name.to_owned()));
    assert_eq!(texts(rows[0].batch.column(0)), expected);
    for bytes in [&b""[..], b"PAR1", b"not a Parquet file"] {
        let error = ParquetFile::open(Bytes::from_static(bytes), &Limits::default()).unwrap_err();
        assert!(matches!(error, ReadError::NotParquet(_)), "{error}");
    }
}

use arrow::{
    array::{
        BinaryArray, Float32Array, Int16Array, LargeStringArray, Time64MicrosecondArray,
        UInt32Array,
    },
    datatypes::{Date32Type, TimeUnit},
};

use super::*;

/// Converts `values` to a column of the type `hive`: the results, and the rows that do not fit.
fn convert(values: ArrayRef, hive: &str) -> (Vec<Option<String>>, Vec<Option<String>>) {
    let rows = values.len();
    let times = column(Int64Array::from(vec![0; rows]));
    let rows = batch(&[("t", times), ("c", values)]);
    let file = file(&rows, 100);
    let table = table(&[("t", "bigint"), ("c", hive)]);
    let refusing = read(&file, &table, options("t", Policy::Quarantine)).unwrap();
    let mismatches = refusing[0].times.iter().map(|time| {
        let refused = time.as_ref().err()?;
        assert_eq!(refused.reason, Reason::Mismatch);
        let (column, found) = refused.detail.split_once(", the record has ").unwrap();
        assert!(column.starts_with("column `c"), "{column}");
        Some(found.to_owned())
    });
    (texts(refusing[0].batch.column(1)), mismatches.collect())
}

/// Checks the conversion of each value: its text, or what the mismatch reports.
fn check<'a>(
    columns: impl IntoIterator<Item = (ArrayRef, &'a str, [Result<&'a str, &'a str>; 2])>,
) {
    for (values, hive, expected) in columns {
        let name = format!("{} into {hive}", values.data_type());
        let (texts, mismatches) = convert(values, hive);
        for ((text, mismatch), expected) in texts.iter().zip(&mismatches).zip(expected) {
            let found = match mismatch {
                None => Ok(text.as_deref().unwrap_or("null")),
                Some(found) => Err(found.as_str()),
            };
            assert_eq!(found, expected, "{name}");
            assert!(mismatch.is_none() || text.is_none(), "{name}");
        }
    }
}

#[test]
fn numbers() {
    stated(
        "Integers of any width, floating point numbers, decimals, timestamps of any unit, and strings and binary values go into a column of the same kind where they are in range; decimals never lose digits, and times between two microseconds are those of the earlier one.",
    );
    let decimals = |values: Vec<i128>| {
        column(
            Decimal128Array::from(values)
                .with_precision_and_scale(10, 2)
                .unwrap(),
        )
    };
    check([
        (
            column(Int16Array::from(vec![1, -1])),
            "bigint",
            [Ok("1"), Ok("-1")],
        ),
        (
            column(Int64Array::from(vec![1 << 31, -1])),
            "int",
            [Err("2147483648"), Ok("-1")],
        ),
        (
            column(UInt32Array::from(vec![u32::MAX, 0])),
            "int",
            [Err("4294967295"), Ok("0")],
        ),
        (
            column(Int64Array::from(vec![1, -2])),
            "double",
            [Ok("1.0"), Ok("-2.0")],
        ),
        (
            column(Int64Array::from(vec![1, 1000])),
            "decimal(4,2)",
            [Ok("1.00"), Err("1000")],
        ),
        (
            column(Int64Array::from(vec![7, 0])),
            "string",
            [Ok("7"), Ok("0")],
        ),
        (
            column(Int64Array::from(vec![1, 0])),
            "boolean",
            [Err("1"), Err("0")],
        ),
        (
            column(Float32Array::from(vec![0.5, f32::NAN])),
            "double",
            [Ok("0.5"), Ok("NaN")],
        ),
        (
            column(Float64Array::from(vec![0.5, 1e39])),
            "float",
            [Ok("0.5"), Err("1e39")],
        ),
        (
            column(Float64Array::from(vec![3.0, 3.5])),
            "int",
            [Ok("3"), Err("3.5")],
        ),
        (
            column(Float64Array::from(vec![0.1, 0.125])),
            "decimal(5,2)",
            [Ok("0.10"), Err("0.125")],
        ),
        (
            decimals(vec![150, 125]),
            "decimal(12,3)",
            [Ok("1.500"), Ok("1.250")],
        ),
        (
            decimals(vec![150, 125]),
            "decimal(12,1)",
            [Ok("1.5"), Err("1.25")],
        ),
        (decimals(vec![300, 350]), "bigint", [Ok("3"), Err("3.50")]),
        (decimals(vec![150, -150]), "double", [Ok("1.5"), Ok("-1.5")]),
    ]);
}

#[test]
fn times_and_dates() {
    check([
        (
            strings(&[Some("2024-05-01"), Some("May")]),
            "date",
            [Ok("2024-05-01"), Err("May")],
        ),
        (
            strings(&[Some("2024-05-01 13:00:00"), Some("20240501")]),
            "timestamp",
            [Ok("2024-05-01 11:00:00.000"), Ok("2024-04-30 22:00:00.000")],
        ),
        (
            column(Int64Array::from(vec![20_240_501, 1_714_568_400_000])),
            "timestamp",
            [Ok("1970-08-23 06:21:41.000"), Ok("2024-05-01 13:00:00.000")],
        ),
        (
            column(TimestampNanosecondArray::from(vec![-1, 1_999])),
            "timestamp",
            [
                Ok("1969-12-31 23:59:59.999999"),
                Ok("1970-01-01 00:00:00.000001"),
            ],
        ),
        (
            column(TimestampMillisecondArray::from(vec![1, i64::MAX])),
            "timestamp",
            [
                Ok("1970-01-01 00:00:00.001"),
                Err("a time outside the years 0 to 9999"),
            ],
        ),
        (
            column(TimestampMillisecondArray::from(vec![0, 1])),
            "string",
            [Ok("1970-01-01 00:00:00.000"), Ok("1970-01-01 00:00:00.001")],
        ),
        (
            column(Date32Array::from(vec![0, i32::MAX])),
            "date",
            [Ok("1970-01-01"), Err("a time outside the years 0 to 9999")],
        ),
        (
            column(Date32Array::from(vec![19_844, 0])),
            "timestamp",
            [Ok("2024-04-30 22:00:00.000"), Ok("1969-12-31 23:00:00.000")],
        ),
        (
            column(Time64MicrosecondArray::from(vec![1, 3_600_000_000])),
            "string",
            [Ok("00:00:00.000001"), Ok("01:00:00")],
        ),
        (
            column(Time64MicrosecondArray::from(vec![1, 86_400_000_000])),
            "string",
            [
                Ok("00:00:00.000001"),
                Err("Cast error: Failed to convert 86400000000 to temporal for Time64(µs)"),
            ],
        ),
        (
            column(ListArray::from_iter_primitive::<Date32Type, _, _>(vec![
                Some(vec![Some(0)]),
                Some(vec![Some(i32::MAX)]),
            ])),
            "string",
            [
                Ok("[\"1970-01-01\"]"),
                Err(
                    "Invalid argument error: a time lies outside the years 0 to 9999 and cannot be written as text: in seconds from 1970, a value of 15 bytes",
                ),
            ],
        ),
    ]);
}

#[test]
fn times_that_json_does_not_have_are_quarantined_as_numbers() {
    stated(
        "In the quarantine, a column of a row with a date or a time that JSON does not have, such as one beyond the year 9999, holds the numbers that are in the file, and one with a map that JSON does not have, its entries as a list.",
    );
    let days = ListArray::from_iter_primitive::<Date32Type, _, _>(vec![
        Some(vec![Some(0), None]),
        Some(vec![Some(i32::MAX)]),
    ]);
    let inner = StructArray::from(vec![(
        Arc::new(Field::new(
            "at",
            DataType::Time64(TimeUnit::Microsecond),
            true,
        )),
        column(Time64MicrosecondArray::from(vec![1, 86_400_000_000])),
    )]);
    let rows = batch(&[
        ("t", strings(&[Some("no time"), None])),
        ("day", column(Date32Array::from(vec![0, i32::MAX]))),
        ("days", column(days)),
        ("inner", column(inner)),
        ("when", column(TimestampMillisecondArray::from(vec![1, 2]))),
    ]);
    let table = table(&[("t", "string")]);
    let mut read = read(&file(&rows, 10), &table, options("t", Policy::Drop)).unwrap();
    let rows = read.remove(0);
    for (row, expected) in [
        r#"{"t":"no time","day":"1970-01-01","days":["1970-01-01",null],"inner":{"at":"00:00:00.000001"},"when":"1970-01-01 00:00:00.001"}"#,
        r#"{"day":2147483647,"days":[2147483647],"inner":{"at":86400000000},"when":"1970-01-01 00:00:00.002"}"#,
    ]
    .into_iter()
    .enumerate()
    {
        assert!(rows.times[row].is_err());
        assert_eq!(String::from_utf8(rows.record(row).unwrap()).unwrap(), expected);
    }
}

#[test]
fn null_keys_of_maps() {
    stated(
        "No map has a null key: one that has, as the schemas of some writers allow, does not fit its column in rekey and repartition, refuses a result of split, and refuses its merge by file and column.",
    );
    let file = |bytes: &'static [u8]| Bytes::from_static(bytes);
    let optional = file(include_bytes!(
        "../../../../../tests/data/optional-key.parquet"
    ));
    let null = file(include_bytes!("../../../../../tests/data/null-key.parquet"));
    let with_map = table(&[("t", "string"), ("m", "map<string,int>")]);
    let read_one = |file: &Bytes, table: &Schema, policy| {
        read(file, table, options("t", policy)).unwrap().remove(0)
    };
    let rows = read_one(&optional, &with_map, Policy::Fail);
    assert_eq!(
        texts(rows.batch.column(1)),
        [Some("{\"a\":1}".to_owned()), None]
    );
    let error = read(&null, &with_map, options("t", Policy::Fail)).unwrap_err();
    assert!(error.to_string().contains("`m`"), "{error}");
    let rows = read_one(&null, &with_map, Policy::Drop);
    assert_eq!(rows.mismatched, 1);
    assert_eq!(
        texts(rows.batch.column(1)),
        [Some("{\"a\":1}".to_owned()), None, None]
    );
    for (table, policy) in [
        (with_map, Policy::Quarantine),
        (table(&[("t", "date")]), Policy::Drop),
    ] {
        let rows = read_one(&null, &table, policy);
        assert_eq!(
            rows.times.iter().filter(|time| time.is_err()).count(),
            usize::from(policy == Policy::Quarantine)
        );
        let record = String::from_utf8(rows.record(1).unwrap()).unwrap();
        assert_eq!(
            record,
            r#"{"t":"2026-05-01","m":[{"value":2},{"key":"b","value":3}]}"#
        );
    }
}

#[test]
fn texts_and_bytes() {
    stated(
        "Any other value goes into its column where a JSON string of its text would, and a number into a timestamp column as a JSON number would.",
    );
    let binary = |values: [&[u8]; 2]| column(BinaryArray::from_iter_values(values));
    check([
        (
            strings(&[Some("12"), Some("x")]),
            "int",
            [Ok("12"), Err("x")],
        ),
        (
            strings(&[Some("TRUE"), Some("1")]),
            "boolean",
            [Ok("true"), Err("1")],
        ),
        (
            binary([b"a", b"\xff"]),
            "string",
            [Ok("a"), Err("bytes that are not UTF-8")],
        ),
        (
            strings(&[Some("a"), Some("")]),
            "binary",
            [Ok("YQ=="), Ok("")],
        ),
        (
            column(LargeStringArray::from(vec!["a", "b"])),
            "string",
            [Ok("a"), Ok("b")],
        ),
        (
            strings(&[Some("[1]"), Some("1")]),
            "array<int>",
            [Ok("[1]"), Err("1")],
        ),
    ]);
}

#[test]
fn nested_values() {
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
        Some(vec![Some(1), Some(2)]),
        Some(vec![]),
        None,
        Some(vec![Some(300), Some(3), Some(400)]),
        Some(vec![None]),
    ]);
    let (texts, mismatches) = convert(column(lists), "array<tinyint>");
    let expected = [
        Some("[1,2]"),
        Some("[]"),
        None,
        Some("[null,3,null]"),
        Some("[null]"),
    ];
    assert_eq!(texts, expected.map(|text| text.map(str::to_owned)));
    assert_eq!(mismatches, [None, None, None, Some("400".to_owned()), None]);

    let keys = column(Int32Array::from(vec![1, 2, 300]));
    let values = strings(&[Some("1"), Some("x"), Some("3")]);
    let (texts, mismatches) = convert(maps(keys, values, &[1, 2, 3]), "map<tinyint,int>");
    assert_eq!(texts[0].as_deref(), Some("{\"1\":1}"));
    let found = mismatches.iter().map(Option::as_deref).collect::<Vec<_>>();
    assert_eq!(found, [None, Some("\"x\""), Some("\"300\"")], "{texts:?}");

    let inner = StructArray::from(vec![(
        Arc::new(Field::new("n", DataType::Utf8, true)),
        strings(&[Some("1"), Some("x")]),
    )]);
    let (texts, mismatches) = convert(column(inner), "struct<n:int,m:int>");
    assert_eq!(texts, [Some("{\"n\":1}".to_owned()), Some("{}".to_owned())]);
    assert_eq!(mismatches, [None, Some("x".to_owned())]);
}

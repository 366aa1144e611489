use parquet::{
    data_type::{Int96, Int96Type},
    file::writer::SerializedFileWriter,
    schema::parser::parse_message_type,
};

use super::*;

#[test]
fn times_of_rows() {
    stated(
        "A row's time is read from columns of timestamps, dates, integers, floating point numbers, decimals and strings, or from a field of a struct by its path.",
    );
    stated(
        "A Parquet timestamp that is adjusted to UTC is that instant, and so is an INT96; one that is not, and a date, are in the configured zone.",
    );
    let millis = || TimestampMillisecondArray::from(vec![1_714_568_400_000]);
    let decimals = Decimal128Array::from(vec![1_714_568_400_500]);
    let inner = |values: ArrayRef| {
        column(StructArray::from(vec![(
            Arc::new(Field::new("Time", values.data_type().clone(), true)),
            values,
        )]))
    };
    let dictionary: DictionaryArray<Int32Type> = vec!["2024-05-01T13:00:00Z"].into_iter().collect();
    for (name, values, expected) in [
        (
            "t",
            column(millis().with_timezone("UTC")),
            "2024-05-01T13:00:00Z",
        ),
        ("t", column(millis()), "2024-05-01T11:00:00Z"),
        (
            "t",
            column(TimestampMicrosecondArray::from(vec![1_714_568_400_000_001])),
            "2024-05-01T11:00:00.000001Z",
        ),
        (
            "t",
            column(TimestampNanosecondArray::from(vec![1]).with_timezone("UTC")),
            "1970-01-01T00:00:00.000000001Z",
        ),
        (
            "t",
            column(Date32Array::from(vec![19_844])),
            "2024-04-30T22:00:00Z",
        ),
        (
            "t",
            column(Int32Array::from(vec![1_714_568_400])),
            "2024-05-01T13:00:00Z",
        ),
        (
            "t",
            column(UInt64Array::from(vec![1_714_568_400_000])),
            "2024-05-01T13:00:00Z",
        ),
        (
            "t",
            column(Float64Array::from(vec![1_714_568_400.25])),
            "2024-05-01T13:00:00.25Z",
        ),
        (
            "t",
            column(decimals.with_precision_and_scale(15, 3).unwrap()),
            "2024-05-01T13:00:00.5Z",
        ),
        (
            "t",
            strings(&[Some("2024-05-01 13:00:00")]),
            "2024-05-01T11:00:00Z",
        ),
        ("t", column(dictionary), "2024-05-01T13:00:00Z"),
        (
            "T.time",
            inner(strings(&[Some("2024-05-01T13:00:00Z")])),
            "2024-05-01T13:00:00Z",
        ),
    ] {
        let rows = batch(&[("t", values)]);
        let read = read(&file(&rows, 9), &table(&[]), options(name, Policy::Drop)).unwrap();
        assert_eq!(read[0].times, [Ok(expected.parse().unwrap())], "{rows:?}");
        assert_eq!(read[0].batch.num_rows(), 1);
    }
}

#[test]
fn a_name_of_two_columns() {
    let inside = || {
        let field = Arc::new(Field::new("a", DataType::Utf8, true));
        Arc::new(StructArray::from(vec![(
            field,
            strings(&[Some("2024-05-01T00:00:00Z")]),
        )])) as ArrayRef
    };
    let rows = batch(&[
        ("s.a", strings(&[Some("2024-05-02T00:00:00Z")])),
        ("s", inside()),
    ]);
    let error = read(&file(&rows, 9), &table(&[]), options("S.a", Policy::Drop)).unwrap_err();
    let says = "timestamp.column: `S.a` means two columns, `s.a` and `s`.`a`";
    assert!(error.to_string().contains(says), "{error}");
    for (column, time) in [
        (
            ("s.a", strings(&[Some("2024-05-02T00:00:00Z")])),
            "2024-05-02T00:00:00Z",
        ),
        (("s", inside()), "2024-05-01T00:00:00Z"),
    ] {
        let rows = batch(&[column]);
        let read = read(&file(&rows, 9), &table(&[]), options("s.A", Policy::Drop)).unwrap();
        assert_eq!(read[0].times, [Ok(time.parse().unwrap())]);
    }
}

#[test]
fn files_without_a_time() {
    stated(
        "A name that no column has is refused with the columns that there are, by its option; of JSON, whose records need not have the same columns, each record without its timestamp is set aside.",
    );
    stated(
        "A Parquet column that is called as the timestamp and has a type that is no time, such as `boolean` or `array<int>`, refuses its object by that type.",
    );
    let flags = || column(BooleanArray::from(vec![true]));
    let inner = StructArray::from(vec![(
        Arc::new(Field::new("a", DataType::Boolean, true)),
        flags(),
    )]);
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])]);
    for (name, values, says) in [
        (
            "x",
            strings(&[Some("1")]),
            "there is no column `x`: there are `t`",
        ),
        (
            "t.x",
            strings(&[Some("1")]),
            "there is no column `t.x`: there are `t`",
        ),
        ("T", flags(), "`t` is boolean, which is no time"),
        (
            "t",
            column(inner.clone()),
            "`t` is struct<a:boolean>, which is no time",
        ),
        ("T.A", column(inner), "`t.a` is boolean, which is no time"),
        ("t", column(lists), "`t` is array<int>, which is no time"),
        (
            "t",
            column(arrow::array::Time64MicrosecondArray::from(vec![1])),
            "`t` is Time64(µs), which is no time",
        ),
    ] {
        let rows = batch(&[("t", values)]);
        let error = read(&file(&rows, 9), &table(&[]), options(name, Policy::Drop)).unwrap_err();
        assert_eq!(error.to_string(), format!("timestamp.column: {says}"));
    }
}

#[test]
fn rows_without_a_time() {
    for (name, values, reason, says) in [
        (
            "t",
            strings(&[None]),
            Reason::NoTimestamp,
            "`t` has no value",
        ),
        (
            "t",
            strings(&[Some("no")]),
            Reason::BadTimestamp,
            "`no` is not a time",
        ),
        (
            "t",
            strings(&[Some("2100-01-02")]),
            Reason::AfterLatest,
            "after the latest",
        ),
        (
            "t",
            column(arrow::array::NullArray::new(1)),
            Reason::NoTimestamp,
            "`t` has no value",
        ),
        (
            "t",
            column(TimestampMicrosecondArray::from(vec![i64::MAX])),
            Reason::BadTimestamp,
            "outside",
        ),
        (
            "t",
            column(Date32Array::from(vec![i32::MIN])),
            Reason::BadTimestamp,
            "outside",
        ),
    ] {
        let rows = batch(&[("t", values)]);
        let read = read(&file(&rows, 9), &table(&[]), options(name, Policy::Drop)).unwrap();
        let refused = read[0].times[0].clone().unwrap_err();
        assert_eq!(refused.reason, reason);
        assert!(refused.detail.contains(says), "{}", refused.detail);
    }
}

#[test]
fn int96() {
    let schema =
        Arc::new(parse_message_type("message m { optional int96 t; optional int32 n; }").unwrap());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut chunk = group.next_column().unwrap().unwrap();
    let value = |nanoseconds: u64, julian_day: u32| {
        let [low, high] = [nanoseconds & 0xffff_ffff, nanoseconds >> 32];
        Int96::from(vec![
            u32::try_from(low).unwrap(),
            u32::try_from(high).unwrap(),
            julian_day,
        ])
    };
    // 1970-01-01 is day 2,440,588; the second value is in the year 3000, which is out of range for nanoseconds in 64
    // bits.
    let values = [value(3_600_000_001_000, 2_440_588), value(0, 2_816_788)];
    chunk
        .typed::<Int96Type>()
        .write_batch(&values, Some(&[1, 1]), None)
        .unwrap();
    chunk.close().unwrap();
    let mut chunk = group.next_column().unwrap().unwrap();
    chunk
        .typed::<parquet::data_type::Int32Type>()
        .write_batch(&[], Some(&[0, 0]), None)
        .unwrap();
    chunk.close().unwrap();
    group.close().unwrap();
    let file = Bytes::from(writer.into_inner().unwrap());

    let mut options = options("t", Policy::Fail);
    let rule = TimestampRule {
        latest: None,
        ..rule("t", "Europe/Berlin")
    };
    options.timestamps = TimestampReader::new(&rule, Timestamp::UNIX_EPOCH).unwrap();
    let table = table(&[("t", "timestamp"), ("n", "int")]);
    let read = read(&file, &table, options).unwrap();
    let expected = ["1970-01-01T01:00:00.000001Z", "3000-01-01T00:00:00Z"];
    assert_eq!(
        read[0].times,
        expected.map(|time| Ok(time.parse().unwrap()))
    );
    let texts = texts(read[0].batch.column(0));
    assert_eq!(texts[0].as_deref(), Some("1970-01-01 01:00:00.000001"));
    assert_eq!(texts[1].as_deref(), Some("3000-01-01 00:00:00.000"));
}

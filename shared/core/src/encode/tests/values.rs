use arrow::array::{
    Date32Array, Decimal128Array, DictionaryArray, Float64Array, TimestampMicrosecondArray,
    TimestampNanosecondArray, TimestampSecondArray,
};

use super::*;

/// Each column's texts in JSON and in CSV.
fn check(columns: impl IntoIterator<Item = (ArrayRef, Vec<&'static str>, Vec<&'static str>)>) {
    for (column, json, csv) in columns {
        let lines = text(OutputFormat::Json, Arc::clone(&column));
        let json = json.iter().map(|value| format!("{{\"c\":{value}}}"));
        assert_eq!(lines, json.collect::<Vec<_>>());
        assert_eq!(text(OutputFormat::Csv, column), csv);
    }
}

#[test]
fn times_as_text() {
    stated(
        "In JSON and CSV a timestamp is `yyyy-MM-dd HH:mm:ss.fff` in UTC, with six or nine digits of fraction where three do not hold it, and a date is `yyyy-MM-dd`.",
    );
    let micros = [
        0,
        1_714_568_400_123_000,
        1_714_568_400_123_456,
        -1,
        -62_167_219_200_000_000,
    ];
    let of_zone = TimestampMicrosecondArray::from(vec![0]).with_timezone("Europe/Berlin");
    let columns: [(ArrayRef, Vec<&str>); 5] = [
        (
            Arc::new(TimestampMicrosecondArray::from(micros.to_vec())),
            vec![
                "1970-01-01 00:00:00.000",
                "2024-05-01 13:00:00.123",
                "2024-05-01 13:00:00.123456",
                "1969-12-31 23:59:59.999999",
                "0000-01-01 00:00:00.000",
            ],
        ),
        (
            Arc::new(TimestampNanosecondArray::from(vec![1_000, 1_000_001])),
            vec![
                "1970-01-01 00:00:00.000001",
                "1970-01-01 00:00:00.001000001",
            ],
        ),
        (
            Arc::new(TimestampSecondArray::from(vec![253_402_300_799])),
            vec!["9999-12-31 23:59:59.000"],
        ),
        (Arc::new(of_zone), vec!["1970-01-01 00:00:00.000"]),
        (
            Arc::new(Date32Array::from(vec![0, 19_844, -1])),
            vec!["1970-01-01", "2024-05-01", "1969-12-31"],
        ),
    ];
    for (column, expected) in columns {
        let json = expected.iter().map(|text| format!("{{\"c\":\"{text}\"}}"));
        assert_eq!(
            text(OutputFormat::Json, Arc::clone(&column)),
            json.collect::<Vec<_>>()
        );
        assert_eq!(text(OutputFormat::Csv, column), expected);
    }
}

#[test]
fn other_values_as_text() {
    stated(
        "Decimals are written with all digits of their scale, floating point values as a decimal that reads back as the same value, and binary values in base64.",
    );
    stated(
        "In JSON, `NaN` and the infinities are `null`; in CSV they are `NaN`, `Infinity` and `-Infinity`.",
    );
    let decimals = Decimal128Array::from(vec![12_345, -5, 10_i128.pow(38) - 1]);
    let decimals = decimals.with_precision_and_scale(38, 2).unwrap();
    let digits = vec!["123.45", "-0.05", "999999999999999999999999999999999999.99"];
    let doubles = [
        0.1,
        1e300,
        -0.0,
        5.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ];
    let binary = BinaryArray::from_iter_values([&b""[..], b"\xff\xfe\xfd", b"a"]);
    let dictionary: DictionaryArray<Int32Type> = vec!["a", "b", "a"].into_iter().collect();
    check([
        (Arc::new(decimals) as ArrayRef, digits.clone(), digits),
        (
            Arc::new(Float64Array::from(doubles.to_vec())),
            vec!["0.1", "1.0e300", "-0.0", "5.0", "null", "null", "null"],
            vec![
                "0.1",
                "1e300",
                "-0.0",
                "5.0",
                "NaN",
                "Infinity",
                "-Infinity",
            ],
        ),
        (
            Arc::new(binary),
            vec!["\"\"", "\"//79\"", "\"YQ==\""],
            vec!["\"\"", "//79", "YQ=="],
        ),
        (
            Arc::new(dictionary),
            vec!["\"a\"", "\"b\"", "\"a\""],
            vec!["a", "b", "a"],
        ),
    ]);
}

#[test]
fn every_date_is_the_calendars() {
    let first = jiff::civil::date(0, 1, 1);
    let dates = first
        .series(jiff::Span::new().days(97))
        .take_while(|date| date.year() <= 9999);
    let dates = dates.collect::<Vec<_>>();
    let epoch = jiff::civil::date(1970, 1, 1);
    let days = dates.iter().map(|&date| (date - epoch).get_days());
    let column: ArrayRef = Arc::new(Date32Array::from_iter_values(days));
    let expected = dates.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(text(OutputFormat::Csv, column), expected);
}

#[test]
fn times_beyond_four_digit_years_are_refused() {
    stated(
        "A time outside the years 0 to 9999 cannot be written as JSON or CSV, and the object is refused.",
    );
    let columns: [ArrayRef; 3] = [
        Arc::new(TimestampSecondArray::from(vec![0, 253_402_300_800])),
        Arc::new(TimestampMicrosecondArray::from(vec![i64::MIN])),
        Arc::new(Date32Array::from(vec![i32::MAX])),
    ];
    for column in columns {
        for format in [OutputFormat::Json, OutputFormat::Csv] {
            let batch = batch(&[("c", Arc::clone(&column))]);
            let layout = Layout::plain(batch.schema());
            let error = try_encode(&plain(format), &layout, &[batch])
                .unwrap_err()
                .to_string();
            assert!(error.contains("outside the years 0 to 9999"), "{error}");
        }
    }
}

#[test]
fn map_keys_are_text() {
    stated("The keys of a map are its keys' text.");
    let decimals = Decimal128Array::from(vec![150, 25])
        .with_precision_and_scale(5, 2)
        .unwrap();
    let times = TimestampMicrosecondArray::from(vec![0, 1]);
    for (keys, expected) in [
        (strings(&[Some("a\""), Some("")]), r#"{"a\"":0,"":null}"#),
        (
            Arc::new(Int32Array::from(vec![1, -2])) as ArrayRef,
            r#"{"1":0,"-2":null}"#,
        ),
        (
            Arc::new(BooleanArray::from(vec![true, false])),
            r#"{"true":0,"false":null}"#,
        ),
        (Arc::new(decimals), r#"{"1.50":0,"0.25":null}"#),
        (
            Arc::new(times),
            r#"{"1970-01-01 00:00:00.000":0,"1970-01-01 00:00:00.000001":null}"#,
        ),
        (
            Arc::new(Float64Array::from(vec![0.5, f64::NAN])),
            r#"{"0.5":0,"NaN":null}"#,
        ),
    ] {
        let lines = text(OutputFormat::Json, maps(keys, &[2]));
        assert_eq!(lines, [format!("{{\"c\":{expected}}}")]);
    }
    let nested = Arc::new(StructArray::from(vec![(
        Arc::new(Field::new("x", DataType::Int32, true)),
        Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef,
    )]));
    let batch = batch(&[("c", maps(nested, &[2]))]);
    let layout = Layout::plain(batch.schema());
    assert!(try_encode(&plain(OutputFormat::Json), &layout, &[batch]).is_err());
}

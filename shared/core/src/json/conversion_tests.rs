//! Conversions of values to each column type.

use super::*;

/// Converts a value to a column type; `Err` for a mismatch.
pub(super) fn convert(data_type: &DataType, value: &str) -> Result<String, String> {
    let mut columns = columns(&[("c", data_type.clone())], options());
    match columns.append(format!("{{\"c\":{value}}}").as_bytes()) {
        Ok(_) => Ok(shown(&columns.finish().unwrap(), 0, 0)),
        Err(RecordError::Mismatch { found, .. }) => Err(crate::shown::in_full(&found)),
        Err(error) => panic!("{error}"),
    }
}

/// Lines of `value -> what it becomes` or `value !! what a mismatch says was found`.
fn check(data_type: &DataType, examples: &str) {
    for example in examples.trim().lines() {
        let (value, expected) = match example.split_once(" -> ") {
            Some((value, becomes)) => (value.trim(), Ok(becomes.trim().to_owned())),
            None => match example.split_once(" !! ") {
                Some((value, found)) => (value.trim(), Err(found.trim().to_owned())),
                None => panic!("not an example: {example}"),
            },
        };
        let actual = convert(data_type, value);
        assert_eq!(actual, expected, "{value} into {data_type}");
    }
}

#[test]
fn booleans_and_integers() {
    stated("`null` fits every column.");
    stated("A boolean column takes `true` and `false`, and strings of these words in any case.");
    stated(
        "An integer column takes numbers that are integers, `1.0` and `1e3` too, and strings of such, exactly and within its range: nothing beyond 2^53 is rounded.",
    );
    check(
        &DataType::Boolean,
        r#"
            true -> true
            false -> false
            null -> null
            "TRUE" -> true
            "Fal\u0073e" -> false
            1 !! 1
            "yes" !! "yes"
            [] !! an array
        "#,
    );
    check(
        &DataType::Int8,
        r#"
            127 -> 127
            -128 -> -128
            128 !! 128
            "-129" !! "-129"
        "#,
    );
    check(&DataType::Int16, "32767 -> 32767\n 32768 !! 32768");
    check(
        &DataType::Int32,
        "-2147483648 -> -2147483648\n 2147483648 !! 2147483648",
    );
    check(
        &DataType::Int64,
        r#"
            9007199254740993 -> 9007199254740993
            -9223372036854775808 -> -9223372036854775808
            9223372036854775808 !! 9223372036854775808
            9007199254740993.0 -> 9007199254740993
            "9223372036854775807" -> 9223372036854775807
            null -> null
            1.0 -> 1
            1e3 -> 1000
            1.5 !! 1.5
            "42" -> 42
            "4\u0032" -> 42
            "" !! ""
            "42 " !! "42 "
            true !! true
            {} !! an object
        "#,
    );
}

#[test]
fn floats_and_decimals() {
    stated(
        "A floating point column takes the nearest value to a number or to a string of one, and the strings `NaN`, `Infinity` and `-Infinity`, but no number that would become infinite.",
    );
    stated(
        "A decimal column takes numbers and strings of numbers that it holds exactly, and rounds none.",
    );
    stated(
        "A number in a string may also have a plus sign, leading zeros, and a point without digits on one side, but no white space.",
    );
    check(
        &DataType::Float64,
        r#"
            0.1 -> 0.1
            -0.0 -> -0.0
            5e-324 -> 5e-324
            1e400 !! 1e400
            "2.5" -> 2.5
            "NaN" -> NaN
            "-Infinity" -> -inf
            "nan" !! "nan"
            "1e400" !! "1e400"
            9007199254740993 -> 9007199254740992.0
            "+007.5" -> 7.5
            ".5" -> 0.5
            "5." -> 5.0
            "5 " !! "5 "
            " 5" !! " 5"
            null -> null
        "#,
    );
    check(
        &DataType::Float32,
        r#"
            0.1 -> 0.1
            3.5e38 !! 3.5e38
            "1.5" -> 1.5
            "Infinity" -> inf
        "#,
    );
    check(
        &DataType::Decimal128(20, 2),
        r#"
            123456789012345678.91 -> 123456789012345678.91
            1 -> 1.00
            1.500 -> 1.50
            1.505 !! 1.505
            1e17 -> 100000000000000000.00
            1e18 !! 1e18
            "-0.01" -> -0.01
            "+01." -> 1.00
            " 1" !! " 1"
            0.001 !! 0.001
            null -> null
        "#,
    );
}

#[test]
fn times() {
    stated("A date column takes strings `yyyy-MM-dd`.");
    check(
        &DataType::Date32,
        r#"
            "1970-01-01" -> 1970-01-01
            "2024-02-29" -> 2024-02-29
            "1969-12-31" -> 1969-12-31
            "2023-02-29" !! "2023-02-29"
            "2024-2-9" !! "2024-2-9"
            "2024-01-01T00:00:00" !! "2024-01-01T00:00:00"
            0 !! 0
            null -> null
        "#,
    );
    check(
        &DataType::Timestamp(TimeUnit::Microsecond, None),
        r#"
            "now" -> 1970-01-01T00:00:00.001500
            -1 -> 1969-12-31T23:59:59.999999
            "then" !! "then"
            null -> null
        "#,
    );
    check(
        &DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into())),
        r#"
            "now" -> 1970-01-01T00:00:00.001Z
            -1 -> 1969-12-31T23:59:59.999Z
        "#,
    );
    check(
        &DataType::Timestamp(TimeUnit::Nanosecond, None),
        "7 -> 1970-01-01T00:00:00.000007\n 9223372036854775807 !! 9223372036854775807",
    );
}

#[test]
fn text() {
    stated(
        "A string column takes the text of strings, and everything else as it is written in the JSON; a binary column takes the same as UTF-8, not as base64.",
    );
    check(
        &DataType::Utf8,
        r#"
            "a\u00e9\ud83d\ude00\/\\\"" -> aé😀/\"
            "é" -> é
            1.50 -> 1.50
            true -> true
            null -> null
            {"a": [1]} -> {"a": [1]}
            [1, 2] -> [1, 2]
        "#,
    );
    assert_eq!(
        convert(&DataType::Utf8, r#""\b\f\n\r\t""#).unwrap(),
        "\x08\x0c\n\r\t"
    );
    check(
        &DataType::Binary,
        "\"é\" -> c3a9\n 12 -> 3132\n \"eA==\" -> 65413d3d\n null -> null",
    );
}

#[test]
fn nested() {
    use DataType as T;
    stated(
        "A struct column takes objects, a list column arrays, and a map column objects whose keys fit as strings would; of keys with the same text the last counts.",
    );
    check(
        &list_of(T::Int64),
        r#"
            [] -> []
            [1,null,"3"] -> [1, , 3]
            {} !! an object
            "[]" !! "[]"
            null -> null
            [1,"x"] !! "x"
        "#,
    );
    check(
        &map_of(T::Utf8, T::Int64),
        r#"
            {} -> {}
            {"b":1,"a":null,"b":2} -> {a: , b: 2}
            null -> null
            [] !! an array
        "#,
    );
    check(
        &map_of(T::Int32, T::Boolean),
        r#"
            {"7":true} -> {7: true}
            {"x":true} !! "x"
        "#,
    );
    check(
        &struct_of(&[("x", T::Int64), ("Y", T::Float64)]),
        r#"
            {"X":1,"y":2} -> {x: 1, Y: 2.0}
            {"y":null} -> {x: , Y: }
            {} -> {x: , Y: }
            1 !! 1
            null -> null
        "#,
    );
}

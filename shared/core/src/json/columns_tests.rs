use arrow::{
    array::{Array, AsArray, BinaryArray},
    datatypes::{Fields, TimeUnit},
    util::display::array_value_to_string,
};

use super::*;
use crate::{
    config::Policy,
    json::{Broken, SyntaxError, tests::options},
    semantics::stated,
};

#[path = "conversion_tests.rs"]
mod conversions;

fn field(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

fn list_of(data_type: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(data_type, true)))
}

fn struct_of(fields: &[(&str, DataType)]) -> DataType {
    DataType::Struct(
        fields
            .iter()
            .map(|(name, data_type)| field(name, data_type.clone()))
            .collect(),
    )
}

fn map_of(key: DataType, value: DataType) -> DataType {
    let entries: Fields = vec![Field::new("key", key, false), field("value", value)].into();
    let entries = Field::new("entries", DataType::Struct(entries), false);
    DataType::Map(Arc::new(entries), false)
}

fn columns(fields: &[(&str, DataType)], options: ColumnsOptions) -> Columns {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, data_type)| field(name, data_type.clone()))
        .collect();
    Columns::new(&Schema::new(fields), options).unwrap()
}

/// The row as text: `null`, or as Arrow shows the value.
fn shown(batch: &RecordBatch, column: usize, row: usize) -> String {
    let array = batch.column(column);
    if array.is_null(row) {
        "null".to_owned()
    } else {
        array_value_to_string(array, row).unwrap()
    }
}

#[test]
fn errors_name_the_column() {
    let inner = struct_of(&[("n", map_of(DataType::Utf8, list_of(DataType::Int64)))]);
    let fields = [("Outer", list_of(inner))];
    let mut strict = options();
    strict.on_unknown = Policy::Quarantine;
    let mut columns = columns(&fields, strict);
    for (record, expected) in [
        (
            r#"{"outer":[{"n":{"k":[1,"x"]}}]}"#,
            r#"column `Outer[].n{}[]` is bigint, the record has "x""#,
        ),
        (
            r#"{"outer":[{"n":1}]}"#,
            "column `Outer[].n` is map<string,array<bigint>>, the record has 1",
        ),
        (
            r#"{"outer":[{},{"m":1}]}"#,
            "the schema has no column for the field `Outer[].m`",
        ),
        (
            r#"{"outer":[{"n":null,"N":null}]}"#,
            "in `Outer[]`, the keys `n` and `N` differ only in upper and lower case",
        ),
        (r#"{"x":1}"#, "the schema has no column for the field `x`"),
    ] {
        let error = columns.append(record.as_bytes()).unwrap_err();
        assert_eq!(crate::shown::in_full(&error), expected);
    }
}

#[test]
fn long_values_are_shown_in_part() {
    let value = format!("\"{}é\"", "x".repeat(SHOWN_BEFORE_CUT));
    assert_eq!(
        conversions::convert(&DataType::Int64, &value).unwrap_err(),
        format!("\"{}…", "x".repeat(SHOWN_BEFORE_CUT))
    );
}

/// One byte less than the limit, including the opening quote, so that the cut is inside the `é`.
const SHOWN_BEFORE_CUT: usize = 58;

#[test]
fn duplicate_keys() {
    stated("If an object has a key twice, the last counts.");
    stated(
        "Two keys of one object that mean one column and differ in case set the record aside by both names; with `on_mismatch = \"drop\"` the column is null instead.",
    );
    let fields = [("id", DataType::Int64), ("tags", list_of(DataType::Utf8))];
    let last_wins = r#"{"id":1,"tags":["a","b"],"id":2,"\u0069d":3,"tags":["c"]}"#;
    let differ = r#"{"Id":1,"tags":["a"],"id":2,"ID":3}"#;

    let mut strict = columns(&fields, options());
    strict.append(last_wins.as_bytes()).unwrap();
    assert_eq!(
        strict.append(differ.as_bytes()).unwrap_err(),
        RecordError::KeyCollision {
            column: String::new(),
            first: "Id".to_owned(),
            second: "id".to_owned()
        }
    );
    let batch = strict.finish().unwrap();
    assert_eq!(batch.num_rows(), 1);
    assert_eq!(
        (shown(&batch, 0, 0), shown(&batch, 1, 0)),
        ("3".to_owned(), "[c]".to_owned())
    );

    let mut lenient = options();
    lenient.on_mismatch = Policy::Drop;
    let mut columns = columns(&fields, lenient);
    assert_eq!(columns.append(differ.as_bytes()).unwrap().mismatched, 1);
    let batch = columns.finish().unwrap();
    assert_eq!(
        (shown(&batch, 0, 0), shown(&batch, 1, 0)),
        ("null".to_owned(), "[a]".to_owned())
    );
}

#[test]
fn a_collision_elsewhere_does_not_lose_the_timestamp() {
    let inner = struct_of(&[("a", DataType::Int64)]);
    let fields = [("n", DataType::Int64), ("s", inner)];
    for record in [
        r#"{"t":"x","n":1,"N":2}"#,
        r#"{"n":1,"N":2,"t":"x"}"#,
        r#"{"t":"x","s":{"a":1,"A":2}}"#,
    ] {
        let mut lenient = options();
        lenient.on_mismatch = Policy::Drop;
        let mut columns = columns(&fields, lenient);
        let appended = columns.append(record.as_bytes()).unwrap();
        assert_eq!(appended.mismatched, 1, "{record}");
        let expected = JsonScalar::String("x".into());
        assert_eq!(appended.timestamp, expected, "{record}");
    }
}

#[test]
fn policies() {
    let fields = [
        ("a", DataType::Int64),
        (
            "s",
            struct_of(&[("b", DataType::Boolean), ("c", DataType::Utf8)]),
        ),
        ("l", list_of(map_of(DataType::Int32, DataType::Date32))),
    ];
    let record =
        r#"{"a":"x","z":{"a":1},"s":{"b":7,"c":"kept","d":1},"l":[{"1":"no date"},{"x":null},5]}"#;
    for policy in [Policy::Quarantine, Policy::Fail] {
        let strict = ColumnsOptions {
            on_unknown: policy,
            on_mismatch: policy,
            ..options()
        };
        let mut columns = columns(&fields, strict);
        let error = columns.append(record.as_bytes()).unwrap_err();
        assert!(matches!(error, RecordError::Mismatch { .. }), "{error}");
        assert!(matches!(
            columns.append(br#"{"z":1}"#),
            Err(RecordError::UnknownField { .. })
        ));
        assert_eq!(columns.rows(), 0);
    }
    let lenient = ColumnsOptions {
        on_unknown: Policy::Drop,
        on_mismatch: Policy::Drop,
        ..options()
    };
    let mut columns = columns(&fields, lenient);
    let appended = columns.append(record.as_bytes()).unwrap();
    assert_eq!((appended.unknown, appended.mismatched), (2, 5));
    let batch = columns.finish().unwrap();
    assert_eq!(shown(&batch, 0, 0), "null");
    assert_eq!(shown(&batch, 1, 0), "{b: , c: kept}");
    assert_eq!(shown(&batch, 2, 0), "[{1: }, , ]");
}

#[test]
fn the_timestamp_is_found_with_and_without_a_column() {
    use JsonScalar as S;
    let detail = struct_of(&[("Time", DataType::Utf8)]);
    let without_time = struct_of(&[("other", DataType::Utf8)]);
    let schemas: [&[(&str, DataType)]; 5] = [
        &[],
        &[("detail", detail)],
        &[("detail", without_time)],
        &[("detail", DataType::Utf8)],
        &[("detail", map_of(DataType::Utf8, DataType::Utf8))],
    ];
    for fields in schemas {
        let mut found = columns(
            fields,
            ColumnsOptions {
                on_mismatch: Policy::Drop,
                timestamp: vec!["Detail".to_owned(), "time".to_owned()],
                ..options()
            },
        );
        for (record, expected) in [
            ("{}", S::Missing),
            (r#"{"detail":{}}"#, S::Missing),
            (r#"{"detail":null}"#, S::Missing),
            (r#"{"detail":[{"time":"x"}]}"#, S::Missing),
            (r#"{"time":"x","other":{"time":"x"}}"#, S::Missing),
            (r#"{"detail":{"time":"x"}}"#, S::String("x".into())),
            (
                r#"{"DETAIL":{"a":{"time":1},"TIME":"\u0078","b":1}}"#,
                S::String("x".into()),
            ),
            (r#"{"detail":{"time":null}}"#, S::Null),
            (r#"{"detail":{"time":1.50}}"#, S::Number("1.50")),
            (r#"{"detail":{"time":true}}"#, S::Bool(true)),
            (r#"{"detail":{"time":[1]}}"#, S::Other),
            (r#"{"detail":{"time":1,"time":2}}"#, S::Number("2")),
            (
                r#"{"detail":{"time":1},"detail":{"time":3}}"#,
                S::Number("3"),
            ),
            (r#"{"detail":{"time":1},"detail":{}}"#, S::Missing),
            (r#"{"detail":{"time":1,"Time":2}}"#, S::Missing),
        ] {
            let timestamp = found.append(record.as_bytes()).unwrap().timestamp;
            assert_eq!(timestamp, expected, "{record} with {fields:?}");
        }
    }
}

#[test]
fn a_timestamp_by_a_key_with_dots() {
    use JsonScalar as S;
    stated(
        "Every option that names a column takes its name whatever the case, or the names from the outside to the inside, with dots between, of a field of a struct; a name that means two, such as `s.a` of a column `s.a` and of a struct `s`, is refused with both.",
    );
    stated(
        "A record of JSON in which the timestamp's name means two values is set aside by both keys, and a Parquet file in which it means two columns is refused by both.",
    );
    let b = || struct_of(&[("b", struct_of(&[("c", DataType::Utf8)]))]);
    let c = || struct_of(&[("c", DataType::Utf8)]);
    let schemas: [&[(&str, DataType)]; 6] = [
        &[],
        &[("a", b())],
        &[("a.b", c())],
        &[("a", b()), ("a.b", c()), ("a.b.c", DataType::Utf8)],
        &[("a.b.c", DataType::Utf8)],
        &[("a", struct_of(&[("b.c", DataType::Utf8)]))],
    ];
    for fields in schemas {
        for (record, expected) in [
            (r#"{"a.b.c":"x"}"#, Some(S::String("x".into()))),
            (r#"{"A.b":{"c":"x"}}"#, Some(S::String("x".into()))),
            (r#"{"a":{"b.C":"x"}}"#, Some(S::String("x".into()))),
            (r#"{"a":{"b":{"c":"x"}}}"#, Some(S::String("x".into()))),
            (
                r#"{"a":{"b":"no"},"a.b.c":"x"}"#,
                Some(S::String("x".into())),
            ),
            (r#"{"a.b.c":"x","a":{"b":{}}}"#, Some(S::String("x".into()))),
            (
                r#"{"a.b":1,"a":2,"a.b.":"y","b.c":3,"a.bc":4}"#,
                Some(S::Missing),
            ),
            (r#"{"a.b.c":"y","a.b.c":"x"}"#, Some(S::String("x".into()))),
            (
                r#"{"a.b.c":"y","a":{"b":{}},"a.b.c":"x"}"#,
                Some(S::String("x".into())),
            ),
            (r#"{"a.b.c":"x","a":{"b":{"c":"x"}}}"#, None),
            (r#"{"a":{"b":{"c":"x"}},"a.b":{"c":"x"}}"#, None),
            (r#"{"a":{"b.c":"x","b":{"c":"x"}}}"#, None),
            (r#"{"a":{"b":{"c":"x"}},"a.b.c":null}"#, None),
        ] {
            for on_mismatch in [Policy::Quarantine, Policy::Drop] {
                let mut found = columns(
                    fields,
                    ColumnsOptions {
                        on_mismatch,
                        timestamp: ["a", "b", "c"].map(String::from).to_vec(),
                        ..options()
                    },
                );
                // Without columns for them, values are not looked at.
                let appended = found.append(record.as_bytes());
                match (&expected, on_mismatch) {
                    (Some(expected), Policy::Drop) => {
                        assert_eq!(
                            &appended.unwrap().timestamp,
                            expected,
                            "{record} {fields:?}"
                        );
                    }
                    (None, _) => {
                        let error = appended.unwrap_err().to_string();
                        assert!(
                            error.contains("both match the")
                                || on_mismatch != Policy::Drop && error.contains("the record has"),
                            "{record} {fields:?}: {error}"
                        );
                    }
                    (Some(_), _) => {}
                }
            }
        }
    }
}

#[test]
fn a_timestamp_under_two_spellings_is_refused() {
    let detail = struct_of(&[("time", DataType::Utf8)]);
    for fields in [&[][..], &[("detail", detail)]] {
        let path = vec!["detail".to_owned(), "time".to_owned()];
        let mut columns = columns(
            fields,
            ColumnsOptions {
                timestamp: path,
                ..options()
            },
        );
        for record in [
            r#"{"detail":{"time":1,"Time":2}}"#,
            r#"{"detail":{"time":1},"Detail":{}}"#,
        ] {
            let error = columns.append(record.as_bytes()).unwrap_err();
            assert!(
                matches!(error, RecordError::KeyCollision { .. }),
                "{record}: {error}"
            );
        }
    }
}

#[test]
fn a_refused_record_leaves_no_trace() {
    let fields = [
        ("text", DataType::Utf8),
        ("list", list_of(struct_of(&[("a", DataType::Utf8)]))),
        ("map", map_of(DataType::Utf8, list_of(DataType::Int64))),
        ("flag", DataType::Boolean),
        ("last", DataType::Int64),
    ];
    let good =
        r#"{"text":"t","list":[{"a":"x"},{"a":null}],"map":{"k":[1,2]},"flag":true,"last":1}"#;
    let bad = [
        r#"{"text":"lost","list":[{"a":"lost"},{"a":"lost"}],"map":{"l":[3],"k":[1,"x"]},"last":1}"#,
        r#"{"flag":false,"map":{"l":[3]},"list":[{"a":"lost"},7]}"#,
        r#"{"text":"lost","map":{},"list":[],"flag":null,"last":"x"}"#,
        r#"{"text":"lost","flag":true,"last":1,}"#,
        r#"{"text":"lost","flag":true"#,
        r#"{"text":"lost"}{}"#,
        r#"["text"]"#,
        "",
    ];
    let with_raw = || ColumnsOptions {
        raw_column: Some("raw".to_owned()),
        ..options()
    };
    let mut clean = columns(&fields, with_raw());
    let mut tried = columns(&fields, with_raw());
    for _ in 0..3 {
        clean.append(good.as_bytes()).unwrap();
        for record in bad {
            tried.append(record.as_bytes()).unwrap_err();
        }
        tried.append(good.as_bytes()).unwrap();
        tried.append(b"{}").unwrap();
        tried.undo();
    }
    assert_eq!(tried.rows(), 3);
    assert_eq!(tried.finish().unwrap(), clean.finish().unwrap());
    tried.undo();
    assert_eq!((tried.rows(), tried.finish().unwrap().num_rows()), (0, 0));
}

#[test]
fn the_raw_column_holds_the_record() {
    let raw = ColumnsOptions {
        raw_column: Some("raw".to_owned()),
        ..options()
    };
    let mut columns = columns(&[("a", DataType::Int64)], raw);
    let record = " {\"a\" : 1.0, \"b\":\"\\u00e9\"}\n";
    columns.append(record.as_bytes()).unwrap();
    let batch = columns.finish().unwrap();
    assert_eq!(batch.schema(), columns.schema());
    let column: &BinaryArray = batch.column_by_name("raw").unwrap().as_binary();
    assert_eq!(column.value(0), record.trim().as_bytes());
}

#[test]
fn keys_in_any_order_and_number() {
    stated(
        "A field goes into the column of its name, whatever its case, and a column without a field is null.",
    );
    let names: Vec<String> = (0..200).map(|i| format!("K{i}")).collect();
    let fields: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), DataType::Int64))
        .collect();
    let mut columns = columns(&fields, options());
    for step in [1_usize, 7, 199] {
        let members: Vec<_> = (0..200)
            .map(|i| (i * step) % 200)
            .map(|i| format!("\"k{i}\":{i},\"unknown{step}_{i}\":0"))
            .collect();
        let record = format!("{{{}}}", members.join(" , "));
        assert_eq!(columns.append(record.as_bytes()).unwrap().unknown, 200);
    }
    columns.append(br#"{"k7":7}"#).unwrap();
    let batch = columns.finish().unwrap();
    for column in 0..200 {
        for row in 0..3 {
            assert_eq!(shown(&batch, column, row), column.to_string());
        }
        let expected = if column == 7 { "7" } else { "null" };
        assert_eq!(shown(&batch, column, 3), expected);
    }
}

#[test]
fn schemas_that_cannot_be_filled() {
    let schema = |fields: &[(&str, DataType)]| {
        let fields: Vec<_> = fields.iter().map(|(n, t)| field(n, t.clone())).collect();
        Columns::new(&Schema::new(fields), options())
            .map(|_| ())
            .unwrap_err()
    };
    assert_eq!(
        schema(&[("Id", DataType::Utf8), ("iD", DataType::Utf8)]),
        SchemaError::Collision {
            first: "Id".to_owned(),
            second: "iD".to_owned()
        }
    );
    let data_type = DataType::Duration(TimeUnit::Second);
    assert_eq!(
        schema(&[("a", list_of(data_type.clone()))]),
        SchemaError::Unsupported {
            column: "item".to_owned(),
            data_type
        }
    );
}

#[test]
fn what_is_no_record() {
    let mut columns = columns(&[], options());
    let error = columns.append(b"{\"a\":1} x").unwrap_err();
    let (at, error_kind) = (8, SyntaxError::UnexpectedByte);
    assert_eq!(
        error,
        RecordError::Broken(Broken::Syntax {
            at,
            error: error_kind
        })
    );
    assert_eq!(
        columns.append(b"{\"a\":").unwrap_err(),
        RecordError::Broken(Broken::Truncated)
    );
    let deep = "{\"a\":".repeat(10_000);
    let limit = crate::json::MAX_DEPTH;
    assert_eq!(
        columns.append(deep.as_bytes()).unwrap_err(),
        RecordError::Broken(Broken::TooDeep { limit })
    );
}

#[test]
fn memory_is_counted() {
    let mut columns = columns(&[("a", DataType::Utf8)], options());
    let record = format!("{{\"a\":\"{}\"}}", "x".repeat(100_000));
    columns.append(record.as_bytes()).unwrap();
    assert!(columns.bytes() >= 100_000);
    columns.finish().unwrap();
    let reserved = columns.bytes();
    assert!((100_000..120_000).contains(&reserved), "{reserved}");
    columns.finish().unwrap();
    assert!(columns.bytes() < 1_000);
}

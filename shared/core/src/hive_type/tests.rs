use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use proptest::prelude::*;

use super::*;
use crate::{catalog::Column, semantics::stated};

fn list(element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("element", element, true)))
}

fn map(key: DataType, value: DataType) -> DataType {
    let entries = vec![
        Field::new("key", key, false),
        Field::new("value", value, true),
    ];
    DataType::Map(
        Arc::new(Field::new(
            "key_value",
            DataType::Struct(entries.into()),
            false,
        )),
        false,
    )
}

fn structure(fields: &[(&str, DataType)]) -> DataType {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, data_type)| Field::new(*name, data_type.clone(), true))
        .collect();
    DataType::Struct(fields.into())
}

#[test]
fn every_type() {
    stated(
        "Every Hive type that Glue and Athena have is understood, nested to any depth up to 64, in any case and with spaces between its parts.",
    );
    stated(
        "`timestamp` is a time in microseconds without a zone, and `timestamp with local time zone` one in UTC.",
    );
    stated(
        "`decimal(p,s)` has a precision of 1 to 38, `decimal(p)` is `decimal(p,0)` and `decimal` is `decimal(10,0)`.",
    );
    let timestamp = DataType::Timestamp(TimeUnit::Microsecond, None);
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    // (as written, the type, as rendered)
    for (text, data_type, rendered) in [
        ("boolean", DataType::Boolean, "boolean"),
        ("tinyint", DataType::Int8, "tinyint"),
        ("smallint", DataType::Int16, "smallint"),
        ("int", DataType::Int32, "int"),
        ("INTEGER", DataType::Int32, "int"),
        ("bigint", DataType::Int64, "bigint"),
        ("float", DataType::Float32, "float"),
        ("double", DataType::Float64, "double"),
        ("string", DataType::Utf8, "string"),
        (" String ", DataType::Utf8, "string"),
        ("binary", DataType::Binary, "binary"),
        ("date", DataType::Date32, "date"),
        ("timestamp", timestamp.clone(), "timestamp"),
        (
            "Timestamp With  Local Time Zone",
            utc,
            "timestamp with local time zone",
        ),
        ("decimal", DataType::Decimal128(10, 0), "decimal(10,0)"),
        ("decimal(5)", DataType::Decimal128(5, 0), "decimal(5,0)"),
        (
            "decimal( 38 , 38 )",
            DataType::Decimal128(38, 38),
            "decimal(38,38)",
        ),
        ("char(3)", DataType::Utf8, "string"),
        ("varchar(65535)", DataType::Utf8, "string"),
        ("array<int>", list(DataType::Int32), "array<int>"),
        (
            "array < array< string > >",
            list(list(DataType::Utf8)),
            "array<array<string>>",
        ),
        (
            "map<string,bigint>",
            map(DataType::Utf8, DataType::Int64),
            "map<string,bigint>",
        ),
        (
            "MAP<date, array<timestamp>>",
            map(DataType::Date32, list(timestamp.clone())),
            "map<date,array<timestamp>>",
        ),
        (
            "struct<a:int,b:struct<c:string>>",
            structure(&[
                ("a", DataType::Int32),
                ("b", structure(&[("c", DataType::Utf8)])),
            ]),
            "struct<a:int,b:struct<c:string>>",
        ),
        (
            "struct< my-field : int , some field:string, $v.2 é:date>",
            structure(&[
                ("my-field", DataType::Int32),
                ("some field", DataType::Utf8),
                ("$v.2 é", DataType::Date32),
            ]),
            "struct<my-field:int,some field:string,$v.2 é:date>",
        ),
        (
            "struct<`a:b`:int,`c``d`:int,`e`:int>",
            structure(&[
                ("a:b", DataType::Int32),
                ("c`d", DataType::Int32),
                ("e", DataType::Int32),
            ]),
            "struct<`a:b`:int,c`d:int,e:int>",
        ),
        (
            "struct<timestamp:timestamp,array:array<int>>",
            structure(&[("timestamp", timestamp), ("array", list(DataType::Int32))]),
            "struct<timestamp:timestamp,array:array<int>>",
        ),
    ] {
        assert_eq!(parse(text), Ok(data_type.clone()), "{text}");
        assert_eq!(render(&data_type).unwrap(), rendered, "{text}");
    }
}

#[test]
fn declared_lengths_are_kept() {
    stated("`char(n)` and `varchar(n)` are strings whose declared length goes with the column.");
    let field = parse_field("c", "VARCHAR( 20 )").unwrap();
    assert_eq!(field.metadata().get(DECLARED).unwrap(), "varchar(20)");
    assert_eq!(render_field(&field).unwrap(), "varchar(20)");
    let nested = "struct<a:array<char(3)>,b:map<varchar(2),char(4)>>";
    assert_eq!(render(&parse(nested).unwrap()).unwrap(), nested);
}

#[test]
fn errors_say_where() {
    stated("A type that is not understood is an error that names the column and the position.");
    for (text, position, says) in [
        ("", 1, "a type is missing"),
        ("  ", 3, "a type is missing"),
        ("strin", 1, "`strin`"),
        ("uniontype<int>", 1, "`uniontype`"),
        ("int,", 4, "goes on"),
        ("int string", 5, "goes on"),
        ("timestamp with time zone", 11, "goes on"),
        ("array", 6, "`<` is missing"),
        ("array<", 7, "a type is missing"),
        ("array<int", 10, "`>` is missing"),
        ("array<>", 7, "a type is missing"),
        ("array<int>>", 11, "goes on"),
        ("array<é>", 7, "a type is missing"),
        ("struct<é:intt>", 10, "`intt`"),
        ("map<string>", 11, "`,` is missing"),
        ("map<array<int>,int>", 5, "primitive"),
        ("struct<>", 8, "a field's name is missing"),
        ("struct<:int>", 8, "a field's name is missing"),
        ("struct<a>", 9, "`:` is missing"),
        ("struct<a,b:int>", 9, "`:` is missing"),
        ("struct<a:int,>", 14, "a field's name is missing"),
        ("struct<a:int b:int>", 14, "`,` or `>` is missing"),
        ("struct<`a:int>", 8, "a field's name is missing"),
        ("struct<``:int>", 8, "a field's name is missing"),
        ("struct<a:int,A:int>", 14, "`a` and `A`"),
        ("decimal(0)", 9, "within 1 and 38"),
        ("decimal(39,2)", 9, "within 1 and 38"),
        ("decimal(5,6)", 11, "within 0 and 5"),
        ("decimal(5,-1)", 11, "scale is missing"),
        ("decimal(99999999999)", 9, "within"),
        ("decimal(5", 10, "`)` is missing"),
        ("char", 5, "`(` is missing"),
        ("char(0)", 6, "within 1 and 255"),
        ("varchar(65536)", 9, "within 1 and 65535"),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.position, position, "{text}: {error}");
        assert!(error.to_string().contains(says), "{text}: {error}");
    }
}

#[test]
fn depth_is_limited() {
    let nested = |depth: usize| format!("{}int{}", "array<".repeat(depth), ">".repeat(depth));
    let deepest = parse(&nested(DEEPEST)).unwrap();
    assert_eq!(render(&deepest).unwrap(), nested(DEEPEST));
    assert_eq!(
        parse(&nested(DEEPEST + 1)).unwrap_err().problem,
        HiveTypeProblem::TooDeep
    );
    assert_eq!(
        parse(&"array<".repeat(20_000)).unwrap_err().problem,
        HiveTypeProblem::TooDeep
    );
    assert!(render(&list(deepest)).is_err());
}

#[test]
fn types_that_hive_lacks() {
    for data_type in [
        DataType::Null,
        DataType::UInt32,
        DataType::Time64(TimeUnit::Microsecond),
        DataType::Decimal128(5, -1),
        DataType::Decimal128(3, 4),
        DataType::Decimal256(40, 2),
        structure(&[]),
        structure(&[("", DataType::Int8)]),
        list(DataType::UInt8),
    ] {
        assert!(render(&data_type).is_err(), "{data_type}");
    }
    // Types that other readers may produce and Hive can express.
    for (data_type, text) in [
        (DataType::LargeUtf8, "string"),
        (DataType::FixedSizeBinary(16), "binary"),
        (DataType::Timestamp(TimeUnit::Nanosecond, None), "timestamp"),
    ] {
        assert_eq!(render(&data_type).unwrap(), text);
    }
}

fn columns(columns: &[(&str, &str)]) -> Vec<Column> {
    columns
        .iter()
        .map(|(name, hive_type)| Column {
            name: (*name).to_owned(),
            hive_type: (*hive_type).to_owned(),
        })
        .collect()
}

fn schema(
    of: &[(&str, &str)],
    partition_keys: &[(&str, &str)],
) -> Result<Schema, TableSchemaError> {
    table_schema(&columns(of), &columns(partition_keys))
}

#[test]
fn schemas_of_tables() {
    stated(
        "A table's columns have lower-case names and may be null, and partition keys are not repeated inside the files.",
    );
    let schema = schema(
        &[
            ("Plate", "string"),
            ("speed", "decimal(5,2)"),
            ("code", "char(2)"),
        ],
        &[("year", "string")],
    )
    .unwrap();
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| {
            (
                field.name().as_str(),
                render_field(field).unwrap(),
                field.is_nullable(),
            )
        })
        .collect();
    assert_eq!(
        fields,
        [
            ("plate", "string".to_owned(), true),
            ("speed", "decimal(5,2)".to_owned(), true),
            ("code", "char(2)".to_owned(), true),
        ]
    );
}

#[test]
fn tables_that_have_no_schema() {
    stated(
        "Two columns whose names are equal after lower-casing, or a partition key that is also a column, are an error that names both.",
    );
    for (schema, says) in [
        (
            schema(&[("a", "int"), ("b", "array<")], &[]),
            "column `b` has the type `array<`: at character 7",
        ),
        (
            schema(&[("Plate", "int"), ("plate", "int")], &[]),
            "columns `Plate` and `plate`",
        ),
        (
            schema(&[("a", "int")], &[("y", "int"), ("Y", "int")]),
            "columns `y` and `Y`",
        ),
        (
            schema(&[("Year", "int")], &[("year", "int")]),
            "partition key `year` is also a column (`Year`)",
        ),
    ] {
        let error = schema.unwrap_err().to_string();
        assert!(error.contains(says), "{error} should say {says}");
    }
}

fn primitives() -> impl Strategy<Value = DataType> {
    prop_oneof![
        Just(DataType::Boolean),
        Just(DataType::Int8),
        Just(DataType::Int16),
        Just(DataType::Int32),
        Just(DataType::Int64),
        Just(DataType::Float32),
        Just(DataType::Float64),
        Just(DataType::Utf8),
        Just(DataType::Binary),
        Just(DataType::Date32),
        Just(DataType::Timestamp(TimeUnit::Microsecond, None)),
        Just(DataType::Timestamp(
            TimeUnit::Microsecond,
            Some("UTC".into())
        )),
        (1..=38_u8)
            .prop_flat_map(|precision| (Just(precision), 0..=precision.cast_signed()))
            .prop_map(|(precision, scale)| DataType::Decimal128(precision, scale)),
    ]
}

fn types() -> impl Strategy<Value = DataType> {
    primitives().prop_recursive(6, 48, 6, |inner| {
        prop_oneof![
            inner.clone().prop_map(list),
            (primitives(), inner.clone()).prop_map(|(key, value)| map(key, value)),
            // No upper-case letters, so that no two names differ only in case.
            prop::collection::btree_map("[a-z`:,<> é.-]{1,6}", inner, 1..5).prop_map(|fields| {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(name, data_type)| (name.as_str(), data_type.clone()))
                    .collect();
                structure(&fields)
            }),
        ]
    })
}

proptest! {
    #[test]
    fn parse_undoes_render(data_type in types()) {
        let text = render(&data_type).unwrap();
        prop_assert_eq!(parse(&text), Ok(data_type), "{}", text);
    }

    #[test]
    fn any_text_is_parsed_or_refused_within_it(text in "\\PC{0,40}|(array<|map<|struct<|int|string|a:|[,:<>()` ]|decimal|[0-9é]){0,12}") {
        match parse(&text) {
            Ok(data_type) => prop_assert_eq!(parse(&render(&data_type).unwrap()).map(|_| ()), Ok(())),
            Err(error) => prop_assert!(error.position <= text.chars().count() + 1),
        }
    }
}

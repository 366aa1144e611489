//! What the types become, and those that are refused.

use super::*;

#[test]
fn every_type() {
    stated(
        "Avro's `int` is `int`, `long` `bigint`, `float` and `double` themselves, `bytes` and a `fixed` `binary`, an `enum` and null `string`, a record a struct, an array a list and a map a map; a union of null and one other type, in either order, is that type.",
    );
    stated(
        "A `decimal`, in `bytes` or in a `fixed`, is one of its precision and scale, and text beyond 38 digits; a `timestamp-*` is `timestamp with local time zone`, a `local-timestamp-*` `timestamp` and a `date` `date`; a time of day is text, a `uuid` in a string that text, and one in a `fixed` its 16 bytes.",
    );
    stated(
        "A logical type that Avro's specification does not have for a type is left out of account, as the specification says; so are defaults, aliases and documentation.",
    );
    let logical =
        |of: &str, logical: &str| format!(r#"{{"type":"{of}","logicalType":"{logical}"}}"#);
    let long = |value| Bytes::default().long(value);
    let seconds = 1_777_777_777_i64;
    let decimal = r#","logicalType":"decimal","precision":20,"scale":2}"#;
    let wide = r#"{"type":"bytes","logicalType":"decimal","precision":40,"scale":1}"#;
    let cases = [
        (r#""null""#.to_owned(), Bytes::default(), "string", "-"),
        (r#""boolean""#.to_owned(), Bytes(vec![1]), "boolean", "true"),
        (r#""int""#.to_owned(), long(i64::from(i32::MIN)), "int", "-2147483648"),
        (r#""long""#.to_owned(), long(i64::MIN), "bigint", "-9223372036854775808"),
        (r#""long""#.to_owned(), long(i64::MAX), "bigint", "9223372036854775807"),
        (r#""float""#.to_owned(), Bytes(1.5_f32.to_le_bytes().into()), "float", "1.5"),
        (r#""double""#.to_owned(), Bytes(0.1_f64.to_le_bytes().into()), "double", "0.1"),
        (r#""bytes""#.to_owned(), Bytes::default().bytes(b"\0\xff"), "binary", "AP8="),
        (r#""string""#.to_owned(), Bytes::default().bytes("é".as_bytes()), "string", "é"),
        (r#"{"type":{"type":"string"}}"#.to_owned(), Bytes::default().bytes(b"s"), "string", "s"),
        (r#"["null","long"]"#.to_owned(), long(0), "bigint", "-"),
        (r#"["null","long"]"#.to_owned(), long(1).long(5), "bigint", "5"),
        (r#"["long","null"]"#.to_owned(), long(1), "bigint", "-"),
        (r#"[{"type":"long"},{"type":"null"}]"#.to_owned(), long(0).long(5), "bigint", "5"),
        (
            r#"{"type":"enum","name":"e","symbols":["a","b"],"default":"a","aliases":["x"]}"#.to_owned(),
            long(1), "string", "b",
        ),
        (r#"["null",{"type":"enum","name":"e","symbols":["a","b"]}]"#.to_owned(), long(0), "string", "-"),
        (r#"{"type":"fixed","name":"f","size":2}"#.to_owned(), Bytes(vec![0, 255]), "binary", "AP8="),
        (
            r#"{"type":"record","name":"a.b.R","fields":[
                {"name":"F","type":{"type":"enum","name":"E","symbols":["x"]}},{"name":"g","type":["null","a.b.E"],"default":null}]}"#.to_owned(),
            long(0).long(1).long(0), "struct<f:string,g:string>", r#"{"f":"x","g":"x"}"#,
        ),
        (
            r#"{"type":"array","items":["null","int"]}"#.to_owned(),
            // Two blocks, the second with its size.
            long(2).long(1).long(7).long(0).long(-1).long(2).long(1).long(8).long(0),
            "array<int>", "[7,null,8]",
        ),
        (
            r#"{"type":"map","values":{"type":"array","items":"string"}}"#.to_owned(),
            long(1).bytes(b"k").long(1).bytes(b"v").long(0).long(0),
            "map<string,array<string>>", r#"{"k":["v"]}"#,
        ),
        (logical("int", "date"), long(20_000), "date", "2024-10-04"),
        (logical("int", "time-millis"), long(3_661_001), "string", "01:01:01.001"),
        (logical("long", "time-micros"), long(3_661_000_001), "string", "01:01:01.000001"),
        (logical("long", "timestamp-millis"), long(seconds * 1_000), "timestamp with local time zone", "2026-05-03 03:09:37.000"),
        (logical("long", "timestamp-micros"), long(seconds * 1_000_000 + 1), "timestamp with local time zone", "2026-05-03 03:09:37.000001"),
        (logical("long", "timestamp-nanos"), long(-1), "timestamp with local time zone", "1969-12-31 23:59:59.999999"),
        (logical("long", "local-timestamp-millis"), long(seconds * 1_000), "timestamp", "2026-05-03 03:09:37.000"),
        (logical("long", "local-timestamp-micros"), long(-1), "timestamp", "1969-12-31 23:59:59.999999"),
        (logical("long", "local-timestamp-nanos"), long(999), "timestamp", "1970-01-01 00:00:00.000"),
        (logical("string", "uuid"), Bytes::default().bytes(b"no uuid"), "string", "no uuid"),
        (
            r#"{"type":"fixed","name":"u","size":16,"logicalType":"uuid"}"#.to_owned(),
            Bytes(vec![0; 16]), "binary", "AAAAAAAAAAAAAAAAAAAAAA==",
        ),
        (logical("string", "date"), Bytes::default().bytes(b"x"), "string", "x"),
        (logical("long", "date"), long(1), "bigint", "1"),
        (logical("int", "com.example.money"), long(1), "int", "1"),
        (format!(r#"{{"type":"bytes"{decimal}"#), Bytes::default().bytes(&[0xff, 0x38]), "decimal(20,2)", "-2.00"),
        (format!(r#"{{"type":"bytes"{decimal}"#), Bytes::default().bytes(b""), "decimal(20,2)", "0.00"),
        (format!(r#"{{"type":"fixed","name":"d","size":9{decimal}"#), Bytes(vec![0, 0, 0, 0, 0, 0, 0, 1, 0]), "decimal(20,2)", "2.56"),
        (wide.to_owned(), Bytes::default().bytes(&[10]), "string", "1.0"),
    ];
    for (schema, value, hive_type, text) in cases {
        // Beside another column, at both ends of the values.
        let record = record(&format!(
            r#"{{"name":"A","type":"int","doc":"\u00e9\"","aliases":["z"]}},{{"name":"V","type":{schema}}},{{"name":"z","type":"int","default":4}}"#
        ));
        let row = long(1).raw(&value.0).long(2);
        let object = object(&record, &[(2, row.clone().raw(&row.0))]);
        let found = read(&object).unwrap_or_else(|error| panic!("{schema}: {error}"));
        let found_type = found[0].batch.schema();
        let found_type = hive_type::render_field(&found_type.fields()[1]);
        assert_eq!(found_type.as_deref(), Ok(hive_type), "{schema}");
        assert_eq!(
            cells_of(&found),
            [["1", text, "2"], ["1", text, "2"]],
            "{schema}"
        );
        let json = found[0].record(0);
        assert!(json.is_ok(), "{schema}: {json:?}");
    }
}

#[test]
fn types_that_are_refused() {
    stated(
        "Any other union, a `duration`, a record inside itself, an array whose elements take no bytes, a type that is not defined and a decimal whose precision or scale is none refuse the object by column and type, and so does a schema that is no record, or is nested deeper than 64 levels.",
    );
    let column = |schema: &str| record(&format!(r#"{{"name":"v","type":{schema}}}"#));
    for (schema, says) in [
        (
            column(r#"["null","int","string"]"#),
            "column `v` is a union of [null, int, string]",
        ),
        (column(r#"["int","string"]"#), "a union of [int, string]"),
        (column(r#"["null"]"#), "a union of [null]"),
        (column("[]"), "a union of []"),
        (column(r#"["null",["null","int"]]"#), "a union in a union"),
        (
            column(
                r#"["null",{"type":"record","name":"x","fields":[{"name":"y","type":["null","r"]}]}]"#,
            ),
            "column `v.y` is the record `r` inside itself",
        ),
        (
            column(r#"{"type":"array","items":"r"}"#),
            "column `v[]` is the record `r` inside itself",
        ),
        (
            column(r#"{"type":"array","items":"null"}"#),
            "an array of elements without values",
        ),
        (
            column(r#"{"type":"map","values":"missing"}"#),
            "column `v{}` is of the type `missing`, which is not defined",
        ),
        (
            column(r#"{"type":"fixed","name":"f","size":12,"logicalType":"duration"}"#),
            "a duration",
        ),
        (
            column(r#"{"type":"fixed","name":"f","size":-1}"#),
            "a fixed size",
        ),
        (
            column(r#"{"type":"fixed","name":"f","size":99999999999}"#),
            "limits.record_size",
        ),
        (
            column(r#"{"type":"bytes","logicalType":"decimal","precision":77}"#),
            "a decimal whose precision",
        ),
        (
            column(r#"{"type":"bytes","logicalType":"decimal"}"#),
            "a decimal whose precision",
        ),
        (
            column(r#"{"type":"bytes","logicalType":"decimal","precision":2,"scale":3}"#),
            "scale is more",
        ),
        (column(r#"{"type":"enum","name":"e"}"#), "without symbols"),
        (column(r#"{"type":"record","fields":[]}"#), "without a name"),
        (column("7"), "no type of Avro"),
        (column("{}"), "without a type"),
        (column(r#""null""#), "without columns that have values"),
        (record(""), "without columns that have values"),
        (r#""int""#.to_owned(), "no record"),
        (r#"{"type":"array","items":"int"}"#.to_owned(), "no record"),
        ("{".to_owned(), "no JSON"),
        (
            record(
                &(0..5_001)
                    .map(|n| format!(r#"{{"name":"c{n}","type":["null","int"]}}"#))
                    .collect::<Vec<_>>()
                    .join(","),
            ),
            "beyond 10000 columns and fields",
        ),
    ] {
        let error = read(&object(&schema, &[])).unwrap_err();
        assert!(
            matches!(error, AvroError::Schema { .. }),
            "{schema}: {error}"
        );
        assert!(error.to_string().contains(says), "{schema}: {error}");
    }
    let deep = |levels: usize| {
        let open = r#"{"type":"array","items":"#.repeat(levels);
        column(&format!(r#"{open}"int"{}"#, "}".repeat(levels)))
    };
    assert!(read(&object(&deep(62), &[])).is_ok());
    let error = read(&object(&deep(64), &[])).unwrap_err();
    assert!(error.to_string().contains("nested deeper"), "{error}");
    let collision = record(r#"{"name":"a","type":"int"},{"name":"A","type":"int"}"#);
    let error = read(&object(&collision, &[])).unwrap_err();
    assert!(
        matches!(error, AvroError::Rows(ReadError::NameCollision { .. })),
        "{error}"
    );
}

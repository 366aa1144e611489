//! Fields on their way into columns.

use super::*;
use crate::shown::Found;

fn columns(on_unknown: Policy, on_mismatch: Policy, timestamp: &str, raw: bool) -> Columns {
    let inner = Fields::from(vec![Field::new("x", DataType::Int32, true)]);
    let schema = Schema::new(vec![
        Field::new("n", DataType::Int64, true),
        Field::new("s", DataType::Utf8, true),
        Field::new("missing", DataType::Utf8, true),
        Field::new("t", DataType::Timestamp(TimeUnit::Microsecond, None), true),
        Field::new("l", DataType::new_list(DataType::Int32, true), true),
        Field::new("o", DataType::Struct(inner), true),
    ]);
    let options = ColumnsOptions {
        on_unknown,
        on_mismatch,
        timestamp: timestamp.split('.').map(str::to_owned).collect(),
        parse_timestamp: Box::new(|value| match value {
            JsonScalar::String(text) => text.parse().ok(),
            _ => None,
        }),
        max_depth: crate::json::MAX_DEPTH,
        raw_column: raw.then(|| "raw".to_owned()),
    };
    Columns::new(&schema, options).unwrap()
}

fn fill(columns: &mut Columns, text: &str) -> Vec<Result<(String, u32, u32), RecordError>> {
    let mut framer = Framer::new(&Csv::default(), &[], MAX_RECORD).unwrap();
    framer.push(&mut Chunk::of(text.as_bytes()));
    framer.finish();
    let mut results = Vec::new();
    while let Some(filled) = framer.next_into(columns).unwrap() {
        results.push(filled.result.map_err(|error| *error).map(|appended| {
            (
                format!("{:?}", appended.timestamp),
                appended.unknown,
                appended.mismatched,
            )
        }));
    }
    results
}

#[test]
fn fields_go_into_the_columns_of_their_names() {
    stated(
        "A field goes into the column of its name, whatever its case, as a JSON string of its text would, and into a struct, a list or a map as JSON; a column without a field is null.",
    );
    let mut columns = columns(Policy::Drop, Policy::Quarantine, "a.b", true);
    let text = "S,N,T,extra,l,A.b,O\n\
        x,7,5,e,\"[1, null]\",\"12\"\"\",{}\n\
        ,-1,,e,[],,\"{\"\"X\"\":3}\"\n";
    assert_eq!(
        fill(&mut columns, text),
        [
            Ok(("String(\"12\\\"\")".to_owned(), 2, 0)),
            Ok(("Null".to_owned(), 2, 0)),
        ]
    );
    let batch = columns.finish().unwrap();
    let text_of = |name: &str| {
        batch
            .column_by_name(name)
            .unwrap()
            .as_string::<i32>()
            .clone()
    };
    assert_eq!(batch["n"].as_primitive::<Int64Type>().values(), &[7, -1]);
    assert_eq!(text_of("s").iter().collect::<Vec<_>>(), [Some("x"), None]);
    assert_eq!(text_of("missing").null_count(), 2);
    let times = batch["t"].as_primitive::<TimestampMicrosecondType>();
    assert_eq!(times.iter().collect::<Vec<_>>(), [Some(5), None]);
    let lists = batch["l"].as_list::<i32>();
    assert_eq!(
        lists
            .value(0)
            .as_primitive::<Int32Type>()
            .iter()
            .collect::<Vec<_>>(),
        [Some(1), None]
    );
    assert_eq!((lists.value(1).len(), lists.null_count()), (0, 0));
    let inner = batch["o"].as_struct().column(0).as_primitive::<Int32Type>();
    assert_eq!(inner.iter().collect::<Vec<_>>(), [None, Some(3)]);
    let raw = batch["raw"].as_binary::<i32>();
    assert_eq!(raw.value(0), b"x,7,5,e,\"[1, null]\",\"12\"\"\",{}");
}

#[test]
fn policies() {
    let text = "n,s,l,o\nseven,a,1,{}\n8,b,[],\"{\"\"x\"\":\"\"y\"\"}\"\n9,c,x,[1\n";
    let mismatch = |column: &str, expected: &'static str, found: &str| {
        Err(RecordError::Mismatch {
            column: column.to_owned(),
            expected: expected.into(),
            found: Found::Value(found.to_owned()),
        })
    };
    let mut refusing = columns(Policy::Drop, Policy::Quarantine, "t", false);
    assert_eq!(
        fill(&mut refusing, text),
        [
            mismatch("n", "bigint", "seven"),
            mismatch("o.x", "int", "\"y\""),
            mismatch("l", "array<int>", "x"),
        ]
    );
    assert_eq!(refusing.rows(), 0);
    let mut dropping = columns(Policy::Drop, Policy::Drop, "t", false);
    let missing = "Missing".to_owned();
    assert_eq!(
        fill(&mut dropping, text),
        [
            Ok((missing.clone(), 0, 2)),
            Ok((missing.clone(), 0, 1)),
            Ok((missing, 0, 2)),
        ]
    );
    assert_eq!(dropping.rows(), 3);
    let mut strict = columns(Policy::Quarantine, Policy::Drop, "t", false);
    let unknown = Err(RecordError::UnknownField {
        name: "Extra".to_owned(),
    });
    assert_eq!(fill(&mut strict, "n,Extra\n1,2\n"), [unknown]);
    let short = Err(RecordError::Csv(Broken::FieldCount {
        expected: 2,
        found: 1,
    }));
    assert_eq!(fill(&mut strict, "n,s\n1\n"), [short]);
}

#[test]
fn columns_of_no_table() {
    stated("Without a table, every field is a string.");
    let schema = inferred(&["A b".to_owned(), String::new(), "c".to_owned()]);
    let expected = [("a b", DataType::Utf8), ("c", DataType::Utf8)];
    let found = schema
        .fields()
        .iter()
        .map(|field| (field.name().as_str(), field.data_type().clone()));
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

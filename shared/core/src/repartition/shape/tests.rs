//! Which columns a run reads and writes, and what is refused.

use arrow::{
    array::{Array, AsArray, Int64Array, StringArray},
    datatypes::Int32Type,
};

use super::*;
use crate::{config::Config, partition::DEFAULT_PARTITION, semantics::stated};

fn job(more: &str) -> Repartition {
    let text =
        format!("[[repartition]]\nname = \"j\"\nsource = \"d.t\"\ntarget = \"s3://b/t/\"\n{more}");
    Config::parse(&text).unwrap().repartition.remove(0)
}

fn columns(pairs: &[(&str, &str)]) -> Vec<Column> {
    let column = |&(name, hive_type): &(&str, &str)| Column {
        name: name.to_owned(),
        hive_type: hive_type.to_owned(),
    };
    pairs.iter().map(column).collect()
}

fn shape(more: &str) -> Result<Shape, ShapeError> {
    let source = columns(&[
        ("VIN (1-10)", "string"),
        ("Model Year", "bigint"),
        ("Make", "string"),
    ]);
    Shape::new(
        &job(more),
        &source,
        &columns(&[("day", "int")]),
        &columns(&[("make", "varchar(9)")]),
    )
}

fn names(written: &[Written]) -> Vec<String> {
    let text = |w: &Written| format!("{} {}", w.column.name, w.column.hive_type);
    written.iter().map(text).collect()
}

#[test]
fn columns_keep_their_names_and_order() {
    stated(
        "Column names are those of the source as they are spelled there, spaces too, also in paths; a table's are lower-case because Glue has them so.",
    );
    stated(
        "The keys of a partitioned source table become columns, after the others, of the keys' types.",
    );
    let found = shape("partition_by = [\"model YEAR\", \"Make\"]").unwrap();
    assert_eq!(names(&found.files), ["VIN (1-10) string", "day int"]);
    assert_eq!(
        names(&found.partition_by),
        ["Model Year bigint", "Make varchar(9)"]
    );
    let batch = RecordBatch::try_from_iter([
        ("a", Arc::new(StringArray::from(vec!["v"])) as ArrayRef),
        ("b", Arc::new(Int64Array::from(vec![2020]))),
        ("c", Arc::new(StringArray::from(vec!["m"]))),
    ])
    .unwrap();
    let schema = found.written_schema().unwrap();
    let of_day = |day: &str| {
        found.arrange(
            &batch,
            &schema,
            &KeyValues(vec![day.to_owned()]),
            &BTreeMap::new(),
        )
    };
    let arranged = of_day("07").unwrap();
    assert_eq!(arranged.column(1).as_primitive::<Int32Type>().value(0), 7);
    assert!(of_day(DEFAULT_PARTITION).unwrap().column(1).is_null(0));
    assert!(of_day("x").unwrap_err().to_string().contains("day"));
}

#[test]
fn values_of_keys_are_parsed_by_one_rule() {
    stated(
        "A value of a source table's key is taken into the key's type as a JSON string of it would be, `06` as 6 and `2021-06-01` as that date, with `__HIVE_DEFAULT_PARTITION__` and, where the key is not a string, nothing as null; what does not fit refuses the run when it is planned, by table, partition, key and value.",
    );
    for (hive_type, value, fits) in [
        ("int", "6", Some("6")),
        ("int", "06", Some("6")),
        ("int", "+7", Some("7")),
        ("int", "", None),
        ("int", DEFAULT_PARTITION, None),
        ("int", "99999999999", Some("refused")),
        ("int", "7 ", Some("refused")),
        ("date", "2021-06-01", Some("2021-06-01")),
        ("date", "2021-06-01 00:00:00", Some("refused")),
        ("date", "2021-06-01T23:00:00-05:00", Some("refused")),
        ("string", "", Some("")),
        ("decimal(3,1)", "1.5", Some("1.5")),
        ("decimal(3,1)", "1.55", Some("refused")),
        (
            "timestamp",
            "2021-06-01 01:00:00",
            Some("2021-06-01T01:00:00"),
        ),
    ] {
        let source = columns(&[("a", "string")]);
        let found = Shape::new(&job(""), &source, &columns(&[("k", hive_type)]), &[]).unwrap();
        let keys = KeyValues(vec![value.to_owned()]);
        let checked = found.check_keys(&keys);
        if fits == Some("refused") {
            let error = checked.unwrap_err().to_string();
            assert!(error.contains("`k`") && error.contains(value), "{error}");
            continue;
        }
        checked.unwrap();
        let field = found.written_schema().unwrap().field(1).clone();
        let array = keys.value(0, &field).unwrap();
        let array = arrow::compute::cast(&array, &DataType::Utf8).unwrap();
        let text = array.as_string::<i32>();
        let text = text.is_valid(0).then(|| text.value(0));
        assert_eq!(text, fits, "{hive_type} {value}");
    }
}

#[test]
fn columns_are_chosen_renamed_and_typed() {
    stated(
        "With `columns` only these are written, in their order, under the names and with the types that are given there; where none is given, a value takes the type of the target table's column, and otherwise that of the source.",
    );
    let found = shape("columns = [{ name = \"make\", as = \"brand\" }, { name = \"model year\", type = \"int\" }, \"day\"]").unwrap();
    assert_eq!(
        names(&found.files),
        ["brand string", "Model Year int", "day int"]
    );
    assert_eq!(
        found.read,
        columns(&[("Make", "string"), ("Model Year", "int")])
    );
    assert_eq!(found.files[2].from, Origin::Key(0));
}

#[test]
fn columns_are_constants_masked_or_hashed() {
    stated(
        "In `columns` a `constant` is a column of its own, with this value in every row, of the type that is given, of that of the target table, or of its own; and a `mask` or a `hash` makes of a string what it does in rekey.",
    );
    let found = shape("columns = [\"model year\", { name = \"Run\", constant = 7 }, { name = \"day_of\", constant = \"2026-05-01\", type = \"date\" }, { name = \"vin (1-10)\", as = \"vin\", mask = { first = 3 } }, { name = \"make\", type = \"string\", hash = { secret = \"ssm:/a/b\" } }]").unwrap();
    assert_eq!(
        names(&found.files),
        [
            "Model Year bigint",
            "Run bigint",
            "day_of date",
            "vin string",
            "Make string"
        ]
    );
    assert_eq!(
        found.read,
        columns(&[
            ("Model Year", "bigint"),
            ("VIN (1-10)", "string"),
            ("Make", "string")
        ])
    );
    let name = "ssm:/a/b".parse::<SecretName>().unwrap();
    assert_eq!(found.secrets(), BTreeSet::from([&name]));
    let batch = RecordBatch::try_from_iter([
        (
            "a",
            Arc::new(Int64Array::from(vec![2020, 2021])) as ArrayRef,
        ),
        ("b", Arc::new(StringArray::from(vec!["JTMDU", "J"]))),
        (
            "c",
            Arc::new(StringArray::from(vec![
                Some("what do ya want for nothing?"),
                None,
            ])),
        ),
    ])
    .unwrap();
    let schema = found.written_schema().unwrap();
    let keys = KeyValues(Vec::new());
    let arrange = |secrets| found.arrange(&batch, &schema, &keys, &secrets);
    let error = arrange(BTreeMap::new()).unwrap_err();
    assert!(error.to_string().contains("ssm:/a/b"), "{error}");
    let secret = Secret::new(b"Jefe").unwrap();
    let arranged = arrange(BTreeMap::from([(name, secret)])).unwrap();
    let texts = |column: usize| {
        let texts = arrow::compute::cast(arranged.column(column), &DataType::Utf8).unwrap();
        let texts = texts.as_string::<i32>().iter().flatten();
        texts.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(texts(1), ["7", "7"]);
    assert_eq!(texts(2), ["2026-05-01", "2026-05-01"]);
    assert_eq!(texts(3), ["JTM**", "*"]);
    // The second case of RFC 4231, whose HMAC-SHA-256 is there.
    assert_eq!(
        texts(4),
        ["5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"]
    );
    let plan = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Shape>(&plan).unwrap(), found);
    for (more, says) in [
        (
            "{ name = \"n\", constant = \"x\", type = \"int\" }",
            "columns: `n` is int, which its constant",
        ),
        (
            "{ name = \"model year\", mask = {} }",
            "columns: `Model Year` is bigint, and what is masked is a string",
        ),
        (
            "{ name = \"day\", type = \"string\", mask = {} }",
            "columns: `day` is a key of the source's partitions, and its values are in the path: it cannot be masked",
        ),
        (
            "{ name = \"model year\", hash = { secret = \"ssm:a\" } }",
            "columns: `Model Year` is bigint, and what is hashed is a string",
        ),
        (
            "{ name = \"day\", type = \"string\", hash = { secret = \"ssm:a\" } }",
            "columns: `day` is a key of the source's partitions, and its values are in the path: it cannot be hashed",
        ),
    ] {
        let error = shape(&format!("columns = [{more}]")).unwrap_err();
        assert!(error.to_string().starts_with(says), "{error}");
    }
}

#[test]
fn refusals_name_the_column() {
    for more in ["columns = [\"nope\"]", "partition_by = [\"nope\"]"] {
        let error = shape(more).unwrap_err().to_string();
        assert!(error.contains("nope") && error.contains("Make"), "{error}");
    }
    let nested = Shape::new(
        &job("partition_by = [\"a\"]"),
        &columns(&[("a", "array<int>"), ("b", "int")]),
        &[],
        &[],
    );
    let nested = nested.unwrap_err().to_string();
    assert!(nested.contains("`a`, which is array<int> and"), "{nested}");
    let structs = columns(&[
        ("s", "struct<A:int>"),
        ("t.b", "int"),
        ("T", "struct<b:int>"),
    ]);
    for (name, says) in [
        (
            "S.a",
            "`S.a` is the field `s`.`A` of a struct, and must be a top-level column",
        ),
        ("t.B", "`t.B` means two columns, `t.b` and `T`.`b`"),
    ] {
        for option in ["columns", "partition_by"] {
            let job = job(&format!("{option} = [\"{name}\"]"));
            let error = Shape::new(&job, &structs, &[], &[])
                .unwrap_err()
                .to_string();
            assert!(error.starts_with(says), "{option}: {error}");
        }
    }
    let twice = Shape::new(&job(""), &columns(&[("a", "int"), ("A", "int")]), &[], &[]);
    assert!(matches!(twice, Err(ShapeError::SameName { .. })));
}

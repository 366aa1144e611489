use arrow::{
    array::{AsArray, Int32Array, StringArray, StructArray},
    compute::{cast, concat},
};
use proptest::prelude::*;

use super::*;
use crate::{config::Config, hive_type::parse_field, json::JsonScalar, semantics::stated};

fn operations(entries: &str) -> Vec<Operation> {
    let text = format!(
        "[[rekey]]\nname = \"j\"\nsource = \"s3://b/in/\"\ntarget = \"s3://t/\"\ntimestamp = {{ column = \"t\" }}\ncolumn = [{entries}]"
    );
    Config::parse(&text).unwrap().rekey.remove(0).column
}

/// The secrets that there are.
fn secrets() -> BTreeMap<SecretName, Secret> {
    let name = "secretsmanager:pseudonyms".parse().unwrap();
    BTreeMap::from([(name, Secret::new(b"Jefe").unwrap())])
}

fn schema(columns: &[(&str, &str)]) -> Schema {
    let fields = columns.iter();
    let fields = fields.map(|(name, hive_type)| parse_field(name, hive_type).unwrap());
    Schema::new(fields.collect::<Vec<_>>())
}

fn shown(schema: &Schema) -> Vec<String> {
    let shown = |field: &FieldRef| match field.data_type() {
        DataType::Null => format!("{} nothing", field.name()),
        data_type => format!("{} {}", field.name(), hive_type::render(data_type).unwrap()),
    };
    schema.fields().iter().map(shown).collect()
}

fn compiled(
    entries: &str,
    columns: &[(&str, &str)],
    has_table: bool,
) -> Result<Operations, OperationError> {
    let prefix = Location::new("b", "in/");
    let parse: ParseTimestamp = Box::new(|scalar| match scalar {
        JsonScalar::String(text) => text.parse::<Timestamp>().ok().map(microseconds),
        _ => None,
    });
    let fields = schema(columns);
    let made = Operations::new(
        &operations(entries),
        fields.fields(),
        has_table,
        &prefix,
        &secrets(),
        parse,
    );
    Ok(made?.unwrap())
}

#[test]
fn what_is_read_for_the_columns_of_a_table() {
    for (entries, columns, read) in [
        (
            "{ name = \"Plant\", from = \"Site\" }",
            &[("plant", "string"), ("n", "int")][..],
            &["site string", "n int"][..],
        ),
        (
            "{ name = \"b\", from = \"a\" }, { name = \"a\", from = \"b\" }",
            &[("a", "int"), ("b", "date")],
            &["b int", "a date"],
        ),
        (
            "{ name = \"secret\", drop = true }",
            &[("n", "int")],
            &["n int", "secret nothing"],
        ),
        (
            "{ name = \"n\", drop = true }",
            &[("n", "int"), ("m", "int")],
            &["m int", "n nothing"],
        ),
        (
            "{ name = \"b\", drop = true }, { name = \"b\", from = \"a\" }",
            &[("b", "int")],
            &["a int", "b nothing"],
        ),
        (
            "{ name = \"price\", cast = \"decimal(10,2)\" }",
            &[("price", "double")],
            &["price decimal(10,2)"],
        ),
        (
            "{ name = \"env\", constant = 1 }, { name = \"o\", event = \"offset\" }, { name = \"k\", key = 1 }",
            &[("env", "string"), ("o", "bigint"), ("k", "int")],
            &["env nothing", "o nothing", "k nothing"],
        ),
        (
            "{ name = \"card\", from = \"number\", mask = { last = 4 } }",
            &[("card", "string")],
            &["number string"],
        ),
        (
            "{ name = \"who\", from = \"Email\", hash = { secret = \"secretsmanager:pseudonyms\" } }",
            &[("who", "string")],
            &["email string"],
        ),
    ] {
        let found = compiled(entries, columns, true).unwrap();
        assert_eq!(shown(found.read_schema()), read, "{entries}");
    }
    let none = Operations::new(
        &[],
        schema(&[("a", "int")]).fields(),
        true,
        &Location::new("b", ""),
        &secrets(),
        Box::new(|_| None),
    );
    assert!(none.unwrap().is_none());
}

#[test]
fn what_is_written_where_no_table_gives_the_columns() {
    stated(
        "A `constant` is the column's value in every row, taken into the column's type as a JSON string of its text would be; where no table gives the columns, a text makes a `string`, an integer a `bigint`, and `true` or `false` a `boolean`.",
    );
    let found = &[("a", "int"), ("b", "date"), ("t", "string")][..];
    for (entries, columns) in [
        (
            "{ name = \"C\", from = \"A\" }",
            &["c int", "b date", "t string"][..],
        ),
        ("{ name = \"a\", drop = true }", &["b date", "t string"]),
        (
            "{ name = \"w\", from = \"a\", hash = { secret = \"secretsmanager:pseudonyms\" } }",
            &["w string", "b date", "t string"],
        ),
        (
            "{ name = \"a\", cast = \"decimal(5,1)\" }, { name = \"b\", mask = {} }",
            &["a decimal(5,1)", "b string", "t string"],
        ),
        (
            "{ name = \"a\", constant = \"x\" }, { name = \"k\", key = \"k\" }",
            &["b date", "t string", "a string", "k string"],
        ),
        (
            "{ name = \"i\", constant = 7 }, { name = \"f\", constant = false }",
            &["a int", "b date", "t string", "i bigint", "f boolean"],
        ),
        (
            "{ name = \"s\", event = \"source\" }, { name = \"l\", event = \"landed_at\" }, { name = \"o\", event = \"offset\" }",
            &[
                "a int",
                "b date",
                "t string",
                "s string",
                "l timestamp",
                "o bigint",
            ],
        ),
        // Records of JSON need not have every field.
        (
            "{ name = \"d\", from = \"c\" }",
            &["a int", "b date", "t string"],
        ),
        (
            "{ name = \"b\", from = \"a\" }, { name = \"b\", drop = true }",
            &["b int", "t string"],
        ),
    ] {
        let written = written(&operations(entries), &schema(found)).unwrap();
        assert_eq!(shown(&written), columns, "{entries}");
    }
    let taken = written(
        &operations("{ name = \"b\", from = \"a\" }"),
        &schema(found),
    );
    let says = taken.unwrap_err().to_string();
    assert!(says.contains("`a` is renamed to `b`"), "{says}");
}

#[test]
fn what_does_not_fit_the_columns_is_refused_by_name() {
    stated(
        "`name` and `from` are columns and fields of their own, not fields of a struct; where there is a table, it has a column for each entry but `drop`; and where records have names for their fields, in CSV and Parquet, an object that lacks the field of an entry is refused.",
    );
    for (entries, columns, says) in [
        (
            "{ name = \"plnt\", from = \"site\" }",
            &[("plant", "string")][..],
            "there is no column `plnt`: there are [\"plant\"]",
        ),
        (
            "{ name = \"b\", from = \"a\" }",
            &[("a", "int"), ("b", "int")],
            "`b` is made of the field `a`, which the column `a` would also be made of",
        ),
        (
            "{ name = \"s.a\", mask = {} }",
            &[("s", "struct<a:string>")],
            "is the field `s`.`a` of a struct",
        ),
        (
            "{ name = \"b\", from = \"s.a\" }",
            &[("b", "int"), ("s", "struct<a:string>")],
            "is the field `s`.`a` of a struct",
        ),
        (
            "{ name = \"n\", mask = {} }",
            &[("n", "int")],
            "`n` is int, and what is masked is a string",
        ),
        (
            "{ name = \"n\", hash = { secret = \"secretsmanager:pseudonyms\" } }",
            &[("n", "int")],
            "`n` is int, and a hash is a string",
        ),
        (
            "{ name = \"s\", hash = { secret = \"secretsmanager:other\" } }",
            &[("s", "string")],
            "`s` is hashed with secretsmanager:other, which was not read",
        ),
        (
            "{ name = \"n\", event = \"source\" }",
            &[("n", "int")],
            "`n` is int, and an object's name is a string",
        ),
        (
            "{ name = \"n\", event = \"landed_at\" }",
            &[("n", "date")],
            "`n` is date, and a time of landing",
        ),
        (
            "{ name = \"n\", event = \"offset\" }",
            &[("n", "int")],
            "`n` is int, and an offset is a bigint",
        ),
        (
            "{ name = \"n\", constant = \"x\" }",
            &[("n", "int")],
            "`n` is int, which its constant",
        ),
        (
            "{ name = \"n\", constant = 300 }",
            &[("n", "tinyint")],
            "`n` is tinyint, which its constant",
        ),
    ] {
        let error = compiled(entries, columns, true).err().unwrap().to_string();
        assert!(error.contains(says), "{entries}: {error}");
    }
}

/// The values of a column as text.
fn texts(column: &ArrayRef) -> Vec<Option<String>> {
    let texts = cast(column, &DataType::Utf8).unwrap();
    let texts = texts.as_string::<i32>();
    texts.iter().map(|text| text.map(str::to_owned)).collect()
}

#[test]
fn columns_of_the_key_and_the_event() {
    stated(
        "`key` is a part of the object's key after `source`: by its place between slashes, from 1, as it is spelled there; or by a name, the value of the first part `name=value`, unescaped as in Hive's paths, with `__HIVE_DEFAULT_PARTITION__` as null. An object whose key lacks the part, or has one that its column does not take, is refused.",
    );
    stated(
        "`event` is `source`, the object as `s3://bucket/key`; `landed_at`, when S3 says that it landed; or `offset`, where the record begins, as in the quarantine: the same in every attempt.",
    );
    let mut of_object = compiled(
        "{ name = \"p\", key = 1 }, { name = \"n\", key = \"Day\" }, { name = \"s\", event = \"source\" }, { name = \"l\", event = \"landed_at\" }, { name = \"o\", event = \"offset\" }, { name = \"c\", constant = true }, { name = \"w\", event = \"landed_at\" }",
        &[("p", "string"), ("n", "int"), ("s", "string"), ("l", "timestamp"), ("o", "bigint"), ("c", "boolean"), ("w", "string")],
        true,
    )
    .unwrap();
    let landed: Timestamp = "2026-05-01T10:00:07Z".parse().unwrap();
    let mut object = |key: &str| of_object.object(&Location::new("b", key), landed);
    let objects = [
        object("in/a=b%20c/Day=07/x").unwrap(),
        object("in/plain/Day=%38/Day=9/y").unwrap(),
        object("in//Day=__HIVE_DEFAULT_PARTITION__/z").unwrap(),
    ];
    assert_eq!(
        objects[0].bytes(),
        "a=b%20c".len() + "s3://b/in/a=b%20c/Day=07/x".len() + 23
    );
    for (key, says) in [
        ("in/x", "has no part `Day=` for the column `n`"),
        ("in/a/Day=seven/x", "`n` is int, which"),
        ("in/a/day=7/x", "has no part `Day=`"),
    ] {
        let error = object(key).unwrap_err().to_string();
        assert!(error.contains(says), "{key}: {error}");
    }
    let nothing = RecordBatch::try_new_with_options(
        Arc::new(Schema::empty()),
        Vec::new(),
        &RecordBatchOptions::new().with_row_count(Some(4)),
    )
    .unwrap();
    let rows = [(0, 0), (2, 5), (1, 0), (1, 90)];
    let applied = of_object.apply(&nothing, &objects, &rows).unwrap();
    let some = |texts: [&str; 4]| texts.map(|text| Some(text.to_owned())).to_vec();
    let batch = &applied.batch;
    assert_eq!(
        texts(batch.column(0)),
        some(["a=b%20c", "", "plain", "plain"])
    );
    assert_eq!(
        texts(batch.column(1)),
        [
            Some("7".to_owned()),
            None,
            Some("8".to_owned()),
            Some("8".to_owned())
        ]
    );
    assert_eq!(
        texts(batch.column(2))[2].as_deref(),
        Some("s3://b/in/plain/Day=%38/Day=9/y")
    );
    assert_eq!(
        texts(batch.column(3))[0].as_deref(),
        Some("2026-05-01T10:00:07")
    );
    assert_eq!(texts(batch.column(4)), some(["0", "5", "0", "90"]));
    assert_eq!(texts(batch.column(5)), some(["true"; 4]));
    assert_eq!(
        texts(batch.column(6))[0].as_deref(),
        Some("2026-05-01 10:00:07.000")
    );
}

#[test]
fn columns_of_fields() {
    stated(
        "`mask` is the field's text with `*` for each character but the `first` and the `last`, and for every character where there are no more than these; null stays null.",
    );
    stated(
        "`cast` is the type that the field is read as, by the rules of its format; from there the value goes into the column of the table, whose own type may be another one, by the rules for Parquet. What has no place in the one or the other does not fit, as `on_mismatch` says. Where no table gives the columns, the column has this type.",
    );
    let mut of_fields = compiled(
        "{ name = \"card\", mask = { first = 1, last = 4 } }, { name = \"n\", cast = \"double\" }, { name = \"s\", cast = \"decimal(6,2)\" }, { name = \"new\", from = \"old\" }, { name = \"gone\", drop = true }",
        &[("card", "string"), ("n", "int"), ("s", "string"), ("new", "struct<a:int>"), ("gone", "int")],
        true,
    )
    .unwrap();
    let inner: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
    let inside = Arc::new(Field::new("a", DataType::Int32, true));
    let read = of_fields.read_schema().clone();
    let columns = read.fields().iter().map(|field| -> ArrayRef {
        match field.name().as_str() {
            "card" => Arc::new(StringArray::from(vec![
                Some("4111111111111111"),
                Some("é234"),
                None,
            ])),
            "n" => Arc::new(arrow::array::Float64Array::from(vec![1.0, 1.5, -3.0])),
            "s" => Arc::new(
                arrow::array::Decimal128Array::from(vec![Some(150), None, Some(-5)])
                    .with_precision_and_scale(6, 2)
                    .unwrap(),
            ),
            "old" => Arc::new(StructArray::from(vec![(
                Arc::clone(&inside),
                Arc::clone(&inner),
            )])),
            _ => new_null_array(field.data_type(), 3),
        }
    });
    let columns = columns.collect::<Vec<_>>();
    let batch = RecordBatch::try_new(Arc::new(read), columns).unwrap();
    let applied = of_fields.apply(&batch, &[], &[(0, 0); 3]).unwrap();
    let of = |name: &str| texts(applied.batch.column_by_name(name).unwrap());
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(of("card"), [some("4***********1111"), some("****"), None]);
    assert_eq!(of("n"), [some("1"), None, some("-3")]);
    assert_eq!(of("s"), [some("1.50"), None, some("-0.05")]);
    assert_eq!(of("gone"), [None, None, None]);
    assert_eq!(
        applied
            .batch
            .column_by_name("new")
            .unwrap()
            .as_struct()
            .column(0),
        &inner
    );
    let [(row, error)] = &applied.mismatches[..] else {
        panic!("{:?}", applied.mismatches);
    };
    assert_eq!(*row, 1);
    assert!(
        error.to_string().starts_with("column `n` is int"),
        "{error}"
    );
}

proptest! {
    /// A mask shows no more than it is to, keeps the number of characters, and works on each value by itself.
    #[test]
    fn masks(texts in prop::collection::vec(prop::option::of("\\PC{0,12}"), 1..8), first in 0_u32..5, last in 0_u32..5, at in 0_usize..8) {
        let mask = Mask { first, last };
        let array: ArrayRef = Arc::new(StringArray::from(texts.clone()));
        let whole = masked(&array, mask).unwrap();
        for (found, text) in whole.as_string::<i32>().iter().zip(&texts) {
            let (Some(found), Some(text)) = (found, text) else {
                prop_assert_eq!(found.is_some(), text.is_some());
                continue;
            };
            let length = text.chars().count();
            prop_assert_eq!(found.chars().count(), length);
            let hidden = length.saturating_sub((first + last) as usize);
            let expected = text.chars().enumerate().map(|(place, of)| {
                let is_at_end = place < first as usize || place >= length - (last as usize).min(length);
                if hidden > 0 && is_at_end { of } else { '*' }
            });
            prop_assert_eq!(found, expected.collect::<String>());
        }
        let at = at.min(texts.len());
        let parts = [array.slice(0, at), array.slice(at, texts.len() - at)];
        let parts = parts.map(|part| masked(&part, mask).unwrap());
        let parts = concat(&[&*parts[0], &*parts[1]]).unwrap();
        prop_assert_eq!(&parts, &whole);
    }
}

use arrow::datatypes::Schema;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{hive_type::parse_field, json::Columns, semantics::stated};

fn columns(more: &[Column], rule: NewColumns, on_mismatch: Policy) -> Columns {
    let known = [("t", "string"), ("s", "struct<a:int>")];
    let known = known.map(|(name, hive_type)| parse_field(name, hive_type).unwrap());
    let more = more.iter();
    let more = more.map(|column| parse_field(&column.name, &column.hive_type).unwrap());
    let options = ColumnsOptions {
        on_unknown: Policy::Quarantine,
        on_mismatch,
        ..crate::json::tests::options()
    };
    let schema = Schema::new(known.into_iter().chain(more).collect::<Vec<_>>());
    Columns::new(&schema, options).unwrap().adding(rule)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        Just(json!(1)),
        Just(json!(9_007_199_254_740_993_i64)),
        Just(json!(2.5)),
        Just(json!("x")),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((name(), inner), 0..3).prop_map(object),
        ]
    })
}

fn name() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        10 => prop::sample::select(vec!["a", "b", "s", "S", "t", "year"]),
        1 => prop::sample::select(vec!["A", "B", "", "a\n"]),
    ]
}

fn object(fields: Vec<(&str, Value)>) -> Value {
    let fields = fields.into_iter();
    Value::Object(fields.map(|(name, of)| (name.to_owned(), of)).collect())
}

#[test]
fn two_keys_that_differ_in_case_and_have_no_column() {
    const BOTH: &str = "the keys `A` and `a` differ only in upper and lower case";
    const OTHER: &str = "the keys `a` and `A` differ only in upper and lower case";
    stated(
        "Two keys of one record that differ in case set it aside by both names even if they have no column yet; with `on_mismatch = \"drop\"` they are left out if neither has a value.",
    );
    for (record, quarantine, drop) in [
        (r#"{"A":1,"a":1}"#, BOTH, BOTH),
        (r#"{"A":1,"a":null}"#, BOTH, BOTH),
        (r#"{"A":[],"a":1}"#, BOTH, BOTH),
        (r#"{"A":{},"a":[]}"#, BOTH, ""),
        (r#"{"A":null,"a":null}"#, BOTH, ""),
        (r#"{"A":null,"a":null,"A":1}"#, BOTH, OTHER),
        (r#"{"a":{},"a":[]}"#, "", ""),
        (r#"{"a":{"A":[]},"A":{}}"#, OTHER, ""),
    ] {
        for (on_mismatch, expected) in [(Policy::Quarantine, quarantine), (Policy::Drop, drop)] {
            let mut columns = columns(&[], NewColumns::default(), on_mismatch);
            let appended = columns.append(record.as_bytes()).map(|_| ());
            let error = appended.map_or_else(|error| error.to_string(), |()| String::new());
            assert_eq!(error, expected, "{record}, {on_mismatch:?}");
        }
    }
}

#[test]
fn a_field_without_values_has_a_place_in_a_column_that_others_bring() {
    for (record, other, expected) in [
        ("{}", r#"{"a":[true]}"#, "array<boolean>"),
        (r#"{"a":{}}"#, r#"{"a":true}"#, "string"),
        (r#"{"a":[]}"#, r#"{"a":{"b":1}}"#, "string"),
        (
            r#"{"a":{"b":{}}}"#,
            r#"{"a":{"b":[1]}}"#,
            "struct<b:string>",
        ),
        // This one is set aside.
        (r#"{"a":{"":{}}}"#, r#"{"a":[true]}"#, "array<boolean>"),
    ] {
        let mut columns = columns(&[], NewColumns::default(), Policy::Quarantine);
        let mut fields = NewFields::default();
        for record in [record, other] {
            let is_taken = columns.append(record.as_bytes()).is_ok();
            assert_eq!(is_taken, !record.contains(r#""":"#), "{record}");
            if let Some(new) = columns.take_new().filter(|_| is_taken) {
                fields.merge(new).unwrap();
            }
        }
        let added = fields.columns().unwrap().into_iter();
        let types = added.map(|column| column.hive_type).collect::<Vec<_>>();
        assert_eq!(types, [expected], "{record} {other}");
    }
}

proptest! {
    #[test]
    fn a_record_that_brings_columns_has_a_place_in_them(
        records in prop::collection::vec(prop::collection::vec((name(), value()), 0..4), 0..8),
        on_mismatch in prop::sample::select(vec![Policy::Quarantine, Policy::Drop]),
    ) {
        let records = records.into_iter().map(|fields| object(fields).to_string());
        let records = records.collect::<Vec<_>>();
        let mut rule = NewColumns::default();
        rule.refuse("Year", "it is a key");
        let mut first = columns(&[], rule.clone(), on_mismatch);
        let mut fields = NewFields::default();
        let taken = records.iter().filter(|record| {
            let is_taken = first.append(record.as_bytes()).is_ok();
            if let Some(new) = first.take_new().filter(|_| is_taken) {
                fields.merge(new).unwrap();
            }
            is_taken
        });
        let taken = taken.collect::<Vec<_>>();
        let added = fields.columns().unwrap();
        let mut names = added.iter().map(|column| column.name.as_str());
        prop_assert!(names.all(|name| ["a", "b"].contains(&name)), "{added:?}");
        rule.close("it is too late");
        let mut second = columns(&added, rule, on_mismatch);
        for record in taken {
            let appended = second.append(record.as_bytes());
            prop_assert!(appended.is_ok(), "{record}: {appended:?} in {added:?}");
            prop_assert!(second.take_new().is_none_or(|new| new.is_empty()));
        }
    }
}

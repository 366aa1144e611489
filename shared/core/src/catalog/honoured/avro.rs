//! The reader's schema that a table may name.

use serde_json::Value;

use crate::catalog::StorageDescriptor;

/// Checks `avro.schema.literal`: what readers make of files by it must be what is made of them by the table's columns.
pub(super) fn check_literal(
    storage: &StorageDescriptor,
    literal: &str,
) -> Result<(), &'static str> {
    let schema = serde_json::from_str::<Value>(literal).map_err(|_| "it is no JSON")?;
    let Some(Value::Array(fields)) = schema.get("fields") else {
        return Err("it is no schema of a record");
    };
    let names = fields.iter().map(|field| field.get("name")?.as_str());
    let columns = &storage.columns;
    let alike = names.len() == columns.len()
        && names
            .zip(columns)
            .all(|(name, column)| name.is_some_and(|name| name.eq_ignore_ascii_case(&column.name)));
    if !alike {
        return Err(
            "its fields are not the columns of the table, and readers differ in which of them they take",
        );
    }
    if has(&schema, "default", |value| !value.is_null()) {
        return Err(
            "a default that is not null would be read where a file lacks its field, and null is read here",
        );
    }
    if has(&schema, "aliases", |value| {
        value != &Value::Array(Vec::new())
    }) {
        return Err("fields are found by their names here, and not by aliases");
    }
    Ok(())
}

/// Whether an object, at any depth, has a key with such a value.
fn has(node: &Value, key: &str, such: fn(&Value) -> bool) -> bool {
    match node {
        Value::Object(object) => {
            object.get(key).is_some_and(such) || object.values().any(|value| has(value, key, such))
        }
        Value::Array(items) => items.iter().any(|item| has(item, key, such)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{catalog::Column, semantics::stated};

    #[test]
    fn literals() {
        stated(
            "A table's `avro.schema.literal` must be a record of the table's columns, in their order, without aliases and without defaults other than null, because readers would take other fields or values than those that are read by the columns; `avro.schema.url` is refused, because it is not looked up.",
        );
        let column = |name: &str| Column {
            name: name.to_owned(),
            hive_type: "int".to_owned(),
        };
        let storage = StorageDescriptor {
            columns: vec![column("a"), column("b")],
            ..StorageDescriptor::default()
        };
        for (fields, expected) in [
            (
                r#"{"name":"A","type":"int"},{"name":"b","type":"int","aliases":[],"default":null}"#,
                None,
            ),
            (r#"{"name":"a","type":"int"}"#, Some("not the columns")),
            (
                r#"{"name":"b","type":"int"},{"name":"a","type":"int"}"#,
                Some("not the columns"),
            ),
            (
                r#"{"name":"a","type":"int"},{"name":"b","type":"int","default":7}"#,
                Some("a default"),
            ),
            (
                r#"{"name":"a","type":"int"},{"name":"b","type":"int","aliases":["c"]}"#,
                Some("aliases"),
            ),
            (
                r#"{"name":"a","type":"int"},{"name":"b","type":{"type":"record","name":"r","fields":[{"name":"c","type":"int","default":1}]}}"#,
                Some("a default"),
            ),
        ] {
            let literal = format!(r#"{{"type":"record","name":"t","fields":[{fields}]}}"#);
            let found = check_literal(&storage, &literal);
            match expected {
                None => assert_eq!(found, Ok(()), "{literal}"),
                Some(says) => assert!(found.unwrap_err().contains(says), "{literal}"),
            }
        }
        assert!(check_literal(&storage, "{").is_err());
        assert!(check_literal(&storage, "\"int\"").is_err());
    }
}

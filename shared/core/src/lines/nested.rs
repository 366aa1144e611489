//! Parses lists, maps and structs of `LazySimpleSerDe`: delimited text, with another delimiter for each level.
//! <https://github.com/apache/hive/blob/master/serde/src/java/org/apache/hadoop/hive/serde2/lazy/LazyMap.java>

use std::collections::HashSet;

use arrow::datatypes::DataType;

use super::fields::unescape;

/// The number of levels for which `LazySimpleSerDe` has delimiters, including the line's fields.
pub(crate) const LEVELS: usize = 8;

/// The delimiters, and the text of null.
pub(super) struct Delimited<'a> {
    /// The delimiter of each level, that of the line's fields first.
    pub(super) delimiters: [u8; LEVELS],
    pub(super) escape: Option<u8>,
    pub(super) null: &'a str,
}

/// The delimiters of a table: `collections` separates elements, `keys` a key from its value.
pub(super) fn delimiters(fields: u8, collections: u8, keys: u8) -> [u8; LEVELS] {
    [fields, collections, keys, 4, 5, 6, 7, 8]
}

/// The number of levels of delimiters that a type's values need.
pub(crate) fn levels(data_type: &DataType) -> usize {
    match data_type {
        DataType::List(element) => 1 + levels(element.data_type()),
        DataType::Struct(fields) => {
            1 + fields
                .iter()
                .map(|field| levels(field.data_type()))
                .max()
                .unwrap_or(0)
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => {
                2 + fields.get(1).map_or(0, |value| levels(value.data_type()))
            }
            _ => 2,
        },
        _ => 0,
    }
}

impl Delimited<'_> {
    /// The value of a nested column as JSON. An error if it cannot be represented, such as a map's null key.
    pub(super) fn json(&self, text: &str, data_type: &DataType) -> Result<String, &'static str> {
        let mut json = String::new();
        self.write(text, data_type, 1, &mut json)?;
        Ok(json)
    }

    fn write(
        &self,
        text: &str,
        data_type: &DataType,
        level: usize,
        json: &mut String,
    ) -> Result<(), &'static str> {
        if text == self.null {
            json.push_str("null");
            return Ok(());
        }
        match data_type {
            DataType::List(element) => {
                json.push('[');
                if !text.is_empty() {
                    for (index, piece) in self.pieces(text, level).enumerate() {
                        if index > 0 {
                            json.push(',');
                        }
                        self.write(piece, element.data_type(), level + 1, json)?;
                    }
                }
                json.push(']');
            }
            DataType::Struct(fields) => {
                json.push('{');
                for (index, (piece, field)) in self.pieces(text, level).zip(fields).enumerate() {
                    if index > 0 {
                        json.push(',');
                    }
                    quoted(field.name(), json);
                    json.push(':');
                    self.write(piece, field.data_type(), level + 1, json)?;
                }
                json.push('}');
            }
            DataType::Map(entries, _) => {
                let DataType::Struct(fields) = entries.data_type() else {
                    return Err("a map without entries");
                };
                let [_, value_field] = fields.as_ref() else {
                    return Err("a map without keys and values");
                };
                json.push('{');
                // As in Hive, the first of several equal keys counts.
                let mut keys = HashSet::new();
                if !text.is_empty() {
                    for entry in self.pieces(text, level) {
                        let mut halves = self.pieces(entry, level + 1);
                        let key = halves.next().unwrap_or_default();
                        if key == self.null {
                            return Err("a map's key is null");
                        }
                        let key_text = self.cooked(key);
                        if !keys.insert(key_text.clone()) {
                            continue;
                        }
                        if keys.len() > 1 {
                            json.push(',');
                        }
                        quoted(&key_text, json);
                        json.push(':');
                        // Only the first delimiter ends the key.
                        let value = (key.len() < entry.len())
                            .then(|| entry.get(key.len() + 1..).unwrap_or_default());
                        match value {
                            Some(value) => {
                                self.write(value, value_field.data_type(), level + 2, json)?;
                            }
                            None => json.push_str("null"),
                        }
                    }
                }
                json.push('}');
            }
            DataType::Utf8 => quoted(&self.cooked(text), json),
            // An empty text is only a value in a column of strings.
            _ if text.is_empty() => json.push_str("null"),
            _ => quoted(&self.cooked(text), json),
        }
        Ok(())
    }

    fn cooked(&self, text: &str) -> String {
        let Some(escape) = self.escape else {
            return text.to_owned();
        };
        let mut cooked = String::new();
        unescape(text, char::from(escape), &mut cooked);
        cooked
    }

    /// Splits a text at the delimiters of a level.
    fn pieces<'t>(&self, text: &'t str, level: usize) -> impl Iterator<Item = &'t str> + use<'t> {
        let delimiter = self.delimiters.get(level).copied();
        let escape = self.escape;
        let mut rest = Some(text);
        std::iter::from_fn(move || {
            let text = rest?;
            let mut skip = false;
            let end = text.bytes().position(|byte| {
                if std::mem::take(&mut skip) {
                    return false;
                }
                skip = Some(byte) == escape;
                !skip && Some(byte) == delimiter
            });
            rest = end.and_then(|end| text.get(end + 1..));
            text.get(..end.unwrap_or(text.len()))
        })
    }
}

fn quoted(text: &str, json: &mut String) {
    json.push_str(&serde_json::Value::from(text).to_string());
}

//! Validates a configuration against its JSON Schema, and reports every key and value that does not conform, with its
//! position.

use std::{ops::Range, sync::LazyLock};

use bytesize::ByteSize;
use jiff::SignedDuration;
use serde_json::{Map, Value};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{mistake::Path, repartition::Source};
use crate::{catalog::TableName, location::Location, nearest::meant};

/// The schema that editors use; a test compares it with the structs.
static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../../docs/lakewright.schema.json"))
        .unwrap_or_default()
});

/// A key or value that does not conform to the schema.
pub(super) struct Found {
    pub(super) path: Path,
    pub(super) at: Range<usize>,
    pub(super) message: String,
    /// Whether the job can be checked without it.
    pub(super) superfluous: bool,
}

/// Everything in `tree`, which was read from `text`, that does not conform to the schema.
pub(super) fn check(text: &str, tree: &Spanned<DeTable<'_>>) -> Vec<Found> {
    let mut shape = Shape {
        text,
        found: Vec::new(),
    };
    shape.table(&SCHEMA, tree.get_ref(), &Path::default(), &tree.span());
    shape.found
}

struct Shape<'a> {
    text: &'a str,
    found: Vec<Found>,
}

/// Resolves a schema's references, and drops the alternative `null`, which TOML does not have.
fn resolve(mut schema: &Value) -> (&Value, &str) {
    let mut name = "";
    loop {
        if let Some(reference) = schema["$ref"].as_str() {
            name = reference.trim_start_matches("#/$defs/");
            schema = &SCHEMA["$defs"][name];
        } else if let Some(some) = optional(schema) {
            schema = some;
        } else {
            return (schema, name);
        }
    }
}

fn optional(schema: &Value) -> Option<&Value> {
    match schema["anyOf"].as_array()?.as_slice() {
        [some, null] if null["type"] == "null" => Some(some),
        _ => None,
    }
}

fn types(schema: &Value) -> impl Iterator<Item = &str> {
    let types = &schema["type"];
    let several = types.as_array().into_iter().flatten();
    several.chain([types]).filter_map(Value::as_str)
}

fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema["properties"].as_object()
}

/// `a`, `b` or `c`.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.map(|name| format!("\"{name}\"")).collect();
    match names.as_slice() {
        [rest @ .., last] if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

/// The job that a path belongs to, as messages call it.
fn title(path: &Path) -> String {
    let job = Path(path.0.iter().take(2).cloned().collect());
    format!("{job}: ")
}

impl Shape<'_> {
    fn say(&mut self, path: &Path, at: &Range<usize>, message: &str) {
        let place = match path.0.get(2) {
            Some(_) => title(path),
            None => String::new(),
        };
        self.found.push(Found {
            path: path.clone(),
            at: at.clone(),
            message: place + message,
            superfluous: false,
        });
    }

    /// A value as it is written, shortened.
    fn written(&self, span: &Range<usize>) -> String {
        const LONGEST: usize = 60;
        let text = self.text.get(span.clone()).unwrap_or_default();
        let text = text.lines().next().unwrap_or_default();
        if text.chars().count() > LONGEST {
            text.chars().take(LONGEST).chain(['…']).collect()
        } else {
            text.to_owned()
        }
    }

    fn table(&mut self, schema: &Value, table: &DeTable<'_>, path: &Path, at: &Range<usize>) {
        let Some(known) = properties(schema) else {
            // A table of names that the user chooses.
            for (key, value) in table {
                let path = path.key(key.get_ref());
                self.value(&schema["additionalProperties"], value, &path, &key.span());
            }
            return;
        };
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let path = path.key(name);
            if let Some(schema) = known.get(name) {
                self.value(schema, value, &path, &key.span());
                continue;
            }
            let names = known.keys().map(String::as_str);
            let near = meant(name, names.clone());
            let keys = names.collect::<Vec<_>>().join(", ");
            let shown = match path.0.len() {
                1 => name.to_owned(),
                _ => path.within_job(),
            };
            let message = format!("unknown key `{shown}`{near} (known here: {keys})");
            self.say(&path, &key.span(), &message);
            if let Some(last) = self.found.last_mut() {
                last.superfluous = true;
            }
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap_or_default();
            if table.get(name).is_none() {
                let about = known[name]["description"].as_str().unwrap_or_default();
                let about = about.replace('\n', " ");
                let path = path.key(name);
                let shown = path.within_job();
                self.say(&path, at, &format!("the key `{shown}` is missing. {about}"));
            }
        }
    }

    fn value(
        &mut self,
        schema: &Value,
        value: &Spanned<DeValue<'_>>,
        path: &Path,
        at: &Range<usize>,
    ) {
        let (schema, name) = resolve(schema);
        let written = self.written(&value.span());
        let shown = match path.0.len() {
            1 => path.to_string(),
            _ => path.within_job(),
        };
        let wrong = |wanted: &str| format!("{shown} = {written}: {wanted}");
        let refusal = match (name, value.get_ref()) {
            ("Size", value) => size(value).err().map(|wanted| wrong(&wanted)),
            ("FilesText", value) => files(value).then_some(()).map_or_else(
                || {
                    Some(wrong(
                        "write a number, or one with its sign in quotes, such as \"+1\"",
                    ))
                },
                |()| None,
            ),
            ("Constant", DeValue::Boolean(_))
            | ("Choice" | "Constant" | "KeyPart", DeValue::String(_)) => None,
            ("Constant", DeValue::Integer(number))
                if i64::from_str_radix(number.as_str(), number.radix()).is_ok() =>
            {
                None
            }
            ("Constant", _) => Some(wrong("write a text, a whole number, true or false")),
            ("KeyPart", DeValue::Integer(number))
                if u32::from_str_radix(number.as_str(), number.radix()).is_ok() =>
            {
                None
            }
            ("KeyPart", _) => Some(wrong(
                "write a part's name, such as \"tenant\", or its place, from 1",
            )),
            ("Choice", DeValue::Table(table)) => {
                let (column, _) = resolve(&schema["anyOf"][1]);
                self.table(column, table, path, at);
                None
            }
            ("Choice", _) => Some(wrong(
                "write a column's name, or { name = \"a\", as = \"b\", type = \"int\" }",
            )),
            (_, DeValue::String(string)) => text(schema, name, string, path, &written).err(),
            (_, DeValue::Table(table)) if types(schema).any(|kind| kind == "object") => {
                self.table(schema, table, path, at);
                None
            }
            (_, DeValue::Array(list)) if types(schema).any(|kind| kind == "array") => {
                for (index, item) in list.iter().enumerate() {
                    let path = path.index(index);
                    self.value(&schema["items"], item, &path, &item.span());
                }
                None
            }
            (_, DeValue::Boolean(_)) if types(schema).any(|kind| kind == "boolean") => None,
            (_, DeValue::Integer(number)) if types(schema).any(|kind| kind == "integer") => {
                let number = i128::from_str_radix(number.as_str(), number.radix()).ok();
                let most: i128 = match schema["format"].as_str() {
                    Some("uint8") => u8::MAX.into(),
                    Some("uint16") => u16::MAX.into(),
                    Some("uint32") => u32::MAX.into(),
                    _ => u64::MAX.into(),
                };
                let fits = number.is_some_and(|number| (0..=most).contains(&number));
                (!fits).then(|| wrong(&format!("write a whole number from 0 to {most}")))
            }
            (_, found) => Some(wrong(&wanted(schema, path, found, &written))),
        };
        if let Some(message) = refusal {
            self.say(path, at, &message);
        }
    }
}

fn text(schema: &Value, name: &str, text: &str, path: &Path, written: &str) -> Result<(), String> {
    let shown = path.within_job();
    let wrong = |wanted: String| Err(format!("{shown} = {written}: {wanted}"));
    if let Some(kinds) = schema["oneOf"].as_array() {
        let names = || kinds.iter().filter_map(|kind| kind["const"].as_str());
        if names().any(|name| name == text) {
            return Ok(());
        }
        return wrong(format!("write {}{}", listed(names()), meant(text, names())));
    }
    if !types(schema).any(|kind| kind == "string") {
        let found = DeValue::String(text.into());
        return wrong(wanted(schema, path, &found, written));
    }
    if schema["maxLength"] == 1 && text.chars().count() != 1 {
        return wrong("write one character; a tab is \"\\t\"".to_owned());
    }
    match name {
        "S3Uri" => location(text),
        "TableText" => text
            .parse::<TableName>()
            .map(drop)
            .map_err(|_| "write it as \"database.table\"".to_owned()),
        "SourceText" if text.contains('/') || text.starts_with("arn:") => location(text),
        "SourceText" => text.parse::<Source>().map(drop).map_err(|_| {
            "write a table as \"database.table\", or a prefix as \"s3://bucket/prefix/\"".to_owned()
        }),
        "DurationText" => text.parse::<SignedDuration>().map(drop).map_err(|_| {
            "write a number with its unit, such as \"90s\", \"20m\", \"24h\" or \"1h 30m\""
                .to_owned()
        }),
        _ => Ok(()),
    }
    .or_else(wrong)
}

/// The hint for a value of the wrong type.
fn wanted(schema: &Value, path: &Path, found: &DeValue<'_>, written: &str) -> String {
    let kind = types(schema).next().unwrap_or("string");
    let name = path.0.last().map(|_| path.within_job()).unwrap_or_default();
    match (kind, found) {
        ("array", DeValue::Table(_)) if path.0.len() == 1 => {
            format!("write `[[{path}]]`, with two brackets: there may be several")
        }
        ("array", DeValue::String(_)) => format!("it is a list: write `{name} = [{written}]`"),
        ("array", _) => format!("it is a list: write `{name} = [ … ]`"),
        ("object", DeValue::String(_)) => match schema["required"].as_array().map(Vec::as_slice) {
            Some([only]) => format!(
                "it is a table: write `{name} = {{ {} = {written} }}`",
                only.as_str().unwrap_or_default()
            ),
            _ => format!("it is a table: write `{name} = {{ … }}`"),
        },
        ("object", _) => format!("it is a table: write `{name} = {{ … }}`"),
        ("boolean", _) => "write true or false, without quotes".to_owned(),
        ("integer", _) => "write a whole number, without quotes".to_owned(),
        (_, DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_)) => {
            format!("it is a text: write \"{written}\"")
        }
        _ => "it is a text, in quotes".to_owned(),
    }
}

fn size(value: &DeValue<'_>) -> Result<(), String> {
    let fits = match value {
        DeValue::String(text) => text.parse::<ByteSize>().is_ok(),
        DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).is_ok(),
        _ => false,
    };
    fits.then_some(())
        .ok_or_else(|| "write a size above 0, such as \"256MiB\", or a number of bytes".to_owned())
}

fn files(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Integer(number) => u32::from_str_radix(number.as_str(), number.radix()).is_ok(),
        DeValue::String(text) => text.starts_with(['+', '-']) && text.parse::<i32>().is_ok(),
        _ => false,
    }
}

fn location(text: &str) -> Result<(), String> {
    let location = text.parse::<Location>();
    location
        .map(drop)
        .map_err(|_| "write s3://bucket/prefix/".to_owned())
}

//! The writer's schema of a file, checked and without references, for the decoder.
//! <https://avro.apache.org/docs/1.12.0/specification/#schema-declaration>

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::{error::AvroError, nulls::Layout};

/// The most columns, nested fields included.
const MAX_FIELDS: usize = 10_000;

/// The deepest nesting, as of the types of tables.
const MAX_DEPTH: usize = 64;

/// The most digits of a decimal number.
const MAX_PRECISION: u64 = 76;

/// A schema for the decoder: types with names are where they are used, under names that are used once, and what changes no
/// value, such as documentation and defaults, is left out. The UUID that is a string stays a string.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) json: String,
    /// The least bytes of memory that a row takes.
    pub(super) width: usize,
    /// How a record lies in the file, if the nulls in its lists may take much more memory than bytes.
    pub(super) swells: Option<Layout>,
}

/// Checks a schema.
///
/// # Errors
/// It is none, or has a type that tables do not have.
pub(super) fn read(text: &[u8], longest: usize) -> Result<Schema, AvroError> {
    let refused = |column: &str, what: String| AvroError::Schema {
        column: if column.is_empty() {
            "the schema".to_owned()
        } else {
            format!("column `{column}`")
        },
        what,
    };
    let value = serde_json::from_slice::<Value>(text)
        .map_err(|error| refused("", format!("no JSON: {error}")))?;
    let mut walk = Walk {
        longest,
        named: HashMap::new(),
        open: Vec::new(),
        fields: 0,
    };
    let is_record = value.get("type").and_then(Value::as_str) == Some("record");
    let root = walk.type_of(&value, Place::default(), "");
    let root = root.map_err(|fault| refused(&fault.path, fault.what))?;
    if !is_record {
        let what = "no record, and only a record has columns".to_owned();
        return Err(refused("", what));
    }
    if root.least == 0 {
        let what = "a record without columns that have values".to_owned();
        return Err(refused("", what));
    }
    Ok(Schema {
        json: root.json.to_string(),
        width: root.width,
        swells: root.layout.may_swell().then_some(root.layout),
    })
}

/// A type for the decoder.
struct Type {
    json: Value,
    /// The fewest bytes that a value takes in a file.
    least: usize,
    /// The fewest bytes that a value, or a null in its place, takes in memory.
    width: usize,
    layout: Layout,
}

impl Type {
    fn new(json: impl Into<Value>, least: usize, width: usize, layout: Layout) -> Self {
        Self {
            json: json.into(),
            least,
            width,
            layout,
        }
    }
}

struct Fault {
    path: String,
    what: String,
}

/// Where a type is.
#[derive(Debug, Clone, Copy, Default)]
struct Place<'a> {
    namespace: &'a str,
    depth: usize,
}

impl Place<'_> {
    fn inside(self) -> Self {
        Self {
            depth: self.depth + 1,
            ..self
        }
    }
}

struct Walk<'a> {
    /// The most bytes of a value.
    longest: usize,
    /// The types with names, by their full names, and the namespaces that they are in.
    named: HashMap<String, (&'a Value, &'a str)>,
    /// The records that the walk is in.
    open: Vec<String>,
    fields: usize,
}

impl<'a> Walk<'a> {
    fn type_of(&mut self, node: &'a Value, at: Place<'a>, path: &str) -> Result<Type, Fault> {
        let fault = |what: &str| Fault {
            path: path.to_owned(),
            what: what.to_owned(),
        };
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(fault(&format!("beyond {MAX_FIELDS} columns and fields")));
        }
        if at.depth > MAX_DEPTH {
            return Err(fault(&format!("nested deeper than {MAX_DEPTH} levels")));
        }
        match node {
            Value::String(name) => self.by_name(name, at, path),
            Value::Array(branches) => {
                let is_null = |branch: &Value| {
                    branch == "null" || branch.get("type").is_some_and(|name| name == "null")
                };
                let [one, other] = &branches[..] else {
                    return Err(fault(&union_of(branches)));
                };
                let (of, null_first) = match (is_null(one), is_null(other)) {
                    (true, false) => (other, true),
                    (false, true) => (one, false),
                    _ => return Err(fault(&union_of(branches))),
                };
                if of.is_array() {
                    return Err(fault("a union in a union, which Avro does not have"));
                }
                let of = self.type_of(of, at, path)?;
                let union = if null_first {
                    json!(["null", of.json])
                } else {
                    json!([of.json, "null"])
                };
                let layout = Layout::Nullable {
                    null_first,
                    of: Box::new(of.layout),
                    width: of.width + 1,
                };
                Ok(Type::new(union, 1, of.width + 1, layout))
            }
            Value::Object(object) => match object.get("type") {
                Some(Value::String(kind)) => self.by_kind(kind, node, object, at, path),
                Some(inner) => self.type_of(inner, at, path),
                None => Err(fault("without a type")),
            },
            _ => Err(fault("no type of Avro")),
        }
    }

    fn by_name(&mut self, name: &str, at: Place<'a>, path: &str) -> Result<Type, Fault> {
        if let Some(primitive) = primitive(name) {
            return Ok(primitive);
        }
        let fault = |what: String| Fault {
            path: path.to_owned(),
            what,
        };
        let full = full_name(name, at.namespace);
        if self.open.contains(&full) {
            let what = format!("the record `{full}` inside itself, which tables do not have");
            return Err(fault(what));
        }
        let Some(&(node, namespace)) = self.named.get(&full) else {
            return Err(fault(format!("of the type `{full}`, which is not defined")));
        };
        self.type_of(node, Place { namespace, ..at }, path)
    }

    fn by_kind(
        &mut self,
        kind: &str,
        node: &'a Value,
        object: &'a Map<String, Value>,
        at: Place<'a>,
        path: &str,
    ) -> Result<Type, Fault> {
        let fault = |what: String| Fault {
            path: path.to_owned(),
            what,
        };
        let named = matches!(kind, "record" | "error" | "enum" | "fixed");
        let (full, namespace) = if named {
            let Some(name) = object.get("name").and_then(Value::as_str) else {
                return Err(fault(format!("of type {kind} without a name")));
            };
            let own = object.get("namespace").and_then(Value::as_str);
            let full = full_name(name, own.unwrap_or(at.namespace));
            let namespace = match name.rsplit_once('.') {
                Some((namespace, _)) => namespace,
                None => own.unwrap_or(at.namespace),
            };
            self.named.insert(full.clone(), (node, at.namespace));
            (full, namespace)
        } else {
            (String::new(), at.namespace)
        };
        let at = Place { namespace, ..at };
        let logical = object.get("logicalType").and_then(Value::as_str);
        let number = |key: &str| object.get(key).and_then(Value::as_u64);
        let unique = format!("t{}", self.fields);
        match kind {
            "record" => {
                self.open.push(full);
                let record = self.record(object, &unique, at, path)?;
                self.open.pop();
                Ok(record)
            }
            "enum" => {
                let Some(Value::Array(symbols)) = object.get("symbols") else {
                    return Err(fault("an enum without symbols".to_owned()));
                };
                let json = json!({"type": "enum", "name": unique, "symbols": symbols});
                Ok(Type::new(json, 1, 4, Layout::Varint))
            }
            "fixed" => {
                let size = number("size").and_then(|size| usize::try_from(size).ok());
                let size = size.filter(|size| *size <= self.longest);
                let Some(size) = size else {
                    let longest = self.longest;
                    return Err(fault(format!(
                        "of a fixed size that is not between 0 and {longest} bytes (limits.record_size)"
                    )));
                };
                let mut json = json!({"type": "fixed", "name": unique, "size": size});
                match logical {
                    Some("decimal") => return decimal(json, object, size).map_err(fault),
                    Some("duration") if size == 12 => {
                        let what = "a duration, whose months and days tables do not have";
                        return Err(fault(what.to_owned()));
                    }
                    Some("uuid") if size == 16 => add(&mut json, "logicalType", "uuid"),
                    _ => {}
                }
                Ok(Type::new(json, size, size, Layout::Fixed(size)))
            }
            "array" => {
                let items = object.get("items");
                let items = items.ok_or_else(|| fault("an array without items".to_owned()))?;
                let items = self.type_of(items, at.inside(), &format!("{path}[]"))?;
                if items.least == 0 {
                    return Err(fault("an array of elements without values".to_owned()));
                }
                let json = json!({"type": "array", "items": items.json});
                Ok(Type::new(json, 1, 4, Layout::Array(Box::new(items.layout))))
            }
            "map" => {
                let values = object.get("values");
                let values = values.ok_or_else(|| fault("a map without values".to_owned()))?;
                let values = self.type_of(values, at.inside(), &format!("{path}{{}}"))?;
                let json = json!({"type": "map", "values": values.json});
                Ok(Type::new(json, 1, 4, Layout::Map(Box::new(values.layout))))
            }
            "bytes" if logical == Some("decimal") => {
                decimal(json!({"type": "bytes"}), object, 1).map_err(fault)
            }
            _ => {
                let mut plain = self.by_name(kind, at, path)?;
                // A logical type that the specification does not have for a type is to be ignored.
                if let Some(
                    logical @ ("date"
                    | "time-millis"
                    | "time-micros"
                    | "timestamp-millis"
                    | "timestamp-micros"
                    | "timestamp-nanos"
                    | "local-timestamp-millis"
                    | "local-timestamp-micros"
                    | "local-timestamp-nanos"),
                ) = logical
                    && primitive(kind).is_some()
                {
                    plain.json = json!({"type": kind, "logicalType": logical});
                }
                Ok(plain)
            }
        }
    }

    fn record(
        &mut self,
        object: &'a Map<String, Value>,
        unique: &str,
        at: Place<'a>,
        path: &str,
    ) -> Result<Type, Fault> {
        let fault = |what: &str| Fault {
            path: path.to_owned(),
            what: what.to_owned(),
        };
        let Some(Value::Array(fields)) = object.get("fields") else {
            return Err(fault("a record without fields"));
        };
        let (mut json, mut layout) = (Vec::new(), Vec::new());
        let (mut least, mut width) = (0, 0);
        for field in fields {
            let name = field.get("name").and_then(Value::as_str);
            let (Some(name), Some(node)) = (name, field.get("type")) else {
                return Err(fault("a record with a field without a name or a type"));
            };
            let path = if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}.{name}")
            };
            let of = self.type_of(node, at.inside(), &path)?;
            least += of.least;
            width += of.width;
            if width > self.longest {
                let longest = self.longest;
                let what = format!(
                    "beyond {longest} bytes (limits.record_size) that a record takes by its schema alone"
                );
                return Err(Fault { path, what });
            }
            json.push(json!({"name": name, "type": of.json}));
            layout.push(of.layout);
        }
        let json = json!({"type": "record", "name": unique, "fields": json});
        Ok(Type::new(json, least, width, Layout::Record(layout)))
    }
}

fn primitive(name: &str) -> Option<Type> {
    let (least, width, layout) = match name {
        "null" => (0, 0, Layout::Fixed(0)),
        "boolean" => (1, 1, Layout::Fixed(1)),
        "int" => (1, 4, Layout::Varint),
        "string" | "bytes" => (1, 4, Layout::Bytes),
        "long" => (1, 8, Layout::Varint),
        "float" => (4, 4, Layout::Fixed(4)),
        "double" => (8, 8, Layout::Fixed(8)),
        _ => return None,
    };
    Some(Type::new(name, least, width, layout))
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() {
        name.trim_start_matches('.').to_owned()
    } else {
        format!("{namespace}.{name}")
    }
}

fn add(json: &mut Value, key: &str, value: impl Into<Value>) {
    if let Value::Object(object) = json {
        object.insert(key.to_owned(), value.into());
    }
}

/// A decimal number in the bytes of a type.
fn decimal(mut json: Value, object: &Map<String, Value>, least: usize) -> Result<Type, String> {
    let precision = object.get("precision").and_then(Value::as_u64);
    let scale = object.get("scale").map_or(Some(0), Value::as_u64);
    let (Some(precision @ 1..=MAX_PRECISION), Some(scale)) = (precision, scale) else {
        return Err(format!(
            "a decimal whose precision is not from 1 to {MAX_PRECISION}, or whose scale is no number"
        ));
    };
    if scale > precision {
        return Err("a decimal whose scale is more than its precision".to_owned());
    }
    add(&mut json, "logicalType", "decimal");
    add(&mut json, "precision", precision);
    add(&mut json, "scale", scale);
    let width = if precision > 38 { 32 } else { 16 };
    let layout = match json.get("size") {
        Some(_) => Layout::Fixed(least),
        None => Layout::Bytes,
    };
    Ok(Type::new(json, least, width, layout))
}

/// What a union is that is no type that may be null.
fn union_of(branches: &[Value]) -> String {
    let name = |branch: &Value| {
        let kind = branch.get("name").or_else(|| branch.get("type"));
        let name = branch.as_str().or_else(|| kind.and_then(Value::as_str));
        name.unwrap_or("?").to_owned()
    };
    let names = branches.iter().map(name).collect::<Vec<_>>().join(", ");
    format!("a union of [{names}], and only one of null and one other type is read")
}

//! Infers a schema from all records.
//!
//! - Names are in lower case, as Glue registers them; columns keep the order in which they were first seen.
//! - Integers are `Int64`. Mixed with other numbers they are `Float64`, or text if that would lose precision: an
//!   integer beyond 2^53 among fractions, an integer beyond 64 bits, a number beyond the range of a double. (A text
//!   column keeps each number as written.)
//! - Strings are text, even if they look like times or numbers.
//! - Objects become structs with the fields of all objects; arrays become lists of the merged element.
//! - Values of different kinds, only nulls, and objects without any field (Parquet has no empty struct) become text.

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::{DataType, Field, Fields, Schema};
use thiserror::Error;

use super::{
    Broken, MAX_DEPTH, SyntaxError,
    keys::Keys,
    lex::{self, Element, Kind, Member, Stop},
    number,
};

/// The most columns of an inferred schema, including nested fields.
pub const MAX_COLUMNS: usize = 10_000;

/// Why no schema can be inferred.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InferError {
    /// A record is not one valid JSON object.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// Two fields of one object have the same name, ignoring case.
    #[error("the fields `{first}` and `{second}` differ only in case")]
    Collision {
        /// The one seen first.
        first: String,
        /// The other.
        second: String,
    },
    /// The records have too many fields.
    #[error("the records have more than {limit} fields, nested ones included")]
    TooManyColumns {
        /// The limit.
        limit: usize,
    },
}

/// What was seen in one place; each is a bit of [`Place::seen`].
pub(super) mod seen {
    pub(in super::super) const BOOLEAN: u8 = 1;
    pub(in super::super) const INTEGER: u8 = 2;
    /// An integer that a double cannot represent exactly.
    pub(in super::super) const WIDE_INTEGER: u8 = 4;
    pub(in super::super) const FRACTION: u8 = 8;
    /// A number that fits neither `Int64` nor `Float64`.
    pub(in super::super) const HUGE_NUMBER: u8 = 16;
    pub(in super::super) const STRING: u8 = 32;
    pub(in super::super) const OBJECT: u8 = 64;
    pub(in super::super) const ARRAY: u8 = 128;
    pub(in super::super) const NUMBER: u8 = INTEGER | WIDE_INTEGER | FRACTION | HUGE_NUMBER;
}

/// How columns are named.
#[derive(Debug, Clone, Copy)]
pub(super) enum Names {
    LowerCase,
    AsSpelled,
}

/// The values that were seen at one place in the records.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) seen: u8,
    pub(super) object: Option<Box<Object>>,
    pub(super) element: Option<Box<Place>>,
}

/// The fields of the objects in one place.
#[derive(Debug)]
pub(super) struct Object {
    keys: Keys<Option<usize>>,
    /// The first spelling of each field, and its values.
    pub(super) fields: Vec<(String, Place)>,
    /// Maps lower-case names to fields.
    pub(super) names: HashMap<String, usize>,
}

impl Object {
    pub(super) fn new() -> Self {
        Self {
            keys: Keys::new(),
            fields: Vec::new(),
            names: HashMap::new(),
        }
    }

    fn schema(&self, names: Names) -> Fields {
        let name = |name: &String| match names {
            Names::LowerCase => name.to_lowercase(),
            Names::AsSpelled => name.clone(),
        };
        let fields = self.fields.iter();
        fields
            .map(|(spelled, place)| Field::new(name(spelled), place.data_type(names), true))
            .collect()
    }
}

impl Place {
    pub(super) fn new() -> Self {
        Self {
            seen: 0,
            object: None,
            element: None,
        }
    }

    pub(super) fn data_type(&self, names: Names) -> DataType {
        if self.seen == seen::BOOLEAN {
            return DataType::Boolean;
        }
        if self.seen != 0 && self.seen & !seen::NUMBER == 0 {
            let has = |kinds: u8| self.seen & kinds != 0;
            return if has(seen::HUGE_NUMBER) || has(seen::WIDE_INTEGER) && has(seen::FRACTION) {
                DataType::Utf8
            } else if has(seen::FRACTION) {
                DataType::Float64
            } else {
                DataType::Int64
            };
        }
        match (self.seen, &self.object, &self.element) {
            (seen::OBJECT, Some(object), _) if !object.fields.is_empty() => {
                DataType::Struct(object.schema(names))
            }
            (seen::ARRAY, _, element) => {
                let element = element
                    .as_ref()
                    .map_or(DataType::Utf8, |e| e.data_type(names));
                DataType::List(Arc::new(Field::new_list_field(element, true)))
            }
            _ => DataType::Utf8,
        }
    }
}

/// Why the walk over a record stopped.
pub(super) enum Halt {
    Stop(Stop),
    Error(InferError),
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

/// Infers a schema record by record.
#[derive(Debug)]
pub struct Inference {
    max_depth: usize,
    pub(super) root: Object,
    pub(super) columns: usize,
    pub(super) limit: usize,
}

impl Inference {
    /// Starts without records. Records nested deeper than `max_depth`, at most [`MAX_DEPTH`], are refused.
    pub fn new(max_depth: usize) -> Self {
        Self {
            max_depth: max_depth.min(MAX_DEPTH),
            root: Object::new(),
            columns: 0,
            limit: MAX_COLUMNS,
        }
    }

    /// Adds one record, which must be exactly one JSON object.
    ///
    /// # Errors
    /// The record is not a JSON object, or there is no schema for it and the records before it ([`InferError`]).
    pub fn observe(&mut self, record: &[u8]) -> Result<(), InferError> {
        let start = lex::skip_space(record, 0);
        let mut walk = Walk {
            buf: record,
            room: self.max_depth,
            columns: &mut self.columns,
            limit: self.limit,
        };
        let end = match record.get(start) {
            Some(b'{') => walk.object(&mut self.root, start),
            _ => Ok(start),
        };
        let broken = match end {
            Ok(end) if end > start && lex::skip_space(record, end) == record.len() => return Ok(()),
            Ok(end) => Stop::Syntax {
                at: lex::skip_space(record, end),
                error: SyntaxError::UnexpectedByte,
            },
            Err(Halt::Stop(stop)) => stop,
            Err(Halt::Error(error)) => return Err(error),
        };
        Err(InferError::Broken(broken.into_broken(0, self.max_depth)))
    }

    /// The schema of all records so far, with names in lower case.
    pub fn schema(&self) -> Schema {
        Schema::new(self.root.schema(Names::LowerCase))
    }

    /// The schema of all records so far, with names as the records first spell them.
    pub fn spelled(&self) -> Schema {
        Schema::new(self.root.schema(Names::AsSpelled))
    }
}

pub(super) struct Walk<'a> {
    pub(super) buf: &'a [u8],
    /// How many more levels of objects and arrays are allowed.
    pub(super) room: usize,
    pub(super) columns: &'a mut usize,
    pub(super) limit: usize,
}

impl Walk<'_> {
    fn open(&mut self) -> Result<(), Stop> {
        self.room = self.room.checked_sub(1).ok_or(Stop::TooDeep)?;
        Ok(())
    }

    pub(super) fn value(&mut self, place: &mut Place, at: usize) -> Result<usize, Halt> {
        let kind = Kind::at(self.buf, at)?;
        let end = match kind {
            Kind::Object => {
                place.seen |= seen::OBJECT;
                let object = place.object.get_or_insert_with(|| Box::new(Object::new()));
                self.object(object, at)?
            }
            Kind::Array => {
                place.seen |= seen::ARRAY;
                let element = place.element.get_or_insert_with(|| Box::new(Place::new()));
                self.array(element, at)?
            }
            Kind::Number => {
                let number = number::read(self.buf, at)?;
                place.seen |= self.number_kind(number);
                number.end
            }
            Kind::String => {
                place.seen |= seen::STRING;
                lex::string(self.buf, at)?.next()
            }
            Kind::True | Kind::False => {
                place.seen |= seen::BOOLEAN;
                lex::scalar(self.buf, at, kind)?
            }
            Kind::Null => lex::scalar(self.buf, at, kind)?,
        };
        Ok(end)
    }

    fn number_kind(&self, number: number::Number) -> u8 {
        /// Doubles represent all integers up to this one exactly.
        const EXACT: u64 = 1 << f64::MANTISSA_DIGITS;
        let text = self.buf.get(number.start..number.end).unwrap_or_default();
        let written_as_integer = !text.iter().any(|b| matches!(b, b'.' | b'e' | b'E'));
        if written_as_integer {
            match number.integer(self.buf) {
                Some(value) if value.unsigned_abs() <= EXACT => seen::INTEGER,
                Some(_) => seen::WIDE_INTEGER,
                None => seen::HUGE_NUMBER,
            }
        } else if number.double(self.buf).is_some() {
            seen::FRACTION
        } else {
            seen::HUGE_NUMBER
        }
    }

    fn object(&mut self, object: &mut Object, at: usize) -> Result<usize, Halt> {
        self.open()?;
        object.keys.restart();
        let mut at = lex::skip_space(self.buf, at + 1);
        let mut first = true;
        loop {
            let Object {
                keys,
                fields,
                names,
            } = object;
            let fields_before = fields.len();
            let (key, value, known) = if let Some(next) = keys.next(self.buf, at, first) {
                next
            } else {
                let key = match lex::next_member(self.buf, at, first)? {
                    Member::Key(key) => key,
                    Member::End(end) => {
                        self.room += 1;
                        return Ok(end);
                    }
                };
                let (value, known) = keys.read(self.buf, at, key, |name| {
                    let index = *names.entry(name.to_lowercase()).or_insert(fields.len());
                    if index == fields.len() {
                        fields.push((name.to_owned(), Place::new()));
                    }
                    let same = fields.get(index).is_some_and(|(first, _)| first == name);
                    same.then_some(index)
                })?;
                (key, value, known)
            };
            first = false;
            *self.columns += fields.len() - fields_before;
            if *self.columns > self.limit {
                let limit = self.limit;
                return Err(Halt::Error(InferError::TooManyColumns { limit }));
            }
            let Some((_, place)) = known.and_then(|index| fields.get_mut(index)) else {
                return Err(Halt::Error(self.collision(object, key)?));
            };
            at = self.value(place, value)?;
        }
    }

    #[cold]
    fn collision(&self, object: &Object, key: usize) -> Result<InferError, Stop> {
        let second = lex::string(self.buf, key)?.decode(self.buf);
        let first = object
            .names
            .get(&second.to_lowercase())
            .and_then(|&index| object.fields.get(index));
        Ok(InferError::Collision {
            first: first.map_or_else(String::new, |(name, _)| name.clone()),
            second: second.into_owned(),
        })
    }

    fn array(&mut self, element: &mut Place, at: usize) -> Result<usize, Halt> {
        self.open()?;
        let mut at = at + 1;
        let mut first = true;
        loop {
            match lex::next_element(self.buf, at, first)? {
                Element::End(end) => {
                    self.room += 1;
                    return Ok(end);
                }
                Element::At(next) => at = self.value(element, next)?,
            }
            first = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::stated;

    fn infer(records: &[&str]) -> Result<Schema, InferError> {
        let mut inference = Inference::new(MAX_DEPTH);
        for record in records {
            inference.observe(record.as_bytes())?;
        }
        Ok(inference.schema())
    }

    #[test]
    fn types() {
        stated(
            "Integers within 64 bits are `bigint`, other numbers `double`, and both together `double`.",
        );
        stated(
            "Numbers are strings, each as it is written, where `double` would not be exact for an integer, and where one is beyond the range of its type.",
        );
        stated("Strings are strings, even if they look like times or numbers.");
        stated(
            "Objects are structs of all their fields, and arrays are lists of what all their elements have in common.",
        );
        stated(
            "Values of different kinds in one place, only nulls, and objects that never have a field are strings.",
        );
        let record_of_a = DataType::Struct(vec![Field::new("a", DataType::Int64, true)].into());
        let list = |element| DataType::List(Arc::new(Field::new_list_field(element, true)));
        for (values, expected) in [
            (vec!["null"], DataType::Utf8),
            (vec!["null", "true"], DataType::Boolean),
            (vec!["1", "-9223372036854775808"], DataType::Int64),
            (vec!["9007199254740993"], DataType::Int64),
            (vec!["1", "2.5"], DataType::Float64),
            (vec!["1.0"], DataType::Float64),
            (vec!["1e3", "9007199254740992"], DataType::Float64),
            (vec!["9007199254740993", "2.5"], DataType::Utf8),
            (vec!["9223372036854775808"], DataType::Utf8),
            (vec!["1e400"], DataType::Utf8),
            (vec!["1", "true"], DataType::Utf8),
            (vec!["\"2026-05-01\"", "\"1\""], DataType::Utf8),
            (vec!["[1,\"x\"]"], list(DataType::Utf8)),
            (vec!["{}"], DataType::Utf8),
            (vec!["{}", "null", "{\"a\":1}"], record_of_a.clone()),
            (vec!["{\"a\":1}", "[]"], DataType::Utf8),
            (vec!["[]"], list(DataType::Utf8)),
            (vec!["[]", "[1,null]", "[2.5]"], list(DataType::Float64)),
            (vec!["[{\"a\":1},{}]"], list(record_of_a)),
        ] {
            let records: Vec<_> = values.iter().map(|v| format!("{{\"x\":{v}}}")).collect();
            let records: Vec<_> = records.iter().map(String::as_str).collect();
            let schema = infer(&records).unwrap();
            assert_eq!(*schema.field(0).data_type(), expected, "{values:?}");
        }
    }

    #[test]
    fn order_and_names() {
        let schema = infer(&[
            r#"{"B":1,"deviceId":{"Z":1}}"#,
            r#"{"a":1,"deviceId":{"y":1,"Z":null},"B":2}"#,
        ])
        .unwrap();
        let names: Vec<_> = schema.fields.iter().map(|f| f.name().as_str()).collect();
        assert_eq!(names, ["b", "deviceid", "a"]);
        let DataType::Struct(nested) = schema.field(1).data_type() else {
            panic!("{schema}");
        };
        let names: Vec<_> = nested.iter().map(|f| f.name().as_str()).collect();
        assert_eq!(names, ["z", "y"]);
    }

    #[test]
    fn collisions_name_both() {
        stated(
            "Two fields of one place whose names differ in case refuse the object by both names, even if they are in different records.",
        );
        for records in [
            vec![r#"{"x":{"Id":1,"id":2}}"#],
            vec![r#"{"x":{"Id":1}}"#, r#"{"x":{"id":2}}"#],
            vec![r#"{"Id":1}"#, r#"{"Id":1}"#, r#"{"\u0069d":2}"#],
        ] {
            let error = infer(&records).unwrap_err();
            let (first, second) = ("Id".to_owned(), "id".to_owned());
            assert_eq!(error, InferError::Collision { first, second });
        }
    }

    #[test]
    fn limits() {
        stated("More than 10,000 columns, nested fields included, refuse the object.");
        assert_eq!(Inference::new(MAX_DEPTH).limit, 10_000);
        let mut inference = Inference::new(MAX_DEPTH);
        inference.limit = 3;
        inference.observe(br#"{"a":{"b":1,"c":2}}"#).unwrap();
        inference.observe(br#"{"a":{"c":1}}"#).unwrap();
        let error = inference.observe(br#"{"a":[{"d":1}]}"#).unwrap_err();
        assert_eq!(error, InferError::TooManyColumns { limit: 3 });

        let deep = format!(
            "{{\"a\":{}1{}}}",
            "[".repeat(MAX_DEPTH),
            "]".repeat(MAX_DEPTH)
        );
        let limit = MAX_DEPTH;
        assert_eq!(
            infer(&[&deep]).unwrap_err(),
            InferError::Broken(Broken::TooDeep { limit })
        );
    }

    #[test]
    fn only_whole_objects() {
        for bad in ["", "1", "[]", "{", "{}{}", "{} x", "{\"a\":01}"] {
            assert!(matches!(infer(&[bad]), Err(InferError::Broken(_))), "{bad}");
        }
    }
}

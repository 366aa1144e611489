//! Fields of records that have no column, and may become columns of the table.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Field, Fields};

use super::{
    ColumnsOptions, MAX_COLUMNS, RecordError,
    fill::Filled,
    infer::{Halt, InferError, Names, Place, Walk, seen},
    inferred::Sum,
};
use crate::{catalog::Column, config::Policy, hive_type};

/// The longest name and type of a column, in bytes. <https://docs.aws.amazon.com/glue/latest/webapi/API_Column.html>
const LONGEST_NAME: usize = 255;
const LONGEST_TYPE: usize = 131_072;

/// Why a field without a type cannot become a column.
pub const NO_TYPE: &str = "no type of Hive has all of its values, or the type's text is too long";

/// Which fields may become columns: those with a name that a column may have, unless they are refused.
#[derive(Debug, Clone, Default)]
pub struct NewColumns {
    /// Each in lower case, with the reason.
    refused: BTreeMap<String, &'static str>,
    closed: Option<&'static str>,
    room: Option<usize>,
}

impl NewColumns {
    /// The field of this name may not become a column.
    pub fn refuse(&mut self, name: &str, why: &'static str) {
        self.refused.insert(name.to_lowercase(), why);
    }

    /// At most this many fields may become columns.
    pub fn limit(&mut self, room: usize) {
        self.room = Some(room);
    }

    /// How many fields may become columns.
    pub fn room(&self) -> usize {
        self.room.unwrap_or(usize::MAX)
    }

    /// No field may become a column.
    pub fn close(&mut self, why: &'static str) {
        self.closed = Some(why);
    }

    /// Why a field of this name, in lower case, may not become a column.
    pub(crate) fn refusal(&self, name: &str) -> Option<&'static str> {
        let own = if name.is_empty() {
            Some("it has no name")
        } else if name.len() > LONGEST_NAME {
            Some("its name is longer than 255 bytes")
        } else if !is_one_line(name) {
            Some("its name has characters that names of columns may not have")
        } else {
            None
        };
        self.refused.get(name).copied().or(own).or(self.closed)
    }
}

/// Whether Glue takes it for the name or the type of a column.
fn is_one_line(text: &str) -> bool {
    !text
        .chars()
        .any(|character| character.is_control() || matches!(character, '\u{fffe}' | '\u{ffff}'))
}

/// The type of a column for a field of this type. Athena has no timestamps with a zone: instants are its timestamps.
fn type_of(data_type: &DataType) -> Option<String> {
    let hive_type = hive_type::render(&without_zones(data_type)).ok()?;
    (hive_type.len() <= LONGEST_TYPE && is_one_line(&hive_type)).then_some(hive_type)
}

fn without_zones(data_type: &DataType) -> DataType {
    let inside = |field: &Field| {
        let data_type = without_zones(field.data_type());
        field.clone().with_data_type(data_type)
    };
    match data_type {
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, None),
        DataType::List(element) => DataType::List(inside(element).into()),
        DataType::Map(entries, sorted) => DataType::Map(inside(entries).into(), *sorted),
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|field| inside(field)).collect::<Fields>())
        }
        other => other.clone(),
    }
}

/// Why a field of this type cannot become a column.
pub(crate) fn untyped(data_type: &DataType) -> Option<&'static str> {
    type_of(data_type).is_none().then_some(NO_TYPE)
}

/// Fields that may become columns, in the order in which they were first seen, and what is known of their types.
///
/// Those that have no value do not become columns, but if others bring a value, the column's type fits them too.
#[derive(Debug, Default)]
pub struct NewFields {
    /// By their names in lower case.
    fields: Vec<(String, Kind)>,
    /// The number of fields inside them.
    inside: usize,
}

#[derive(Debug)]
enum Kind {
    /// Its values in JSON.
    Seen(Place),
    /// The type of a file's column.
    Typed(DataType),
}

/// No column holds the values of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict;

impl NewFields {
    /// Adds a field with the type of a file's column.
    pub fn add_typed(&mut self, name: &str, data_type: &DataType) {
        let kind = Kind::Typed(data_type.clone());
        self.fields.push((name.to_lowercase(), kind));
    }

    /// Whether none has a value.
    pub fn is_empty(&self) -> bool {
        self.names().next().is_none()
    }

    /// The names of those that have a value, in lower case.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let valued = self.fields.iter().filter(|(_, kind)| kind.has_value());
        valued.map(|(name, _)| name.as_str())
    }

    /// Adds the fields of a later record, so that the columns hold the values of both.
    ///
    /// # Errors
    /// There are no such columns. Nothing is added.
    pub fn merge(&mut self, later: Self) -> Result<(), Conflict> {
        let conflicts = later.fields.iter().any(|(name, kind)| {
            let known = self.fields.iter().find(|(known, _)| known == name);
            match (known.map(|(_, known)| known), kind) {
                (Some(Kind::Typed(known)), Kind::Typed(data_type)) => known != data_type,
                (Some(Kind::Seen(_)), Kind::Seen(_)) | (None, _) => false,
                _ => true,
            }
        });
        if conflicts || self.inside + later.inside > MAX_COLUMNS {
            return Err(Conflict);
        }
        for (name, kind) in later.fields {
            match (
                self.fields.iter_mut().find(|(known, _)| *known == name),
                kind,
            ) {
                (Some((_, Kind::Seen(known))), Kind::Seen(place)) => {
                    let mut sum = Sum {
                        columns: &mut self.inside,
                        limit: MAX_COLUMNS,
                    };
                    sum.place(known, place).map_err(|_| Conflict)?;
                }
                (None, kind) => {
                    self.inside += kind.inside();
                    self.fields.push((name, kind));
                }
                (Some(_), _) => {}
            }
        }
        Ok(())
    }

    /// How many fields there would be with those of a later record.
    pub fn len_with(&self, later: &Self) -> usize {
        let is_known = |name: &str| self.names().any(|known| known == name);
        let new = later.names().filter(|name| !is_known(name));
        self.names().count() + new.count()
    }

    /// The columns.
    ///
    /// # Errors
    /// The names of the fields for whose values together Hive has no type.
    pub fn columns(&self) -> Result<Vec<Column>, Vec<String>> {
        let mut without_type = Vec::new();
        let mut columns = Vec::with_capacity(self.fields.len());
        for (name, kind) in self.fields.iter().filter(|(_, kind)| kind.has_value()) {
            let data_type = match kind {
                Kind::Seen(place) => place.data_type(Names::LowerCase),
                Kind::Typed(data_type) => data_type.clone(),
            };
            let name = name.clone();
            match type_of(&data_type) {
                Some(hive_type) => columns.push(Column { name, hive_type }),
                None => without_type.push(name),
            }
        }
        if without_type.is_empty() {
            Ok(columns)
        } else {
            Err(without_type)
        }
    }

    fn add_seen(&mut self, name: String, place: Place) {
        let one = Self {
            inside: place.inside(),
            fields: vec![(name, Kind::Seen(place))],
        };
        // A key that an object has twice: its last value counts, and the column holds both.
        let _: Result<(), Conflict> = self.merge(one);
    }
}

impl Kind {
    fn has_value(&self) -> bool {
        match self {
            Self::Seen(place) => place.has_value(),
            Self::Typed(_) => true,
        }
    }

    /// The number of fields inside it.
    fn inside(&self) -> usize {
        match self {
            Self::Seen(place) => place.inside(),
            Self::Typed(_) => 0,
        }
    }
}

impl Place {
    /// Whether there is anything but nulls, and objects and arrays of nothing else.
    fn has_value(&self) -> bool {
        let is_scalar = self.seen & !(seen::OBJECT | seen::ARRAY) != 0;
        let mut fields = self.object.iter().flat_map(|object| &object.fields);
        is_scalar
            || fields.any(|(_, place)| place.has_value())
            || self.element.as_ref().is_some_and(|of| of.has_value())
    }

    fn inside(&self) -> usize {
        let fields = self.object.iter().flat_map(|object| &object.fields);
        let fields = fields.map(|(_, place)| 1 + place.inside()).sum::<usize>();
        fields + self.element.as_ref().map_or(0, |of| of.inside())
    }

    /// With names in lower case, so that those of other records may be spelled differently.
    fn lower(&mut self) {
        for (name, place) in self.object.iter_mut().flat_map(|object| &mut object.fields) {
            *name = name.to_lowercase();
            place.lower();
        }
        if let Some(element) = &mut self.element {
            element.lower();
        }
    }
}

/// The fields without a column of the record that is being read.
#[derive(Debug)]
pub(super) struct Newcomers {
    rule: NewColumns,
    /// The keys of the record: in lower case, as it spells them, and whether there is a value.
    keys: Vec<(String, String, bool)>,
    found: NewFields,
    /// Whether a column is null where two keys mean it.
    drops_mismatches: bool,
}

impl Newcomers {
    pub(super) fn new(rule: NewColumns, options: &ColumnsOptions) -> Self {
        Self {
            rule,
            keys: Vec::new(),
            found: NewFields::default(),
            drops_mismatches: options.on_mismatch == Policy::Drop,
        }
    }

    /// Starts with the next record.
    pub(super) fn begin(&mut self) {
        self.keys.clear();
        self.found = NewFields::default();
    }

    /// Handles a field of JSON whose value is at `at`, with `room` more levels inside it. `is_own`: whether it is one of the record
    /// itself.
    #[cold]
    pub(super) fn add(
        &mut self,
        buf: &[u8],
        (name, at): (String, usize),
        room: usize,
        is_own: bool,
    ) -> Filled<()> {
        let mut place = Place::new();
        let mut walk = Walk {
            buf,
            room,
            columns: &mut 0,
            limit: MAX_COLUMNS,
        };
        let refused = match walk.value(&mut place, at) {
            Ok(_) => None,
            Err(Halt::Stop(stop)) => return Err(stop.into()),
            Err(Halt::Error(InferError::Collision { .. })) => {
                Some("the names of two fields inside it differ only in upper and lower case")
            }
            Err(Halt::Error(_)) => Some("it has too many fields"),
        };
        // Even without values: a column that others bring may not hold it.
        let no_type = || untyped(&place.data_type(Names::LowerCase));
        let refused = refused.or_else(|| if is_own { no_type() } else { None });
        let has_value = refused.is_some() || place.has_value();
        let lower = name.to_lowercase();
        if is_own {
            // Even without values, unless a column that others bring would be null: then the record would be set aside, after its
            // other fields have become columns.
            let collides = has_value || !self.drops_mismatches;
            let earlier = self.keys.iter().find(|(known, spelled, had_value)| {
                *known == lower && *spelled != name && (*had_value || collides)
            });
            if let Some((_, first, _)) = earlier {
                let error = RecordError::KeyCollision {
                    column: String::new(),
                    first: first.clone(),
                    second: name,
                };
                return Err(error.into());
            }
            self.keys.push((lower.clone(), name.clone(), has_value));
        }
        let refused = if is_own {
            self.rule.refusal(&lower).or(refused)
        } else {
            Some("it is inside another column, whose type stays as it is")
        };
        match refused {
            Some(why) if has_value => return Err(RecordError::NotAdded { name, why }.into()),
            Some(_) => return Ok(()),
            None if place.seen == 0 => return Ok(()),
            None => {}
        }
        place.lower();
        self.found.add_seen(lower, place);
        Ok(())
    }

    /// Handles a field of text that has a value.
    pub(super) fn add_text(&mut self, name: String) -> Result<(), RecordError> {
        let lower = name.to_lowercase();
        if let Some(why) = self.rule.refusal(&lower) {
            return Err(RecordError::NotAdded { name, why });
        }
        let mut place = Place::new();
        place.seen = seen::STRING;
        self.found.add_seen(lower, place);
        Ok(())
    }

    pub(super) fn take(&mut self) -> Option<NewFields> {
        let found = std::mem::take(&mut self.found);
        (!found.fields.is_empty()).then_some(found)
    }
}

#[cfg(test)]
mod tests {
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
            for (on_mismatch, expected) in [(Policy::Quarantine, quarantine), (Policy::Drop, drop)]
            {
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
}

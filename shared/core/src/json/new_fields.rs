//! Fields of records that have no column, and may become columns of the table.

use std::collections::{BTreeMap, HashMap, hash_map::Entry};

use arrow::datatypes::{DataType, Field, Fields};
use indexmap::IndexMap;

use super::{
    ColumnsOptions, MAX_COLUMNS, RecordError,
    infer::{Halt, InferError, Names, Place, Walk, seen},
    inferred::Sum,
    record::Filled,
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
    fields: IndexMap<String, Kind>,
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
        self.fields.insert(name.to_lowercase(), kind);
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
        let conflicts =
            later
                .fields
                .iter()
                .any(|(name, kind)| match (self.fields.get(name), kind) {
                    (Some(Kind::Typed(known)), Kind::Typed(data_type)) => known != data_type,
                    (Some(Kind::Seen(_)), Kind::Seen(_)) | (None, _) => false,
                    _ => true,
                });
        if conflicts || self.inside + later.inside > MAX_COLUMNS {
            return Err(Conflict);
        }
        for (name, kind) in later.fields {
            match (self.fields.get_mut(&name), kind) {
                (Some(Kind::Seen(known)), Kind::Seen(place)) => {
                    let mut sum = Sum {
                        columns: &mut self.inside,
                        limit: MAX_COLUMNS,
                    };
                    sum.place(known, place).map_err(|_| Conflict)?;
                }
                (None, kind) => {
                    self.inside += kind.inside();
                    self.fields.insert(name, kind);
                }
                (Some(_), _) => {}
            }
        }
        Ok(())
    }

    /// Whether no more than this many have a value, together with those of a later record.
    pub fn has_room_for(&self, later: &Self, room: usize) -> bool {
        let is_known = |name: &str| self.fields.get(name).is_some_and(Kind::has_value);
        let new = later.names().filter(|name| !is_known(name)).count();
        new == 0 || self.names().count() + new <= room
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
            fields: IndexMap::from([(name, Kind::Seen(place))]),
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

/// A key of the record that is being read.
#[derive(Debug)]
struct Key {
    /// As the record spells it first.
    spelled: String,
    /// Another spelling; neither has a value then.
    other: Option<String>,
    has_value: bool,
}

impl Key {
    /// The earlier spelling that this one collides with. `empty_collide`: whether two without values do.
    fn collides(&self, spelled: &str, has_value: bool, empty_collide: bool) -> Option<&String> {
        if !(has_value || self.has_value || empty_collide) {
            return None;
        }
        let earlier = [Some(&self.spelled), self.other.as_ref()];
        earlier
            .into_iter()
            .flatten()
            .find(|earlier| *earlier != spelled)
    }
}

/// The fields without a column of the record that is being read.
#[derive(Debug)]
pub(super) struct Newcomers {
    rule: NewColumns,
    /// The keys of the record, by their names in lower case.
    keys: HashMap<String, Key>,
    found: NewFields,
    /// Whether a column is null where two keys mean it.
    drops_mismatches: bool,
}

impl Newcomers {
    pub(super) fn new(rule: NewColumns, options: &ColumnsOptions) -> Self {
        Self {
            rule,
            keys: HashMap::new(),
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
            self.see_key(&lower, &name, has_value)?;
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

    /// Refuses a key of the record that differs from an earlier one only in case.
    fn see_key(&mut self, lower: &str, name: &str, has_value: bool) -> Filled<()> {
        match self.keys.entry(lower.to_owned()) {
            Entry::Vacant(entry) => {
                entry.insert(Key {
                    spelled: name.to_owned(),
                    other: None,
                    has_value,
                });
            }
            Entry::Occupied(mut entry) => {
                let key = entry.get_mut();
                // Even without values, unless a column that others bring would be null: then the record would be set aside, after
                // its other fields have become columns.
                if let Some(first) = key.collides(name, has_value, !self.drops_mismatches) {
                    let error = RecordError::KeyCollision {
                        column: String::new(),
                        first: first.clone(),
                        second: name.to_owned(),
                    };
                    return Err(error.into());
                }
                key.has_value |= has_value;
                if key.spelled != name {
                    key.other = Some(name.to_owned());
                }
            }
        }
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
mod tests;

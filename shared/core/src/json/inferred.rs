//! Merges what was inferred from parts of the records, and converts it to and from a list for a document.

use std::iter::Peekable;

use serde::{Deserialize, Serialize};

use super::{
    MAX_DEPTH,
    infer::{InferError, Inference, Object, Place, seen},
};

/// The kinds of values that were seen at one place in the records. In a list of places, each comes before those inside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InferredPlace {
    /// How many places contain it.
    #[serde(default, skip_serializing_if = "is_zero")]
    depth: usize,
    /// The field's name as it was first spelled; `None` for the elements of an array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The kinds of values that were seen there.
    seen: Vec<Seen>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(depth: &usize) -> bool {
    *depth == 0
}

/// A kind of value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Seen {
    Boolean,
    Integer,
    /// An integer that a double cannot represent exactly.
    WideInteger,
    Fraction,
    /// A number that fits neither `Int64` nor `Float64`.
    HugeNumber,
    String,
    Object,
    Array,
}

impl Seen {
    const ALL: [Self; 8] = [
        Self::Boolean,
        Self::Integer,
        Self::WideInteger,
        Self::Fraction,
        Self::HugeNumber,
        Self::String,
        Self::Object,
        Self::Array,
    ];

    fn bit(self) -> u8 {
        match self {
            Self::Boolean => seen::BOOLEAN,
            Self::Integer => seen::INTEGER,
            Self::WideInteger => seen::WIDE_INTEGER,
            Self::Fraction => seen::FRACTION,
            Self::HugeNumber => seen::HUGE_NUMBER,
            Self::String => seen::STRING,
            Self::Object => seen::OBJECT,
            Self::Array => seen::ARRAY,
        }
    }
}

impl Inference {
    /// Adds what was inferred from the records that follow.
    ///
    /// # Errors
    /// There is no schema for all of them.
    pub fn merge(&mut self, later: Self) -> Result<(), InferError> {
        let mut sum = Sum {
            columns: &mut self.columns,
            limit: self.limit,
        };
        sum.object(&mut self.root, later.root)
    }

    /// All places in the records so far.
    pub fn places(&self) -> Vec<InferredPlace> {
        let mut places = Vec::new();
        list(&self.root, 0, &mut places);
        places
    }

    /// Continues from a list of [`Inference::places`]; `None` if it is not such a list.
    pub fn resumed(max_depth: usize, places: Vec<InferredPlace>) -> Option<Self> {
        let mut places = places.into_iter().peekable();
        let mut before = Self::new(max_depth);
        fields(&mut before.root, &mut places, 0);
        let mut inference = Self::new(max_depth);
        inference.merge(before).ok()?;
        places.next().is_none().then_some(inference)
    }
}

fn list(object: &Object, depth: usize, places: &mut Vec<InferredPlace>) {
    for (name, place) in &object.fields {
        list_place(place, Some(name), depth, places);
    }
}

fn list_place(place: &Place, name: Option<&String>, depth: usize, places: &mut Vec<InferredPlace>) {
    let kinds = Seen::ALL.into_iter();
    places.push(InferredPlace {
        depth,
        name: name.cloned(),
        seen: kinds.filter(|kind| place.seen & kind.bit() != 0).collect(),
    });
    if let Some(element) = &place.element {
        list_place(element, None, depth + 1, places);
    }
    if let Some(object) = &place.object {
        list(object, depth + 1, places);
    }
}

/// Reads the fields at this depth from a list.
fn fields(
    object: &mut Object,
    places: &mut Peekable<impl Iterator<Item = InferredPlace>>,
    depth: usize,
) {
    while let Some(InferredPlace {
        name: Some(name),
        seen,
        ..
    }) = places.next_if(|place| place.depth == depth && place.name.is_some())
    {
        object.fields.push((name, inside(&seen, places, depth)));
    }
}

/// The place at this depth, with what the list has inside it.
fn inside(
    kinds: &[Seen],
    places: &mut Peekable<impl Iterator<Item = InferredPlace>>,
    depth: usize,
) -> Place {
    let mut place = Place::new();
    for kind in kinds {
        place.seen |= kind.bit();
    }
    if depth >= MAX_DEPTH {
        return place;
    }
    let is_element = |place: &InferredPlace| place.depth == depth + 1 && place.name.is_none();
    if let Some(element) = places.next_if(is_element) {
        place.element = Some(Box::new(inside(&element.seen, places, depth + 1)));
    }
    if place.seen & seen::OBJECT != 0 {
        let mut object = Object::new();
        fields(&mut object, places, depth + 1);
        place.object = Some(Box::new(object));
    }
    place
}

/// Adds the values of later records to those of earlier ones.
pub(super) struct Sum<'a> {
    pub(super) columns: &'a mut usize,
    pub(super) limit: usize,
}

impl Sum<'_> {
    fn object(&mut self, object: &mut Object, later: Object) -> Result<(), InferError> {
        for (name, place) in later.fields {
            let new = object.fields.len();
            let index = *object.names.entry(name.to_lowercase()).or_insert(new);
            if index == new {
                *self.columns += 1;
                if *self.columns > self.limit {
                    let limit = self.limit;
                    return Err(InferError::TooManyColumns { limit });
                }
                object.fields.push((name.clone(), Place::new()));
            }
            match object.fields.get_mut(index) {
                Some((first, earlier)) if *first == name => self.place(earlier, place)?,
                first => {
                    return Err(InferError::Collision {
                        first: first.map_or_else(String::new, |(first, _)| first.clone()),
                        second: name,
                    });
                }
            }
        }
        Ok(())
    }

    pub(super) fn place(&mut self, place: &mut Place, later: Place) -> Result<(), InferError> {
        place.seen |= later.seen;
        if let Some(later) = later.element {
            let element = place.element.get_or_insert_with(|| Box::new(Place::new()));
            self.place(element, *later)?;
        }
        if let Some(later) = later.object {
            let object = place.object.get_or_insert_with(|| Box::new(Object::new()));
            self.object(object, *later)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn infer(records: &[Value]) -> Result<Inference, InferError> {
        let mut inference = Inference::new(MAX_DEPTH);
        for record in records {
            inference.observe(record.to_string().as_bytes())?;
        }
        Ok(inference)
    }

    fn again(inference: &Inference) -> Inference {
        let text = serde_json::to_string(&inference.places()).unwrap();
        Inference::resumed(MAX_DEPTH, serde_json::from_str(&text).unwrap()).unwrap()
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
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                object(inner).prop_map(Value::from),
            ]
        })
    }

    fn object(
        value: impl Strategy<Value = Value>,
    ) -> impl Strategy<Value = serde_json::Map<String, Value>> {
        // Few of them collide.
        let name = (0_u8..40).prop_map(|number| match number {
            0 => "A".to_owned(),
            _ => char::from(b'a' + number % 5).to_string(),
        });
        prop::collection::vec((name, value), 0..5).prop_map(|fields| fields.into_iter().collect())
    }

    proptest! {
        #[test]
        fn no_split_of_the_records_changes_what_is_inferred(
            records in prop::collection::vec(object(value()).prop_map(Value::from), 0..12),
            mut cuts in prop::collection::vec(0_usize..12, 0..6),
        ) {
            let whole = infer(&records).map(|whole| (whole.spelled(), whole.places(), whole.columns));
            cuts.extend([0, records.len()]);
            cuts.sort_unstable();
            let mut parts = infer(&[]);
            for cut in cuts.windows(2) {
                let part = infer(&records[cut[0].min(records.len())..cut[1].min(records.len())]);
                parts = parts.and_then(|parts| {
                    let mut parts = again(&parts);
                    parts.merge(again(&part?))?;
                    Ok(parts)
                });
            }
            let parts = parts.map(|parts| (parts.spelled(), parts.places(), parts.columns));
            match (parts, whole) {
                (Ok(parts), Ok(whole)) => prop_assert_eq!(parts, whole),
                // Which of several collisions is found first depends on the parts.
                (parts, whole) => prop_assert_eq!(parts.is_err(), whole.is_err()),
            }
        }

        #[test]
        fn no_list_is_taken_for_another(mut depths in prop::collection::vec((0_usize..4, any::<bool>()), 0..8)) {
            depths.push((90, true));
            let places = depths.iter().enumerate().map(|(number, (depth, is_field))| InferredPlace {
                depth: *depth,
                name: is_field.then(|| number.to_string()),
                seen: vec![Seen::Object, Seen::Array],
            });
            prop_assert!(Inference::resumed(MAX_DEPTH, places.collect()).is_none());
        }
    }

    #[test]
    fn fields_are_counted_over_all_parts() {
        let record = |from: usize, to: usize| {
            let fields = (from..to).map(|n| (format!("c{n}"), json!(1)));
            Value::Object(fields.collect())
        };
        let mut parts = again(&infer(&[record(0, 6_000)]).unwrap());
        let limit = super::super::MAX_COLUMNS;
        parts
            .merge(infer(&[record(3_000, limit)]).unwrap())
            .unwrap();
        let one_more = infer(&[record(limit, limit + 1)]).unwrap();
        let error = parts.merge(one_more).unwrap_err();
        assert_eq!(error, InferError::TooManyColumns { limit });
    }
}

//! Parses a record in one pass, each value directly into its column.

use std::borrow::Cow;

use super::{
    ColumnsOptions, KeyNames, RecordError,
    lex::{self, Element, Kind, Member, Stop},
    new_fields::Newcomers,
    node::{ListNode, MapNode, Node, OnPath, Seen, StructNode, Target},
    record::Filled,
};
use crate::{config::Policy, shown::Found};

/// The most bytes of a mismatched value that an error shows.
const SHOWN: usize = 60;

/// The start of a mismatched value.
pub(super) fn shown(text: &[u8]) -> String {
    let shown = String::from_utf8_lossy(text.get(..SHOWN).unwrap_or(text));
    let more = if text.len() > SHOWN { "…" } else { "" };
    format!(
        "{}{more}",
        shown.trim_end_matches(char::REPLACEMENT_CHARACTER)
    )
}

/// The state of parsing one record.
pub(super) struct Filling<'a> {
    pub(super) buf: &'a [u8],
    pub(super) options: &'a ColumnsOptions,
    /// The timestamp's path, in lower case.
    pub(super) path: &'a [String],
    pub(super) key_names: &'a KeyNames,
    /// How many more objects and arrays may be opened within each other.
    pub(super) room: usize,
    pub(super) unknown: u32,
    pub(super) mismatched: u32,
    /// The position of the value at the timestamp's path.
    pub(super) timestamp: Option<(usize, usize)>,
    /// The record's fields without a column, if they may become columns.
    pub(super) new: Option<&'a mut Newcomers>,
    /// The key of the innermost object that is being read by which it was found.
    timestamp_key: (OnPath, usize),
}

impl<'a> Filling<'a> {
    pub(super) fn new(
        buf: &'a [u8],
        options: &'a ColumnsOptions,
        path: &'a [String],
        key_names: &'a KeyNames,
    ) -> Self {
        Self {
            buf,
            options,
            path,
            key_names,
            room: options.max_depth,
            unknown: 0,
            mismatched: 0,
            timestamp: None,
            new: None,
            timestamp_key: (OnPath::No, 0),
        }
    }
}

impl Filling<'_> {
    fn open(&mut self) -> Result<(), Stop> {
        self.room = self.room.checked_sub(1).ok_or(Stop::TooDeep)?;
        Ok(())
    }

    pub(super) fn text(&self, start: usize, end: usize) -> &[u8] {
        self.buf.get(start..end).unwrap_or_default()
    }

    fn drops_mismatches(&self) -> bool {
        self.options.on_mismatch == Policy::Drop
    }

    /// Reports the value at `start`, which does not fit `node`.
    #[cold]
    pub(super) fn mismatch<T>(&self, node: &Node, start: usize) -> Filled<T> {
        let end = lex::skip_value(self.buf, start, self.room)?;
        let found = match Kind::at(self.buf, start)? {
            Kind::Object => Found::Kind("an object"),
            Kind::Array => Found::Kind("an array"),
            _ => Found::Value(shown(self.text(start, end))),
        };
        Err(RecordError::Mismatch {
            column: String::new(),
            expected: node.type_name(),
            found,
        }
        .into())
    }

    /// Appends the value at `at` to `node`, or a null if it does not fit and the policy allows that.
    #[inline]
    pub(super) fn value(&mut self, node: &mut Node, at: usize) -> Filled {
        let room = self.room;
        let len = self.drops_mismatches().then(|| node.len());
        match (self.exact_value(node, at), len) {
            (Err(reject), Some(len)) if reject.is_mismatch() => {
                node.truncate(len);
                node.push_null();
                self.room = room;
                self.mismatched += 1;
                Ok(lex::skip_value(self.buf, at, room)?)
            }
            (filled, _) => filled,
        }
    }

    #[inline]
    fn exact_value(&mut self, node: &mut Node, at: usize) -> Filled {
        let kind = Kind::at(self.buf, at)?;
        if kind == Kind::Null {
            let end = lex::word(self.buf, at, b"null")?;
            node.push_null();
            return Ok(end);
        }
        match (node, kind) {
            (Node::Utf8(text) | Node::Binary(text), Kind::String) => {
                let string = lex::string(self.buf, at)?;
                if string.escaped {
                    lex::unescape(string.raw(self.buf), &mut text.values);
                    text.end()?;
                } else {
                    text.push_from(self.buf, string.start, string.end)?;
                }
                Ok(string.next())
            }
            (Node::Utf8(text) | Node::Binary(text), _) => {
                let end = lex::skip_value(self.buf, at, self.room)?;
                text.push_from(self.buf, at, end)?;
                Ok(end)
            }
            (Node::Nothing(count), _) => {
                let end = lex::skip_value(self.buf, at, self.room)?;
                *count += 1;
                Ok(end)
            }
            (Node::Struct(node), Kind::Object) => self.object(node, at),
            (Node::List(node), Kind::Array) => self.list(node, at),
            (Node::Map(node), Kind::Object) => self.map(node, at),
            (node, Kind::Number) => self.number(node, at),
            (node, Kind::String) => {
                let string = lex::string(self.buf, at)?;
                if self.string(node, &string.decode(self.buf)) {
                    Ok(string.next())
                } else {
                    self.mismatch(node, at)
                }
            }
            (Node::Boolean(values, nulls), Kind::True | Kind::False) => {
                let end = lex::scalar(self.buf, at, kind)?;
                values.append(kind == Kind::True);
                nulls.append_non_null();
                Ok(end)
            }
            (node, _) => self.mismatch(node, at),
        }
    }

    /// Appends the object at `at` as the next row of `node`.
    pub(super) fn object(&mut self, node: &mut StructNode, at: usize) -> Filled {
        self.open()?;
        let row = node.len();
        node.seen.fill(Seen::No);
        node.keys.restart();
        let mut at = lex::skip_space(self.buf, at + 1);
        let mut first = true;
        let mut missing = node.columns.len();
        loop {
            let (key, value, target) = if let Some(next) = node.keys.next(self.buf, at, first) {
                next
            } else {
                match lex::next_member(self.buf, at, first)? {
                    Member::Key(key) => self.other_key(node, at, key)?,
                    Member::End(end) => {
                        at = end;
                        break;
                    }
                }
            };
            first = false;
            at = match target.slot {
                None => self.unknown_field(key, value)?,
                Some(slot) => {
                    let slot = slot as usize;
                    let seen = node.seen.get(slot).copied().unwrap_or(Seen::No);
                    if seen == Seen::No {
                        missing -= usize::from(slot < node.columns.len());
                    } else if !self.take_back(node, target, slot, seen, row, key)? {
                        at = lex::skip_value(self.buf, value, self.room)?;
                        continue;
                    }
                    if let Some(seen) = node.seen.get_mut(slot) {
                        *seen = Seen::At(key);
                    }
                    self.field(node, target, slot, key, value)?
                }
            };
        }
        if missing > 0 {
            for (column, seen) in node.columns.iter_mut().zip(&node.seen) {
                if *seen == Seen::No {
                    column.push_null();
                }
            }
        }
        node.nulls.append_non_null();
        self.room += 1;
        Ok(at)
    }

    /// Reads a key that is not the expected one: its position, that of its value, and its meaning.
    #[cold]
    fn other_key(
        &mut self,
        node: &mut StructNode,
        at: usize,
        key: usize,
    ) -> Filled<(usize, usize, Target)> {
        let StructNode {
            keys,
            names,
            segment,
            columns,
            ..
        } = node;
        let root = self.room + 1 == self.options.max_depth;
        let (value, target) = keys.read(self.buf, at, key, |name| {
            match self.key_names.column(name, root) {
                Some(name) => resolve(&name, names, columns.len(), *segment, self.path),
                None => Target {
                    slot: None,
                    timestamp: OnPath::No,
                },
            }
        })?;
        Ok((key, value, target))
    }

    /// Handles the value at `value` of a key with a column or on the timestamp's path.
    #[inline]
    fn field(
        &mut self,
        node: &mut StructNode,
        target: Target,
        slot: usize,
        key: usize,
        value: usize,
    ) -> Filled {
        if target.timestamp != OnPath::No {
            return self.timestamp_field(node, target, slot, key, value);
        }
        self.plain_field(node, slot, key, value)
    }

    #[inline]
    fn plain_field(
        &mut self,
        node: &mut StructNode,
        slot: usize,
        key: usize,
        value: usize,
    ) -> Filled {
        let Some(column) = node.columns.get_mut(slot) else {
            return self.unknown_field(key, value);
        };
        self.value(column, value).map_err(|reject| {
            let name = node.fields.get(slot).map_or("", |field| field.name());
            Box::new(reject.inside(name))
        })
    }

    /// Handles the value of a key on the timestamp's path.
    fn timestamp_field(
        &mut self,
        node: &mut StructNode,
        target: Target,
        slot: usize,
        key: usize,
        value: usize,
    ) -> Filled {
        let (before, before_key) = (self.timestamp.take(), self.timestamp_key);
        let end = self.plain_field(node, slot, key, value)?;
        match target.timestamp {
            OnPath::No => {}
            OnPath::Here => self.timestamp = Some((value, end)),
            OnPath::Above(below) => {
                if !matches!(node.columns.get(slot), Some(Node::Struct(_))) {
                    self.timestamp = self.look_up(value, below as usize)?;
                }
            }
        }
        self.timestamp_key = (target.timestamp, key);
        // A key of the same name replaces the earlier one.
        if before.is_none() || before_key.0 == target.timestamp {
            return Ok(end);
        }
        // Two keys of one object are what the timestamp's name means, such as `a.b` and `a`: one may have a value there.
        if self.timestamp.is_none() {
            (self.timestamp, self.timestamp_key) = (before, before_key);
            return Ok(end);
        }
        let first = lex::string(self.buf, before_key.1)?.decode(self.buf);
        let second = lex::string(self.buf, key)?.decode(self.buf);
        Err(ambiguous(&first, &second).into())
    }

    /// Handles a field without a column.
    fn unknown_field(&mut self, key: usize, value: usize) -> Filled {
        let end = lex::skip_value(self.buf, value, self.room)?;
        if self.options.on_unknown != Policy::Drop {
            let name = lex::string(self.buf, key)?.decode(self.buf).into_owned();
            let is_own = self.room + 1 == self.options.max_depth;
            match self.new.as_deref_mut() {
                Some(new) => new.add(self.buf, (name, value), self.room, is_own)?,
                None => return Err(RecordError::UnknownField { name }.into()),
            }
        }
        self.unknown += 1;
        Ok(end)
    }

    /// Handles a second key for the column `slot`. If the key is the same, its value replaces the earlier one. If it
    /// differs in case, this is an error or, if the policy allows it, a null in that column (false).
    #[cold]
    fn take_back(
        &mut self,
        node: &mut StructNode,
        target: Target,
        slot: usize,
        seen: Seen,
        row: usize,
        key: usize,
    ) -> Filled<bool> {
        let Seen::At(earlier) = seen else {
            return Ok(false);
        };
        let first = lex::string(self.buf, earlier)?.decode(self.buf);
        let second = lex::string(self.buf, key)?.decode(self.buf);
        if let Some(column) = node.columns.get_mut(slot) {
            column.truncate(row);
        }
        if first == second {
            return Ok(true);
        }
        if !self.drops_mismatches() {
            return Err(collision(&first, &second).into());
        }
        if let Some(column) = node.columns.get_mut(slot) {
            column.push_null();
        }
        if let Some(seen) = node.seen.get_mut(slot) {
            *seen = Seen::Collided;
        }
        self.mismatched += 1;
        if target.timestamp != OnPath::No {
            self.timestamp = None;
        }
        Ok(false)
    }

    fn list(&mut self, node: &mut ListNode, at: usize) -> Filled {
        self.open()?;
        let mut at = at + 1;
        let mut first = true;
        loop {
            match lex::next_element(self.buf, at, first)? {
                Element::At(element) => at = element,
                Element::End(end) => {
                    at = end;
                    break;
                }
            }
            first = false;
            at = self
                .value(&mut node.element, at)
                .map_err(|reject| Box::new(reject.inside("[]")))?;
        }
        node.offsets.push(node.element.len())?;
        node.nulls.append_non_null();
        self.room += 1;
        Ok(at)
    }

    /// Appends an object as a map. If a key occurs several times, the last one counts.
    fn map(&mut self, node: &mut MapNode, at: usize) -> Filled {
        self.open()?;
        let mut entries = Vec::new();
        let mut at = at + 1;
        let end = loop {
            match lex::next_member(self.buf, at, entries.is_empty())? {
                Member::End(end) => break end,
                Member::Key(key) => {
                    let name = lex::string(self.buf, key)?;
                    let value = lex::value_of_key(self.buf, name.next())?;
                    at = lex::skip_value(self.buf, value, self.room)?;
                    entries.push((name.decode(self.buf), key, value));
                }
            }
        };
        // By key, the last of equal keys first; later restored to the original order.
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        entries.dedup_by(|later, kept| later.0 == kept.0);
        entries.sort_unstable_by_key(|&(_, key, _)| key);
        for (name, key, value) in entries {
            if !self.string(&mut node.key, &name) {
                return self.mismatch(&node.key, key);
            }
            self.value(&mut node.value, value)
                .map_err(|reject| Box::new(reject.inside("{}")))?;
        }
        node.offsets.push(node.value.len())?;
        node.nulls.append_non_null();
        self.room += 1;
        Ok(end)
    }

    /// Finds the value at the rest of the timestamp's path inside the value at `at`, which has no column.
    fn look_up(&mut self, mut at: usize, segment: usize) -> Filled<Option<(usize, usize)>> {
        if Kind::at(self.buf, at)? != Kind::Object {
            return Ok(None);
        }
        let mut keys: Vec<(OnPath, Cow<'_, str>, usize, usize)> = Vec::new();
        let mut first = true;
        at += 1;
        while let Member::Key(key) = lex::next_member(self.buf, at, first)? {
            first = false;
            let string = lex::string(self.buf, key)?;
            let value = lex::value_of_key(self.buf, string.next())?;
            at = lex::skip_value(self.buf, value, self.room)?;
            let text = string.decode(self.buf);
            let on_path = OnPath::of(&text.to_lowercase(), self.path, segment);
            if on_path == OnPath::No {
                continue;
            }
            match keys.iter_mut().find(|key| key.0 == on_path) {
                Some((_, earlier, ..)) if *earlier != text => {
                    if self.drops_mismatches() {
                        self.mismatched += 1;
                        return Ok(None);
                    }
                    return Err(collision(earlier, &text).into());
                }
                Some(same) => (same.2, same.3) = (value, at),
                None => keys.push((on_path, text, value, at)),
            }
        }
        let mut found: Option<(Cow<'_, str>, (usize, usize))> = None;
        for (on_path, text, value, end) in keys {
            let place = match on_path {
                OnPath::Above(below) => self.look_up(value, below as usize)?,
                _ => Some((value, end)),
            };
            match (place, &found) {
                (None, _) => {}
                (Some(place), None) => found = Some((text, place)),
                (Some(_), Some((first, _))) => return Err(ambiguous(first, &text).into()),
            }
        }
        Ok(found.map(|(_, place)| place))
    }
}

fn ambiguous(first: &str, second: &str) -> RecordError {
    RecordError::AmbiguousTimestamp {
        first: first.to_owned(),
        second: second.to_owned(),
    }
}

fn collision(first: &str, second: &str) -> RecordError {
    RecordError::KeyCollision {
        column: String::new(),
        first: first.to_owned(),
        second: second.to_owned(),
    }
}

/// Resolves the key with the lower-case `name` in an object.
fn resolve(
    name: &str,
    names: &std::collections::HashMap<String, usize>,
    columns: usize,
    segment: Option<usize>,
    path: &[String],
) -> Target {
    let timestamp = segment.map_or(OnPath::No, |segment| OnPath::of(name, path, segment));
    let of_timestamp = match timestamp {
        OnPath::No => None,
        OnPath::Here => Some(columns),
        OnPath::Above(below) => Some(columns + below as usize),
    };
    Target {
        slot: names
            .get(name)
            .copied()
            .or(of_timestamp)
            .and_then(|slot| u32::try_from(slot).ok()),
        timestamp,
    }
}

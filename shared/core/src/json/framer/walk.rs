//! Parses an envelope token by token up to its records, so that it may be larger than the memory.
//!
//! Fields that are neither on the path nor kept are skipped as they arrive. An object on the path is kept in memory from its
//! start until its records begin, up to the longest record: if it turns out to have no records, it is set aside as a whole.

use crate::{
    json::{
        MAX_DEPTH,
        envelope::{Envelope, Lack, Step, look_up},
        lex::{self, Element, Kind, Member, Stop},
    },
    records::{FrameError, Window},
};

/// The position in the current envelope.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) envelope: Envelope,
    max_record: usize,
    /// The containers of the path that are open.
    open: Vec<Level>,
    /// Whether the innermost one was just entered.
    first: bool,
    /// Whether `at` is at an element that is to be read.
    pending: bool,
    /// The value that is being skipped.
    passing: Option<Passing>,
    /// The values of the kept fields, as they are written.
    values: Vec<Option<Box<[u8]>>>,
    /// What a record has before its own fields: a bracket, and the kept fields with a comma after each.
    prefix: Vec<u8>,
    /// Why the records of the open list are set aside.
    lack: Option<Lack>,
    /// Whether the elements of the open list are no records.
    is_control: bool,
    /// How many envelopes had such elements.
    pub(super) controls: u64,
}

/// A container that is open.
#[derive(Debug)]
struct Level {
    /// Its start in the stream.
    start: u64,
    /// For an object: whether the path's key was found in it.
    found: bool,
    /// Why it has no records, if it has none.
    lack: Option<Lack>,
    /// Whether it is in memory from its start.
    is_held: bool,
}

/// What comes next.
pub(super) enum Next {
    /// The element at `at`.
    Element,
    /// The envelope is over.
    End,
    /// A part that is to be set aside.
    Aside {
        start: usize,
        end: usize,
        lack: Lack,
    },
}

/// Why it cannot continue.
pub(super) enum Halt {
    Stop(Stop),
    Frame(FrameError),
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl Walk {
    pub(super) fn new(envelope: Envelope, max_record: usize) -> Self {
        let values = envelope.kept().iter().map(|_| None).collect();
        Self {
            envelope,
            max_record,
            open: Vec::new(),
            first: false,
            pending: false,
            passing: None,
            values,
            prefix: Vec::new(),
            lack: None,
            is_control: false,
            controls: 0,
        }
    }

    /// Whether it is inside an envelope.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Whether `at` is at an element.
    pub(super) fn is_at_element(&self) -> bool {
        self.pending
    }

    /// Why the element at `at` is set aside, if it is a record.
    pub(super) fn lack(&self) -> Option<Lack> {
        self.lack
    }

    /// What comes before the fields of the element at `at`.
    pub(super) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// Enters the envelope, or the container of the path, whose bracket is at `at`.
    pub(super) fn enter(&mut self, window: &mut Window) {
        let level = self.open.len();
        let is_object = matches!(self.envelope.path().get(level), Some(Step::Key(_)));
        self.open.push(Level {
            start: window.offset(window.at),
            found: false,
            lack: None,
            is_held: is_object,
        });
        for (kept, value) in self.envelope.kept().iter().zip(&mut self.values) {
            if kept.level == level {
                *value = None;
            }
        }
        window.at += 1;
        self.first = true;
        if self.open.len() == self.envelope.path().len() {
            self.begin_records();
        }
    }

    fn begin_records(&mut self) {
        let missing = self.values.iter().position(Option::is_none);
        self.lack = missing.map(Lack::NotBefore);
        self.prefix.clear();
        let mut fields = self.envelope.kept().iter().zip(&self.values);
        if self.envelope.is_logs() {
            let kind = fields.next().and_then(|(_, value)| value.as_deref());
            self.is_control = kind == Some(b"\"CONTROL_MESSAGE\"");
            if self.is_control {
                self.controls += 1;
                self.lack = None;
                return;
            }
            if kind.is_some_and(|kind| kind != b"\"DATA_MESSAGE\"") {
                self.lack = Some(Lack::UnknownType);
            }
        }
        if self.lack.is_some() {
            return;
        }
        for (kept, value) in fields {
            let opening = if self.prefix.is_empty() { '{' } else { ',' };
            let name = serde_json::Value::from(kept.name());
            let begin = format!("{opening}{name}:");
            self.prefix.extend_from_slice(begin.as_bytes());
            self.prefix
                .extend_from_slice(value.as_deref().unwrap_or_default());
        }
        if !self.prefix.is_empty() {
            self.prefix.push(b',');
        }
    }

    /// Leaves everything that is open.
    pub(super) fn leave(&mut self) {
        self.open.clear();
        self.pending = false;
        self.passing = None;
        self.end_records();
    }

    fn end_records(&mut self) {
        self.prefix.clear();
        self.lack = None;
        self.is_control = false;
    }

    /// The element at `at` was read, or is to be read again.
    pub(super) fn passed_element(&mut self, passed: bool) {
        self.pending = !passed;
        self.first = false;
    }

    /// A broken stretch is over. `is_closed`: with its closing bracket.
    pub(super) fn passed_broken(&mut self, is_closed: bool) {
        if !is_closed {
            self.leave();
        } else if self.pending {
            self.passed_element(true);
        } else {
            self.passing = None;
            self.close();
        }
    }

    /// Where the innermost object on the path begins, if it is in memory.
    pub(super) fn held(&self, window: &Window) -> Option<usize> {
        let level = self.open.last().filter(|level| level.is_held)?;
        Some(window.place(level.start))
    }

    /// Whether the innermost container is an object on the path that is in memory from its start.
    pub(super) fn is_held(&self) -> bool {
        self.open.last().is_some_and(|level| level.is_held)
    }

    /// How many bytes before `at` are still needed.
    pub(super) fn needed(&self, window: &Window) -> usize {
        let held = self.held(window);
        held.map_or(self.prefix.len(), |start| window.at - start)
    }

    /// Moves to the next element.
    ///
    /// # Errors
    /// More bytes are needed, or the envelope is broken at `at`.
    pub(super) fn next(&mut self, window: &mut Window) -> Result<Next, Halt> {
        loop {
            if self.pending {
                return Ok(Next::Element);
            }
            if let Some(passing) = &mut self.passing {
                let passed = passing.pass(&window.bytes, &mut window.at, self.max_record);
                self.let_go(window);
                passed?;
                self.passing = None;
            }
            self.let_go(window);
            window.at = lex::skip_space(&window.bytes, window.at);
            let Some(level) = self.open.len().checked_sub(1) else {
                return Ok(Next::End);
            };
            let next = match self.envelope.path().get(level) {
                Some(Step::Key(_)) => self.member(window, level)?,
                _ => self.element(window, level)?,
            };
            if let Some(next) = next {
                return Ok(next);
            }
        }
    }

    /// Stops keeping an object that is longer than a record may be.
    fn let_go(&mut self, window: &Window) {
        if let Some(start) = self.held(window)
            && window.at - start > self.max_record
            && let Some(level) = self.open.last_mut()
        {
            level.is_held = false;
        }
    }

    fn close(&mut self) {
        self.open.pop();
        self.first = false;
        self.end_records();
    }

    /// Reads the next member of an object.
    fn member(&mut self, window: &mut Window, level: usize) -> Result<Option<Next>, Halt> {
        let end = window.at.saturating_add(self.max_record);
        let buf = window.bytes.get(..end).unwrap_or(&window.bytes);
        let key = match lex::next_member(buf, window.at, self.first)? {
            Member::End(end) => return self.end_of_object(window, level, end),
            Member::Key(key) => key,
        };
        let name = lex::string(buf, key)?;
        let value = lex::value_of_key(buf, name.next())?;
        let kind = Kind::at(buf, value)?;
        let name = name.decode(buf);
        let (path, kept) = (self.envelope.path(), self.envelope.kept());
        if matches!(path.get(level), Some(Step::Key(key)) if *key == name) {
            let Some(open) = self.open.last_mut() else {
                return Ok(None);
            };
            if open.found {
                let end = lex::skip_value(buf, value, MAX_DEPTH)?;
                window.at = end;
                self.first = false;
                return Ok(Some(Next::Aside {
                    start: value,
                    end,
                    lack: Lack::Twice(level),
                }));
            }
            let (wanted, lack) = match path.get(level + 1) {
                Some(Step::Key(_)) => (Kind::Object, Lack::NotAnObject(level)),
                _ => (Kind::Array, Lack::NotAList(level)),
            };
            if kind == wanted {
                *open = Level {
                    found: true,
                    lack: None,
                    is_held: false,
                    ..*open
                };
                window.at = value;
                self.enter(window);
                return Ok(None);
            }
            open.lack = Some(lack);
        }
        let is_kept = kept
            .iter()
            .any(|kept| kept.level == level && kept.keys.first().is_some_and(|key| *key == name));
        if is_kept {
            let end = lex::skip_value(buf, value, MAX_DEPTH)?;
            for (kept, slot) in kept.iter().zip(&mut self.values) {
                if let Some((first, inner)) = kept.keys.split_first()
                    && kept.level == level
                    && *first == name
                {
                    let found = look_up(buf, value, inner)?;
                    *slot = found.and_then(|(start, end)| buf.get(start..end).map(Box::from));
                }
            }
            window.at = end;
        } else {
            window.at = value;
            self.passing = Some(Passing::default());
        }
        self.first = false;
        Ok(None)
    }

    fn end_of_object(
        &mut self,
        window: &mut Window,
        level: usize,
        end: usize,
    ) -> Result<Option<Next>, Halt> {
        let held = self.held(window);
        let Some(open) = self.open.last() else {
            return Ok(None);
        };
        let aside = match (open.found, held) {
            (true, _) => None,
            (false, Some(start)) => Some(Next::Aside {
                start,
                end,
                lack: open.lack.unwrap_or(Lack::Missing(level)),
            }),
            // Without records it is a record that is too long.
            (false, None) => {
                return Err(Halt::Frame(FrameError::RecordTooLong {
                    offset: open.start,
                    limit: self.max_record,
                }));
            }
        };
        window.at = end;
        self.close();
        Ok(aside)
    }

    /// Moves to the next element of a list.
    fn element(&mut self, window: &mut Window, level: usize) -> Result<Option<Next>, Halt> {
        let end = window.at.saturating_add(self.max_record);
        let buf = window.bytes.get(..end).unwrap_or(&window.bytes);
        let at = match lex::next_element(buf, window.at, self.first)? {
            Element::End(end) => {
                window.at = end;
                self.close();
                return Ok(None);
            }
            Element::At(at) => at,
        };
        let is_object = lex::byte(buf, at)? == b'{';
        window.at = at;
        if is_object && level + 1 < self.envelope.path().len() {
            self.enter(window);
            return Ok(None);
        }
        if self.is_control {
            self.passing = Some(Passing::default());
            self.first = false;
            return Ok(None);
        }
        self.pending = true;
        Ok(Some(Next::Element))
    }
}

/// Skips a value while it arrives, as [`lex::skip_value`] does for one that is in memory.
#[derive(Debug, Default)]
struct Passing {
    /// The open containers as bits: whether each is an object.
    objects: u64,
    open: usize,
    place: Place,
}

#[derive(Debug, Default, Clone, Copy)]
enum Place {
    #[default]
    Value,
    /// After the bracket of a container.
    Opened,
    /// After a value.
    After,
}

impl Passing {
    /// Moves `at` to the end of the value, or to where it stops. No part of it may be longer than a record.
    fn pass(&mut self, bytes: &[u8], at: &mut usize, longest: usize) -> Result<(), Stop> {
        loop {
            let buf = bytes.get(..at.saturating_add(longest)).unwrap_or(bytes);
            if let Place::Value = self.place {
                *at = lex::skip_space(buf, *at);
                let buf = bytes.get(..at.saturating_add(longest)).unwrap_or(bytes);
                let kind = Kind::at(buf, *at)?;
                if let Kind::Object | Kind::Array = kind {
                    if self.open >= MAX_DEPTH {
                        return Err(Stop::TooDeep);
                    }
                    self.open += 1;
                    self.objects = self.objects << 1 | u64::from(kind == Kind::Object);
                    *at += 1;
                    self.place = Place::Opened;
                } else {
                    *at = lex::scalar(buf, *at, kind)?;
                    self.place = Place::After;
                }
            }
            if self.open == 0 {
                return Ok(());
            }
            let is_first = matches!(self.place, Place::Opened);
            let closed = if self.objects & 1 == 1 {
                match lex::next_member(buf, *at, is_first)? {
                    Member::Key(key) => {
                        *at = lex::value_of_key(buf, lex::string(buf, key)?.next())?;
                        None
                    }
                    Member::End(end) => Some(end),
                }
            } else {
                match lex::next_element(buf, *at, is_first)? {
                    Element::At(element) => {
                        *at = element;
                        None
                    }
                    Element::End(end) => Some(end),
                }
            };
            self.place = match closed {
                None => Place::Value,
                Some(end) => {
                    *at = end;
                    self.open -= 1;
                    self.objects >>= 1;
                    Place::After
                }
            };
        }
    }
}

//! Records in envelopes: how the framer goes in and out of them.
//!
//! An element is read where it is in the buffer, in the same pass as a record outside of an envelope. The kept fields are
//! written before it, over bytes that were read already, so that the two are one object.

use super::{
    Context, Found, Framer, Opening,
    walk::{Halt, Next, Walk},
};
use crate::{
    json::{
        Broken, Lack, MAX_DEPTH, RecordError,
        lex::{self, Stop},
    },
    records::FrameError,
};

/// The next part of an envelope.
pub(super) enum Way<T> {
    /// The element at `at`.
    Element,
    /// A part that is set aside.
    Found(Found<T>),
    /// More bytes are needed.
    More,
    /// There is no envelope, or it is over.
    Outside,
}

impl Framer {
    /// Whether an envelope begins at `at`; then it is open.
    pub(super) fn begins_envelope(&mut self, opening: &Opening) -> bool {
        let Some(walk) = &mut self.walk else {
            return false;
        };
        let is_object = self.window.bytes.get(self.window.at) == Some(&b'{');
        let begins = is_object && matches!(opening, Opening::Value);
        if begins {
            walk.enter(&mut self.window);
            self.wanted = 0;
            self.passed_top_value();
        }
        begins
    }

    /// Moves to the next element of the envelope that is open.
    pub(super) fn enter_envelope<T>(&mut self) -> Result<Way<T>, FrameError> {
        let Some(walk) = self.walk.as_mut().filter(|walk| walk.is_open()) else {
            return Ok(Way::Outside);
        };
        let available = self.window.bytes.len() - self.window.at;
        if !walk.is_at_element() && !self.window.ended && available < self.wanted {
            return Ok(Way::More);
        }
        match walk.next(&mut self.window) {
            Ok(Next::Element) => Ok(Way::Element),
            Ok(Next::End) => Ok(Way::Outside),
            Ok(Next::Aside { start, end, lack }) => {
                self.wanted = 0;
                Ok(Way::Found(Found {
                    offset: self.window.offset(start),
                    start,
                    end,
                    is_unfolded: false,
                    outcome: Err(Broken::Envelope(lack)),
                }))
            }
            Err(Halt::Frame(error)) => Err(error),
            Err(Halt::Stop(stop)) => self.stopped(stop),
        }
    }

    /// Handles an envelope that ends or breaks off at `at`.
    fn stopped<T>(&mut self, stop: Stop) -> Result<Way<T>, FrameError> {
        let rest = self.window.rest();
        if stop == Stop::Incomplete {
            if rest.len() > self.max_record {
                return Err(self.window.too_long(self.max_record));
            }
            if !self.window.ended {
                self.want_more();
                return Ok(Way::More);
            }
        }
        let held = self.walk.as_ref().and_then(|walk| walk.held(&self.window));
        if let Some(start) = held {
            self.window.at = start;
        } else {
            // Only the envelope is broken, not what follows.
            let follows = match stop {
                Stop::Incomplete if matches!(lex::trim_space_end(rest), b"" | b",") => {
                    Some(self.window.bytes.len())
                }
                Stop::Syntax { at, .. } => {
                    let byte = self.window.bytes.get(at);
                    matches!(byte, Some(b'{' | b'[')).then_some(at)
                }
                _ => None,
            };
            if let Some(at) = follows {
                self.window.at = at;
                self.wanted = 0;
                if self.context != Context::Top {
                    self.context = Context::Resumed;
                }
                if let Some(walk) = &mut self.walk {
                    walk.leave();
                }
                let unclosed = Broken::Envelope(Lack::Unclosed);
                return Ok(Way::Found(self.unclosed(unclosed)));
            }
        }
        Ok(match self.find_broken(stop, MAX_DEPTH) {
            Some(found) => Way::Found(found),
            None => Way::More,
        })
    }

    /// Writes the kept fields before the element at `at`. Returns where the record begins.
    pub(super) fn put_prefix(&mut self) -> usize {
        let walk = self.walk.as_ref();
        let walk = walk.filter(|walk| walk.is_at_element() && !walk.envelope.is_logs());
        let prefix = walk.map_or(&[][..], |walk| walk.prefix());
        let is_object = self.window.bytes.get(self.window.at) == Some(&b'{');
        let Some(before) = prefix.len().checked_sub(1).filter(|_| is_object) else {
            return self.window.at;
        };
        self.window.make_room(before);
        let at = self.window.at;
        let start = at - before;
        let next = lex::skip_space(&self.window.bytes, at + 1);
        let is_empty = self.window.bytes.get(next) == Some(&b'}');
        if let Some(room) = self.window.bytes.get_mut(start..=at) {
            room.copy_from_slice(prefix);
        }
        if is_empty && let Some(comma) = self.window.bytes.get_mut(at) {
            *comma = b' ';
        }
        start
    }

    /// Restores the element before which the record begins at `start`.
    pub(super) fn take_prefix_back(&mut self, start: usize) {
        if start < self.window.at
            && let Some(bracket) = self.window.bytes.get_mut(self.window.at)
        {
            *bracket = b'{';
        }
    }

    /// Goes back so that the element at `offset`, whose record begins at `start`, is read again.
    pub(super) fn back_to_element(&mut self, start: usize, offset: u64) {
        self.window.at = self.window.place(offset);
        self.take_prefix_back(start);
        if let Some(walk) = &mut self.walk {
            walk.passed_element(false);
        }
    }
}

/// The error of a record that is broken.
pub(super) fn of_broken(broken: Broken, walk: Option<&Walk>) -> RecordError {
    match (broken, walk) {
        (Broken::Envelope(lack), Some(walk)) => RecordError::Envelope {
            name: walk.envelope.name(lack),
            lack,
        },
        (broken, _) => RecordError::Broken(broken),
    }
}

#[cfg(test)]
#[path = "inside_tests.rs"]
mod tests;

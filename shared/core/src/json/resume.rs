//! Finds the end of a broken stretch, where the next record may begin.

use super::{Broken, lex};

/// A stretch that does not begin with a record, while its end is searched for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    /// The error.
    pub(super) broken: Broken,
    mode: Mode,
    /// How far the search has come.
    searched: usize,
    /// How far the bytes were checked to be text.
    looked: usize,
    is_text: bool,
    /// Whether other bytes precede it, so that a comma may separate two records.
    is_after: bool,
    /// The search continues when this many bytes are there.
    wanted: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// It ends at the bracket that closes it, if its strings and brackets balance.
    Balance,
    /// It ends at a line that begins like a record.
    Lines,
    /// It ends at the next record, inside a line or at its start, because its own first byte cannot start a value.
    Anywhere,
}

/// The result of the search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It ends here, and the next part begins there. `is_closed`: with its closing bracket.
    At {
        end: usize,
        next: usize,
        is_closed: bool,
    },
    /// It does not end before this position.
    NotBefore(usize),
}

/// The bytes to search, and the limits.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) bytes: &'a [u8],
    /// The start of the stretch, or of the rest of it.
    pub(super) start: usize,
    /// Whether the stream has ended.
    pub(super) ended: bool,
    /// The longest record.
    pub(super) max_record: usize,
    /// The deepest.
    pub(super) max_depth: usize,
}

impl Stretch {
    /// Creates a stretch that starts at `start`. `is_after`: other bytes precede it in the stream.
    pub(super) fn new(broken: Broken, bytes: &[u8], start: usize, is_after: bool) -> Self {
        Self {
            broken,
            mode: match bytes.get(start) {
                Some(b'{' | b'[') => Mode::Balance,
                Some(b'"') => Mode::Lines,
                _ => Mode::Anywhere,
            },
            searched: start + 1,
            looked: start,
            is_text: true,
            is_after,
            wanted: 0,
        }
    }

    /// Makes it end before a line or, if it is a `whole` value, at its closing bracket: inside an envelope, what begins in
    /// the middle of a line may be a record or an envelope.
    pub(super) fn in_envelope(mut self, whole: bool) -> Self {
        if self.mode == Mode::Anywhere || !whole {
            self.mode = Mode::Lines;
        }
        self
    }

    /// This many bytes were dropped from the front.
    pub(super) fn dropped(&mut self, bytes: usize) {
        self.searched = self.searched.saturating_sub(bytes);
        self.looked = self.looked.saturating_sub(bytes);
        self.wanted = self.wanted.saturating_sub(bytes);
    }

    /// Searches for the end.
    pub(super) fn find(&mut self, view: View<'_>) -> End {
        let there = view.bytes.len();
        if !view.ended && there < self.wanted {
            return End::NotBefore(self.searched.saturating_sub(1).max(view.start));
        }
        if self.mode == Mode::Balance {
            let limit = there.min(limit_of(view));
            match balance(view.bytes.get(..limit).unwrap_or_default(), view.start) {
                Balance::Closed(end) => {
                    return End::At {
                        end,
                        next: end,
                        is_closed: true,
                    };
                }
                Balance::Open if !view.ended && limit == there => {
                    self.wanted =
                        (there + (there - view.start)).min(limit_of(view).saturating_add(1));
                    return End::NotBefore(view.start);
                }
                Balance::Open | Balance::Not => self.mode = Mode::Lines,
            }
        }
        self.find_begin(view)
    }

    /// Searches for the start of the next record.
    fn find_begin(&mut self, view: View<'_>) -> End {
        let bytes = view.bytes;
        while let Some(place) = self.candidate(bytes) {
            let is_first = place > view.start && bytes.get(place - 1) == Some(&b'\n');
            let end = if is_first { place - 1 } else { place };
            // Until then it is quarantined in pieces.
            if end > limit_of(view) {
                return End::NotBefore(end);
            }
            self.look(bytes, end);
            if is_first && self.is_text {
                return End::At {
                    end,
                    next: place,
                    is_closed: false,
                };
            }
            let found = if is_first || self.is_text {
                self.record(view, place, is_first)
            } else {
                Candidate::No(place + 1)
            };
            match found {
                Candidate::Record => {
                    return End::At {
                        end,
                        next: place,
                        is_closed: false,
                    };
                }
                Candidate::No(next) => self.searched = next,
                Candidate::Unknown => {
                    self.searched = place;
                    self.wanted = bytes.len() + (bytes.len() - place).max(1);
                    return End::NotBefore(end);
                }
            }
        }
        self.searched = bytes.len();
        if view.ended {
            return End::At {
                end: bytes.len(),
                next: bytes.len(),
                is_closed: false,
            };
        }
        // The last byte may be the newline that ends the stretch.
        End::NotBefore(bytes.len().saturating_sub(1).max(view.start))
    }

    /// The next bracket that may start a record, from the current position of the search.
    fn candidate(&self, bytes: &[u8]) -> Option<usize> {
        let mut at = self.searched;
        loop {
            let rest = bytes.get(at..)?;
            let place = at + memchr::memchr2(b'{', b'[', rest)?;
            let is_first = place > 0 && bytes.get(place - 1) == Some(&b'\n');
            if is_first || self.mode == Mode::Anywhere {
                return Some(place);
            }
            at = place + 1;
        }
    }

    /// Checks whether the bytes before `end` are text.
    pub(super) fn look(&mut self, bytes: &[u8], end: usize) {
        if self.is_text && end > self.looked {
            let part = bytes.get(self.looked..end).unwrap_or_default();
            let is_control = |byte: &u8| *byte < b' ' && !b"\t\n\r\x0c".contains(byte);
            self.is_text = str::from_utf8(part).is_ok() && !part.iter().any(is_control);
        }
        self.looked = self.looked.max(end);
    }

    /// Whether a complete record is at `place`, between others and not inside another value.
    fn record(&self, view: View<'_>, place: usize, is_first: bool) -> Candidate {
        let bytes = view.bytes;
        let before = bytes.get(view.start..place).unwrap_or_default();
        let before = lex::trim_space_end(before);
        let is_separated = self.is_after && before == b",";
        let is_between =
            is_first || is_separated || !matches!(before.last(), Some(b'"' | b':' | b',' | b'\\'));
        let limit = bytes.len().min(place.saturating_add(view.max_record));
        let visible = bytes.get(..limit).unwrap_or_default();
        let end = match lex::skip_value(visible, place, view.max_depth) {
            Ok(end) => end,
            Err(lex::Stop::Incomplete) if !view.ended && limit == bytes.len() => {
                return Candidate::Unknown;
            }
            Err(_) => return Candidate::No(place + 1),
        };
        let most = bytes.len().min(end.saturating_add(view.max_record));
        let next = lex::skip_space(bytes.get(..most).unwrap_or_default(), end);
        let has_newline = bytes.get(end..next).unwrap_or_default().contains(&b'\n');
        let is_followed = match bytes.get(next) {
            None if !view.ended => return Candidate::Unknown,
            None => true,
            Some(b'{' | b'[') => !is_first || has_newline,
            Some(b',') => is_separated,
            Some(b'}' | b']') => false,
            Some(_) => !is_first && has_newline,
        };
        if is_between && is_followed {
            Candidate::Record
        } else {
            Candidate::No(end)
        }
    }
}

/// How far the longest record goes that starts with the view.
fn limit_of(view: View<'_>) -> usize {
    view.start.saturating_add(view.max_record)
}

enum Candidate {
    Record,
    /// No. The search continues here.
    No(usize),
    Unknown,
}

enum Balance {
    /// It ends here.
    Closed(usize),
    Open,
    /// Strings and brackets do not balance, or this cannot be determined.
    Not,
}

/// The end of the object or array at `start`, if its brackets and strings balance; its values and commas are not
/// checked.
fn balance(bytes: &[u8], start: usize) -> Balance {
    let mut open = Vec::new();
    let mut at = start;
    // The last byte that is not white space.
    let mut last = b':';
    while let Some(&byte) = bytes.get(at) {
        let is_after_value = matches!(last, b'"' | b'}' | b']');
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {
                at += 1;
                continue;
            }
            b'"' if matches!(last, b'{' | b'[' | b',' | b':') => match string(bytes, at + 1) {
                Balance::Closed(end) => {
                    last = b'"';
                    at = end;
                    continue;
                }
                other => return other,
            },
            b'{' | b'[' if matches!(last, b'[' | b',' | b':') => open.push(byte),
            b'}' | b']' => {
                if open.pop() != Some(if byte == b'}' { b'{' } else { b'[' }) {
                    return Balance::Not;
                }
                if open.is_empty() {
                    return Balance::Closed(at + 1);
                }
            }
            b',' | b':' => {}
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'+' | b'-' | b'.'
                if !is_after_value => {}
            _ => return Balance::Not,
        }
        last = byte;
        at += 1;
    }
    Balance::Open
}

/// The end of the string whose text begins at `at`. A newline in it does not end it, because a line may have been
/// truncated.
fn string(bytes: &[u8], mut at: usize) -> Balance {
    loop {
        let Some(length) = memchr::memchr3(b'"', b'\\', b'\n', bytes.get(at..).unwrap_or_default())
        else {
            return Balance::Open;
        };
        at += length;
        match bytes.get(at) {
            Some(b'"') => return Balance::Closed(at + 1),
            Some(b'\\') if at + 1 < bytes.len() => at += 2,
            Some(b'\\') => return Balance::Open,
            _ => return Balance::Not,
        }
    }
}

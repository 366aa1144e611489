//! Where a stretch that is no record ends, and the next record may begin.

use super::{Broken, lex};

/// A stretch that begins with something else than a record, while its end is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    /// What is wrong with it.
    pub(super) broken: Broken,
    mode: Mode,
    /// How far the search has come.
    searched: usize,
    /// How far it was looked whether the bytes are text.
    looked: usize,
    is_text: bool,
    /// Whether it comes after something, so that a comma may have been put between two records.
    is_after: bool,
    /// Nothing is looked at again before this many bytes are there.
    wanted: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// It ends at the bracket that closes it, if its strings and brackets balance.
    Balance,
    /// It ends where a line begins as a record does.
    Lines,
    /// It ends where a record begins, in a line or at the beginning of one: its own first byte begins no value.
    Anywhere,
}

/// What is known of the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It ends here, and what comes next begins there. `is_closed`: with the bracket that closes it.
    At {
        end: usize,
        next: usize,
        is_closed: bool,
    },
    /// It does not end before this place.
    NotBefore(usize),
}

/// What is there to look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) bytes: &'a [u8],
    /// Where the stretch, or what is left of it, starts.
    pub(super) start: usize,
    /// Whether no more bytes come.
    pub(super) ended: bool,
    /// The longest record.
    pub(super) max_record: usize,
    /// The deepest.
    pub(super) max_depth: usize,
}

impl Stretch {
    /// One that starts at `start`. `is_after`: something comes before it in the stream.
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

    /// So many bytes are no longer there.
    pub(super) fn dropped(&mut self, bytes: usize) {
        self.searched -= bytes;
        self.looked -= bytes;
        self.wanted = self.wanted.saturating_sub(bytes);
    }

    /// Looks for the end.
    pub(super) fn find(&mut self, view: View<'_>) -> End {
        let there = view.bytes.len();
        if !view.ended && there < self.wanted {
            return End::NotBefore(self.searched.max(view.start));
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
                    self.wanted = (there + (there - view.start)).min(limit_of(view) + 1);
                    return End::NotBefore(view.start);
                }
                Balance::Open | Balance::Not => self.mode = Mode::Lines,
            }
        }
        self.find_begin(view)
    }

    /// Looks for the next record's beginning.
    fn find_begin(&mut self, view: View<'_>) -> End {
        let bytes = view.bytes;
        while let Some(place) = self.candidate(bytes) {
            let is_first = place > view.start && bytes.get(place - 1) == Some(&b'\n');
            let end = if is_first { place - 1 } else { place };
            // Before that it is set aside in pieces.
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
        // The last byte seen may be the newline that ends the stretch.
        End::NotBefore(bytes.len().saturating_sub(1).max(view.start))
    }

    /// The next bracket that may begin a record, from where the search has come to.
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

    /// Looks whether the bytes before `end` are text.
    fn look(&mut self, bytes: &[u8], end: usize) {
        if self.is_text && end > self.looked {
            let part = bytes.get(self.looked..end).unwrap_or_default();
            let is_control = |byte: &u8| *byte < b' ' && !b"\t\n\r\x0c".contains(byte);
            self.is_text = str::from_utf8(part).is_ok() && !part.iter().any(is_control);
        }
        self.looked = self.looked.max(end);
    }

    /// Whether a whole record stands at `place`, between others and not inside of something.
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
    /// No. The search goes on here.
    No(usize),
    Unknown,
}

enum Balance {
    /// It ends here.
    Closed(usize),
    Open,
    /// Strings and brackets do not balance, or nobody can tell.
    Not,
}

/// Where the object or array at `start` is closed, if it is one but for what its values and commas are.
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

/// Where the string ends whose text begins at `at`. A newline in it ends none: a line may have been cut short.
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

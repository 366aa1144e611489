//! Remembers the keys of an object in order, so that a record with the same keys as the previous one costs one
//! comparison per key.

use std::collections::HashMap;

use super::lex::{self, Stop};

/// The most keys that are remembered. Others are looked up by name each time, so that generated names cannot fill the
/// memory.
const REMEMBERED: usize = 4096;

/// The most white space around a key, in bytes, that is remembered with it.
const LONG: usize = 128;

/// How many keys after the last one are tried before the search, in case a record leaves out keys.
const AHEAD: usize = 3;

/// Like `text.starts_with(key)`, but without a call for the usual short keys: two overlapping words cover them.
#[inline]
fn starts_with(text: &[u8], key: &[u8]) -> bool {
    fn ends_alike<const N: usize>(found: &[u8], key: &[u8]) -> bool {
        found.first_chunk::<N>() == key.first_chunk() && found.last_chunk::<N>() == key.last_chunk()
    }
    let Some(found) = text.get(..key.len()) else {
        return false;
    };
    match key.len() {
        4..8 => ends_alike::<4>(found, key),
        8..=16 => ends_alike::<8>(found, key),
        17..=32 => ends_alike::<16>(found, key),
        _ => found == key,
    }
}

/// Keys as written in the text, with the meaning (`T`) of each.
#[derive(Debug)]
pub(super) struct Keys<T> {
    in_order: Vec<Known<T>>,
    by_text: HashMap<Box<[u8]>, usize>,
    expected: usize,
}

/// A key that was read before.
#[derive(Debug)]
struct Known<T> {
    /// What was written from the end of the value before the key, or the opening brace, to the colon.
    text: Box<[u8]>,
    /// Where the key's quote is in it.
    quote: usize,
    meaning: T,
}

impl<T: Copy> Keys<T> {
    pub(super) fn new() -> Self {
        Self {
            in_order: Vec::new(),
            by_text: HashMap::new(),
            expected: 0,
        }
    }

    /// Call this at the start of an object.
    #[inline]
    pub(super) fn restart(&mut self) {
        self.expected = 0;
    }

    /// The next key, if it is written as in an earlier object: its position, that of its value, and its meaning. `at`: after
    /// the value before it, or after the opening brace (`first`).
    #[inline]
    pub(super) fn next(&mut self, buf: &[u8], at: usize, first: bool) -> Option<(usize, usize, T)> {
        let rest = buf.get(at..).unwrap_or_default();
        let expected = self.in_order.get(self.expected..).unwrap_or_default();
        for (skipped, known) in expected.iter().take(AHEAD).enumerate() {
            // There is no comma before the first key.
            let unwritten = if first { known.quote } else { 0 };
            let text = known.text.get(unwritten..).unwrap_or_default();
            if starts_with(rest, text) {
                self.expected += skipped + 1;
                let key = at + known.quote - unwritten;
                let value = lex::skip_space(buf, at + text.len());
                return Some((key, value, known.meaning));
            }
        }
        None
    }

    /// Reads the key whose quote is at `key`, and returns where its value starts and the key's meaning. `at`: as for
    /// [`next`](Self::next). `resolve` finds the meaning from the name at the first occurrence.
    #[cold]
    pub(super) fn read(
        &mut self,
        buf: &[u8],
        at: usize,
        key: usize,
        resolve: impl FnOnce(&str) -> T,
    ) -> Result<(usize, T), Stop> {
        let name = lex::string(buf, key)?;
        let colon = lex::skip_space(buf, name.next());
        let value = lex::value_of_key(buf, colon)?;
        let quoted = buf.get(key..name.next()).unwrap_or_default();
        let index = self.by_text.get(quoted).copied();
        let index = index.unwrap_or(self.in_order.len());
        let meaning = match self.in_order.get(index) {
            Some(known) => known.meaning,
            None => resolve(&name.decode(buf)),
        };
        self.expected = index + 1;
        let before = buf.get(at..key).unwrap_or_default();
        let is_first = !before.contains(&b',');
        let is_known = index < self.in_order.len();
        let is_long = before.len().max(colon - name.next()) > LONG;
        if is_known && is_first || is_long || index >= REMEMBERED {
            return Ok((value, meaning));
        }
        // Before a first key, a comma alone stands for what is before it in other objects.
        let before = if is_first { b"," } else { before };
        let known = Known {
            text: [before, buf.get(key..=colon).unwrap_or_default()]
                .concat()
                .into(),
            quote: before.len(),
            meaning,
        };
        if let Some(same) = self.in_order.get_mut(index) {
            *same = known;
        } else {
            self.by_text.insert(quoted.into(), index);
            self.in_order.push(known);
        }
        Ok((value, meaning))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of an object's keys, each with `?` if it was not the expected one.
    fn names(keys: &mut Keys<usize>, object: &str, seen: &mut Vec<String>) -> String {
        let buf = object.as_bytes();
        let mut found = Vec::new();
        let mut at = lex::skip_space(buf, 1);
        keys.restart();
        loop {
            let first = found.is_empty();
            let next = keys.next(buf, at, first);
            let mark = if next.is_some() { "" } else { "?" };
            let (key, value, index) =
                next.unwrap_or_else(|| match lex::next_member(buf, at, first).unwrap() {
                    lex::Member::End(_) => (0, 0, 0),
                    lex::Member::Key(key) => {
                        let read = keys.read(buf, at, key, |name| {
                            seen.push(name.to_owned());
                            seen.len() - 1
                        });
                        let (value, index) = read.unwrap();
                        (key, value, index)
                    }
                });
            if value == 0 {
                return found.join(" ");
            }
            let name = lex::string(buf, key).unwrap();
            assert_eq!(name.decode(buf), seen[index], "{object}");
            found.push(format!("{}{mark}", seen[index]));
            at = lex::skip_value(buf, value, 9).unwrap();
        }
    }

    #[test]
    fn a_key_is_expected_as_it_was_written_before() {
        let (mut keys, mut seen) = (Keys::new(), Vec::new());
        for (object, expected) in [
            (r#"{"a":1,"b":2,"c":3}"#, "a? b? c?"),
            (r#"{"a":1,"b":2,"c":3}"#, "a b c"),
            // The first one is missing, some are, and one is new.
            (r#"{"b":1,"c":3}"#, "b c"),
            (r#"{"c":3}"#, "c"),
            (r#"{"a":1,"c":3,"d":4}"#, "a c d?"),
            (r#"{"a":1,"c":3,"d":4}"#, "a c d"),
            // In another order: what is after the one that was found is expected.
            (r#"{"d":1,"a":3,"b":4}"#, "d? a? b"),
            ("{}", ""),
            // White space is expected as it was last written.
            (r#"{ "a": 1, "b": 2 , "c":3}"#, "a b? c?"),
            (r#"{ "a": 1, "b": 2 , "c":3}"#, "a b c"),
            (r#"{"b" : 2,"c":3}"#, "b? c?"),
            (r#"{"a" : 2, "b" : 2}"#, "a? b?"),
            (r#"{"a" : 2, "b" : 2}"#, "a? b"),
            // A name that another one begins with.
            (r#"{"ab":2,"a":2}"#, "ab? a?"),
        ] {
            assert_eq!(names(&mut keys, object, &mut seen), expected, "{object}");
        }
        assert_eq!(seen, ["a", "b", "c", "d", "ab"]);
    }

    #[test]
    fn what_is_remembered_is_limited() {
        let (mut keys, mut seen) = (Keys::new(), Vec::new());
        let wide = format!(r#"{{"a":1,{}"b":2}}"#, " ".repeat(LONG));
        assert_eq!(names(&mut keys, &wide, &mut seen), "a? b?");
        assert_eq!(names(&mut keys, &wide, &mut seen), "a b?");
        let many = (0..REMEMBERED).map(|n| format!(r#""n{n}":1"#));
        let many = format!("{{{}}}", many.collect::<Vec<_>>().join(","));
        for _ in 0..2 {
            names(&mut keys, &many, &mut seen);
            assert_eq!(keys.in_order.len(), REMEMBERED);
        }
    }
}

//! Remembers the keys of an object in order, so that a record with the same keys as the previous one costs one
//! comparison per key.

use std::collections::HashMap;

use super::lex::{self, Stop};

/// The most keys that are remembered. Others are looked up by name each time, so that generated names cannot fill the
/// memory.
const REMEMBERED: usize = 4096;

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
    /// Each with its quotes and, unless white space follows it, the colon.
    in_order: Vec<(Box<[u8]>, T)>,
    by_text: HashMap<Box<[u8]>, usize>,
    expected: usize,
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

    /// Reads the key whose quote is at `at`, and returns where its value starts and the key's meaning. `resolve` finds the
    /// meaning from the name at the first occurrence.
    #[inline]
    pub(super) fn read(
        &mut self,
        buf: &[u8],
        at: usize,
        resolve: impl FnOnce(&str) -> T,
    ) -> Result<(usize, T), Stop> {
        let rest = buf.get(at..).unwrap_or_default();
        let expected = self.in_order.get(self.expected..).unwrap_or_default();
        for (skipped, (text, meaning)) in expected.iter().take(AHEAD).enumerate() {
            if starts_with(rest, text) {
                self.expected += skipped + 1;
                let end = at + text.len();
                let value = if text.ends_with(b":") {
                    lex::skip_space(buf, end)
                } else {
                    lex::value_of_key(buf, end)?
                };
                return Ok((value, *meaning));
            }
        }
        self.search(buf, at, resolve)
    }

    #[cold]
    fn search(
        &mut self,
        buf: &[u8],
        at: usize,
        resolve: impl FnOnce(&str) -> T,
    ) -> Result<(usize, T), Stop> {
        let key = lex::string(buf, at)?;
        let value = lex::value_of_key(buf, key.next())?;
        let text = buf.get(at..key.next()).unwrap_or_default();
        if let Some(&index) = self.by_text.get(text)
            && let Some((_, meaning)) = self.in_order.get(index)
        {
            self.expected = index + 1;
            return Ok((value, *meaning));
        }
        let meaning = resolve(&key.decode(buf));
        if self.in_order.len() < REMEMBERED {
            self.by_text.insert(text.into(), self.in_order.len());
            let colon = usize::from(buf.get(key.next()) == Some(&b':'));
            let text = buf.get(at..key.next() + colon).unwrap_or_default();
            self.in_order.push((text.into(), meaning));
            self.expected = self.in_order.len();
        }
        Ok((value, meaning))
    }
}

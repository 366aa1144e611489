//! Finds the ends of rows in a text.

use memchr::{memchr, memchr_iter};

/// How rows are separated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Each row ends with a newline outside quotes. Quotes inside quotes are doubled, so a newline ends a row if the
    /// number of quotes before it is even. The first row names the columns.
    AthenaCsv,
    /// Each line is a row.
    Lines,
    /// Each line that is not blank is a row.
    JsonLines,
}

/// Finds the ends of rows in bytes that come in pieces of any size.
#[derive(Debug)]
pub(super) struct RowEnds {
    quoted: bool,
    in_quotes: bool,
}

impl RowEnds {
    pub(super) fn new(framing: Framing) -> Self {
        Self {
            quoted: framing == Framing::AthenaCsv,
            in_quotes: false,
        }
    }

    /// Calls `end` with the position in `bytes` after each newline that ends a row, and stops at the first error.
    #[inline]
    pub(super) fn push<E>(
        &mut self,
        bytes: &[u8],
        mut end: impl FnMut(usize) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut from = 0;
        for newline in memchr_iter(b'\n', bytes) {
            self.pass(bytes.get(from..newline).unwrap_or_default());
            from = newline + 1;
            if !self.in_quotes {
                end(from)?;
            }
        }
        self.pass(bytes.get(from..).unwrap_or_default());
        Ok(())
    }

    pub(super) fn in_quotes(&self) -> bool {
        self.in_quotes
    }

    #[inline]
    fn pass(&mut self, stretch: &[u8]) {
        if self.quoted {
            self.in_quotes ^= has_odd_quotes(stretch);
        }
    }
}

/// Whether the bytes contain an odd number of quotes. Newlines are rare, so this takes nearly all of a scan's time;
/// quotes are frequent, so they are counted and not visited.
#[inline]
fn has_odd_quotes(bytes: &[u8]) -> bool {
    memchr_iter(b'"', bytes).count() % 2 == 1
}

/// The rows of a text of whole rows, without their line endings. The text must begin after the header.
pub fn rows(framing: Framing, text: &[u8]) -> impl Iterator<Item = &[u8]> {
    Rows { framing, text }
}

struct Rows<'a> {
    framing: Framing,
    text: &'a [u8],
}

impl<'a> Iterator for Rows<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            if self.text.is_empty() {
                return None;
            }
            let end = row_end(self.framing, self.text);
            let (row, rest) = self.text.split_at_checked(end)?;
            self.text = rest;
            let row = without_end(self.framing, row);
            if self.framing != Framing::JsonLines || !is_blank(row) {
                return Some(row);
            }
        }
    }
}

/// The position after the newline that ends the first row, or after the last byte.
fn row_end(framing: Framing, text: &[u8]) -> usize {
    let mut from = 0;
    let mut odd = false;
    while let Some(stretch) = text.get(from..) {
        let Some(newline) = memchr(b'\n', stretch) else {
            break;
        };
        let before = stretch.get(..newline).unwrap_or_default();
        odd ^= framing == Framing::AthenaCsv && has_odd_quotes(before);
        from += newline + 1;
        if !odd {
            return from;
        }
    }
    text.len()
}

/// A row without its newline. In CSV and JSON, a carriage return before that newline is removed too.
pub(super) fn without_end(framing: Framing, row: &[u8]) -> &[u8] {
    let Some(row) = row.strip_suffix(b"\n") else {
        return row;
    };
    match framing {
        Framing::Lines => row,
        Framing::AthenaCsv | Framing::JsonLines => row.strip_suffix(b"\r").unwrap_or(row),
    }
}

pub(super) fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

//! Finds the fields of one record.
//!
//! The csv-core crate is not used, because its reader does not distinguish an empty field with quotes from one without,
//! silently skips empty lines, accepts any text after a closing quote, and does not report where a record starts.

use super::Broken;

/// The special characters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks {
    pub(super) delimiter: u8,
    pub(super) quote: u8,
}

/// A field: its range without the quotes, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) quoted: bool,
    /// Whether it contains doubled quotes.
    pub(super) escaped: bool,
}

/// The end of a record, and the start of the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) end: usize,
    pub(super) next: usize,
}

/// Why no whole record was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// More bytes are needed.
    Incomplete,
    /// The record is invalid; everything up to the next newline is skipped.
    Broken(Broken, End),
}

/// What follows a field.
enum After {
    /// Another field, at this place.
    Field(usize),
    Record(End),
}

/// Finds the fields of the record that starts at `start`. `ended`: no more bytes will follow those in `buffer`.
pub(super) fn record(
    buffer: &[u8],
    start: usize,
    ended: bool,
    marks: Marks,
    fields: &mut Vec<Span>,
) -> Result<End, Stop> {
    fields.clear();
    let mut at = start;
    loop {
        let (field, after) = if buffer.get(at) == Some(&marks.quote) {
            quoted(buffer, at, ended, marks)?
        } else {
            bare(buffer, at, ended, marks)?
        };
        fields.push(field);
        match after {
            After::Field(next) => at = next,
            After::Record(end) => return Ok(end),
        }
    }
}

fn bare(buffer: &[u8], start: usize, ended: bool, marks: Marks) -> Result<(Span, After), Stop> {
    let rest = buffer.get(start..).unwrap_or_default();
    let (end, after) = match memchr::memchr2(marks.delimiter, b'\n', rest) {
        Some(length) if rest.get(length) == Some(&b'\n') => {
            let newline = start + length;
            let end = without_carriage_return(buffer, start, newline);
            let next = newline + 1;
            (end, After::Record(End { end, next }))
        }
        Some(length) => (start + length, After::Field(start + length + 1)),
        None if ended => {
            let next = buffer.len();
            let end = without_carriage_return(buffer, start, next);
            (end, After::Record(End { end, next }))
        }
        None => return Err(Stop::Incomplete),
    };
    let span = Span {
        start,
        end,
        quoted: false,
        escaped: false,
    };
    Ok((span, after))
}

fn quoted(buffer: &[u8], opening: usize, ended: bool, marks: Marks) -> Result<(Span, After), Stop> {
    let start = opening + 1;
    let mut escaped = false;
    let mut from = start;
    let closing = loop {
        let rest = buffer.get(from..).unwrap_or_default();
        let Some(length) = memchr::memchr(marks.quote, rest) else {
            return Err(if ended {
                let whole = End {
                    end: buffer.len(),
                    next: buffer.len(),
                };
                Stop::Broken(Broken::Truncated, whole)
            } else {
                Stop::Incomplete
            });
        };
        let quote = from + length;
        if buffer.get(quote + 1) != Some(&marks.quote) {
            break quote;
        }
        escaped = true;
        from = quote + 2;
    };
    let span = Span {
        start,
        end: closing,
        quoted: true,
        escaped,
    };
    let at = closing + 1;
    let ends = |next| After::Record(End { end: at, next });
    let after = match (buffer.get(at), buffer.get(at + 1)) {
        (Some(&byte), _) if byte == marks.delimiter => After::Field(at + 1),
        (Some(b'\n'), _) => ends(at + 1),
        (Some(b'\r'), Some(b'\n')) => ends(at + 2),
        (Some(b'\r') | None, None) => {
            if !ended {
                return Err(Stop::Incomplete);
            }
            ends(buffer.len())
        }
        _ => return Err(broken(buffer, at, ended)),
    };
    Ok((span, after))
}

/// A record with text at `at`, after a closing quote.
#[cold]
fn broken(buffer: &[u8], at: usize, ended: bool) -> Stop {
    let rest = buffer.get(at..).unwrap_or_default();
    let end = match memchr::memchr(b'\n', rest) {
        Some(length) => End {
            end: without_carriage_return(buffer, at, at + length),
            next: at + length + 1,
        },
        None if ended => End {
            end: buffer.len(),
            next: buffer.len(),
        },
        None => return Stop::Incomplete,
    };
    Stop::Broken(Broken::TextAfterQuote, end)
}

fn without_carriage_return(buffer: &[u8], start: usize, end: usize) -> usize {
    let text = buffer.get(start..end).unwrap_or_default();
    end - usize::from(text.last() == Some(&b'\r'))
}

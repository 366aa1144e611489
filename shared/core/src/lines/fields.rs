//! The fields of one line.

use super::Field;
use crate::csv::Broken;

/// `LazySimpleSerDe`'s fields. `most`: how many there are at most, the last of which is all that is left.
pub(super) fn lazy_simple(
    line: &str,
    delimiter: u8,
    escape: Option<u8>,
    null: &str,
    most: Option<usize>,
    fields: &mut Vec<Field>,
) {
    let bytes = line.as_bytes();
    let mut start = 0;
    loop {
        let mut at = start;
        let mut escaped = false;
        let is_last = most == Some(fields.len() + 1);
        let end = loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let found = match escape {
                _ if is_last => None,
                Some(escape) => memchr::memchr2(delimiter, escape, rest),
                None => memchr::memchr(delimiter, rest),
            };
            match found {
                None => break bytes.len(),
                Some(length) if rest.get(length) == Some(&delimiter) => break at + length,
                Some(length) => {
                    escaped = true;
                    at = (at + length + 2).min(bytes.len());
                }
            }
        };
        let text = line.get(start..end).unwrap_or_default();
        fields.push(match escape {
            _ if text == null => Field::Null,
            Some(escape) if escaped || is_last && text.as_bytes().contains(&escape) => {
                Field::Escaped(start, end)
            }
            _ => Field::Plain(start, end),
        });
        if end == bytes.len() {
            return;
        }
        start = end + 1;
    }
}

/// As `LazyUtils.copyAndEscapeStringDataToText` does.
pub(super) fn unescape(text: &str, escape: char, cooked: &mut String) {
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != escape {
            cooked.push(character);
            continue;
        }
        cooked.push(match characters.next() {
            Some('r') => '\r',
            Some('n') => '\n',
            Some(other) => other,
            None => escape,
        });
    }
}

/// Splits a line as opencsv's `CSVParser` does, which the SerDe uses.
/// <https://github.com/jdbi/jdbi2-opencsv/blob/master/src/au/com/bytecode/opencsv/CSVParser.java>
pub(super) fn open_csv(
    line: &str,
    [separator, quote, escape]: [u8; 3],
    fields: &mut Vec<Field>,
    cooked: &mut String,
) -> Result<(), Broken> {
    let bytes = line.as_bytes();
    let mut at = 0;
    loop {
        let start = at;
        let rest = bytes.get(at..).unwrap_or_default();
        // Most fields have no special character except the separator after them.
        let length = memchr::memchr3(separator, quote, escape, rest).unwrap_or(rest.len());
        if matches!(rest.get(length), Some(&mark) if mark != separator) {
            let from = cooked.len();
            at = quoted(line, start, [separator, quote, escape], from, cooked)?;
            fields.push(Field::Cooked(from, cooked.len()));
        } else {
            at += length;
            fields.push(Field::Plain(start, at));
        }
        if at >= bytes.len() {
            return Ok(());
        }
        at += 1;
    }
}

/// Unescapes the field that begins at `start`, and returns its end.
fn quoted(
    line: &str,
    start: usize,
    [separator, quote, escape]: [u8; 3],
    from: usize,
    cooked: &mut String,
) -> Result<usize, Broken> {
    let bytes = line.as_bytes();
    let mut in_quotes = false;
    let mut at = start;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let length = memchr::memchr3(separator, quote, escape, rest).unwrap_or(rest.len());
        cooked.push_str(line.get(at..at + length).unwrap_or_default());
        at += length;
        let (Some(&mark), next) = (bytes.get(at), bytes.get(at + 1).copied()) else {
            return if in_quotes {
                Err(Broken::OpenQuote)
            } else {
                Ok(at)
            };
        };
        if mark == escape {
            // Before any other character, an escape is dropped.
            if let Some(next) = next.filter(|next| in_quotes && [quote, escape].contains(next)) {
                cooked.push(char::from(next));
                at += 1;
            }
        } else if mark == quote {
            if in_quotes && next == Some(quote) {
                cooked.push(char::from(quote));
                at += 1;
            } else {
                let inside = at > 2
                    && bytes.get(at - 1) != Some(&separator)
                    && next.is_some_and(|next| next != separator);
                if inside {
                    let so_far = cooked.get(from..).unwrap_or_default();
                    if !so_far.is_empty() && so_far.trim().is_empty() {
                        cooked.truncate(from);
                    } else {
                        cooked.push(char::from(quote));
                    }
                }
                in_quotes = !in_quotes;
            }
        } else if in_quotes {
            cooked.push(char::from(separator));
        } else {
            return Ok(at);
        }
        at += 1;
    }
}

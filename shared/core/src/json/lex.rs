//! The JSON lexer below the framer, the columns and the inference. It is exact (RFC 8259, UTF-8, no lone surrogates),
//! does not recurse, and distinguishes truncated input from invalid input.
//!
//! It replaces sonic-rs' skipper, because that validates the UTF-8 of the whole remaining input at each start
//! (quadratic for a buffer of many records), recurses without a depth limit, and reports truncated values with several
//! different errors.

use std::borrow::Cow;

use super::{Broken, MAX_DEPTH, SyntaxError};

/// Why lexing stopped inside a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The bytes so far are valid, and more are needed.
    Incomplete,
    /// No continuation is valid. The position counts from the start of the buffer.
    Syntax { at: usize, error: SyntaxError },
    /// Valid so far, but nested too deep.
    TooDeep,
}

impl Stop {
    /// Converts to the caller's error, with positions counted from the start of the record, once the input is known to
    /// have ended. `limit`: the deepest nesting that is allowed.
    pub(super) fn into_broken(self, record_start: usize, limit: usize) -> Broken {
        match self {
            Self::Incomplete => Broken::Truncated,
            Self::Syntax { at, error } => Broken::Syntax {
                at: at.saturating_sub(record_start),
                error,
            },
            Self::TooDeep => Broken::TooDeep { limit },
        }
    }
}

fn wrong<T>(at: usize, error: SyntaxError) -> Result<T, Stop> {
    Err(Stop::Syntax { at, error })
}

/// The byte at `at`.
#[inline]
pub(super) fn byte(buf: &[u8], at: usize) -> Result<u8, Stop> {
    buf.get(at).copied().ok_or(Stop::Incomplete)
}

/// The position of the next byte that is not white space, or the buffer's length.
#[inline]
pub(super) fn skip_space(buf: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = buf.get(at) {
        at += 1;
    }
    at
}

/// The bytes without trailing JSON white space. This is less than ASCII's: a form feed, for example, is not included.
pub(super) fn trim_space_end(bytes: &[u8]) -> &[u8] {
    let last = bytes
        .iter()
        .rposition(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t'));
    bytes
        .get(..last.map_or(0, |last| last + 1))
        .unwrap_or_default()
}

/// The range of a string in the buffer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Str {
    /// After the opening quote.
    pub(super) start: usize,
    /// At the closing quote.
    pub(super) end: usize,
    /// Whether it contains a backslash.
    pub(super) escaped: bool,
}

impl Str {
    /// After the closing quote.
    pub(super) fn next(self) -> usize {
        self.end + 1
    }

    /// The bytes between the quotes, valid UTF-8.
    pub(super) fn raw(self, buf: &[u8]) -> &[u8] {
        buf.get(self.start..self.end).unwrap_or_default()
    }

    /// The decoded text.
    pub(super) fn decode(self, buf: &[u8]) -> Cow<'_, str> {
        let raw = self.raw(buf);
        if self.escaped {
            let mut out = Vec::with_capacity(raw.len());
            unescape(raw, &mut out);
            Cow::Owned(String::from_utf8(out).unwrap_or_default())
        } else {
            Cow::Borrowed(str::from_utf8(raw).unwrap_or_default())
        }
    }
}

const fn repeat(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The index of the first of eight bytes that ends a run of plain ASCII: a quote, a backslash, a control character or a
/// byte of 0x80 and above. Tests eight bytes in one register; after the first match a borrow may set further bits, so
/// only the lowest one counts.
#[inline]
fn first_special(bytes: [u8; 8]) -> Option<usize> {
    let word = u64::from_le_bytes(bytes);
    let quote = (word ^ repeat(b'"')).wrapping_sub(repeat(1));
    let backslash = (word ^ repeat(b'\\')).wrapping_sub(repeat(1));
    let control = word.wrapping_sub(repeat(0x20));
    let hits = (quote | backslash | control | word) & repeat(0x80);
    (hits != 0).then(|| hits.trailing_zeros() as usize / 8)
}

/// The end of the run of plain ASCII that includes `at`.
#[inline]
fn plain_end(buf: &[u8], mut at: usize) -> Result<usize, Stop> {
    let (words, _) = buf.get(at..).unwrap_or_default().as_chunks::<8>();
    for bytes in words {
        if let Some(offset) = first_special(*bytes) {
            return Ok(at + offset);
        }
        at += 8;
    }
    loop {
        match byte(buf, at)? {
            b'"' | b'\\' | 0..=0x1f | 0x80.. => return Ok(at),
            _ => at += 1,
        }
    }
}

/// Reads the string whose opening quote is at `at`.
#[inline]
pub(super) fn string(buf: &[u8], at: usize) -> Result<Str, Stop> {
    let start = at + 1;
    let end = plain_end(buf, start)?;
    if buf.get(end) == Some(&b'"') {
        return Ok(Str {
            start,
            end,
            escaped: false,
        });
    }
    unusual_string(buf, start, end)
}

/// Reads a string with escapes or non-ASCII characters, known to be plain up to `at`.
#[cold]
fn unusual_string(buf: &[u8], start: usize, mut at: usize) -> Result<Str, Stop> {
    let mut escaped = false;
    let mut ascii = true;
    loop {
        match byte(buf, at)? {
            b'"' => break,
            b'\\' => {
                escaped = true;
                at = escape(buf, at)?;
            }
            0..=0x1f => return wrong(at, SyntaxError::ControlCharacter),
            0x80.. => {
                ascii = false;
                at += 1;
                while buf.get(at).is_some_and(|&b| b >= 0x80) {
                    at += 1;
                }
            }
            _ => at = plain_end(buf, at)?,
        }
    }
    let text = Str {
        start,
        end: at,
        escaped,
    };
    if !ascii && let Err(error) = str::from_utf8(text.raw(buf)) {
        return wrong(start + error.valid_up_to(), SyntaxError::InvalidUtf8);
    }
    Ok(text)
}

/// Checks the escape sequence whose backslash is at `at`, and returns its end.
fn escape(buf: &[u8], at: usize) -> Result<usize, Stop> {
    match byte(buf, at + 1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(at + 2),
        b'u' => {
            let unit = hex4(buf, at + 2)?;
            match unit {
                0xd800..=0xdbff => {
                    for (offset, expected) in [(6, b'\\'), (7, b'u')] {
                        if byte(buf, at + offset)? != expected {
                            return wrong(at, SyntaxError::LoneSurrogate);
                        }
                    }
                    match hex4(buf, at + 8)? {
                        0xdc00..=0xdfff => Ok(at + 12),
                        _ => wrong(at, SyntaxError::LoneSurrogate),
                    }
                }
                0xdc00..=0xdfff => wrong(at, SyntaxError::LoneSurrogate),
                _ => Ok(at + 6),
            }
        }
        _ => wrong(at, SyntaxError::InvalidEscape),
    }
}

fn hex4(buf: &[u8], at: usize) -> Result<u32, Stop> {
    let mut unit = 0;
    for offset in 0..4 {
        let Some(digit) = char::from(byte(buf, at + offset)?).to_digit(16) else {
            return wrong(at + offset, SyntaxError::InvalidEscape);
        };
        unit = unit << 4 | digit;
    }
    Ok(unit)
}

/// Appends the text of a string that [`string`] has checked.
pub(super) fn unescape(mut raw: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = memchr::memchr(b'\\', raw) {
        let (plain, rest) = raw.split_at(at);
        out.extend_from_slice(plain);
        let mut length = 2;
        match rest.get(1) {
            Some(b'b') => out.push(8),
            Some(b'f') => out.push(12),
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(b't') => out.push(b'\t'),
            Some(b'u') => {
                length = 6;
                let mut code = hex4(rest, 2).unwrap_or(0);
                if (0xd800..0xdc00).contains(&code) {
                    length = 12;
                    let low = hex4(rest, 8).unwrap_or(0);
                    code = 0x10000 + ((code & 0x3ff) << 10 | (low & 0x3ff));
                }
                let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            Some(&other) => out.push(other),
            None => {}
        }
        raw = rest.get(length..).unwrap_or_default();
    }
    out.extend_from_slice(raw);
}

/// The end of the number at `at`. A number that reaches the end of the buffer is incomplete, because a digit may
/// follow.
pub(super) fn number(buf: &[u8], mut at: usize) -> Result<usize, Stop> {
    if byte(buf, at)? == b'-' {
        at += 1;
    }
    match byte(buf, at)? {
        b'0' => at += 1,
        b'1'..=b'9' => at = digits(buf, at)?,
        _ => return wrong(at, SyntaxError::InvalidNumber),
    }
    if byte(buf, at)? == b'.' {
        at = digits(buf, at + 1)?;
    }
    if let b'e' | b'E' = byte(buf, at)? {
        at += 1;
        if let b'+' | b'-' = byte(buf, at)? {
            at += 1;
        }
        at = digits(buf, at)?;
    }
    match byte(buf, at)? {
        b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t' | b'{' | b'[' | b'"' => Ok(at),
        _ => wrong(at, SyntaxError::InvalidNumber),
    }
}

/// One digit or more.
#[inline]
fn digits(buf: &[u8], mut at: usize) -> Result<usize, Stop> {
    if !byte(buf, at)?.is_ascii_digit() {
        return wrong(at, SyntaxError::InvalidNumber);
    }
    while byte(buf, at)?.is_ascii_digit() {
        at += 1;
    }
    Ok(at)
}

/// The end of the word (`true`, `false` or `null`) at `at`.
#[inline]
pub(super) fn word(buf: &[u8], at: usize, word: &'static [u8]) -> Result<usize, Stop> {
    let rest = buf.get(at..).unwrap_or_default();
    if rest.starts_with(word) {
        return Ok(at + word.len());
    }
    if rest.len() < word.len() && word.starts_with(rest) {
        return Err(Stop::Incomplete);
    }
    wrong(at, SyntaxError::UnexpectedByte)
}

/// The kind of a value, by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    True,
    False,
    Number,
    String,
    Object,
    Array,
}

impl Kind {
    #[inline]
    pub(super) fn at(buf: &[u8], at: usize) -> Result<Self, Stop> {
        Ok(match byte(buf, at)? {
            b'"' => Self::String,
            b'-' | b'0'..=b'9' => Self::Number,
            b'{' => Self::Object,
            b'[' => Self::Array,
            b'n' => Self::Null,
            b't' => Self::True,
            b'f' => Self::False,
            _ => return wrong(at, SyntaxError::UnexpectedByte),
        })
    }
}

/// The end of the scalar at `at`.
#[inline]
pub(super) fn scalar(buf: &[u8], at: usize, kind: Kind) -> Result<usize, Stop> {
    match kind {
        Kind::String => string(buf, at).map(Str::next),
        Kind::Number => number(buf, at),
        Kind::True => word(buf, at, b"true"),
        Kind::False => word(buf, at, b"false"),
        Kind::Null => word(buf, at, b"null"),
        Kind::Object | Kind::Array => wrong(at, SyntaxError::UnexpectedByte),
    }
}

/// The next member of an object.
pub(super) enum Member {
    /// The position of its key's opening quote.
    Key(usize),
    /// The end of the object.
    End(usize),
}

/// Reads on after the opening brace of an object (`first`), or after a member's value.
#[inline]
pub(super) fn next_member(buf: &[u8], at: usize, first: bool) -> Result<Member, Stop> {
    let at = skip_space(buf, at);
    let at = match byte(buf, at)? {
        b'}' => return Ok(Member::End(at + 1)),
        b',' if !first => skip_space(buf, at + 1),
        _ if first => at,
        _ => return wrong(at, SyntaxError::ExpectedCommaOrEnd),
    };
    if byte(buf, at)? == b'"' {
        Ok(Member::Key(at))
    } else {
        wrong(at, SyntaxError::ExpectedKey)
    }
}

/// Moves from the end of a key to its value.
#[inline]
pub(super) fn value_of_key(buf: &[u8], at: usize) -> Result<usize, Stop> {
    let at = skip_space(buf, at);
    if byte(buf, at)? != b':' {
        return wrong(at, SyntaxError::ExpectedColon);
    }
    Ok(skip_space(buf, at + 1))
}

/// The next element of an array.
pub(super) enum Element {
    /// The position of its value.
    At(usize),
    /// The end of the array.
    End(usize),
}

/// Reads on after the opening bracket of an array (`first`), or after an element.
#[inline]
pub(super) fn next_element(buf: &[u8], at: usize, first: bool) -> Result<Element, Stop> {
    let at = skip_space(buf, at);
    match byte(buf, at)? {
        b']' => Ok(Element::End(at + 1)),
        b',' if !first => Ok(Element::At(skip_space(buf, at + 1))),
        _ if first => Ok(Element::At(at)),
        _ => wrong(at, SyntaxError::ExpectedCommaOrEnd),
    }
}

/// The end of the value at `at`, in which objects and arrays may be nested at most `room` deep.
///
/// The open containers are bits of one word, which is wide enough for [`MAX_DEPTH`].
pub(super) fn skip_value(buf: &[u8], mut at: usize, room: usize) -> Result<usize, Stop> {
    const _: () = assert!(MAX_DEPTH <= u64::BITS as usize);
    let mut objects = 0_u64;
    let mut open = 0;
    loop {
        let mut first = match Kind::at(buf, at)? {
            container @ (Kind::Object | Kind::Array) => {
                if open >= room.min(MAX_DEPTH) {
                    return Err(Stop::TooDeep);
                }
                open += 1;
                objects = objects << 1 | u64::from(container == Kind::Object);
                at += 1;
                true
            }
            kind => {
                at = scalar(buf, at, kind)?;
                false
            }
        };
        // After a value or at the start of a container: move to the next value, or leave the container.
        loop {
            if open == 0 {
                return Ok(at);
            }
            let end = if objects & 1 == 1 {
                match next_member(buf, at, first)? {
                    Member::Key(key) => {
                        at = value_of_key(buf, string(buf, key)?.next())?;
                        break;
                    }
                    Member::End(end) => end,
                }
            } else {
                match next_element(buf, at, first)? {
                    Element::At(element) => {
                        at = element;
                        break;
                    }
                    Element::End(end) => end,
                }
            };
            at = end;
            open -= 1;
            objects >>= 1;
            first = false;
        }
    }
}

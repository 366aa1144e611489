//! Encodings of text.

use std::{cmp::Reverse, fmt};

use super::is_control;

/// An encoding of text other than UTF-8, and how it was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding {
    form: Form,
    /// Whether it was recognised by a byte order mark, and not by the positions of zeros.
    mark: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Utf16Le,
    Utf16Be,
    Utf32Le,
    Utf32Be,
}

/// UTF-32 is first, because the mark of its little-endian form begins with that of UTF-16.
const FORMS: [(Form, &[u8]); 4] = [
    (Form::Utf32Le, b"\xff\xfe\0\0"),
    (Form::Utf32Be, b"\0\0\xfe\xff"),
    (Form::Utf16Le, b"\xff\xfe"),
    (Form::Utf16Be, b"\xfe\xff"),
];

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.form {
            Form::Utf16Le => "UTF-16LE",
            Form::Utf16Be => "UTF-16BE",
            Form::Utf32Le => "UTF-32LE",
            Form::Utf32Be => "UTF-32BE",
        })?;
        f.write_str(if self.mark {
            " (by its byte order mark)"
        } else {
            " (by its zeros)"
        })
    }
}

impl Encoding {
    /// The encoding of a text that begins with `head`, if it is not UTF-8.
    pub(super) fn other_than_utf_8(head: &[u8]) -> Option<Self> {
        let marked = FORMS.iter().find(|(_, mark)| head.starts_with(mark));
        if let Some((form, _)) = marked {
            return Some(Self {
                form: *form,
                mark: true,
            });
        }
        if !head.contains(&0) {
            return None;
        }
        // The bytes of one encoding may be valid in the other, but then hardly any of the characters are ASCII.
        let unmarked = FORMS.iter().filter_map(|(form, _)| {
            let characters = form.fits(head)?;
            Some((*form, characters))
        });
        let form = unmarked.min_by_key(|(_, characters)| Reverse(*characters));
        form.map(|(form, _)| Self { form, mark: false })
    }
}

impl Form {
    /// How many characters indicate that these bytes are text in this encoding without a mark; `None` if they are not.
    fn fits(self, head: &[u8]) -> Option<usize> {
        match self {
            Self::Utf32Le => fits_utf_32(head, u32::from_le_bytes),
            Self::Utf32Be => fits_utf_32(head, u32::from_be_bytes),
            Self::Utf16Le => fits_utf_16(head, u16::from_le_bytes),
            Self::Utf16Be => fits_utf_16(head, u16::from_be_bytes),
        }
    }
}

/// The number of characters, if the bytes are valid UTF-32. Other bytes hardly ever are: one of every four must be zero.
fn fits_utf_32(head: &[u8], number: fn([u8; 4]) -> u32) -> Option<usize> {
    let (units, _) = head.as_chunks::<4>();
    let is_text = |unit: &[u8; 4]| {
        let number = number(*unit);
        // No characters are assigned beyond, and pairs of UTF-16 units look like such numbers.
        number < 0x4_0000 && char::from_u32(number).is_some() && !is_control(number)
    };
    (!units.is_empty() && units.iter().all(is_text)).then_some(units.len())
}

/// The number of characters of ASCII, if the bytes are characters of UTF-16 and enough of them are of ASCII: the zeros are
/// beside these, and nowhere else. Where the bytes are UTF-8 too, each is ASCII or a zero, and nearly all characters must be of ASCII.
fn fits_utf_16(head: &[u8], number: fn([u8; 2]) -> u16) -> Option<usize> {
    let (units, rest) = head.as_chunks::<2>();
    let numbers = units.iter().map(|unit| number(*unit));
    let (mut count, mut ascii) = (0, 0);
    let mut decoded = char::decode_utf16(numbers).peekable();
    while let Some(character) = decoded.next() {
        match character {
            Ok(character) if is_control(character.into()) => return None,
            Ok(character) => ascii += usize::from(character.is_ascii()),
            // The head may end between the halves of a character.
            Err(_) if decoded.peek().is_none() => {}
            Err(_) => return None,
        }
        count += 1;
    }
    let is_utf_8 = match str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    let enough = if is_utf_8 { count * 3 / 4 } else { count / 16 };
    (rest.is_empty() && ascii >= enough.max(1)).then_some(ascii)
}

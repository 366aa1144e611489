//! Truncation of long bounds.

use super::{Bound, Order};

/// Longer bounds are truncated, as other writers do.
pub(super) const MAX_BOUND: usize = 64;

/// A lower bound of at most [`MAX_BOUND`] bytes.
pub(super) fn shorter_min(order: Order, bound: Bound) -> Bound {
    let Order::Bytes { text } = order else {
        return bound;
    };
    if bound.value.len() <= MAX_BOUND {
        return bound;
    }
    let end = cut(&bound.value, text);
    Bound {
        value: bound.value.slice(..end),
        exact: false,
    }
}

/// An upper bound of at most [`MAX_BOUND`] bytes, or `None` if there is none.
pub(super) fn shorter_max(order: Order, bound: Bound) -> Option<Bound> {
    let Order::Bytes { text } = order else {
        return Some(bound);
    };
    if bound.value.len() <= MAX_BOUND {
        return Some(bound);
    }
    let mut value = bound.value.slice(..cut(&bound.value, text)).to_vec();
    if let (true, Ok(prefix)) = (text, std::str::from_utf8(&value)) {
        // The last character that has a successor of the same length.
        let next = |(at, character): (usize, char)| {
            let next = char::from_u32(u32::from(character) + 1)?;
            (next.len_utf8() == character.len_utf8()).then(|| format!("{}{next}", &prefix[..at]))
        };
        let value = prefix.char_indices().rev().find_map(next)?;
        return Some(Bound {
            value: value.into(),
            exact: false,
        });
    }
    while let Some(last) = value.pop() {
        if let Some(next) = last.checked_add(1) {
            value.push(next);
            return Some(Bound {
                value: value.into(),
                exact: false,
            });
        }
    }
    None
}

/// Where a long value is cut; text is cut between two characters.
fn cut(value: &[u8], text: bool) -> usize {
    if !text || std::str::from_utf8(value).is_err() {
        return MAX_BOUND;
    }
    // The first byte of a UTF-8 character is not 10xxxxxx.
    let starts = |at: &usize| value.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80);
    (0..=MAX_BOUND).rev().find(starts).unwrap_or(MAX_BOUND)
}

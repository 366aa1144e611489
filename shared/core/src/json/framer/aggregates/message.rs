//! The protobuf message of an aggregate, read field by field until its MD5 follows.

use std::ops::Range;

use md5::{Digest, Md5};

use super::MAGIC;

/// The bytes of an MD5.
const CHECKSUM: usize = 16;

/// How far an aggregate was read.
#[derive(Debug)]
pub(super) struct Parse {
    /// The end of the fields that were read, from the magic bytes on.
    at: usize,
    checksum: Md5,
    /// The user records.
    pub(super) data: Vec<Range<usize>>,
}

impl Default for Parse {
    fn default() -> Self {
        Self {
            at: MAGIC.len(),
            checksum: Md5::new(),
            data: Vec::new(),
        }
    }
}

pub(super) enum Parsed {
    More,
    /// It ends there.
    Whole(usize),
    Damaged,
}

impl Parse {
    pub(super) fn go_on(&mut self, bytes: &[u8], ended: bool, longest: usize) -> Parsed {
        let more = if ended { Parsed::Damaged } else { Parsed::More };
        loop {
            let rest = bytes.get(self.at..).unwrap_or_default();
            let Some(next) = rest.get(..CHECKSUM) else {
                return more;
            };
            if self.checksum.clone().finalize().as_slice() == next {
                return Parsed::Whole(self.at + CHECKSUM);
            }
            match field(rest, longest.saturating_sub(self.at)) {
                Wire::More => return more,
                Wire::Field { end, data } => {
                    self.checksum.update(rest.get(..end).unwrap_or_default());
                    self.data
                        .extend(data.map(|data| self.at + data.start..self.at + data.end));
                    self.at += end;
                }
                Wire::Wrong => return Parsed::Damaged,
            }
        }
    }
}

enum Wire {
    More,
    Wrong,
    /// A field that ends there, and its user record, if it is one.
    Field {
        end: usize,
        data: Option<Range<usize>>,
    },
}

/// The varint at `at`, and its end. `None` if it is incomplete or too long.
fn varint(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut number = 0;
    for (index, byte) in bytes.get(at..)?.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * index).min(63);
        if byte & 0x80 == 0 {
            return Some((number, at + index + 1));
        }
    }
    None
}

/// The range of the bytes whose length is at `at`.
fn delimited(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let (length, start) = varint(bytes, at)?;
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    Some(start..end)
}

/// Reads the first field of an `AggregatedRecord`: a partition key, an explicit hash key, or a record.
fn field(bytes: &[u8], longest: usize) -> Wire {
    let Some(&tag) = bytes.first() else {
        return Wire::More;
    };
    if !matches!(tag, 0x0a | 0x12 | 0x1a) {
        return Wire::Wrong;
    }
    let Some(range) = delimited(bytes, 1) else {
        // A varint has ten bytes at most.
        return if bytes.len() > 10 {
            Wire::Wrong
        } else {
            Wire::More
        };
    };
    if range.end > longest {
        return Wire::Wrong;
    }
    let end = range.end;
    let Some(inner) = bytes.get(range.clone()) else {
        return Wire::More;
    };
    if tag != 0x1a {
        return Wire::Field { end, data: None };
    }
    match user_record(inner) {
        Some(data) => Wire::Field {
            end,
            data: Some(range.start + data.start..range.start + data.end),
        },
        None => Wire::Wrong,
    }
}

/// The data of a `Record`, which occurs once in it, beside indices of keys and tags.
fn user_record(bytes: &[u8]) -> Option<Range<usize>> {
    let mut data = None;
    let mut at = 0;
    while let Some(&tag) = bytes.get(at) {
        at = match tag {
            0x08 | 0x10 => varint(bytes, at + 1)?.1,
            0x1a | 0x22 => {
                let range = delimited(bytes, at + 1)?;
                bytes.get(range.clone())?;
                if tag == 0x1a && data.replace(range.clone()).is_some() {
                    return None;
                }
                range.end
            }
            _ => return None,
        };
    }
    data
}

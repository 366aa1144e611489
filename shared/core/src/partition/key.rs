//! The identity of a partition, cheap to compute for every record.

use std::{borrow::Borrow, fmt};

use jiff::civil::DateTime;

use super::DEFAULT_PARTITION;

/// A partition of one [`Partitioner`](super::Partitioner): two keys are equal if and only if their paths are.
///
/// It borrows as bytes, so that a map of keys can be searched with a buffer from
/// [`Partitioner::write_key`](super::Partitioner::write_key).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionKey(Box<[u8]>);

impl PartitionKey {
    /// The key in a buffer.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The time, and the values of the columns.
    pub(super) fn decode(&self) -> (PackedTime, Vec<Option<&str>>) {
        let mut bytes = &*self.0;
        let time = take(&mut bytes).map_or(0, u64::from_be_bytes);
        let mut columns = Vec::new();
        while let Some([tag]) = take::<1>(&mut bytes) {
            let mut value = None;
            if tag == PRESENT
                && let Some(length) = take(&mut bytes).map(u32::from_be_bytes)
                && let Some((text, rest)) = bytes.split_at_checked(length as usize)
            {
                value = std::str::from_utf8(text).ok();
                bytes = rest;
            }
            columns.push(value);
        }
        (PackedTime(time), columns)
    }
}

impl Borrow<[u8]> for PartitionKey {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PartitionKey").field(&self.decode()).finish()
    }
}

const ABSENT: u8 = 0;
const PRESENT: u8 = 1;

/// Appends a key's encoding: eight bytes of time, then a tag, a length and the text of each column.
pub(super) fn encode<'a>(
    time: PackedTime,
    columns: impl Iterator<Item = Option<&'a str>>,
    buffer: &mut Vec<u8>,
) {
    buffer.extend_from_slice(&time.0.to_be_bytes());
    for column in columns {
        // Null, the empty string and this name have the same path.
        match column.filter(|text| !text.is_empty() && *text != DEFAULT_PARTITION) {
            None => buffer.push(ABSENT),
            Some(text) => {
                buffer.push(PRESENT);
                // Records of 4 GiB are refused long before, and the value would be too long for a path anyway.
                let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
                buffer.extend_from_slice(&length.to_be_bytes());
                buffer.extend_from_slice(text.as_bytes());
            }
        }
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*taken)
}

/// The parts of a civil time down to the minute, in one number with the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PackedTime(u64);

impl PackedTime {
    pub(super) const YEAR: u64 = 0xffff << 20;
    pub(super) const MONTH: u64 = 0xf << 16;
    pub(super) const DAY: u64 = 0x1f << 11;
    pub(super) const HOUR: u64 = 0x1f << 6;
    pub(super) const MINUTE: u64 = 0x3f;
    /// Years are counted from here, so that they are not negative.
    const FIRST_YEAR: i16 = -9999;

    /// The parts of `civil` that `mask` selects.
    pub(super) fn pack(civil: DateTime, mask: u64) -> Self {
        let part = |value: i8| u64::from(value.unsigned_abs());
        let year = u64::from((civil.year() - Self::FIRST_YEAR).unsigned_abs());
        let packed = year << 20
            | part(civil.month()) << 16
            | part(civil.day()) << 11
            | part(civil.hour()) << 6
            | part(civil.minute());
        Self(packed & mask)
    }

    pub(super) fn year(self) -> i64 {
        (self.0 & Self::YEAR).cast_signed() / (1 << 20) + i64::from(Self::FIRST_YEAR)
    }

    pub(super) fn month(self) -> u64 {
        (self.0 & Self::MONTH) >> 16
    }

    pub(super) fn day(self) -> u64 {
        (self.0 & Self::DAY) >> 11
    }

    pub(super) fn hour(self) -> u64 {
        (self.0 & Self::HOUR) >> 6
    }

    pub(super) fn minute(self) -> u64 {
        self.0 & Self::MINUTE
    }
}

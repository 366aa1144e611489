//! The merged dictionary of chunks from many files.

use std::ops::Range;

use hashbrown::{HashTable, hash_table::Entry};
use parquet::{basic::Type as Physical, schema::types::ColumnDescriptor};
use twox_hash::XxHash3_128;

use super::fault::PageFault;

/// The values of a dictionary page and where each begins.
#[derive(Debug, Default)]
pub(super) struct Values {
    /// In PLAIN encoding.
    bytes: Vec<u8>,
    /// The end of each value.
    ends: Vec<usize>,
}

impl Values {
    /// Finds the values in a dictionary page.
    pub(super) fn read(
        column: &ColumnDescriptor,
        bytes: Vec<u8>,
        count: usize,
    ) -> Result<Self, PageFault> {
        let mut values = Self {
            bytes,
            ends: Vec::new(),
        };
        find(column, &values.bytes, count, &mut values.ends)?;
        Ok(values)
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The size of all values in bytes.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The value at an index, in PLAIN encoding.
    pub(super) fn get(&self, index: u32) -> Option<&[u8]> {
        let index = usize::try_from(index).ok()?;
        let end = *self.ends.get(index)?;
        let start = match index.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.bytes.get(start..end)
    }

    fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
    }
}

/// The width of a value in bytes. `None` for values of variable length and for booleans.
pub(super) fn width(column: &ColumnDescriptor) -> Option<usize> {
    match column.physical_type() {
        Physical::BOOLEAN | Physical::BYTE_ARRAY => None,
        Physical::INT32 | Physical::FLOAT => Some(4),
        Physical::INT64 | Physical::DOUBLE => Some(8),
        Physical::INT96 => Some(12),
        Physical::FIXED_LEN_BYTE_ARRAY => usize::try_from(column.type_length()).ok(),
    }
}

/// Appends the end of each of `count` PLAIN values. They must fill `bytes` exactly.
pub(super) fn find(
    column: &ColumnDescriptor,
    bytes: &[u8],
    count: usize,
    ends: &mut Vec<usize>,
) -> Result<(), PageFault> {
    let corrupt = || PageFault::Corrupt("values are cut short".to_owned());
    if let Some(width) = width(column) {
        if count.checked_mul(width) != Some(bytes.len()) {
            return Err(corrupt());
        }
        ends.extend((1..=count).map(|index| index * width));
        return Ok(());
    }
    if column.physical_type() == Physical::BOOLEAN {
        return Err(corrupt());
    }
    find_texts(bytes, count, ends)?;
    if ends.last().copied().unwrap_or(0) == bytes.len() {
        Ok(())
    } else {
        Err(corrupt())
    }
}

/// Appends the end of each of `count` PLAIN values of variable length. Bytes may follow them.
pub(super) fn find_texts(
    bytes: &[u8],
    count: usize,
    ends: &mut Vec<usize>,
) -> Result<(), PageFault> {
    let corrupt = || PageFault::Corrupt("values are cut short".to_owned());
    if count > bytes.len() / 4 {
        return Err(corrupt());
    }
    ends.reserve(count);
    let mut at = 0_usize;
    for _ in 0..count {
        let (length, rest) = bytes
            .get(at..)
            .and_then(<[u8]>::split_first_chunk::<4>)
            .ok_or_else(corrupt)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| corrupt())?;
        if length > rest.len() {
            return Err(corrupt());
        }
        at += 4 + length;
        ends.push(at);
    }
    Ok(())
}

/// The range of a value without its PLAIN length prefix.
pub(super) fn content(column: &ColumnDescriptor, value: Range<usize>) -> Range<usize> {
    match column.physical_type() {
        Physical::BYTE_ARRAY => value.start + 4..value.end,
        _ => value,
    }
}

/// Distinct values in the order of their first occurrence.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    values: Values,
    places: HashTable<u32>,
}

impl Dictionary {
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The size of the dictionary page in bytes.
    pub(super) fn size(&self) -> usize {
        self.values.size()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.values.bytes()
    }

    /// Adds the values of another dictionary and returns the index of each. `None` if they do not fit into `limit`
    /// bytes.
    pub(super) fn include(&mut self, other: &Values, limit: usize) -> Option<Vec<u32>> {
        let mut places = Vec::with_capacity(other.len());
        let mut start = 0;
        for end in &other.ends {
            let value = other.bytes.get(start..*end)?;
            start = *end;
            let values = &mut self.values;
            let entry = self.places.entry(
                hash(value),
                |place| values.get(*place) == Some(value),
                |place| values.get(*place).map_or(0, hash),
            );
            let place = match entry {
                Entry::Occupied(place) => *place.get(),
                Entry::Vacant(room) => {
                    let place = u32::try_from(values.len()).ok()?;
                    if values.size() + value.len() > limit {
                        return None;
                    }
                    room.insert(place);
                    values.push(value);
                    place
                }
            };
            places.push(place);
        }
        Some(places)
    }
}

/// A hash that does not depend on the platform.
fn hash(value: &[u8]) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "half of a hash is one too")]
    let hash = XxHash3_128::oneshot(value) as u64;
    hash
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::schema::types::{ColumnPath, Type};

    use super::*;

    fn texts() -> ColumnDescriptor {
        let leaf = Type::primitive_type_builder("a", Physical::BYTE_ARRAY)
            .build()
            .unwrap();
        ColumnDescriptor::new(Arc::new(leaf), 0, 0, ColumnPath::from("a"))
    }

    fn page(values: &[&str]) -> Values {
        let mut bytes = Vec::new();
        for value in values {
            bytes.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
            bytes.extend(value.as_bytes());
        }
        Values::read(&texts(), bytes, values.len()).unwrap()
    }

    #[test]
    fn values_keep_their_place() {
        let mut dictionary = Dictionary::default();
        let mut include = |values: &[&str], limit| dictionary.include(&page(values), limit);
        assert_eq!(include(&["a", "b", ""], 100), Some(vec![0, 1, 2]));
        assert_eq!(include(&["", "c", "a"], 100), Some(vec![2, 3, 0]));
        assert_eq!(include(&["b", "long"], 22), None);
        assert_eq!(include(&["b", "c"], 0), Some(vec![1, 3]));
    }

    #[test]
    fn values_that_are_not_there() {
        for (bytes, count) in [
            (&b"\x01\0\0\0"[..], 1),
            (b"\x01\0\0\0ab", 1),
            (b"\x01\0\0\0a", 2),
            (b"\xff\xff\xff\xffa", 1),
            (b"", usize::MAX),
        ] {
            assert!(
                find(&texts(), bytes, count, &mut Vec::new()).is_err(),
                "{bytes:?}"
            );
        }
    }
}

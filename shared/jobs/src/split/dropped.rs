//! The rows that are not written because another one has their key, as a plan has them.

use std::{fmt, ops::Range};

use lakewright_core::split::Dropped;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{
        MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};

/// The most rows that are listed one by one.
const LISTED: usize = 10_000;

/// A digit of a packed number: 5 bits, and whether more digits follow.
const DIGITS: &[u8; 64] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
const BITS: u32 = 5;
const MORE: u64 = 1 << BITS;

/// The rows that are not written because another one has their key. Every task reads them with its plan, so many of them
/// are packed: 5 million take 5 to 15 MB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum DroppedRows {
    /// All of them, by number.
    Listed(Vec<Dropped>),
    /// Many.
    Packed(Packed),
}

/// The numbers of many rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed {
    /// How many there are.
    count: u64,
    /// The distance of each from the one before, minus one, in digits of 5 bits, the lowest first.
    rows: String,
    /// The first of those that differ from the row that is written.
    collided: Vec<Dropped>,
}

impl Default for DroppedRows {
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

impl DroppedRows {
    /// All rows, by number. Of many, at most `named` of those that differ from the row that is written are kept as they are.
    pub(super) fn new(dropped: Vec<Dropped>, named: usize) -> Self {
        if dropped.len() <= LISTED {
            return Self::Listed(dropped);
        }
        let (mut rows, mut next) = (String::new(), 0);
        for Dropped { row, .. } in &dropped {
            let mut left = row - next;
            while left >= MORE {
                push(&mut rows, MORE | (left % MORE));
                left >>= BITS;
            }
            push(&mut rows, left);
            next = row + 1;
        }
        let different = dropped.iter().filter(|dropped| !dropped.same);
        Self::Packed(Packed {
            count: dropped.len() as u64,
            rows,
            collided: different.take(named).copied().collect(),
        })
    }

    /// Their number.
    pub fn count(&self) -> u64 {
        match self {
            Self::Listed(dropped) => dropped.len() as u64,
            Self::Packed(packed) => packed.count,
        }
    }

    /// The first of those that differ from the row that is written.
    pub(super) fn collided(&self) -> impl Iterator<Item = &Dropped> {
        let known = match self {
            Self::Listed(dropped) => dropped,
            Self::Packed(packed) => &packed.collided,
        };
        known.iter().filter(|dropped| !dropped.same)
    }

    /// Those with a number in this range, sorted.
    pub(super) fn within(&self, range: Range<u64>) -> Vec<u64> {
        match self {
            Self::Listed(dropped) => {
                let numbers = dropped.iter().map(|dropped| dropped.row);
                numbers.filter(|row| range.contains(row)).collect()
            }
            Self::Packed(packed) => {
                let (mut found, mut next) = (Vec::new(), 0_u64);
                let (mut distance, mut shift) = (0_u64, 0);
                for digit in packed.rows.bytes().map(value) {
                    distance |= (digit % MORE).checked_shl(shift).unwrap_or_default();
                    if digit >= MORE {
                        shift += BITS;
                        continue;
                    }
                    let row = next.saturating_add(distance);
                    if row >= range.end {
                        break;
                    }
                    if row >= range.start {
                        found.push(row);
                    }
                    next = row + 1;
                    (distance, shift) = (0, 0);
                }
                found
            }
        }
    }
}

fn push(rows: &mut String, digit: u64) {
    let digit = usize::try_from(digit).ok();
    let digit = digit.and_then(|digit| DIGITS.get(digit));
    rows.extend(digit.map(|digit| char::from(*digit)));
}

fn value(digit: u8) -> u64 {
    u64::from(match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'z' => digit - b'a' + 10,
        b'A'..=b'Z' => digit - b'A' + 36,
        b'-' => 62,
        _ => 63,
    })
}

struct DroppedVisitor;

impl<'de> Visitor<'de> for DroppedVisitor {
    type Value = DroppedRows;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows, or packed rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<DroppedRows, A::Error> {
        Deserialize::deserialize(SeqAccessDeserializer::new(list)).map(DroppedRows::Listed)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<DroppedRows, A::Error> {
        Deserialize::deserialize(MapAccessDeserializer::new(map)).map(DroppedRows::Packed)
    }
}

impl<'de> Deserialize<'de> for DroppedRows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DroppedVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::known;

    fn dropped(row: u64, same: bool) -> Dropped {
        Dropped { row, kept: 0, same }
    }

    fn again(rows: &DroppedRows) -> DroppedRows {
        known::from_slice(&serde_json::to_vec(rows).unwrap()).unwrap()
    }

    #[test]
    fn many_rows_are_packed_and_found_again_by_chunk() {
        // Distances of one to many digits.
        let mut numbers = (0..LISTED as u64).map(|n| n * 3).collect::<Vec<_>>();
        let last = numbers[numbers.len() - 1];
        numbers.extend([last + 1, last + 33, last + 40_000, last + (1 << 40)]);
        let all = numbers.iter().map(|&row| dropped(row, row % 2 == 0));
        let rows = DroppedRows::new(all.collect(), 2);
        assert!(matches!(rows, DroppedRows::Packed(_)));
        assert_eq!(rows.count(), numbers.len() as u64);
        let rows = again(&rows);
        assert_eq!(rows.within(0..u64::MAX), numbers);
        for range in [0..1, 3..7, last..last + 34, last + 41_000..u64::MAX] {
            let expected = numbers.iter().copied().filter(|row| range.contains(row));
            assert_eq!(
                rows.within(range.clone()),
                expected.collect::<Vec<_>>(),
                "{range:?}"
            );
        }
        let collided = rows.collided().map(|dropped| dropped.row);
        assert_eq!(collided.collect::<Vec<_>>(), [3, 9]);
    }

    #[test]
    fn a_few_rows_are_listed_as_they_were_before() {
        let rows = DroppedRows::new(vec![dropped(2, false), dropped(7, true)], 9);
        let text = serde_json::to_string(&rows).unwrap();
        assert_eq!(
            text,
            r#"[{"row":2,"kept":0,"same":false},{"row":7,"kept":0,"same":true}]"#
        );
        assert_eq!(again(&rows), rows);
        assert_eq!((rows.within(3..9), rows.collided().count()), (vec![7], 1));
    }

    #[test]
    fn millions_of_duplicates_take_a_few_bytes_each() {
        for (distance, most) in [(2, 1), (40, 2), (40_000, 4)] {
            let rows = (0..500_000).map(|row| dropped(row * distance, true));
            let rows = DroppedRows::new(rows.collect(), 20);
            let bytes = serde_json::to_vec(&rows).unwrap().len();
            assert!(bytes < most * 500_000 + 100, "{distance}: {bytes}");
        }
    }
}

//! The rows in a plan that are not written because another row has their key.

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

/// The rows that are not written because another row has their key. Every task reads them with its plan, so long lists are
/// packed: 5 million rows take 10 to 30 MB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum DroppedRows {
    /// Every row, by number.
    Listed(Vec<Dropped>),
    /// The numbers of many rows, in a compact form.
    Packed(Packed),
}

/// The numbers of many rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed {
    /// The number of written rows between each and its predecessor.
    gaps: Vec<u64>,
    /// The first of those that differ from the row that is written.
    collided: Vec<Dropped>,
}

impl Default for DroppedRows {
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

impl DroppedRows {
    /// All rows, by number. If they are packed, only the first `named` rows that differ from the written one are kept in
    /// full.
    pub(super) fn new(dropped: Vec<Dropped>, named: usize) -> Self {
        if dropped.len() <= LISTED {
            return Self::Listed(dropped);
        }
        let mut next = 0;
        let gaps = dropped.iter().map(|Dropped { row, .. }| {
            let gap = row - next;
            next = row + 1;
            gap
        });
        let gaps = gaps.collect();
        let different = dropped.iter().filter(|dropped| !dropped.same);
        Self::Packed(Packed {
            gaps,
            collided: different.take(named).copied().collect(),
        })
    }

    /// Their number.
    pub fn count(&self) -> u64 {
        match self {
            Self::Listed(dropped) => dropped.len() as u64,
            Self::Packed(packed) => packed.gaps.len() as u64,
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
                let mut next = 0_u64;
                let numbers = packed.gaps.iter().map(|gap| {
                    let row = next.saturating_add(*gap);
                    next = row.saturating_add(1);
                    row
                });
                let before_end = numbers.take_while(|row| *row < range.end);
                before_end.filter(|row| *row >= range.start).collect()
            }
        }
    }
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
        for (distance, most) in [(2, 2), (40, 3), (40_000, 6)] {
            let rows = (0..500_000).map(|row| dropped(row * distance, true));
            let rows = DroppedRows::new(rows.collect(), 20);
            let bytes = serde_json::to_vec(&rows).unwrap().len();
            assert!(bytes < most * 500_000 + 100, "{distance}: {bytes}");
        }
    }
}

//! How late records are: the time from a record's own time until its object landed.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The number of significant digits, for latenesses of up to some 9,999 years.
const DIGITS: u8 = 2;
const LONGEST: u64 = 1 << 39;

/// The age of a record when its object landed. It shows how old the partitions are that still get rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Age {
    /// Its time is in the future.
    Ahead,
    /// Less than an hour.
    Hour,
    /// Less than a day.
    Day,
    /// Less than seven days.
    Week,
    /// Less than thirty days.
    Month,
    /// Older.
    Older,
}

impl Age {
    /// Every age, from the latest to the earliest.
    pub const ALL: [Self; 6] = [
        Self::Ahead,
        Self::Hour,
        Self::Day,
        Self::Week,
        Self::Month,
        Self::Older,
    ];

    fn of(seconds: i64) -> Self {
        match seconds {
            ..0 => Self::Ahead,
            0..3_600 => Self::Hour,
            3_600..86_400 => Self::Day,
            86_400..604_800 => Self::Week,
            604_800..2_592_000 => Self::Month,
            2_592_000.. => Self::Older,
        }
    }
}

/// The lateness of an object's records, in whole seconds. A record whose time is in the future has lateness 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lateness {
    /// The median, to two significant digits.
    pub p50_seconds: u64,
    /// The 99th percentile, to two significant digits.
    pub p99_seconds: u64,
    /// The exact maximum.
    pub max_seconds: u64,
    /// The number of records of each age.
    pub rows_by_age: BTreeMap<Age, u64>,
}

/// Computes the [`Lateness`] of a stream of records in little memory.
#[derive(Debug)]
pub struct LatenessMeter {
    landed: i64,
    histogram: Option<Histogram<u64>>,
    max: u64,
    ages: [u64; Age::ALL.len()],
}

impl LatenessMeter {
    /// Starts for an object that landed at this time.
    pub fn new(landed: Timestamp) -> Self {
        Self {
            landed: landed.as_second(),
            histogram: Histogram::new_with_max(LONGEST, DIGITS).ok(),
            max: 0,
            ages: [0; Age::ALL.len()],
        }
    }

    /// Adds a record's time.
    pub fn record(&mut self, time: Timestamp) {
        let seconds = self.landed - time.as_second();
        if let Some(count) = self.ages.get_mut(Age::of(seconds) as usize) {
            *count += 1;
        }
        let late = u64::try_from(seconds).unwrap_or(0);
        self.max = self.max.max(late);
        if let Some(histogram) = &mut self.histogram {
            histogram.saturating_record(late);
        }
    }

    /// The result. `None` if there were no records.
    pub fn finish(&self) -> Option<Lateness> {
        let counts = Age::ALL.into_iter().zip(self.ages);
        let rows_by_age = counts
            .filter(|&(_, rows)| rows > 0)
            .collect::<BTreeMap<_, _>>();
        let quantile = |quantile: f64| {
            let histogram = self.histogram.as_ref();
            histogram.map_or(0, |histogram| {
                histogram.value_at_quantile(quantile).min(self.max)
            })
        };
        (!rows_by_age.is_empty()).then(|| Lateness {
            p50_seconds: quantile(0.5),
            p99_seconds: quantile(0.99),
            max_seconds: self.max,
            rows_by_age,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::stated;

    #[test]
    fn examples() {
        stated(
            "The lateness of a record is the time from its own time to the landing of its object, in whole seconds, and 0 where its time lies ahead.",
        );
        let landed = Timestamp::from_second(1_777_640_832).unwrap();
        let measure = |lateness: &[i64]| {
            let mut meter = LatenessMeter::new(landed);
            for seconds in lateness {
                let time = Timestamp::from_second(landed.as_second() - seconds).unwrap();
                meter.record(time);
            }
            meter.finish()
        };
        assert_eq!(measure(&[]), None);
        let mixed =
            measure(&[-5, 0, 3_599, 3_600, 86_400, 604_800, 2_592_000, 40_000_000]).unwrap();
        assert_eq!(mixed.max_seconds, 40_000_000);
        let ages = mixed.rows_by_age.into_iter().collect::<Vec<_>>();
        assert_eq!(
            ages,
            [
                (Age::Ahead, 1),
                (Age::Hour, 2),
                (Age::Day, 1),
                (Age::Week, 1),
                (Age::Month, 1),
                (Age::Older, 2)
            ]
        );
        let even = measure(&(1..=1_000).collect::<Vec<_>>()).unwrap();
        assert!((500..=505).contains(&even.p50_seconds), "{even:?}");
        assert!((990..=1_000).contains(&even.p99_seconds), "{even:?}");
        let epoch = measure(&[377_705_116_800]).unwrap();
        assert_eq!(epoch.max_seconds, 377_705_116_800);
    }
}

//! Times: seconds since 2015 began where the file was written, and nanoseconds.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Decimal128Array, TimestampMicrosecondArray},
    datatypes::TimestampMicrosecondType,
};
use jiff::{Timestamp, civil, tz::TimeZone};

use super::{OrcError, error::corrupt, types::Column};

/// 2015-01-01T00:00:00Z.
const BASE: i64 = 1_420_070_400;

/// 1582-10-15, in days since 1970.
const GREGORIAN: i64 = -141_427;

/// 1900-01-01T00:00:00Z. Java's clocks show standard time before it, others local mean time.
const STANDARD: i64 = -2_208_988_800;

/// Where a stripe was written.
#[derive(Debug)]
pub(super) struct Zone {
    rules: TimeZone,
    /// When 2015 began there.
    base: i64,
    /// Whether earlier days than [`GREGORIAN`] are counted in the Julian calendar.
    is_hybrid: bool,
}

/// Whether a number of nanoseconds is less than a second. Its last three bits say how many zeros follow it.
pub(super) fn is_fraction(stored: i64) -> bool {
    let zeros = match (stored & 7).unsigned_abs() {
        0 => 0,
        more => more + 1,
    };
    let zeros = u32::try_from(zeros).unwrap_or(u32::MAX);
    let fraction = (stored >> 3).checked_mul(10_i64.pow(zeros));
    stored >= 0 && fraction.is_some_and(|fraction| fraction < 1_000_000_000)
}

impl Zone {
    /// `name`: as the stripe has it, which it must if one of the columns has local times.
    pub(super) fn of(columns: &[Column], name: Option<&str>) -> Result<Self, OrcError> {
        let utc = Self {
            rules: TimeZone::UTC,
            base: BASE,
            is_hybrid: false,
        };
        if !columns.iter().any(Column::has_local_times) {
            return Ok(utc);
        }
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Err(OrcError::Unread(
                "has timestamps without the time zone of their writer, so it is not known which times they are".to_owned(),
            ));
        };
        if matches!(name, "UTC" | "GMT") {
            return Ok(utc);
        }
        let unknown = |_| {
            OrcError::Unread(format!(
                "has timestamps of a writer in `{name}`, which is no time zone"
            ))
        };
        let zone = TimeZone::get(name).map_err(unknown)?;
        let begin = civil::date(2015, 1, 1).to_zoned(zone.clone());
        let base = begin.map_err(unknown)?.timestamp().as_second();
        Ok(Self {
            rules: zone,
            base,
            is_hybrid: false,
        })
    }

    pub(super) fn in_calendar(self, is_hybrid: bool) -> Self {
        Self { is_hybrid, ..self }
    }

    /// Refuses a day that readers take for different ones: Hive and Spark know the hybrid calendar, Athena does not.
    pub(super) fn check(&self, day: i64) -> Result<(), OrcError> {
        if self.is_hybrid && day < GREGORIAN {
            return Err(OrcError::Unread(
                "has a day before 1582-10-15 that is counted in the Julian calendar, which readers take for different days: write it with `orc.proleptic.gregorian` = true, or as text".to_owned(),
            ));
        }
        Ok(())
    }

    /// The microseconds of times, rounded down: of the instant, or of what the clock showed at the writer. What is outside the
    /// years 0 to 9999 stays outside.
    pub(super) fn microseconds(
        &self,
        decoded: &Decimal128Array,
        instant: bool,
    ) -> Result<ArrayRef, OrcError> {
        let found: TimestampMicrosecondArray = decoded
            .try_unary::<_, TimestampMicrosecondType, _>(|time| self.microsecond(time, instant))?;
        Ok(if instant {
            Arc::new(found.with_timezone("UTC"))
        } else {
            Arc::new(found)
        })
    }

    /// `decoded`: the nanoseconds of the decoder, which takes 2015 to have begun in UTC.
    fn microsecond(&self, decoded: i128, instant: bool) -> Result<i64, OrcError> {
        let seconds = i64::try_from(decoded.div_euclid(1_000_000_000));
        let mut seconds = seconds.map_err(|_| corrupt("a time is out of every range"))?;
        let nanoseconds = i64::try_from(decoded.rem_euclid(1_000_000_000)).unwrap_or(0);
        // Java's writer rounds the seconds of a time before 1970 up, unless it has less than a millisecond more. The
        // decoder undoes that for a base in UTC. <https://issues.apache.org/jira/browse/ORC-763>
        let rounds = nanoseconds > 999_999;
        if rounds && seconds < -1 {
            seconds += 1;
        }
        let base = if instant { BASE } else { self.base };
        seconds = seconds.saturating_sub(BASE).saturating_add(base);
        if rounds && seconds < 0 {
            seconds -= 1;
        }
        if !instant && self.rules != TimeZone::UTC {
            if seconds < STANDARD {
                return Err(OrcError::Unread(
                    "has a timestamp before 1900 of a writer in another time zone than UTC, which readers take for different times: write it in UTC, or as text".to_owned(),
                ));
            }
            if let Ok(time) = Timestamp::from_second(seconds) {
                seconds += i64::from(self.rules.to_offset(time).seconds());
            }
        }
        self.check(seconds.div_euclid(86_400))?;
        let microseconds = seconds.saturating_mul(1_000_000);
        Ok(microseconds.saturating_add(nanoseconds / 1_000))
    }
}

//! Parses a record's own time from its timestamp column. docs/SEMANTICS.md, "Timestamps", specifies every supported
//! format and its meaning.

mod bound;
mod epoch;
mod forms;
mod iso;

#[cfg(test)]
mod tests;

use jiff::{
    Timestamp, civil,
    tz::{Offset, TimeZone},
};
use thiserror::Error;

use self::{
    bound::Bound,
    epoch::EpochError,
    iso::{Scan, Written},
};
use crate::{
    config::{EpochUnit, TimestampRule},
    nearest,
    shown::quoted,
};

/// The longest text that is parsed: all formats are shorter, so a longer text is not a time.
const LONGEST: usize = 128;
/// The most characters of a refused text that an error shows.
const SHOWN: usize = 64;

/// Reads timestamps by a job's rule.
///
/// A time without a zone is in the rule's zone. If it is ambiguous because clocks went back, it is the earlier instant;
/// if it does not exist because clocks went forward, it is moved forward by the length of the gap. Second 60 is read as
/// 59.
#[derive(Debug, Clone)]
pub struct TimestampReader {
    zone: TimeZone,
    /// The zone's offset if it never changes, which avoids the lookup of transitions.
    fixed: Option<Offset>,
    unit: Option<EpochUnit>,
    pattern: Option<String>,
    /// The start of year 0 in the zone: partitions have years of four digits.
    first: Timestamp,
    earliest: Timestamp,
    latest: Timestamp,
}

/// Why a timestamp rule is refused, with the key of the setting.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RuleError {
    /// No column is set.
    #[error("timestamp.column is empty: name the column, or a path such as detail.time")]
    NoColumn,
    /// The zone is not in the IANA time zone database.
    #[error(
        "timestamp.zone = \"{0}\" is not an IANA time zone: write one such as Europe/Berlin{near}",
        near = near_zone(.0)
    )]
    UnknownZone(String),
    /// The pattern is invalid, or does not determine a date.
    #[error("timestamp.format = \"{pattern}\": {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// The reason.
        reason: String,
    },
    /// Both a pattern and a unit are set.
    #[error("timestamp.unit has no meaning beside timestamp.format: leave one out")]
    UnitWithFormat,
    /// A bound is neither a time nor an offset from now.
    #[error(
        "timestamp.{key} = \"{text}\": {reason}; write a time, or an offset such as now-400d or now+2h"
    )]
    Bound {
        /// `earliest` or `latest`.
        key: &'static str,
        /// Its value.
        text: String,
        /// The reason.
        reason: String,
    },
    /// `earliest` is later than `latest`.
    #[error("timestamp.earliest ({earliest}) is later than timestamp.latest ({latest})")]
    NothingBetween {
        /// The value of `earliest`.
        earliest: Timestamp,
        /// The value of `latest`.
        latest: Timestamp,
    },
}

impl RuleError {
    /// The key that is wrong.
    pub fn key(&self) -> &'static str {
        match self {
            Self::NoColumn => "timestamp.column",
            Self::UnknownZone(_) => "timestamp.zone",
            Self::Pattern { .. } => "timestamp.format",
            Self::UnitWithFormat => "timestamp.unit",
            Self::Bound {
                key: "earliest", ..
            }
            | Self::NothingBetween { .. } => "timestamp.earliest",
            Self::Bound { .. } => "timestamp.latest",
        }
    }
}

/// `; did you mean …?`, where the name of a zone is near.
fn near_zone(written: &str) -> String {
    let zones: Vec<_> = jiff::tz::db()
        .available()
        .map(|zone| zone.to_string())
        .collect();
    nearest::meant(written, zones.iter().map(String::as_str))
}

/// Why a value is no time that a record can be placed by. Texts are shortened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TimeError {
    /// It has no supported format, or its date or time of day does not exist.
    #[error("{} is not a time in a known format", quoted(.text))]
    Unrecognised {
        /// The value.
        text: String,
    },
    /// It is outside the years 0 to 9999.
    #[error("{} lies outside the years 0 to 9999", quoted(.text))]
    OutOfRange {
        /// The value.
        text: String,
    },
    /// It is before the rule's `earliest`.
    #[error("{} lies before the earliest time, {earliest}", quoted(.text))]
    BeforeEarliest {
        /// The value.
        text: String,
        /// The bound.
        earliest: Timestamp,
    },
    /// It is after the rule's `latest`.
    #[error("{} lies after the latest time, {latest}", quoted(.text))]
    AfterLatest {
        /// The value.
        text: String,
        /// The bound.
        latest: Timestamp,
    },
}

impl TimeError {
    /// The reason code for the quarantine and for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unrecognised { .. } => "time_unrecognised",
            Self::OutOfRange { .. } => "time_out_of_range",
            Self::BeforeEarliest { .. } => "time_before_earliest",
            Self::AfterLatest { .. } => "time_after_latest",
        }
    }
}

/// Microseconds since 1970-01-01T00:00:00Z, rounded down.
pub fn microseconds(instant: Timestamp) -> i64 {
    let cut_towards_1970 = instant.subsec_nanosecond() % 1_000 < 0;
    instant.as_microsecond() - i64::from(cut_towards_1970)
}

/// Why a text has no instant, before the text is shortened for the error.
enum Refusal {
    Unrecognised,
    OutOfRange,
}

impl TimestampReader {
    /// Creates a reader for `rule`. `now` only resolves bounds that are relative to it.
    ///
    /// # Errors
    /// The first invalid setting of the rule.
    pub fn new(rule: &TimestampRule, now: Timestamp) -> Result<Self, RuleError> {
        Self::between(rule, now, now)
    }

    /// The same, if `now` is one time for `earliest` and a later one for `latest`.
    ///
    /// # Errors
    /// As [`TimestampReader::new`].
    pub fn between(
        rule: &TimestampRule,
        begun: Timestamp,
        ended: Timestamp,
    ) -> Result<Self, RuleError> {
        if rule.column.is_empty() {
            return Err(RuleError::NoColumn);
        }
        let zone = match &rule.zone {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name).map_err(|_| RuleError::UnknownZone(name.clone()))?,
        };
        let mut reader = Self {
            fixed: zone.to_fixed_offset().ok(),
            first: forms::in_zone(civil::date(0, 1, 1).at(0, 0, 0, 0), &zone)
                .unwrap_or(Timestamp::MIN),
            zone,
            unit: rule.unit,
            pattern: None,
            earliest: Timestamp::MIN,
            latest: Timestamp::MAX,
        };
        let bound = |key, text: &Option<String>, now| {
            text.as_deref()
                .map(|text| Bound::parse(key, text, now, &reader))
                .transpose()
        };
        let earliest = bound("earliest", &rule.earliest, begun)?;
        let latest = bound("latest", &rule.latest, ended)?;
        // A fixed and a relative bound may cross later, so only two bounds of the same kind can be compared here.
        if let (Some(earliest), Some(latest)) = (earliest, latest)
            && earliest.relative == latest.relative
            && earliest.at > latest.at
        {
            return Err(RuleError::NothingBetween {
                earliest: earliest.at,
                latest: latest.at,
            });
        }
        if let Some(pattern) = &rule.format {
            if rule.unit.is_some() {
                return Err(RuleError::UnitWithFormat);
            }
            forms::check_pattern(pattern, &reader.zone).map_err(|reason| RuleError::Pattern {
                pattern: pattern.clone(),
                reason,
            })?;
            reader.pattern = Some(pattern.clone());
        }
        if let Some(bound) = earliest {
            reader.earliest = bound.at;
        }
        if let Some(bound) = latest {
            reader.latest = bound.at;
        }
        Ok(reader)
    }

    /// The zone of times without one, and of the partitions.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Parses a text: an ISO 8601 time or one of its variants, a number, RFC 2822, Apache log time; or, if the rule has
    /// a pattern, only that pattern.
    ///
    /// # Errors
    /// It is not a time, or is outside the bounds.
    #[inline]
    pub fn read_text(&self, text: &str) -> Result<Timestamp, TimeError> {
        self.finish(self.instant_of_text(text), || text.to_owned())
    }

    /// Parses the text of a JSON number exactly, down to the nanosecond.
    ///
    /// # Errors
    /// It is not a time, or is outside the bounds.
    pub fn read_number(&self, text: &str) -> Result<Timestamp, TimeError> {
        let instant = match &self.pattern {
            Some(pattern) => self.instant_by_pattern(pattern, text),
            None => self.instant_of_number(text).map_err(Refusal::from),
        };
        self.finish(instant, || text.to_owned())
    }

    /// Converts a value of an integer column.
    ///
    /// # Errors
    /// It is not a time, or is outside the bounds.
    pub fn read_integer(&self, value: i64) -> Result<Timestamp, TimeError> {
        let instant = match &self.pattern {
            Some(pattern) => self.instant_by_pattern(pattern, &value.to_string()),
            None => epoch::from_integer(value, self.unit).map_err(Refusal::from),
        };
        self.finish(instant, || value.to_string())
    }

    /// Converts a value of a floating point column, through its shortest decimal representation.
    ///
    /// # Errors
    /// It is not a time, or is outside the bounds.
    pub fn read_float(&self, value: f64) -> Result<Timestamp, TimeError> {
        // `Display` of a float writes exactly that decimal, without an exponent.
        self.read_number(&value.to_string())
    }

    /// Checks the bounds of an instant from another source, such as a typed timestamp column.
    ///
    /// # Errors
    /// It is outside the bounds.
    pub fn check(&self, instant: Timestamp) -> Result<Timestamp, TimeError> {
        self.finish(Ok(instant), || instant.to_string())
    }

    fn instant_of_text(&self, text: &str) -> Result<Timestamp, Refusal> {
        if let Some(pattern) = &self.pattern {
            return self.instant_by_pattern(pattern, text.trim());
        }
        match iso::scan(text.as_bytes()) {
            Scan::Time(written) => self.instant_of_written(written),
            Scan::Impossible => Err(Refusal::Unrecognised),
            Scan::OtherForm => {
                // White space around a text is rare, so it is only checked now.
                let trimmed = text.trim();
                if trimmed.len() < text.len() {
                    self.instant_of_text(trimmed)
                } else {
                    self.instant_of_other_text(text)
                }
            }
        }
    }

    #[inline]
    fn instant_of_written(&self, written: Written) -> Result<Timestamp, Refusal> {
        match written.offset.or(self.fixed) {
            Some(offset) => offset.to_timestamp(written.civil).ok(),
            None => forms::in_zone(written.civil, &self.zone),
        }
        .ok_or(Refusal::OutOfRange)
    }

    #[cold]
    fn instant_of_other_text(&self, text: &str) -> Result<Timestamp, Refusal> {
        if text.is_empty() || text.len() > LONGEST {
            return Err(Refusal::Unrecognised);
        }
        if self.unit.is_none()
            && let Some(pattern) = forms::compact(text)
        {
            return self.instant_by_pattern(pattern, text);
        }
        match self.instant_of_number(text) {
            Ok(instant) => Ok(instant),
            Err(EpochError::OutOfRange) => Err(Refusal::OutOfRange),
            Err(EpochError::NotANumber) => {
                forms::other(text, &self.zone).ok_or(Refusal::Unrecognised)
            }
        }
    }

    fn instant_of_number(&self, text: &str) -> Result<Timestamp, EpochError> {
        // Eighteen digits fit an i64, and nearly every epoch is an integer.
        match text.parse::<i64>() {
            Ok(value) if !text.starts_with('+') => epoch::from_integer(value, self.unit),
            _ => epoch::from_decimal(text, self.unit),
        }
    }

    fn instant_by_pattern(&self, pattern: &str, text: &str) -> Result<Timestamp, Refusal> {
        if text.len() > LONGEST {
            return Err(Refusal::Unrecognised);
        }
        forms::by_pattern(pattern, text, &self.zone).ok_or(Refusal::Unrecognised)
    }

    #[inline]
    fn finish(
        &self,
        instant: Result<Timestamp, Refusal>,
        text: impl Fn() -> String,
    ) -> Result<Timestamp, TimeError> {
        match instant {
            Ok(instant)
                if instant >= self.earliest && instant <= self.latest && instant >= self.first =>
            {
                Ok(instant)
            }
            refused => Err(self.refuse(&refused, text())),
        }
    }

    #[cold]
    fn refuse(&self, instant: &Result<Timestamp, Refusal>, mut text: String) -> TimeError {
        if let Some((end, _)) = text.char_indices().nth(SHOWN) {
            text.truncate(end);
            text.push('…');
        }
        match instant {
            Err(Refusal::Unrecognised) => TimeError::Unrecognised { text },
            Err(Refusal::OutOfRange) => TimeError::OutOfRange { text },
            Ok(instant) if *instant < self.first => TimeError::OutOfRange { text },
            Ok(instant) if *instant < self.earliest => TimeError::BeforeEarliest {
                text,
                earliest: self.earliest,
            },
            Ok(_) => TimeError::AfterLatest {
                text,
                latest: self.latest,
            },
        }
    }
}

impl From<EpochError> for Refusal {
    fn from(error: EpochError) -> Self {
        match error {
            EpochError::NotANumber => Self::Unrecognised,
            EpochError::OutOfRange => Self::OutOfRange,
        }
    }
}

//! A record's own time, read from what stands in its timestamp column. docs/SEMANTICS.md, "Timestamps", states
//! every form that is read and what it means.

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
};

/// The longest text that is looked at: no form is as long, and what is longer is no time.
const LONGEST: usize = 128;
/// How much of a refused text an error repeats.
const SHOWN: usize = 64;

/// Reads timestamps by a job's rule.
///
/// A time without a zone is one in the rule's zone. Where the clocks went back, so that it happened twice, the
/// earlier instant is meant; where they went forward, so that it never happened, it is moved forward by the
/// length of the gap. A time of day with a sixtieth second is read as its fifty-ninth.
#[derive(Debug, Clone)]
pub struct TimestampReader {
    zone: TimeZone,
    /// The zone's offset where it has only one, which spares looking up the zone's transitions.
    fixed: Option<Offset>,
    unit: Option<EpochUnit>,
    pattern: Option<String>,
    /// The start of year 0 in the zone: partitions have years of four digits.
    first: Timestamp,
    earliest: Timestamp,
    latest: Timestamp,
}

/// Why a timestamp rule is refused, by its key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RuleError {
    /// No column is named.
    #[error("timestamp.column is empty: name the column, or a path such as detail.time")]
    NoColumn,
    /// The zone is not in the IANA time zone database.
    #[error(
        "timestamp.zone = \"{0}\" is no IANA time zone: write one such as Europe/Berlin{near}",
        near = near_zone(.0)
    )]
    UnknownZone(String),
    /// The pattern cannot be read by, or fixes no date.
    #[error("timestamp.format = \"{pattern}\": {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A pattern and a unit are both given, and only one can be meant.
    #[error("timestamp.unit has no meaning beside timestamp.format: leave one out")]
    UnitWithFormat,
    /// A bound is neither a time nor an offset from now.
    #[error(
        "timestamp.{key} = \"{text}\": {reason}; write a time, or an offset such as now-400d or now+2h"
    )]
    Bound {
        /// `earliest` or `latest`.
        key: &'static str,
        /// What it says.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No time can lie between the bounds.
    #[error("timestamp.earliest ({earliest}) is later than timestamp.latest ({latest})")]
    NothingBetween {
        /// The earlier bound.
        earliest: Timestamp,
        /// The later bound.
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
    /// It has no form that is read, or names a date or time of day that does not exist.
    #[error("`{text}` is no time in a known form")]
    Unrecognised {
        /// The value.
        text: String,
    },
    /// It lies outside the years 0 to 9999.
    #[error("`{text}` lies outside the years 0 to 9999")]
    OutOfRange {
        /// The value.
        text: String,
    },
    /// It lies before the rule's `earliest`.
    #[error("`{text}` lies before the earliest time, {earliest}")]
    BeforeEarliest {
        /// The value.
        text: String,
        /// The bound.
        earliest: Timestamp,
    },
    /// It lies after the rule's `latest`.
    #[error("`{text}` lies after the latest time, {latest}")]
    AfterLatest {
        /// The value.
        text: String,
        /// The bound.
        latest: Timestamp,
    },
}

impl TimeError {
    /// One word for the quarantine and for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unrecognised { .. } => "time_unrecognised",
            Self::OutOfRange { .. } => "time_out_of_range",
            Self::BeforeEarliest { .. } => "time_before_earliest",
            Self::AfterLatest { .. } => "time_after_latest",
        }
    }
}

/// Microseconds since 1970-01-01T00:00:00Z; what is below one is cut off towards the past.
pub fn microseconds(instant: Timestamp) -> i64 {
    let cut_towards_1970 = instant.subsec_nanosecond() % 1_000 < 0;
    instant.as_microsecond() - i64::from(cut_towards_1970)
}

/// Why a text gave no instant, before it is known how to show the text.
enum Refusal {
    Unrecognised,
    OutOfRange,
}

impl TimestampReader {
    /// A reader by `rule`. `now` only resolves the bounds that are written relative to it.
    ///
    /// # Errors
    /// The first setting of the rule that means nothing.
    pub fn new(rule: &TimestampRule, now: Timestamp) -> Result<Self, RuleError> {
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
        let bound = |key, text: &Option<String>| {
            text.as_deref()
                .map(|text| Bound::parse(key, text, now, &reader))
                .transpose()
        };
        let earliest = bound("earliest", &rule.earliest)?;
        let latest = bound("latest", &rule.latest)?;
        // A fixed bound and one that moves may cross as time goes by; only two of a kind can be judged here.
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

    /// The zone of times that name none, and of the partitions.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Reads a text: an ISO 8601 time or one of its variants, a number, RFC 2822, Apache log time; or, where the
    /// rule has a pattern, that pattern only.
    ///
    /// # Errors
    /// If it is no time, or one outside the bounds.
    #[inline]
    pub fn read_text(&self, text: &str) -> Result<Timestamp, TimeError> {
        self.finish(self.instant_of_text(text), || text.to_owned())
    }

    /// Reads the text of a JSON number, exactly: no digit of a fraction is lost down to the nanosecond.
    ///
    /// # Errors
    /// If it is no time, or one outside the bounds.
    pub fn read_number(&self, text: &str) -> Result<Timestamp, TimeError> {
        let instant = match &self.pattern {
            Some(pattern) => self.instant_by_pattern(pattern, text),
            None => self.instant_of_number(text).map_err(Refusal::from),
        };
        self.finish(instant, || text.to_owned())
    }

    /// Reads a value of an integer column.
    ///
    /// # Errors
    /// If it is no time, or one outside the bounds.
    pub fn read_integer(&self, value: i64) -> Result<Timestamp, TimeError> {
        let instant = match &self.pattern {
            Some(pattern) => self.instant_by_pattern(pattern, &value.to_string()),
            None => epoch::from_integer(value, self.unit).map_err(Refusal::from),
        };
        self.finish(instant, || value.to_string())
    }

    /// Reads a value of a floating point column, as the shortest decimal number that stands for it.
    ///
    /// # Errors
    /// If it is no time, or one outside the bounds.
    pub fn read_float(&self, value: f64) -> Result<Timestamp, TimeError> {
        // `Display` of a float prints just that decimal, without an exponent.
        self.read_number(&value.to_string())
    }

    /// Checks an instant that was read by other means, such as from a typed timestamp column, against the bounds.
    ///
    /// # Errors
    /// If it lies outside the bounds.
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
                // Few texts have white space around them, so it is looked for only now.
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
        // Eighteen digits fit an i64, and nearly every epoch is a whole number.
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

//! Numeric times since 1970-01-01T00:00:00Z, parsed exactly: a decimal is never converted to `f64`.

use jiff::Timestamp;

use crate::{config::EpochUnit, decimal::Decimal};

/// Why a number is not a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EpochError {
    /// The text is not a decimal number.
    NotANumber,
    /// The number exceeds the range of timestamps.
    OutOfRange,
}

impl EpochUnit {
    /// The power of ten of this unit in nanoseconds.
    fn places(self) -> i64 {
        match self {
            Self::S => 9,
            Self::Ms => 6,
            Self::Us => 3,
            Self::Ns => 0,
        }
    }

    /// The unit by magnitude, from `digits` such that `|v| < 10^digits`.
    fn by_magnitude(digits: i64) -> Self {
        match digits {
            ..=11 => Self::S,
            12..=14 => Self::Ms,
            15..=17 => Self::Us,
            _ => Self::Ns,
        }
    }
}

/// The instant of an integer number of units.
pub(super) fn from_integer(value: i64, unit: Option<EpochUnit>) -> Result<Timestamp, EpochError> {
    let unit = unit.unwrap_or_else(|| {
        let digits = value
            .unsigned_abs()
            .checked_ilog10()
            .map_or(0, |log| log + 1);
        EpochUnit::by_magnitude(i64::from(digits))
    });
    match unit {
        EpochUnit::S => Timestamp::from_second(value),
        EpochUnit::Ms => Timestamp::from_millisecond(value),
        EpochUnit::Us => Timestamp::from_microsecond(value),
        EpochUnit::Ns => Timestamp::from_nanosecond(i128::from(value)),
    }
    .map_err(|_| EpochError::OutOfRange)
}

/// The instant of a decimal number in JSON's notation, with leading zeros allowed. Fractions of a nanosecond are rounded down.
pub(super) fn from_decimal(text: &str, unit: Option<EpochUnit>) -> Result<Timestamp, EpochError> {
    let text = text.as_bytes();
    let decimal = is_plain(text).then(|| Decimal::parse(text)).flatten();
    let decimal = decimal.ok_or(EpochError::NotANumber)?;
    let unit = unit.unwrap_or_else(|| EpochUnit::by_magnitude(decimal.magnitude()));
    let nanoseconds = decimal
        .floor_times_ten_to(unit.places())
        .ok_or(EpochError::OutOfRange)?;
    Timestamp::from_nanosecond(nanoseconds).map_err(|_| EpochError::OutOfRange)
}

/// Whether each point is between digits, and there is no plus sign, as in JSON.
fn is_plain(text: &[u8]) -> bool {
    let is_digit = |at: Option<usize>| {
        let byte = at.and_then(|at| text.get(at));
        byte.is_some_and(u8::is_ascii_digit)
    };
    let mut points = (0..text.len()).filter(|&at| text.get(at) == Some(&b'.'));
    points.all(|at| is_digit(at.checked_sub(1)) && is_digit(Some(at + 1)))
        && text.first() != Some(&b'+')
}

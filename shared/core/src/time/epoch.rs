//! Numeric times since 1970-01-01T00:00:00Z, parsed exactly: a decimal is never converted to `f64`.

use jiff::Timestamp;

use crate::config::EpochUnit;

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

/// The instant of a decimal number in JSON's notation. Fractions of a nanosecond are rounded down.
pub(super) fn from_decimal(text: &str, unit: Option<EpochUnit>) -> Result<Timestamp, EpochError> {
    let decimal = Decimal::parse(text.as_bytes()).ok_or(EpochError::NotANumber)?;
    let unit = unit.unwrap_or_else(|| EpochUnit::by_magnitude(decimal.magnitude()));
    let nanoseconds = decimal
        .floor_times_ten_to(unit.places())
        .ok_or(EpochError::OutOfRange)?;
    Timestamp::from_nanosecond(nanoseconds).map_err(|_| EpochError::OutOfRange)
}

/// The most digits of a mantissa that are kept. A time needs at most twelve digits of seconds and nine of fraction.
const KEPT_DIGITS: u32 = 36;

/// A decimal number: `mantissa * 10^exponent`, and slightly more if `rest` is set.
struct Decimal {
    negative: bool,
    mantissa: i128,
    exponent: i64,
    /// Whether non-zero digits after the mantissa were dropped.
    rest: bool,
}

impl Decimal {
    /// JSON's number grammar, but leading zeros are allowed.
    fn parse(text: &[u8]) -> Option<Self> {
        let (negative, mut text) = match text {
            [b'-', rest @ ..] => (true, rest),
            _ => (false, text),
        };
        let mut decimal = Self {
            negative,
            mantissa: 0,
            exponent: 0,
            rest: false,
        };
        text = decimal.digits(text, false)?;
        if let [b'.', fraction @ ..] = text {
            text = decimal.digits(fraction, true)?;
        }
        if let [b'e' | b'E', exponent @ ..] = text {
            let (sign, digits) = match exponent {
                [b'-', rest @ ..] => (-1, rest),
                [b'+', rest @ ..] => (1, rest),
                _ => (1, exponent),
            };
            let mut value: i64 = 0;
            for byte in digits {
                // Far beyond any time, and far below overflow.
                value = (value * 10 + i64::from(digit(*byte)?)).min(1_000_000);
            }
            if digits.is_empty() {
                return None;
            }
            decimal.exponent += sign * value;
            text = &[];
        }
        text.is_empty().then_some(decimal)
    }

    /// Reads the digits at the start of `text`, at least one, and returns what follows them.
    fn digits<'a>(&mut self, text: &'a [u8], fraction: bool) -> Option<&'a [u8]> {
        let end = text
            .iter()
            .position(|byte| !byte.is_ascii_digit())
            .unwrap_or(text.len());
        let (digits, rest) = text.split_at(end);
        if digits.is_empty() {
            return None;
        }
        for byte in digits {
            let digit = i128::from(digit(*byte)?);
            if self.mantissa < 10_i128.pow(KEPT_DIGITS - 1) {
                self.mantissa = self.mantissa * 10 + digit;
                self.exponent -= i64::from(fraction);
            } else {
                self.rest |= digit != 0;
                self.exponent += i64::from(!fraction);
            }
        }
        Some(rest)
    }

    /// The smallest `n >= 0` such that `|self| < 10^n`.
    fn magnitude(&self) -> i64 {
        let digits = self.mantissa.checked_ilog10().map_or(0, |log| log + 1);
        if digits == 0 {
            return 0;
        }
        (i64::from(digits) + self.exponent).max(0)
    }

    /// `floor(self * 10^places)`, if it fits.
    fn floor_times_ten_to(&self, places: i64) -> Option<i128> {
        if self.mantissa == 0 {
            return Some(0);
        }
        let power = self.exponent + places;
        let (whole, cut) = if power >= 0 {
            let factor = 10_i128.checked_pow(u32::try_from(power).ok()?)?;
            (self.mantissa.checked_mul(factor)?, self.rest)
        } else {
            match u32::try_from(-power)
                .ok()
                .and_then(|n| 10_i128.checked_pow(n))
            {
                Some(divisor) => (
                    self.mantissa / divisor,
                    self.rest || self.mantissa % divisor != 0,
                ),
                // The divisor exceeds every mantissa.
                None => (0, true),
            }
        };
        Some(match (self.negative, cut) {
            (false, _) => whole,
            (true, false) => -whole,
            (true, true) => -whole - 1,
        })
    }
}

fn digit(byte: u8) -> Option<u8> {
    byte.is_ascii_digit().then(|| byte - b'0')
}

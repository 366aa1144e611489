//! Parses numbers without loss: integers and decimals by exact decimal arithmetic, floats with correct rounding.

use super::lex::{self, Stop};
use crate::decimal::{Decimal, is_number};

/// A number in the buffer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number {
    /// Where it starts.
    pub(super) start: usize,
    /// Where it ends.
    pub(super) end: usize,
    negative: bool,
    /// Its digits as an integer, if they fit.
    mantissa: Option<u64>,
    /// How many of these digits are after the decimal point.
    fraction: usize,
}

/// The most digits that always fit a `u64`.
const U64_DIGITS: usize = 19;

/// The number of digits at the start of `text`, and `value` with them appended, which wraps beyond [`U64_DIGITS`].
#[inline]
fn digits(text: &[u8], mut value: u64) -> (usize, u64) {
    for (count, byte) in text.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return (count, value);
        }
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
    }
    (text.len(), value)
}

/// Reads the number at `start` in one pass: its end and, if it is short, its value.
#[expect(
    clippy::inline_always,
    reason = "a number that is returned through memory is read before it is stored, which stalls the processor"
)]
#[inline(always)]
pub(super) fn read(buf: &[u8], start: usize) -> Result<Number, Stop> {
    let number = scan(buf, start);
    match buf.get(number.end) {
        Some(b',' | b'}' | b']' | b'\n' | b'\r' | b' ') if number.mantissa.is_some() => Ok(number),
        // An unusual number, or an invalid one: use the full grammar.
        _ => reread(buf, start, number.negative),
    }
}

/// Parses a text as a number if it has few digits and no exponent.
#[inline]
fn short(text: &[u8]) -> Option<Number> {
    let number = scan(text, 0);
    (number.end == text.len() && number.mantissa.is_some()).then_some(number)
}

/// Reads the digits at `start`, with an optional sign and point, and their value if they are few.
#[expect(clippy::inline_always, reason = "as for `read`")]
#[inline(always)]
fn scan(buf: &[u8], start: usize) -> Number {
    let rest = |at: usize| buf.get(at..).unwrap_or_default();
    let negative = buf.get(start) == Some(&b'-');
    let first = start + usize::from(negative);
    let (whole, mut mantissa) = digits(rest(first), 0);
    let mut end = first + whole;
    let mut fraction = 0;
    let mut usual = whole == 1 || whole > 1 && buf.get(first) != Some(&b'0');
    if buf.get(end) == Some(&b'.') {
        (fraction, mantissa) = digits(rest(end + 1), mantissa);
        end += 1 + fraction;
        usual &= fraction > 0;
    }
    usual &= whole + fraction <= U64_DIGITS;
    Number {
        start,
        end,
        negative,
        mantissa: usual.then_some(mantissa),
        fraction,
    }
}

/// Reads a number with an exponent or many digits, or an invalid one.
#[cold]
fn reread(buf: &[u8], start: usize, negative: bool) -> Result<Number, Stop> {
    Ok(Number {
        start,
        end: lex::number(buf, start)?,
        negative,
        mantissa: None,
        fraction: 0,
    })
}

impl Number {
    fn text(self, buf: &[u8]) -> &[u8] {
        buf.get(self.start..self.end).unwrap_or_default()
    }

    /// The number as an integer, if it is one (`1.0` and `1e3` are) and fits.
    #[inline]
    pub(super) fn integer(self, buf: &[u8]) -> Option<i64> {
        match self.mantissa {
            Some(mantissa) if self.fraction == 0 => {
                if self.negative {
                    0_i64.checked_sub_unsigned(mantissa)
                } else {
                    i64::try_from(mantissa).ok()
                }
            }
            _ => unscaled_integer(self.text(buf)),
        }
    }

    /// The nearest double. `None` if that is infinite.
    #[inline]
    pub(super) fn double(self, buf: &[u8]) -> Option<f64> {
        // The digits and the power of ten are both exact doubles, so the single division rounds correctly (Clinger,
        // "How to read floating point numbers accurately", 1990).
        const EXACT: u64 = 1 << f64::MANTISSA_DIGITS;
        const POWERS: [f64; 23] = [
            1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
            1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
        ];
        if let Some(mantissa) = self.mantissa
            && mantissa <= EXACT
            && let Some(power) = POWERS.get(self.fraction)
        {
            #[expect(
                clippy::cast_precision_loss,
                reason = "at most 2^53, hence exact as a double"
            )]
            let value = mantissa as f64 / power;
            return Some(if self.negative { -value } else { value });
        }
        parsed_double(self.text(buf))
    }

    /// The number times ten to the power of `scale`, if that is an integer of at most `precision` digits.
    pub(super) fn decimal(self, buf: &[u8], precision: u8, scale: u8) -> Option<i128> {
        decimal(self.text(buf), precision, scale)
    }
}

/// Parses a text as a number and multiplies it by ten to the power of `scale`, if that is an integer of at most
/// `precision` digits.
pub(super) fn decimal(text: &[u8], precision: u8, scale: u8) -> Option<i128> {
    let value = Decimal::parse(text)?.times_ten_to(scale.into())?;
    let limit = 10_u128.checked_pow(u32::from(precision))?;
    (value.unsigned_abs() < limit).then_some(value)
}

/// Parses a text as an integer, if it is one and fits.
#[inline]
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    match short(text) {
        Some(number) => number.integer(text),
        None => unscaled_integer(text),
    }
}

fn unscaled_integer(text: &[u8]) -> Option<i64> {
    let value = Decimal::parse(text)?.times_ten_to(0)?;
    i64::try_from(value).ok()
}

/// Parses a text to the nearest double. `None` if that is infinite.
#[inline]
pub(super) fn double(text: &[u8]) -> Option<f64> {
    match short(text) {
        Some(number) => number.double(text),
        None => parsed_double(text),
    }
}

fn parsed_double(text: &[u8]) -> Option<f64> {
    let value: f64 = is_number(text).then(|| str::from_utf8(text).ok()?.parse().ok())??;
    value.is_finite().then_some(value)
}

/// The same in single precision.
pub(super) fn float(text: &[u8]) -> Option<f32> {
    let value: f32 = is_number(text).then(|| str::from_utf8(text).ok()?.parse().ok())??;
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn integers() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("1.0", Some(1)),
            ("1e3", Some(1000)),
            ("1500e-2", Some(15)),
            ("1e-1", None),
            ("1.5", None),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9007199254740993", Some(9_007_199_254_740_993)),
            ("9.007199254740993e15", Some(9_007_199_254_740_993)),
            ("0e999999999999999999999", Some(0)),
            ("1e999999999999999999999", None),
            ("1e-999999999999999999999", None),
        ] {
            assert_eq!(integer(text.as_bytes()), expected, "{text}");
            let buf = format!("{text},");
            let number = read(buf.as_bytes(), 0).unwrap();
            assert_eq!(number.end, text.len());
            assert_eq!(number.integer(buf.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn decimals() {
        let nines = "9".repeat(38);
        let many_zeros = format!("1.{}", "0".repeat(60));
        for (text, precision, scale, expected) in [
            ("1.5", 10, 2, Some(150)),
            ("-1.50", 10, 1, Some(-15)),
            ("1.55", 10, 1, None),
            ("99.9", 3, 1, Some(999)),
            ("100", 3, 1, None),
            ("0.1", 38, 38, Some(10_i128.pow(37))),
            (nines.as_str(), 38, 0, Some(10_i128.pow(38) - 1)),
            ("1e38", 38, 0, None),
            (many_zeros.as_str(), 5, 2, Some(100)),
            (
                "123456789012345678901234567890.12",
                38,
                2,
                Some(12_345_678_901_234_567_890_123_456_789_012),
            ),
        ] {
            assert_eq!(
                decimal(text.as_bytes(), precision, scale),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn numbers_in_strings() {
        for good in ["007", "+7", ".5", "5.", "-1e+2"] {
            assert!(double(good.as_bytes()).is_some(), "{good}");
        }
        for bad in [
            "", "+", ".", "e1", "1e", " 1", "1 ", "0x10", "1d", "inf", "NaN", "1_0",
        ] {
            assert!(double(bad.as_bytes()).is_none(), "{bad}");
            assert!(integer(bad.as_bytes()).is_none(), "{bad}");
        }
        assert_eq!(double(b"1e400"), None);
        assert_eq!(float(b"1e39"), None);
    }

    #[test]
    fn what_is_no_json_number() {
        for bad in [
            "01,", "-,", "1.,", ".5,", "1e,", "1x,", "-01,", "+1,", "00,", "0.,",
        ] {
            assert!(
                matches!(read(bad.as_bytes(), 0), Err(Stop::Syntax { .. })),
                "{bad}"
            );
        }
        for short in ["1", "-", "1.", "1e", "1e+", "12.5"] {
            assert_eq!(
                read(short.as_bytes(), 0).unwrap_err(),
                Stop::Incomplete,
                "{short}"
            );
        }
    }

    proptest! {
        #[test]
        fn doubles_are_correctly_rounded(whole in "-?(0|[1-9][0-9]{0,20})", rest in "(\\.[0-9]{1,22})?([eE][+-]?[0-9]{1,3})?") {
            let text = format!("{whole}{rest}}}");
            let number = read(text.as_bytes(), 0).unwrap();
            let expected: f64 = text.trim_end_matches('}').parse().unwrap();
            let expected = expected.is_finite().then(|| expected.to_bits());
            prop_assert_eq!(number.double(text.as_bytes()).map(f64::to_bits), expected);
            let alone = text.trim_end_matches('}').as_bytes();
            prop_assert_eq!(double(alone).map(f64::to_bits), expected);
        }

        #[test]
        fn every_integer(value: i64) {
            let text = format!("{value} ");
            prop_assert_eq!(read(text.as_bytes(), 0).unwrap().integer(text.as_bytes()), Some(value));
            prop_assert_eq!(integer(text.trim().as_bytes()), Some(value));
            prop_assert_eq!(decimal(value.to_string().as_bytes(), 38, 3), Some(i128::from(value) * 1000));
        }
    }
}

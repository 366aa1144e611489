//! Decimal numbers, without loss.

/// The most digits of a mantissa that are kept: those of the longest decimal column.
const KEPT_DIGITS: u32 = 38;

/// The largest exponent that is kept, far beyond any value.
const LARGEST_EXPONENT: i64 = 1 << 40;

/// A decimal number: `mantissa * 10^exponent`, and slightly more if `rest` is set.
pub(crate) struct Decimal {
    negative: bool,
    mantissa: i128,
    exponent: i64,
    /// Whether non-zero digits after the mantissa were dropped.
    rest: bool,
}

/// Whether the text is a decimal number: a JSON number, or one with a plus sign, leading zeros, or digits on only one
/// side of the point.
pub(crate) fn is_number(text: &[u8]) -> bool {
    fn digits(text: &[u8]) -> (usize, &[u8]) {
        let count = text.iter().take_while(|b| b.is_ascii_digit()).count();
        (count, text.get(count..).unwrap_or_default())
    }
    fn sign(text: &[u8]) -> &[u8] {
        match text {
            [b'+' | b'-', rest @ ..] => rest,
            _ => text,
        }
    }
    let (whole, rest) = digits(sign(text));
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => digits(rest),
        _ => (0, rest),
    };
    let rest = match rest {
        [b'e' | b'E', rest @ ..] => match digits(sign(rest)) {
            (0, _) => return false,
            (_, rest) => rest,
        },
        _ => rest,
    };
    whole + fraction > 0 && rest.is_empty()
}

/// Reads an exponent.
fn exponent(text: &[u8]) -> i64 {
    let digits = text.iter().filter(|byte| byte.is_ascii_digit());
    let magnitude = digits.fold(0_i64, |value, digit| {
        (value * 10 + i64::from(digit - b'0')).min(LARGEST_EXPONENT)
    });
    if text.first() == Some(&b'-') {
        -magnitude
    } else {
        magnitude
    }
}

impl Decimal {
    /// Reads a text for which [`is_number`] holds.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        if !is_number(text) {
            return None;
        }
        let end = text.iter().position(|byte| matches!(byte, b'e' | b'E'));
        let (digits, scientific) = text.split_at(end.unwrap_or(text.len()));
        let mut decimal = Self {
            negative: text.first() == Some(&b'-'),
            mantissa: 0,
            exponent: exponent(scientific.get(1..).unwrap_or_default()),
            rest: false,
        };
        let mut fraction = false;
        for byte in digits {
            match byte {
                b'.' => fraction = true,
                b'0'..=b'9' => {
                    let digit = i128::from(byte - b'0');
                    if decimal.mantissa < 10_i128.pow(KEPT_DIGITS - 1) {
                        decimal.mantissa = decimal.mantissa * 10 + digit;
                        decimal.exponent -= i64::from(fraction);
                    } else {
                        decimal.rest |= digit != 0;
                        decimal.exponent += i64::from(!fraction);
                    }
                }
                _ => {}
            }
        }
        Some(decimal)
    }

    /// The smallest `n >= 0` such that `|self| < 10^n`.
    pub(crate) fn magnitude(&self) -> i64 {
        let digits = self.mantissa.checked_ilog10().map_or(0, |log| log + 1);
        if digits == 0 {
            return 0;
        }
        (i64::from(digits) + self.exponent).max(0)
    }

    /// `self * 10^places`, if that is an integer that fits.
    pub(crate) fn times_ten_to(&self, places: i64) -> Option<i128> {
        let (whole, cut) = self.parts(places)?;
        let value = if self.negative { -whole } else { whole };
        (!cut).then_some(value)
    }

    /// `floor(self * 10^places)`, if it fits.
    pub(crate) fn floor_times_ten_to(&self, places: i64) -> Option<i128> {
        Some(match (self.negative, self.parts(places)?) {
            (false, (whole, _)) => whole,
            (true, (whole, false)) => -whole,
            (true, (whole, true)) => -whole - 1,
        })
    }

    /// The integer part of `|self| * 10^places`, and whether there is more.
    fn parts(&self, places: i64) -> Option<(i128, bool)> {
        if self.mantissa == 0 {
            return Some((0, false));
        }
        let power = self.exponent + places;
        if power >= 0 {
            let factor = 10_i128.checked_pow(u32::try_from(power).ok()?)?;
            return Some((self.mantissa.checked_mul(factor)?, self.rest));
        }
        let divisor = u32::try_from(-power).ok();
        let divisor = divisor.and_then(|power| 10_i128.checked_pow(power));
        Some(match divisor {
            Some(divisor) => (
                self.mantissa / divisor,
                self.rest || self.mantissa % divisor != 0,
            ),
            // The divisor exceeds every mantissa.
            None => (0, true),
        })
    }
}

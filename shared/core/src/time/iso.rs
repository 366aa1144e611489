//! The ISO 8601 family, parsed from bytes: nearly every record has one of these, so this runs once for each record.
//!
//! ```text
//! yyyy-M[M]-d[d]
//! yyyy-M[M]-d[d](T|t| +)H[H]:mm[:ss[(.|,)f{1,9}]]
//! yyyy-M[M]-d[d](T|t| +)H[H]:mm[:ss[(.|,)f{1,9}]] *(Z|z|UTC|GMT|±hh[[:]mm])
//! ```

use jiff::{
    civil::{Date, DateTime, Time},
    tz::Offset,
};

/// A time as written: date and time of day, and the offset if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) civil: DateTime,
    pub(super) offset: Option<Offset>,
}

/// The result of parsing a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scan {
    /// It is a time.
    Time(Written),
    /// It has the format, but the date, time of day or offset does not exist.
    Impossible,
    /// It has another format.
    OtherForm,
}

/// Parses the whole of `text`.
#[inline]
pub(super) fn scan(text: &[u8]) -> Scan {
    if let Some(written) = usual(text) {
        return Scan::Time(written);
    }
    let Some(fields) = Fields::read(text) else {
        return Scan::OtherForm;
    };
    fields.resolve().map_or(Scan::Impossible, Scan::Time)
}

/// The time of a text of the form `yyyy-MM-ddTHH:mm:ss[.f{1,9}]Z`, which nearly all have. `None`, if it has another form or does
/// not exist.
#[inline]
fn usual(text: &[u8]) -> Option<Written> {
    let (head, rest) = text.split_first_chunk::<19>()?;
    let [
        millennium,
        century,
        decade,
        year,
        b'-',
        month_tens,
        month,
        b'-',
        day_tens,
        day,
        b'T',
        hour_tens,
        hour,
        b':',
        minute_tens,
        minute,
        b':',
        second_tens,
        second,
    ] = *head
    else {
        return None;
    };
    let two = |tens, ones| Some(digit(tens)? * 10 + digit(ones)?);
    let nanosecond = match rest {
        [b'Z'] => 0,
        [b'.', fraction @ .., b'Z'] => {
            let mut cursor = Cursor(fraction);
            let nanosecond = cursor.fraction()?;
            cursor.0.is_empty().then_some(nanosecond)?
        }
        _ => return None,
    };
    let (century, year) = (two(millennium, century)?, two(decade, year)?);
    let year = i16::from(century) * 100 + i16::from(year);
    let date = Date::new(year, two(month_tens, month)?, two(day_tens, day)?).ok()?;
    let (hour, minute) = (two(hour_tens, hour)?, two(minute_tens, minute)?);
    let time = Time::new(hour, minute, two(second_tens, second)?, nanosecond).ok()?;
    Some(Written {
        civil: DateTime::from_parts(date, time),
        offset: Some(Offset::UTC),
    })
}

/// The numbers of a text with the right format, not yet checked against the calendar.
struct Fields {
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
    nanosecond: i32,
    zone: Zone,
}

enum Zone {
    None,
    Zulu,
    Offset {
        negative: bool,
        hours: i32,
        minutes: i32,
    },
}

impl Fields {
    fn read(text: &[u8]) -> Option<Self> {
        let mut cursor = Cursor(text);
        let year = cursor.four_digits()?;
        cursor.expect(b'-')?;
        let month = cursor.one_or_two_digits()?;
        cursor.expect(b'-')?;
        let day = cursor.one_or_two_digits()?;
        let mut fields = Self {
            year,
            month,
            day,
            hour: 0,
            minute: 0,
            second: 0,
            nanosecond: 0,
            zone: Zone::None,
        };
        match cursor.0 {
            [] => return Some(fields),
            [b'T' | b't', ..] => cursor.skip(1),
            [b' ', ..] => cursor.skip_spaces(),
            _ => return None,
        }
        fields.hour = cursor.one_or_two_digits()?;
        cursor.expect(b':')?;
        fields.minute = cursor.two_digits()?;
        if cursor.expect(b':').is_some() {
            fields.second = cursor.two_digits()?;
            if let [b'.' | b',', ..] = cursor.0 {
                cursor.skip(1);
                fields.nanosecond = cursor.fraction()?;
            }
        }
        fields.zone = cursor.zone()?;
        Some(fields)
    }

    fn resolve(self) -> Option<Written> {
        // As in Temporal and jiff: civil time has no 60th second.
        let second = if self.second == 60 { 59 } else { self.second };
        let date = Date::new(self.year, self.month, self.day).ok()?;
        let time = Time::new(self.hour, self.minute, second, self.nanosecond).ok()?;
        let offset = match self.zone {
            Zone::None => None,
            Zone::Zulu => Some(Offset::UTC),
            Zone::Offset {
                negative,
                hours,
                minutes,
            } => {
                if hours > 23 || minutes > 59 {
                    return None;
                }
                let seconds = (hours * 60 + minutes) * 60;
                Some(Offset::from_seconds(if negative { -seconds } else { seconds }).ok()?)
            }
        };
        Some(Written {
            civil: DateTime::from_parts(date, time),
            offset,
        })
    }
}

/// The rest of a text.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn skip(&mut self, count: usize) {
        self.0 = self.0.get(count..).unwrap_or_default();
    }

    fn skip_spaces(&mut self) {
        while let [b' ', rest @ ..] = self.0 {
            self.0 = rest;
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        match self.0 {
            [first, rest @ ..] if *first == byte => {
                self.0 = rest;
                Some(())
            }
            _ => None,
        }
    }

    fn two_digits(&mut self) -> Option<i8> {
        let [tens, ones, rest @ ..] = self.0 else {
            return None;
        };
        let number = digit(*tens)? * 10 + digit(*ones)?;
        self.0 = rest;
        Some(number)
    }

    fn one_or_two_digits(&mut self) -> Option<i8> {
        if let Some(number) = self.two_digits() {
            return Some(number);
        }
        let [only, rest @ ..] = self.0 else {
            return None;
        };
        let number = digit(*only)?;
        self.0 = rest;
        Some(number)
    }

    fn four_digits(&mut self) -> Option<i16> {
        let century = i16::from(self.two_digits()?);
        Some(century * 100 + i16::from(self.two_digits()?))
    }

    /// One to nine digits after the decimal separator, as nanoseconds.
    fn fraction(&mut self) -> Option<i32> {
        let mut nanoseconds = 0;
        let mut unit = 100_000_000;
        let mut count = 0;
        while let [byte, rest @ ..] = self.0
            && let Some(digit) = digit(*byte)
        {
            nanoseconds += i32::from(digit) * unit;
            unit /= 10;
            count += 1;
            self.0 = rest;
        }
        (1..=9).contains(&count).then_some(nanoseconds)
    }

    /// The zone at the end of the text.
    fn zone(&mut self) -> Option<Zone> {
        if self.0.is_empty() {
            return Some(Zone::None);
        }
        self.skip_spaces();
        let negative = match self.0 {
            [b'Z' | b'z'] | b"UTC" | b"GMT" => return Some(Zone::Zulu),
            [b'+', ..] => false,
            [b'-', ..] => true,
            _ => return None,
        };
        self.skip(1);
        let hours = i32::from(self.two_digits()?);
        let mut minutes = 0;
        if !self.0.is_empty() {
            // `+02:00` and `+0200` are both common; a colon without minutes is neither.
            let _colon = self.expect(b':');
            minutes = i32::from(self.two_digits()?);
        }
        self.0.is_empty().then_some(Zone::Offset {
            negative,
            hours,
            minutes,
        })
    }
}

fn digit(byte: u8) -> Option<i8> {
    let value = byte.wrapping_sub(b'0');
    // A value below ten fits every integer type.
    (value < 10).then_some(value.cast_signed())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_usual_form_is_read_as_the_others_are(
            text in "(19|20)[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,10})?Z?",
        ) {
            let text = text.as_bytes();
            let general = Fields::read(text).and_then(Fields::resolve);
            if let Some(usual) = usual(text) {
                prop_assert_eq!(Some(usual), general);
            } else if let Some(general) = general {
                let second = text.get(17..19).unwrap_or_default();
                prop_assert!(!text.ends_with(b"Z") || second == b"60", "{:?}", general);
            }
        }
    }
}

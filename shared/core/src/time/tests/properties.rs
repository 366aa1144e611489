//! Properties of every time.

use jiff::{SignedDuration, tz::TimeZone};
use proptest::prelude::*;

use super::*;

/// An instant within the years 0 to 9999 in every zone.
fn instants() -> impl Strategy<Value = Timestamp> {
    (-62_167_000_000_i64..253_402_000_000, 0..1_000_000_000_i32)
        .prop_map(|(second, nanosecond)| Timestamp::new(second, nanosecond).unwrap())
}

proptest! {
    #[test]
    fn what_jiff_prints_is_read_back(instant in instants(), offset in -840..=840_i32) {
        let reader = plain();
        prop_assert_eq!(reader.read_text(&instant.to_string()), Ok(instant));
        let zone = TimeZone::fixed(Offset::from_seconds(offset * 60).unwrap());
        let civil = instant.to_zoned(zone.clone());
        for pattern in ["%Y-%m-%dT%H:%M:%S%.f%:z", "%Y-%m-%d %H:%M:%S%.f%z", "%Y-%m-%d %H:%M:%S%.9f %z"] {
            let text = civil.strftime(pattern).to_string();
            prop_assert_eq!(reader.read_text(&text), Ok(instant), "{}", text);
        }
        let seconds = Timestamp::from_second(instant.as_second()).unwrap();
        for pattern in ["%a, %d %b %Y %H:%M:%S %z", "%d/%b/%Y:%H:%M:%S %z"] {
            let civil = seconds.to_zoned(zone.clone());
            // RFC 2822 only supports years from 1900 on with four digits.
            if civil.year() >= 1900 {
                let text = civil.strftime(pattern).to_string();
                prop_assert_eq!(reader.read_text(&text), Ok(seconds), "{}", text);
            }
        }
    }

    #[test]
    fn the_scanner_agrees_with_jiff(
        year in 0..9999_i16, month in 0..14_i8, day in 0..33_i8, hour in 0..26_i8, minute in 0..62_i8, second in 0..60_i8,
        offset in prop::option::of((-14..=14_i8, 0..60_i8)),
    ) {
        let offset = offset.map_or("Z".to_owned(), |(hours, minutes)| format!("{hours:+03}:{minutes:02}"));
        let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{offset}");
        let first = at("0000-01-01T00:00:00Z");
        let theirs = text.parse::<Timestamp>().ok().filter(|instant| *instant >= first);
        prop_assert_eq!(plain().read_text(&text).ok(), theirs, "{}", text);
    }

    #[test]
    fn every_number_is_read_exactly(instant in instants(), places in 0..=9_u32) {
        let unit = 10_i128.pow(9 - places);
        let whole = instant.as_nanosecond().div_euclid(unit);
        let exact = Timestamp::from_nanosecond(whole * unit).unwrap();
        let sign = if whole < 0 { "-" } else { "" };
        let scale = 10_u128.pow(places);
        let (seconds, fraction) = (whole.unsigned_abs() / scale, whole.unsigned_abs() % scale);
        let width = places as usize;
        let text = if places == 0 { format!("{sign}{seconds}") } else { format!("{sign}{seconds}.{fraction:0width$}") };
        prop_assert_eq!(in_unit(EpochUnit::S).read_number(&text), Ok(exact), "{}", text);
        let scientific = format!("{sign}{}e-{places}", whole.unsigned_abs());
        prop_assert_eq!(in_unit(EpochUnit::S).read_number(&scientific), Ok(exact), "{}", scientific);
        if let Ok(count) = i64::try_from(instant.as_nanosecond()) {
            prop_assert_eq!(in_unit(EpochUnit::Ns).read_integer(count), Ok(instant));
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,40}|[0-9TZ:. +-]{0,30}|[0-9eE.+-]{0,60}") {
        let berlin = in_zone("Europe/Berlin");
        for reader in [plain(), berlin, in_unit(EpochUnit::Ns)] {
            if let Ok(instant) = reader.read_text(&text) {
                prop_assert!((0..=9999).contains(&instant.to_zoned(reader.zone().clone()).year()));
            }
            drop(reader.read_number(&text));
        }
    }

    #[test]
    fn reading_in_a_zone_and_printing_in_it_agree(instant in instants()) {
        let reader = in_zone("America/New_York");
        let civil = instant.to_zoned(reader.zone().clone()).datetime();
        let read = reader.read_text(&civil.to_string()).unwrap();
        // Only an ambiguous local time reads as another instant, one hour earlier.
        let earlier = instant.duration_since(read);
        prop_assert!(read == instant || earlier == SignedDuration::from_hours(1), "{} {}", instant, read);
        prop_assert_eq!(read.to_zoned(reader.zone().clone()).datetime(), civil);
    }
}

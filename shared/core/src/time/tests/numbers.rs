//! Numeric times.

use jiff::tz::TimeZone;

use super::*;

#[test]
fn epochs_by_magnitude() {
    stated(
        "A number, or a text that is one, counts from 1970-01-01T00:00:00Z in the configured unit.",
    );
    stated(
        "Without a configured unit, a number below 10^11 counts seconds, below 10^14 milliseconds, below 10^17 microseconds, and any other nanoseconds, whatever its sign.",
    );
    stated(
        "A number's decimals are exact down to the nanosecond, and what lies below is rounded down.",
    );
    let reader = plain();
    for (number, instant) in [
        ("0", "1970-01-01T00:00:00Z"),
        ("-0", "1970-01-01T00:00:00Z"),
        ("-0.0", "1970-01-01T00:00:00Z"),
        ("1590105600", "2020-05-22T00:00:00Z"),
        ("1590105600123", "2020-05-22T00:00:00.123Z"),
        ("1590105600123456", "2020-05-22T00:00:00.123456Z"),
        ("1590105600123456789", "2020-05-22T00:00:00.123456789Z"),
        ("-1", "1969-12-31T23:59:59Z"),
        ("-1590105600123", "1919-08-12T23:59:59.877Z"),
        ("99999999999", "5138-11-16T09:46:39Z"),
        ("100000000000", "1973-03-03T09:46:40Z"),
        ("99999999999999", "5138-11-16T09:46:39.999Z"),
        ("100000000000000", "1973-03-03T09:46:40Z"),
        ("99999999999999999", "5138-11-16T09:46:39.999999Z"),
        ("100000000000000000", "1973-03-03T09:46:40Z"),
        ("1590105600.123456789", "2020-05-22T00:00:00.123456789Z"),
        ("1590105600.1234567899", "2020-05-22T00:00:00.123456789Z"),
        ("-0.0000000001", "1969-12-31T23:59:59.999999999Z"),
        ("-0.000000001", "1969-12-31T23:59:59.999999999Z"),
        ("1590105600123.25", "2020-05-22T00:00:00.12325Z"),
        ("99999999999.999999999", "5138-11-16T09:46:39.999999999Z"),
        ("1.5901056e9", "2020-05-22T00:00:00Z"),
        ("1.590105600123E+12", "2020-05-22T00:00:00.123Z"),
        ("15901056001234567890e-10", "2020-05-22T00:00:00.123456789Z"),
        ("1e-400", "1970-01-01T00:00:00Z"),
        ("0e999999999999999999999", "1970-01-01T00:00:00Z"),
        (
            "1590105600.00000000000000000000000000000000000000000000000000001",
            "2020-05-22T00:00:00Z",
        ),
    ] {
        let expected = at(instant);
        assert_eq!(reader.read_number(number), Ok(expected), "{number}");
        if let Some(pattern) = forms::compact(number) {
            assert!(
                forms::by_pattern(pattern, number, &TimeZone::UTC).is_none(),
                "{number}"
            );
        } else {
            assert_eq!(reader.read_text(number), Ok(expected), "{number} as text");
        }
        if let Ok(integer) = number.parse() {
            assert_eq!(
                reader.read_integer(integer),
                Ok(expected),
                "{number} as integer"
            );
        }
    }
    // A number stays a number even if its text could be a date.
    assert_eq!(
        reader.read_number("20260501"),
        Ok(at("1970-08-23T11:55:01Z"))
    );
    for number in [
        "-99999999999.5",
        "1e30",
        "-1e30",
        "9223372036854775808e3",
        "1e400",
    ] {
        assert!(
            matches!(
                reader.read_number(number),
                Err(TimeError::OutOfRange { .. })
            ),
            "{number}"
        );
    }
}

#[test]
fn epochs_by_unit() {
    for (unit, number, instant) in [
        (EpochUnit::S, "20260501", "1970-08-23T11:55:01Z"),
        (EpochUnit::S, "200000000000", "8307-10-01T19:33:20Z"),
        (EpochUnit::Ms, "1", "1970-01-01T00:00:00.001Z"),
        (EpochUnit::Ms, "-1.5", "1969-12-31T23:59:59.9985Z"),
        (EpochUnit::Us, "1590105600", "1970-01-01T00:26:30.1056Z"),
        (EpochUnit::Ns, "1590105600", "1970-01-01T00:00:01.5901056Z"),
        (EpochUnit::Ns, "1.9", "1970-01-01T00:00:00.000000001Z"),
        (
            EpochUnit::Ms,
            "2026-05-01T13:07:09Z",
            "2026-05-01T13:07:09Z",
        ),
    ] {
        assert_eq!(
            in_unit(unit).read_text(number),
            Ok(at(instant)),
            "{unit:?} {number}"
        );
    }
    let seconds = in_unit(EpochUnit::S);
    assert!(matches!(
        seconds.read_integer(i64::MAX),
        Err(TimeError::OutOfRange { .. })
    ));
}

#[test]
fn floats() {
    stated("A floating point value is read as the shortest decimal number that it prints as.");
    for (float, instant) in [
        (1_590_105_600.123, "2020-05-22T00:00:00.123Z"),
        (0.1, "1970-01-01T00:00:00.1Z"),
        (-0.5, "1969-12-31T23:59:59.5Z"),
        (1.590_105_600_123e12, "2020-05-22T00:00:00.123Z"),
    ] {
        assert_eq!(plain().read_float(float), Ok(at(instant)), "{float}");
    }
    for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(matches!(
            plain().read_float(float),
            Err(TimeError::Unrecognised { .. })
        ));
    }
    assert!(matches!(
        plain().read_float(f64::MAX),
        Err(TimeError::OutOfRange { .. })
    ));
}

#[test]
fn microseconds_are_cut_off_towards_the_past() {
    for (seconds, nanoseconds, expected) in [
        (0, 0, 0),
        (0, 999, 0),
        (0, 1_000, 1),
        (0, -1, -1),
        (0, -1_000, -1),
        (0, -1_001, -2),
        (-5, -999_999_999, -6_000_000),
        (5, 999_999_999, 5_999_999),
    ] {
        let instant = Timestamp::new(seconds, nanoseconds).unwrap();
        assert_eq!(microseconds(instant), expected, "{instant}");
    }
    assert_eq!(
        microseconds(Timestamp::MIN),
        Timestamp::MIN.as_microsecond()
    );
}

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use proptest::prelude::*;

use super::*;
use crate::semantics::stated;

fn rule() -> TimestampRule {
    TimestampRule {
        column: "t".to_owned(),
        format: None,
        unit: None,
        zone: None,
        earliest: None,
        latest: None,
    }
}

fn reader(rule: &TimestampRule) -> TimestampReader {
    TimestampReader::new(rule, at("2026-05-01T12:00:00Z")).unwrap()
}

fn plain() -> TimestampReader {
    reader(&rule())
}

fn in_zone(zone: &str) -> TimestampReader {
    reader(&TimestampRule {
        zone: Some(zone.to_owned()),
        ..rule()
    })
}

fn in_unit(unit: EpochUnit) -> TimestampReader {
    reader(&TimestampRule {
        unit: Some(unit),
        ..rule()
    })
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[track_caller]
fn check(reader: &TimestampReader, table: &[(&str, &str)]) {
    for (text, instant) in table {
        assert_eq!(reader.read_text(text), Ok(at(instant)), "{text}");
    }
}

#[track_caller]
fn refuses(reader: &TimestampReader, table: &[&str]) {
    for text in table {
        match reader.read_text(text) {
            Err(TimeError::Unrecognised { .. }) => {}
            other => panic!("{text:?} gave {other:?}"),
        }
    }
}

#[test]
fn iso_8601() {
    stated(
        "A text is read as an ISO 8601 date (midnight is meant) or as date and time with `T`, `t` or spaces between, seconds optional, one to nine digits of fraction after `.` or `,`, and `Z`, `z`, `UTC`, `GMT`, `±hh:mm`, `±hhmm` or `±hh` behind it or nothing.",
    );
    stated("Month, day and hour may have one digit, as Firehose and the OpenX SerDe allow.");
    stated("A time without an offset is one in the configured zone, UTC where none is configured.");
    stated("White space around a text is ignored.");
    check(
        &plain(),
        &[
            ("2026-05-01T13:07:09Z", "2026-05-01T13:07:09Z"),
            ("2026-05-01t13:07:09z", "2026-05-01T13:07:09Z"),
            ("2026-05-01T13:07:09", "2026-05-01T13:07:09Z"),
            ("2026-05-01 13:07:09", "2026-05-01T13:07:09Z"),
            ("2026-05-01   13:07:09", "2026-05-01T13:07:09Z"),
            ("2026-05-01T13:07Z", "2026-05-01T13:07:00Z"),
            ("2026-05-01 13:07", "2026-05-01T13:07:00Z"),
            ("2026-05-01", "2026-05-01T00:00:00Z"),
            ("2026-5-1", "2026-05-01T00:00:00Z"),
            ("2026-5-1 1:07:09", "2026-05-01T01:07:09Z"),
            ("2026-05-1 13:07:09.5", "2026-05-01T13:07:09.5Z"),
            ("2026-05-01T13:07:09.1Z", "2026-05-01T13:07:09.1Z"),
            ("2026-05-01T13:07:09,123Z", "2026-05-01T13:07:09.123Z"),
            (
                "2026-05-01T13:07:09.123456789Z",
                "2026-05-01T13:07:09.123456789Z",
            ),
            (
                "2026-05-01 13:07:09.000000001",
                "2026-05-01T13:07:09.000000001Z",
            ),
            ("2026-05-01T13:07:09+02:00", "2026-05-01T11:07:09Z"),
            ("2026-05-01T13:07:09+0200", "2026-05-01T11:07:09Z"),
            ("2026-05-01T13:07:09+02", "2026-05-01T11:07:09Z"),
            ("2026-05-01T13:07:09.5-05:30", "2026-05-01T18:37:09.5Z"),
            ("2026-05-01T13:07-0530", "2026-05-01T18:37:00Z"),
            ("2026-05-01 13:07:09 +0200", "2026-05-01T11:07:09Z"),
            ("2026-05-01 13:07:09.250 UTC", "2026-05-01T13:07:09.25Z"),
            ("2026-05-01 13:07:09 GMT", "2026-05-01T13:07:09Z"),
            ("2026-05-01T00:30:00+14:00", "2026-04-30T10:30:00Z"),
            ("2024-02-29T23:59:59Z", "2024-02-29T23:59:59Z"),
            ("2000-02-29", "2000-02-29T00:00:00Z"),
            (
                "2025-12-31T23:59:59.999999999Z",
                "2025-12-31T23:59:59.999999999Z",
            ),
            ("2025-12-31T23:59:59-01:00", "2026-01-01T00:59:59Z"),
            ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.5Z"),
            ("0000-01-01", "0000-01-01T00:00:00Z"),
            ("  2026-05-01T13:07:09Z\r\n", "2026-05-01T13:07:09Z"),
        ],
    );
}

#[test]
fn other_forms() {
    stated(
        "ISO 8601's basic format (`20260501T130000Z`), RFC 9557's zone in brackets, a zone's name as Athena prints it, RFC 2822 and Apache's log time are read too.",
    );
    stated(
        "Where an offset and a zone's name are both given, the offset says which instant is meant.",
    );
    stated(
        "Where no unit is configured, a text of 8 or of 14 digits is `yyyyMMdd` or `yyyyMMddHHmmss` and never a count.",
    );
    check(
        &plain(),
        &[
            ("20260501T130709Z", "2026-05-01T13:07:09Z"),
            ("20260501T130709.5+0200", "2026-05-01T11:07:09.5Z"),
            ("20260501T130709", "2026-05-01T13:07:09Z"),
            ("2026-05-01T13", "2026-05-01T13:00:00Z"),
            ("20260501", "2026-05-01T00:00:00Z"),
            ("20260501130709", "2026-05-01T13:07:09Z"),
            (
                "2026-05-01T13:07:09+02:00[Europe/Berlin]",
                "2026-05-01T11:07:09Z",
            ),
            ("2026-05-01T13:07:09[Europe/Berlin]", "2026-05-01T11:07:09Z"),
            (
                "2026-05-01T13:07:09+01:00[Europe/Berlin]",
                "2026-05-01T12:07:09Z",
            ),
            (
                "2026-05-01 13:07:09.000 Europe/Berlin",
                "2026-05-01T11:07:09Z",
            ),
            ("Fri, 01 May 2026 13:07:09 GMT", "2026-05-01T13:07:09Z"),
            ("Fri, 1 May 2026 13:07:09 +0200", "2026-05-01T11:07:09Z"),
            ("1 May 2026 13:07 -0500", "2026-05-01T18:07:00Z"),
            ("01/May/2026:13:07:09 +0000", "2026-05-01T13:07:09Z"),
            ("[01/May/2026:13:07:09 -0700]", "2026-05-01T20:07:09Z"),
        ],
    );
}

#[test]
fn what_is_no_time_is_refused() {
    stated(
        "A record's time is never made up: a value that is no time, names a date or time of day that does not exist, or lies outside `earliest` to `latest` is refused with its reason.",
    );
    refuses(
        &plain(),
        &[
            "",
            " ",
            "null",
            "yesterday",
            "now",
            "2026-05",
            "26-05-01",
            "2026-05-01T",
            "2026-05-01x",
            "2026-05-01T1",
            "2026-05-01T13:7:09Z",
            "2026-05-01T13:07:9Z",
            "2026-05-01T13:07:09.Z",
            "2026-05-01T13:07:09.1234567890Z",
            "2026-05-01T13:07:09ZZ",
            "2026-05-01T13:07:09+2",
            "2026-05-01T13:07:09+02:",
            "2026-05-01T13:07:09+02:0",
            "2026-05-01T13:07:09+24:00",
            "2026-05-01T13:07:09+02:60",
            "2026-05-01T13:07:09 Mars/Base",
            "2026-05-01T13:07:09[Mars/Base]",
            "2026-02-30",
            "2025-02-29T00:00:00Z",
            "1900-02-29",
            "2026-04-31 10:00:00",
            "2026-13-01",
            "2026-00-01",
            "2026-05-00",
            "2026-05-32",
            "2026-05-01T24:00:00Z",
            "2026-05-01T13:60:00Z",
            "2026-05-01T13:07:61Z",
            "20260230",
            "20260230T000000Z",
            "20260501250000",
            "Thu, 01 May 2026 13:07:09 GMT",
            "30/Feb/2026:13:07:09 +0000",
            "01/05/2026",
            "+5",
            "1e",
            "1.",
            ".5",
            "--1",
            "0x10",
            "NaN",
            "Infinity",
            "２０２６-05-01",
        ],
    );
    let long = "9".repeat(10_000);
    let error = plain().read_text(&long).unwrap_err();
    assert!(error.to_string().len() < 200, "{error}");
}

#[test]
fn zones() {
    stated("A time that the zone's clocks show twice is the earlier of the two instants.");
    stated("A time that the zone's clocks skip is moved forward by the length of the gap.");
    let berlin = in_zone("Europe/Berlin");
    check(
        &berlin,
        &[
            ("2026-01-15 12:00:00", "2026-01-15T11:00:00Z"),
            ("2026-07-15 12:00:00", "2026-07-15T10:00:00Z"),
            ("2026-07-15", "2026-07-14T22:00:00Z"),
            ("20260715T120000", "2026-07-15T10:00:00Z"),
            ("20260715120000", "2026-07-15T10:00:00Z"),
            // Named zones win.
            ("2026-07-15 12:00:00Z", "2026-07-15T12:00:00Z"),
            ("2026-07-15 12:00:00-01", "2026-07-15T13:00:00Z"),
            // The clocks go from 02:00 to 03:00 ...
            ("2026-03-29 01:59:59", "2026-03-29T00:59:59Z"),
            ("2026-03-29 02:30:00", "2026-03-29T01:30:00Z"),
            ("2026-03-29 03:00:00", "2026-03-29T01:00:00Z"),
            // ... and back from 03:00 to 02:00.
            ("2026-10-25 01:59:59", "2026-10-24T23:59:59Z"),
            ("2026-10-25 02:30:00", "2026-10-25T00:30:00Z"),
            ("2026-10-25 03:00:00", "2026-10-25T02:00:00Z"),
            // Numbers have no zone.
            ("1777640829", "2026-05-01T13:07:09Z"),
        ],
    );
    // A gap of half an hour.
    check(
        &in_zone("Australia/Lord_Howe"),
        &[("2026-10-04 02:15:00", "2026-10-03T15:45:00Z")],
    );
    check(
        &in_zone("Asia/Kolkata"),
        &[("2026-05-01 00:00:00", "2026-04-30T18:30:00Z")],
    );
}

#[test]
fn leap_seconds() {
    stated("A sixtieth second, as in a leap second, is read as the fifty-ninth.");
    check(
        &plain(),
        &[
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
            ("2016-12-31T23:59:60.5Z", "2016-12-31T23:59:59.5Z"),
            ("20161231T235960Z", "2016-12-31T23:59:59Z"),
            ("Sat, 31 Dec 2016 23:59:60 GMT", "2016-12-31T23:59:59Z"),
            ("31/Dec/2016:23:59:60 +0000", "2016-12-31T23:59:59Z"),
        ],
    );
}

#[test]
fn epochs_by_magnitude() {
    stated(
        "A number, or a text that is one, counts from 1970-01-01T00:00:00Z in the configured unit.",
    );
    stated(
        "Where no unit is configured, a number below 10^11 counts seconds, below 10^14 milliseconds, below 10^17 microseconds, and any other nanoseconds, whatever its sign.",
    );
    stated(
        "A number's decimals are exact down to the nanosecond, and what lies below is cut off towards the past.",
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
    // A number keeps its meaning where a text would be a date.
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
    stated("A floating point value stands for the shortest decimal number that it prints as.");
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
fn patterns() {
    stated("Where a pattern is configured, only that pattern is tried, for numbers too.");
    let with = |format: &str, zone: Option<&str>| {
        reader(&TimestampRule {
            format: Some(format.to_owned()),
            zone: zone.map(str::to_owned),
            ..rule()
        })
    };
    for (format, zone, text, instant) in [
        (
            "%d/%m/%Y %H:%M",
            None,
            "01/05/2026 13:07",
            "2026-05-01T13:07:00Z",
        ),
        (
            "%d/%m/%Y %H:%M",
            Some("Europe/Berlin"),
            "01/05/2026 13:07",
            "2026-05-01T11:07:00Z",
        ),
        (
            "%d/%m/%Y %H:%M",
            Some("Europe/Berlin"),
            "29/03/2026 02:30",
            "2026-03-29T01:30:00Z",
        ),
        (
            "%m/%d/%y %I:%M:%S %p",
            None,
            "05/01/26 01:07:09 PM",
            "2026-05-01T13:07:09Z",
        ),
        ("%d.%m.%Y", None, "29.02.2024", "2024-02-29T00:00:00Z"),
        ("%Y-%j", None, "2024-366", "2024-12-31T00:00:00Z"),
        (
            "%a %b %d %H:%M:%S %z %Y",
            None,
            "Fri May 01 13:07:09 +0200 2026",
            "2026-05-01T11:07:09Z",
        ),
        (
            "%Y%m%dT%H%M%S%.f %Q",
            None,
            "20260501T130709.25 Europe/Berlin",
            "2026-05-01T11:07:09.25Z",
        ),
        ("%s", None, "1590105600", "2020-05-22T00:00:00Z"),
        ("%Y%m%d", None, "20260501", "2026-05-01T00:00:00Z"),
    ] {
        assert_eq!(
            with(format, zone).read_text(text),
            Ok(at(instant)),
            "{format} {text}"
        );
    }
    let days = with("%Y%m%d", None);
    assert_eq!(days.read_number("20260501"), Ok(at("2026-05-01T00:00:00Z")));
    assert_eq!(
        days.read_integer(20_260_501),
        Ok(at("2026-05-01T00:00:00Z"))
    );
    refuses(
        &with("%d/%m/%Y %H:%M", None),
        &[
            "2026-05-01T13:07:09Z",
            "1590105600",
            "30/02/2026 13:07",
            "01/05/2026",
            "01/05/2026 13:07x",
        ],
    );
}

#[test]
fn bounds() {
    stated(
        "A bound is a time, or `now` with an offset such as `now-400d`, `now+1d` or `now+2h`, counted from the instant when the run began.",
    );
    stated("A time exactly at a bound is within it.");
    let bounded = |earliest: &str, latest: &str| {
        reader(&TimestampRule {
            earliest: Some(earliest.to_owned()),
            latest: Some(latest.to_owned()),
            ..rule()
        })
    };
    // `reader` says that now is 2026-05-01T12:00:00Z.
    for (earliest, latest, first, last) in [
        (
            "now-400d",
            "now+1d",
            "2025-03-27T12:00:00Z",
            "2026-05-02T12:00:00Z",
        ),
        (
            "now - 90m",
            "now + 2h",
            "2026-05-01T10:30:00Z",
            "2026-05-01T14:00:00Z",
        ),
        (
            "2020-01-01",
            "now",
            "2020-01-01T00:00:00Z",
            "2026-05-01T12:00:00Z",
        ),
        (
            "now-1y",
            "2030-01-01T00:00:00+01:00",
            "2025-05-01T12:00:00Z",
            "2029-12-31T23:00:00Z",
        ),
    ] {
        let reader = bounded(earliest, latest);
        let nanosecond = SignedDuration::from_nanos(1);
        for (instant, within) in [
            (at(first), true),
            (at(last), true),
            (at(first) - nanosecond, false),
            (at(last) + nanosecond, false),
        ] {
            let outcome = reader.read_text(&instant.to_string());
            assert_eq!(outcome, reader.check(instant), "{instant}");
            assert_eq!(outcome.is_ok(), within, "{earliest} {latest} {instant}");
        }
        let early = reader.read_text("0001-01-01").unwrap_err();
        assert_eq!(early.reason(), "time_before_earliest");
        assert!(early.to_string().contains(first), "{early}");
        let late = reader.read_text("9999-01-01").unwrap_err();
        assert_eq!(late.reason(), "time_after_latest");
        assert!(late.to_string().contains(last), "{late}");
    }
}

#[test]
fn years_have_four_digits() {
    stated("A time whose year in the configured zone is below 0 or above 9999 is refused.");
    for (zone, text, ok) in [
        ("UTC", "0000-01-01T00:00:00Z", true),
        ("UTC", "0000-01-01T00:00:00+01:00", false),
        ("UTC", "-000001-12-31T00:00:00Z", false),
        ("UTC", "9999-12-30T00:00:00Z", true),
        ("UTC", "9999-12-31T23:59:59Z", false),
        ("UTC", "+010000-01-01T00:00:00Z", false),
        ("Asia/Tokyo", "0000-01-01T00:00:00", true),
        ("America/New_York", "0000-01-01T00:00:00Z", false),
    ] {
        let outcome = in_zone(zone).read_text(text);
        assert_eq!(outcome.is_ok(), ok, "{zone} {text} {outcome:?}");
    }
    let error = plain().read_text("0000-01-01T00:00:00+01:00").unwrap_err();
    assert_eq!(error.reason(), "time_out_of_range");
}

#[test]
fn rules_that_are_refused_name_their_key() {
    let set = |change: fn(&mut TimestampRule)| {
        let mut rule = rule();
        change(&mut rule);
        TimestampReader::new(&rule, Timestamp::UNIX_EPOCH)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    for (outcome, says) in [
        (set(|rule| rule.column = String::new()), "timestamp.column"),
        (
            set(|rule| rule.zone = Some("Mars/Base".into())),
            "timestamp.zone = \"Mars/Base\"",
        ),
        (
            set(|rule| rule.zone = Some(String::new())),
            "timestamp.zone",
        ),
        (
            set(|rule| rule.format = Some("%Y-%m-%".into())),
            "timestamp.format",
        ),
        (
            set(|rule| rule.format = Some("%H:%M".into())),
            "timestamp.format",
        ),
        (
            set(|rule| rule.format = Some("%Y-%m".into())),
            "timestamp.format",
        ),
        (
            set(|rule| rule.format = Some("%!".into())),
            "timestamp.format",
        ),
        (
            set(|rule| rule.format = Some("no directive".into())),
            "timestamp.format",
        ),
        (
            set(|rule| rule.format = Some(String::new())),
            "timestamp.format",
        ),
        (
            set(|rule| {
                rule.format = Some("%Y%m%d".into());
                rule.unit = Some(EpochUnit::S);
            }),
            "timestamp.unit",
        ),
        (
            set(|rule| rule.earliest = Some("soon".into())),
            "timestamp.earliest = \"soon\"",
        ),
        (
            set(|rule| rule.latest = Some("now+".into())),
            "timestamp.latest",
        ),
        (
            set(|rule| rule.latest = Some("now 1d".into())),
            "timestamp.latest",
        ),
        (
            set(|rule| rule.latest = Some("nowadays".into())),
            "timestamp.latest",
        ),
        (
            set(|rule| rule.latest = Some("now+1 fortnight".into())),
            "timestamp.latest",
        ),
        (
            set(|rule| rule.latest = Some("now+99999y".into())),
            "timestamp.latest",
        ),
        (
            set(|rule| {
                rule.earliest = Some("2026-01-02".into());
                rule.latest = Some("2026-01-01".into());
            }),
            "later than timestamp.latest",
        ),
        (
            set(|rule| {
                rule.earliest = Some("now+1d".into());
                rule.latest = Some("now-1d".into());
            }),
            "later than timestamp.latest",
        ),
    ] {
        let error = outcome.unwrap_err();
        assert!(error.contains(says), "{error} should say {says}");
    }
    // A configuration is checked long before its bounds are used, so a fixed one and a moving one may cross.
    assert_eq!(
        set(|rule| {
            rule.earliest = Some("2020-01-01".into());
            rule.latest = Some("now+1d".into());
        }),
        Ok(())
    );
}

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
            // RFC 2822 has years from 1900 on that are not written with two digits.
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
        // Only a time that the clocks show twice reads as another instant, an hour before.
        let earlier = instant - read;
        prop_assert!(read == instant || earlier.total(jiff::Unit::Hour).unwrap() == 1.0, "{} {}", instant, read);
        prop_assert_eq!(read.to_zoned(reader.zone().clone()).datetime(), civil);
    }
}

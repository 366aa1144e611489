mod numbers;
mod properties;
mod rules;

use jiff::Timestamp;

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
        "A text is read as an ISO 8601 date (which means midnight) or as date and time with `T`, `t` or spaces between, seconds optional, one to nine digits of fraction after `.` or `,`, and `Z`, `z`, `UTC`, `GMT`, `±hh:mm`, `±hhmm` or `±hh` after it or nothing.",
    );
    stated("Month, day and hour may have one digit, as Firehose and the OpenX SerDe allow.");
    stated("A time without an offset is in the configured zone, by default UTC.");
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
    stated("Where an offset and a zone's name are both given, the offset determines the instant.");
    stated(
        "Without a configured unit, a text of 8 or of 14 digits is `yyyyMMdd` or `yyyyMMddHHmmss` and never a count.",
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
        "A record's time is never invented: a value that is not a time, names a date or time of day that does not exist, or lies outside `earliest` to `latest` is refused with its reason.",
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

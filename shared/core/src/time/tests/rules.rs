//! Patterns, bounds, and invalid rules.

use jiff::SignedDuration;

use super::*;

#[test]
fn patterns() {
    stated("With a configured pattern, only that pattern is tried, for numbers too.");
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
        "A bound is a time, or `now` with an offset such as `now-400d`, `now+1d` or `now+2h`, counted from the moment when the source object landed.",
    );
    stated("A time exactly at a bound is within it.");
    let bounded = |earliest: &str, latest: &str| {
        reader(&TimestampRule {
            earliest: Some(earliest.to_owned()),
            latest: Some(latest.to_owned()),
            ..rule()
        })
    };
    // For `reader`, now is 2026-05-01T12:00:00Z.
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
    // A configuration is checked long before its bounds are used, so a fixed and a relative one may cross.
    assert_eq!(
        set(|rule| {
            rule.earliest = Some("2020-01-01".into());
            rule.latest = Some("now+1d".into());
        }),
        Ok(())
    );
}

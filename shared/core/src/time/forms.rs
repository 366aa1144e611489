//! Time formats that are rarer than ISO 8601, and user-defined patterns.

use jiff::{
    Timestamp,
    civil::{DateTime, Time},
    fmt::{rfc2822, strtime::BrokenDownTime, temporal::Pieces},
    tz::TimeZone,
};

/// Common log format: <https://httpd.apache.org/docs/2.4/mod/mod_log_config.html>.
const APACHE: &str = "%d/%b/%Y:%H:%M:%S %z";
/// ISO 8601's basic format without the `T`, as in many file names and on mainframes.
const COMPACT: &str = "%Y%m%d%H%M%S";
const COMPACT_DATE: &str = "%Y%m%d";

/// The instant of a local time in a zone: the earlier of two if it is ambiguous, and moved forward by the length of the
/// gap if it does not exist.
pub(super) fn in_zone(civil: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(civil).compatible().ok()
}

/// The pattern of `yyyyMMdd` or `yyyyMMddHHmmss`, if `text` has as many digits and nothing else.
pub(super) fn compact(text: &str) -> Option<&'static str> {
    let pattern = match text.len() {
        8 => COMPACT_DATE,
        14 => COMPACT,
        _ => return None,
    };
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(pattern)
}

/// Parses all formats that are neither numbers nor scanned as ISO 8601.
pub(super) fn other(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    iso_basic_or_annotated(text, zone)
        .or_else(|| with_zone_name(text))
        .or_else(|| by_pattern(APACHE, bare, zone))
        .or_else(|| rfc2822::DateTimeParser::new().parse_timestamp(text).ok())
}

/// ISO 8601's basic format (`20260501T130000Z`) and RFC 9557's annotations (`…[Europe/Berlin]`).
fn iso_basic_or_annotated(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let pieces = Pieces::parse(text).ok()?;
    let civil = DateTime::from_parts(pieces.date(), pieces.time().unwrap_or(Time::midnight()));
    if let Some(offset) = pieces.to_numeric_offset() {
        return offset.to_timestamp(civil).ok();
    }
    match pieces.to_time_zone().ok()? {
        Some(annotated) => in_zone(civil, &annotated),
        None => in_zone(civil, zone),
    }
}

/// `2026-05-01 13:00:00.000 Europe/Berlin`, as Athena prints a `timestamp with time zone`.
fn with_zone_name(text: &str) -> Option<Timestamp> {
    let (time, name) = text.rsplit_once(' ')?;
    if !name.contains('/') {
        return None;
    }
    match super::iso::scan(time.as_bytes()) {
        super::iso::Scan::Time(written) if written.offset.is_none() => {
            in_zone(written.civil, &TimeZone::get(name).ok()?)
        }
        _ => None,
    }
}

/// The instant of `text` by a strptime pattern. <https://docs.rs/jiff/0.2/jiff/fmt/strtime/index.html>
pub(super) fn by_pattern(pattern: &str, text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let parsed = BrokenDownTime::parse(pattern, text).ok()?;
    if parsed.timestamp().is_some() {
        return parsed.to_timestamp().ok();
    }
    if parsed.iana_time_zone().is_some() {
        return Some(parsed.to_zoned().ok()?.timestamp());
    }
    let civil = parsed.to_datetime().ok()?;
    match parsed.offset() {
        Some(offset) => offset.to_timestamp(civil).ok(),
        None => in_zone(civil, zone),
    }
}

/// Why a pattern is invalid, if it is.
pub(super) fn check_pattern(pattern: &str, zone: &TimeZone) -> Result<(), String> {
    if !pattern.contains('%') {
        return Err(format!(
            "it has no `%` directive: patterns are strptime's; write {}",
            strptime(pattern)
        ));
    }
    // Printed and read back, a pattern shows whether every directive is known both ways and whether it fixes a date.
    let sample = jiff::civil::date(2026, 5, 1)
        .at(13, 7, 9, 123_456_789)
        .to_zoned(zone.clone())
        .map_err(|error| error.to_string())?;
    let printed = BrokenDownTime::from(&sample)
        .to_string(pattern)
        .map_err(|error| error.to_string())?;
    let parsed = BrokenDownTime::parse(pattern, &printed).map_err(|error| error.to_string())?;
    if parsed.timestamp().is_some() {
        return Ok(());
    }
    parsed
        .to_datetime()
        .map(drop)
        .map_err(|error| error.to_string())
}

/// What a pattern in Java's letters would be in strptime's.
fn strptime(pattern: &str) -> String {
    let letters = [
        ("yyyy", "%Y"),
        ("uuuu", "%Y"),
        ("MMM", "%b"),
        ("MM", "%m"),
        ("dd", "%d"),
        ("HH", "%H"),
        ("mm", "%M"),
        ("ss", "%S"),
        (".SSSSSS", "%.f"),
        (".SSS", "%.f"),
        ("XXX", "%:z"),
        ("'", ""),
    ];
    let written = letters
        .iter()
        .fold(pattern.to_owned(), |text, (java, directive)| {
            text.replace(java, directive)
        });
    if written.contains('%') {
        format!("`{written}`")
    } else {
        "one such as `%Y-%m-%d %H:%M`".to_owned()
    }
}

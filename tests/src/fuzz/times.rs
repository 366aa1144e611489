//! Timestamps.

use jiff::Timestamp;
use lakewright_core::{
    config::{EpochUnit, TimestampRule},
    time::TimestampReader,
};

/// Derives a rule from a number.
fn rule(number: u8) -> TimestampRule {
    let zones = [
        None,
        Some("Europe/Berlin"),
        Some("Australia/Lord_Howe"),
        Some("-11"),
    ];
    let zone = zones.get(usize::from(number & 3)).copied().flatten();
    let pattern = number & 16 != 0;
    TimestampRule {
        column: "t".to_owned(),
        format: pattern.then(|| "%d/%m/%Y %H:%M:%S%.f".to_owned()),
        unit: (number & 4 != 0 && !pattern).then_some(EpochUnit::Ms),
        zone: zone.filter(|zone| zone.contains('/')).map(str::to_owned),
        earliest: (number & 8 != 0).then(|| "now-400d".to_owned()),
        latest: (number & 8 != 0).then(|| "now+1d".to_owned()),
    }
}

/// A time is within the bounds, is the same from a text and from a number, and can be read again from its own text. A
/// text that is longer than all formats is not a time.
#[expect(clippy::expect_used, reason = "the rules are fixed")]
pub fn check(data: &[u8]) {
    let Some((number, bytes)) = data.split_first() else {
        return;
    };
    let now = Timestamp::constant(1_777_593_600, 0);
    let rule = rule(*number);
    let reader = TimestampReader::new(&rule, now).expect("a rule that is right");
    if let Ok(text) = str::from_utf8(bytes) {
        again(&reader, &rule, reader.read_text(text).ok());
        again(&reader, &rule, reader.read_number(text).ok());
        if let Ok(value) = text.parse::<i64>()
            && value.to_string() == text
        {
            assert_eq!(reader.read_integer(value), reader.read_number(text));
        }
    }
    if let Some(bytes) = bytes.first_chunk::<8>() {
        let integer = reader.read_integer(i64::from_le_bytes(*bytes));
        let float = reader.read_float(f64::from_le_bytes(*bytes));
        again(&reader, &rule, integer.ok());
        again(&reader, &rule, float.ok());
    }
}

fn again(reader: &TimestampReader, rule: &TimestampRule, time: Option<Timestamp>) {
    let Some(time) = time else {
        return;
    };
    assert_eq!(reader.check(time), Ok(time));
    let text = time.to_string();
    // The first hours of year 0 east of Greenwich are in year -1 there.
    if rule.format.is_none() && !text.starts_with('-') {
        assert_eq!(reader.read_text(&text), Ok(time), "{text}");
    }
}

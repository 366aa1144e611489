//! Days and fractions of seconds that readers take for different ones.

use super::*;

#[test]
fn days_and_fractions_that_mean_two_things() {
    stated(
        "A day before 1582-10-15 in an ORC file of the hybrid calendar, such as Hive and Spark write, and a time whose nanoseconds are no part of a second, as pyarrow writes those before 1970 with a fraction, refuse it; so does a `timestamp` before 1900 whose writer was in another time zone than UTC.",
    );
    let hybrid = "counted in the Julian calendar";
    let object = |kind, streams: &[(u32, i32, &[u8])], calendar, writer| {
        let mut parts = Parts::of(&file(
            vec![root(&[1]), of_kind(kind, &[])],
            1,
            streams,
            |_| {},
        ));
        (parts.footer.calendar, parts.footer.writer) = (calendar, writer);
        parts.file()
    };
    let signed = |value: i64| {
        let mut left = (value << 1 ^ value >> 63).cast_unsigned();
        let mut literal = vec![0xff];
        while left > 0x7f {
            literal.push(u8::try_from(left & 0x7f).unwrap() | 0x80);
            left >>= 7;
        }
        literal.push(u8::try_from(left).unwrap());
        literal
    };
    for (day, calendar, writer, expected) in [
        (-141_427, None, None, Ok("1582-10-15")),
        (-141_428, None, None, Err(hybrid)),
        (-719_164, Some(1), Some(1), Err(hybrid)),
        (-719_162, Some(2), None, Ok("0001-01-01")),
        (-719_162, None, Some(1), Ok("0001-01-01")),
    ] {
        let data = signed(day);
        let found = read(&object(15, &[(1, 1, &data)], calendar, writer));
        same(found, expected);
        let data = signed(day * 86_400 - BASE);
        let times = [(1, 1, &data[..]), (1, 5, &[0xff, 0])];
        let found = read(&object(9, &times, calendar, writer));
        let expected = expected.map(|day| format!("{day} 00:00:00.000"));
        same(found, expected.as_deref().map_err(|says| *says));
    }
    let hundreds: &[u8] = &[
        0xff, 0xdf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
    ];
    for (nanoseconds, expected) in [
        (&[0xff, 0x2f][..], Ok("1970-01-01 00:00:00.500")),
        // One, and eight zeros; ten, and eight zeros.
        (&[0xff, 0x0f], Ok("1970-01-01 00:00:00.100")),
        (&[0xff, 0x57], Err("no part of a second")),
        // Half a second less, of pyarrow.
        (hundreds, Err("no part of a second")),
        (&[], Err("lacks its nanoseconds")),
    ] {
        let data = signed(-BASE);
        let times = [(1, 1, &data[..]), (1, 5, nanoseconds)];
        same(read(&object(9, &times, None, None)), expected);
    }
    for (zone, seconds, expected) in [
        (
            "Europe/Berlin",
            -2_208_988_800,
            Ok("1900-01-01 01:00:00.000"),
        ),
        ("Europe/Berlin", -2_208_988_801, Err("before 1900")),
        ("UTC", -2_208_988_801, Ok("1899-12-31 23:59:59.000")),
    ] {
        // They count from when 2015 began in the zone, an hour earlier in Berlin.
        let base = BASE - if zone == "UTC" { 0 } else { 3_600 };
        let data = signed(seconds - base);
        let times = [(1, 1, &data[..]), (1, 5, &[0xff, 0])];
        let object = file(vec![root(&[1]), of_kind(9, &[])], 1, &times, |footer| {
            footer.writer_timezone = Some(zone.to_owned());
        });
        same(read(&object), expected);
    }
}

fn same(found: Result<Vec<String>, OrcError>, expected: Result<&str, &str>) {
    match (found, expected) {
        (Ok(found), Ok(expected)) => assert_eq!(found, [expected]),
        (Err(found), Err(says)) => assert!(found.to_string().contains(says), "{found}"),
        (found, expected) => panic!("{found:?}, not {expected:?}"),
    }
}

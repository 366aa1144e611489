use std::collections::HashMap;

use jiff::{Timestamp, tz::TimeZone};
use proptest::prelude::*;

use super::*;
use crate::semantics::stated;

const ROOM: usize = 900;

fn names(partition_by: &[&str]) -> Vec<String> {
    partition_by.iter().map(ToString::to_string).collect()
}

fn partitioner(partition_by: &[&str], style: PathStyle, zone: &str) -> Partitioner {
    Partitioner::new(&names(partition_by), style, &TimeZone::get(zone).unwrap()).unwrap()
}

fn render(
    partitioner: &Partitioner,
    time: &str,
    columns: &[Option<&str>],
) -> Result<Partition, PartitionError> {
    partitioner.render(&partitioner.key(time.parse().unwrap(), columns), ROOM)
}

#[track_caller]
fn check(partitioner: &Partitioner, time: &str, path: &str) {
    let partition = render(partitioner, time, &[]).unwrap();
    assert_eq!(partition.path, path);
    let values: Vec<_> = path
        .split_terminator('/')
        .map(|part| part.split_once('=').unwrap().1)
        .collect();
    assert_eq!(partition.values, values);
}

#[test]
fn time_parts() {
    stated(
        "With `path_style = \"padded\"` a year has four digits and the other parts two, and with `\"spark\"` they are plain integers.",
    );
    stated("Names in paths are lower-case.");
    let all = "year month day hour minute";
    for (partition_by, time, padded, spark) in [
        (
            all,
            "2026-05-01T03:07:09Z",
            "year=2026/month=05/day=01/hour=03/minute=07/",
            "year=2026/month=5/day=1/hour=3/minute=7/",
        ),
        (
            all,
            "2026-12-31T23:59:59.999999999Z",
            "year=2026/month=12/day=31/hour=23/minute=59/",
            "year=2026/month=12/day=31/hour=23/minute=59/",
        ),
        (
            "year month day",
            "1969-12-31T23:59:59.5Z",
            "year=1969/month=12/day=31/",
            "year=1969/month=12/day=31/",
        ),
        (
            "date",
            "2024-02-29T00:00:00Z",
            "date=2024-02-29/",
            "date=2024-02-29/",
        ),
        (
            "hour YEAR",
            "2026-05-01T03:07:09Z",
            "hour=03/year=2026/",
            "hour=3/year=2026/",
        ),
        (
            "year date",
            "0007-05-01T00:00:00Z",
            "year=0007/date=0007-05-01/",
            "year=7/date=0007-05-01/",
        ),
        ("year", "0000-05-01T00:00:00Z", "year=0000/", "year=0/"),
        ("year", "9999-12-01T00:00:00Z", "year=9999/", "year=9999/"),
    ] {
        let partition_by: Vec<_> = partition_by.split(' ').collect();
        for (style, path) in [(PathStyle::Padded, padded), (PathStyle::Spark, spark)] {
            let partitioner = partitioner(&partition_by, style, "UTC");
            assert!(partitioner.columns().is_empty());
            check(&partitioner, time, path);
        }
    }
}

#[test]
fn time_parts_are_those_of_the_zone() {
    stated(
        "`year`, `month`, `day`, `hour`, `minute` and `date` (`yyyy-MM-dd`) in `partition_by`, in any case, are parts of the record's time in the configured zone, and every other name is a column.",
    );
    for (zone, time, path) in [
        (
            "Europe/Berlin",
            "2026-12-31T23:59:59Z",
            "date=2027-01-01/Hour=00/",
        ),
        (
            "America/New_York",
            "2026-01-01T00:00:00Z",
            "date=2025-12-31/Hour=19/",
        ),
        (
            "Asia/Kolkata",
            "2026-05-01T18:30:00Z",
            "date=2026-05-02/Hour=00/",
        ),
        // The repeated hour at the end of daylight saving time is one partition.
        (
            "Europe/Berlin",
            "2026-10-25T00:30:00Z",
            "date=2026-10-25/Hour=02/",
        ),
        (
            "Europe/Berlin",
            "2026-10-25T01:30:00Z",
            "date=2026-10-25/Hour=02/",
        ),
    ] {
        let partitioner = partitioner(&["date", "Hour"], PathStyle::Padded, zone);
        check(&partitioner, time, &path.to_lowercase());
    }
}

#[test]
fn columns() {
    stated("Null and the empty string are `__HIVE_DEFAULT_PARTITION__`.");
    stated("The values registered in the catalog are those of the path before escaping.");
    let partitioner = partitioner(&["Make", "month", "Model Year"], PathStyle::Padded, "UTC");
    assert_eq!(partitioner.columns(), ["Make", "Model Year"]);
    assert_eq!(
        partitioner.names().collect::<Vec<_>>(),
        ["make", "month", "model year"]
    );
    for (columns, path, values) in [
        (
            &[Some("KIA"), Some("2021")][..],
            "make=KIA/month=05/model year=2021/",
            ["KIA", "05", "2021"],
        ),
        (
            &[Some("a/b=c%"), Some("é ü")],
            "make=a%2Fb%3Dc%25/month=05/model year=é ü/",
            ["a/b=c%", "05", "é ü"],
        ),
        (
            &[Some(".."), Some("_x")],
            "make=../month=05/model year=_x/",
            ["..", "05", "_x"],
        ),
        (
            &[None, Some("")],
            "make=__HIVE_DEFAULT_PARTITION__/month=05/model year=__HIVE_DEFAULT_PARTITION__/",
            [DEFAULT_PARTITION, "05", DEFAULT_PARTITION],
        ),
        (
            &[Some(DEFAULT_PARTITION)],
            "make=__HIVE_DEFAULT_PARTITION__/month=05/model year=__HIVE_DEFAULT_PARTITION__/",
            [DEFAULT_PARTITION, "05", DEFAULT_PARTITION],
        ),
    ] {
        let partition = render(&partitioner, "2026-05-01T00:00:00Z", columns).unwrap();
        assert_eq!(partition.path, path);
        assert_eq!(partition.values, values);
    }
    assert_eq!(
        render(
            &self::partitioner(&["A:B"], PathStyle::Padded, "UTC"),
            "2026-05-01T00:00:00Z",
            &[Some("x")]
        )
        .unwrap()
        .path,
        "a%3Ab=x/"
    );
}

#[test]
fn what_is_too_long_is_refused() {
    stated(
        "A record whose partition value has more than 1,024 characters, or whose object's key would have more than 1,024 bytes, is refused with its reason.",
    );
    let partitioner = partitioner(&["make"], PathStyle::Padded, "UTC");
    let time = Timestamp::UNIX_EPOCH;
    let outcome =
        |value: &str, room| partitioner.render(&partitioner.key(time, &[Some(value)]), room);
    assert!(outcome(&"é".repeat(1_024), usize::MAX).is_ok());
    let error = outcome(&"é".repeat(1_025), usize::MAX).unwrap_err();
    assert_eq!(
        error,
        PartitionError::ValueTooLong {
            column: "make".to_owned(),
            length: 1_025
        }
    );
    assert!(outcome("abc", 9).is_ok());
    // An escaped character takes three bytes.
    let error = outcome("ab/", 9).unwrap_err();
    assert_eq!(
        error,
        PartitionError::PathTooLong {
            length: 11,
            room: 9
        }
    );
}

#[test]
fn names_that_are_refused() {
    stated(
        "A name in `partition_by` that begins with `_` or `.` is refused, because readers skip such directories.",
    );
    for (partition_by, error) in [
        (&[][..], PartitionByError::Empty),
        (&["a", ""], PartitionByError::EmptyName),
        (&["_a"], PartitionByError::Hidden("_a".to_owned())),
        (&[".a"], PartitionByError::Hidden(".a".to_owned())),
        (
            &["b", "Year", "YEAR"],
            PartitionByError::Duplicate {
                first: "Year".to_owned(),
                second: "YEAR".to_owned(),
            },
        ),
        (
            &["É", "é"],
            PartitionByError::Duplicate {
                first: "É".to_owned(),
                second: "é".to_owned(),
            },
        ),
    ] {
        assert_eq!(
            Partitioner::new(&names(partition_by), PathStyle::Padded, &TimeZone::UTC).map(drop),
            Err(error)
        );
    }
}

#[test]
fn a_map_is_searched_with_a_buffer() {
    let partitioner = partitioner(&["hour", "make"], PathStyle::Padded, "UTC");
    let mut map = HashMap::new();
    let mut buffer = Vec::new();
    for (time, make) in [
        ("2026-05-01T03:07:09Z", Some("KIA")),
        ("2027-06-02T03:59:59Z", Some("KIA")),
        ("2026-05-01T03:07:09Z", None),
        ("2026-05-01T03:07:09Z", Some("")),
        ("2026-05-01T04:07:09Z", Some("KIA")),
    ] {
        let time = time.parse().unwrap();
        buffer.clear();
        partitioner.write_key(time, &[make], &mut buffer);
        if let Some(count) = map.get_mut(&buffer[..]) {
            *count += 1;
        } else {
            map.insert(partitioner.key(time, &[make]), 1);
        }
    }
    let mut counts: Vec<_> = map
        .iter()
        .map(|(key, count)| (partitioner.render(key, ROOM).unwrap().path, *count))
        .collect();
    counts.sort();
    assert_eq!(
        counts,
        [
            ("hour=03/make=KIA/".to_owned(), 2),
            ("hour=03/make=__HIVE_DEFAULT_PARTITION__/".to_owned(), 2),
            ("hour=04/make=KIA/".to_owned(), 1),
        ]
    );
}

#[test]
fn where_other_things_decide_no_times_are_around() {
    let time = Timestamp::UNIX_EPOCH;
    let by_column = partitioner(&["hour", "country"], PathStyle::Padded, "UTC");
    assert_eq!(by_column.times_around(time), None);
    let changing = partitioner(&["hour"], PathStyle::Padded, "Europe/Berlin");
    assert_eq!(changing.times_around(time), None);
}

proptest! {
    #[test]
    fn times_around_a_time_are_in_its_partition(
        second in -80_000_000_000_i64..200_000_000_000,
        nanosecond in 0..1_000_000_000,
        other in 0.0..1.0,
        offset in -93_599..=93_599,
        parts in proptest::sample::subsequence(vec!["year", "month", "day", "hour", "minute", "date"], 1..7),
    ) {
        let zone = TimeZone::fixed(Offset::from_seconds(offset).unwrap());
        let partitioner = Partitioner::new(&names(&parts), PathStyle::Padded, &zone).unwrap();
        let time = Timestamp::new(second, nanosecond).unwrap();
        let times = partitioner.times_around(time).unwrap();
        prop_assert!(times.contains(&time));
        let length = times.end.as_nanosecond() - times.start.as_nanosecond();
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a place in between")]
        let within = times.start.as_nanosecond() + (length as f64 * other) as i128;
        let last = times.end.as_nanosecond() - 1;
        for near in [times.start.as_nanosecond(), within.min(last), last] {
            let near = Timestamp::from_nanosecond(near).unwrap();
            prop_assert_eq!(partitioner.key(near, &[]), partitioner.key(time, &[]), "{} {}", near, time);
        }
    }

    #[test]
    fn keys_are_equal_exactly_if_paths_are(
        parts in proptest::sample::subsequence(vec!["year", "month", "day", "hour", "minute", "date", "a", "b"], 1..8).prop_shuffle(),
        seconds in prop::array::uniform2(-62_000_000_000_i64..253_000_000_000),
        near in any::<bool>(),
        columns in prop::array::uniform2(prop::array::uniform2(prop::option::of("[a/%]?|__HIVE_DEFAULT_PARTITION__"))),
        spark in any::<bool>(),
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin"]),
    ) {
        let style = if spark { PathStyle::Spark } else { PathStyle::Padded };
        let partitioner = partitioner(&parts, style, zone);
        let seconds = if near { [seconds[0], seconds[0] + seconds[1] % 4_000] } else { seconds };
        let [(key, partition), (other_key, other)] = [0, 1].map(|record| {
            let time = Timestamp::from_second(seconds[record]).unwrap();
            let values: Vec<_> = columns[record].iter().map(Option::as_deref).collect();
            let key = partitioner.key(time, &values);
            let partition = partitioner.render(&key, ROOM).unwrap();
            (key, partition)
        });
        prop_assert_eq!(key == other_key, partition.path == other.path);
        prop_assert_eq!(key == other_key, partition.values == other.values);
    }

    #[test]
    fn paths_unescape_to_the_values(value in "\\PC{0,40}", zone_seconds in 0..4_000_000_000_i64) {
        let partitioner = partitioner(&["date", "make"], PathStyle::Padded, "UTC");
        let time = Timestamp::from_second(zone_seconds).unwrap();
        let partition = partitioner.render(&partitioner.key(time, &[Some(&value)]), ROOM).unwrap();
        let read: Vec<_> = partition.path.split_terminator('/')
            .map(|part| unescape(part.split_once('=').unwrap().1).into_owned())
            .collect();
        prop_assert_eq!(&partition.values, &read);
        let expected = if value.is_empty() { DEFAULT_PARTITION } else { &value };
        prop_assert_eq!(read[1].as_str(), expected);
    }
}

#[test]
fn values_that_no_key_can_have() {
    stated(
        "A partition value with a character that XML does not have, U+FFFE or U+FFFF, is refused with its reason by every job, because S3's answers could not name its objects; in a key of split it becomes `%XX`, and an object whose key has one all the same is deleted by itself.",
    );
    let partitioner =
        Partitioner::new(&["city".to_owned()], PathStyle::Padded, &TimeZone::UTC).unwrap();
    for (value, fits) in [
        ("a\u{fffe}", false),
        ("\u{ffff}", false),
        ("\u{fffd}", true),
        ("\u{7}", true),
        ("é", true),
    ] {
        let key = partitioner.key(Timestamp::UNIX_EPOCH, &[Some(value)]);
        let rendered = partitioner.render(&key, 1_000);
        assert_eq!(rendered.is_ok(), fits, "{value:?}");
        let refused = matches!(rendered, Err(PartitionError::NotInXml { .. }));
        assert_eq!(refused, !fits);
    }
}

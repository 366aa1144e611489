//! What a job says by default, and what is refused.

use super::*;

const TABLE: &str = r#"
    [[compact]]
    table = "lake.flights"
"#;

const REKEY: &str = r#"
    [[rekey]]
    name = "flights"
    source = "s3://landing/flights/"
    timestamp = { column = "t" }
    target = "s3://lake/flights/"
    table = "lake.flights"
"#;

#[test]
fn defaults() {
    let config = Config::parse(TABLE).unwrap();
    let job = &config.compact[0];
    assert_eq!(job.target_size, Size::mib(256));
    assert_eq!((job.min_files, job.small_below, job.files), (5, 75, None));
    assert_eq!(job.small_bytes(), 192 << 20);
    assert_eq!(job.grace_period, SignedDuration::from_hours(24));
    assert_eq!(job.longest_invocation, SignedDuration::from_mins(20));
    assert_eq!(job.compression.codec(), None);
    assert_eq!(job.ledger, None);
    let table = "lake.flights".parse().unwrap();
    assert_eq!(config.compact_table(&table), Some(job));
    assert_eq!(config.compacted_tables().collect::<Vec<_>>(), [&table]);
}

#[test]
fn the_ledger_is_that_of_the_job_which_writes_the_table() {
    for text in [format!("{TABLE}{REKEY}"), format!("{REKEY}{TABLE}")] {
        let config = Config::parse(&text).unwrap();
        let ledger = config.compact[0].ledger.as_ref();
        assert_eq!(ledger, Some(&config.rekey[0].ledger()));
    }
}

#[test]
fn everything_can_be_said() {
    let text = format!(
        r#"{TABLE}
        target_size = "1GiB"
        min_files = 2
        small_below = 50
        files = 1
        quiet_for = "0s"
        compression = "none"
        row_group_size = "64MiB"
        sort_by = ["t"]
        bloom_filter_columns = ["id"]
        grace_period = "2h"
        longest_invocation = "5m"
        generations = "s3://lake/flights-compacted/"
        ledger = "s3://lake/ledger/"
        usd_per_million_puts = 6
        usd_per_billion_gets = 500
        "#
    );
    let config = Config::parse(&text).unwrap();
    let job = &config.compact[0];
    assert_eq!(job.compression.codec(), Some(Compression::None));
    let again = serde_json::to_string(job).unwrap();
    assert_eq!(&serde_json::from_str::<Compact>(&again).unwrap(), job);
    let in_place = Config::parse(
        "[[compact]]\ntarget = \"s3://lake/archive/\"\nmode = \"in_place\"\nfiles = 1\n",
    );
    let in_place = in_place.unwrap();
    let target = Location::new("lake", "archive/");
    assert_eq!(in_place.compact_target(&target), Some(&in_place.compact[0]));
    assert_eq!(in_place.compacted_tables().next(), None);
}

#[test]
fn refusals_name_what_is_wrong() {
    let with = |more: &str| format!("{TABLE}\n{more}");
    for (text, says) in [
        (with("speling = 1"), "speling"),
        ("[[compact]]".to_owned(), "table = "),
        (with("target = \"s3://a/b/\""), "no target"),
        (with("mode = \"in_place\""), "needs target"),
        (
            "[[compact]]\nmode = \"in_place\"\ntarget = \"s3://a/b\"".to_owned(),
            "must end with `/`",
        ),
        (
            "[[compact]]\nmode = \"in_place\"\ntarget = \"s3://a/b/\"\ngenerations = \"s3://a/c/\""
                .to_owned(),
            "generations has no meaning",
        ),
        (with("generations = \"s3://a/b\""), "must end with `/`"),
        (with("target_size = \"0B\""), "target_size"),
        (with("row_group_size = \"0B\""), "row_group_size"),
        (with("min_files = 1"), "min_files"),
        (with("small_below = 101"), "small_below"),
        (with("files = 0"), "files"),
        (with("longest_invocation = \"0s\""), "longest_invocation"),
        (with("quiet_for = \"-1s\""), "quiet_for"),
        (with("grace_period = \"1m\""), "grace_period"),
        (with("grace_period = \"soon\""), "line 5"),
        (with("compression = \"lz4\""), "lz4"),
        (format!("{TABLE}{TABLE}"), "two jobs"),
        (
            format!("{REKEY}\noutput = [{{ format = \"json\" }}]\n{TABLE}"),
            "only Parquet",
        ),
        (
            format!("{REKEY}{TABLE}\nledger = \"s3://lake/other/\""),
            "is not that of rekey `flights`",
        ),
        (
            format!("{REKEY}{TABLE}\ngenerations = \"s3://lake/flights/g/\""),
            "readers of the table would read it",
        ),
        (
            format!("{REKEY}{TABLE}\ngenerations = \"s3://landing/flights/g/\""),
            "source of rekey `flights`",
        ),
    ] {
        let error = Config::parse(&text).unwrap_err().to_string();
        assert!(error.contains(says), "{error} should say {says}");
    }
}

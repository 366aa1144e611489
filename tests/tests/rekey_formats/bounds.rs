//! Memory, and limits.

use super::*;

#[test]
fn whatever_the_memory_the_files_hold_the_same_rows() {
    stated(
        "Whatever the function's memory and temporary files, the same object makes the same files with the same rows.",
    );
    // Records of some hundred bytes; batches are cut at 8 MiB, so that there are several.
    let filler = "x".repeat(2_000);
    let records = (0..12_000)
        .map(|n| {
            let (hour, second) = (n * 7 % 5, n * 7919 % 3600);
            format!(
                "{{\"n\":{n},\"t\":\"2026-05-01T{hour:02}:{:02}:{:02}Z\",\"f\":\"{filler}{n}\"}}\n",
                second / 60,
                second % 60
            )
        })
        .collect::<Vec<_>>()
        .concat();
    let mut expected = None;
    for sorted in [false, true] {
        for room in ROOMS {
            virtual_time(async {
                let lake = Lake::new(&format!(
                    "timestamp = {{ column = \"t\" }}\nsort_by_time = {sorted}\npartition_by = [\"hour\"]\noutput = [{{ format = \"json\", compression = \"none\", max_file_size = \"2MB\", min_file_size = \"1MB\" }}]"
                ));
                let report = lake
                    .rekey("a.json", records.as_bytes(), room)
                    .await
                    .unwrap();
                assert_eq!(report.rows_out, 12_000);
                let mut ids = BTreeSet::new();
                let mut hours: BTreeMap<String, Vec<(String, u64)>> = BTreeMap::new();
                for (path, rows) in lake.rows(&report) {
                    let hour = path.split('/').next().unwrap().to_owned();
                    for row in rows {
                        let n = row["n"].as_u64().unwrap();
                        assert!(ids.insert(n), "row {n} exists twice");
                        let time = row["t"].as_str().unwrap().to_owned();
                        hours.entry(hour.clone()).or_default().push((time, n));
                    }
                }
                assert_eq!(ids.len(), 12_000);
                for rows in hours.values() {
                    let key = |row: &(String, u64)| {
                        if sorted {
                            row.clone()
                        } else {
                            (String::new(), row.1)
                        }
                    };
                    assert!(rows.is_sorted_by_key(key), "{sorted} {room:?}");
                }
                let sizes = report.outputs.iter().map(|output| output.bytes);
                assert!(sizes.clone().max().unwrap() <= 3_100_000);
                if !sorted {
                    assert!(sizes.min().unwrap() >= 1_000_000);
                }
                let files = report.outputs.iter().map(|output| {
                    (
                        output.key.rsplit_once('/').unwrap().0.to_owned(),
                        output.rows,
                    )
                });
                let files = files.collect::<Vec<_>>();
                assert_eq!(expected.get_or_insert_with(|| files.clone()), &files);
                assert!(lake.keys("out/_lakewright/spool/").is_empty());
            });
        }
    }
}

#[test]
fn each_limit_has_an_error_of_its_own() {
    stated(
        "What exceeds a limit is refused by that limit's own error before anything is written; a record nested too deep is set aside alone.",
    );
    let deep = format!(
        "{{\"t\":\"2026-05-01\",\"a\":{}{}}}",
        "[".repeat(5),
        "]".repeat(5)
    );
    let mut zeros = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut zeros, &vec![b' '; 20 << 20]).unwrap();
    let zeros = zeros.finish().unwrap();
    let days = (1..=3)
        .map(|day| format!("{{\"t\":\"2026-05-0{day}\"}}"))
        .collect::<Vec<_>>()
        .concat();
    let of_parquet = "format = \"parquet\"\n";
    for (settings, limits, object, name) in [
        (
            "",
            "record_size = \"20B\"",
            b"{\"t\":\"2026-05-01\",\"a\":12345678}".to_vec(),
            Err("RecordTooLong"),
        ),
        (
            "format = \"csv\"\n",
            "record_size = \"20B\"",
            b"t,a\n2026-05-01,1234567890\n".to_vec(),
            Err("RecordTooLong"),
        ),
        (
            "",
            "compression_ratio = 100",
            zeros,
            Err("CompressionRatioExceeded"),
        ),
        (
            "",
            "partitions = 2",
            days.into_bytes(),
            Err("TooManyPartitions"),
        ),
        (
            of_parquet,
            "parquet_footer = \"100B\"",
            parquet(10),
            Err("ParquetFooterTooLarge"),
        ),
        (
            of_parquet,
            "parquet_row_group = \"100B\"",
            parquet(10),
            Err("ParquetRowGroupTooLarge"),
        ),
        (
            "",
            "nesting_depth = 5",
            deep.clone().into_bytes(),
            Ok("too_deep"),
        ),
        ("", "nesting_depth = 6", deep.into_bytes(), Ok("")),
        (
            "",
            "partitions = 3",
            b"no json".to_vec(),
            Ok("invalid_json"),
        ),
        (
            "",
            "partitions = 3",
            b"\x1f\x8b\x08 broken".to_vec(),
            Err("Unreadable"),
        ),
        (
            of_parquet,
            "partitions = 3",
            b"no parquet".to_vec(),
            Err("Unreadable"),
        ),
    ] {
        virtual_time(async {
            let time = ["t", "detail.time"][usize::from(settings == of_parquet)];
            let by_day = BY_DAY.replace("\"t\"", &format!("\"{time}\""));
            let lake = Lake::new(&format!("{settings}{by_day}limits = {{ {limits} }}"));
            let found = lake.rekey("object", &object, AMPLE).await;
            match (found, name) {
                (Ok(report), Ok(reason)) => {
                    let reasons = report.quarantined_by_reason.keys();
                    let reasons = reasons.map(|reason| reason.code()).collect::<String>();
                    assert_eq!(reasons, reason, "{limits}");
                }
                (Err(error), Err(name)) => {
                    assert_eq!(error.name(), name, "{error}");
                    assert!(error.to_string().contains("landing/in/object"), "{error}");
                    assert!(lake.written().is_empty(), "{limits}: no row was written");
                }
                (found, name) => panic!("{limits}: {found:?}, wanted {name:?}"),
            }
        });
    }
}

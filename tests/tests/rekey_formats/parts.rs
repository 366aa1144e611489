//! Columns that are parts of the path.

use super::*;

/// The same rows in each format, with a column `year`, which is no year of the time, and `City`.
fn objects() -> [(&'static str, Vec<u8>); 3] {
    let texts = |texts: [&str; 2]| -> ArrayRef { Arc::new(StringArray::from(texts.to_vec())) };
    let batch = RecordBatch::try_from_iter([
        ("n", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef),
        (
            "Year",
            Arc::new(Int64Array::from(vec![1999, 2000])) as ArrayRef,
        ),
        ("City", texts(["Bern", "Ulm"])),
        ("t", texts(["2026-05-01", "2026-05-02"])),
    ])
    .unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    let csv = "n,Year,City,t\n1,1999,Bern,2026-05-01\n2,2000,Ulm,2026-05-02\n";
    let json = csv.lines().skip(1).map(|line| {
        let [n, year, city, t] = line.split(',').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        format!("{{\"n\":{n},\"Year\":{year},\"City\":\"{city}\",\"t\":\"{t}\"}}\n")
    });
    [
        ("json", json.collect::<String>().into_bytes()),
        ("csv", csv.as_bytes().to_vec()),
        ("parquet", writer.into_inner().unwrap()),
    ]
}

#[test]
fn a_column_that_is_a_part_of_the_path_is_in_no_file() {
    stated(
        "What has the name of a part of the path is in no file, because readers take its value from the path: where no table gives the columns, a field that is called as a part of the time, such as `year`, is a field without a column, as `on_unknown` says. Only JSON that is passed through keeps such fields.",
    );
    for (format, bytes) in objects() {
        for policy in ["drop", "quarantine", "fail"] {
            virtual_time(async {
                let lake = Lake::new(&format!(
                    "timestamp = {{ column = \"t\" }}\npartition_by = [\"YEAR\", \"city\"]\nformat = \"{format}\"\non_unknown = \"{policy}\""
                ));
                let found = lake.rekey("a", &bytes, AMPLE).await;
                let report = match (found, policy) {
                    (Err(error), "fail") => {
                        assert_eq!(error.name(), "RecordRefused", "{format}: {error}");
                        return assert!(error.to_string().contains("`Year`"), "{error}");
                    }
                    (found, _) => found.unwrap(),
                };
                if policy == "quarantine" {
                    assert_eq!(
                        json!(report.quarantined_by_reason),
                        json!({"unknown_field": 2})
                    );
                    return;
                }
                assert_eq!((report.rows_out, report.fields_dropped), (2, 2), "{format}");
                let rows = lake.rows(&report);
                let directories = rows.keys().map(|key| key.rsplit_once('/').unwrap().0);
                assert_eq!(
                    directories.collect::<Vec<_>>(),
                    ["year=2026/city=Bern", "year=2026/city=Ulm"],
                    "{format}"
                );
                for row in rows.values().flatten() {
                    let names = row.as_object().unwrap().keys().collect::<Vec<_>>();
                    assert_eq!(names, ["n", "t"], "{format}");
                }
            });
        }
    }
}

#[test]
fn a_part_that_is_no_column_is_refused() {
    stated(
        "A name in `partition_by` that is no part of the time and no column of a CSV or Parquet object refuses the object with the columns that it has; where no record of an object has a value for it, the log says so, `without_values`.",
    );
    for (format, bytes) in objects() {
        for table in [false, true] {
            virtual_time(async {
                let lake = Lake::new(&format!(
                    "timestamp = {{ column = \"t\" }}\npartition_by = [\"year\", \"hours\"]\nformat = \"{format}\"\n{}",
                    if table { "table = \"lake.t\"" } else { "" }
                ));
                if table {
                    lake.table(&[("n", "int"), ("t", "string")], &["year", "hours"]);
                }
                let found = lake.rekey("a", &bytes, AMPLE).await;
                if format == "json" {
                    let report = found.unwrap();
                    assert_eq!(
                        (report.rows_out, report.without_values()),
                        (2, vec!["hours"])
                    );
                    return;
                }
                let error = found.unwrap_err();
                assert_eq!(error.name(), "SchemaUnusable", "{format}: {error}");
                let error = error.to_string();
                let says =
                    "partition_by: there is no column `hours`: there are `n`, `Year`, `City`, `t`";
                assert!(error.contains(says), "{format}: {error}");
                assert_eq!(lake.written(), Vec::<String>::new());
            });
        }
    }
}

#[test]
fn an_object_without_the_timestamp_is_refused_once() {
    stated(
        "A name that no column has is refused with the columns that there are, by its option; of JSON, whose records need not have the same columns, each record without its timestamp is set aside.",
    );
    for (format, bytes) in objects() {
        virtual_time(async {
            let lake = Lake::new(&format!(
                "timestamp = {{ column = \"at\" }}\npartition_by = [\"city\"]\nformat = \"{format}\""
            ));
            let found = lake.rekey("a", &bytes, AMPLE).await;
            if format == "json" {
                let report = found.unwrap();
                let reasons = json!(report.quarantined_by_reason);
                assert_eq!(reasons, json!({"no_timestamp": 2}));
                return;
            }
            let error = found.unwrap_err();
            assert_eq!(error.name(), "SchemaUnusable", "{format}: {error}");
            let says =
                "timestamp.column: there is no column `at`: there are `n`, `Year`, `City`, `t`";
            assert!(error.to_string().contains(says), "{format}: {error}");
            assert_eq!(lake.written(), Vec::<String>::new());
        });
    }
}

#[test]
fn a_part_of_the_path_is_a_single_value() {
    stated(
        "A name in `partition_by` that is a struct, a list or a map refuses the object, or the run, by its type, and the name of a field of a struct by its path.",
    );
    let within = "is the field `p`.`a` of a struct, and must be a top-level column";
    for (name, p, says) in [
        (
            "P",
            "{\"A\":1}",
            " names `p`, which is struct<a:bigint> and has no single value",
        ),
        (
            "P",
            "[\"x\"]",
            " names `p`, which is array<string> and has no single value",
        ),
        ("p.a", "{\"A\":1}", &format!(": `p.a` {within}")),
        ("P.A", "{\"a\":1}", &format!(": `P.A` {within}")),
        (
            "p.a",
            "{\"a\":1},\"P.A\":2",
            ": `p.a` means two columns, `p`.`a` and `p.a`",
        ),
    ] {
        let text = format!("{{\"t\":\"2026-05-01\",\"n\":1,\"p\":{p}}}\n");
        virtual_time(async {
            let lake = Lake::new(&format!(
                "timestamp = {{ column = \"t\" }}\npartition_by = [\"{name}\"]"
            ));
            let error = lake.rekey("a", text.as_bytes(), AMPLE).await.unwrap_err();
            assert_eq!(error.name(), "SchemaUnusable", "{error}");
            let says = format!("partition_by{says}");
            assert!(error.to_string().contains(&says), "{error}");
            assert_eq!(lake.written(), Vec::<String>::new());
        });
    }
}

#[test]
fn nothing_is_left_for_the_files() {
    stated(
        "Where nothing but parts of the path is left for files that have columns, the object is refused.",
    );
    let json = "{\"date\":\"2026-05-01T10:00:00Z\",\"City\":\"Ulm\"}\n";
    let csv = "date,City\n2026-05-01T10:00:00Z,Ulm\n";
    for (more, text, refused) in [
        ("format = \"json\"", json, true),
        (
            "format = \"json\"\noutput = [{ format = \"csv\" }]",
            json,
            true,
        ),
        (
            "format = \"json\"\noutput = [{ format = \"json\" }]",
            json,
            false,
        ),
        (
            "format = \"csv\"\noutput = [{ format = \"json\" }]",
            csv,
            true,
        ),
        ("format = \"json\"", "", false),
        ("format = \"csv\"", "n,City,date\n1,Ulm,2026-05-01\n", false),
    ] {
        virtual_time(async {
            let lake = Lake::new(&format!(
                "timestamp = {{ column = \"date\" }}\npartition_by = [\"date\", \"city\"]\n{more}"
            ));
            match lake.rekey("a", text.as_bytes(), AMPLE).await {
                Err(error) if refused => {
                    assert!(error.to_string().contains("none is left"), "{error}");
                    assert_eq!(lake.written(), Vec::<String>::new());
                }
                Ok(_) if !refused => {}
                other => panic!("{more}: {other:?}"),
            }
        });
    }
}

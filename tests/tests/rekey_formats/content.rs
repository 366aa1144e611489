//! Objects that are not what the job's format says.

use lakewright_jobs::rekey::check_target;
use lakewright_tests::not_text::{gzip, objects};

use super::*;

const REFUSED: [&str; 3] = [
    "An object of text that is UTF-16 or UTF-32, by its byte order mark or by its zeros, or begins with NULs, is refused by every job by that name.",
    "An object of text that is a Parquet, ORC, Avro or Arrow file, an archive, or a stream of xz, LZ4 or another compression that is not read, and one that is compressed more than twice, is refused by every job by that name.",
    "An object that is no Parquet file and should be one is refused by every job by what its first bytes say that it is.",
];

#[test]
fn a_target_of_another_format_is_refused() {
    stated(
        "A prefix with `_delta_log/`, `.hoodie` or `metadata/*.metadata.json` beside it or below it, or above it where the role may list there, is refused by compact and repartition before anything is read, written or deleted, and by rekey and split, which list nothing below their targets, where it is beside or above; rekey looks once in the life of an execution environment.",
    );
    for (key, format) in [
        (
            "out/_delta_log/00000000000000000000.json",
            Some("Delta Lake"),
        ),
        ("out/.hoodie/hoodie.properties", Some("Apache Hudi")),
        ("out/metadata/v1.metadata.json", Some("Apache Iceberg")),
        ("_delta_log/0.json", Some("Delta Lake")),
        ("out/metadata/readme.md", None),
        ("other/_delta_log/0.json", None),
        ("out/date=2026-05-01/a.parquet", None),
    ] {
        virtual_time(async {
            let lake = Lake::new(BY_DAY);
            lake.cloud
                .place(&Location::new("lake", key), Bytes::from_static(b"{}"));
            let client = Client::new(Arc::clone(&lake.cloud), 1, Plan::default());
            match (check_target(&client, &lake.config.rekey[0]).await, format) {
                (Ok(()), None) => {}
                (Err(error), Some(format)) => {
                    assert!(error.to_string().contains(format), "{key}: {error}");
                }
                (found, _) => panic!("{key}: {found:?}"),
            }
        });
    }
}

async fn refusal(lake: &Lake, bytes: &[u8]) -> String {
    let error = lake.rekey("a", bytes, AMPLE).await.unwrap_err();
    assert_eq!(error.name(), "Unreadable", "{error}");
    assert_eq!(lake.written(), Vec::<String>::new(), "{error}");
    error.to_string()
}

#[test]
fn one_fault_of_an_object_is_one_refusal() {
    REFUSED.into_iter().for_each(stated);
    let table = "table = \"lake.t\"";
    for (format, text) in [
        (
            "format = \"json\"",
            "{\"n\":1,\"t\":\"2026-05-01\"}\n{\"n\":2,\"t\":\"2026-05-02\"}\n",
        ),
        ("format = \"csv\"", "n,t\n1,2026-05-01\n2,2026-05-02\n"),
        (
            "format = \"csv\"\ncsv = { header = false, columns = [\"n\", \"t\"] }",
            "1,2026-05-01\n2,2026-05-02\n",
        ),
    ] {
        for table in ["", table] {
            for (says, bytes) in objects(text, &parquet(3).into()) {
                virtual_time(async {
                    let lake = Lake::new(&format!("{BY_DAY}\n{format}\n{table}"));
                    if !table.is_empty() {
                        lake.table(&[("n", "int"), ("t", "timestamp")], &["date"]);
                    }
                    let error = refusal(&lake, &bytes).await;
                    assert!(error.contains(says), "{format} {says}: {error}");
                });
            }
        }
    }
}

#[test]
fn what_is_no_parquet_file_is_named() {
    let whole = parquet(300);
    for (bytes, says) in [
        (gzip(&whole), "gzip"),
        (whole[..whole.len() - 9].to_vec(), "not written whole"),
        (
            b"{\"n\":1,\"t\":\"2026-05-01\"}\n".repeat(200_000),
            "it is text",
        ),
        (b"ORC\x0a\x01\x02 and so on".to_vec(), "ORC"),
        (vec![0xfe; 400], "does not end with PAR1"),
        (vec![1, 2, 3], "shorter than a footer"),
    ] {
        virtual_time(async {
            let lake = Lake::new(&format!("{BY_DAY}\nformat = \"parquet\""));
            let error = refusal(&lake, &bytes).await;
            assert!(error.contains(says), "{says}: {error}");
        });
    }
}

//! Objects that are not what their format or their table says.

use lakewright_core::config::Size;
use lakewright_model::virtual_time;
use lakewright_tests::{
    not_text::{gzip, objects},
    semantics::stated,
};

use crate::{
    lake::{Lake, parquet_file},
    sources::{LAZY_SIMPLE, OPEN_CSV, OPENX, OUT},
};

fn some_parquet() -> bytes::Bytes {
    let numbers: arrow::array::ArrayRef =
        std::sync::Arc::new(arrow::array::Int64Array::from(vec![1, 2]));
    parquet_file(
        &arrow::array::RecordBatch::try_from_iter([("n", numbers)]).unwrap(),
        10,
    )
}

#[test]
fn one_fault_of_an_object_is_one_refusal() {
    for sentence in [
        "An object of text that is UTF-16 or UTF-32, by its byte order mark or by its zeros, or begins with NULs, is refused by every job by that name.",
        "An object of text that is a Parquet, ORC, Avro or Arrow file, an archive, or a stream of xz, LZ4 or another compression that is not read, and one that is compressed more than twice, is refused by every job by that name.",
    ] {
        stated(sentence);
    }
    let csv = "n,t\n1,2026-05-01\n2,2026-05-02\n";
    let json = "{\"n\":1,\"t\":\"2026-05-01\"}\n{\"n\":2,\"t\":\"2026-05-02\"}\n";
    for (source, text) in [
        ("format = \"csv\"", csv),
        ("format = \"json\"", json),
        (LAZY_SIMPLE, csv),
        (OPEN_CSV, csv),
        (OPENX, json),
    ] {
        // In ranges too, each of which is a task's.
        for task_size in [128 << 20, 8_u64] {
            for (says, bytes) in objects(text, &some_parquet()) {
                virtual_time(async {
                    let of_prefix = source.starts_with("format");
                    let mut lake = Lake::new(&if of_prefix {
                        format!(
                            "source = \"s3://lake/t/\"\n{source}\nfiles = 1\noutput = [{{ format = \"parquet\" }}]"
                        )
                    } else {
                        OUT.to_owned()
                    });
                    if !of_prefix {
                        lake.table(
                            "d.t",
                            "t/",
                            source,
                            &[("n", "string"), ("t", "string")],
                            &[],
                        );
                    }
                    lake.job.task_size = Size(task_size);
                    lake.place("t/a", bytes);
                    let error = lake.run().await.unwrap_err();
                    assert_eq!(error.name(), "Unreadable", "{source} {says}: {error}");
                    assert!(error.to_string().contains(says), "{source} {says}: {error}");
                    assert_eq!(lake.keys("out/"), Vec::<String>::new());
                });
            }
        }
    }
}

#[test]
fn what_is_no_parquet_file_is_named() {
    stated(
        "An object that is no Parquet file and should be one is refused by every job by what its first bytes say that it is.",
    );
    let whole = some_parquet();
    for (bytes, says) in [
        (gzip(&whole), "gzip"),
        (whole[..whole.len() - 9].to_vec(), "not written whole"),
        (b"n,t\n1,2\n".repeat(100_000), "it is text"),
        (b"ORC\x0a\x01\x02 and so on".to_vec(), "ORC"),
    ] {
        virtual_time(async {
            let lake = Lake::new(
                "source = \"s3://lake/t/\"\nformat = \"parquet\"\nfiles = 1\noutput = [{ format = \"parquet\" }]",
            );
            lake.place("t/a", bytes);
            let error = lake.run().await.unwrap_err();
            assert!(error.to_string().contains(says), "{says}: {error}");
        });
    }
}

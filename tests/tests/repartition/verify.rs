//! Checks before a run is committed.

use std::{fmt::Write as _, sync::Arc};

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use bytes::Bytes;
use lakewright_core::location::Location;
use lakewright_jobs::repartition::PlanReport;
use lakewright_model::virtual_time;
use lakewright_tests::semantics::stated;
use serde_json::Value;

use crate::lake::{Lake, parquet_file};

/// Four rows in two files of each format.
const JOB: &str = "source = \"s3://lake/in/\"\nformat = \"csv\"\nfiles = 2\noutput = [{ format = \"parquet\" }, { format = \"json\", compression = \"none\" }, { format = \"csv\", compression = \"none\" }]";

/// A lake whose run is written and not committed, over old data.
async fn written() -> (Lake, PlanReport) {
    let lake = Lake::new(JOB);
    lake.place("in/a.csv", "a,b\n1,x\n2,x\n3,x\n4,x\n");
    lake.place("out/csv/old.csv", "a,b\n0,old\n");
    let plan = lake.plan().await.unwrap();
    for task in plan.prepare.iter().chain(&plan.tasks) {
        lake.write(task).await.unwrap();
    }
    (lake, plan)
}

/// A Parquet file of these columns, with this many rows.
fn parquet(columns: &[&str], rows: usize) -> Bytes {
    let column: ArrayRef = Arc::new(StringArray::from(vec!["9"; rows]));
    let columns = columns.iter().map(|name| (*name, Arc::clone(&column)));
    parquet_file(&RecordBatch::try_from_iter(columns).unwrap(), rows.max(1))
}

impl Lake {
    /// The first file of a format.
    fn first(&self, format: &str) -> String {
        let keys = self.keys(&format!("out/{format}/part-"));
        keys[0].clone()
    }

    /// Changes what the first task says of its files.
    fn say(&self, key: &str, field: &str, value: impl Into<Value>) {
        let at = "out/_lakewright/repartition/job/9999999999/done/0000000000";
        let mut done: Value = serde_json::from_slice(&self.bytes(at)).unwrap();
        let files = done["files"].as_array_mut().unwrap();
        let file = files.iter_mut().find(|file| file["key"] == key).unwrap();
        file[field] = value.into();
        self.place(at, serde_json::to_vec(&done).unwrap());
    }

    /// Another object in a file's place, which the task says is its own.
    fn written_as(&self, key: &str, bytes: Bytes) {
        let size = bytes.len() as u64;
        let etag = self.cloud.place(&Location::new("lake", key), bytes);
        self.say(key, "bytes", size);
        self.say(key, "etag", etag);
    }
}

/// Something that goes wrong with the first file of a format.
type Fault = fn(&Lake, &str);

#[test]
fn what_is_not_as_it_was_written_is_found_before_the_commit() {
    stated(
        "A commit is refused, and nothing removed, where a task is not done, a file does not exist with the size and the ETag that it was written with, a Parquet file's footer says other columns or another number of rows than its task, or the files' rows are not those that were read.",
    );
    let replaced: Fault = |lake, key| {
        let other = lake.bytes(key).iter().map(|byte| byte ^ 1).collect();
        lake.cloud.place(&Location::new("lake", key), other);
    };
    let cases: [(&str, &str, Fault, &[&str]); 8] = [
        ("parquet", "of another object", replaced, &["has the ETag"]),
        ("json", "of another object", replaced, &["has the ETag"]),
        ("csv", "of another object", replaced, &["has the ETag"]),
        (
            "parquet",
            "of another file with its columns and rows",
            |lake, key| {
                // It has the size that was written: only the ETag differs.
                let other = parquet(&["a", "b"], 2);
                lake.say(key, "bytes", other.len() as u64);
                lake.cloud.place(&Location::new("lake", key), other);
            },
            &["has the ETag"],
        ),
        (
            "parquet",
            "with fewer rows",
            |lake, key| lake.written_as(key, parquet(&["a", "b"], 1)),
            &["has 1 rows by its footer, but 2 were written"],
        ),
        (
            "parquet",
            "of rows that its task counted wrongly, and another one too",
            |lake, key| {
                let other = lake.keys("out/parquet/part-").remove(1);
                lake.say(key, "rows", 3);
                lake.say(&other, "rows", 1);
            },
            &["has 2 rows by its footer, but 3 were written"],
        ),
        (
            "parquet",
            "of other columns",
            |lake, key| lake.written_as(key, parquet(&["a", "c"], 2)),
            &["has the columns [\"a\", \"c\"]", "[\"a\", \"b\"]"],
        ),
        (
            "parquet",
            "that cannot be read",
            |lake, key| lake.written_as(key, Bytes::from_static(b"PAR1 but no more")),
            &["not a Parquet file"],
        ),
    ];
    virtual_time(async {
        for (format, what, fault, says) in cases {
            let (lake, plan) = written().await;
            let key = lake.first(format);
            let done = "out/_lakewright/repartition/job/9999999999/done/0000000000";
            fault(&lake, &key);
            let refused = lake.commit(&plan).await;
            let error = refused.expect_err(&format!("a {format} file {what}"));
            assert_eq!(error.name(), "OutputsDiffer", "{error}");
            let text = error.to_string();
            for part in [&format!("s3://lake/{key}")[..]].iter().chain(says) {
                assert!(text.contains(part), "a {format} file {what}: {text}");
            }
            assert_eq!(lake.ledger("commit"), 0);
            assert_eq!(lake.text("out/csv/old.csv"), "a,b\n0,old\n");
            // Without the file and what its task says of it, the task does it again.
            lake.remove(&key);
            lake.remove(done);
            lake.write(&plan.tasks[0]).await.unwrap();
            assert_eq!(lake.commit(&plan).await.unwrap().rows, 4);
        }
    });
}

#[test]
fn a_footer_of_any_length_is_read() {
    virtual_time(async {
        let lake = Lake::new(
            "source = \"s3://lake/in/\"\nformat = \"csv\"\nfiles = 2\noutput = [{ format = \"parquet\" }]",
        );
        let mut header = "c0".to_owned();
        for column in 1..1_000 {
            write!(header, ",c{column}").unwrap();
        }
        let row = vec!["v"; 1_000].join(",");
        lake.place("in/a.csv", format!("{header}\n{row}\n{row}\n"));
        let (_, commit) = lake.run().await.unwrap();
        assert_eq!((commit.rows, commit.outputs), (2, 2));
        let file = lake.bytes(&lake.keys("out/")[0]);
        let length = file[file.len() - 8..].first_chunk().copied().unwrap();
        assert!(u32::from_le_bytes(length) > 64 << 10);
    });
}

//! Parquet files that are merged without decoding rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use lakewright_jobs::JobError;
use lakewright_model::virtual_time;
use lakewright_tests::semantics::stated;
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    file::{metadata::RowGroupMetaData, properties::WriterProperties},
};

use crate::lake::{AMPLE, Lake, Rows, texts};

const TWO: &str = "source = \"s3://lake/in/\"\nformat = \"parquet\"\nfiles = 1\noutput = [{ format = \"parquet\", compression = \"none\", prefix = \"none/\" }, { format = \"parquet\", compression = \"snappy\", prefix = \"snappy/\" }]";

/// A file without dictionaries, which the project's own writer never makes.
fn file(columns: Vec<(&str, ArrayRef)>) -> Bytes {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    );
    let batch = batch.unwrap();
    let properties = WriterProperties::builder().set_dictionary_enabled(false);
    let mut writer =
        ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties.build())).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap().into()
}

fn numbers(range: std::ops::Range<i64>) -> ArrayRef {
    Arc::new(
        range
            .map(|n| (n % 7 != 0).then_some(n))
            .collect::<Int64Array>(),
    )
}

fn names(range: std::ops::Range<i64>) -> ArrayRef {
    Arc::new(
        range
            .map(|n| Some(format!("n{}", n % 3)))
            .collect::<StringArray>(),
    )
}

/// The one file of an output: its rows, and whether its pages are those of the source.
fn one_file(lake: &Lake, output: &str) -> (Rows, bool) {
    let keys = lake.keys(&format!("out/{output}/"));
    let [key] = keys.as_slice() else {
        panic!("{keys:?}");
    };
    let bytes = Bytes::from(lake.bytes(key));
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    let groups = reader.metadata().row_groups().iter();
    let mut chunks = groups.flat_map(RowGroupMetaData::columns);
    let spliced = chunks.all(|chunk| chunk.dictionary_page_offset().is_none());
    (texts(&lake.parquet(key)), spliced)
}

/// Runs the job over these files with much memory and with little. Returns the output, and whether it was merged page
/// by page with much memory.
async fn run(settings: &str, files: &[Bytes]) -> (Rows, bool) {
    let mut both = Vec::new();
    for memory in [AMPLE, 1 << 20] {
        let mut lake = Lake::new(settings);
        lake.memory = memory;
        for (number, file) in files.iter().enumerate() {
            lake.place(&format!("in/{number}.parquet"), file.clone());
        }
        let (_, commit) = lake.run().await.unwrap();
        assert_eq!(commit.outputs, 2);
        let (none, snappy) = (one_file(&lake, "none"), one_file(&lake, "snappy"));
        assert_eq!(none, snappy);
        assert_eq!(commit.rows, none.0.len() as u64);
        both.push((none, lake.parquet(&lake.keys("out/none/")[0]).schema()));
    }
    let [(united, schema), (read, of_read)] = <[_; 2]>::try_from(both).unwrap();
    assert_eq!((&united.0, schema), (&read.0, of_read));
    assert!(!read.1);
    united
}

#[test]
fn pages_are_put_together_where_nothing_changes() {
    stated(
        "Parquet files that become one file of the same columns are merged page by page, and it has the rows and the types that reading them row by row would give.",
    );
    virtual_time(async {
        let two = [
            file(vec![("n", numbers(0..40)), ("s", names(0..40))]),
            file(vec![("S", names(40..63)), ("N", numbers(40..63))]),
        ];
        let (rows, spliced) = run(TWO, &two).await;
        assert_eq!((rows.len(), spliced), (63, true));
        assert_eq!(rows[62], [Some("62".to_owned()), Some("n2".to_owned())]);
        assert_eq!(rows[49][0], None);
    });
}

#[test]
fn rows_are_read_where_something_changes() {
    virtual_time(async {
        let first = || file(vec![("n", numbers(0..10)), ("s", names(0..10))]);
        // One column is left out, and one has a wider type only in the second file.
        let chosen = format!("{TWO}\ncolumns = [\"s\"]");
        let (rows, spliced) = run(&chosen, &[first(), first()]).await;
        assert_eq!((rows.len(), rows[0].len(), spliced), (20, 1, false));
        let narrow: ArrayRef = Arc::new(Int32Array::from_iter_values(0..10));
        let wider = [file(vec![("n", narrow), ("s", names(0..10))]), first()];
        let (rows, spliced) = run(TWO, &wider).await;
        assert_eq!((rows.len(), spliced), (20, false));
    });
}

#[test]
fn what_cannot_be_put_together_is_read_or_refused_by_name() {
    virtual_time(async {
        let good = || file(vec![("n", numbers(0..10)), ("s", names(0..10))]);
        for (bad, expected) in [
            (Bytes::from_static(b"no Parquet file"), "Unreadable"),
            (
                file(vec![("n", names(0..10)), ("s", names(0..10))]),
                "RecordRefused",
            ),
            (
                file(vec![("n", numbers(0..10)), ("more", names(0..10))]),
                "RecordRefused",
            ),
        ] {
            let lake = Lake::new(TWO);
            lake.place("in/0.parquet", good());
            lake.place("in/1.parquet", bad);
            let error: JobError = lake.run().await.unwrap_err();
            assert_eq!(error.name(), expected, "{error}");
            assert!(error.to_string().contains("in/1.parquet"), "{error}");
            assert!(lake.keys("out/").is_empty());
        }
        // A page is broken: the merge finds it on its way, and so does the reader.
        let mut broken = good().to_vec();
        broken[4..40].fill(0xff);
        let lake = Lake::new(TWO);
        lake.place("in/0.parquet", good());
        lake.place("in/1.parquet", broken);
        let error = lake.run().await.unwrap_err();
        assert_eq!(error.name(), "Unreadable", "{error}");
        assert!(lake.keys("out/").is_empty());
    });
}

#[test]
fn an_object_that_is_gone_meanwhile_fails_the_run() {
    virtual_time(async {
        let lake = Lake::new(TWO);
        let file = || file(vec![("n", numbers(0..10)), ("s", names(0..10))]);
        lake.place("in/0.parquet", file());
        lake.place("in/1.parquet", file());
        let plan = lake.plan().await.unwrap();
        lake.remove("in/1.parquet");
        let error = lake.write(&plan.tasks[0]).await.unwrap_err();
        assert_eq!(error.name(), "SourceChanged", "{error}");
    });
}

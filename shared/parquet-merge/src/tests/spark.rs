//! Spark's calendar metadata.

use arrow::array::Date32Array;
use parquet::file::{metadata::KeyValue, properties::WriterProperties};

use super::*;
use crate::semantics::stated;

const VERSION: &str = "org.apache.spark.version";
const OLD_DATES: &str = "org.apache.spark.legacyDateTime";
const OLD_INT96: &str = "org.apache.spark.legacyINT96";
const ZONE: &str = "org.apache.spark.timeZone";

type Entries<'a> = &'a [(&'a str, &'a str)];

const OLD: Entries = &[
    (VERSION, "3.5.1"),
    (OLD_DATES, ""),
    (OLD_INT96, ""),
    (ZONE, "Europe/Berlin"),
];
const NEW: Entries = &[(VERSION, "3.5.1"), (ZONE, "Europe/Berlin")];

fn with(entries: Entries) -> Bytes {
    let entries = entries
        .iter()
        .map(|(key, value)| KeyValue::new((*key).to_owned(), (*value).to_owned()));
    let properties = WriterProperties::builder()
        .set_key_value_metadata(Some(entries.collect()))
        .build();
    written(
        &batch(vec![("day", Arc::new(Date32Array::from(vec![-171_659])))]),
        properties,
    )
}

#[test]
fn files_of_one_calendar_stay_in_it() {
    stated(
        "What Spark says in the metadata of files of the calendar that it counts days in, the merged file says too; files that differ in it refuse the merge by both files.",
    );
    for (files, expected) in [
        (vec![OLD, OLD], OLD),
        (vec![NEW, &[], NEW], &[][..]),
        // Early versions of Spark used the legacy calendar without an entry.
        (
            vec![&[(VERSION, "2.4.8")], &[(VERSION, "2.4.6")]],
            &[(VERSION, "2.4.8")],
        ),
        (
            vec![&[(VERSION, "3.0.3")], &[(VERSION, "3.0.3")]],
            &[(VERSION, "3.0.3")],
        ),
    ] {
        let files: Vec<_> = files.into_iter().map(with).collect();
        for sort_by in [vec![], vec!["day".to_owned()]] {
            let options = MergeOptions {
                sort_by,
                ..MergeOptions::default()
            };
            let merged = merge(&files, options).unwrap();
            let metadata = footer(&merged.file);
            let found: Vec<_> = metadata
                .file_metadata()
                .key_value_metadata()
                .into_iter()
                .flatten()
                .map(|entry| {
                    (
                        entry.key.as_str(),
                        entry.value.as_deref().unwrap_or_default(),
                    )
                })
                .collect();
            assert_eq!(found, expected);
        }
    }
}

#[test]
fn files_of_different_calendars_are_refused() {
    let elsewhere: Entries = &[
        (VERSION, "3.5.1"),
        (OLD_DATES, ""),
        (OLD_INT96, ""),
        (ZONE, "UTC"),
    ];
    for (first, second) in [
        (OLD, NEW),
        (NEW, OLD),
        (&[], OLD),
        (OLD, elsewhere),
        (NEW, &[(VERSION, "2.4.8")][..]),
    ] {
        let refused = merge(&[with(first), with(second)], MergeOptions::default());
        let Err(Failure::Merge(MergeError::Schema { input, what })) = refused else {
            panic!("it is merged: {refused:?}");
        };
        assert_eq!(input, "file 1");
        assert!(what.contains("file 0"), "{what}");
    }
}

//! Sorted merges.

use arrow::{
    array::{AsArray, StructArray},
    compute::{SortColumn, SortOptions, lexsort_to_indices, take_record_batch},
};
use parquet::file::metadata::SortingColumn;

use super::{
    files::{every_type, writers},
    *,
};
use crate::semantics::stated;

/// The column, or the field of a struct, with this path.
fn column_at(rows: &RecordBatch, path: &str) -> ArrayRef {
    let mut found: ArrayRef = Arc::new(StructArray::from(rows.clone()));
    for name in path.split('.') {
        found = found.as_struct().column_by_name(name).unwrap().clone();
    }
    found
}

/// The rows in the order of these columns, by a stable sort.
fn sorted(rows: &RecordBatch, by: &[&str]) -> RecordBatch {
    let options = Some(SortOptions {
        descending: false,
        nulls_first: false,
    });
    let ordinal: ArrayRef =
        Arc::new((0..rows.num_rows() as u64).collect::<arrow::array::UInt64Array>());
    let mut columns: Vec<SortColumn> = by
        .iter()
        .map(|name| SortColumn {
            values: column_at(rows, name),
            options,
        })
        .collect();
    columns.push(SortColumn {
        values: ordinal,
        options,
    });
    take_record_batch(rows, &lexsort_to_indices(&columns, None).unwrap()).unwrap()
}

#[test]
fn rows_are_sorted_whatever_the_files_are() {
    stated(
        "With `sort_by` the rows of a merged file are in the order of these columns, ascending, with nulls last, and rows that are alike in them stay in the order of the files; its row groups say so.",
    );
    let files: Vec<Bytes> = (0..)
        .zip(writers())
        .map(|(index, (_, properties))| written(&every_type(index * 130, 200, 40), properties))
        .collect();
    let expected = all_rows(&files);
    for by in [
        &["text", "boolean"][..],
        &["double"],
        &["time", "decimal"],
        &["whole"],
        &["nothing"],
        &["struct.x", "text"],
        &["struct.y"],
    ] {
        for rows_of_a_group in [1 << 20, 900] {
            let mut options = MergeOptions {
                sort_by: by.iter().map(|name| (*name).to_uppercase()).collect(),
                bloom_filters: vec!["text".to_owned()],
                key_values: vec![("a".to_owned(), "b".to_owned())],
                ..MergeOptions::default()
            };
            options.row_group.rows = rows_of_a_group;
            let merged = merge(&files, options).unwrap();
            assert_same(&rows(&merged.file), &sorted(&expected, by));
            assert_indexed(&merged.file);
            let footer = footer(&merged.file);
            assert_eq!(
                footer.num_row_groups(),
                expected.num_rows().div_ceil(rows_of_a_group)
            );
            assert_eq!(merged.summary.row_groups, footer.num_row_groups());
            for group in footer.row_groups() {
                let said = group.sorting_columns().unwrap().iter().map(|column| {
                    let SortingColumn {
                        column_idx,
                        descending,
                        nulls_first,
                    } = column;
                    assert!(!descending && !nulls_first);
                    group
                        .column(usize::try_from(*column_idx).unwrap())
                        .column_path()
                        .string()
                });
                assert_eq!(said.collect::<Vec<_>>(), by);
            }
        }
    }
}

#[test]
fn sorting_takes_files_of_different_schemas() {
    let long = written(
        &batch(vec![(
            "a",
            Arc::new(arrow::array::Int64Array::from(vec![5, 1])),
        )]),
        WriterProperties::default(),
    );
    let int = written(
        &batch(vec![
            (
                "A",
                Arc::new(arrow::array::Int32Array::from(vec![Some(3), None, Some(7)])),
            ),
            (
                "b",
                Arc::new(arrow::array::StringArray::from(vec!["x", "y", "z"])),
            ),
        ]),
        WriterProperties::default(),
    );
    let options = MergeOptions {
        sort_by: vec!["a".to_owned()],
        ..MergeOptions::default()
    };
    let merged = merge(&[long, int], options).unwrap();
    let expected = batch(vec![
        (
            "a",
            Arc::new(arrow::array::Int64Array::from(vec![
                Some(1),
                Some(3),
                Some(5),
                Some(7),
                None,
            ])),
        ),
        (
            "b",
            Arc::new(arrow::array::StringArray::from(vec![
                None,
                Some("x"),
                None,
                Some("z"),
                Some("y"),
            ])),
        ),
    ]);
    assert_same(&rows(&merged.file), &expected);
}

#[test]
fn columns_of_more_than_a_value() {
    let file = written(&every_type(0, 10, 3), WriterProperties::default());
    for (column, says) in [
        (
            "unknown",
            "there is no column `unknown`: there are `boolean`",
        ),
        (
            "LIST",
            "`list` is array<INT64>, and has no single value in a row",
        ),
        ("lists", "`lists` is array<array<BYTE_ARRAY String>>, "),
        ("map", "`map` is map<BYTE_ARRAY String,INT32>, "),
        (
            "struct",
            "`struct` is struct<x:INT32,y:BYTE_ARRAY String>, ",
        ),
    ] {
        for option in ["sort_by", "bloom_filter_columns"] {
            let mut options = MergeOptions::default();
            let names = if option == "sort_by" {
                &mut options.sort_by
            } else {
                &mut options.bloom_filters
            };
            names.push(column.to_owned());
            let error = merge(std::slice::from_ref(&file), options).unwrap_err();
            assert!(
                matches!(&error, Failure::Merge(MergeError::Options(_))),
                "{error:?}"
            );
            let says = format!("{option}: {says}");
            assert!(error.to_string().contains(&says), "{error}");
        }
    }
}

#[test]
fn what_cannot_be_sorted_by() {
    stated(
        "What `sort_by` compares must fit into a quarter of the memory, and each row group of the files too, or the merge is refused for it.",
    );
    stated(
        "Every option that names a column takes its name whatever the case, or the names from the outside to the inside, with dots between, of a field of a struct; a name that means two, such as `s.a` of a column `s.a` and of a struct `s`, is refused with both.",
    );
    stated(
        "`partition_by`, `columns` and `key` take columns of their own, as a part of a path or a column of a table is one, and refuse a field of a struct; `sort_by`, bloom filters and the timestamp may be of a field.",
    );
    stated(
        "A name that no column has is refused with the columns that there are, by its option; of JSON, whose records need not have the same columns, each record without its timestamp is set aside.",
    );
    let number = |n: i64| -> ArrayRef { Arc::new(arrow::array::Int64Array::from(vec![n])) };
    let inside = Field::new("a", arrow::datatypes::DataType::Int64, true);
    let inside = StructArray::from(vec![(Arc::new(inside), number(2))]);
    let both = batch(vec![
        ("s.a", number(1)),
        ("s", Arc::new(inside)),
        ("Id", number(3)),
    ]);
    let both = written(&both, WriterProperties::default());
    let (sorted, filtered) = (
        |name: &str| MergeOptions {
            sort_by: vec![name.to_owned()],
            ..MergeOptions::default()
        },
        |name: &str| MergeOptions {
            bloom_filters: vec![name.to_owned()],
            ..MergeOptions::default()
        },
    );
    for (options, says) in [
        (
            sorted("S.a"),
            Some("sort_by: `S.a` means two columns, `s.a` and `s`.`a`"),
        ),
        (
            filtered("s.a"),
            Some("bloom_filter_columns: `s.a` means two columns"),
        ),
        (sorted("x"), Some("there are `s.a`, `s.a`, `Id`")),
        (sorted("iD"), None),
        (filtered("ID"), None),
    ] {
        match (merge(std::slice::from_ref(&both), options), says) {
            (Ok(_), None) => {}
            (Err(Failure::Merge(error)), Some(says)) => {
                assert!(error.to_string().contains(says), "{error}");
            }
            (found, _) => panic!("{found:?} {says:?}"),
        }
    }
    let long: ArrayRef = Arc::new(
        (0..1_000)
            .map(|row| Some(format!("{row:020000}")))
            .collect::<arrow::array::StringArray>(),
    );
    let long = written(
        &batch(vec![("a", long)]),
        WriterProperties::builder()
            .set_compression(parquet::basic::Compression::SNAPPY)
            .build(),
    );
    let options = MergeOptions {
        sort_by: vec!["a".to_owned()],
        memory: 64 << 20,
        ..MergeOptions::default()
    };
    let refused = merge(&[long.clone(), long], options);
    assert!(
        matches!(&refused, Err(Failure::Merge(MergeError::Sort { .. }))),
        "{refused:?}"
    );
}

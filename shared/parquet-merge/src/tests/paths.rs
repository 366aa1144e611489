//! Merges files of every writer along every path.

use parquet::file::properties::WriterProperties;

use super::{
    files::{every_type, writers},
    *,
};
use crate::{Compression, semantics::stated};

fn options() -> MergeOptions {
    MergeOptions {
        memory: 64 << 20,
        ..MergeOptions::default()
    }
}

fn compressions() -> [OutputCompression; 5] {
    [
        OutputCompression::Keep,
        OutputCompression::As(Compression::None),
        OutputCompression::As(Compression::Snappy),
        OutputCompression::As(Compression::Zstd),
        OutputCompression::As(Compression::Gzip),
    ]
}

#[test]
fn files_of_one_writer() {
    stated(
        "Rows stay in the order of the files, and those of a file in theirs, whatever its encodings, page version and compression.",
    );
    for (name, properties) in writers() {
        for spread in [3, 200, 1 << 40] {
            let files: Vec<Bytes> = [(0, 300), (300, 1), (301, 500), (801, 64)]
                .map(|(first, count)| {
                    written(&every_type(first, count, spread), properties.clone())
                })
                .into();
            let expected = all_rows(&files);
            for (rows_of_a_group, with_indexes) in [
                (1 << 20, false),
                (1 << 20, true),
                (400, false),
                (70, false),
                (70, true),
            ] {
                let mut options = options();
                options.row_group.rows = rows_of_a_group;
                let merged = merge_of(&files, options, with_indexes);
                let merged = merged.unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_same(&rows(&merged.file), &expected);
                assert_indexed(&merged.file);
            }
        }
    }
}

#[test]
fn files_of_different_writers() {
    stated("The same files in the same order, merged with the same options, make the same bytes.");
    let files: Vec<Bytes> = (0..)
        .zip(writers())
        .map(|(index, (_, properties))| written(&every_type(index * 200, 200, 90), properties))
        .collect();
    let expected = all_rows(&files);
    for compression in compressions() {
        for (dictionary_bytes, rows_of_a_group) in
            [(1 << 20, 1 << 20), (0, 900), (700, 300), (1 << 20, 300)]
        {
            let mut options = MergeOptions {
                compression,
                dictionary_bytes,
                ..options()
            };
            options.row_group.rows = rows_of_a_group;
            let merged = merge(&files, options.clone()).unwrap();
            assert_same(&rows(&merged.file), &expected);
            assert_indexed(&merged.file);
            let again = merge(&files, options).unwrap();
            assert!(
                merged.file == again.file,
                "the same files make the same bytes"
            );
        }
    }
}

/// A dictionary equals the PLAIN values of its page only if the page uses each value once and in order: here the second
/// page has all of them in another order, and the third has some of them twice.
#[test]
fn a_dictionary_that_is_not_what_its_page_has() {
    let numbers = (0..100)
        .chain((0..100).rev())
        .chain((0..50).flat_map(|n| [n, n]));
    let texts = numbers.clone().map(|n| Some(format!("text {n}")));
    let rows_of_a_file = batch(vec![
        (
            "number",
            Arc::new(
                numbers
                    .map(|n| Some(i64::from(n) * 7))
                    .collect::<arrow::array::Int64Array>(),
            ),
        ),
        (
            "text",
            Arc::new(texts.collect::<arrow::array::StringArray>()),
        ),
    ]);
    let properties = WriterProperties::builder()
        .set_compression(parquet::basic::Compression::SNAPPY)
        .set_data_page_row_count_limit(100)
        .set_write_batch_size(50)
        .build();
    let file = written(&rows_of_a_file, properties);
    for dictionary_bytes in [0, 1 << 20] {
        let options = MergeOptions {
            dictionary_bytes,
            ..options()
        };
        let merged = merge(&[file.clone(), file.clone()], options).unwrap();
        assert_same(
            &rows(&merged.file),
            &all_rows(&[file.clone(), file.clone()]),
        );
    }
}

#[test]
fn nothing_to_merge() {
    let empty = written(&every_type(0, 0, 3), WriterProperties::default());
    let some = written(&every_type(0, 3, 3), WriterProperties::default());
    let merged = merge(&[empty.clone(), empty.clone()], options()).unwrap();
    assert_eq!((merged.summary.rows, merged.summary.row_groups), (0, 0));
    assert_eq!(rows(&merged.file).num_rows(), 0);
    let merged = merge(&[empty.clone(), some.clone(), empty], options()).unwrap();
    assert_same(&rows(&merged.file), &rows(&some));
}
